"""Reducers: phi, R^n -> R^d, from the teacher's embedding to what the student is asked for.

Every reducer ends in the division by one number, `scale`, the root mean square of phi's output over the
sample: the student's targets then have about unit variance whatever the teacher's units are, which keeps one
learning rate good for all teachers. One number for all dimensions changes neither cosines nor R^2 nor
neighbours.

Reducers are fitted from batches and saved as plain arrays (npz). Memory does not grow with the sample, but
for `umap`, which is the sample.
"""

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import linalg

from edgesea import backend, files
from edgesea.errors import EdgeseaError, UsageError
from edgesea.named import Choice, Registry

# Frames that umap places at a time: with a sample of 20,000, distances of 80 MB.
_CHUNK = 1024
_ALL_ALIKE = "The teacher gives the same embedding for every frame: there is nothing to learn."


class Reducer(ABC):
    """phi: embeddings (B, n) float32 -> targets (B, d) float32."""

    name: str
    package: str | None = None  # what must be installed for the fit, as it is imported
    labelled: bool = False  # whether the fit needs the class of every embedding

    @dataclass(frozen=True)
    class Options:
        """What can be chosen."""

    def __init__(self, dimension: int, seed: int = 0, options=None):
        """dimension : d. seed : of what is random in the fit, which is something for `umap` alone."""
        self.dimension, self.seed = dimension, seed
        self.options: Any = options or self.Options()
        self.scale = 1.0
        self._labels: Sequence[str] | None = None

    @staticmethod
    def usual(n: int) -> int:
        """d for embeddings of n dimensions, where nobody says otherwise."""
        return min(64, n)

    @property
    def least(self) -> int:
        """Embeddings that the fit needs, at least."""
        return self.dimension

    def check(self, n: int) -> None:
        """Raises `UsageError` where `dimension` does not suit embeddings of n dimensions."""
        if self.dimension > n:
            raise UsageError(
                f"--dim {self.dimension} is more than the teacher's {n} dimensions: choose at most {n}."
            )

    def check_rows(self, rows: int) -> None:
        """Raises `UsageError` where there are fewer embeddings than the fit needs."""
        if rows < self.least:
            raise UsageError(
                f"--dim {self.dimension} needs at least as many frames to fit on, and there are {rows}: "
                "give more sound, a larger --sample, or a smaller --dim."
            )

    def fit(self, batches: Iterable[np.ndarray], labels: Sequence[str] | None = None) -> "Reducer":
        """Fits to batches (B, n) float32, n the same in all; batches are iterated twice.

        labels : of all embeddings, in their order, where the reducer is `labelled`

        Raises what `check` and `check_rows` raise.
        """
        self._labels = labels
        self._fit(batches)
        squares = rows = 0
        for batch in batches:
            squares += np.square(self._map(batch), dtype=np.float64).sum()
            rows += len(batch)
        if not squares:
            raise EdgeseaError(_ALL_ALIKE)
        self.scale = float(np.sqrt(squares / (rows * self.dimension)))
        return self

    def transform(self, embeddings: np.ndarray) -> np.ndarray:
        """phi: embeddings (B, n) float32 -> targets (B, d) float32, of about unit variance."""
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
        """Writes the reducer as plain arrays (.npz), whole or not at all; `load` reads it."""
        with files.replacing(path) as temporary:
            arrays: dict[str, Any] = self._arrays()
            np.savez(
                temporary,
                name=np.array(self.name),
                dimension=np.array(self.dimension),
                scale=np.array(self.scale),
                **arrays,
            )


class Identity(Reducer):
    """phi(x) = x: the student imitates the whole embedding (d = n)."""

    name = "identity"
    least = 1

    @staticmethod
    def usual(n):
        return n

    def check(self, n):
        if self.dimension != n:
            raise UsageError(
                f"The reducer identity keeps all {n} dimensions of the teacher, and --dim says "
                f"{self.dimension}: leave --dim out, or choose --reducer pca."
            )

    def _fit(self, batches):
        self.check(next(iter(batches)).shape[1])

    def _map(self, embeddings):
        return embeddings

    def _arrays(self):
        return {}

    def _restore(self, arrays):
        pass


