"""Soft labels: the teacher's distribution over classes for every frame, as logits (C,).

They have one of two sources.

scores  the teacher's own class outputs, of a teacher that also classifies. Scores that add up to 1 are a
        distribution p, with logits log p. Scores in [0, 1] that do not are independent probabilities, one a
        class (YAMNet's), with logits log(p / (1 - p)): their softmax is a distribution over the classes
        that has the same order and the same ratios of odds. Anything else counts as logits.
head    a logistic regression on the teacher's embeddings of the training recordings, fitted to the labels of
        their clips: what any teacher says of the classes of the data.

Both are functions of what the store holds for a frame, so a mixture has the soft label that the teacher gives
to the mixture, and not a mixture of soft labels. What a run uses lies in its soft.npz.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgesea import files
from edgesea.errors import EdgeseaError
from edgesea.store import Store

SOURCES = ("scores", "head")
MOST_FRAMES = 4000  # that a head is fitted on
PENALTIES, FOLDS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0), 3  # scikit-learn's C, tried in a cross-validation
_LEAST = 1e-7  # a probability of 0 has no logarithm


class SoftLabels:
    """Frames of a store -> the teacher's class logits.

    Attributes
    ----------
    kind : str
        "head", or what the teacher's scores are: "distribution", "independent" or "logits".
    classes : tuple of str
        Names of the classes, () where only the teacher knows them.
    count : int
        C, how many classes there are.
    """

    def __init__(self, kind: str, count: int, classes: Sequence[str] = (), weight=None, bias=None):
        self.kind, self.count, self.classes = kind, count, tuple(classes)
        self._weight, self._bias = weight, bias

    @property
    def column(self) -> str:
        """The teacher's output that they are made of."""
        return "embedding" if self.kind == "head" else "scores"

    def logits(self, store: Store, rows: np.ndarray) -> np.ndarray:
        """rows of a store -> (len(rows), C) float32."""
        return self.of(store.rows(self.column, rows))

    def of(self, outputs: np.ndarray) -> np.ndarray:
        """What the teacher gives for frames, (N, n) embeddings or (N, C) scores -> logits (N, C) float32."""
        if self.kind == "head":
            return (np.asarray(outputs, np.float64) @ self._weight + self._bias).astype(np.float32)
        scores = np.asarray(outputs, np.float32).reshape(len(outputs), -1)
        if self.kind == "logits":
            return scores
        probable = np.clip(scores, _LEAST, 1 - _LEAST, dtype=np.float64)
        odds = np.log(probable) - (np.log1p(-probable) if self.kind == "independent" else 0)
        return odds.astype(np.float32)

    def save(self, path: Path | str) -> None:
        """Writes plain arrays (.npz), whole or not at all; `load` reads them."""
        arrays: dict[str, Any] = {"kind": np.array(self.kind), "count": np.array(self.count)}
        if self.classes:
            arrays["classes"] = np.array(self.classes)
        if self.kind == "head":
            arrays |= {"weight": self._weight, "bias": self._bias}
        with files.replacing(path) as temporary:
            np.savez(temporary, **arrays)


def of_scores(scores: np.ndarray) -> SoftLabels:
    """Soft labels from a teacher's class outputs, told apart by some of them, (N, ...)."""
    scores = np.asarray(scores, np.float64).reshape(len(scores), -1)
    kind = "logits"
    if scores.min() >= 0 and scores.max() <= 1:
        kind = "distribution" if np.allclose(scores.sum(axis=1), 1, atol=1e-2) else "independent"
    return SoftLabels(kind, scores.shape[1])


def of_labels(
    embeddings: np.ndarray, labels: Sequence[str], groups: Sequence[str], classes: Sequence[str]
) -> SoftLabels:
    """Soft labels from a head that is fitted here.

    The penalty is the one of `PENALTIES` with the likeliest labels in a cross-validation by recording, since
    a head that is sure of everything is no soft label.

    Parameters
    ----------
    embeddings : the teacher's, (N, n)
    labels, groups : class and recording of every frame
    classes : names of all classes; one that no frame has gets the logit of a share of 1e-7

    Raises
    ------
    EdgeseaError
        All frames are of one class.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    embeddings, truth = np.asarray(embeddings, np.float64), np.asarray(labels)
    if len(np.unique(truth)) < 2:
        raise EdgeseaError(
            f"All training recordings that can be used are labelled {labels[0]!r}: give more sound of "
            "other classes, or another --seed."
        )
    mean, spread = embeddings.mean(axis=0), embeddings.std(axis=0)
    spread[spread == 0] = 1
    unit = (embeddings - mean) / spread

    def fitted(rows, penalty):
        return LogisticRegression(C=penalty, max_iter=300).fit(unit[rows], truth[rows])

    # These matrices are small: threads would spend their time waiting for each other.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        splits = _splits(truth, np.asarray(groups))
        loss = [sum(_loss(fitted(a, c), unit[b], truth[b]) for a, b in splits) for c in PENALTIES]
        head = fitted(np.arange(len(unit)), PENALTIES[int(np.argmin(loss))])
    coefficients, intercept = head.coef_, head.intercept_
    if len(coefficients) == 1:  # of two classes scikit-learn fits the second alone
        coefficients, intercept = (
            np.concatenate([-coefficients, coefficients]) / 2,
            np.array([-1, 1]) * (intercept / 2),
        )
    weight, bias = np.zeros((unit.shape[1], len(classes))), np.full(len(classes), np.log(_LEAST))
    places = [list(classes).index(name) for name in head.classes_]
    weight[:, places] = coefficients.T / spread[:, None]
    bias[places] = intercept - mean @ weight[:, places]
    return SoftLabels("head", len(classes), classes, weight, bias)


def _splits(labels: np.ndarray, groups: np.ndarray) -> list:
    from sklearn.model_selection import StratifiedGroupKFold

    count = min(FOLDS, len(np.unique(groups)))
    if count < 2:
        return []
    splits = StratifiedGroupKFold(count).split(labels, labels, groups)
    return [(a, b) for a, b in splits if len(b) and len(np.unique(labels[a])) > 1]


def _loss(head, embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Sum of -log of what the head gives to the right class, where it knows that."""
    known = np.isin(labels, head.classes_)
    if not known.any():
        return 0.0
    said = head.predict_log_proba(embeddings[known])
    places = np.searchsorted(head.classes_, labels[known])
    return float(-said[np.arange(len(said)), places].sum())


def load(path: Path | str) -> SoftLabels:
    """The soft labels that `SoftLabels.save` wrote."""
    try:
        held = files.read_arrays(path)
        kind, count = str(held["kind"]), int(held["count"])
        classes = tuple(map(str, held.get("classes", ())))
        if kind not in ("head", "distribution", "independent", "logits"):
            raise ValueError(f"unknown kind {kind!r}")
        weight, bias = held.get("weight"), held.get("bias")
        if kind == "head" and not (
            weight is not None
            and bias is not None
            and weight.ndim == 2
            and weight.shape[1:] == bias.shape == (count,) == (len(classes),)
        ):
            raise ValueError("a head of other shapes")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EdgeseaError(
            f"Cannot read the soft labels {path} ({error}): delete it and run again."
        ) from error
    return SoftLabels(kind, count, classes, weight, bias)
