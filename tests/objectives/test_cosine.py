"""The objective `cosine`: its loss by hand, what its option does, and what it learns."""

import numpy as np
import pytest

from edgesea.errors import UsageError
from edgesea.measures import fidelity
from edgesea.objectives import cosine, objective
from edgesea.objectives.base import Setting
from edgesea.train import Schedule

PLAN = Schedule(epochs=1, batch=32, learning_rate=1e-2, weight_decay=0.0, patience=1, seed=0)


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(7, 5)).astype(np.float32)


def begun(name, seed=0):
    import keras

    keras.utils.set_random_seed(seed)
    student = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    learner = objective(name)
    learner.begin(Setting(student, {"embedding": (3,)}, PLAN.optimizer(400), 0))
    return learner


def batch(seed=1, count=64):
    """A linear map with lengths that span two orders of magnitude."""
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    patch = rng.normal(size=(count, 4, 4, 1)) * 10 ** rng.uniform(-1, 1, (count, 1, 1, 1))
    linear = np.random.default_rng(9).normal(size=(16, 3))
    target = patch.reshape(count, 16) @ linear
    return {"patch": tf.constant(patch.astype(np.float16)), "target": tf.constant(target.astype(np.float32))}


def test_the_loss_is_one_less_the_mean_cosine(arrays):
    target, embedding = arrays
    assert float(cosine.loss(target, embedding)) == pytest.approx(
        1 - fidelity.cosine(target, embedding), abs=1e-6
    )
    assert float(cosine.loss(target, 3 * target)) == pytest.approx(0, abs=1e-6)
    assert float(cosine.loss(target, -target)) == pytest.approx(2, abs=1e-6)
    assert float(cosine.loss(target, 0 * target)) == pytest.approx(1, abs=1e-6)


def test_length_is_the_mean_squared_error_beside_it():
    alone, beside = begun("cosine:length=0"), begun("cosine:length=0.25")
    one, both = alone.losses(batch()), beside.losses(batch())
    assert one.keys() == {"loss"}
    assert float(both["direction"]) == pytest.approx(float(one["loss"]))
    assert float(both["loss"]) == pytest.approx(float(both["direction"]) + 0.25 * float(both["length"]))
    embedding = beside.student(np.asarray(batch()["patch"], np.float32)).numpy()
    assert float(both["length"]) == pytest.approx(np.square(embedding - batch()["target"].numpy()).mean())


def test_it_learns_the_direction_of_short_embeddings_too():
    learner = begun("cosine:length=0")
    for seed in range(200):
        learner.step(batch(seed))
    fresh = batch(1000)
    found = learner.deploy()(np.asarray(fresh["patch"], np.float32)).numpy()
    assert fidelity.cosine(fresh["target"].numpy(), found) > 0.97


@pytest.mark.parametrize("length", ["-1", "inf", "nan"])
def test_a_weight_that_cannot_be_is_refused(length):
    with pytest.raises(UsageError, match=r"Received length = .* for the objective cosine: give a number of"):
        objective(f"cosine:length={length}")
