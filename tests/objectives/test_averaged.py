"""The mean of weights: by hand, deployed, and the same to the bit after a kill."""

import dataclasses

import numpy as np
import pytest

from edgesea.measures import fidelity
from edgesea.objectives import objective
from edgesea.objectives.averaged import Averaged
from edgesea.objectives.base import Setting, predict
from edgesea.students.separable import Separable
from edgesea.train import Schedule, train

PLAN = Schedule(epochs=3, batch=16, learning_rate=1e-2, weight_decay=1e-4, patience=9, seed=3)


def begun(name="cosine", decay=0.9, plan=PLAN):
    import keras

    keras.utils.set_random_seed(0)
    student = Separable(4, ((4, 1),)).build(8, 8, 4)
    learner = Averaged(objective(name), decay)
    learner.begin(Setting(student, {"embedding": (4,)}, plan.optimizer(12), plan.seed, epoch=4, epochs=3))
    return learner


def trained(task, folder, plan=PLAN, **how):
    learner = begun(plan=plan, **how)
    course = train(learner, *task, plan, folder / "checkpoints", folder / "tensorboard")
    return learner, [{name: value for name, value in each.items() if name != "seconds"} for each in course]


def test_the_mean_is_the_formulas(task):
    learner = begun(decay=0.5)
    mean = [weight.numpy() for weight in learner.student.weights]
    batch = task[0].batch(np.arange(16), learner.needs)
    # 2 / 11 and 3 / 12 are below the decay, from the eighth step on (9 / 18) it is the decay's.
    for n in range(1, 12):
        learner.step(batch)
        decay = min(0.5, (1 + n) / (10 + n))
        now = [weight.numpy() for weight in learner.student.weights]
        mean = [decay * held + (1 - decay) * new for held, new in zip(mean, now, strict=True)]
    for weight, wanted in zip(learner.deploy().weights, mean, strict=True):
        np.testing.assert_allclose(weight.numpy(), wanted, rtol=1e-4, atol=1e-6)
    assert learner.deploy() is not learner.student


def test_the_scores_are_those_of_what_is_deployed(task, tmp_path):
    learner, course = trained(task, tmp_path)
    best = max(course, key=lambda each: each["cosine"])
    embedding = predict(learner.deploy(), task[1].patches())
    assert fidelity.cosine(task[1].targets(), embedding) == pytest.approx(best["cosine"], abs=1e-6)


def test_the_student_learns_as_it_does_without(task, tmp_path):
    """The mean is looked at, never learnt from."""
    one, _ = trained(task, tmp_path / "a", decay=0.9)
    other, _ = trained(task, tmp_path / "b", decay=0.1)
    for a, b in zip(one.student.weights, other.student.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert any(
        not np.array_equal(a.numpy(), b.numpy())
        for a, b in zip(one.deploy().weights, other.deploy().weights, strict=True)
    )


@pytest.mark.parametrize("name", ["cosine", "simreg:hidden=8,heads=2", "cosine+0.5*compress:queue=24"])
def test_interrupted_it_ends_with_the_same_mean_to_the_bit(task, tmp_path, interrupted_soon, name):
    whole, course = trained(task, tmp_path / "whole", name=name)
    with interrupted_soon(), pytest.raises(KeyboardInterrupt):
        trained(task, tmp_path / "killed", name=name)
    again, resumed = trained(task, tmp_path / "killed", name=name)
    assert resumed == course
    for a, b in zip(again.deploy().variables, whole.deploy().variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_patches_mix_their_styles_by_epoch_and_step_alone(task, tmp_path):
    plan = dataclasses.replace(PLAN, mixstyle=0.7)
    _, one = trained(task, tmp_path / "a", plan=plan)
    _, other = trained(task, tmp_path / "b", plan=plan)
    _, without = trained(task, tmp_path / "c")
    assert one == other
    assert one[0]["loss"] != without[0]["loss"]
