"""What a model is given where any input will do: when its time, its memory or its kernels are looked at.

Random because constant or empty input runs through other branches and, in float, into denormals. The same
seed gives the same inputs, so that two devices, or two builds, can be held against each other.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

# Of floats: noise at -20 dB.
DEVIATION = 0.1


class Input(Protocol):
    """What has to be known of one of a model's inputs."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...


def random_inputs(inputs: Sequence[Input], seed: int = 0) -> list[np.ndarray]:
    """One example: an array for each input, in its own shape and type.

    Parameters
    ----------
    inputs : of the model
    seed : int >= 0

    Returns
    -------
    list of np.ndarray
        Integers are drawn evenly from all that their type holds, floats from noise of `DEVIATION`.
    """
    return random_examples(inputs, 1, seed)[0]


def random_examples(inputs: Sequence[Input], n: int, seed: int = 0) -> list[list[np.ndarray]]:
    """`n` examples, each as `random_inputs` gives one; the first is the same whatever `n` is."""
    generator = np.random.default_rng(seed)

    def draw(tensor: Input) -> np.ndarray:
        if np.issubdtype(tensor.dtype, np.integer):
            limits = np.iinfo(tensor.dtype)
            return generator.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)
        return generator.normal(0, DEVIATION, tensor.shape).astype(tensor.dtype)

    return [[draw(tensor) for tensor in inputs] for _ in range(n)]
