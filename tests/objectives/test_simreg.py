"""The objective `simreg`: heads that are trained, remembered and left behind."""

import numpy as np
import pytest

from edgesea.errors import UsageError
from edgesea.objectives import cosine, objective, sea, simreg
from edgesea.objectives.base import Setting
from edgesea.train import Schedule

PLAN = Schedule(epochs=1, batch=32, learning_rate=1e-2, weight_decay=0.0, patience=1, seed=0)
TEACHER = 10


def begun(name, seed=0):
    import keras

    keras.utils.set_random_seed(seed)
    student = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    learner = objective(name)
    learner.begin(Setting(student, {"embedding": (TEACHER,)}, PLAN.optimizer(400), seed))
    return learner


def batch(seed=1, count=64):
    """Targets are three of ten numbers that the teacher makes of the patch, far from zero and large."""
    import tensorflow as tf

    patch = np.random.default_rng(seed).normal(size=(count, 4, 4, 1)).astype(np.float16)
    linear = np.random.default_rng(9).normal(size=(16, TEACHER)).astype(np.float32)
    embedding = 50 + 20 * patch.reshape(count, 16).astype(np.float32) @ linear
    target = (embedding[:, :3] - 50) / 80
    columns = {"patch": patch, "embedding": embedding, "target": target}
    return {name: tf.constant(values) for name, values in columns.items()}


@pytest.mark.parametrize("loss", ["cosine", "mse"])
@pytest.mark.parametrize(("heads", "hidden"), [(1, 0), (3, 8)])
def test_the_loss_is_that_of_the_target_and_the_mean_over_heads(loss, heads, hidden):
    learner = begun(f"simreg:heads={heads},hidden={hidden},loss={loss},weight=0.7,target=2.0")
    given = batch()
    losses = learner.losses(given)
    teacher = given["embedding"].numpy()
    centred = teacher - teacher.mean(axis=0)
    wanted = (centred / np.sqrt(np.square(centred).mean())).astype(np.float32)
    embedding = learner.student(np.asarray(given["patch"], np.float32))
    one = {"cosine": cosine.loss, "mse": sea.loss}[loss]
    guessed = np.mean([float(one(wanted, head(embedding, training=True))) for head in learner.heads])
    target = float(cosine.loss(given["target"], embedding)) + simreg.LENGTH * float(
        sea.loss(given["target"], embedding)
    )
    assert float(losses["heads"]) == pytest.approx(guessed, rel=1e-4)
    assert float(losses["target"]) == pytest.approx(target, rel=1e-4)
    assert float(losses["loss"]) == pytest.approx(0.7 * guessed + 2.0 * target, rel=1e-4)


def test_heads_begin_differently_learn_and_are_not_deployed():
    learner = begun("simreg:heads=2,hidden=8")
    before = [head.get_weights()[0].copy() for head in learner.heads]
    assert np.abs(before[0] - before[1]).max() > 0.01
    first = float(learner.step(batch(0))["heads"])
    for seed in range(1, 150):
        last = float(learner.step(batch(seed))["heads"])
    assert last < 0.6 * first
    for head, weights in zip(learner.heads, before, strict=True):
        assert np.abs(head.get_weights()[0] - weights).max() > 0.01
    assert learner.deploy() is learner.student
    assert learner.deploy().output_shape == (None, 3)


def test_all_that_the_rest_depends_on_is_in_its_variables():
    """Put into another one's place, the next step is the same to the bit."""
    one, other = begun("simreg:heads=2"), begun("simreg:heads=2", seed=5)
    for seed in range(3):
        one.step(batch(seed))
    for source, copy in zip(one.variables, other.variables, strict=True):
        copy.assign(source)
    assert float(one.step(batch(3))["loss"]) == float(other.step(batch(3))["loss"])
    for a, b in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("heads=0", "Received heads = 0 and hidden = 512 for the objective simreg: give at least 1 head"),
        ("hidden=-1", "Received heads = 1 and hidden = -1"),
        ("loss=l1", "Received loss = 'l1' for the objective simreg: choose cosine or mse."),
        (
            "weight=0",
            "Received weight = 0.0 and target = 1.0 for the objective simreg: give numbers above 0.",
        ),
        ("target=-1", "Received weight = 1.0 and target = -1.0"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(UsageError, match=said.replace(".", r"\.")):
        objective(f"simreg:{options}")
