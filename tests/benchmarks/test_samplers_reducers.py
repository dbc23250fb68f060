"""Samplers and reducers on real sound: the arrangement, the statistics, and what is recorded of them."""

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import samplers_reducers
from samplers_reducers import (
    CELLS,
    arranged,
    between,
    cell_name,
    conclusions,
    draws,
    interval,
    mean,
    neighbours,
    pairs,
    report,
    resampled,
    right,
)

from edgesea import sampling
from edgesea.datasets import Clip, Manifest
from edgesea.evaluation.heads import Task
from edgesea.measures.fidelity import knn_overlap


def clips(count=60):
    return tuple(
        Clip(Path(f"/sound/{k:03d}.wav"), ("dog",), group=f"recording-{k // 2:03d}") for k in range(count)
    )


def test_an_arranged_dataset_suits_all_samplers():
    manifest = arranged(Manifest(Path("/sound"), clips(), "sound"))
    for name in sampling.SAMPLERS:
        sampling.sampler(name).check(manifest)
    assert len({(clip.sensor, clip.timestamp.date()) for clip in manifest.clips}) == 12
    assert {clip.path for clip in manifest.clips} == {clip.path for clip in clips()}
    for clip in manifest.clips:
        others = [other for other in manifest.clips if other.group == clip.group]
        assert {other.sensor for other in others} == {clip.sensor}
        assert max(abs((other.timestamp - clip.timestamp).total_seconds()) for other in others) == 30


def test_the_order_of_the_clips_does_not_matter():
    forwards = arranged(Manifest(Path("/sound"), clips(), "sound"))
    backwards = arranged(Manifest(Path("/sound"), clips()[::-1], "sound"))
    assert {(c.group, c.sensor, c.timestamp.date()) for c in forwards.clips} == {
        (c.group, c.sensor, c.timestamp.date()) for c in backwards.clips
    }


def test_timestamps_that_there_are_stay():
    manifest = Manifest(
        Path("/sound"), (Clip(Path("/sound/1.wav"), timestamp=datetime(2024, 1, 1)), *clips()), "sound"
    )
    assert arranged(manifest) is manifest


def test_every_cell_is_compared_with_random_and_with_pca():
    names = [cell_name(*cell) for cell in CELLS]
    assert len(names) == len(set(names)) == 9
    found = pairs(names)
    assert [each for each in found if each[2] == "sampler"] == [
        (f"{reducer}, {name}", f"{reducer}, random", "sampler")
        for reducer in ("pca", "umap")
        for name in ("spl", "dpp", "dpp-div")
    ]
    assert [each[:2] for each in found if each[2] == "reducer"] == [
        ("identity", "pca, random"),
        *((f"umap, {name}", f"pca, {name}") for name in ("random", "spl", "dpp", "dpp-div")),
    ]


def test_neighbours_give_the_overlap_that_fidelity_gives():
    rng = np.random.default_rng(1)
    target = rng.normal(size=(80, 12))
    embedding = target + rng.normal(size=(80, 12))
    shared = [
        len(np.intersect1d(a, b)) / 10 for a, b in zip(*map(neighbours, (embedding, target)), strict=True)
    ]
    assert np.mean(shared) == pytest.approx(knn_overlap(target, embedding))


def test_the_head_is_the_one_of_evaluate():
    rng = np.random.default_rng(2)
    labels = [f"class-{k % 4}" for k in range(64)]
    groups = [f"{k // 2}" for k in range(64)]
    embeddings = rng.normal(size=(64, 8)) + np.eye(8)[[k % 4 for k in range(64)]]
    found = right(embeddings, labels, groups)
    assert found.mean() == pytest.approx(
        Task(tuple((x,) for x in labels), tuple(groups)).score(embeddings)["mean"]
    )
    assert 0.3 < found.mean() < 1


