"""The SONYC-UST v2 layout: who counts in which split, and what the clips are known to be."""

import csv
from datetime import datetime

import numpy as np
import pytest
import soundfile

from edgesea import sampling
from edgesea.datasets import sonyc, street
from edgesea.errors import UsageError

PRESENCE = [f"{number}_{name}_presence" for number, name in enumerate(sonyc.CLASSES, 1)]
# As published: other columns stand between these.
HEADER = [
    *("split", "sensor_id", "audio_filename", "annotator_id", "year", "week", "day", "hour", "borough"),
    *("1-1_small-sounding-engine_presence", *PRESENCE, "1_engine_proximity"),
]


def view(name, annotator, present=(), split="train", sensor="0", when=(2017, 21, 3, 15)):
    return {
        **dict.fromkeys(HEADER, "0"),
        **dict(zip(("year", "week", "day", "hour"), map(str, when), strict=True)),
        **{column: "1" for column in PRESENCE if column.split("_")[1] in present},
        "split": split,
        "sensor_id": sensor,
        "audio_filename": name,
        "annotator_id": str(annotator),
    }


@pytest.fixture
def write(tmp_path):
    """Writes annotations.csv and a file for every clip that it names, half of them in a second folder."""

    def write(*views, audio=True):
        with open(tmp_path / "annotations.csv", "w", newline="") as file:
            writer = csv.DictWriter(file, HEADER)
            writer.writeheader()
            writer.writerows(views)
        for k, name in enumerate(sorted({each["audio_filename"] for each in views})):
            folder = tmp_path / ("audio" if k % 2 else "audio-1/part")
            folder.mkdir(parents=True, exist_ok=True)
            if audio and name:
                soundfile.write(folder / name, np.full(100, 0.1), 48_000)
        return tmp_path

    return write


def labels(manifest):
    return {clip.path.name: (clip.labels, clip.fold) for clip in manifest.clips}


def test_annotators_are_joined_as_the_authors_join_them(write):
    folder = write(
        # One volunteer is enough, and the team's view of a training clip does not count.
        view("a.wav", 7, ["dog"]),
        view("a.wav", 8, ["engine", "dog"]),
        view("a.wav", 9),
        view("a.wav", 0, ["music"]),
        view("a.wav", -2, ["music"]),
        # In validate and test the verified view alone counts.
        view("b.wav", 7, ["dog"], "validate", "1"),
        view("b.wav", 0, ["human-voice"], "validate", "1"),
        view("b.wav", -3, ["music"], "validate", "1"),
        view("c.wav", 0, [], "test", "2"),
        view("c.wav", 5, ["dog"], "test", "2"),
        # Nobody verified it.
        view("d.wav", 5, ["dog"], "test", "2"),
    )
    assert labels(sonyc.load(folder)) == {
        "a.wav": (("engine", "dog"), 0),
        "b.wav": (("human-voice",), 1),
        "c.wav": ((), 2),
        "d.wav": ((), None),
    }


def test_not_asked_is_not_present(write):
    """-1 says that nobody asked: one such view must not outweigh another that heard something."""
    unasked = dict.fromkeys(PRESENCE, "-1")
    folder = write(view("a.wav", 1) | unasked, view("a.wav", 2, ["dog"]), view("b.wav", 3) | unasked)
    assert labels(sonyc.load(folder)) == {"a.wav": (("dog",), 0), "b.wav": ((), 0)}


def test_sensor_time_and_order(write):
    folder = write(
        view("late.wav", 1, sensor="5", when=(2018, 1, 0, 0)),  # the Monday of ISO week 1
        view("early.wav", 1, sensor="5", when=(2017, 52, 6, 23)),  # the Sunday before
        view("other.wav", 1, sensor="12", when=(2020, 53, 4, 6)),
    )
    assert sonyc.recognises(folder)
    manifest = sonyc.load(folder)
    assert [(clip.sensor, clip.timestamp) for clip in manifest.clips] == [
        ("12", datetime(2021, 1, 1, 6)),
        ("5", datetime(2017, 12, 31, 23)),
        ("5", datetime(2018, 1, 1, 0)),
    ]
    assert len({clip.group for clip in manifest.clips}) == 3
    sampling.sampler("spl").check(manifest)


def test_flac_is_as_good(write):
    folder = write(view("a.wav", 1, ["dog"]))
    file = next(folder.glob("audio*/**/a.wav"))
    file.unlink()
    soundfile.write(file.with_suffix(".flac"), np.full(100, 0.1), 48_000)
    assert labels(sonyc.load(folder)) == {"a.flac": (("dog",), 0)}


def test_the_synthesised_street_has_the_same_classes():
    assert sonyc.CLASSES == street.CLASSES


@pytest.mark.parametrize(
    ("views", "message"),
    [
        ([], "Found no clips in {csv}: below the header it needs one line a clip."),
        (
            [view("a.wav", 1, split="dev")],
            "line 2: split must be one of train, validate, test, received 'dev'",
        ),
        (
            [view("a.wav", 1), view("a.wav", 2, sensor="")],
            "line 3: sensor_id must be a whole number, received ''",
        ),
        ([view("a.wav", 1, sensor="roof")], "line 2: sensor_id must be a whole number, received 'roof'"),
        ([view("", 1)], "line 2: the audio_filename is empty"),
        ([view("a.wav", "x")], "line 2: annotator_id must be a whole number, received 'x'"),
        (
            [view("a.wav", 1) | {"8_dog_presence": "maybe"}],
            "8_dog_presence must be 1, 0 or -1, received 'maybe'",
        ),
        ([view("a.wav", 1, when=(2017, 53, 0, 0))], "line 2: there is no week 53, day 0, hour 0 in 2017"),
        ([view("a.wav", 1, when=(2017, 5, 0, 24))], "line 2: there is no week 5, day 0, hour 24 in 2017"),
        (
            [view("a.wav", 1), view("a.wav", 2, split="test")],
            "line 3: it says of a.wav another split, sensor or time than line 2.",
        ),
    ],
)
def test_says_what_is_wrong(write, views, message):
    folder = write(*views)
    with pytest.raises(UsageError) as caught:
        sonyc.load(folder)
    assert message.format(csv=folder / "annotations.csv") in str(caught.value)


def test_a_missing_file_and_a_missing_column_are_named(write):
    folder = write(view("a.wav", 1), audio=False)
    with pytest.raises(
        UsageError, match=r"annotations\.csv names sound .* 1 of its 1 clips, first \S+a\.wav in line 2"
    ):
        sonyc.load(folder)
    (folder / "annotations.csv").write_text("split,sensor_id\n")
    with pytest.raises(UsageError, match=r"annotations\.csv without the column audio_filename"):
        sonyc.load(folder)