class PCA(Reducer):
    """phi(x) = W (x - mean), W the d leading principal axes of the sample.

    Mean and scatter matrix (n, n) are summed up batch by batch in float64 (Chan, Golub and LeVeque, 1983), so
    the axes are those of all the sample at once, and memory does not grow with it; scikit-learn's
    `IncrementalPCA` forgets what lies beyond d axes after every batch. The signs of the axes are fixed as
    scikit-learn fixes them, so the same sample gives the same phi.

    Whitened, every axis is divided by the standard deviation of the sample along it: the student is asked for
    the small differences as much as for the large ones.
    """

    name = "pca"

    @dataclass(frozen=True)
    class Options:
        """whiten : bool, whether all axes are given the same variance."""

        whiten: bool = False

    def _fit(self, batches):
        rows, mean, scatter = 0, 0.0, 0.0
        for batch in batches:
            own = batch.mean(axis=0, dtype=np.float64)
            centred = batch - own
            shift, total = own - mean, rows + len(batch)
            scatter = scatter + centred.T @ centred
            scatter += np.outer(shift, shift * (rows * len(batch) / total))
            mean = mean + shift * (len(batch) / total)
            rows = total
        variance, n = np.trace(scatter), len(mean)
        self.check(n)
        self.check_rows(rows)
        # What varies by less than float32 can say does not vary.
        if variance <= 1e-14 * rows * (mean @ mean):
            raise EdgeseaError(_ALL_ALIKE)
        values, vectors = linalg.eigh(scatter, subset_by_index=[n - self.dimension, n - 1])
        axes = vectors.T[::-1]
        largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1, keepdims=True), axis=1)
        self.mean, self.axes = mean, axes * np.sign(largest)
        self.explained = np.maximum(values[::-1], 0) / variance
        if self.options.whiten:
            # An axis along which nothing varies stays what it is, which is nothing.
            spread = np.where(self.explained > 1e-14, self.explained, 1.0)
            self.axes = self.axes / np.sqrt(spread)[:, None]

    def _map(self, embeddings):
        return (embeddings - self.mean) @ self.axes.T

    def _arrays(self):
        whiten = {"whiten": np.array(True)} if self.options.whiten else {}
        return {"mean": self.mean, "axes": self.axes, "explained": self.explained, **whiten}

    def _restore(self, arrays):
        self.mean, self.axes, self.explained = arrays["mean"], arrays["axes"], arrays["explained"]
        self.options = self.Options(bool(arrays.get("whiten", False)))

    def report(self):
        whiten = {"whiten": True} if self.options.whiten else {}
        return {**super().report(), "explained_variance": float(self.explained.sum()), **whiten}


class UMAP(Reducer):
    """phi by UMAP (McInnes, Healy, Melville, 2018): the sample's neighbourhoods, laid out in d dimensions.

    neighbours : int >= 2, umap's n_neighbors: larger keeps more of the global structure
    min_dist : float in [0, 1], how close points may lie in the layout: likewise

    The SEA paper tries 50 to 250 and 0.1 and 0.9, and finds the larger min_dist better throughout.

    The layout comes from the package umap-learn; the transform is ours, from the saved sample and its layout:
    umap-learn's own needs a search index that can only be pickled. It is the first half of umap-learn's, the
    mean of the sample's k nearest places weighted by their membership,

        phi(x) = sum_j w_j y_j / sum_j w_j,   w_j = exp(-|x - x_j| / sigma),   sum_j w_j = log2(k)

    with exact neighbours, and without the second half, a random descent that pushes points apart. So what
    phi gives to a frame depends neither on chance nor on the frames beside it.
    """

    name = "umap"
    package = "umap"

    @dataclass(frozen=True)
    class Options:
        """neighbours : int >= 2, of each point in the layout; min_dist : float in [0, 1], between points."""

        neighbours: int = 50
        min_dist: float = 0.9

        def __post_init__(self):
            if self.neighbours < 2 or not 0 <= self.min_dist <= 1:
                raise UsageError(
                    f"Received neighbours = {self.neighbours} and min_dist = {self.min_dist} for the reducer "
                    "umap: give at least 2, and a number from 0 to 1."
                )

    @property
    def least(self):
        return max(self.dimension, self.options.neighbours + 1)

    def check_rows(self, rows):
        if rows <= self.options.neighbours:
            raise UsageError(
                f"The reducer umap with {self.options.neighbours} neighbours needs more frames than that to "
                f"fit on, and there are {rows}: give more sound, a larger --sample, or fewer neighbours."
            )
        super().check_rows(rows)

    def _fit(self, batches):
        backend.load()  # umap-learn loads TensorFlow where there is one
        import umap

        self.sample = np.concatenate([np.asarray(batch, np.float32) for batch in batches])
        rows, n = self.sample.shape
        self.check(n)
        self.check_rows(rows)
        model = umap.UMAP(
            n_neighbors=self.options.neighbours,
            n_components=self.dimension,
            min_dist=self.options.min_dist,
            # The spectral start needs an eigenvector more than there are dimensions.
            init="spectral" if rows > 2 * self.dimension + 2 else "random",
            random_state=self.seed,
            n_jobs=1,  # what a seed asks for
        )
        layout = model.fit_transform(self.sample)
        self.layout = (layout - layout.mean(axis=0)).astype(np.float32)

    def _map(self, embeddings):
        # In chunks, so that memory does not grow with the call.
        parts = [self._mapped(embeddings[k : k + _CHUNK]) for k in range(0, len(embeddings), _CHUNK)]
        return np.concatenate([np.zeros((0, self.dimension), np.float32), *parts])

    def _mapped(self, embeddings: np.ndarray) -> np.ndarray:
        near, distance = _nearest(embeddings.astype(np.float32), self.sample, self.options.neighbours)
        weight = np.exp(-distance / _bandwidth(distance, np.log2(self.options.neighbours)))
        weight /= weight.sum(axis=1, keepdims=True)
        return np.einsum("bk,bkd->bd", weight, self.layout[near])

    def _arrays(self):
        options = {
            "neighbours": np.array(self.options.neighbours),
            "min_dist": np.array(self.options.min_dist),
        }
        return {"sample": self.sample, "layout": self.layout, **options}

    def _restore(self, arrays):
        self.sample, self.layout = arrays["sample"], arrays["layout"]
        self.options = self.Options(int(arrays["neighbours"]), float(arrays["min_dist"]))

    def report(self):
        return {**super().report(), "neighbours": self.options.neighbours, "min_dist": self.options.min_dist}


