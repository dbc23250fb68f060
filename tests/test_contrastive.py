"""The reducer `contrastive`: its loss against loops, its gradient against differences, and what it does."""

import math

import numpy as np
import pytest

from edgesea import contrastive, reduction
from edgesea.errors import UsageError

rng = np.random.default_rng(5)
AXES, SAMPLE = rng.normal(0, 1, (2, 5)), rng.normal(0, 1, (7, 5))
CLASSES = np.array([0, 1, 0, 1, 0, 2, 1])  # the class 2 has one frame, which does not count


def in_loops(axes, tau=0.5):
    z = []
    for x in SAMPLE:
        mapped = [sum(w * v for w, v in zip(row, x, strict=True)) for row in axes]
        length = math.sqrt(sum(value * value for value in mapped))
        z.append([value / length for value in mapped])

    def alike(i, j):
        return math.exp(sum(a * b for a, b in zip(z[i], z[j], strict=True)) / tau)

    each = []
    for i in range(7):
        others = [j for j in range(7) if j != i]
        positives = [j for j in others if CLASSES[j] == CLASSES[i]]
        if positives:
            total = sum(alike(i, a) for a in others)
            each.append(-sum(math.log(alike(i, p) / total) for p in positives) / len(positives))
    return sum(each) / len(each)


def test_the_loss_is_the_papers_and_its_gradient_that_of_differences():
    loss, gradient = contrastive.supervised(AXES, SAMPLE, CLASSES, 0.5)
    assert loss == pytest.approx(in_loops(AXES), rel=1e-9)
    for place in np.ndindex(AXES.shape):
        moved = [AXES.copy(), AXES.copy()]
        moved[0][place] += 1e-6
        moved[1][place] -= 1e-6
        wanted = (in_loops(moved[0]) - in_loops(moved[1])) / 2e-6
        assert gradient[place] == pytest.approx(wanted, abs=1e-6)


def test_a_batch_without_two_of_a_class_teaches_nothing():
    loss, gradient = contrastive.supervised(AXES, SAMPLE, np.arange(7), 0.5)
    assert loss == 0
    assert not gradient.any()


def hidden(count=400):
    """Classes that lie in directions of little variance, which PCA throws away."""
    made = np.random.default_rng(0)
    label = made.integers(3, size=count)
    loud = made.normal(0, 3, (count, 6))
    quiet = np.eye(3)[label] + made.normal(0, 0.2, (count, 3))
    return np.concatenate([loud, quiet], axis=1).astype(np.float32), [str(k) for k in label]


def separated(reducer, embeddings, labels):
    """Share of frames whose nearest other, by cosine, is of their class."""
    z = reducer.transform(embeddings)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    similarity = z @ z.T
    np.fill_diagonal(similarity, -2)
    return np.mean(np.array(labels)[similarity.argmax(axis=1)] == np.array(labels))


def test_it_draws_classes_together_where_pca_loses_them_and_survives_its_file(tmp_path):
    embeddings, labels = hidden()
    batches = [embeddings[:250], embeddings[250:]]
    pca = reduction.reducer("pca", 3).fit(batches)
    tuned = reduction.reducer("contrastive:epochs=60,learning_rate=0.02", 3).fit(batches, labels)
    assert separated(pca, embeddings, labels) < 0.6
    assert separated(tuned, embeddings, labels) > 0.9
    report = tuned.report()
    assert report["last_loss"] < 0.8 * report["first_loss"]
    tuned.save(tmp_path / "reducer.npz")
    again = reduction.load(tmp_path / "reducer.npz")
    np.testing.assert_array_equal(again.transform(embeddings), tuned.transform(embeddings))
    assert again.report() == report


def test_the_same_sample_and_seed_give_the_same_projection_and_no_epochs_give_pca():
    embeddings, labels = hidden(100)
    one, two = (reduction.reducer("contrastive:epochs=2", 3, 7).fit([embeddings], labels) for _ in "ab")
    np.testing.assert_array_equal(one.axes, two.axes)
    none = reduction.reducer("contrastive:epochs=0", 3).fit([embeddings], labels)
    np.testing.assert_array_equal(none.axes, reduction.reducer("pca", 3).fit([embeddings]).axes)


def test_options_that_cannot_be():
    with pytest.raises(UsageError, match=r"^Received temperature = 0\.0, learning_rate = .* for the reducer"):
        reduction.reducer("contrastive:temperature=0", 3)
