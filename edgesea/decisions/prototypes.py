"""A memory: int8 prototypes of labelled frames, each with a soft label, chosen from a bundle's own
embeddings.

    --memory 256                    the means of 256 clusters (k-means of unit vectors)
    --memory dpp:n=256,beta=0.7     256 frames that are as different as can be (a k-DPP, see `sampling.dpp`)
    --memory all                    every frame

A prototype's label is the share of each class among the frames that are nearest to it. What is done with
prototypes is said in `edgesea.listen.listen.Memory`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesea.errors import EdgeseaError, UsageError
from edgesea.listen import listen
from edgesea.named import Choice, Registry

FEWEST_FRAMES = 2
# Frames that a k-DPP is drawn from, at most: it takes their number times the square of the dimensions.
DPP_FRAMES = 20_000


@dataclass(frozen=True)
class Options:
    """What every kind of memory takes.

    Attributes
    ----------
    n : int > 0
        Prototypes.
    k : int, 1..32
        Nearest ones that are asked.
    beta : float, [0, 1]
        Share of the memory where there is a head too.
    temperature : float > 0
        Of the softmax over cosines that weighs the k nearest.
    unknown : float, [0, 1)
        Share of validation frames that may be taken for unknown; 0 takes none for it.
    """

    n: int = 256
    k: int = 8
    beta: float = 0.5
    temperature: float = 0.05
    unknown: float = 0.01

    def __post_init__(self):
        for name, good, wanted in (
            ("n", 1 <= self.n <= 1_000_000, "1 to 1000000 prototypes"),
            ("k", 1 <= self.k <= 32, "1 to 32"),
            ("beta", 0 <= self.beta <= 1, "a share from 0 to 1"),
            ("temperature", 0.006 <= self.temperature <= 100, "0.006 to 100"),
            ("unknown", 0 <= self.unknown < 1, "a share from 0 to 1"),
        ):
            if not good:
                raise UsageError(f"Received {name} = {getattr(self, name)} for a memory: give {wanted}.")

    def integers(self, least: int) -> dict:
        """k, beta, sharpness and unknown as the device has them; least : similarity in 1/32768."""
        return {
            "k": self.k,
            "beta": round(256 * self.beta),
            # exp(-d / temperature), d in 1/32768 of cosine, as a power of two in 1/65536
            "sharpness": round(2 / np.log(2) / self.temperature),
            "unknown": least,
        }


class KMeans:
    """The means of n clusters of unit vectors."""

    Options = Options

    def choose(self, unit: np.ndarray, n: int, seed: int) -> np.ndarray:
        """Unit vectors (N, d) float64 -> prototypes (n, d) float64 of any length."""
        from sklearn.cluster import KMeans as Clusters
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return Clusters(n, n_init=1, random_state=seed).fit(unit).cluster_centers_


class Dpp:
    """n of the frames, a k-DPP."""

    Options = Options

    def choose(self, unit: np.ndarray, n: int, seed: int) -> np.ndarray:
        """As of `KMeans`."""
        from edgesea.sampling.dpp import k_dpp

        rng = np.random.default_rng(seed)
        if len(unit) > DPP_FRAMES:
            unit = unit[np.sort(rng.choice(len(unit), max(DPP_FRAMES, n), replace=False))]
        return unit[np.sort(k_dpp(unit, n, rng))]


@dataclass(frozen=True)
class AllOptions(Options):
    """The same; n is the most that is taken."""

    n: int = 1_000_000


class All:
    """Every frame."""

    Options = AllOptions

    def choose(self, unit: np.ndarray, n: int, seed: int) -> np.ndarray:
        """As of `KMeans`."""
        return unit


MEMORIES = Registry(
    "memory",
    {
        "kmeans": "edgesea.decisions.prototypes:KMeans",
        "dpp": "edgesea.decisions.prototypes:Dpp",
        "all": "edgesea.decisions.prototypes:All",
    },
    "edgesea.memories",
)


def choice_of(text: str) -> Choice:
    """What --memory says, checked: a number of prototypes, or a kind with options."""
    choice = Choice("kmeans", (("n", int(text)),)) if text.isdecimal() else Choice.of(text, "memory")
    return MEMORIES.resolved(choice)


def make(
    choice: Choice, embeddings: np.ndarray, truth: np.ndarray, zero_point: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """Chooses prototypes.

    embeddings : (N, d) int8 of labelled frames; truth : (N, classes) of 0 and 1
    zero_point : of the embeddings

    Returns 'prototypes' (n, d) int8, and 'labels' (n, classes) uint8. Fewer than asked for where there are
    fewer frames.
    Raises `UsageError` for too few frames.
    """
    options = MEMORIES.options(choice)
    real = np.asarray(embeddings, np.float64) - zero_point
    heard = np.flatnonzero(real.any(axis=1))
    if len(heard) < FEWEST_FRAMES:
        raise UsageError(
            f"A memory takes {FEWEST_FRAMES} labelled frames at least, received {len(heard)}: give more "
            f"sound."
        )
    unit = real[heard] / np.linalg.norm(real[heard], axis=1, keepdims=True)
    n = min(options.n, len(np.unique(unit, axis=0)))
    chosen = unit if n == len(unit) else MEMORIES.get(choice.name)().choose(unit, n, seed)
    # What the device counts in: the same rounding as for what is added there.
    prototypes = np.stack([listen.scaled(np.round(each * 1e6).astype(np.int64)) for each in chosen])
    labels = soft_labels(prototypes, unit, truth[heard])
    used = labels.any(axis=1)
    return {"prototypes": prototypes[used].astype(np.int8), "labels": labels[used].astype(np.uint8)}


def soft_labels(prototypes: np.ndarray, unit: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(n, classes) 0..255: the shares of the classes among the frames nearest to each prototype."""
    scaled = prototypes / np.maximum(np.linalg.norm(prototypes, axis=1, keepdims=True), 1e-12)
    nearest = np.concatenate(
        [np.argmax(part @ scaled.T, axis=1) for part in np.array_split(unit, -(-len(unit) // 4096))]
    )
    sums = np.zeros((len(prototypes), truth.shape[1]))
    np.add.at(sums, nearest, truth)
    counts = np.bincount(nearest, minlength=len(prototypes))[:, None]
    return np.round(255 * sums / np.maximum(counts, 1)).astype(np.int64)


def flash_bytes(prototypes: int, dimension: int, classes: int) -> int:
    """What a memory takes up on a device: values, labels and lengths."""
    return prototypes * (dimension + classes + 4)


def checked(arrays: dict[str, np.ndarray], bundle) -> dict[str, np.ndarray]:
    """The arrays of a bundle's memory.npz.

    Raises `EdgeseaError` where they are not what the manifest tells of.
    """
    described, decisions = bundle.manifest["int8"] or {}, bundle.decisions
    count = decisions["memory"]["prototypes"]
    wanted = {
        "prototypes": ((count, described.get("output", {}).get("bytes")), np.int8),
        "labels": ((count, len(decisions["labels"])), np.uint8),
    }
    for name, (shape, dtype) in wanted.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            raise EdgeseaError(
                f"The memory {Path(bundle.path) / 'memory.npz'} does not hold {name} of shape {shape} and "
                f"type "
                f"{np.dtype(dtype)}: export the bundle again."
            )
    return {name: arrays[name] for name in wanted}


def similarities(memory: dict[str, np.ndarray], embeddings: np.ndarray, zero_point: int) -> np.ndarray:
    """To the nearest prototype, of every frame, in 1/32768, as the device counts it."""
    described = {"k": 1, "beta": 0, "sharpness": 0, "unknown": 32767}
    device = listen.Memory(described, memory["prototypes"], memory["labels"], zero_point, 0, ["-"])
    return np.array([device.similarity(each) for each in embeddings], np.int64)
