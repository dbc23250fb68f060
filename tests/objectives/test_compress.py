"""`compress`: the loss against loops and differences, its queues, and its momentum copy."""

import by_hand
import numpy as np
import pytest

from edgesea.errors import UsageError
from edgesea.objectives import compress, objective
from edgesea.objectives.base import Material, Setting

rng = np.random.default_rng(1)


def units(*shape):
    values = rng.normal(0, 1, shape)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


TEACHER, STUDENT, OURS, THEIRS = units(4, 6), units(4, 3), units(7, 3), units(7, 6)
FILLED = np.array([True, True, True, True, True, False, False])


def in_loops(student, tau=0.3):
    def similar(query, anchors):
        return by_hand.softmax(
            [by_hand.dot(query, a) / tau for a, there in zip(anchors, FILLED, strict=True) if there]
        )

    each = [by_hand.kl(similar(t, THEIRS), similar(s, OURS)) for t, s in zip(TEACHER, student, strict=True)]
    return by_hand.mean(each)


def found(student):
    return compress.loss(TEACHER, student, THEIRS, OURS, FILLED, 0.3)


def test_the_loss_is_the_papers_over_the_anchors_that_there_are():
    assert float(found(STUDENT)) == pytest.approx(in_loops(STUDENT), rel=1e-9)


def test_its_gradient_is_that_of_differences():
    np.testing.assert_allclose(by_hand.tape(found, STUDENT), by_hand.gradient(in_loops, STUDENT), atol=1e-6)


def test_one_anchor_or_none_or_the_teacher_itself_has_no_loss():
    one, none, every = np.arange(7) < 1, np.arange(7) < 0, np.arange(7) < 7
    assert float(compress.loss(TEACHER, STUDENT, THEIRS, OURS, one, 0.04)) == 0
    assert float(compress.loss(TEACHER, STUDENT, THEIRS, OURS, none, 0.04)) == 0
    assert float(compress.loss(TEACHER, TEACHER, THEIRS, THEIRS, every, 0.04)) == pytest.approx(0, abs=1e-12)
    assert (by_hand.tape(lambda s: compress.loss(TEACHER, s, THEIRS, OURS, none, 0.04), STUDENT) == 0).all()


def begun(choice, frames=100):
    import keras

    keras.utils.set_random_seed(0)
    student = keras.Sequential(
        [
            keras.Input((2, 2, 1)),
            keras.layers.Flatten(),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )
    learner = objective(choice)

    def optimizer(variables):
        made = keras.optimizers.SGD(0.1)
        made.build(variables)
        return made

    learner.begin(Setting(student, {"embedding": (6,)}, optimizer, 0, frames=frames))
    return learner


def batch(seed, count=4):
    made = np.random.default_rng(seed)
    return {
        "patch": made.normal(0, 1, (count, 2, 2, 1)).astype(np.float32),
        "embedding": made.normal(0, 5, (count, 6)).astype(np.float32),
    }


def tensors(columns):
    import tensorflow as tf

    return {name: tf.constant(values) for name, values in columns.items()}


def test_the_queues_hold_the_last_frames_each_of_length_one_and_in_one_order():
    learner = begun("compress:queue=6,momentum=0.5")
    batches = [batch(k) for k in range(3)]
    assert float(learner.step(tensors(batches[0]))["loss"]) == 0  # no anchors yet
    assert float(learner.step(tensors(batches[1]))["loss"]) > 0
    learner.step(tensors(batches[2]))
    last = np.concatenate([each["embedding"] for each in batches])[-6:]
    last = last / np.linalg.norm(last, axis=1, keepdims=True)
    held = learner.teacher_queue.numpy()
    # Frame k of all lies in slot k mod 6.
    np.testing.assert_allclose(held[np.arange(6, 12) % 6], last, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(learner.student_queue.numpy(), axis=1), 1, rtol=1e-5)
    assert int(learner.seen) == 12


def test_a_batch_larger_than_the_queue_leaves_its_last_frames():
    learner, columns = begun("compress:queue=3"), batch(0, 8)
    learner.step(tensors(columns))
    last = columns["embedding"][-3:] / np.linalg.norm(columns["embedding"][-3:], axis=1, keepdims=True)
    np.testing.assert_allclose(learner.teacher_queue.numpy()[np.arange(5, 8) % 3], last, rtol=1e-5)


def test_the_copy_follows_the_student_by_its_momentum_and_fills_the_students_queue():
    learner = begun("compress:queue=4,momentum=0.75")
    learner.step(tensors(batch(0)))
    slow = [variable.numpy() for variable in learner.copy.trainable_variables]
    columns = tensors(batch(1))
    key = learner.copy(columns["patch"], training=True).numpy()
    learner.step(columns)
    np.testing.assert_allclose(
        learner.student_queue.numpy(), key / np.linalg.norm(key, axis=1, keepdims=True), rtol=1e-4
    )
    for before, now, fast in zip(
        slow, learner.copy.trainable_variables, learner.student.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(now.numpy(), 0.75 * before + 0.25 * fast.numpy(), rtol=1e-5, atol=1e-7)


def test_with_one_queue_a_layer_that_is_not_deployed_reaches_the_teachers_dimension():
    learner = begun("compress:variant=1q,queue=4")
    assert [v.shape for v in learner.beside] == [(3, 6), (6,)]
    before = [v.numpy() for v in learner.beside]
    for k in range(3):
        learner.step(tensors(batch(k)))
    assert all((a != v.numpy()).any() for a, v in zip(before[:1], learner.beside[:1], strict=True))
    assert learner.deploy() is learner.student
    assert not hasattr(learner, "student_queue")


def test_everything_that_it_remembers_is_of_the_state():
    learner = begun("compress:queue=4")
    held = {id(variable) for variable in learner.variables}
    for variable in (learner.seen, learner.teacher_queue, learner.student_queue, *learner.copy.variables):
        assert id(variable) in held


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ("compress:temperature=0", r"^Received temperature = 0\.0: give a number above 0\.$"),
        ("compress:queue=0", r"^Received queue = 0: give a whole number of at least 1\.$"),
        ("compress:momentum=2", r"^Received momentum = 2\.0: it must lie in 0 \.\. 1\.$"),
        ("compress:variant=3q", r"^Received variant = '3q': choose 2q or 1q\.$"),
    ],
)
def test_options_that_cannot_be(choice, sentence):
    with pytest.raises(UsageError, match=sentence):
        objective(choice)


def test_a_queue_larger_than_the_training_set_is_refused_and_the_usual_one_shrinks():
    with pytest.raises(
        UsageError,
        match=r"^The objective compress with a queue of 101 anchors needs as many frames to train "
        r"on, and there are 100: choose a smaller queue, or more --frames\.$",
    ):
        objective("compress:queue=101").check(Material("T", {"embedding": (6,)}, (), 100))
    objective("compress:queue=100").check(Material("T", {"embedding": (6,)}, (), 100))
    assert begun("compress", frames=50).teacher_queue.shape == (50, 6)
