"""Random inputs: one place for what devices and comparisons give a model."""

from dataclasses import dataclass

import numpy as np

from edgesea.measures.inputs import DEVIATION, random_examples, random_inputs


@dataclass(frozen=True)
class One:
    shape: tuple[int, ...]
    dtype: np.dtype


INPUTS = [One((1, 400), np.dtype(np.int8)), One((2, 300), np.dtype(np.float32))]


def test_integers_span_their_type_and_floats_are_quiet_noise():
    whole, real = random_inputs(INPUTS)
    assert (whole.shape, whole.dtype, real.shape, real.dtype) == ((1, 400), np.int8, (2, 300), np.float32)
    assert whole.min() < -120
    assert whole.max() > 120
    assert abs(real.std() - DEVIATION) < 0.02
    assert abs(real.mean()) < 0.02


def test_the_same_seed_gives_the_same_and_the_first_of_several_is_the_only_one():
    for ours, theirs in zip(random_inputs(INPUTS), random_examples(INPUTS, 3)[0], strict=True):
        assert np.array_equal(ours, theirs)
    assert not np.array_equal(random_inputs(INPUTS, 1)[0], random_inputs(INPUTS, 2)[0])


def test_the_examples_differ():
    first, second = random_examples(INPUTS, 2)
    assert not np.array_equal(first[0], second[0])
