"""Files appear whole or not at all, and what killed writers leave behind does not stay."""

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edgesea import files
from edgesea.errors import UsageError


def names(folder):
    return sorted(each.name for each in folder.iterdir())


def test_a_file_is_there_only_after_the_block(tmp_path):
    target = tmp_path / "deep" / "down" / "result.npz"
    with files.replacing(target) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == target.parent
        assert temporary.suffix == ".npz"
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert names(target.parent) == ["result.npz"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "result.txt"
    target.write_text("old")

    def fails():
        with files.replacing(target) as temporary:
            temporary.write_text("half of the ne")
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fails()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["result.txt"]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_result_is_as_readable_as_the_umask_says(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        files.write_text(tmp_path / "a", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == mode


def kill_while_writing(target):
    """A process that writes `target` and is killed with SIGKILL before the file is in its place."""
    program = (
        "import os, signal, sys; from edgesea import files\n"
        "with files.replacing(sys.argv[1]) as temporary:\n"
        "    temporary.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(target)], check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_cleans_up(tmp_path):
    target = tmp_path / "state.npz"
    files.write_bytes(target, b"old")
    kill_while_writing(target)
    kill_while_writing(target)
    assert target.read_bytes() == b"old"
    assert len(names(tmp_path)) == 2  # the second one removed what the first one left
    files.write_bytes(target, b"new")
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["state.npz"]


def test_cleaning_up_touches_nothing_that_others_write_or_own(tmp_path):
    target = tmp_path / "state.npz"
    kept = [".state.npz", ".state-abcdefgh.json", ".state-ABCDEFGH.npz", ".other-abcdefgh.npz"]
    kept += [".state-abcdefghi.npz", "state-abcdefgh.npz", ".state-of-abcdefgh.npz"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    with files.replacing(target) as first:
        first.write_bytes(b"first")
        with files.replacing(target) as second:  # the same target at the same time
            second.write_bytes(b"second")
            assert first.exists()
        assert target.read_bytes() == b"second"
        assert first.read_bytes() == b"first"
    assert target.read_bytes() == b"first"
    assert names(tmp_path) == sorted([*kept, "state.npz"])


def test_free_is_what_may_become_a_run_or_a_store(tmp_path):
    assert files.free(tmp_path / "absent")
    assert files.free(tmp_path)
    kill_while_writing(tmp_path / "config.toml")
    assert len(names(tmp_path)) == 1
    assert files.free(tmp_path)
    (tmp_path / ".hidden").write_text("a user's")
    assert not files.free(tmp_path)
    assert not files.free(tmp_path / ".hidden")


def test_json_refuses_what_json_has_no_word_for(tmp_path):
    target = tmp_path / "a.json"
    files.write_json(target, {"b": 1, "a": "Straße"})
    assert list(json.loads(target.read_text(encoding="utf-8"))) == ["b", "a"]
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(target, {"a": float("nan")})
    assert json.loads(target.read_text(encoding="utf-8"))["a"] == "Straße"


def test_sha256_is_hashlibs(tmp_path):
    content = os.urandom((1 << 20) + 17)
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_home_that_is_not_there_is_a_sentence():
    assert files.expanded("~/a") == Path.home() / "a"
    with pytest.raises(
        UsageError, match=r"^There is no home folder for ~nobody-there/x: give the whole path\.$"
    ):
        files.expanded("~nobody-there/x")
