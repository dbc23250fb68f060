"""Soft labels: what scores are, and a head that says of any teacher what it thinks of the data's classes."""

import numpy as np
import pytest

from edgesea import soft
from edgesea.errors import EdgeseaError
from edgesea.measures.predictions import softmax

rng = np.random.default_rng(0)
LOGITS = rng.normal(0, 2, (50, 4))


def test_scores_with_the_sum_one_are_a_distribution():
    made = soft.of_scores(softmax(LOGITS))
    assert (made.kind, made.count, made.column) == ("distribution", 4, "scores")
    np.testing.assert_allclose(softmax(made.of(softmax(LOGITS))), softmax(LOGITS), rtol=1e-5)


def test_independent_scores_become_odds():
    made = soft.of_scores(1 / (1 + np.exp(-LOGITS)))
    assert made.kind == "independent"
    np.testing.assert_allclose(made.of(1 / (1 + np.exp(-LOGITS))), LOGITS, atol=1e-4)
    assert np.isfinite(made.of(np.array([[0.0, 1.0, 0.5, 0.5]]))).all()


def test_anything_else_is_logits():
    assert soft.of_scores(LOGITS).kind == "logits"
    np.testing.assert_allclose(soft.of_scores(LOGITS).of(LOGITS), LOGITS, rtol=1e-6)


def clusters(count, classes=3, spread=0.5):
    made = np.random.default_rng(count)
    label = made.integers(classes, size=count)
    centres = np.random.default_rng(9).normal(0, 1, (classes, 6))
    return (centres[label] + made.normal(0, spread, (count, 6))).astype(np.float32), label


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_is_right_and_survives_its_file(tmp_path, classes):
    embeddings, label = clusters(300, classes)
    names = [*["a", "b", "c"][:classes], "unheard"]
    made = soft.of_labels(embeddings, [names[k] for k in label], np.arange(300) // 3, names)
    assert made.column == "embedding"
    fresh, truth = clusters(200, classes)
    said = softmax(made.of(fresh))
    assert (said.argmax(axis=1) == truth).mean() > 0.8
    assert said[:, -1].max() < 1e-4
    made.save(tmp_path / "soft.npz")
    again = soft.load(tmp_path / "soft.npz")
    assert (again.kind, again.count, again.classes) == ("head", len(names), tuple(names))
    np.testing.assert_array_equal(again.of(fresh), made.of(fresh))


def test_two_classes_have_the_probabilities_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    embeddings, label = clusters(200, 2, 2.0)
    made = soft.of_labels(embeddings, [["a", "b"][k] for k in label], np.arange(200), ["a", "b"])
    unit = (embeddings - embeddings.mean(axis=0)) / embeddings.std(axis=0)
    differences = [
        np.abs(
            softmax(made.of(embeddings))
            - LogisticRegression(C=c, max_iter=300).fit(unit, label).predict_proba(unit)
        ).max()
        for c in soft.PENALTIES
    ]
    assert min(differences) < 1e-4


def test_the_penalty_makes_an_honest_head_of_noise():
    """Embeddings that say nothing of the labels: the head must say that it does not know."""
    made = np.random.default_rng(3)
    embeddings, label = made.normal(0, 1, (90, 40)), made.integers(3, size=90)
    head = soft.of_labels(embeddings, [str(k) for k in label], np.arange(90) // 3, ["0", "1", "2"])
    assert softmax(head.of(embeddings)).max() < 0.6


def test_one_class_is_refused():
    with pytest.raises(
        EdgeseaError, match=r"^All training recordings that can be used are labelled 'a': give"
    ):
        soft.of_labels(np.ones((3, 2)), ["a", "a", "a"], [1, 2, 3], ["a", "b"])


@pytest.mark.parametrize("damage", ["empty", "kind", "shape"])
def test_a_damaged_file_is_named(tmp_path, damage):
    path = tmp_path / "soft.npz"
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "kind":
        np.savez(path, kind=np.array("other"), count=np.array(3))
    else:
        np.savez(path, kind=np.array("head"), count=np.array(3), weight=np.ones((2, 2)), bias=np.ones(3))
    with pytest.raises(EdgeseaError, match=r"^Cannot read the soft labels .*soft\.npz \(.*\): delete it and"):
        soft.load(path)
