"""Fidelity: does the student match the teacher? (Stanton et al., NeurIPS 2021: not the same as being right.)

All figures compare the student's embeddings with phi(teacher's), frame by frame, both (N, d).
"""

import numpy as np

NEIGHBOURS = 10
# Neighbour overlap compares all pairs: this many frames at most, evenly spread over what is given.
MOST_FRAMES = 2_000


def r2(target: np.ndarray, embedding: np.ndarray) -> float:
    """Explained variance over all dimensions together: 1 - sum (t - s)^2 / sum (t - mean t)^2. At most 1."""
    target, embedding = np.asarray(target, np.float64), np.asarray(embedding, np.float64)
    spread = np.square(target - target.mean(axis=0)).sum()
    return float(1 - np.square(target - embedding).sum() / spread) if spread else float("nan")


def cosine(target: np.ndarray, embedding: np.ndarray) -> float:
    """Mean cosine between a frame's two embeddings, in [-1, 1]; a zero embedding counts as 0."""
    return float((normalised(target) * normalised(embedding)).sum(axis=1).mean())


def knn_overlap(target: np.ndarray, embedding: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Mean share of a frame's k nearest neighbours (by cosine) that both spaces have in common, in [0, 1].

    NaN where there are not more than k frames.
    """
    step = -(-len(target) // MOST_FRAMES)
    target, embedding = target[::step], embedding[::step]
    if len(target) <= k:
        return float("nan")
    ours, theirs = _neighbours(embedding, k), _neighbours(target, k)
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in zip(ours, theirs, strict=True)]))


def fidelity(target: np.ndarray, embedding: np.ndarray) -> dict:
    """All three, with the number of frames; None where a figure is not defined."""
    values = {
        "r2": r2(target, embedding),
        "cosine": cosine(target, embedding),
        "knn_overlap": knn_overlap(target, embedding),
    }
    return {**{k: (v if np.isfinite(v) else None) for k, v in values.items()}, "frames": len(target)}


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
