"""The UrbanSound8K layout."""

import numpy as np
import pytest
import soundfile

from edgesea.datasets import urbansound8k
from edgesea.errors import UsageError

HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class\n"
LINES = (
    "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark\n"
    "100263-2-0-117.wav,100263,58.5,62.5,1,5,2,children_playing\n"
    "100648-1-0-0.wav,100648,4.823402,5.471927,2,10,1,car_horn\n"
)


@pytest.fixture
def folder(tmp_path):
    for fold, name in ((5, "100032-3-0-0.wav"), (5, "100263-2-0-117.flac"), (10, "100648-1-0-0.wav")):
        place = tmp_path / "audio" / f"fold{fold}"
        place.mkdir(parents=True, exist_ok=True)
        soundfile.write(place / name, np.full(100, 0.1), 44_100)
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "UrbanSound8K.csv").write_text(HEADER + LINES)
    return tmp_path


def test_folds_groups_and_labels_are_as_given(folder):
    assert urbansound8k.recognises(folder)
    assert not urbansound8k.recognises(folder / "audio")
    manifest = urbansound8k.load(folder)
    assert [clip.path.relative_to(folder).as_posix() for clip in manifest.clips] == [
        "audio/fold5/100032-3-0-0.wav",
        "audio/fold5/100263-2-0-117.flac",
        "audio/fold10/100648-1-0-0.wav",
    ]
    assert [clip.labels for clip in manifest.clips] == [("dog_bark",), ("children_playing",), ("car_horn",)]
    assert [clip.group for clip in manifest.clips] == ["100032", "100263", "100648"]
    assert [clip.fold for clip in manifest.clips] == [5, 5, 10]
    # The table's start and end are of the recording, and the file is the clip already.
    assert {(clip.start, clip.end) for clip in manifest.clips} == {(None, None)}
    assert (manifest.root, manifest.name) == (folder, folder.name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "Found no clips in {csv}: below the header it needs one line a clip."),
        ("slice_file_name,fold,class\n", "Received {csv} without the column fsID"),
        (
            HEADER + "a.wav,1,0,1,1,5,3,dog\n",
            "that is not there for 1 of its 1 clips, first {root}/audio/fold5/a.wav in line 2: put the files",
        ),
        (HEADER + ",1,0,1,1,5,3,dog\n", "bad line 2: the slice_file_name is empty."),
        (HEADER + "a.wav,1,0,1,1,V,3,dog\n", "bad line 2: fold must be a whole number, received 'V'."),
        (HEADER + "100032-3-0-0.wav,,0,1,1,5,3,dog\n", "bad line 2: the fsID is empty."),
    ],
)
def test_says_what_is_wrong(folder, text, message):
    table = folder / "metadata" / "UrbanSound8K.csv"
    table.write_text(text)
    with pytest.raises(UsageError) as caught:
        urbansound8k.load(folder)
    assert message.format(csv=table, root=folder) in str(caught.value)
