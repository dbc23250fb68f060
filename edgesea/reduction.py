"""Reducers: phi, R^n -> R^d, from the teacher's embedding to what the student is asked for.

Every reducer ends in the division by one number, `scale`, the root mean square of phi's output over the
sample: the student's targets then have about unit variance whatever the teacher's units are, which keeps one
learning rate good for all teachers. One number for all dimensions changes neither cosines nor R^2 nor
neighbours.

Reducers are fitted from batches, so memory does not grow with the sample, and saved as plain arrays (npz).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edgesea import files
from edgesea.errors import EdgeseaError, UsageError


class Reducer(ABC):
    """phi: embeddings (B, n) float32 -> targets (B, d) float32."""

    name: str

    def __init__(self, dimension: int):
        self.dimension = dimension
        self.scale = 1.0

    def fit(self, batches: Iterable[np.ndarray]) -> "Reducer":
        """Fits to batches (B, n) float32, n the same in all; batches are iterated twice.

        Raises `UsageError` where `dimension` does not suit the embeddings.
        """
        self._fit(batches)
        squares = rows = 0
        for batch in batches:
            squares += np.square(self._map(batch), dtype=np.float64).sum()
            rows += len(batch)
        if not squares:
            raise EdgeseaError(
                "The teacher gives the same embedding for every frame: there is nothing to learn."
            )
        self.scale = float(np.sqrt(squares / (rows * self.dimension)))
        return self

    def transform(self, embeddings: np.ndarray) -> np.ndarray:
        return (self._map(embeddings) / self.scale).astype(np.float32)

    @abstractmethod
    def _fit(self, batches: Iterable[np.ndarray]) -> None: ...

    @abstractmethod
    def _map(self, embeddings: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _arrays(self) -> dict[str, np.ndarray]: ...

    @abstractmethod
    def _restore(self, arrays: dict[str, np.ndarray]) -> None: ...

    def report(self) -> dict:
        """What the reducer says about its fit, as JSON values."""
        return {"name": self.name, "dimension": self.dimension}

    def save(self, path: Path | str) -> None:
        with files.replacing(path) as temporary:
            np.savez(
                temporary,
                name=np.array(self.name),
                dimension=np.array(self.dimension),
                scale=np.array(self.scale),
                **self._arrays(),
            )


class Identity(Reducer):
    """phi(x) = x: the student imitates the whole embedding (d = n)."""

    name = "identity"

    def _fit(self, batches):
        self.n = next(iter(batches)).shape[1]
        if self.dimension != self.n:
            raise UsageError(
                f"The reducer identity keeps all {self.n} dimensions of the teacher, and --dim says "
                f"{self.dimension}: leave --dim out, or choose --reducer pca."
            )

    def _map(self, embeddings):
        return embeddings

    def _arrays(self):
        return {}

    def _restore(self, arrays):
        pass


class PCA(Reducer):
    """phi(x) = W (x - mean), W the d leading principal axes; incremental (scikit-learn's `IncrementalPCA`).

    The signs of the axes are fixed as scikit-learn fixes them, so the same sample gives the same phi.
    """

    name = "pca"

    def _fit(self, batches):
        from sklearn.decomposition import IncrementalPCA

        model = None
        # IncrementalPCA refuses batches with fewer rows than axes: small ones are joined with their
        # neighbours.
        for batch in _at_least(batches, self.dimension):
            if model is None:
                self._check(batch)
                model = IncrementalPCA(self.dimension)
            model.partial_fit(batch.astype(np.float64))
        self.mean, self.axes = model.mean_, model.components_
        self.explained = model.explained_variance_ratio_

    def _check(self, batch):
        rows, n = batch.shape
        if self.dimension > n:
            raise UsageError(
                f"--dim {self.dimension} is more than the teacher's {n} dimensions: choose at most {n}."
            )
        if self.dimension > rows:
            raise UsageError(
                f"--dim {self.dimension} needs at least as many frames to fit on, and there are {rows}: "
                "give more sound, or a smaller --dim."
            )

    def _map(self, embeddings):
        return (embeddings - self.mean) @ self.axes.T

    def _arrays(self):
        return {"mean": self.mean, "axes": self.axes, "explained": self.explained}

    def _restore(self, arrays):
        self.mean, self.axes, self.explained = arrays["mean"], arrays["axes"], arrays["explained"]

    def report(self):
        return {**super().report(), "explained_variance": float(self.explained.sum())}


REDUCERS: dict[str, type[Reducer]] = {kind.name: kind for kind in (Identity, PCA)}


def reducer(name: str, dimension: int) -> Reducer:
    """An unfitted reducer. Raises `UsageError` for an unknown name or a dimension below 1."""
    if name not in REDUCERS:
        raise UsageError(f"Unknown reducer {name!r}: choose one of {', '.join(REDUCERS)}.")
    if dimension < 1:
        raise UsageError(f"Received --dim {dimension}: give a whole number of at least 1.")
    return REDUCERS[name](dimension)


def load(path: Path | str) -> Reducer:
    """The fitted reducer that `save` wrote."""
    try:
        arrays = files.read_arrays(path)
        kind = REDUCERS[str(arrays.pop("name"))]
        fitted = kind(int(arrays.pop("dimension")))
        fitted.scale = float(arrays.pop("scale"))
        fitted._restore(arrays)
    except (OSError, ValueError, KeyError) as error:
        raise EdgeseaError(f"Cannot read the reducer {path} ({error}): delete it and run again.") from error
    return fitted


def _at_least(batches: Iterable[np.ndarray], rows: int) -> Iterable[np.ndarray]:
    """Joins neighbouring batches until each has `rows` rows; what is left over joins the last one."""
    ready = None
    pending: list[np.ndarray] = []
    for batch in batches:
        pending.append(batch)
        if sum(map(len, pending)) >= rows:
            if ready is not None:
                yield ready
            ready, pending = np.concatenate(pending), []
    left = ([ready] if ready is not None else []) + pending
    if left:
        yield np.concatenate(left)