REDUCERS = Registry(
    "reducer",
    {
        "identity": f"{__name__}:Identity",
        "pca": f"{__name__}:PCA",
        "umap": f"{__name__}:UMAP",
        "contrastive": "edgesea.contrastive:Contrastive",
    },
    "edgesea.reducers",
)


def reducer(choice: Choice | str, dimension: int, seed: int = 0) -> Reducer:
    """An unfitted reducer.

    Raises
    ------
    UsageError
        The name or an option is unknown, a value cannot be, a package is not installed, or the dimension is
        below 1.
    """
    choice = Choice.of(choice, "reducer")
    options, kind = REDUCERS.options(choice), REDUCERS.get(choice.name)
    if dimension < 1:
        raise UsageError(f"Received --dim {dimension}: give a whole number of at least 1.")
    if kind.package and importlib.util.find_spec(kind.package) is None:
        raise UsageError(
            f"The reducer {choice.name} needs a package that is not installed: "
            f"pip install 'edgesea[{choice.name}]'."
        )
    return kind(dimension, seed, options)


def load(path: Path | str) -> Reducer:
    """The fitted reducer that `save` wrote."""
    try:
        arrays = files.read_arrays(path)
        kind = REDUCERS.get(str(arrays.pop("name")))
        fitted = kind(int(arrays.pop("dimension")))
        fitted.scale = float(arrays.pop("scale"))
        fitted._restore(arrays)
    except (OSError, ValueError, KeyError, UsageError) as error:
        raise EdgeseaError(f"Cannot read the reducer {path} ({error}): delete it and run again.") from error
    return fitted


def _nearest(queries: np.ndarray, sample: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of `sample` (N, n) to each of (B, n), Euclidean: indices and distances, (B, k)."""
    squares = np.square(sample).sum(axis=1)
    near = np.argpartition(squares - 2 * queries @ sample.T, k - 1, axis=1)[:, :k]
    # From the differences: the expanded square loses what is near to cancellation.
    return near, np.stack([np.linalg.norm(sample[j] - q, axis=1) for j, q in zip(near, queries, strict=True)])


def _bandwidth(distance: np.ndarray, wanted: float) -> np.ndarray:
    """sigma (B, 1), such that each row of exp(-distance / sigma) has the sum `wanted`, by bisection.

    Not below a thousandth of the mean distance, as umap-learn has it: a row of equal distances has no such
    sigma.
    """
    mean = np.maximum(distance.mean(axis=1, keepdims=True, dtype=np.float64), 1e-30)
    low, high = 1e-3 * mean, 1e3 * mean
    for _ in range(50):
        middle = np.sqrt(low * high)
        below = np.exp(-distance / middle).sum(axis=1, keepdims=True) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return high
