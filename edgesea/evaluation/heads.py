"""Heads: a downstream classifier on frozen embeddings, scored on clips that it was not fitted to.

Two tasks. `Task` is for labelled clips without splits of their own: cross-validation grouped by recording,
and no choice to make. `SplitTask` is for datasets whose authors split them: the heads of `mil`, chosen on the
validation clips.

The head of `Task` is a logistic regression on the standardised mean embedding of a clip, as strongly
regularised as suits that embedding, which each split chooses on the clips that it fits to: see `logistic`.
All embeddings that are compared are scored on the same splits; where each clip has one class, every fold gets
its share of each, as far as whole recordings allow.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgesea.decisions.mil import SHAPES, Bags, select
from edgesea.errors import UsageError
from edgesea.evaluation import logistic
from edgesea.measures import metrics

FOLDS, SEEDS = 4, 5
# Per class, for a head that is scored once a seed: a class of a few clips has a wide interval anyway.
CLASS_RESAMPLES = 200


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

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({name for names in self.labels for name in names}))

    def score(self, embeddings: np.ndarray, seeds: Sequence[int] = range(SEEDS)) -> dict:
        """embeddings (clips, d) -> 'mean' and 'sd' over seeds, the score of each of the 'seeds', in [0, 1];
        the bootstrap 'interval' of the mean, by recording; 'classes', see `metrics.report`; 'c', what each
        split of each seed chose, see `logistic.choose`; 'values', the mean (clips, classes) over seeds."""
        values, chosen = self.values(embeddings, seeds)
        truth = _truth(self.labels, self.classes)
        metric = metrics.accuracy if self.metric == "accuracy" else metrics.micro_auprc
        scores = [metric(truth, each) for each in values]
        spread = metrics.interval(
            lambda picked: float(np.mean([metric(truth[picked], each[picked]) for each in values])),
            self.groups,
        )
        joined = np.mean(values, axis=0)
        found = metrics.report(truth, joined, self.classes, self.groups, resamples=CLASS_RESAMPLES)
        return {
            "mean": float(np.mean(scores)),
            "sd": float(np.std(scores)),
            "seeds": scores,
            "interval": {key: spread[key] for key in ("low", "high")},
            "classes": found["classes"],
            "c": chosen,
            "values": joined,
        }

    def values(
        self, embeddings: np.ndarray, seeds: Sequence[int] = range(SEEDS)
    ) -> tuple[np.ndarray, list[list[float]]]:
        """embeddings (clips, d) -> (seeds, clips, classes) probabilities, and the C of every seed and split.

        Each is said by a head that never heard the clip's recording, nor was chosen with it.
        """
        from threadpoolctl import threadpool_limits

        # These matrices are small: threads would spend their time waiting for each other, 30 times as long.
        # Classes with fewer clips than folds are scored all the same: no warning for every seed.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            found = [self._values(np.asarray(embeddings, np.float64), seed) for seed in seeds]
        return np.stack([values for values, _ in found]), [chosen for _, chosen in found]

    def _values(self, embeddings: np.ndarray, seed: int) -> tuple[np.ndarray, list[float]]:
        """(clips, classes) probabilities, each by the head of the split that scores the clip; their C."""
        truth = _truth(self.labels, self.classes)
        groups = np.array(self.groups)
        single = self.metric == "accuracy"
        values, chosen = np.zeros(truth.shape), []
        for fitted, scored in logistic.splits(truth, groups, FOLDS, seed):
            ours = embeddings[fitted], truth[fitted]
            chosen.append(logistic.choose(*ours, groups[fitted], single, seed))
            values[scored] = logistic.values(*ours, embeddings[scored], single, chosen[-1])
        return values, chosen


@dataclass(frozen=True)
class SplitTask:
    """Labelled clips with the splits of their authors, for trained heads.

    labels : for every clip its class names; () is a clip in which none of the classes is heard
    groups : the recording of every clip
    splits : (train, validation, test), each indices of clips; one, or one a fold. No clip is tested twice.
    """

    labels: tuple[tuple[str, ...], ...]
    groups: tuple[str, ...]
    splits: tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted({name for names in self.labels for name in names}))

    def truth(self) -> np.ndarray:
        """(clips, classes) of 0 and 1."""
        return _truth(self.labels, self.classes)

    def score(
        self,
        bags: Bags,
        pooling: str,
        *,
        shapes: Sequence[tuple[int, int]] = SHAPES,
        seed: int = 0,
        resamples: int = metrics.RESAMPLES,
    ) -> dict:
        """Trains a head on each split and scores the tested clips of all of them together.

        bags : the frames of every clip, in the order of `labels`
        pooling, shapes, seed : see `mil.select`; resamples : see `metrics.report`

        Returns what `metrics.report` does, with 'pooling', 'heads' (hidden layers and units, split by split)
        and, of several splits, 'folds' (the value of each, 'accuracy' or 'macro_auprc').
        """
        truth = self.truth()
        scores = np.zeros(truth.shape)
        heads, values = [], []
        for train, validation, test in self.splits:
            parts = [(bags.select(part), truth[part]) for part in (train, validation)]
            head = select(*parts, pooling=pooling, shapes=shapes, seed=seed)
            scores[test] = head.scores(bags.select(test))
            heads.append({"hidden": head.hidden, "units": head.units})
            single = (truth[test].sum(axis=1) == 1).all()
            metric = metrics.accuracy if single else metrics.macro_auprc
            values.append(metric(truth[test], scores[test]))
        tested = np.concatenate([test for _, _, test in self.splits])
        groups = [self.groups[k] for k in tested]
        found = metrics.report(
            truth[tested], scores[tested], self.classes, groups, resamples=resamples, seed=seed
        )
        return {**found, "pooling": pooling, "heads": heads} | (
            {"folds": values} if len(self.splits) > 1 else {}
        )


def given_splits(folds: Sequence[int | None]) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]:
    """The splits that a dataset's authors gave: 0, 1, 2 are train, validate and test, once; other numbers are
    folds, see `given_folds`, which says what is refused."""
    if set(folds) == {0, 1, 2}:
        train, validation, test = (np.flatnonzero(np.equal(folds, part)) for part in range(3))
        return ((train, validation, test),)
    return given_folds(folds)


def given_folds(folds: Sequence[int | None]) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], ...]:
    """The splits of a dataset with folds, as its authors mean them: each is tested once.

    folds : the fold of every clip. The one after the tested fold (the first after the last) validates, all
        others train: no clip moves from its fold.

    Raises `UsageError` for clips without a fold, and for fewer than three folds.
    """
    if None in folds or len(set(folds)) < 3:
        raise UsageError(
            f"Cross-validation needs a fold for every clip and three folds at least, and the data has "
            f"{len(set(folds) - {None})} and {list(folds).count(None)} clips without: give whole data."
        )
    names = sorted(set(folds))
    fold = np.asarray(folds)
    splits = []
    for k, tested in enumerate(names):
        validating = names[(k + 1) % len(names)]
        train = np.flatnonzero((fold != tested) & (fold != validating))
        splits.append((train, np.flatnonzero(fold == validating), np.flatnonzero(fold == tested)))
    return tuple(splits)


def _truth(labels: Sequence[Sequence[str]], classes: Sequence[str]) -> np.ndarray:
    """(clips, classes) of 0 and 1."""
    return np.array([[name in names for name in classes] for names in labels], np.int8)
