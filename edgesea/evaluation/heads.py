"""Heads: a downstream classifier on frozen embeddings, scored by cross-validation grouped by recording.

The head is a logistic regression on the standardised mean embedding of a clip, strongly regularised
(C = 0.01, scikit-learn's L2 penalty): with few clips a class, anything larger measures the head and not the
embedding. All embeddings that are compared are scored on the same splits; where each clip has one class,
every fold gets its share of each, as far as whole recordings allow.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgesea.errors import UsageError

FOLDS, SEEDS = 4, 5


@dataclass(frozen=True)
class Task:
    """Labelled clips.

    labels : for every clip its class names (one, or several where some clip has several)
    groups : the recording of every clip; no recording is on both sides of a split
    """

    labels: tuple[tuple[str, ...], ...]
    groups: tuple[str, ...]

    def __post_init__(self):
        classes = {name for names in self.labels for name in names}
        recordings = len(set(self.groups))
        if len(classes) < 2 or recordings < FOLDS:
            raise UsageError(
                f"A head needs at least 2 classes and {FOLDS} recordings, and the data has "
                f"{len(classes)} and {recordings}: give more labelled sound."
            )

    @property
    def metric(self) -> str:
        """'accuracy', or 'micro_auprc' (micro-averaged area under precision-recall) where labels overlap."""
        return "micro_auprc" if any(len(names) != 1 for names in self.labels) else "accuracy"

    def score(self, embeddings: np.ndarray, seeds: Sequence[int] = range(SEEDS)) -> dict:
        """embeddings (clips, d) -> mean, sd over seeds, and the score of every seed; each in [0, 1]."""
        from threadpoolctl import threadpool_limits

        # These matrices are small: threads would spend their time waiting for each other, 30 times as long.
        # Classes with fewer clips than folds are scored all the same: no warning for every seed.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            scores = [self._score(np.asarray(embeddings, np.float64), seed) for seed in seeds]
        return {"mean": float(np.mean(scores)), "sd": float(np.std(scores)), "seeds": scores}

    def _score(self, embeddings: np.ndarray, seed: int) -> float:
        from sklearn.metrics import accuracy_score, average_precision_score
        from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
        from sklearn.preprocessing import MultiLabelBinarizer

        truth = MultiLabelBinarizer().fit_transform(self.labels)
        single = self.metric == "accuracy"
        values = np.zeros(truth.shape)
        # Stratifying needs one class at least with a clip for every fold.
        stratified = single and truth.sum(axis=0).max() >= FOLDS
        folds = StratifiedGroupKFold if stratified else GroupKFold
        splits = folds(FOLDS, shuffle=True, random_state=seed).split(
            embeddings, truth.argmax(axis=1), self.groups
        )
        for fitted, scored in splits:
            if single:
                values[scored] = _one_of_many(embeddings[fitted], truth[fitted], embeddings[scored])
            else:
                values[scored] = _many(embeddings[fitted], truth[fitted], embeddings[scored])
        if single:
            return float(accuracy_score(truth.argmax(axis=1), values.argmax(axis=1)))
        return float(average_precision_score(truth, values, average="micro"))


def _classifier():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))


def _one_of_many(fitted: np.ndarray, truth: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """Class probabilities (clips, classes); a class that the fitted clips lack gets 0."""
    head = _classifier().fit(fitted, truth.argmax(axis=1))
    values = np.zeros((len(scored), truth.shape[1]))
    values[:, head.classes_] = head.predict_proba(scored)
    return values


def _many(fitted: np.ndarray, truth: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """One head a class; a class that all fitted clips have, or none, gets that share as its probability."""
    values = np.empty((len(scored), truth.shape[1]))
    for k, column in enumerate(truth.T):
        if column.min() == column.max():
            values[:, k] = column[0]
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", category=UserWarning)
                values[:, k] = _classifier().fit(fitted, column).predict_proba(scored)[:, 1]
    return values
