"""`disk`: both tellings of the loss against loops, its gradients, schedules and turns, and its scaffold."""

import math

import by_hand
import numpy as np
import pytest

from edgesea.errors import UsageError
from edgesea.objectives import disk, kd, objective
from edgesea.objectives.base import Material, Setting

rng = np.random.default_rng(3)
TEACHER, STUDENT = rng.normal(0, 2, (6, 5)), rng.normal(0, 2, (6, 5))
TRUTH = np.array([0, 1, 2, 3, 4, 0])
GUIDE = rng.uniform(0.05, 0.9, 6)
TOLD = {"budget": 0.3, "penalty": 2.0, "most": 1.5}


def in_loops(student, guide, formula, k=2, taus=(4.0, 3.5)):
    scaffold, helped, wrong, use = [], [], [], []
    for t, s, y, g in zip(TEACHER, student, TRUTH, guide, strict=True):
        members = sorted(range(5), key=lambda c: -t[c])[:k]
        members = sorted({*members, int(y)})
        p = by_hand.softmax([t[c] / taus[0] for c in members])
        q = by_hand.softmax([value / taus[1] for value in s])
        scaffold.append(-sum(a * math.log(q[c] + g) for a, c in zip(p, members, strict=True)))
        told = max(range(5), key=lambda c: t[c])
        helped.append(g * min(-math.log(by_hand.softmax(s)[told]), TOLD["most"]))
        wrong.append(max(range(5), key=lambda c: s[c]) != y)
        use.append(math.log(1 + k * g))
    over = helped if formula == "code" else [h for h, w in zip(helped, wrong, strict=True) if w]
    excess = max(sum(over) / max(sum(wrong), 1) - TOLD["budget"], 0)
    weight = {"code": 0.9, "paper": 1.0}[formula]
    return taus[0] * taus[1] * by_hand.mean(scaffold) + TOLD["penalty"] * excess + weight * by_hand.mean(use)


def found(student, guide, formula="code", k=2, **told):
    return disk.losses(
        TEACHER, student, TRUTH, guide, k=k, temperatures=(4.0, 3.5), formula=formula, **(TOLD | told)
    )


@pytest.mark.parametrize("formula", ["code", "paper"])
def test_the_loss_is_as_it_is_told(formula):
    made = found(STUDENT, GUIDE, formula)
    assert float(made["loss"]) == pytest.approx(in_loops(STUDENT, GUIDE, formula), rel=1e-9)
    assert float(made["excess"]) > 0  # or the penalty would not be seen


@pytest.mark.parametrize("formula", ["code", "paper"])
def test_its_gradients_are_those_of_differences_for_student_and_guide(formula):
    np.testing.assert_allclose(
        by_hand.tape(lambda s: found(s, GUIDE, formula)["loss"], STUDENT),
        by_hand.gradient(lambda s: in_loops(s, GUIDE, formula), STUDENT),
        atol=1e-5,
    )
    np.testing.assert_allclose(
        by_hand.tape(lambda g: found(STUDENT, g, formula)["loss"], GUIDE),
        by_hand.gradient(lambda g: in_loops(STUDENT, g, formula), GUIDE),
        atol=1e-5,
    )


def test_without_a_guide_and_with_every_class_it_is_plain_kd():
    none = np.zeros(6)

    def plain(student):
        return disk.losses(
            TEACHER, student, TRUTH, none, k=5, temperatures=(3.0, 3.0), formula="code", **TOLD
        )["loss"]

    entropy = by_hand.mean(-by_hand.dot(p, np.log(p)) for p in (by_hand.softmax(t / 3) for t in TEACHER))
    assert float(plain(STUDENT)) == pytest.approx(
        float(kd.loss(TEACHER, STUDENT, 3.0)) + 9 * entropy, rel=1e-9
    )
    np.testing.assert_allclose(
        by_hand.tape(plain, STUDENT), by_hand.tape(lambda s: kd.loss(TEACHER, s, 3.0), STUDENT), atol=1e-9
    )


def test_a_student_that_is_never_wrong_divides_by_one():
    assert np.isfinite(float(found(10 * np.eye(5)[TRUTH], GUIDE)["loss"]))


def test_a_class_of_no_probability_outside_makes_no_gradient_nan():
    sure = np.where(np.eye(5)[TRUTH] > 0, 800.0, -800.0)
    assert np.isfinite(by_hand.tape(lambda s: found(s, np.zeros(6), k=1)["loss"], sure)).all()


def begun(choice, epoch=4, epochs=10, classes=4):
    import keras

    keras.utils.set_random_seed(0)
    student = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])

    def optimizer(variables, share=1.0):
        made = keras.optimizers.Adam(0.05)
        made.build(variables)
        return made

    learner = objective(choice)
    learner.begin(
        Setting(student, {"embedding": (6,)}, optimizer, 0, classes=classes, epoch=epoch, epochs=epochs)
    )
    return learner


