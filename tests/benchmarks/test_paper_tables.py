"""The paper's tables: a wrong call, what is recorded, and a table that a SIGKILL does not change."""

import json
import os
import subprocess
import sys
import time

import paper_tables
import pytest
from paper_tables import PAPER, PAPER_SAMPLING, commonest, report

# A table of seconds: three folds, one student, short heads.
TINY = """
import argparse, pathlib, sys
sys.path.insert(0, {benchmarks!r})
import paper_tables, synthesised
from edgesea.decisions import mil
mil.EPOCHS = 2
synthesised.FOLDS = dict(urbansound8k=3, esc50=3)
scale = paper_tables.Scale(
    students=("separable-s",),
    by_dimension={{8: "separable-s"}},
    umap=((8, 5, 0.5),),
    budget=dict(sample=72, frames=64, epochs=2),
    street=dict(sonyc=16, urbansound8k=1, esc50=1),
    scoring=dict(shapes=((0, 0),), resamples=20),
)
work = pathlib.Path({work!r})
options = argparse.Namespace(
    teacher="demo", teacher_tensor=None, data=None, work=work, small=True, results=work / "results"
)
sys.exit(paper_tables.answer(lambda: paper_tables.make(options, scale)))
"""


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (["--teacher", "none.keras"], "There is no teacher at none.keras"),
        (["--data", "nowhere"], "There is no folder nowhere"),
        (["--data", "."], "The folder . holds none of SONYC-UST, UrbanSound8K and ESC-50"),
    ],
)
def test_a_wrong_call_is_one_sentence_and_writes_nothing(call, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    work = tmp_path / "work"
    assert paper_tables.main([*call, "--work", str(work), "--results", str(tmp_path / "results")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"Error: {said}")
    assert error.count("\n") == 1
    assert not work.exists()
    assert not (tmp_path / "results").exists()


def test_what_is_recorded_is_what_the_script_writes(benchmarks):
    results = benchmarks / "results"
    result = json.loads((results / "paper_tables.json").read_text(encoding="utf-8"))
    text = (results / "paper_tables.md").read_text(encoding="utf-8")
    assert report(result) == text
    if any(each["synthesised"] for each in result["data"].values()):
        assert "shows that the machinery works, not how well anything hears" in text


def test_every_figure_of_the_paper_is_marked_as_the_papers(benchmarks):
    text = (benchmarks / "results" / "paper_tables.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for name, theirs in PAPER.items():
        for values in filter(None, theirs.values()):
            said = f"*{' / '.join(f'{value:.3f}' for value in values)}*"
            assert any(row.startswith(f"| {name} |") and said in row for row in rows)
    for d, samplers in PAPER_SAMPLING.items():
        for name, values in samplers.items():
            said = f"*{' / '.join(f'{value:.3f}' for value in values)}*"
            assert any(row.startswith(f"| {d} | {name} |") and said in row for row in rows)
    for part in text.split("\n## ")[1:5]:
        assert "*the paper's" in part


def test_the_commonest_classes_are_those_with_most_clips():
    classes = {
        f"class-{k}": {"clips": k, "average_precision": {"value": k / 10 if k else None}} for k in range(8)
    }
    assert commonest({"classes": classes}) == pytest.approx((0.7 + 0.6 + 0.5 + 0.4 + 0.3) / 5)
    assert commonest({"classes": dict(list(classes.items())[:3])}) is None


@pytest.mark.slow
def test_a_killed_table_goes_on_and_ends_the_same(tmp_path, benchmarks):
    def start(name):
        program = TINY.format(benchmarks=str(benchmarks), work=str(tmp_path / name))
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        with open(tmp_path / f"{name}.log", "ab") as log:
            return subprocess.Popen([sys.executable, "-c", program], stderr=log, env=environment)

    def finished(name):
        assert start(name).wait(timeout=1200) == 0, (tmp_path / f"{name}.log").read_text()

    finished("whole")
    # Killed in the synthesis, in the first scores, in a distillation, and in the samplers' table.
    for place in (
        "street/esc50/audio/3-0.flac",
        "cells/teacher-sonyc.json",
        "runs/*/reducer.npz",
        "runs/*-dpp-8",
    ):
        process = start("killed")
        try:
            limit = time.monotonic() + 600
            while process.poll() is None and not list((tmp_path / "killed").glob(place)):
                assert time.monotonic() < limit
                time.sleep(0.02)
        finally:
            process.kill()
            process.wait()
        assert not (tmp_path / "killed" / "results").exists(), "it ended before it was killed"
    finished("killed")
    for name in ("paper_tables.json", "paper_tables.md", "paper_tables.png"):
        whole, killed = (tmp_path / each / "results" / name for each in ("whole", "killed"))
        assert whole.read_bytes() == killed.read_bytes()
