"""A whole distillation: killed at any moment it ends the same, and it never learns from what is held out."""

import csv
import dataclasses
import itertools
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_run import SMALL
from unchanged import UNCHANGED

from edgesea import datasets, examples, files, levels
from edgesea import train as train_module
from edgesea.distillation import LEARNT_NOTHING, _Stages, distill, embed_domain
from edgesea.errors import EdgeseaError, UsageError
from edgesea.progress import SILENT, Progress
from edgesea.run import PARTS, Config, Run
from edgesea.store import Store

# Kills the process with SIGKILL when the file is written, whole but not yet in its place, for the n-th time.
KILL = """
import os, signal
real, seen = os.replace, []
def replace(source, target):
    if str(target).endswith({target!r}):
        seen.append(target)
        if len(seen) == {time}:
            os.kill(os.getpid(), signal.SIGKILL)
    real(source, target)
os.replace = replace
"""


def results(folder):
    """metrics.json without what a clock says."""
    held = json.loads((folder / "metrics.json").read_text())
    held.pop("seconds")
    for epoch in held["course"]:
        epoch.pop("seconds")
    return held


def weights(folder):
    return [value.copy() for value in Run(folder).load_student().get_weights()]


def arrays(path):
    return files.read_arrays(path)


def assert_same_result(one, two):
    assert results(one) == results(two)
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("reducer.npz", "sample.npz", "checkpoints/state.npz"):
        mine, theirs = arrays(one / name), arrays(two / name)
        assert mine.keys() == theirs.keys()
        for key in mine.keys() - {"course"}:
            np.testing.assert_array_equal(mine[key], theirs[key])
    for name in ("split.json", "skipped.csv", "student.keras"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    for store in ("domain", "examples"):
        names = [sorted(each.name for each in (run / store).glob("*.arrow")) for run in (one, two)]
        assert names[0] == names[1]
        for name in names[0]:
            assert (one / store / name).read_bytes() == (two / store / name).read_bytes()


def test_one_long_recording_is_split_by_time(tmp_path, street, edgesea_process):
    """What is learnt from and what is held out are of one recording, and apart."""
    clips = sorted((street / "audio").iterdir())
    sound = [soundfile.read(clip)[0] for clip in clips]
    night = tmp_path / "night.wav"
    rate = soundfile.info(clips[0]).samplerate
    soundfile.write(night, np.concatenate(sound * (150 * rate // sum(map(len, sound)) + 1)), rate)
    out = tmp_path / "run"
    process = edgesea_process("distill", "--data", night, "--out", out, *SMALL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert "1 recording is too few to split by recording: split by time, with 11 s left out" in errors
    split = json.loads((out / "split.json").read_text())
    assert split["by"] == "time"
    run = Run.open(out)
    times = {part: run.part(part).store.rows("start", run.part(part).rows) for part in PARTS}
    frame = split["frame_seconds"]
    for one, two in itertools.combinations(PARTS, 2):
        assert len(times[one])
        apart = np.abs(times[one][:, None] - times[two][None, :]).min()
        assert apart >= frame + 10


def test_a_student_that_learnt_nothing_is_told(tmp_path, finished_run, edgesea_process):
    results_file = finished_run / "metrics.json"
    r2 = json.loads(results_file.read_text())["fidelity"]["held-out"]["r2"]
    assert r2 < LEARNT_NOTHING  # seconds of training
    run = Run.open(finished_run)
    process = edgesea_process("distill", "--config", finished_run, "--out", tmp_path / "again")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert (
        f"The student learnt next to nothing of its teacher (R² {r2:.3f}; a constant has 0): give it more "
        f"than --frames {run.config.frames} or --epochs {run.config.epochs}, or more sound."
    ) in errors


def test_a_finished_run_needs_nothing_but_its_folder(finished_run, edgesea_process):
    process = edgesea_process("distill", "--out", finished_run)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert errors.strip().endswith(f"{finished_run} is finished: nothing to do.")


def test_a_finished_students_channels_share_their_layers_range(finished_run):
    """By powers of two of what was learnt: what it computes is the same to the bit, see test_equalise."""
    state = arrays(finished_run / "checkpoints" / "state.npz")
    student = Run.open(finished_run).load_student()
    moved = set()
    for place, variable in enumerate(student.variables):
        learnt, kept = state[f"best{place}"], variable.numpy()
        assert np.array_equal(learnt == 0, kept == 0)
        ratio = np.log2(np.divide(kept, learnt, out=np.ones_like(kept), where=learnt != 0))
        np.testing.assert_array_equal(ratio, ratio.round())
        if ratio.any():
            moved.add(variable.path.split("/")[-1])
    assert moved == {"gamma", "beta", "kernel"}


def changed(run, **values):
    """The configuration of a run with other values."""
    return dataclasses.replace(Run.open(run).config, **values)


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(".")]


def killed_when(process, path):
    """SIGKILL as soon as `path` is there."""
    limit = time.monotonic() + 240
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < limit
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def killed_by_itself(process):
    _, errors = process.communicate(timeout=240)
    assert process.returncode == -signal.SIGKILL, errors


def test_killed_in_every_stage_it_ends_the_same_to_the_bit(tmp_path, street, finished_run, edgesea_process):
    out = tmp_path / "run"
    call = ("distill", "--data", street, "--out", out, *SMALL)

    killed_by_itself(edgesea_process(*call, before=KILL.format(target="shard-000002.arrow", time=1)))
    assert len(list((out / "domain").glob("shard-*.arrow"))) == 2
    assert leftovers(out)
    assert not (out / "reducer.npz").exists()

    killed_when(edgesea_process(*call), out / "examples" / "shard-000001.arrow")
    assert (out / "reducer.npz").exists()
    assert not (out / "examples" / "shard-000003.arrow").exists()

    killed_by_itself(edgesea_process(*call, before=KILL.format(target="state.npz", time=2)))
    course = json.loads(str(arrays(out / "checkpoints" / "state.npz")["course"]))
    assert len(course) == 1
    assert leftovers(out)
    assert not (out / "student.keras").exists()

    process = edgesea_process(*call)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert_same_result(out, finished_run)
    assert leftovers(out) == []


@pytest.fixture
def small_shards(monkeypatch):
    from edgesea import embed, examples

    monkeypatch.setattr(embed, "PIECE_SECONDS", 8.0)
    monkeypatch.setattr(examples, "SHARD", 64)


def test_interrupted_before_every_single_file_it_ends_the_same(
    tmp_path, finished_run, monkeypatch, deterministic, small_shards
):
    """One interruption a file, in one folder, without SIGKILL, which costs a start of TensorFlow each."""
    config, out = Run.open(finished_run).config, tmp_path / "run"
    real, done = os.replace, set()

    def replace(source, target):
        if target not in done:
            done.add(target)
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(files.os, "replace", replace)
    interruptions = 0
    while True:
        try:
            distill(config, out)
            break
        except KeyboardInterrupt:
            interruptions += 1
    monkeypatch.setattr(files.os, "replace", real)
    written = {str(path.relative_to(out)) for path in done}
    assert {
        "config.toml",
        "split.json",
        "sample.npz",
        "reducer.npz",
        "student.keras",
        "metrics.json",
    } <= written
    assert {"skipped.csv", "domain/store.json", "examples/store.json", "checkpoints/state.npz"} <= written
    assert interruptions == len(written) >= 14
    assert_same_result(out, finished_run)
    assert leftovers(out) == []


def test_a_finished_run_is_not_repeated(finished_run):
    said = []

    class Listening(type(SILENT)):
        def say(self, text):
            said.append(text)

    before = {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")}
    distill(Run.open(finished_run).config, finished_run, progress=Listening())
    assert said == [f"{finished_run} is finished: nothing to do."]
    assert {path: path.stat().st_mtime_ns for path in finished_run.rglob("*")} == before


def test_a_run_says_what_it_was_made_from(finished_run, street):
    held = json.loads((finished_run / "metrics.json").read_text())
    assert held["data"]["fingerprint"] == datasets.load(street).fingerprint
    assert held["data"]["clips"] == 32
    assert held["data"]["frames"].keys() == set(PARTS)
    assert held["teacher"]["name"] == "demo_teacher"
    assert held["parameters"] == Run(finished_run).load_student().count_params()
    assert held["dimension"] == 16
    assert {"tensorflow", "keras", "numpy", "edgesea", "python"} <= held["versions"].keys()
    assert held["fidelity"].keys() == set(PARTS)
    assert held["reducer"]["name"] == "pca"
    assert 0 < held["reducer"]["explained_variance"] <= 1
    for store in ("domain", "examples"):
        assert Store.open(finished_run / store).made_from["teacher"] == held["teacher"]["fingerprint"]


def test_no_recording_is_torn_and_nothing_held_out_is_learnt_from(finished_run, street):
    manifest = datasets.load(street)
    split = json.loads((finished_run / "split.json").read_text())
    assert sorted(k for clips in split.values() for k in clips) == list(range(32))
    groups = {part: {manifest.clips[k].group for k in clips} for part, clips in split.items()}
    assert sum(map(len, groups.values())) == len(set.union(*groups.values())) == 16

    domain = Store.open(finished_run / "domain")
    sampled = domain.rows("clip", arrays(finished_run / "sample.npz")["rows"])
    assert set(sampled.tolist()) <= set(split["train"])
    run = Run.open(finished_run)
    for part in PARTS:
        assert set(domain.rows("clip", run.part(part).rows).tolist()) == set(split[part])


def test_examples_are_made_of_training_clips_alone(
    tmp_path, monkeypatch, finished_run, street, deterministic, small_shards
):
    """Every stretch of sound that is read once the domain is embedded, overheard."""
    from edgesea import audio

    out = tmp_path / "run"
    shutil.copytree(finished_run, out)
    shutil.rmtree(out / "examples")
    (out / "metrics.json").unlink()
    asked, real = set(), audio.read

    def read(path, *arguments, **options):
        asked.add(Path(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(audio, "read", read)
    distill(Run(out).config, out)
    manifest = datasets.load(street)
    split = json.loads((out / "split.json").read_text())
    assert asked == {manifest.clips[k].path for k in split["train"]}
    assert_same_result(out, finished_run)


class Saying(Progress):
    """Keeps what is said in a list."""

    def __init__(self, said):
        self._said = said

    def say(self, text):
        self._said.append(text)


@pytest.fixture
def half_silent(tmp_path):
    """Twelve files of two seconds, of which the second is silent but for the last bit of 16."""
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(12):
        sound = np.random.default_rng(k).standard_normal(32_000) * 0.1
        sound[16_000:] = np.random.default_rng(k).integers(-1, 2, 16_000) / 2**15
        soundfile.write(folder / f"{k}.wav", sound, 16_000, subtype="PCM_16")
    return folder


@pytest.mark.parametrize("keep", [False, True])
def test_silence_is_left_out_of_everything_unless_kept(tmp_path, half_silent, finished_run, keep):
    config = changed(
        finished_run, data=str(half_silent), frames=64, augmentation=UNCHANGED, keep_silence=keep
    )
    said = []
    stages = _Stages(config, Saying(said))
    run = Run.start(tmp_path / "run", config)
    domain = stages._embed(run)
    level = domain.column("level_db")
    silent = levels.silent(level)
    assert 0 < silent.sum() < len(domain)
    rows = stages._rows(run, domain)
    every = np.sort(np.concatenate(list(rows.values())))
    np.testing.assert_array_equal(every, np.flatnonzero(np.full(len(domain), keep) | ~silent))
    reducer = stages._reduce(run, domain, rows["train"])
    assert set(arrays(run.sample)["rows"]) <= set(rows["train"])
    made = stages._examples(run, domain, rows["train"], reducer, None)
    assert len(made) == 64
    assert levels.silent(made.store.column("level_db")).any() == keep
    for part in PARTS:
        np.testing.assert_array_equal(run.part(part).rows, rows[part])
    assert stages.silent == {
        part: 0 if keep else int(silent[stages.split.rows(part, domain)].sum()) for part in PARTS
    }
    wanted = f"{silent.sum()} of {len(domain)} frames are silent, below -80 dB full scale: left out"
    assert any(wanted in line for line in said) != keep


def test_nothing_but_silence_is_refused_with_the_way_out(tmp_path, finished_run):
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(12):
        sound = np.random.default_rng(k).integers(-1, 2, 32_000) / 2**15
        soundfile.write(folder / f"{k}.wav", sound, 16_000, subtype="PCM_16")
    config = changed(finished_run, data=str(folder), augmentation=UNCHANGED)
    stages, run = _Stages(config, SILENT), Run.start(tmp_path / "run", config)
    with pytest.raises(EdgeseaError, match=r"can be used \(all is silent\): .* or say --keep-silence\."):
        stages._rows(run, stages._embed(run))


def test_a_run_of_before_silence_was_left_out_kept_it(finished_run):
    values = Run(finished_run).config.to_dict()
    assert values.pop("keep_silence") is False
    values.setdefault("learning_rate", 0.003)  # Which they all held.
    assert Config.from_dict(values).keep_silence
    by_hand = {name: values[name] for name in ("teacher", "data", "split", "weight_decay")}
    assert not Config.from_dict(by_hand).keep_silence
    assert not Config.from_dict({name: values[name] for name in ("teacher", "data", "frames")}).keep_silence


def test_fresh_frames_are_new_in_every_epoch_and_the_same_after_a_kill(
    tmp_path, finished_run, deterministic, monkeypatch
):
    monkeypatch.setattr(examples, "SHARD", 32)
    config = changed(finished_run, frames=72, epochs=4, batch=16, fresh=True)
    whole = distill(config, tmp_path / "whole")
    assert [each.name for each in whole.epochs()] == ["epoch-0002", "epoch-0003"]
    stores = [Store.open(folder) for folder in whole.epochs()]
    assert [len(store) for store in stores] == [72, 72]
    seen = {row.tobytes() for store in stores for row in store.column("embedding")}
    assert len(seen) == 144
    assert len(whole.distilled(50)) == 50

    # The same frames as of one store of all epochs, which ends with a shard of 8 in each.
    plain = distill(changed(finished_run, frames=384, epochs=1, batch=16), tmp_path / "plain")
    wanted = Store.open(plain.examples).column("embedding")
    for epoch, store in zip((2, 3), stores, strict=True):
        np.testing.assert_array_equal(store.column("embedding"), wanted[96 * epoch : 96 * epoch + 72])

    save = train_module._State.save

    def killed(self, course, **how):
        save(self, course, **how)
        if self.epoch == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train_module._State, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            distill(config, tmp_path / "killed")
    distill(config, tmp_path / "killed")
    assert_same_result(tmp_path / "killed", tmp_path / "whole")


def test_fresh_frames_need_augmentation(tmp_path, finished_run):
    with pytest.raises(UsageError, match=r"--fresh makes new frames .* leave one of them out"):
        distill(changed(finished_run, fresh=True, augmentation=None), tmp_path / "run")


def test_a_truncated_file_is_not_drawn_from_where_it_is_silent(tmp_path, finished_run):
    """A FLAC whose header promises a minute and that holds three seconds of it."""
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(6):
        noise = np.random.default_rng(k).standard_normal(16_000 * 60) * 0.1
        soundfile.write(folder / f"{k}.flac", noise, 16_000)
        content = (folder / f"{k}.flac").read_bytes()
        (folder / f"{k}.flac").write_bytes(content[: len(content) // 20])
        assert soundfile.info(folder / f"{k}.flac").duration == 60
    config = changed(finished_run, data=str(folder), frames=64, augmentation=UNCHANGED)
    stages = _Stages(config, SILENT)
    run = Run(tmp_path / "run")
    domain = stages._embed(run)
    made = stages._examples(run, domain, stages._rows(run, domain)["train"], None, None)
    loudest = made.patches().max(axis=(1, 2, 3))
    assert len(made) == 64
    assert (loudest > -4).all()  # silence is log(0.001), -6.9


def test_the_configuration_of_a_run_makes_the_same_student(
    tmp_path, finished_run, edgesea_process, deterministic, small_shards
):
    from edgesea.cli import main

    with pytest.raises(SystemExit) as end:
        main(["distill", "--config", str(finished_run / "config.toml"), "--out", str(tmp_path / "other")])
    assert end.value.code == 0
    assert_same_result(tmp_path / "other", finished_run)
    assert (tmp_path / "other" / "config.toml").read_bytes() == (finished_run / "config.toml").read_bytes()


def damaged(street, folder):
    """The street's clips with unusable files and odd ones among them: name -> reason of the unusable."""
    shutil.copytree(street, folder)
    (folder / "clips.csv").unlink()
    sound, rate = soundfile.read(sorted((folder / "audio").iterdir())[0], dtype="float32")
    audio_folder = folder / "audio"
    soundfile.write(audio_folder / "z-eight.wav", sound, rate, subtype="PCM_U8")
    soundfile.write(audio_folder / "z-five.wav", np.stack([sound] * 5, axis=1), rate)
    soundfile.write(audio_folder / "z-odd.wav", sound, 11_111)
    truncated = sorted(audio_folder.iterdir())[1]
    truncated.write_bytes(truncated.read_bytes()[: truncated.stat().st_size * 2 // 3])
    soundfile.write(audio_folder / "z-zeros.wav", np.zeros(rate), rate)
    nan = sound.copy()
    nan[rate] = np.nan
    soundfile.write(audio_folder / "z-nan.wav", nan, rate, subtype="FLOAT")
    (audio_folder / "z-empty.flac").write_bytes(b"")
    (audio_folder / "z-letter.mp3").write_text("Dear sir or madam, I am not a song.")
    (audio_folder / "z-header.wav").write_bytes((audio_folder / "z-eight.wav").read_bytes()[:44])
    return {"zeros.wav": "silent", "nan.wav": "NaN", "empty.flac": "empty", "letter.mp3": "not audio"} | {
        "header.wav": "empty"
    }


def test_bad_audio_never_ends_a_run(tmp_path, street, finished_run, deterministic):
    unusable = damaged(street, tmp_path / "in")
    values = Run.open(finished_run).config.to_dict() | {
        "data": str(tmp_path / "in"),
        "epochs": 1,
        "frames": 64,
    }
    run = distill(type(Run.open(finished_run).config).from_dict(values), tmp_path / "run")
    with open(run.skipped, newline="", encoding="utf-8") as file:
        aside = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert set(aside) == {f"audio/z-{name}" for name in unusable}
    for name, reason in unusable.items():
        assert reason in aside[f"audio/z-{name}"]
    assert run.results()["data"]["skipped"] == len(unusable)
    assert run.results()["data"]["clips"] == 32 + 3 + len(unusable)
    assert len(set(Store.open(run.domain).column("clip").tolist())) == 32 + 3


def test_without_augmentation_the_domains_own_frames_are_learnt(tmp_path, finished_run, deterministic):
    run = distill(changed(finished_run, augmentation=None, epochs=1), tmp_path / "run")
    assert not run.examples.exists()
    assert run.config.augmentation is None
    assert run.results()["course"][0]["loss"] > 0


def test_identity_keeps_the_teachers_dimension(tmp_path, finished_run, deterministic):
    run = distill(changed(finished_run, reducer="identity", dim=None, epochs=1, frames=64), tmp_path / "run")
    held = run.results()
    assert held["dimension"] == held["teacher"]["dimension"]
    assert held["reducer"] == {"name": "identity", "dimension": held["dimension"]}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"student": "separable-xl"}, r"Unknown student 'separable-xl': did you mean separable-l\? Choose"),
        ({"objective": "see"}, r"Unknown objective 'see': did you mean sea\? Choose one of .*sea"),
        ({"sampler": "dice"}, r"Unknown sampler 'dice': choose one of random"),
        ({"reducer": "tsne"}, r"Unknown reducer 'tsne': choose one of identity, pca"),
        ({"dim": 100_000}, r"--dim 100000 is more than the teacher's 256 dimensions: choose at most 256"),
        (
            {"reducer": "identity", "dim": 3},
            r"The reducer identity keeps all 256 dimensions of the teacher, .* 3: leave --dim out",
        ),
        ({"teacher": "absent.keras"}, r"There is no teacher at absent\.keras"),
        (
            {"data": "/absent"},
            r"There is no data at /absent: give a folder of audio, a recording or a CSV table",
        ),
    ],
)
def test_a_wrong_call_writes_nothing(tmp_path, finished_run, change, reason):
    with pytest.raises(UsageError, match=reason):
        distill(changed(finished_run, **change), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_too_few_recordings_to_split_are_a_wrong_call(tmp_path, street, finished_run):
    folder = tmp_path / "in"
    folder.mkdir()
    for path in sorted((street / "audio").iterdir())[:2]:
        shutil.copy(path, folder)
    with pytest.raises(
        UsageError,
        match=r"holds 3 s of 2 recordings: to split so few by time takes 119 s, with 11 s",
    ):
        distill(changed(finished_run, data=str(folder)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_changed_data_is_not_mixed_into_a_run(tmp_path, street, finished_run):
    """A killed run whose data changed meanwhile."""
    data, out = tmp_path / "in", tmp_path / "run"
    shutil.copytree(street, data)
    config = changed(finished_run, data=str(data))
    _Stages(config, SILENT)._embed(Run.start(out, config))
    table = (data / "clips.csv").read_text().splitlines()
    (data / "clips.csv").write_text("\n".join(table[:-1]) + "\n")
    with pytest.raises(UsageError, match=r"The store .*domain was made with another data"):
        distill(config, out)


def test_levels_of_another_calibration_are_not_mixed_into_a_store(tmp_path, street, finished_run):
    """And what the calibration adds to every level is all that it changes."""

    def levels(name, calibration_db):
        config = changed(finished_run, calibration_db=calibration_db)
        held = embed_domain(config, tmp_path / name)
        assert held["frames"] == len(Store.open(tmp_path / name))
        return Store.open(tmp_path / name).column("level_db")

    plain = levels("plain", 0.0)
    np.testing.assert_allclose(levels("microphone", 94.5), plain + 94.5, atol=1e-4)
    # That run cut its sound into other shards: batches of other sizes, of which sums round otherwise.
    np.testing.assert_allclose(plain, Store.open(finished_run / "domain").column("level_db"), atol=1e-5)
    with pytest.raises(UsageError, match=r"The store .*plain was made with another calibration_db: choose"):
        levels("plain", 94.5)


def test_a_run_and_a_project_file_say_the_calibration(tmp_path, finished_run):
    """From the configuration to the levels of the run's own store."""
    config = type(Run.open(finished_run).config).from_dict(
        Run.open(finished_run).config.to_dict() | {"calibration_db": 120}
    )
    stages = _Stages(config, SILENT)
    domain = stages._embed(Run.start(tmp_path / "run", config))
    assert Run(tmp_path / "run").config.calibration_db == 120
    assert domain.made_from["calibration_db"] == 120
    plain = Store.open(finished_run / "domain").column("level_db")
    np.testing.assert_allclose(domain.column("level_db"), plain + 120, atol=1e-4)


def test_options_of_umap_reach_it(finished_run):
    pytest.importorskip("umap", reason="umap-learn is not installed")
    config = changed(finished_run, reducer="umap:neighbours=150,min_dist=0.1", seed=7)
    made = _Stages(config, SILENT).reducer(8)
    assert (made.dimension, made.seed) == (8, 7)
    assert (made.options.neighbours, made.options.min_dist) == (150, 0.1)


def test_the_explained_variance_is_said(tmp_path, finished_run):
    said = []

    class Listening(type(SILENT)):
        def say(self, text):
            said.append(text)

    run = Run(tmp_path / "run")
    domain = Store.open(finished_run / "domain")
    reducer = _Stages(Run.open(finished_run).config, Listening())._reduce(run, domain, np.arange(40))
    explained = reducer.report()["explained_variance"]
    assert said == [f"pca to 16 dimensions, fitted on 40 frames, keeps {explained:.1%} of the variance"]
    embeddings = domain.rows("embedding", np.arange(40)).astype(np.float64)
    embeddings -= embeddings.mean(axis=0)
    kept = np.linalg.svd(embeddings, compute_uv=False) ** 2
    assert explained == pytest.approx(kept[:16].sum() / kept.sum(), rel=1e-6)


def test_a_damaged_sample_is_named(tmp_path, finished_run):
    run = Run(tmp_path / "run")
    shutil.copytree(finished_run, run.folder)
    run.sample.write_bytes(b"")
    stages = _Stages(run.config, SILENT)
    with pytest.raises(
        EdgeseaError, match=r"Cannot read the sample .*sample\.npz .*: delete it and run again"
    ):
        stages._reduce(run, Store.open(run.domain), np.arange(3))


def test_a_damaged_student_is_named(tmp_path, finished_run):
    run = Run(tmp_path / "run")
    shutil.copytree(finished_run, run.folder)
    run.student_file.write_bytes(run.student_file.read_bytes()[:1000])
    with pytest.raises(
        EdgeseaError, match=r"Cannot load the student .*student\.keras .*: delete metrics\.json"
    ):
        run.load_student()


def test_embedding_alone_makes_a_store(tmp_path, street, finished_run):
    config = Run.open(finished_run).config
    figures = embed_domain(config, tmp_path / "store")
    store = Store.open(tmp_path / "store")
    dimension = store.column("embedding").shape[1]
    assert figures == {
        "clips": 32,
        "frames": len(store),
        "dimension": dimension,
        "skipped": 0,
        "file": None,
    }
    np.testing.assert_allclose(
        store.column("embedding"),
        Store.open(finished_run / "domain").column("embedding"),
        rtol=1e-5,
        atol=1e-6,
    )
    assert embed_domain(config, tmp_path / "store") == figures
    with pytest.raises(UsageError, match="is not empty and not a store"):
        embed_domain(config, street)


def test_a_student_learns_at_its_own_rate_where_nothing_is_said(finished_run):
    """The last step's is a thousandth of the highest one."""
    run = Run.open(finished_run)
    assert run.config.learning_rate is None
    assert run.results()["course"][-1]["learning_rate"] == pytest.approx(0.02 / 1000, rel=0.05)