def batch(seed=0, count=32, classes=4):
    import tensorflow as tf

    made = np.random.default_rng(seed)
    truth = made.integers(classes, size=count)
    columns = {
        "patch": made.normal(0, 1, (count, 2, 2, 1)),
        "embedding": made.normal(0, 1, (count, 6)) + 2 * np.eye(6)[truth],
        "label": np.eye(classes)[truth],
        "logits": 3 * np.eye(classes)[truth] + made.normal(0, 1, (count, classes)),
    }
    return {name: tf.constant(values, tf.float32) for name, values in columns.items()}


def test_budget_and_penalty_go_along_their_cosines_and_the_budget_begins_again():
    learner = begun("disk:budget=[0.6,0.2],period=4,penalty=[1,5],rise=8")
    seen = []
    for epoch in range(8):
        learner.steps.assign(4 * epoch)
        seen.append({name: float(value) for name, value in learner.schedule().items()})
    for epoch, values in enumerate(seen):
        assert values["budget"] == pytest.approx(
            0.6 - 0.4 * (1 - math.cos(math.pi * (epoch % 4) / 4)) / 2, rel=1e-5
        )
        assert values["penalty"] == pytest.approx(1 + 4 * (1 - math.cos(math.pi * epoch / 8)) / 2, rel=1e-5)
    assert seen[4]["budget"] == seen[0]["budget"]


def test_student_and_guide_learn_in_turn_after_epochs_without_a_guide():
    learner, columns = begun("disk:alone=1,turn=2,k=2"), batch()

    def state():
        return [
            [v.numpy() for v in (*learner.student.trainable_variables, *learner.beside)],
            [v.numpy() for v in learner.guide.trainable_variables],
        ]

    turns, guides = [], []
    for _ in range(10):
        before = state()
        guides.append(float(learner.step(columns)["guide"]))
        changed = [
            any((a != b).any() for a, b in zip(one, two, strict=True))
            for one, two in zip(before, state(), strict=True)
        ]
        turns.append({(True, False): "s", (False, True): "g"}[tuple(changed)])
    assert "".join(turns) == "ssssssggss"
    assert guides[:4] == [0, 0, 0, 0]
    assert min(guides[4:]) > 0


def test_the_scaffold_is_gone_when_the_budget_has_shrunk():
    """A student that learns nothing more: the guide holds it up while the budget lets it, and then not."""

    def held_up(budget):
        learner = begun(f"disk:alone=0,turn=1,k=2,budget=[{budget},{budget}],penalty=[1000,1000]", epoch=1)
        columns = batch()
        for _ in range(300):
            found = learner._teach_guide(columns)
        return float(found["guide"])

    assert held_up(2.0) > 0.3
    assert held_up(0.0) < 0.01


def test_everything_that_it_remembers_is_of_the_state():
    learner = begun("disk")
    held = {id(variable) for variable in learner.variables}
    for variable in (learner.steps, *learner.guide.variables, *learner.guides.variables, learner.head.kernel):
        assert id(variable) in held
    assert learner.deploy() is learner.student
    assert [v.shape for v in learner.kept[-2:]] == [(3, 4), (4,)]


LABELS = (("a",), ("b",), ("c",))


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ("disk:teacher_temperature=0", r"^Received teacher_temperature = 0\.0: give a number above 0\.$"),
        (
            "disk:budget=[0.6]",
            r"^Received budget = \(0\.6,\): give its first and its last value, of at least 0",
        ),
        ("disk:penalty=[1,-2]", r"^Received penalty = \(1, -2\): give its first and its last value"),
        ("disk:turn=0", r"^Received turn = 0: give a whole number of at least 1\.$"),
        ("disk:alone=-1", r"^Received alone = -1: give a whole number of at least 0\.$"),
        ("disk:formula=book", r"^Received formula = 'book': choose code or paper\.$"),
    ],
)
def test_options_that_cannot_be(choice, sentence):
    with pytest.raises(UsageError, match=sentence):
        objective(choice)


@pytest.mark.parametrize(
    ("choice", "labels", "sentence"),
    [
        ("disk", ((), ("a",)), "needs labels, and not every clip of the data has one"),
        ("disk", (("a",), ("a",)), "needs two classes at least, and every clip is labelled 'a'"),
        ("disk:k=4", LABELS, "with k = 4 needs as many classes, and the data has 3: choose a smaller k"),
    ],
)
def test_what_is_missing_is_said(choice, labels, sentence):
    with pytest.raises(UsageError, match=f"^The objective disk {sentence}"):
        objective(choice).check(Material("T", {"embedding": (8,), "scores": (9,)}, labels, 100))
