"""`kd`: Hinton's soft labels against loops, differences, and what the formula says at its ends."""

import math

import by_hand
import numpy as np
import pytest

from edgesea.errors import UsageError
from edgesea.named import Choice
from edgesea.objectives import kd, objective
from edgesea.objectives.base import Material

rng = np.random.default_rng(0)
TEACHER, STUDENT = rng.normal(0, 3, (5, 4)), rng.normal(0, 3, (5, 4))
LABEL = np.array([[1, 0, 0, 0], [0, 0.3, 0.7, 0], [0, 0, 0, 1], [0.5, 0.5, 0, 0], [0, 1, 0, 0]])


def in_loops(teacher, student, tau):
    p = [by_hand.softmax([value / tau for value in row]) for row in teacher]
    q = [by_hand.softmax([value / tau for value in row]) for row in student]
    return tau**2 * by_hand.mean(by_hand.kl(a, b) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_the_loss_is_the_papers(tau):
    assert float(kd.loss(TEACHER, STUDENT, tau)) == pytest.approx(in_loops(TEACHER, STUDENT, tau), rel=1e-9)


def test_its_gradient_is_that_of_differences():
    found = by_hand.tape(lambda student: kd.loss(TEACHER, student, 4.0), STUDENT)
    np.testing.assert_allclose(
        found, by_hand.gradient(lambda s: in_loops(TEACHER, s, 4.0), STUDENT), atol=1e-6
    )


def test_a_student_that_equals_the_teacher_has_no_loss_and_a_hot_one_matches_logits():
    assert float(kd.loss(TEACHER, TEACHER, 4.0)) == pytest.approx(0, abs=1e-12)
    # Hinton et al., section 2.1: at high temperatures half the squared difference of centred logits over C.
    centred = [each - each.mean(axis=1, keepdims=True) for each in (TEACHER, STUDENT)]
    squares = np.square(centred[0] - centred[1]).sum(axis=1).mean() / (2 * 4)
    assert float(kd.loss(TEACHER, STUDENT, 1e4)) == pytest.approx(squares, rel=1e-2)


def test_hard_labels_may_be_shares():
    each = []
    for shares, logits in zip(LABEL, STUDENT, strict=True):
        p = by_hand.softmax(logits)
        each.append(-sum(s * math.log(q) for s, q in zip(shares, p, strict=True)))
    assert float(kd.cross_entropy(LABEL, STUDENT)) == pytest.approx(by_hand.mean(each), rel=1e-9)


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ("kd:temperature=0", r"^Received temperature = 0\.0: give a number above 0\.$"),
        ("kd:hard=1.5", r"^Received hard = 1\.5: it must lie in 0 \.\. 1\.$"),
        (
            "kd:hard=0.5,soft=scores",
            r"^Received hard = 0\.5 with soft = scores: labels are of the data's classes",
        ),
        ("kd:soft=none", r"^Received soft = 'none': choose one of auto, scores, head\.$"),
    ],
)
def test_options_that_cannot_be(choice, sentence):
    with pytest.raises(UsageError, match=sentence):
        objective(choice)


BOTH = {"embedding": (8,), "scores": (5,)}
ONE = {"embedding": (8,)}
LABELS = (("a",), ("b",), ("a",))


@pytest.mark.parametrize(
    ("outputs", "labels", "choice", "source"),
    [
        (ONE, LABELS, "kd", "head"),
        (BOTH, LABELS, "kd", "head"),
        (BOTH, LABELS, "kd:soft=scores", "scores"),
        (BOTH, ((), ("a",)), "kd", "scores"),
        (BOTH, (("a", "b"), ("a",)), "kd", "scores"),
        (BOTH, LABELS, "kd:hard=0.5", "head"),
    ],
)
def test_where_soft_labels_come_from(outputs, labels, choice, source):
    learner, material = objective(choice), Material("T", outputs, labels, 100)
    learner.check(material)
    assert learner.soft(material) == source
    assert ("label" in learner.needs) == ("hard" in choice)


@pytest.mark.parametrize(
    ("outputs", "labels", "choice", "sentence"),
    [
        (ONE, ((), ("a",)), "kd", "needs class outputs of the teacher, and T gives only embedding: choose a"),
        (ONE, LABELS, "kd:soft=scores", "needs class outputs of the teacher, and T gives only embedding"),
        (BOTH, ((), ("a",)), "kd:hard=0.5", "needs labels, and not every clip of the data has one"),
        (BOTH, (("a", "b"), ("a",)), "kd:soft=head", "needs one label a clip, and some clips have several"),
        (ONE, (("a",), ("a",)), "kd", "needs two classes at least, and every clip is labelled 'a'"),
    ],
)
def test_what_is_missing_is_said(outputs, labels, choice, sentence):
    with pytest.raises(UsageError, match=f"^The objective kd {sentence}"):
        objective(Choice.of(choice, "objective")).check(Material("T", outputs, labels, 100))
