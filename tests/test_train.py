"""The training loop: the same to the bit after a kill, the best epoch kept, clear words where it cannot."""

import json

import numpy as np
import pytest

from edgesea import files, reduction
from edgesea.errors import EdgeseaError
from edgesea.examples import Examples
from edgesea.measures import fidelity
from edgesea.objectives import sea
from edgesea.objectives.base import Setting, predict
from edgesea.store import Store
from edgesea.train import WARM_UP, Schedule, train

PLAN = Schedule(epochs=5, batch=16, learning_rate=3e-2, weight_decay=1e-4, patience=10, seed=3)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """(training, validation): targets are a linear map of the 4 x 4 patch, with a little noise."""
    rng = np.random.default_rng(0)
    patches = rng.standard_normal((200, 4, 4, 1)).astype(np.float16)
    linear = rng.standard_normal((16, 3))
    embedding = (patches.reshape(200, 16) @ linear + 0.1 * rng.standard_normal((200, 3))).astype(np.float32)
    store = Store(tmp_path_factory.mktemp("task") / "s", {})
    store.write(0, {"embedding": embedding, "patch": patches})
    reducer = reduction.reducer("identity", 3).fit([embedding])
    return tuple(Examples(store, rows, reducer) for rows in (np.arange(150), np.arange(150, 200)))


def student(seed=0):
    import keras

    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.Flatten(),
            keras.layers.Dense(8),
            keras.layers.BatchNormalization(momentum=0.5),
            keras.layers.Dense(3),
        ]
    )


class WithLoss(sea.Sea):
    """`sea` with another loss in its place."""

    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def losses(self, batch):
        return {"loss": self.loss(batch["target"], self.student(batch["patch"], training=True))}


