"""Metrics of heads: scikit-learn's figures, figures worked out by hand, and intervals that cover."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from edgesea.measures import metrics


def overlapping(clips=200, classes=4, seed=0, noise=0.7):
    rng = np.random.default_rng(seed)
    truth = rng.random((clips, classes)) < [0.5, 0.3, 0.2, 0.1]
    return truth, truth + noise * rng.standard_normal((clips, classes))


def test_areas_are_scikit_learns():
    truth, scores = overlapping()
    for ours, average in ((metrics.micro_auprc, "micro"), (metrics.macro_auprc, "macro")):
        theirs = average_precision_score(truth, scores, average=average)
        assert ours(truth, scores) == pytest.approx(theirs, rel=1e-12)


@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=40))
def test_clips_of_one_score_come_together_as_in_scikit_learn(clips):
    truth, scores = (np.array(column)[:, None] for column in zip(*clips, strict=True))
    (found,) = metrics.average_precision(truth, scores / 2)
    if truth.any():
        assert found == pytest.approx(average_precision_score(truth[:, 0], scores[:, 0] / 2), rel=1e-12)
    else:
        assert np.isnan(found)


def test_a_class_that_no_clip_has_counts_neither_way():
    truth, scores = overlapping()
    truth[:, 2] = False
    rest = [0, 1, 3]
    assert np.isnan(metrics.average_precision(truth, scores)[2])
    assert metrics.macro_auprc(truth, scores) == metrics.macro_auprc(truth[:, rest], scores[:, rest])
    assert np.isnan(metrics.macro_auprc(truth & False, scores))


def test_accuracy_and_recall_by_hand():
    truth = np.eye(3)[[0, 0, 1, 1, 1]]
    scores = np.array([[0.9, 0.1, 0], [0.2, 0.7, 0.1], [0, 1, 0], [0, 1, 0], [0, 0.4, 0.6]])
    assert metrics.accuracy(truth, scores) == pytest.approx(3 / 5)
    np.testing.assert_allclose(metrics.recall(truth, scores), [1 / 2, 2 / 3, np.nan])


def test_report_names_everything_and_is_json():
    truth, scores = overlapping()
    truth[:, 3] = False
    found = metrics.report(truth, scores, "abcd", np.arange(200) // 4, resamples=50)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found.keys() == {
        *("micro_auprc", "macro_auprc", "classes", "clips", "recordings", "resamples", "level"),
    }
    assert (found["clips"], found["recordings"], found["resamples"]) == (200, 50, 50)
    assert found["macro_auprc"]["value"] == metrics.macro_auprc(truth, scores)
    assert found["classes"]["a"]["clips"] == truth[:, 0].sum()
    assert found["classes"]["d"] == {
        "clips": 0,
        "average_precision": {"value": None, "low": None, "high": None},
    }
    for interval in (found["micro_auprc"], found["classes"]["b"]["average_precision"]):
        assert interval["low"] < interval["value"] < interval["high"]
    one = np.eye(4)[np.arange(200) % 4]
    single = metrics.report(one, scores, "abcd", np.arange(200), resamples=20)
    assert single["accuracy"]["value"] == metrics.accuracy(one, scores)
    assert single["classes"]["c"].keys() == {"clips", "average_precision", "recall"}


def test_the_interval_of_a_share_is_the_binomials():
    """Accuracy over clips that are recordings of their own: a known standard error."""
    rng = np.random.default_rng(1)
    truth = np.eye(2)[np.zeros(400, int)]
    right = rng.random(400) < 0.7
    scores = np.stack([right, ~right], axis=1).astype(float)
    interval = metrics.report(truth, scores, "ab", np.arange(400), resamples=1000)["accuracy"]
    error = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert interval["low"] == pytest.approx(right.mean() - error, abs=0.01)
    assert interval["high"] == pytest.approx(right.mean() + error, abs=0.01)


def test_recordings_are_drawn_whole():
    """Ten copies of every clip say nothing new: the interval must not shrink as if they did."""
    truth, scores = overlapping(40)
    alone = metrics.report(truth, scores, "abcd", np.arange(40), resamples=300)["micro_auprc"]
    copies = np.repeat(np.arange(40), 10)
    groups = [f"recording-{k}" for k in copies]
    whole = metrics.report(truth[copies], scores[copies], "abcd", groups, resamples=300)["micro_auprc"]
    torn = metrics.report(truth[copies], scores[copies], "abcd", np.arange(400), resamples=300)["micro_auprc"]
    width = {
        name: one["high"] - one["low"] for name, one in (("alone", alone), ("whole", whole), ("torn", torn))
    }
    assert width["whole"] == pytest.approx(width["alone"], rel=0.25)
    assert width["torn"] < 0.5 * width["whole"]


def test_the_same_seed_gives_the_same_interval():
    truth, scores = overlapping(60)
    one, two, other = (
        metrics.report(truth, scores, "abcd", np.arange(60), resamples=20, seed=seed) for seed in (3, 3, 4)
    )
    assert one == two
    assert one != other
