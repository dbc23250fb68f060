"""Cells: computed once, kept whole, shared by links."""

import json
import subprocess
import sys
import time

import pytest
from cells import answer, kept, share

from edgesea.errors import EdgeseaError, UsageError


def test_a_cell_is_computed_once(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        return {"figure": 0.5}

    path = tmp_path / "cells" / "one.json"
    assert kept(path, {"seed": 0, "split": (0.7, 0.3)}, compute) == {"figure": 0.5}
    assert kept(path, {"seed": 0, "split": (0.7, 0.3)}, compute) == {"figure": 0.5}
    assert len(calls) == 1


def test_a_cell_of_something_else_is_computed_again(tmp_path):
    path = tmp_path / "one.json"
    kept(path, {"seed": 0}, lambda: {"figure": 0})
    assert kept(path, {"seed": 1}, lambda: {"figure": 1}) == {"figure": 1}
    assert json.loads(path.read_text())["made_from"] == {"seed": 1}


def test_a_killed_cell_leaves_nothing(tmp_path, benchmarks):
    path, begun = tmp_path / "one.json", tmp_path / "begun"
    program = f"""
import sys, time, pathlib
sys.path.insert(0, {str(benchmarks)!r})
from cells import kept
def compute():
    pathlib.Path({str(begun)!r}).touch()
    time.sleep(600)
kept(pathlib.Path({str(path)!r}), {{}}, compute)
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        limit = time.monotonic() + 120
        while not begun.exists():
            assert process.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    assert not path.exists()
    assert kept(path, {}, lambda: {"figure": 2}) == {"figure": 2}


def test_a_store_is_linked_not_copied_and_never_replaced(tmp_path):
    source, target = tmp_path / "a" / "domain", tmp_path / "b" / "domain"
    source.mkdir(parents=True)
    target.parent.mkdir()
    (source / "shard").write_text("sound")
    (target.parent / ".domain-linking").mkdir()  # what a killed call left
    share(source, target)
    assert (target / "shard").samefile(source / "shard")
    assert [each.name for each in target.parent.iterdir()] == ["domain"]
    (source / "second").write_text("more")
    share(source, target)
    assert not (target / "second").exists()


@pytest.mark.parametrize(("kind", "code"), [(EdgeseaError, 1), (UsageError, 2)])
def test_an_error_is_one_sentence_and_an_exit_code(kind, code, capsys):
    def work():
        raise kind("There is no sound: give some.")

    assert answer(work) == code
    assert capsys.readouterr().err == "Error: There is no sound: give some.\n"
    assert answer(lambda: None) == 0
