"""Draws what is rare in a domain as often as what is common: by clusters of the teacher's embeddings.

Examples are drawn from stretches of sound, uniformly: what a place is full of is then nearly all that a
student hears. Here the training frames are clustered by k-means on phi(t), and every cluster has the same
share of the draws. A stretch is drawn with the chance

    p(stretch) = 1/K * sum over its frames of 1 / (frames in the frame's cluster)

so that a cluster with stretches to itself is drawn 1/K of the time, however many they are and however long.
Where a stretch holds frames of several clusters all of it comes along, and the shares are less equal:
`Balance.shares` says how they come out. A stretch without frames, such as a silent one, is never drawn.

Uniform over clusters instead of over what there is: Caron et al., "Deep Clustering for Unsupervised Learning
of Visual Features", ECCV 2018, section 3.3, of images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgesea.embed import Piece
from edgesea.examples import spread

# Frames that the centres are fitted on, at most; a multiple of the clusters where those are many.
_FITTED = 20_000
_BATCH = 4096
# Seconds: a frame and a stretch that begin together may differ by rounding.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Balance:
    """Which stretch and which cluster each of N frames is of.

    stretches : how many there are
    place (N,) int64 : stretch of each frame
    cluster (N,) int64 : of each frame
    """

    stretches: int
    place: np.ndarray
    cluster: np.ndarray

    @cached_property
    def chances(self) -> np.ndarray:
        """The chance of each stretch to be drawn, (stretches,) float64 with the sum 1."""
        weights = 1 / np.bincount(self.cluster)[self.cluster]
        out = np.bincount(self.place, weights, minlength=self.stretches)
        return out / out.sum()

    def shares(self, chances: np.ndarray) -> np.ndarray:
        """Which share of the draws each cluster that has frames gets where stretches are drawn by `chances`.

        chances (stretches,), with any sum above 0 -> (clusters,) float64 with the sum 1
        """
        each = (chances / np.maximum(1, np.bincount(self.place, minlength=self.stretches)))[self.place]
        shares = np.bincount(self.cluster, each)[np.unique(self.cluster)]
        return shares / shares.sum()

    def says(self) -> str:
        """In a line, what balancing changes."""
        before, after = (self.shares(chances) for chances in (np.ones(self.stretches), self.chances))
        return (
            f"drawn by {len(after)} clusters of the domain: the rarest is {after.min():.1%} of what is drawn "
            f"instead of {before.min():.1%}, the commonest {after.max():.1%} instead of {before.max():.1%}"
        )


def places(stretches: Sequence[Piece], clip: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The stretch in which each frame begins, (N,) int64.

    stretches : in the order of clips and of time
    clip (N,) int64, start (N,) float64 in s of the file : of the frames, each of a clip that has a stretch
    """
    n = len(stretches)
    clips = np.concatenate([[piece.clip for piece in stretches], clip])
    begins = np.concatenate([[(piece.start or 0.0) - _ROUNDING for piece in stretches], start])
    order = np.lexsort((begins, clips))
    # In this order every frame comes after the stretch that it is in, and before the next one.
    begun = np.cumsum(order < n) - 1
    frames = order >= n
    out = np.empty(len(start), np.int64)
    out[order[frames] - n] = begun[frames]
    return out


def clusters(
    targets: Callable[[np.ndarray], np.ndarray], rows: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """The cluster of each row, (N,) int64 in 0 .. count - 1; some may have none where rows are alike.

    targets : rows (n,) -> phi(t) (n, d) float32
    count : of clusters, 1 to N
    """
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    fitted = targets(spread(rows, max(_FITTED, 10 * count)))
    # One thread: the order of a sum, and with it the last bit, must not depend on who is first.
    with threadpool_limits(1):
        means = MiniBatchKMeans(count, n_init=3, random_state=seed).fit(fitted)
        parts = np.array_split(rows, -(-len(rows) // _BATCH))
        return np.concatenate([means.predict(targets(part)) for part in parts]).astype(np.int64)