def run(model, task, folder, plan=PLAN, objective=None):
    objective = objective or sea.Sea()
    steps = plan.epochs * max(1, len(task[0]) // plan.batch)
    objective.begin(Setting(model, {"embedding": (3,)}, plan.optimizer(steps), plan.seed))
    return train(objective, *task, plan, folder / "checkpoints", folder / "tensorboard")


def untimed(course):
    return [{key: value for key, value in epoch.items() if key != "seconds"} for epoch in course]


def assert_same_weights(one, two):
    for a, b in zip(one.variables, two.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.fixture(scope="module")
def undisturbed(task, tmp_path_factory):
    model = student()
    return model, run(model, task, tmp_path_factory.mktemp("undisturbed"))


def test_it_learns_and_says_how(undisturbed, task):
    model, course = undisturbed
    assert [each["epoch"] for each in course] == [1, 2, 3, 4, 5]
    assert course[-1]["loss"] < 0.5 * course[0]["loss"]
    assert course[-1]["r2"] > 0.8
    best = max(course, key=lambda each: each["r2"])
    embedding = predict(model, task[1].patches())
    assert fidelity.r2(task[1].targets(), embedding) == pytest.approx(best["r2"], abs=1e-9)
    assert fidelity.cosine(task[1].targets(), embedding) == pytest.approx(best["cosine"], abs=1e-9)


@pytest.mark.parametrize(
    "moment", ["first step", "middle of epoch 3", "writing of epoch 2", "after the last"]
)
def test_killed_at_any_moment_it_ends_the_same(task, undisturbed, tmp_path, monkeypatch, moment):
    model, course = undisturbed
    steps = len(task[0]) // PLAN.batch
    replace, batch = files.os.replace, Examples.batch
    calls = {"batch": 0, "replace": 0}

    def read(self, places, columns):
        calls["batch"] += 1
        # The reader runs some batches ahead.
        if calls["batch"] == {"first step": 1, "middle of epoch 3": 2 * steps + 7}.get(moment):
            raise RuntimeError("killed")
        return batch(self, places, columns)

    def replaced(source, target):
        calls["replace"] += str(target).endswith("state.npz")
        if moment == "writing of epoch 2" and calls["replace"] == 2:
            raise KeyboardInterrupt
        replace(source, target)
        if moment == "after the last" and calls["replace"] == PLAN.epochs:
            raise KeyboardInterrupt

    monkeypatch.setattr(Examples, "batch", read)
    monkeypatch.setattr(files.os, "replace", replaced)
    with pytest.raises((KeyboardInterrupt, RuntimeError)):
        run(student(), task, tmp_path)
    monkeypatch.setattr(Examples, "batch", batch)
    monkeypatch.setattr(files.os, "replace", replace)

    # Once there is a state, the weights come from there.
    again = student(seed=0 if moment == "first step" else 99)
    resumed = run(again, task, tmp_path)
    assert untimed(resumed) == untimed(course)
    assert_same_weights(again, model)
    assert [each.name for each in (tmp_path / "checkpoints").iterdir()] == ["state.npz"]


def test_a_finished_training_is_not_repeated(task, undisturbed, tmp_path, monkeypatch):
    run(student(), task, tmp_path)
    monkeypatch.setattr(files, "replacing", None)  # nothing is written any more
    again = student(seed=5)
    assert untimed(run(again, task, tmp_path)) == untimed(undisturbed[1])
    assert_same_weights(again, undisturbed[0])


def test_it_stops_early_and_keeps_the_best_epoch(task, tmp_path):
    import tensorflow as tf

    calls = tf.Variable(0.0)

    def worse_and_worse(target, embedding):
        """Learns for the first epoch, then unlearns."""
        calls.assign_add(1.0)
        sign = tf.where(calls > 9.0, -1.0, 1.0)
        return sign * sea.loss(target, embedding)

    model = student()
    plan = Schedule(epochs=50, batch=16, learning_rate=1e-2, weight_decay=0.0, patience=2, seed=3)
    course = run(model, task, tmp_path, plan, WithLoss(worse_and_worse))
    best = max(range(len(course)), key=lambda k: course[k]["r2"])
    assert len(course) == best + 1 + 2 < 50
    found = fidelity.r2(task[1].targets(), predict(model, task[1].patches()))
    assert found == pytest.approx(course[best]["r2"], abs=1e-9)
    assert found > course[-1]["r2"]


def test_a_loss_that_is_no_number_ends_it_in_words(task, tmp_path):
    plan = Schedule(epochs=2, batch=16, learning_rate=1e-2, weight_decay=0.0, patience=5, seed=0)

    def broken(target, embedding):
        return sea.loss(target, embedding) * float("nan")

    with pytest.raises(
        EdgeseaError, match=r"The loss became nan in epoch 1: lower --learning-rate \(it is 0\.01\)"
    ):
        run(student(), task, tmp_path, plan, WithLoss(broken))
    assert not (tmp_path / "checkpoints").exists()


def test_validation_sound_without_difference_is_refused_before_training(task, tmp_path):
    trained_on, looked_at = task
    one = Examples(looked_at.store, looked_at.rows[:1], looked_at.reducer)
    with pytest.raises(
        EdgeseaError, match="The validation recordings hold no two frames that the teacher tells"
    ):
        run(student(), (trained_on, one), tmp_path)


@pytest.mark.parametrize("damage", ["empty", "half", "another student's", "no course"])
def test_a_damaged_checkpoint_is_named(task, tmp_path, damage):
    plan = Schedule(epochs=1, batch=16, learning_rate=1e-2, weight_decay=0.0, patience=5, seed=0)
    run(student(), task, tmp_path, plan)
    path = tmp_path / "checkpoints" / "state.npz"
    content = path.read_bytes()
    if damage == "another student's":
        np.savez(
            path,
            course=np.array("[]"),
            **{f"{kind}{i}": np.zeros(3) for kind in ("now", "best") for i in range(99)},
        )
    elif damage == "no course":
        np.savez(path, course=np.array("{"))
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "half" else b"")
    with pytest.raises(
        EdgeseaError, match=r"Cannot read the checkpoint .*state\.npz \(.*\): delete it and run"
    ):
        run(student(), task, tmp_path, plan)


def test_fewer_examples_than_a_batch_are_one_step(task, tmp_path):
    trained_on, looked_at = task
    few = Examples(trained_on.store, trained_on.rows[:5], trained_on.reducer)
    plan = Schedule(epochs=2, batch=64, learning_rate=1e-2, weight_decay=0.0, patience=5, seed=0)
    assert len(run(student(), (few, looked_at), tmp_path, plan)) == 2


def test_every_epoch_sees_every_example_once_in_an_order_of_its_own(task, tmp_path, monkeypatch):
    seen, batch = [], Examples.batch

    def read(self, places, columns):
        seen.append(np.array(places))
        return batch(self, places, columns)

    monkeypatch.setattr(Examples, "batch", read)
    trained_on, looked_at = task
    whole = Examples(trained_on.store, trained_on.rows[:96], trained_on.reducer)
    run(student(), (whole, looked_at), tmp_path, PLAN)
    epochs = np.concatenate(seen).reshape(PLAN.epochs, 96)
    for order in epochs:
        assert sorted(order) == list(range(96))
    assert not (epochs[0] == epochs[1]).all()


def test_the_learning_rate_warms_up_and_falls_to_nearly_nothing():
    plan = Schedule(epochs=1, batch=1, learning_rate=0.003, weight_decay=1e-4, patience=1, seed=0)
    for steps, warm_up in ((10_000, WARM_UP), (100, 10), (1, 0)):
        optimizer = plan.optimizer(steps)([])
        rates = [float(optimizer._learning_rate(step)) for step in range(0, steps, max(1, steps // 100))]
        assert max(rates) <= 0.003 * 1.0001
        if steps > 1:
            assert float(optimizer._learning_rate(warm_up)) == pytest.approx(0.003)
            assert rates[0] == pytest.approx(0.003 / 20)
            assert float(optimizer._learning_rate(steps)) == pytest.approx(3e-6, rel=0.01)


def test_the_course_is_there_for_tensorboard(task, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    course = run(student(), task, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"loss", "r2", "cosine", "learning_rate"} <= set(events.Tags()["tensors"])
    shown = [float(np.frombuffer(e.tensor_proto.tensor_content, np.float32)[0]) for e in events.Tensors("r2")]
    np.testing.assert_allclose(shown, [each["r2"] for each in course], rtol=1e-5)


def test_the_state_is_one_plain_file(task, tmp_path):
    run(student(), task, tmp_path)
    with np.load(tmp_path / "checkpoints" / "state.npz", allow_pickle=False) as held:
        assert len(json.loads(str(held["course"]))) == PLAN.epochs


def test_sea_is_the_mean_squared_error():
    target = np.array([[1.0, 2.0], [0.0, 0.0]], np.float32)
    embedding = np.array([[1.0, 0.0], [2.0, 2.0]], np.float32)
    assert float(sea.loss(target, embedding)) == pytest.approx((0 + 4 + 4 + 4) / 4)
