"""Fidelity: does the student match the teacher? (Stanton et al., NeurIPS 2021: not the same as being right.)

All figures compare the student's embeddings with phi(teacher's), frame by frame, both (N, d).
"""

from collections.abc import Sequence

import numpy as np

from edgesea.measures import metrics

NEIGHBOURS = 10
# Neighbour overlap compares all pairs: this many frames at most, evenly spread over what is given.
MOST_FRAMES = 2_000


def r2(target: np.ndarray, embedding: np.ndarray) -> float:
    """Explained variance over all dimensions together: 1 - sum (t - s)^2 / sum (t - mean t)^2. At most 1.

    NaN where the target does not vary.
    """
    target, embedding = np.asarray(target, np.float64), np.asarray(embedding, np.float64)
    spread = np.square(target - target.mean(axis=0)).sum()
    return float(1 - np.square(target - embedding).sum() / spread) if spread > _rounding(target) else np.nan


def cosine(target: np.ndarray, embedding: np.ndarray) -> float:
    """Mean cosine between a frame's two embeddings, in [-1, 1]; a zero embedding counts as 0."""
    return float((normalised(target) * normalised(embedding)).sum(axis=1).mean())


def knn_overlap(target: np.ndarray, embedding: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Mean share of a frame's k nearest neighbours (by cosine) that both spaces have in common, in [0, 1].

    NaN where there are not more than k frames.
    """
    step = _step(target)
    return float(np.mean(_overlaps(target[::step], embedding[::step], k)))


def fidelity(target: np.ndarray, embedding: np.ndarray, groups: Sequence | np.ndarray | None = None) -> dict:
    """All three, with the number of frames; None where a figure is not defined.

    groups : the recording of every frame; adds 'intervals', {figure: {'low', 'high'}}, bootstrap intervals
        over recordings (see `metrics`). A frame's neighbours are those among all frames in every resample.
    """
    values = {
        "r2": r2(target, embedding),
        "cosine": cosine(target, embedding),
        "knn_overlap": knn_overlap(target, embedding),
    }
    found = {**{k: (v if np.isfinite(v) else None) for k, v in values.items()}, "frames": len(target)}
    if groups is None:
        return found
    return found | {"intervals": _intervals(target, embedding, np.asarray(groups))}


def _intervals(target: np.ndarray, embedding: np.ndarray, groups: np.ndarray) -> dict:
    target = np.asarray(target, np.float64)
    error = np.square(target - embedding).sum(axis=1)
    alike = (normalised(target) * normalised(embedding)).sum(axis=1)
    step = _step(target)
    overlap = _overlaps(target[::step], embedding[::step], NEIGHBOURS)
    least = _rounding(target)
    target = target - target.mean(axis=0)  # no figure changes, and the sums stay small
    square = np.square(target).sum(axis=1)
    names, recording = np.unique(groups, return_inverse=True)
    # Every figure is made of sums over frames, so of sums over recordings: a resample is a weighting of them.
    sums = np.zeros((len(names), target.shape[1] + 4))
    np.add.at(sums, recording, np.column_stack([target, error, square, alike, np.ones(len(target))]))
    shared = np.zeros((len(names), 2))
    np.add.at(shared, recording[::step], np.column_stack([overlap, np.ones(len(overlap))]))

    def of(figure):
        found = metrics.interval(figure, names)
        return {key: found[key] for key in ("low", "high")}

    def explained(picked):
        *total, error, square, _, frames = sums[picked].sum(axis=0)
        spread = square - np.square(total).sum() / frames
        return 1 - error / spread if spread > least else np.nan

    def mean(picked):
        return sums[picked, -2].sum() / sums[picked, -1].sum()

    def neighbours(picked):
        overlap, frames = shared[picked].sum(axis=0)
        return overlap / frames if frames else np.nan

    return {"r2": of(explained), "cosine": of(mean), "knn_overlap": of(neighbours)}


def _rounding(target: np.ndarray) -> float:
    """What the spread of a target that does not vary may come to, since its mean is rounded."""
    return target.size * float(np.square(2 * np.finfo(np.float64).eps * np.abs(target).max()))


def _step(target: np.ndarray) -> int:
    return -(-len(target) // MOST_FRAMES)


def _overlaps(target: np.ndarray, embedding: np.ndarray, k: int) -> np.ndarray:
    """Of every frame, (N,); NaN where there are not more than k frames."""
    if len(target) <= k:
        return np.full(len(target), np.nan)
    ours, theirs = _neighbours(embedding, k), _neighbours(target, k)
    return np.array([len(np.intersect1d(a, b)) / k for a, b in zip(ours, theirs, strict=True)])


def normalised(embeddings: np.ndarray) -> np.ndarray:
    """Rows of length 1; rows of zeros stay zero."""
    embeddings = np.asarray(embeddings, np.float64)
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    return embeddings / np.where(length > 0, length, 1)


def _neighbours(embeddings: np.ndarray, k: int) -> np.ndarray:
    unit = normalised(embeddings)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return np.argpartition(-similarity, k, axis=1)[:, :k]
