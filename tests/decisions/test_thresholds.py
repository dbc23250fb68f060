"""Thresholds from pooled scores, against counting by hand."""

import numpy as np
import pytest

from edgesea.decisions.thresholds import Wanted, choose, pooled
from edgesea.errors import UsageError
from edgesea.listen import listen

# Four clips of three frames of one class; the first two have it.
VALUES = np.array([[100, 900, 300], [200, 500, 400], [600, 100, 600], [50, 60, 70]]).reshape(-1, 1)
ENDS = [0, 3, 6, 9, 12]
TRUTH = np.array([[1], [1], [0], [0]])
SECONDS = np.array([1800.0, 1800.0, 1800.0, 1800.0])


def chosen(wanted):
    (found,) = choose(VALUES, ENDS, TRUTH, SECONDS, ["dog"], wanted)
    return found


def test_the_best_f1_hears_both_and_one_too_many():
    # At 500 both clips are heard and one other: F1 is 4 / 5; at 900 one is, F1 is 2 / 3.
    found = chosen(Wanted())
    assert found == {
        "threshold": (500 + 70 + 1) // 2,
        "clips": 2,
        "recall": 1.0,
        "precision": 2 / 3,
        "false_alarms_per_hour": 2.0,  # the third clip reaches 500 twice, in an hour of clips without it
    }


@pytest.mark.parametrize(("alarms", "recall"), [(0, 0.5), (1.9, 0.5), (2, 1.0)])
def test_false_alarms_are_counted_over_the_clips_without_the_class(alarms, recall):
    found = chosen(Wanted(alarms))
    assert found["recall"] == recall
    assert found["false_alarms_per_hour"] <= alarms


def test_what_cannot_be_reached_is_said():
    with pytest.raises(
        UsageError, match=r"The class 'dog' cannot be told with 0 false alarms an hour: .* its 1 validation"
    ):
        choose(VALUES[3:9], [0, 3, 6], TRUTH[1:3], SECONDS[:2], ["dog"], Wanted(0))
    with pytest.raises(UsageError, match=r"Received -1 false alarms an hour"):
        Wanted(-1)


def test_pooling_begins_anew_with_every_clip():
    scores = np.random.default_rng(0).integers(0, 256, (30, 4))
    alpha = np.array([0, 100, 3000, 65535])
    found = pooled(scores, [0, 12, 30], 5, alpha)
    detector = listen.Detector(alpha, [65535] * 4, window=5, rest=0)
    for first, last in ((0, 12), (12, 30)):
        detector.start()
        for row in range(first, last):
            detector.hear(scores[row])
            assert found[row].tolist() == detector.pooled.tolist()
