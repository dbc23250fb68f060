"""Every objective, interrupted in its training, goes on from its state and ends the same to the bit.

The same as `test_objectives_resume`, which kills whole processes, in one process and on numbers.
"""

import json

import numpy as np
import pytest

from edgesea import files, reduction, soft
from edgesea.examples import Examples
from edgesea.objectives import OBJECTIVES, objective
from edgesea.objectives.base import Setting
from edgesea.store import Store
from edgesea.students.transformer import Transformer
from edgesea.train import Schedule, train

PLAN = Schedule(epochs=3, batch=16, learning_rate=1e-2, weight_decay=1e-4, patience=9, seed=3)
STEPS = 5  # of an epoch
CALLS = {
    **{name: name for name in ("sea", "cosine", "kd:hard=0.3", "reaug", "amad")},
    "simreg": "simreg:hidden=8,heads=2",
    "compress": "compress:queue=24,momentum=0.9",
    "compress 1q": "compress:variant=1q,queue=24",
    "disk": "disk:alone=1,turn=2,period=2,rise=3",
    "sum": "cosine+0.5*compress:queue=24+kd",
}


def test_there_is_a_call_of_every_objective():
    assert {call.split(":")[0].split()[0] for call in CALLS} == set(OBJECTIVES.entries)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """(training, validation): 80 and 30 frames of three classes, with all that a teacher may give."""
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=110)
    patches = rng.normal(0, 1, (110, 8, 8, 1)) + label[:, None, None, None]
    embedding = (patches.reshape(110, 64) @ rng.normal(0, 1, (64, 6))).astype(np.float32)
    store = Store(tmp_path_factory.mktemp("task") / "s", {})
    columns = {
        "patch": patches.astype(np.float16),
        "embedding": embedding,
        "label": np.eye(3, dtype=np.float32)[label],
        "attention": rng.dirichlet(np.ones(4), (110, 2, 3, 4)).astype(np.float32),
    }
    store.write(0, columns)
    reducer = reduction.reducer("pca", 4).fit([embedding])
    labels = soft.of_labels(embedding, [str(k) for k in label], np.arange(110), ["0", "1", "2"])
    return tuple(Examples(store, rows, reducer, labels) for rows in (np.arange(80), np.arange(80, 110)))


def trained(call, task, folder, seed=0):
    """The objective, the course and the state after a training that goes on from what the folder holds."""
    import keras

    keras.utils.set_random_seed(seed)
    student = Transformer(width=8, heads=2, layers=1, hidden=8, patch=4).build(8, 8, 4)
    learner = objective(call)
    outputs = {"embedding": (6,), "attention": (2, 3, 4, 4)}
    optimizer = PLAN.optimizer(PLAN.epochs * STEPS)
    learner.begin(
        Setting(student, outputs, optimizer, 0, classes=3, epoch=STEPS, epochs=PLAN.epochs, frames=80)
    )
    train(learner, *task, PLAN, folder / "checkpoints", folder / "tensorboard")
    return learner, files.read_arrays(folder / "checkpoints" / "state.npz")


@pytest.mark.parametrize("call", CALLS)
def test_interrupted_it_ends_the_same(call, task, tmp_path, monkeypatch):
    whole, wanted = trained(CALLS[call], task, tmp_path / "whole")
    real, seen = Examples.batch, []

    def interrupted(self, places, columns):
        seen.append(1)
        if len(seen) == STEPS + 3 + np.random.default_rng(len(call)).integers(STEPS):
            raise RuntimeError("interrupted")
        return real(self, places, columns)

    monkeypatch.setattr(Examples, "batch", interrupted)
    with pytest.raises(RuntimeError, match="interrupted"):
        trained(CALLS[call], task, tmp_path / "again")
    monkeypatch.setattr(Examples, "batch", real)
    # Whatever it begins with now, everything comes from the state.
    again, found = trained(CALLS[call], task, tmp_path / "again", seed=99)
    assert found.keys() == wanted.keys()
    for key in wanted.keys() - {"course"}:
        np.testing.assert_array_equal(found[key], wanted[key], err_msg=key)
    courses = [json.loads(str(state["course"])) for state in (found, wanted)]
    for one, two in zip(*courses, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {
            k: v for k, v in two.items() if k != "seconds"
        }
    for one, two in zip(again.kept, whole.kept, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))
    assert all(np.isfinite(epoch["loss"]) for epoch in courses[0])
