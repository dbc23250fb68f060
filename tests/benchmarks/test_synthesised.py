"""The synthesised street, in the layouts of the three datasets, as the adapters read it."""

import numpy as np
import pytest
from synthesised import synthesise

from edgesea import audio, datasets, levels, sampling
from edgesea.datasets import street


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("street")
    for name, size in (("sonyc", 12), ("urbansound8k", 1), ("esc50", 1)):
        synthesise(name, folder / name, size)
    return folder


def test_sonyc_has_sensors_days_and_eight_overlapping_classes(folders):
    manifest = datasets.load(folders / "sonyc")
    clips = manifest.clips
    assert len(clips) == 72
    assert manifest.labels == tuple(sorted(street.CLASSES))
    assert {len(clip.labels) for clip in clips} == {0, 1, 2}
    assert len({clip.sensor for clip in clips}) == 6
    assert len({clip.timestamp.date() for clip in clips}) == 3
    by_fold = [{clip.sensor for clip in clips if clip.fold == fold} for fold in range(3)]
    assert [len(sensors) for sensors in by_fold] == [4, 1, 1]
    for name in sampling.SAMPLERS:
        sampling.sampler(name).check(manifest)


def test_volunteers_miss_classes_and_verified_clips_have_all(folders):
    text = (folders / "sonyc" / "annotations.csv").read_text().splitlines()
    rows = [line.split(",") for line in text[1:]]
    assert {row[3] for row in rows if row[0] == "train"} == {"1", "2", "3"}
    assert {row[3] for row in rows if row[0] != "train"} == {"0"}
    views = {}
    for row in rows:
        views.setdefault(row[2], []).append(row[8:])
    assert any(len({tuple(view) for view in of_clip}) > 1 for of_clip in views.values())


def test_levels_follow_the_hour(folders):
    clips = datasets.load(folders / "sonyc").clips
    loud = [levels.level_dba(audio.read(clip.path, 16_000)[None], 16_000)[0] for clip in clips]
    assert np.ptp(loud) > 15
    night = [level for level, clip in zip(loud, clips, strict=True) if abs(clip.timestamp.hour - 12) > 8]
    noon = [level for level, clip in zip(loud, clips, strict=True) if abs(clip.timestamp.hour - 12) < 4]
    assert np.mean(noon) > np.mean(night) + 3


@pytest.mark.parametrize(("name", "folds"), [("urbansound8k", 10), ("esc50", 5)])
def test_every_fold_has_every_class_and_whole_recordings(folders, name, folds):
    manifest = datasets.load(folders / name)
    assert len(manifest) == folds * 8 * 2
    for fold in range(1, folds + 1):
        assert {clip.labels[0] for clip in manifest.clips if clip.fold == fold} == set(street.CLASSES)
    of = {}
    for clip in manifest.clips:
        of.setdefault(clip.group, set()).add(clip.fold)
    assert len(of) == folds * 8
    assert all(len(found) == 1 for found in of.values())


def test_the_same_again_is_the_same(folders, tmp_path):
    synthesise("sonyc", tmp_path / "again", 12)
    for path in sorted((tmp_path / "again").rglob("*")):
        if path.is_file():
            held = folders / "sonyc" / path.relative_to(tmp_path / "again")
            assert path.read_bytes() == held.read_bytes()