def test_resamples_are_of_recordings_and_of_seeds():
    rng = np.random.default_rng(3)
    recordings = ["a", "a", "a", "b", "c", "c"]
    values = rng.normal(size=(2, 6))
    values[0, 3] = values[1, 0] = np.nan
    of_clips, of_seeds = draws(recordings, 2)
    assert (of_clips[:, 0] == of_clips[:, 1]).all()
    assert (of_clips[:, 4] == of_clips[:, 5]).all()
    assert (of_clips[:, [0, 3, 4]].sum(axis=1) == 3).all()
    assert (of_seeds.sum(axis=1) == 2).all()
    drawn = resampled(values, of_clips, of_seeds)
    for k in range(20):
        picked = [
            values[s, c]
            for s in range(2)
            for c in range(6)
            for _ in range(of_seeds[k, s] * of_clips[k, c])
            if not np.isnan(values[s, c])
        ]
        assert drawn[k] == pytest.approx(np.mean(picked), nan_ok=True)


def test_an_interval_is_as_wide_as_theory_says():
    rng = np.random.default_rng(4)
    values = rng.normal(size=(1, 400))
    found = interval(mean(values), resampled(values, *draws([str(k) for k in range(400)], 1)))
    assert found["value"] == pytest.approx(values.mean())
    wide = 2 * 1.96 * values.std() / np.sqrt(400)
    assert found["high"] - found["low"] == pytest.approx(wide, rel=0.1)


def test_variance_between_two_groups_is_that_of_their_means():
    rng = np.random.default_rng(6)
    values, member = rng.normal(size=(200, 5)), np.arange(200) < 30
    assert between(values, member) < 0.05
    values[member] += 10
    means = np.where(member[:, None], values[member].mean(axis=0), values[~member].mean(axis=0))
    assert between(values, member) == pytest.approx(means.var(axis=0).sum() / values.var(axis=0).sum())
    assert between(values, np.zeros(200, bool)) == pytest.approx(0)


def test_the_conclusions_follow_from_the_intervals():
    def difference(kind, of, metric, low, high, cell="pca, spl"):
        return {
            "cell": cell,
            "kind": kind,
            "of": of,
            "metric": metric,
            "value": (low + high) / 2,
            "low": low,
            "high": high,
        }

    rows = [
        difference(kind, of, metric, -0.04, 0.02)
        for kind in ("sampler", "reducer")
        for of in ("student", "phi")
        for metric in ("accuracy", "overlap")
    ]
    rows.append(difference("sampler", "student", "accuracy", -0.05, -0.01, cell="pca, dpp"))
    scores = {"student": {"accuracy": {"value": 0.2}}, "phi": {"accuracy": {"value": 0.4}}}
    result = {"differences": rows, "choices": {"seeds": 1}, "cells": {"pca, random": scores}}
    result["silence"] = {"pca, random": [{"frames": 0.06, "sample": 0.05, "variance": 0.7}]}
    said = conclusions(result)
    assert said[0] == (
        "- Samplers against random, accuracy of students: 1 of 2 differ: pca, dpp -0.030 [-0.050, -0.010]."
    )
    assert said[1] == (
        "- Samplers against random, overlap of students: no difference in 1 comparisons (all within -0.040 "
        "to +0.020)."
    )
    assert "9 intervals" in said[8]
    assert said[9].startswith("- Of one seed:")
    assert said[10].startswith("- 6.0% of all frames are silent, below -90 dB: 70% to 70% of phi's variance")
    assert "50% to 50% of the accuracy" in said[11]
    assert len(conclusions({**result, "choices": {"seeds": 2}})) == len(said) - 1


def test_what_is_recorded_is_what_the_script_writes(benchmarks):
    results = benchmarks / "results"
    result = json.loads((results / "samplers_reducers.json").read_text(encoding="utf-8"))
    assert report(result) == (results / "samplers_reducers.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("teacher", "data", "said"),
    [
        ("demo", "nowhere", "There is no data at nowhere"),
        ("none.tflite", None, "There is no teacher at none.tflite"),
    ],
)
def test_a_wrong_call_is_one_sentence(teacher, data, said, street, tmp_path, capsys):
    work = tmp_path / "work"
    call = [
        "--teacher",
        teacher,
        "--data",
        data or str(street),
        "--work",
        str(work),
        "--results",
        str(tmp_path),
    ]
    assert samplers_reducers.main(call) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not list(tmp_path.glob("samplers_reducers.*"))
