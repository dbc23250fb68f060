"""CSV tables: every column, and one sentence for everything that can be wrong with them."""

from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
import soundfile

from edgesea import datasets
from edgesea.datasets import Clip, Manifest, table
from edgesea.errors import UsageError


@pytest.fixture
def here(tmp_path):
    for name in ("a.wav", "b.wav", "sub/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, np.full(100, 0.1), 8000)
    return tmp_path


def write(here, text, name="data.csv"):
    (here / name).write_text(text)
    return here / name


def test_every_column(here):
    path = write(
        here,
        "path,labels,group,start,end,level_db,timestamp,sensor,fold,remark\n"
        'a.wav,dog; voice;dog,r1,0.5,2,61.5,2024-05-01T12:00:00Z,s1,3,"a, b"\n'
        "sub/c.wav,,,,,,,,,\n",
    )
    manifest = datasets.load(path)
    noon = datetime(2024, 5, 1, 12, tzinfo=timezone.utc)
    assert manifest.clips == (
        Clip(here / "a.wav", ("dog", "voice"), "r1", 0.5, 2.0, 61.5, noon, "s1", 3),
        Clip(here / "sub" / "c.wav"),
    )
    assert (manifest.root, manifest.name, manifest.multilabel) == (here, "data", True)


def test_the_only_table_of_a_folder_stands_for_it(here):
    write(here, "\ufeff path ,label\na.wav,dog\n", "index.csv")
    manifest = datasets.load(here)
    assert manifest.clips == (Clip(here / "a.wav", ("dog",)),)
    assert (manifest.root, manifest.name) == (here, here.name)
    write(here, "path,label\nb.wav,cat\n", "clips.csv")
    assert [clip.path.name for clip in datasets.load(here).clips] == ["b.wav"]


@pytest.mark.parametrize(
    "tables",
    [
        {"notes.csv": b"name,remark\na.wav,loud\n"},
        {"notes.csv": b"\xff\xfe\x00path"},
        {"notes.csv": b""},
        {"one.csv": b"path\na.wav\n", "other.csv": b"path\nb.wav\n"},
    ],
)
def test_a_folder_with_tables_that_say_nothing_of_it_is_a_folder_of_audio(here, tables):
    for name, text in tables.items():
        (here / name).write_bytes(text)
    assert len(datasets.load(here).clips) == 3


def test_one_label_is_taken_whole(here):
    manifest = datasets.load(write(here, "label,path\ncar; horn,a.wav\n,b.wav\n"))
    assert [clip.labels for clip in manifest.clips] == [("car; horn",), ()]


def test_reads_what_spreadsheets_write(here):
    text = '\ufeffpath , label\r\n"a.wav", dog \r\n\r\nb.wav,cat\r\n'
    (here / "data.csv").write_bytes(text.encode("utf-8"))
    manifest = datasets.load(here / "data.csv")
    assert [(clip.path.name, clip.labels) for clip in manifest.clips] == [
        ("a.wav", ("dog",)),
        ("b.wav", ("cat",)),
    ]


def test_absolute_paths_and_several_clips_of_one_file(here, tmp_path_factory):
    path = write(here, f"path,start,end\n{here / 'a.wav'},0,1\n{here / 'a.wav'},1,2\n")
    clips = datasets.load(path).clips
    assert [clip.path for clip in clips] == [here / "a.wav"] * 2
    assert clips[0].group == clips[1].group


def test_a_folder_with_a_table_is_that_table(here):
    write(here, "path,label\na.wav,dog\n", table.NAME)
    manifest = datasets.load(here)
    assert [clip.labels for clip in manifest.clips] == [("dog",)]
    assert manifest.name == here.name


def test_round_trip(here):
    east = timezone(timedelta(hours=2))
    clips = (
        Clip(
            here / "a.wav",
            ("dog", "voice"),
            "r1",
            0.25,
            1.75,
            -3.5,
            datetime(2024, 5, 1, 1, 2, 3, 4, east),
            "s",
            0,
        ),
        Clip(here / "sub" / "c.wav", ("a, b",)),
        Clip(here / "b.wav", group="x"),
    )
    table.write(Manifest(here, clips, "m"), here / "new" / "clips.csv")
    assert datasets.load(here / "new").clips == clips  # absolute, since they lie outside
    table.write(Manifest(here, clips, "m"), here / "m.csv")
    assert datasets.load(here / "m.csv") == Manifest(here, clips, "m")
    assert str(here) not in (here / "m.csv").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "file,label\na.wav,dog\n",
            "Received {path} without the column path; its first line names: file, label.",
        ),
        ("", "Received {path} without the column path; its first line names: ."),
        ("path,label\n", "Found no clips in {path}: below the header it needs one line a clip."),
        ("path,label,labels\na.wav,x,y\n", "with both columns label and labels: keep one of them."),
        ("path,label\na.wav,dog\n,cat\n", "with a bad line 3: the path is empty."),
        (
            "path\na.wav\nzzz.wav\nb.wav\nyyy.wav\n",
            "{path} names sound that is not there for 2 of its 4 clips, first {here}/zzz.wav in line 3: put "
            "the files in their place, or take these lines out.",
        ),
        (
            "path\nsub\n",
            "{path} names sound that is not there for 1 of its 1 clips, first {here}/sub in line",
        ),
        ("path,start\na.wav,soon\n", "with a bad line 2: start must be a number, received 'soon'."),
        ("path,start\na.wav,-1\n", "with a bad line 2: start must be at least 0 s, received -1."),
        ("path,end\na.wav,nan\n", "with a bad line 2: end must be a number, received 'nan'."),
        (
            "path,start,end\na.wav,2,1.5\n",
            "with a bad line 2: end must lie behind the start, received start 2 s and end 1.5 s.",
        ),
        (
            "path,end\na.wav,0\n",
            "with a bad line 2: end must lie behind the start, received start 0 s and end 0 s.",
        ),
        ("path,level_db\na.wav,loud\n", "with a bad line 2: level_db must be a number, received 'loud'."),
        ("path,fold\na.wav,1.5\n", "with a bad line 2: fold must be a whole number, received '1.5'."),
        (
            "path,timestamp\na.wav,yesterday\n",
            "with a bad line 2: timestamp must be like 2024-05-01T12:00:00, received 'yesterday'.",
        ),
        (
            "path,timestamp\na.wav,2024-05-01T12:00:00\nb.wav,2024-05-01T12:00:00Z\n",
            "with timestamps both with and without a time zone: use one kind.",
        ),
        (
            "path,start\na.wav,1e308\n",
            "with a bad line 2: start must be at most 31622400 s, a year, received 1e+308.",
        ),
        (
            "path,end\na.wav,1e308\n",
            "with a bad line 2: end must be at most 31622400 s, a year, received 1e+308.",
        ),
        ("path,fold\na.wav,1e308\n", "with a bad line 2: fold must be a whole number, received '1e308'."),
        (
            "path,level_db\na.wav,1e308\n",
            "with a bad line 2: level_db must lie in -300 to 300 dB, received 1e+308.",
        ),
        (
            "path;start;end\na.wav;0,5;1\n",
            "Received {path} with its columns separated by semicolons in line 1: save it with commas "
            "(and with points in numbers).",
        ),
        ("path\tlabel\na.wav\tdog\n", "with its columns separated by tabs in line 1"),
        (
            "path\nsub\\c.wav\n",
            "{path} names paths with backslashes, first sub\\c.wav in line 2: write them with slashes.",
        ),
        (
            "path,label\na.wav,\x1b[2Jdog\n",
            "bad line 2: the column label holds the control character U+001B, which no name or path has.",
        ),
        ("path,sensor\na.wav,\u202ex\n", "the column sensor holds the control character U+202E"),
        (
            "path\n" + "x" * 5000 + "\n",
            "with a bad line 2: the column path holds 5000 characters, and at most 4096 are read.",
        ),
        ("path\n" + "x" * 300 + ".wav\n", "names sound that is not there for 1 of its 1 clips"),
        ("path," + "c," * 1500 + "\n", "with 1502 columns: at most 1000 are read, is it a table of clips?"),
        ("path,label\na.wav\n", "with a wrong number of fields in line 2: the header has 2."),
        ("path,label\na.wav,dog,1\n", "with a wrong number of fields in line 2: the header has 2."),
    ],
)
def test_says_what_is_wrong(here, text, message):
    path = write(here, text)
    with pytest.raises(UsageError) as caught:
        datasets.load(path)
    assert message.format(path=path, here=here) in str(caught.value)


def test_what_is_no_text(here):
    (here / "data.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(UsageError, match="it is not UTF-8 text; save it as UTF-8 CSV"):
        datasets.load(here / "data.csv")
    (here / "data.csv").write_bytes(b'path\n"' + b"a" * 200_000 + b'"\n')
    with pytest.raises(UsageError, match=r"as CSV, line \d+: field larger than field limit"):
        datasets.load(here / "data.csv")
    (here / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=r"Found no audio in the folder .*folder\.csv"):
        datasets.load(here / "folder.csv")
