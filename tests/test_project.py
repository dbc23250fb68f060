"""The project file: what the bare words work on."""

import os
from pathlib import Path

import pytest

from edgesea import project
from edgesea.errors import UsageError


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finished(folder, marker, seconds):
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text("")
    (folder / marker).write_text("{}")
    for name in {"config.toml", marker}:
        os.utime(folder / name, (seconds, seconds))


def test_no_file_is_no_project(here):
    assert project.find() is None
    with pytest.raises(
        UsageError, match=r"There is no edgesea\.toml here and no RUN was given: name it, or call"
    ):
        project.needed("RUN")


@pytest.mark.parametrize(
    ("teacher", "data"), [("demo", "recordings"), ('a "b"\\c/ü.keras', "x#y"), ("{t}", "%s\t")]
)
def test_what_init_writes_is_what_is_found(here, teacher, data):
    project.write(here / project.FILE, teacher, data)
    held = project.find()
    assert held.teacher == ("demo" if teacher == "demo" else str(here / teacher))
    assert held.data == str(here / data)
    assert held.runs == here / "runs"
    assert held.distill == {"student": "separable-m"}
    assert held.bench == {"device": "host"}
    with pytest.raises(UsageError, match=r"is there already: edit it, or remove it first"):
        project.write(here / project.FILE, "demo", "recordings")


def test_a_home_folder_is_understood(here, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    (here / project.FILE).write_text('teacher = "~/t.keras"\ndata = "~/sound"\nruns = "~/runs"\n')
    held = project.find()
    assert (held.teacher, held.data, held.runs) == (
        "/home/ada/t.keras",
        "/home/ada/sound",
        Path("/home/ada/runs"),
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("teacher = ", "is not readable as TOML"),
        ("date = 1", r"has an unknown entry 'date': did you mean data\? Known are bench"),
        ("data = " + "[" * 40 + "]" * 40, "nests deeper than 32 levels"),
        ("#" * (project.LARGEST + 1), "has more than 1,048,576 bytes"),
        ("[bench]\ndevise = 'rpi'", r"in \[bench\], has an unknown entry 'devise': did you mean device\?"),
        ("[bench]\ndevice = 3", "The entry device in .* has to be a text, received 3"),
        ('data = "a\\u001b[2J"', r"The entry data in .* has to be a text, received 'a\\x1b"),
        ("models = 1", r"has an unknown entry 'models': known are bench, bundles, data"),
        ("distill = 3", r"The entry distill in .* has to be a table: write \[distill\]"),
        ("teacher = 3", r"The entry teacher in .* has to be a text, received 3"),
        ("runs = ['a']", "runs in .* has to be a text"),
    ],
)
def test_a_bad_file_is_named(here, content, reason):
    (here / project.FILE).write_text(content)
    with pytest.raises(UsageError, match=reason) as error:
        project.find()
    assert project.FILE in str(error.value)


def test_a_link_to_ones_own_file_is_followed(here, tmp_path_factory):
    kept = tmp_path_factory.mktemp("kept") / "mine.toml"
    kept.write_text('data = "sound"\n')
    (here / project.FILE).symlink_to(kept)
    assert project.find().data == str(here / "sound")


@pytest.mark.parametrize("name", ["a\x7f", "a\udce9.keras", "a\x1b[2J"])
def test_a_name_that_no_toml_can_hold_is_refused(here, name):
    with pytest.raises(UsageError, match=r"The data 'a.* has a character in it that is no text: rename it\."):
        project.write(here / project.FILE, "demo", name)
    assert not (here / project.FILE).exists()


def test_runs_are_counted_and_an_unfinished_one_is_gone_on_with(here):
    (here / project.FILE).write_text("")
    held = project.find()
    assert held.new_run() == here / "runs" / "001"
    finished(here / "runs" / "001", "metrics.json", 100)
    assert held.new_run() == here / "runs" / "002"
    finished(here / "runs" / "mine", "metrics.json", 200)
    finished(here / "runs" / "010", "metrics.json", 150)
    (here / "runs" / "notes.txt").write_text("")
    assert held.new_run() == here / "runs" / "011"
    finished(here / "runs" / "011", "state", 300)
    assert held.new_run() == here / "runs" / "011"


def test_the_newest_is_the_one_written_last(here):
    (here / project.FILE).write_text('runs = "r"\nbundles = "b"\n')
    held = project.find()
    with pytest.raises(UsageError, match=r"There is no finished run in .*r: call `edgesea distill` first"):
        held.newest_run()
    with pytest.raises(UsageError, match=r"There is no bundle in .*b: call `edgesea export --int8` first"):
        held.newest_bundle()
    finished(here / "r" / "002", "metrics.json", 100)
    finished(here / "r" / "001", "metrics.json", 200)
    finished(here / "r" / "003", "other", 300)
    assert held.newest_run() == here / "r" / "001"
    finished(here / "b" / "x", "manifest.json", 2)
    finished(here / "b" / "y", "manifest.json", 1)
    assert held.newest_bundle() == here / "b" / "x"
    assert held.bundle_of(held.newest_run()) == here / "b" / "001"
