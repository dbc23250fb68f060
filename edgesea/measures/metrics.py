"""Metrics of a head's scores, each with a bootstrap confidence interval.

Conventions
- truth (clips, classes) bool or 0 and 1; scores (clips, classes), larger where a class is likelier.
- Area under the precision-recall curve is scikit-learn's average precision, without interpolation. *micro*
  takes all classes' decisions together, *macro* is the mean over the classes that some clip has.
- Intervals are percentiles of the figure over resamples of whole recordings with replacement (Efron, 1979):
  the clips of a recording are alike, and to draw them one by one would promise too much. A resample in which
  a figure is not defined is left out of it.
"""

from collections.abc import Callable, Sequence

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95


def average_precision(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of every class, (classes,) in [0, 1]; NaN for a class that no clip has.

    The mean, over the clips that have the class, of the precision among all that score at least as much.
    All classes at once and without looking at its input: the resamples ask thousands of times, and of
    scikit-learn's `average_precision_score` that was more than half of an evaluation.
    """
    order = np.argsort(-scores, axis=0, kind="stable")
    has = np.take_along_axis(np.asarray(truth, bool), order, axis=0)
    score = np.take_along_axis(scores, order, axis=0)
    place = np.arange(len(has))[:, None]
    # Clips of one score come together: the last of them says for all.
    last = np.where(np.diff(score, axis=0, append=np.nan) != 0, place, len(has))
    last = np.minimum.accumulate(last[::-1], axis=0)[::-1]
    precision = np.take_along_axis(np.cumsum(has, axis=0) / (place + 1), last, axis=0)
    count = has.sum(axis=0)
    return np.where(count > 0, (precision * has).sum(axis=0) / np.maximum(count, 1), np.nan)


def micro_auprc(truth: np.ndarray, scores: np.ndarray) -> float:
    """In [0, 1]; NaN where no clip has any class."""
    return float(average_precision(truth.reshape(-1, 1), scores.reshape(-1, 1))[0])


def macro_auprc(truth: np.ndarray, scores: np.ndarray) -> float:
    """In [0, 1]; NaN where no clip has any class."""
    return _mean(average_precision(truth, scores))


def accuracy(truth: np.ndarray, scores: np.ndarray) -> float:
    """Share of clips whose largest score is of their one class, in [0, 1]."""
    return float((scores.argmax(axis=1) == truth.argmax(axis=1)).mean())


def recall(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Share of each class's clips that have their largest score there, (classes,); NaN for one without."""
    right = truth * (scores.argmax(axis=1) == truth.argmax(axis=1))[:, None]
    count = truth.sum(axis=0)
    return np.where(count > 0, right.sum(axis=0) / np.maximum(count, 1), np.nan)


def report(
    truth: np.ndarray,
    scores: np.ndarray,
    classes: Sequence[str],
    groups: Sequence[str],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict:
    """Every figure with its interval, as JSON values.

    classes : the columns' names; groups : the recording of every clip

    Returns {'micro_auprc': {'value', 'low', 'high'}, 'macro_auprc': ..., 'classes': {name: {'clips',
    'average_precision': {...}}}, 'clips', 'recordings', 'resamples', 'level'}, and where every clip has
    exactly one class 'accuracy', and each class's 'recall'. A figure that is not defined is None.
    """
    truth = np.asarray(truth).astype(bool)
    single = bool((truth.sum(axis=1) == 1).all())
    found = _figures(truth, scores, single)
    members = _members(groups)
    drawn = [
        _figures(truth[picked], scores[picked], single) for picked in _resamples(members, resamples, seed)
    ]
    whole = [name for name in ("accuracy", "micro_auprc", "macro_auprc") if name in found]
    each = [name for name in ("average_precision", "recall") if name in found]
    return {
        **{name: _interval(found[name], [one[name] for one in drawn]) for name in whole},
        "classes": {
            label: {
                "clips": int(truth[:, k].sum()),
                **{name: _interval(found[name][k], [one[name][k] for one in drawn]) for name in each},
            }
            for k, label in enumerate(classes)
        },
        "clips": len(truth),
        "recordings": len(members),
        "resamples": resamples,
        "level": LEVEL,
    }


def interval(
    figure: Callable[[np.ndarray], float], groups: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0
) -> dict:
    """A figure with its interval, {'value', 'low', 'high'}.

    figure : indices of items (with repetition) -> its value for them; NaN where it is not defined
    groups : the recording of every item
    """
    drawn = [figure(picked) for picked in _resamples(_members(groups), resamples, seed)]
    return _interval(figure(np.arange(len(groups))), drawn)


def _figures(truth: np.ndarray, scores: np.ndarray, single: bool) -> dict:
    each = average_precision(truth, scores)
    found = {
        "micro_auprc": micro_auprc(truth, scores),
        "macro_auprc": _mean(each),
        "average_precision": each,
    }
    if single:
        found |= {"accuracy": accuracy(truth, scores), "recall": recall(truth, scores)}
    return found


def _members(groups: Sequence[str]) -> list[np.ndarray]:
    """The clips of each recording."""
    places = np.unique(list(groups), return_inverse=True)[1]
    order = np.argsort(places, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(places[order])) + 1)


def _resamples(members: list[np.ndarray], count: int, seed: int):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])


def _mean(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _interval(value: float, drawn: Sequence[float]) -> dict:
    defined = np.array(drawn, np.float64)
    defined = defined[~np.isnan(defined)]
    low, high = (None, None)
    if len(defined):
        low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return {"value": None if np.isnan(value) else float(value), "low": low, "high": high}
