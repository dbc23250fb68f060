"""Fidelity: does the student match the teacher? (Stanton et al., NeurIPS 2021: not the same as being right.)

All figures compare the student's embeddings with phi(teacher's), frame by frame, both (N, d). R² and cosine
ask whether they are the same vectors; linear CKA and the overlap of neighbours, whether they lie alike among
themselves, which is all that some objectives aim at and all that there is where d differs.
"""

from collections.abc import Callable, Sequence

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


def cka(target: np.ndarray, embedding: np.ndarray) -> float:
    """Linear centred kernel alignment, in [0, 1]: 1 for embeddings that differ by a rotation and a scale.

    |X'Y|^2 / (|X'X| |Y'Y|) of the centred embeddings, Frobenius norms (Kornblith et al., ICML 2019,
    equation 3). target (N, d), embedding (N, e). NaN where one of them does not vary. Its bootstrap interval
    may lie above it where recordings are few: those that are drawn twice are alike.
    """
    x, y = (np.asarray(each, np.float64) for each in (target, embedding))
    least = [len(each) * _rounding(each) for each in (x, y)]
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    if any(np.square(each).sum() <= rounding for each, rounding in zip((x, y), least, strict=True)):
        return np.nan
    return float(np.square(x.T @ y).sum() / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y)))


def knn_overlap(target: np.ndarray, embedding: np.ndarray, k: int = NEIGHBOURS) -> float:
    """Mean share of a frame's k nearest neighbours (by cosine) that both spaces have in common, in [0, 1].

    NaN where there are not more than k frames.
    """
    step = _step(target)
    return float(np.mean(_overlaps(target[::step], embedding[::step], k)))


def fidelity(target: np.ndarray, embedding: np.ndarray, groups: Sequence | np.ndarray | None = None) -> dict:
    """All four, with the number of frames; None where a figure is not defined, as R² and cosine of embeddings
    of another dimension.

    groups : the recording of every frame; adds 'intervals', {figure: {'low', 'high'}}, bootstrap intervals
        over recordings (see `metrics`). A frame's neighbours are those among all frames in every resample.
    """
    step, alike = _step(target), target.shape == embedding.shape
    values = {
        "r2": r2(target, embedding) if alike else np.nan,
        "cosine": cosine(target, embedding) if alike else np.nan,
        "cka": cka(target[::step], embedding[::step]),
        "knn_overlap": knn_overlap(target, embedding),
    }
    found = {**{k: (v if np.isfinite(v) else None) for k, v in values.items()}, "frames": len(target)}
    if groups is None:
        return found
    return found | {"intervals": _intervals(target, embedding, np.asarray(groups))}


def _intervals(target: np.ndarray, embedding: np.ndarray, groups: np.ndarray) -> dict:
    names, recording = np.unique(groups, return_inverse=True)
    step = _step(target)
    figures = _same(target, embedding, recording) if target.shape == embedding.shape else {}
    figures["cka"] = _aligned(target[::step], embedding[::step], recording[::step], len(names))
    figures["knn_overlap"] = _near(target[::step], embedding[::step], recording[::step], len(names))
    found = {}
    for name, figure in figures.items():
        interval = metrics.interval(figure, names.tolist())
        found[name] = {end: interval[end] for end in ("low", "high")}
    return found


# Every figure is made of sums over frames, so of sums over recordings: a resample is a weighting of them.
# Each of the following returns a function of the recordings that were drawn, with repetition.


def _same(target: np.ndarray, embedding: np.ndarray, recording: np.ndarray) -> dict[str, Callable]:
    """R² and cosine."""
    target = np.asarray(target, np.float64)
    error = np.square(target - embedding).sum(axis=1)
    alike = (normalised(target) * normalised(embedding)).sum(axis=1)
    least = _rounding(target)
    target = target - target.mean(axis=0)  # no figure changes, and the sums stay small
    square = np.square(target).sum(axis=1)
    sums = np.zeros((recording.max() + 1, target.shape[1] + 4))
    np.add.at(sums, recording, np.column_stack([target, error, square, alike, np.ones(len(target))]))

    def explained(picked):
        *total, error, square, _, frames = sums[picked].sum(axis=0)
        spread = square - np.square(total).sum() / frames
        return 1 - error / spread if spread > least else np.nan

    def mean(picked):
        return sums[picked, -2].sum() / sums[picked, -1].sum()

    return {"r2": explained, "cosine": mean}


def _aligned(target: np.ndarray, embedding: np.ndarray, recording: np.ndarray, count: int) -> Callable:
    """Linear CKA by kernels: |X'Y|^2 of centred embeddings is the sum of all K_ij L_ij of centred kernels."""
    centred = (each - each.mean(axis=0) for each in (np.asarray(target, np.float64), embedding))
    kernels = [each @ each.T for each in centred]
    of = np.eye(count)[recording]  # (frames, recordings)
    pairs = ((0, 1), (0, 0), (1, 1))
    products = [of.T @ (kernels[a] * kernels[b]) @ of for a, b in pairs]
    rows = [kernel @ of for kernel in kernels]

    def cka(picked):
        weight = np.bincount(picked, minlength=count).astype(np.float64)
        each = weight[recording]
        if not each.any():
            return np.nan
        means = [row @ weight / each.sum() for row in rows]
        totals = [each @ mean for mean in means]
        xy, xx, yy = (
            weight @ product @ weight - 2 * (each * means[a]) @ means[b] * each.sum() + totals[a] * totals[b]
            for product, (a, b) in zip(products, pairs, strict=True)
        )
        return xy / np.sqrt(xx * yy) if min(xx, yy) > 0 else np.nan

    return cka


def _near(target: np.ndarray, embedding: np.ndarray, recording: np.ndarray, count: int) -> Callable:
    """Overlap of neighbours."""
    overlap = _overlaps(target, embedding, NEIGHBOURS)
    shared = np.zeros((count, 2))
    np.add.at(shared, recording, np.column_stack([overlap, np.ones(len(overlap))]))

    def neighbours(picked):
        overlap, frames = shared[picked].sum(axis=0)
        return overlap / frames if frames else np.nan

    return neighbours


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
