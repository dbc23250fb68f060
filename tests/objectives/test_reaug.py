"""`reaug`: the relations of a batch against loops and differences, and which projection it takes."""

import by_hand
import numpy as np
import pytest

from edgesea.errors import UsageError
from edgesea.named import Choice
from edgesea.objectives import objective, reaug
from edgesea.objectives.base import Material

rng = np.random.default_rng(2)


def units(count):
    values = rng.normal(0, 1, (count, 3))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


TEACHER, STUDENT = units(5), units(5)
LABELS = (("a",), ("b",), ("a",))


def in_loops(student, tau=0.2):
    each = []
    for t in TEACHER:
        q = by_hand.softmax([by_hand.dot(t, other) / tau for other in TEACHER])
        ours = by_hand.softmax([by_hand.dot(t, other) / tau for other in student])
        each.append(by_hand.kl(q, ours))
    return by_hand.mean(each)


def found(student):
    return reaug.loss(TEACHER, student, 0.2)


def test_the_relations_are_the_papers():
    assert float(found(STUDENT)) == pytest.approx(in_loops(STUDENT), rel=1e-9)


def test_their_gradient_is_that_of_differences():
    np.testing.assert_allclose(by_hand.tape(found, STUDENT), by_hand.gradient(in_loops, STUDENT), atol=1e-6)


def test_a_student_that_equals_the_teacher_has_no_loss():
    assert float(found(TEACHER)) == pytest.approx(0, abs=1e-12)
    assert float(found(STUDENT)) > 0.1


@pytest.mark.parametrize(
    ("choice", "labels", "reducer", "said"),
    [
        (
            "reaug",
            LABELS,
            Choice("contrastive"),
            "tunes the teacher's projection by a supervised contrastive",
        ),
        ("reaug", ((), ("a",)), None, "takes the run's reducer as the teacher's projection, since not every"),
        ("reaug:projection=reducer", LABELS, None, "takes the run's reducer as the teacher's projection"),
    ],
)
def test_the_projection_is_tuned_where_there_are_labels_and_this_is_said(choice, labels, reducer, said):
    material = Material("T", {"embedding": (8,), "scores": (5,)}, labels, 100)
    learner = objective(choice)
    learner.check(material)
    assert learner.projection(material) == reducer
    (note,) = learner.notes(material)
    assert said in note


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ("reaug:temperature=0", r"^Received temperature = 0\.0: give a number above 0\.$"),
        ("reaug:label_temperature=-1", r"^Received label_temperature = -1\.0: give a number above 0\.$"),
        ("reaug:beta=1.1", r"^Received beta = 1\.1: it must lie in 0 \.\. 1\.$"),
        ("reaug:neighbours=0", r"^Received neighbours = 0 and relation = 1\.0: give at least 1, and"),
        ("reaug:projection=pca", r"^Received projection = 'pca': choose auto or reducer\.$"),
    ],
)
def test_options_that_cannot_be(choice, sentence):
    with pytest.raises(UsageError, match=sentence):
        objective(choice)


def test_without_labels_and_without_scores_it_is_refused():
    with pytest.raises(
        UsageError, match=r"^The objective reaug needs class outputs of the teacher, and T gives"
    ):
        objective("reaug").check(Material("T", {"embedding": (8,)}, ((), ("a",)), 100))
