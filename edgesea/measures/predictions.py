"""Fidelity and calibration of class predictions (Stanton et al., NeurIPS 2021, "Does knowledge distillation
really work?", section 3).

Fidelity asks whether the student says what the teacher says: *agreement*, the share of items whose likeliest
class is the same for both, and the *predictive KL*, the mean of KL(p^T || p^S), in nats. Calibration asks
whether either means what it says: the *expected calibration error* (Guo et al., ICML 2017, equation 3), and
the *Brier score*, the mean over items of sum_c (p_c - y_c)^2, in [0, 2].

Conventions: probabilities (N, C), rows with the sum 1; truth (N,) integers, the one right class of each.
"""

from collections.abc import Sequence

import numpy as np

from edgesea.measures import metrics

BINS = 10
_LEAST = 1e-12


def softmax(logits: np.ndarray) -> np.ndarray:
    """(N, C) -> probabilities (N, C) float64."""
    shifted = np.asarray(logits, np.float64)
    powers = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def agreement(teacher: np.ndarray, student: np.ndarray) -> float:
    """Share of items with the same likeliest class, in [0, 1]."""
    return float((teacher.argmax(axis=1) == student.argmax(axis=1)).mean())


def divergence(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    """KL(p^T || p^S) of every item, (N,) >= 0, in nats; probabilities below 1e-12 count as that."""
    wanted, said = (np.clip(np.asarray(each, np.float64), _LEAST, 1) for each in (teacher, student))
    return np.maximum((wanted * (np.log(wanted) - np.log(said))).sum(axis=1), 0)


def brier(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """sum_c (p_c - y_c)^2 of every item, (N,) in [0, 2]."""
    right = np.eye(probabilities.shape[1])[truth]
    return np.square(probabilities - right).sum(axis=1)


def reliability(truth: np.ndarray, probabilities: np.ndarray) -> list[dict]:
    """What a reliability diagram shows, one entry a bin of the likeliest class's probability.

    Returns a list of {'low', 'high', 'count', 'confidence', 'accuracy'}, `BINS` bins of equal width over
    [0, 1]; the means of an empty bin are None.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    place = _bin(confidence)
    found = []
    for k in range(BINS):
        here = place == k
        entry: dict[str, float | None] = {"low": k / BINS, "high": (k + 1) / BINS, "count": int(here.sum())}
        means = {"confidence": confidence[here], "accuracy": right[here]}
        found.append(entry | {name: float(v.mean()) if len(v) else None for name, v in means.items()})
    return found


def calibration_error(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean over bins, by their items, of |accuracy - confidence|, in [0, 1]."""
    return _error(probabilities.max(axis=1), probabilities.argmax(axis=1) == truth)


def _error(confidence: np.ndarray, right: np.ndarray) -> float:
    return float(np.abs(np.bincount(_bin(confidence), right - confidence, BINS)).sum() / len(right))


def _bin(confidence: np.ndarray) -> np.ndarray:
    """Bins are closed at their upper end, as in Guo et al."""
    return np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)


def fidelity(teacher: np.ndarray, student: np.ndarray, groups: Sequence | None = None) -> dict:
    """{'agreement', 'predictive_kl'}, each {'value', 'low', 'high'}; an interval over recordings where the
    recording of every item is given, else its ends are None.
    """
    same = teacher.argmax(axis=1) == student.argmax(axis=1)
    apart = divergence(teacher, student)
    return {"agreement": _mean(same, groups), "predictive_kl": _mean(apart, groups)}


def calibration(truth: np.ndarray, probabilities: np.ndarray, groups: Sequence | None = None) -> dict:
    """{'accuracy', 'ece', 'brier', 'reliability'}; the first three as in `fidelity`.

    The calibration error of a resample is larger than that of the whole where bins hold few items: its
    interval may lie above its value.
    """
    right, confidence = probabilities.argmax(axis=1) == truth, probabilities.max(axis=1)

    def error(picked):
        return _error(confidence[picked], right[picked])

    whole = calibration_error(truth, probabilities)
    return {
        "accuracy": _mean(right, groups),
        "ece": {"value": whole, "low": None, "high": None}
        if groups is None
        else metrics.interval(error, groups),
        "brier": _mean(brier(truth, probabilities), groups),
        "reliability": reliability(truth, probabilities),
    }


def _mean(values: np.ndarray, groups: Sequence | None) -> dict:
    values = np.asarray(values, np.float64)
    if groups is None:
        return {"value": float(values.mean()), "low": None, "high": None}
    return metrics.interval(lambda picked: float(values[picked].mean()), groups)
