"""The L3 family: L3-Net's audio subnetwork and the SEA paper's Students 0 to 3.

    patch (frames, mels, 1) -> batch norm -> 4 blocks of two 3x3 convolutions, each with batch norm and ReLU,
    2x2 max pooling after the first three blocks, global max pooling after the fourth -> embedding (d,)

Sources: Srivastava et al., "Specialized Embedding Approximation for Edge Intelligence", ICASSP 2021, Table 1;
the released weights of its Student 3 for what the paper leaves open; Cramer et al., "Look, Listen, and Learn
More", ICASSP 2019, for L3-Net.

Where ours differ: the students to be trained leave out the ReLU that the released one ends with. PCA's
targets are as often negative as not, and no ReLU reaches those; it has no parameters, so every count stays
the paper's. And there is no weight decay inside (theirs: L2, 1e-5): the loss is the objective's alone.

These are presets for reproducing the paper: the 122 (Student 3) to 160 (Student 1) million
multiply-accumulates of a one-second frame are too many for real time on a Cortex-M4.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from edgesea.errors import UsageError
from edgesea.students.base import Student

# Filters of the four blocks: Table 1 of the paper.
FILTERS = {
    "l3": (64, 128, 256, 512),
    "student0": (64, 128, 256, 512),
    "student1": (32, 64, 128, 256),
    "student2": (32, 64, 128, 128),
    "student3": (32, 64, 128, 64),
}

ENDINGS = ("norm", "relu", "none")

# Three 2x2 poolings: below 8 by 8 nothing would be left to convolve.
SMALLEST = 8


def l3_student(
    frames: int,
    mels: int,
    dimension: int,
    filters: tuple[int, int, int, int],
    ending: str = "norm",
    name: str = "l3",
):
    """A network of the L3 family.

    frames, mels : int >= 8, the patch's rows and columns.
    filters : filters of the convolutions in the four blocks.
    dimension : int > 0, d; the filters of the last convolution, whatever `filters` says of its block.
    ending : what follows the last convolution, before the pooling: 'norm', batch norm (to be trained on any
        target); 'relu', batch norm and ReLU (the released Student 3; embeddings >= 0); 'none' (L3-Net).

    Returns a `keras.Model`: patch (B, frames, mels, 1) float32 -> embedding (B, d) float32.
    Raises UsageError for a patch that is too small, an impossible dimension, another ending.
    """
    import keras

    if min(frames, mels) < SMALLEST:
        raise UsageError(
            f"The L3 students halve the patch three times and need at least {SMALLEST} frames and {SMALLEST} "
            f"mels, received {frames} x {mels}: use a frontend with a larger patch."
        )
    if dimension < 1:
        raise UsageError(f"The embedding's dimension is {dimension}: it has to be 1 or more.")
    if ending not in ENDINGS:
        raise UsageError(f"The students' ending is {ending!r}: it has to be one of {', '.join(ENDINGS)}.")
    patch = keras.Input((frames, mels, 1), name="patch")
    x = keras.layers.BatchNormalization(name="norm0")(patch)
    first, second, third, fourth = filters
    counts = (first, first, second, second, third, third, fourth, dimension)
    for number, count in enumerate(counts, start=1):
        last = number == len(counts)
        after = ending if last else "relu"
        x = keras.layers.Conv2D(
            count, 3, padding="same", kernel_initializer="he_normal", name=f"conv{number}"
        )(x)
        if after != "none":
            x = keras.layers.BatchNormalization(name=f"norm{number}")(x)
        if after == "relu":
            x = keras.layers.ReLU(name=f"relu{number}")(x)
        if number % 2 == 0:
            pool = tuple(x.shape[1:3]) if last else 2
            x = keras.layers.MaxPooling2D(pool, name=f"pool{number // 2}")(x)
    return keras.Model(patch, keras.layers.Flatten(name="embedding")(x), name=name)


@dataclass(frozen=True)
class L3(Student):
    """A student of the family.

    Attributes
    ----------
    filters : tuple of four int > 0
        Filters of the convolutions in the four blocks.
    ending : str
        See `l3_student`.
    """

    frontend: ClassVar[str] = "sea-8k"

    filters: tuple = FILTERS["student3"]
    ending: str = "norm"

    def __post_init__(self):
        if len(self.filters) != 4 or not all(isinstance(each, int) and each > 0 for each in self.filters):
            raise UsageError(
                f"Received filters = {self.filters} for an L3 student: give four counts above 0."
            )

    def build(self, frames, mels, dimension, name="l3"):
        return l3_student(frames, mels, dimension, self.filters, self.ending, name)


# Each the paper's own where the dimension is its last block's filters, and the patch 50 x 64.
STUDENT0, STUDENT1, STUDENT2, STUDENT3 = (L3(FILTERS[f"student{number}"]) for number in range(4))

# L3-Net's audio subnetwork, the paper's teacher, from the patch on: 199 frames, 256 mels and 512 dimensions.
L3_NET = L3(FILTERS["l3"], ending="none")

# The paper's Table 1: parameters in millions, model and activation memory in MB.
PAPER_TABLE1 = {
    "l3": (4.69, 18.80, 12.74),
    "student0": (4.69, 18.80, 0.82),
    "student1": (1.17, 4.70, 0.41),
    "student2": (0.58, 2.34, 0.41),
    "student3": (0.40, 1.60, 0.41),
}


def figures(model) -> dict[str, int]:
    """What Table 1 counts, exactly, from a `keras.Model` with one input.

    trainable : trainable parameters (the paper's "params").
    parameters : all parameters, with batch norm's moving statistics.
    bytes : all parameters in float32 (the paper's "model size").
    activation_bytes : the largest single feature map in float32 (the paper's "activation memory"; a device
        needs more, as a layer's input lives beside its output).
    """
    trainable = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    feature_maps = [math.prod(layer.output.shape[1:]) for layer in model.layers]
    return {
        "trainable": trainable,
        "parameters": model.count_params(),
        "bytes": 4 * model.count_params(),
        "activation_bytes": 4 * max(feature_maps),
    }


def table1() -> dict[str, tuple[float, float, float]]:
    """Table 1 from our models, {name: (millions, MB, MB)}: equal to PAPER_TABLE1.

    The paper states no units and no rounding; these are the ones that give all of its figures.
    Parameters: millions of trainable ones, two decimals.
    Model size: all parameters, MB of 10^6 bytes, three significant digits (Student 0's 18,767,632
    bytes: 18.8).
    Activation memory: MB of 10^6 bytes, two decimals; but L3-Net's 13,041,664 bytes, printed as 12.74, are
    12,736 KiB divided by 1000, and would be 13.04 in the students' unit.
    """
    rows = {}
    for name, filters in FILTERS.items():
        if name == "l3":
            counted, unit = figures(L3_NET.build(199, 256, 512)), 1024e3
        else:
            counted, unit = figures(L3(filters).build(50, 64, filters[-1])), 1e6
        rows[name] = (
            round(counted["trainable"] / 1e6, 2),
            float(f"{counted['bytes'] / 1e6:.3g}"),
            round(counted["activation_bytes"] / unit, 2),
        )
    return rows
