"""dpp and dpp-div: diverse frames are likelier (Srivastava et al., ICASSP 2021, section 3.2).

A set Y of k frames is drawn with the probability det(L_Y) / e_k(L), a k-DPP (Kulesza and Taskar,
"Determinantal point processes for machine learning", 2012), with the kernel

    dpp-div:  L_ij = S_ij              S_ij = the cosine between the teacher's embeddings of i and j
    dpp:      L_ij = q_i S_ij q_j      q_i  = the relevance of i as `spl` has it: its relative loudness

L is never formed. As L = B' B with B (n, N), its eigenvectors come from the dual kernel B B' (n, n) (their
section 3.3), and a draw is exact: O(N n^2 + N k^2) time, O(N n) memory.

L has at most n positive eigenvalues, so no k-DPP has more than n points, and near n it has hardly a choice. A
day that is to give more than n / 2 frames, or has more than `LARGEST`, is therefore cut into parts at random,
each a k-DPP of its own: diverse within each part. Where frames are so alike that L runs out of rank, what is
still wanted is drawn by another k-DPP from what is left, and at random where nothing is left but zeros.

DPPy does the same draw, but its elementary symmetric polynomials are not in the log domain, and its own list
of issues has ill-conditioned kernels of some thousand points failing in the k-DPP (issue 80, open in 2025).
"""

import numpy as np

from edgesea.sampling.base import Candidates, Sampler
from edgesea.sampling.spl import day_relevance

# Candidates of one draw, at most: 160 MB of 512-d embeddings in float64.
LARGEST = 40_000


class DiverseDPP(Sampler):
    """A k-DPP of the embeddings' cosines: frames that differ from each other."""

    name = "dpp-div"

    def choose(self, candidates: Candidates, day: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        quality = self._quality(candidates, day)
        dimension = candidates.embeddings(day[:1]).shape[1]
        parts = max(-(-len(day) // LARGEST), -(-n // max(1, dimension // 2)))
        shuffled = rng.permutation(len(day))
        shares = [len(share) for share in np.array_split(np.arange(n), parts)]
        chosen = []
        # Sorting reads the store in its order, and changes no probability.
        for part, share in zip(map(np.sort, np.array_split(shuffled, parts)), shares, strict=True):
            features = _unit(candidates.embeddings(day[part]))
            features *= quality[part, None]
            chosen.append(part[k_dpp(features, share, rng)])
        return day[np.concatenate(chosen)]

    def _quality(self, candidates: Candidates, day: np.ndarray) -> np.ndarray:
        return np.ones(len(day))


class DPP(DiverseDPP):
    """A k-DPP of cosine and relevance: frames that differ, and are loud for their time of day."""

    name = "dpp"
    by_level = True

    def _quality(self, candidates: Candidates, day: np.ndarray) -> np.ndarray:
        return day_relevance(candidates, day)


def k_dpp(features: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k of the rows of `features` (N, n) float64, a k-DPP with the kernel features @ features.T.

    Returns (k,) int64 indices, k <= N, all different; see above for what happens beyond the kernel's rank.
    """
    left = np.arange(len(features))
    chosen = [left[:0]]
    wanted = k
    while wanted:
        values, vectors = np.linalg.eigh(features.T @ features)
        positive = values > values[-1] * len(values) * np.finfo(np.float64).eps
        if not positive.any():
            chosen.append(rng.choice(left, wanted, replace=False))
            break
        values, vectors = values[positive], vectors[:, positive]
        some = _eigenvectors(np.log(values), min(wanted, len(values)), rng)
        points = _projection_dpp(features @ (vectors[:, some] / np.sqrt(values[some])), rng)
        chosen.append(left[points])
        wanted -= len(points)
        left, features = np.delete(left, points), np.delete(features, points, axis=0)
    return np.concatenate(chosen)


def _eigenvectors(log_values: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Which k eigenvectors span the elementary DPP (Kulesza and Taskar, algorithms 7 and 8).

    The elementary symmetric polynomials are kept as logarithms: those of 512 eigenvalues overflow otherwise.
    """
    m = len(log_values)
    # e[l, j] = log of the l-th polynomial of the first j eigenvalues
    e = np.full((k + 1, m + 1), -np.inf)
    e[0] = 0.0
    for j in range(1, m + 1):
        e[1:, j] = np.logaddexp(e[1:, j - 1], log_values[j - 1] + e[:-1, j - 1])
    chosen: list[int] = []
    for j in range(m, 0, -1):
        needed = k - len(chosen)
        if not needed:
            break
        if np.log(rng.random()) < log_values[j - 1] + e[needed - 1, j - 1] - e[needed, j]:
            chosen.append(j - 1)
    return np.array(chosen)


def _projection_dpp(vectors: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One draw from the DPP of the projection onto the columns of `vectors` (N, k), orthonormal.

    Kulesza and Taskar, algorithm 1, second half: a point is drawn by the squared length of its row, then all
    rows lose their component along it. Instead of the rows, which stay, their squared lengths are kept.
    """
    length = np.square(vectors).sum(axis=1)
    basis = np.zeros((vectors.shape[1], vectors.shape[1]))  # rows: the points' directions, orthonormal
    points = np.empty(vectors.shape[1], np.int64)
    for t in range(len(points)):
        ends = np.cumsum(length)
        # Below the last end also where rounding says otherwise; rows of length 0 are never hit.
        point = np.searchsorted(ends, rng.random() * ends[-1], "right")
        direction = vectors[point]
        for _ in range(2):  # twice is enough (Kahan): once leaves what cancellation did
            direction = direction - (direction @ basis[:t].T) @ basis[:t]
        basis[t] = direction / np.linalg.norm(direction)
        points[t] = point
        length = np.maximum(length - np.square(vectors @ basis[t]), 0)
        length[points[: t + 1]] = 0
    return points


def _unit(embeddings: np.ndarray) -> np.ndarray:
    """Rows of length 1 in float64; rows of zeros stay zero, and are of no k-DPP."""
    embeddings = embeddings.astype(np.float64)
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    embeddings /= np.where(length > 0, length, 1)
    return embeddings
