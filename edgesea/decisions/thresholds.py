"""From pooled scores of validation clips to a threshold a class.

A class is heard in a clip where its pooled score reaches the threshold. A false alarm is each time that it
does so anew in a clip without the class; the clips' own length is the time that they are counted over.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from edgesea.errors import UsageError
from edgesea.listen import listen


@dataclass(frozen=True)
class Wanted:
    """What thresholds are chosen for: false alarms an hour at most, or, where that is None, the best F1."""

    false_alarms: float | None = None

    def __post_init__(self):
        if self.false_alarms is not None and not 0 <= self.false_alarms < 1e6:
            raise UsageError(
                f"Received {self.false_alarms} false alarms an hour: give a number of at least 0."
            )

    def __str__(self) -> str:
        return "best F1" if self.false_alarms is None else f"{self.false_alarms:g} false alarms an hour"


def pooled(scores: np.ndarray, ends: Sequence[int], window: int, alpha: np.ndarray) -> np.ndarray:
    """Scores of frames -> pooled scores, clip by clip.

    scores : (N, classes) 0..255; ends : (clips + 1,), clip k has the frames ends[k] to ends[k + 1]
    window, alpha : see `listen.Detector`

    Returns (N, classes) int64, 0..65280.
    """
    found = np.zeros(scores.shape, np.int64)
    for first, last in pairwise(ends):
        for row in range(first, last):
            found[row] = listen.pooled(scores[max(first, row - window + 1) : row + 1].astype(np.int64), alpha)
    return found


def choose(
    values: np.ndarray,
    ends: Sequence[int],
    truth: np.ndarray,
    seconds: np.ndarray,
    labels: Sequence[str],
    wanted: Wanted,
) -> list[dict]:
    """A threshold for each class.

    values : (N, classes) pooled scores of frames; ends : see `pooled`
    truth : (clips, classes) of 0 and 1; seconds : (clips,), the clips' lengths

    Returns a class each, see `formats.head.Threshold`, with 'threshold' 1..65280 in 1/65536.
    Raises `UsageError` for a class that cannot be told at what is wanted.
    """
    return [
        _of_class(values[:, k], ends, truth[:, k].astype(bool), seconds, label, wanted)
        for k, label in enumerate(labels)
    ]


def _of_class(value, ends, has, seconds, label, wanted: Wanted) -> dict:
    peaks = np.array([value[first:last].max() for first, last in pairwise(ends)])
    hours = max(float(seconds[~has].sum()), 1e-9) / 3600
    best, reached = None, (-1.0, -1.0)
    for threshold in np.unique(peaks[has & (peaks > 0)])[::-1].tolist():
        alarms = sum(
            _rises(value[first:last], threshold)
            for (first, last), own in zip(pairwise(ends), has, strict=True)
            if not own
        )
        hits = int((peaks[has] >= threshold).sum())
        said = int((peaks >= threshold).sum())
        found = {
            "threshold": _between(threshold, peaks),
            "clips": int(has.sum()),
            "recall": hits / int(has.sum()),
            "precision": hits / said,
            "false_alarms_per_hour": alarms / hours,
        }
        if wanted.false_alarms is None:
            merit = (2 * hits / (said + int(has.sum())), found["precision"])
        elif found["false_alarms_per_hour"] <= wanted.false_alarms:
            merit = (found["recall"], 0.0)
        else:
            continue
        if merit > reached:
            best, reached = found, merit
    if best is None:
        raise UsageError(
            f"The class {label!r} cannot be told with {wanted}: at such a threshold none of its "
            f"{int(has.sum())} validation clips is heard; allow more with --false-alarms, give more of its "
            "sound, or leave it out."
        )
    return best


def _rises(value: np.ndarray, threshold: int) -> int:
    """How often a stream reaches a threshold anew."""
    high = value >= threshold
    return int(high[:1].sum() + (high[1:] & ~high[:-1]).sum())


def _between(threshold: int, peaks: np.ndarray) -> int:
    """Half way down to the next lower peak: the same clips are heard, and both sides have the same margin."""
    below = peaks[peaks < threshold]
    return max(1, (threshold + int(below.max() if len(below) else 0) + 1) // 2)
