"""What students with heads and heads on embeddings say: beside the teacher, and beside the truth."""

from types import SimpleNamespace

import numpy as np
import pytest

from edgesea.errors import EdgeseaError
from edgesea.evaluation import classes
from edgesea.measures import predictions
from edgesea.named import Choice

rng = np.random.default_rng(8)
WEIGHT, BIAS = rng.normal(0, 1, (5, 3)).astype(np.float32), np.zeros(3, np.float32)
NAMES = ("a", "b", "c")
TOLD = (("beta", 0.25), ("neighbours", 3), ("temperature", 0.1))


class Frames:
    """Examples: teacher's targets and logits of N frames."""

    def __init__(self, count, seed):
        made = np.random.default_rng(seed)
        self.target = made.normal(0, 1, (count, 5)).astype(np.float32)

    def targets(self):
        return self.target

    def logits(self):
        return self.target @ WEIGHT + BIAS


def run(objective, head=True):
    return SimpleNamespace(
        classifier=lambda: (WEIGHT, BIAS, NAMES) if head else None,
        config=SimpleNamespace(objective=Choice(objective, TOLD), seed=0),
        part=lambda part, most: Frames(100, 1),
        folder="run",
    )


def judged(objective, embeddings, truth=None, groups=None, count=40):
    frames = Frames(count, 2)
    return classes.Classes(run(objective)).judged(frames, {"int8": embeddings(frames)}, truth, groups)


def test_a_student_that_equals_its_teacher_agrees_and_is_as_calibrated():
    truth = np.arange(40) % 3
    found = judged("kd", Frames.targets, truth, np.arange(40) // 2)
    assert found["int8"]["agreement"]["value"] == 1
    assert found["int8"]["predictive_kl"]["value"] == pytest.approx(0, abs=1e-6)
    for key in ("accuracy", "ece", "brier"):
        assert found["int8"][key]["value"] == pytest.approx(found["teacher"][key]["value"], abs=1e-6)
    assert found["memory"] == []
    assert (found["classes"], found["frames"]) == (3, 40)


def test_frames_of_no_known_class_count_for_agreement_alone():
    half = np.where(np.arange(40) < 20, np.arange(40) % 3, classes.UNKNOWN)
    found = judged("kd", Frames.targets, half)
    assert sum(each["count"] for each in found["teacher"]["reliability"]) == 20
    assert "ece" not in judged("kd", Frames.targets, np.full(40, classes.UNKNOWN))["int8"]
    assert "ece" not in judged("kd", Frames.targets)["int8"]


def test_labels_are_places_among_the_heads_classes():
    found = classes.Classes(run("kd")).truth([("b",), ("a", "b"), (), ("z",), ("a",)])
    np.testing.assert_array_equal(found, [1, -1, -1, -1, 0])


def test_a_memory_of_every_size_helps_a_student_that_lies_where_its_teacher_does():
    """Its head is bad, its embeddings are right: then what is retrieved is nearer to the teacher."""

    class Bad(classes.Classes):
        def said(self, embeddings):
            return np.full((len(embeddings), 3), 1 / 3)

    frames = Frames(200, 3)
    found = Bad(run("reaug")).judged(frames, {"int8": frames.target}, None, None)
    assert [each["entries"] for each in found["memory"]] == [16, 64, 100]
    assert {each["beta"] for each in found["memory"]} == {0.25}
    alone = found["int8"]["predictive_kl"]["value"]
    helped = [each["int8"]["predictive_kl"]["value"] for each in found["memory"]]
    assert helped[-1] < helped[0] < alone


def test_a_run_without_a_head_has_no_classes():
    with pytest.raises(
        EdgeseaError, match=r"^The run run has no head for classes: distil with kd, reaug or disk"
    ):
        classes.Classes(run("kd", head=False))


def test_heads_on_embeddings_stand_beside_the_teachers_head():
    labels = [(NAMES[k % 3],) for k in range(30)]
    teacher = rng.dirichlet(np.ones(3), 30)
    values = {"teacher": teacher, "float": teacher, "other": rng.dirichlet(np.ones(3), 30)}
    found = classes.of_heads(values, labels, np.arange(30) // 2)
    assert found["float"]["agreement"]["value"] == 1
    assert found["other"]["predictive_kl"]["value"] == pytest.approx(
        predictions.divergence(teacher, values["other"]).mean()
    )
    assert "agreement" not in found["teacher"]
    right = np.mean(teacher.argmax(axis=1) == np.arange(30) % 3)
    assert found["teacher"]["accuracy"]["value"] == right
