"""External programs: named where they are missing, stopped where they do not stop."""

import os
import time

import pytest

from edgesea.errors import EdgeseaError
from edgesea.running.programs import command, find


def test_the_whole_group_is_stopped(tmp_path):
    script = tmp_path / "parent"
    script.write_text("#!/bin/sh\nsleep 60 & echo $! > child\nwait\n")
    script.chmod(0o755)
    with pytest.raises(EdgeseaError, match=r"parent was still running after 0\.5 seconds"):
        command([script], tmp_path, 0.5)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        try:
            with open(f"/proc/{child}/stat") as file:
                if file.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return
        except FileNotFoundError:
            return
        time.sleep(0.05)
    os.kill(child, 9)
    pytest.fail("the child of a stopped program lives on")


def test_a_program_that_prints_for_ever_is_stopped(tmp_path):
    with pytest.raises(EdgeseaError, match=r"^yes printed more than 100,000 bytes and was stopped\.$"):
        command(["yes"], tmp_path, 60, most_bytes=100_000)


def test_a_program_that_says_nothing_more_but_runs_on_is_stopped(tmp_path):
    with pytest.raises(EdgeseaError, match=r"^sh was still running after 0\.5 seconds and was stopped\.$"):
        command(["sh", "-c", "exec >&- 2>&-; sleep 60"], tmp_path, 0.5)


def test_status_output_and_environment(tmp_path):
    call = ["sh", "-c", "echo a; echo b >&2; echo $WORD; exit 3"]
    assert command(call, tmp_path, 60, environment={"PATH": os.environ["PATH"], "WORD": "c"}) == (
        3,
        "a\nb\nc\n",
    )


@pytest.mark.parametrize(
    ("programs", "packages", "sentence"),
    [
        (
            [("no-a", "sudo apt install a b")],
            [],
            "The program no-a is not installed; run `sudo apt install a b`.",
        ),
        (
            [("no-a", "sudo apt install a b"), ("sh", "never"), ("no-c", "sudo apt install b c")],
            [],
            "The programs no-a and no-c are not installed; run `sudo apt install a b c`.",
        ),
        (
            [("no-a", "sudo apt install a (Debian 13 or newer)"), ("no-b", "get it && . it.sh")],
            ["pyserial"],
            "The programs no-a and no-b and the Python package pyserial are not installed; run "
            "`sudo apt install a` (Debian 13 or newer), `get it && . it.sh`, "
            "`python3 -m pip install pyserial`.",
        ),
        (
            [],
            ["pyserial"],
            "The Python package pyserial is not installed; run `python3 -m pip install pyserial`.",
        ),
    ],
)
def test_everything_that_is_missing_is_named_at_once(programs, packages, sentence):
    with pytest.raises(EdgeseaError) as error:
        find(programs, packages)
    assert str(error.value) == sentence


def test_programs_that_are_there():
    (path,) = find([("sh", "never")])
    assert path.endswith("/sh")
