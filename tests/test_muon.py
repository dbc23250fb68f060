"""Muon: by hand from singular values, AdamW's own for what is no matrix."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesea.train import Schedule

PLAN = Schedule(epochs=3, batch=16, learning_rate=1e-2, weight_decay=1e-4, patience=9, seed=3, kind="muon")
RATE = 0.02


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**16), st.sampled_from([1e-3, 1.0, 1e3]))
def test_a_step_has_the_gradients_directions_all_of_one_length(rows, columns, seed, size):
    from edgesea.muon import orthogonal

    matrix = np.random.default_rng(seed).normal(0, size, (rows, columns)).astype(np.float32)
    u, values, v = np.linalg.svd(matrix, full_matrices=False)
    found = u.T @ np.asarray(orthogonal(matrix), np.float64) @ v.T
    np.testing.assert_allclose(found, np.diag(np.diag(found)), atol=2e-2)
    kept = values > 0.02 * np.linalg.norm(values)  # what is next to nothing stays small
    assert np.all(np.abs(np.diag(found)[kept] - 1) < 0.35)


def test_nothing_stays_nothing():
    from edgesea.muon import orthogonal

    np.testing.assert_array_equal(np.asarray(orthogonal(np.zeros((3, 5), np.float32))), np.zeros((3, 5)))


def steps(kind, shape, gradients, **values):
    """What a variable of ones is after some gradients."""
    import keras

    plan = dataclasses.replace(PLAN, kind=kind, learning_rate=RATE, **values)
    variable = keras.Variable(np.ones(shape, np.float32), name="kernel")
    optimizer = plan.optimizer(10_000)([variable])
    for gradient in gradients:
        optimizer.apply_gradients([(gradient, variable)])
    return variable.numpy(), float(optimizer.learning_rate)


def test_two_steps_of_a_matrix_are_the_formulas():
    from edgesea.muon import orthogonal

    gradients = np.random.default_rng(0).normal(0, 1, (2, 1, 1, 4, 9)).astype(np.float32)
    found, _ = steps("muon", (1, 1, 4, 9), gradients, weight_decay=0.0)
    momentum, wanted = np.zeros((4, 9)), np.ones((4, 9))
    for number, gradient in enumerate(gradients.reshape(2, 4, 9)):
        # The warm-up: from a twentieth of the rate to all of it in 200 steps.
        rate = RATE * (0.05 + 0.95 * number / 200)
        momentum = 0.95 * momentum + gradient
        step = np.asarray(orthogonal((gradient + 0.95 * momentum).astype(np.float32)))
        wanted = wanted - rate * 0.2 * 3 * step
    np.testing.assert_allclose(found.reshape(4, 9), wanted, rtol=1e-5)


@pytest.mark.parametrize("shape", [(7,), (3, 3, 1, 8), (3, 3, 8, 1), (16, 4), (1, 1, 1, 6), (1, 1, 6, 1)])
def test_what_is_no_matrix_learns_as_with_adamw(shape):
    gradients = np.random.default_rng(0).normal(0, 1, (3, *shape)).astype(np.float32)
    one, rate = steps("muon", shape, gradients)
    other, same = steps("adamw", shape, gradients)
    np.testing.assert_array_equal(one, other)
    assert rate == same


def test_weights_decay_without_a_gradient():
    found, _ = steps("muon", (1, 1, 3, 5), np.zeros((1, 1, 1, 3, 5), np.float32), weight_decay=0.5)
    np.testing.assert_allclose(found, 1 - 0.5 * RATE / 20, rtol=1e-6)
