"""The head of `Task`: how its regularisation is chosen, against scikit-learn done the long way."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from edgesea.evaluation import logistic
from edgesea.evaluation.heads import FOLDS, Task
from edgesea.measures import metrics


def sound(clips=96, classes=4, dimension=6, noise=1.0, seed=0):
    """Embeddings, one of a few classes each, two clips a recording."""
    rng = np.random.default_rng(seed)
    label = np.arange(clips) // 2 % classes
    embeddings = rng.normal(scale=noise, size=(clips, dimension)) + 2 * np.eye(classes, dimension)[label]
    return embeddings, label, np.array([f"recording {k // 2}" for k in range(clips)])


def plain(c):
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, tol=1e-8, max_iter=10_000))


def nested(embeddings, label, groups, seed):
    """(clips, classes) probabilities and every fold's C, with a fresh whole pipeline each time."""
    values, chosen = np.zeros((len(label), label.max() + 1)), []
    outer = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for fitted, scored in outer.split(embeddings, label, groups):
        x, y, recording = embeddings[fitted], label[fitted], groups[fitted]
        right = []
        for c in logistic.CS:
            found = np.zeros(len(y), int)
            inner = StratifiedGroupKFold(logistic.INNER_FOLDS, shuffle=True, random_state=seed)
            for a, b in inner.split(x, y, recording):
                found[b] = plain(c).fit(x[a], y[a]).predict(x[b])
            right.append((found == y).mean())
        chosen.append(logistic.CS[int(np.argmax(right))])
        values[scored] = plain(chosen[-1]).fit(x, y).predict_proba(embeddings[scored])
    return values, chosen


@pytest.mark.parametrize("dimension", [6, 200])  # fewer than clips, and more
def test_it_is_nested_cross_validation(dimension, monkeypatch):
    monkeypatch.setattr(logistic, "_ROUGH", {"tol": 1e-8, "max_iter": 10_000})
    monkeypatch.setattr(logistic, "_FINE", {"tol": 1e-8, "max_iter": 10_000})
    embeddings, label, groups = sound(dimension=dimension)
    task = Task(tuple((str(k),) for k in label), tuple(groups))
    values, chosen = task.values(embeddings, seeds=(1,))
    wanted, wanted_c = nested(embeddings, label, groups, 1)
    assert chosen == [wanted_c]
    np.testing.assert_allclose(values[0], wanted, atol=1e-4)


def test_no_recording_is_on_both_sides_of_any_split(monkeypatch):
    embeddings, label, groups = sound()
    seen = []
    splits = logistic.splits

    def watched(truth, recordings, folds, seed):
        for fitted, scored in splits(truth, recordings, folds, seed):
            recordings = np.asarray(recordings)
            seen.append((folds, set(recordings[fitted]), set(recordings[scored])))
            yield fitted, scored

    monkeypatch.setattr(logistic, "splits", watched)
    Task(tuple((str(k),) for k in label), tuple(groups)).values(embeddings, seeds=(0,))
    assert all(not fitted & scored for _, fitted, scored in seen)
    outer = [each for each in seen if each[0] == FOLDS]
    inner = [each for each in seen if each[0] == logistic.INNER_FOLDS]
    assert (len(outer), len(inner)) == (FOLDS, FOLDS * logistic.INNER_FOLDS)
    # Of each outer fold three inner ones follow, over the recordings that it fits to and no others.
    for k, (_, fitted, _) in enumerate(outer):
        for _, ours, theirs in inner[3 * k : 3 * k + 3]:
            assert ours | theirs == fitted


def test_of_equals_the_strongest_regularisation_is_taken():
    embeddings, label, groups = sound(noise=1e-3)
    truth = np.eye(4, dtype=np.int8)[label]
    assert logistic.choose(embeddings, truth, groups, True, 0) == logistic.CS[0]


def test_few_dimensions_are_not_punished_for_being_few():
    """Half of 64 dimensions say something: they do as well alone as with 1,000 that say nothing new."""
    rng = np.random.default_rng(2)
    embeddings, label, groups = sound(clips=120, classes=12, dimension=24, noise=0.8, seed=2)
    task = Task(tuple((str(k),) for k in label), tuple(groups))
    wide = embeddings @ np.linalg.qr(rng.normal(size=(600, 24)))[0].T  # the same, turned into 600 dimensions
    alone, turned = (task.score(each, seeds=(0, 1)) for each in (embeddings, wide))
    assert alone["mean"] == pytest.approx(turned["mean"], abs=0.06)
    assert alone["mean"] > 0.6
    assert len(alone["c"]) == 2
    assert all(len(each) == FOLDS and set(each) <= set(logistic.CS) for each in alone["c"])


def test_labels_that_overlap_choose_by_precision_and_recall(monkeypatch):
    embeddings, label, groups = sound(noise=1.5)
    labels = tuple((str(k), "low") if k < 2 else (str(k),) for k in label)
    asked = []
    monkeypatch.setattr(
        logistic.metrics,
        "micro_auprc",
        lambda t, s: asked.append(len(t)) or metrics.average_precision(t.reshape(-1, 1), s.reshape(-1, 1))[0],
    )
    task = Task(labels, tuple(groups))
    values, chosen = task.values(embeddings, seeds=(0,))
    assert len(asked) == FOLDS * len(logistic.CS)
    assert len(set(chosen[0])) >= 1
    truth = np.array([[name in names for name in task.classes] for names in labels])
    assert metrics.micro_auprc(truth, values[0]) > 0.6


def test_a_class_that_is_not_fitted_to_scores_nothing():
    embeddings, label, _ = sound(clips=16)
    truth = np.eye(5, dtype=np.int8)[label]
    values = logistic.values(embeddings, truth, embeddings, True, 1.0)
    assert (values[:, 4] == 0).all()
    np.testing.assert_allclose(values.sum(axis=1), 1)
    only = logistic.values(embeddings[:2], truth[:2], embeddings, True, 1.0)
    np.testing.assert_array_equal(only, np.eye(5)[np.zeros(16, int)])


def test_one_recording_leaves_nothing_to_choose_by():
    embeddings, label, _ = sound(clips=16)
    truth = np.eye(4, dtype=np.int8)[label]
    assert logistic.choose(embeddings, truth, ["a"] * 16, True, 0) == logistic.CS[0]
