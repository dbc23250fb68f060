"""`amad`: the alignment of attention maps against loops and differences, its minimum, and what it needs."""

import math

import by_hand
import numpy as np
import pytest

from edgesea.errors import UsageError
from edgesea.objectives import amad, objective
from edgesea.objectives.base import Material, Setting
from edgesea.students.transformer import Transformer, maps

rng = np.random.default_rng(7)


def attention(batch, heads, patches=4):
    return rng.dirichlet(np.ones(patches), (batch, heads, patches))


TEACHER, STUDENT = attention(2, 3), attention(2, 2)


def weights(teacher, student):
    """w_hg of one frame, by the cosines of flattened maps."""

    def cosine(a, b):
        a, b = a.ravel(), b.ravel()
        return by_hand.dot(a, b) / math.sqrt(by_hand.dot(a, a) * by_hand.dot(b, b))

    return [by_hand.softmax([cosine(a, b) for b in student]) for a in teacher]


def in_loops(student, fixed=None):
    each = []
    for k, (ours, theirs) in enumerate(zip(student, TEACHER, strict=True)):
        w = weights(theirs, ours) if fixed is None else fixed[k]
        for query in range(4):
            each.append(
                sum(
                    w[h][g] * by_hand.kl(theirs[h][query], ours[g][query])
                    for h in range(len(theirs))
                    for g in range(len(ours))
                )
            )
    return by_hand.mean(each)


def test_the_loss_is_the_papers():
    assert float(amad.loss(TEACHER, STUDENT)) == pytest.approx(in_loops(STUDENT), rel=1e-7)


def test_its_gradient_is_that_of_differences_with_and_without_the_weights():
    fixed = [weights(theirs, ours) for theirs, ours in zip(TEACHER, STUDENT, strict=True)]
    for through, held in ((False, fixed), (True, None)):
        np.testing.assert_allclose(
            by_hand.tape(lambda s, t=through: amad.loss(TEACHER, s, through=t), STUDENT),
            by_hand.gradient(lambda s, h=held: in_loops(s, h), STUDENT),
            rtol=1e-4,
            atol=1e-6,
        )


def test_identical_maps_and_equal_heads_are_the_minimum():
    """All heads with one map: nothing is left, and where rows must have the sum 1 nothing pulls."""
    one = np.repeat(attention(2, 1), 3, axis=1)
    assert float(amad.loss(one, one)) == pytest.approx(0, abs=1e-9)
    pull = by_hand.tape(lambda s: amad.loss(one, s), one)
    # A change that keeps the sum of a row is orthogonal to a constant gradient over it.
    np.testing.assert_allclose(pull, pull.mean(axis=-1, keepdims=True) * np.ones(4), atol=1e-9)
    for other in (attention(2, 3), attention(2, 2)):
        assert float(amad.loss(one, other)) > 1e-3


def test_heads_that_differ_leave_what_each_lacks_of_the_others():
    """A student that equals a teacher of several maps still has the divergences between its heads."""
    wanted = by_hand.mean(
        sum(w[h][g] * by_hand.kl(maps_of[h][query], maps_of[g][query]) for h in range(3) for g in range(3))
        for maps_of in TEACHER
        for w in [weights(maps_of, maps_of)]
        for query in range(4)
    )
    assert float(amad.loss(TEACHER, TEACHER)) == pytest.approx(wanted, rel=1e-7)


@pytest.mark.parametrize(
    ("teacher", "student", "places"),
    [(3, 3, [0, 1, 2]), (6, 2, [2, 5]), (3, 2, [1, 2]), (2, 4, [0, 0, 1, 1])],
)
def test_layers_are_paired_by_height_and_the_last_with_the_last(teacher, student, places):
    assert amad.pairs(teacher, student) == places


def begun(layers=2, heads=2):
    import keras

    keras.utils.set_random_seed(0)
    student = Transformer(width=8, heads=heads, layers=layers, hidden=8, patch=4).build(8, 8, 3)

    def optimizer(variables, share=1.0):
        made = keras.optimizers.Adam(0.01)
        made.build(variables)
        return made

    learner = objective("amad")
    learner.begin(Setting(student, {"embedding": (5,), "attention": (3, 3, 4, 4)}, optimizer, 0))
    return learner


def test_it_learns_the_students_own_maps_and_deploys_the_embedding_alone():
    import tensorflow as tf

    learner = begun()
    batch = {
        "patch": tf.constant(rng.normal(0, 1, (6, 8, 8, 1)), tf.float32),
        "target": tf.constant(rng.normal(0, 1, (6, 3)), tf.float32),
        "attention": tf.constant(np.stack([attention(6, 3) for _ in range(3)], axis=1), tf.float32),
    }
    heard = learner.hear(batch)
    assert [each.shape for each in heard["attention"]] == [(6, 2, 4, 4)] * 2
    first = learner.compare(batch, heard)
    parts = [amad.loss(batch["attention"][:, p], m) for p, m in zip([1, 2], heard["attention"], strict=True)]
    assert float(first["attention"]) == pytest.approx(float(sum(parts)) / 2, rel=1e-5)
    assert float(first["loss"]) == pytest.approx(float(first["target"] + first["attention"]), rel=1e-6)
    for _ in range(30):
        last = learner.step(batch)
    assert float(last["attention"]) < float(first["attention"])
    assert learner.deploy() is learner.student
    assert learner.student.output_shape == (None, 3)
    assert not learner.beside


def test_a_student_or_a_teacher_without_maps_or_of_other_patches_is_refused():
    import keras

    material = Material("T", {"embedding": (5,), "attention": (3, 3, 4, 4)}, (), 100)
    with pytest.raises(
        UsageError, match=r"^The objective amad needs the teacher's attention, and it gives only embedding: "
    ):
        objective("amad").check(Material("T", {"embedding": (5,)}, (), 100))
    plain = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()], name="plain")
    with pytest.raises(
        UsageError,
        match=r"^The objective amad needs a student with attention maps, and plain has none: choose",
    ):
        objective("amad").check_student(plain, material)
    with pytest.raises(
        UsageError, match=r"needs attention over the same patches, and the teacher has 4 and the student 16: "
    ):
        objective("amad").check_student(Transformer(8, 2, 1, 8, 2).build(8, 8, 3), material)
    objective("amad").check_student(Transformer(8, 2, 1, 8, 4).build(8, 8, 3), material)


def test_options_that_cannot_be():
    with pytest.raises(UsageError, match=r"^Received weight = -1\.0: give a number of at least 0\.$"):
        objective("amad:weight=-1")


def test_the_maps_of_a_transformer_are_its_layers_in_order():
    assert [each.shape[1:] for each in maps(Transformer(8, 2, 3, 8, 4).build(8, 8, 3))] == [(2, 4, 4)] * 3
