"""A memory beside a student: entries (phi(teacher embedding), class distribution), searched at inference.

For the student's embedding s, the k entries with the largest cosine are retrieved; with w_j = softmax_j of
their cosines over tau,

    p = beta p^S + (1 - beta) sum_j w_j p_j

Zhang et al., "ReAugKD", ACL 2023, section 3.2; theirs holds every training example, ours at most as many as
a sensor has room for: the frames that lie nearest to the centres of a k-means over all (MacQueen, 1967).
"""

import warnings
from dataclasses import dataclass

import numpy as np

from edgesea.measures.fidelity import normalised

SIZES = (16, 64, 256, 1024)  # entries that are tried, as far as there are frames
MOST_FRAMES = 4000  # that entries are chosen from


@dataclass(frozen=True)
class Memory:
    """Entries.

    Attributes
    ----------
    keys : np.ndarray [shape=(M, d)]
        Of length 1.
    values : np.ndarray [shape=(M, C)]
        Distributions over classes.
    """

    keys: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, targets: np.ndarray, values: np.ndarray, size: int, seed: int = 0) -> "Memory":
        """Chooses entries from frames.

        targets : phi(teacher embedding), (N, d); values : (N, C)
        size : entries; all frames where there are no more than that
        """
        keys = normalised(targets)
        picked = np.arange(len(keys)) if size >= len(keys) else _central(keys, size, seed)
        return cls(keys[picked], np.asarray(values)[picked])

    def retrieved(self, embeddings: np.ndarray, neighbours: int, temperature: float) -> np.ndarray:
        """embeddings (N, d), of a student -> what the memory says, (N, C), rows with the sum 1."""
        similarity = normalised(embeddings) @ self.keys.T
        k = min(neighbours, len(self.keys))
        near = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        found = np.take_along_axis(similarity, near, axis=1) / temperature
        weight = np.exp(found - found.max(axis=1, keepdims=True))
        weight /= weight.sum(axis=1, keepdims=True)
        return np.einsum("nk,nkc->nc", weight, self.values[near])

    def mixed(
        self, own: np.ndarray, embeddings: np.ndarray, *, beta: float, neighbours: int, temperature: float
    ) -> np.ndarray:
        """The student's own distributions (N, C), helped by the memory; with beta = 1 they are its own."""
        return beta * own + (1 - beta) * self.retrieved(embeddings, neighbours, temperature)


def _central(keys: np.ndarray, size: int, seed: int) -> np.ndarray:
    """The frames nearest to the centres of a k-means, ascending; no more than `size`, none twice."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct frames than entries
        centres = KMeans(size, n_init=1, max_iter=50, random_state=seed).fit(keys).cluster_centers_
    return np.unique((keys @ normalised(centres).T).argmax(axis=0))
