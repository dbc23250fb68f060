"""What a domain may not be, through the command line: one sentence, exit code 2, and nothing is written."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_run import SMALL

from edgesea.cli import main
from edgesea.datasets import sonyc
from edgesea.distillation import _Stages
from edgesea.errors import UsageError
from edgesea.progress import SILENT
from edgesea.run import Config, Run

RATE = 16_000


def sound(path, seconds=1.5, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, int(seconds * RATE)), RATE)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder beside `data`, in which every test makes its domain."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return tmp_path / "data"


@pytest.fixture
def refused(here, capsys):
    """Calls edgesea, checks that it refuses in one sentence and leaves nothing; returns the sentence."""

    def call(*arguments):
        before = {path: path.stat().st_mtime_ns for path in here.rglob("*")}
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(each) for each in arguments])
        out, err = capsys.readouterr()
        assert end.value.code == 2, err
        assert out == ""
        lines = err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("edgesea: ")
        assert lines[0].endswith(".")
        # One sentence, whatever is in the names of files.
        assert ". " not in lines[0]
        assert list(Path.cwd().iterdir()) == []
        assert {path: path.stat().st_mtime_ns for path in here.rglob("*")} == before
        return lines[0].removeprefix("edgesea: ")

    return call


def distill(data, *options):
    return ("distill", "--data", data, "--out", "run", *SMALL, *options)


def table(here, *rows, **columns):
    """clips.csv of eight clips at two sensors in the order of time; `columns` override, `rows` are more."""
    names = [f"{k}.wav" for k in range(8)]
    for k, name in enumerate(names):
        sound(here / name, seed=k)
    columns = {
        "path": names,
        "sensor": [f"s{k // 4}" for k in range(8)],
        "timestamp": [f"2024-05-01T12:0{k}:00" for k in range(8)],
    } | columns
    with open(here / "clips.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
        writer.writerows(rows)
    return here / "clips.csv"


# Missing files.


@pytest.mark.parametrize("command", ["distill", "embed", "evaluate"])
def test_files_that_a_table_names_and_that_are_not_there(here, refused, finished_run, command):
    path = table(here)
    for k in (2, 5, 6):
        (here / f"{k}.wav").unlink()
    sentence = refused(
        *{
            "distill": distill(path),
            "embed": ("embed", "--teacher", "demo", "--data", path, "--out", "store"),
            "evaluate": ("evaluate", finished_run, "--data", path),
        }[command]
    )
    assert sentence == (
        f"{path} names sound that is not there for 3 of its 8 clips, first {here / '2.wav'} in line 4: "
        "put the files in their place, or take these lines out."
    )


def annotations(here, **changes):
    header = ["split", "sensor_id", "audio_filename", "annotator_id", "year", "week", "day", "hour"]
    presence = [f"{number}_{name}_presence" for number, name in enumerate(sonyc.CLASSES, 1)]
    with open(here / "annotations.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, header + presence)
        writer.writeheader()
        for k in range(4):
            row = dict(zip(header, ("train", "1", f"{k}.wav", "1", "2019", "3", "1", "12"), strict=True))
            writer.writerow(row | dict.fromkeys(presence, "0") | (changes if k == 2 else {}))
            sound(here / "audio" / f"{k}.wav", seed=k)
    return here


def esc50(here):
    lines = [f"{k}.wav,1,dog,r{k}" for k in range(4)]
    for k in range(4):
        sound(here / "audio" / f"{k}.wav", seed=k)
    (here / "esc50.csv").write_text("\n".join(["filename,fold,category,src_file", *lines]) + "\n")
    return here


def urbansound8k(here):
    lines = [f"{k}.wav,r{k},1,dog" for k in range(4)]
    for k in range(4):
        sound(here / "audio" / "fold1" / f"{k}.wav", seed=k)
    (here / "metadata").mkdir()
    (here / "metadata" / "UrbanSound8K.csv").write_text(
        "\n".join(["slice_file_name,fsID,fold,class", *lines]) + "\n"
    )
    return here


@pytest.mark.parametrize("layout", [annotations, esc50, urbansound8k])
def test_files_that_a_published_table_names_and_that_are_not_there(here, refused, layout):
    here.mkdir()
    layout(here)
    for path in here.rglob("1.wav"):
        path.unlink()
    sentence = refused(*distill(here))
    assert "sound that is not there for 1 of its 4 clips, first " in sentence
    assert "1.wav in line 3: put the files" in sentence


# Sensors, times and levels.


@pytest.mark.parametrize("sampler", ["random", "spl", "dpp", "dpp-div"])
def test_an_unknown_sensor(here, refused, sampler):
    path = table(here, sensor=["s0"] * 4 + ["", ""] + ["s1"] * 2)
    assert refused(*distill(path, "--sampler", sampler)) == (
        f"4.wav in {here} names no sensor, as 2 of 8 clips: give every clip its sensor, or leave that column "
        "out."
    )


def test_a_sensor_of_sonyc_that_is_none(here, refused):
    here.mkdir()
    sentence = refused(*distill(annotations(here, sensor_id="roof"), "--sampler", "spl"))
    assert sentence == (
        f"Received {here}/annotations.csv with a bad line 4: sensor_id must be a whole number, received "
        "'roof'."
    )


@pytest.mark.parametrize("sampler", ["random", "spl", "dpp", "dpp-div"])
def test_timestamps_out_of_order(here, refused, sampler):
    path = table(here, timestamp=[f"2024-05-01T12:0{k}:00" for k in (0, 1, 3, 2, 4, 5, 6, 7)])
    assert refused(*distill(path, "--sampler", sampler)) == (
        f"The timestamps of {here} are out of order, 3.wav (2024-05-01 12:02:00) after 2.wav (2024-05-01 "
        "12:03:00) at the sensor s0: list a sensor's clips in the order of time, correct their timestamps, "
        "or leave them out."
    )


@pytest.mark.parametrize(
    ("columns", "part"),
    [
        ({"timestamp": [f"2024-05-01T12:0{k}:00" if k else "" for k in range(8)]}, "0.wav in"),
        ({"timestamp": ["12 o'clock"] * 8}, 'received "12 o\'clock"'),
        ({"timestamp": ["2024-05-01T12:00:00Z"] + ["2024-05-01T12:00:00"] * 7}, "without a time zone"),
        ({"level_db": [50, "", *[60] * 6]}, "1.wav in"),
        ({"level_db": [50, "nan", *[60] * 6]}, "level_db must be a number, received 'nan'"),
    ],
)
@pytest.mark.parametrize("sampler", ["spl", "dpp"])
def test_times_and_levels_that_are_half_known(here, refused, columns, part, sampler):
    assert part in refused(*distill(table(here, **columns), "--sampler", sampler))


def test_missing_levels_are_named(here, refused):
    path = table(here, level_db=[50, *[""] * 3, *[60] * 4])
    assert refused(*distill(path, "--sampler", "spl")) == (
        f"1.wav in {here} has no level_db, as 3 of 8 clips: give every clip its level_db, or leave that "
        "column out."
    )


# More than there is.


def test_more_samples_than_there_are_frames(here, refused):
    sentence = refused(*distill(table(here), "--sample", "100000"))
    assert sentence.startswith("--sample 100000 is more than the ")
    assert sentence.endswith(" frames there are to choose from: give more sound, or a smaller --sample.")


def test_more_dimensions_than_the_teacher_has(here, refused):
    assert refused(*distill(table(here), "--dim", "257")) == (
        "--dim 257 is more than the teacher's 256 dimensions: choose at most 256."
    )
    assert refused(*distill(table(here), "--reducer", "identity")) == (
        "The reducer identity keeps all 256 dimensions of the teacher, and --dim says 16: leave --dim out, "
        "or choose --reducer pca."
    )


def test_more_dimensions_than_frames_to_fit_on(here, refused):
    sentence = refused(*distill(table(here), "--dim", "200"))
    assert sentence.startswith("--dim 200 needs at least as many frames to fit on, and there are ")
    sentence = refused(*distill(table(here), "--dim", "20", "--sample", "10"))
    assert sentence == (
        "--dim 20 needs at least as many frames to fit on, and there are 10: give more sound, a larger "
        "--sample, or a smaller --dim."
    )


def test_more_neighbours_than_frames(here, refused):
    pytest.importorskip("umap", reason="umap-learn is not installed")
    sentence = refused(*distill(table(here), "--reducer", "umap:neighbours=4000"))
    assert sentence.startswith("The reducer umap with 4000 neighbours needs more frames than that to fit on")
    assert sentence.endswith("a larger --sample, or fewer neighbours.")
    assert "min_dist = 1.5" in refused(*distill(here, "--reducer", "umap:min_dist=1.5"))


def test_a_calibration_that_is_no_number(here, refused):
    path = table(here)
    for command in (distill(path), ("embed", "--teacher", "demo", "--data", path, "--out", "store")):
        assert refused(*command, "--calibration-db", "nan") == (
            "Received calibration_db = nan: give a finite number of dB."
        )


# What is not refused.


def test_as_many_samples_as_there_are(street, tmp_path):
    """All the frames that a first run found may be asked for in a second, and no more."""

    def stages(sample):
        return _Stages(Config("demo", str(street), dim=16, sample=sample), SILENT)

    run, first = Run(tmp_path / "run"), stages(Config.sample)
    rows = len(first._rows(run, first._embed(run))["train"])
    stages(rows).check()
    with pytest.raises(UsageError, match=rf"--sample {2 * rows} is more than the \d+ frames there are"):
        stages(2 * rows).check()
