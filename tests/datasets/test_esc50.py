"""The ESC-50 layout, synthesised and real."""

import numpy as np
import pytest
import soundfile

from edgesea import audio, datasets
from edgesea.datasets.manifest import split_groups
from edgesea.errors import UsageError

HEADER = "filename,fold,target,category,esc10,src_file,take\n"


@pytest.fixture
def esc50(tmp_path):
    (tmp_path / "audio").mkdir()
    for name in ("1-100-A-0.wav", "1-100-B-0.flac", "2-200-A-5.wav"):
        soundfile.write(tmp_path / "audio" / name, np.full(100, 0.1), 44_100)
    (tmp_path / "esc50.csv").write_text(
        f"{HEADER}1-100-A-0.wav,1,0,dog,True,100,A\n1-100-B-0.wav,1,0,dog,True,100,B\n2-200-A-5.wav,2,5,cat,False,200,A\n"
    )
    return tmp_path


def check(manifest, root):
    assert [clip.path.name for clip in manifest.clips] == ["1-100-A-0.wav", "1-100-B-0.flac", "2-200-A-5.wav"]
    assert [clip.labels for clip in manifest.clips] == [("dog",), ("dog",), ("cat",)]
    assert [clip.group for clip in manifest.clips] == ["100", "100", "200"]
    assert [clip.fold for clip in manifest.clips] == [1, 1, 2]
    assert (manifest.root, manifest.name) == (root, root.name)


def test_table_beside_the_audio(esc50):
    check(datasets.load(esc50), esc50)


def test_the_authors_layout(esc50):
    (esc50 / "meta").mkdir()
    (esc50 / "esc50.csv").rename(esc50 / "meta" / "esc50.csv")
    check(datasets.load(esc50), esc50)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "Found no clips in {csv}: below the header it needs one line a clip."),
        ("filename,fold,category\n", "Received {csv} without the column src_file"),
        (
            HEADER + "zzz.wav,1,0,dog,True,1,A\n",
            "names sound that is not there for 1 of its 1 clips, first {root}/audio/zzz.wav in line 2: put",
        ),
        (HEADER + ",1,0,dog,True,1,A\n", "with a bad line 2: the filename is empty."),
        (HEADER + "2-200-A-5.wav,one,0,dog,True,1,A\n", "fold must be a whole number, received 'one'."),
    ],
)
def test_says_what_is_wrong(esc50, text, message):
    (esc50 / "esc50.csv").write_text(text)
    with pytest.raises(UsageError) as caught:
        datasets.load(esc50)
    assert message.format(csv=esc50 / "esc50.csv", root=esc50) in str(caught.value)


def test_the_real_one(shared):
    manifest = datasets.load(shared / "data" / "esc50-fold4")
    assert len(manifest) == 214
    assert len(manifest.labels) == 49
    assert {clip.fold for clip in manifest.clips} == {4}
    groups = [clip.group for clip in manifest.clips]
    parts = split_groups(groups, {"train": 0.7, "validation": 0.1, "held-out": 0.2}, 0)
    assert sum(map(len, parts.values())) == 214
    heard, tuned, held_out = ({groups[index] for index in part} for part in parts.values())
    assert not heard & tuned
    assert not heard & held_out
    assert not tuned & held_out
    for clip in manifest.clips[::20]:
        assert len(audio.read(clip.path, 16_000)) == pytest.approx(5.0 * 16_000, abs=160)
