"""What learns with muon is the same to the bit after an interruption."""

import dataclasses

import numpy as np
import pytest

from edgesea.objectives import objective
from edgesea.objectives.base import Setting
from edgesea.students.separable import Separable
from edgesea.train import Schedule, train

PLAN = Schedule(epochs=3, batch=16, learning_rate=1e-2, weight_decay=1e-4, patience=9, seed=3, kind="muon")


def trained(task, folder, plan=PLAN):
    import keras

    keras.utils.set_random_seed(0)
    student = Separable(4, ((4, 1), (6, 1, 5))).build(8, 8, 4)
    learner = objective("cosine")
    learner.begin(Setting(student, {"embedding": (4,)}, plan.optimizer(12), plan.seed, epoch=4, epochs=3))
    course = train(learner, *task, plan, folder / "checkpoints", folder / "tensorboard")
    return learner, [{name: value for name, value in each.items() if name != "seconds"} for each in course]


def test_interrupted_it_ends_the_same_to_the_bit(task, tmp_path, interrupted_soon):
    whole, course = trained(task, tmp_path / "whole")
    _, plain = trained(task, tmp_path / "plain", dataclasses.replace(PLAN, kind="adamw"))
    assert course != plain
    assert course[-1]["loss"] < course[0]["loss"]
    with interrupted_soon(), pytest.raises(KeyboardInterrupt):
        trained(task, tmp_path / "killed")
    again, resumed = trained(task, tmp_path / "killed")
    assert resumed == course
    for a, b in zip(again.variables, whole.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
