"""Trained heads: auto-pool by its formula, bags, selection on the validation clips, folds as given."""

import json

import numpy as np
import pytest

from edgesea import backend
from edgesea.decisions import mil
from edgesea.decisions.mil import Bags
from edgesea.errors import UsageError
from edgesea.evaluation.heads import SplitTask, given_folds


def some_bags(clips=40, most=6, d=4, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, most + 1, clips)
    frames = rng.standard_normal((lengths.sum(), d)).astype(np.float32)
    return Bags.of(frames, np.repeat(np.arange(clips) * 3 + 7, lengths)), lengths


def needles(clips, seed, d=6, length=8):
    """Two overlapping classes, each a single frame of a clip among noise; clips with none, one or both."""
    rng = np.random.default_rng(seed)
    frames = rng.standard_normal((clips, length, d)).astype(np.float32)
    truth = rng.random((clips, 2)) < 0.4
    for clip, which in zip(*np.nonzero(truth), strict=True):
        frames[clip, rng.integers(length), which] += 5
    return Bags(frames.reshape(-1, d), np.arange(clips + 1) * length), truth.astype(np.int8)


def rings(clips, seed):
    """One class of two a clip, that no line can part: inside and outside of a circle. One frame a clip."""
    rng = np.random.default_rng(seed)
    angle, outside = rng.uniform(0, 2 * np.pi, clips), rng.integers(2, size=clips)
    points = np.stack([np.cos(angle), np.sin(angle)], axis=1) * (1 + 2 * outside[:, None])
    points += 0.1 * rng.standard_normal(points.shape)
    return Bags(points.astype(np.float32), np.arange(clips + 1)), np.eye(2, dtype=np.int8)[outside]


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(mil, "EPOCHS", 15)
    monkeypatch.setattr(mil, "LEARNING_RATE", 2e-2)


def test_bags_hold_what_they_were_made_of():
    bags, lengths = some_bags()
    assert len(bags) == 40
    assert bags.longest == lengths.max()
    np.testing.assert_array_equal(np.diff(bags.ends), lengths)
    picked = bags.select([5, 0, 5])
    for k, clip in enumerate([5, 0, 5]):
        mine = picked.frames[picked.ends[k] : picked.ends[k + 1]]
        theirs = bags.frames[bags.ends[clip] : bags.ends[clip + 1]]
        np.testing.assert_array_equal(mine, theirs)
        np.testing.assert_allclose(bags.means().frames[clip], theirs.mean(axis=0))
    frames, present = bags.padded([3], 9)
    assert present.sum() == lengths[3]
    assert not frames[0, lengths[3] :].any()


@pytest.mark.parametrize("alpha", [0.0, 1.0, -2.0, 400.0])
def test_autopool_is_its_formula_and_padding_is_nothing(alpha):
    backend.load()
    layer = mil._autopool()
    rng = np.random.default_rng(0)
    p = rng.random((3, 5, 2)).astype(np.float32)
    present = np.array([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [1, 0, 0, 0, 0]], np.float32)
    layer(p, present)
    layer.alpha.assign([alpha, alpha / 2])
    pooled = np.asarray(layer(p, present))
    for b, frames in enumerate((5, 2, 1)):
        for c, a in enumerate((alpha, alpha / 2)):
            held = p[b, :frames, c].astype(float)
            weight = np.exp(a * (held - held.max() * (a > 0)))
            assert pooled[b, c] == pytest.approx((held * weight).sum() / weight.sum(), rel=1e-4)
    if alpha == 0:
        np.testing.assert_allclose(pooled[0], p[0].mean(axis=0), rtol=1e-5)
    if alpha == 400:
        np.testing.assert_allclose(pooled[0, 0], p[0, :, 0].max(), rtol=1e-3)


def test_autopool_finds_the_frame_that_the_mean_loses(fast, monkeypatch):
    monkeypatch.setattr(mil, "EPOCHS", 30)
    train, validation, test = (needles(n, seed) for n, seed in ((300, 0), (100, 1), (300, 2)))
    reached = {}
    for pooling in mil.POOLINGS:
        head = mil.select(train, validation, pooling=pooling, shapes=((0, 0),))
        reached[pooling] = mil.metrics.macro_auprc(test[1], head.scores(test[0]))
    assert reached["autopool"] > 0.97
    assert reached["autopool"] > reached["mean"] + 0.03


def test_a_hidden_layer_is_chosen_where_it_helps_and_not_where_it_does_not(fast):
    parts = [rings(n, seed) for n, seed in ((300, 0), (150, 1), (300, 2))]
    head = mil.select(*parts[:2], pooling="mean", shapes=((0, 0), (1, 128)))
    assert (head.hidden, head.units) == (1, 128)
    scores = head.scores(parts[2][0])
    assert mil.metrics.accuracy(parts[2][1], scores) > 0.97
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)
    # Labels by which side of a line a point is on: equals, of which the smallest is taken.
    sides = [
        (bags, np.eye(2, dtype=np.int8)[(bags.frames[:, 0] > 0).astype(int)])
        for bags, _ in (rings(200, 3), rings(12, 9))
    ]
    chosen = mil.select(*sides, pooling="mean", shapes=((0, 0), (1, 128)))
    assert (chosen.hidden, chosen.units) == (0, 0)


def test_the_same_seed_gives_the_same_head_and_longer_clips_are_scored_too(fast, monkeypatch):
    monkeypatch.setattr(mil, "EPOCHS", 3)
    train, validation = needles(60, 0), needles(30, 1)
    one, two = (
        mil.select(train, validation, pooling="autopool", shapes=((1, 128),), seed=5) for _ in range(2)
    )
    np.testing.assert_allclose(one.scores(validation[0]), two.scores(validation[0]), atol=1e-6)
    longer = needles(10, 2, length=20)[0]
    together = one.scores(longer)
    assert together.shape == (10, 2)
    np.testing.assert_allclose(one.scores(longer.select([4]))[0], together[4], atol=1e-6)


def test_given_folds_moves_no_clip():
    folds = [1, 1, 3, 2, 2, 10, 3, 10]
    splits = given_folds(folds)
    assert len(splits) == 4
    for (train, validation, test), (tested, validating) in zip(
        splits, ((1, 2), (2, 3), (3, 10), (10, 1)), strict=True
    ):
        assert {folds[k] for k in test} == {tested}
        assert {folds[k] for k in validation} == {validating}
        assert sorted([*train, *validation, *test]) == list(range(8))
    with pytest.raises(UsageError, match=r"three folds at least, and the data has 2 and 1 clips without"):
        given_folds([1, 2, None])
    with pytest.raises(UsageError, match=r"the data has 2 and 0 clips without: give whole data\."):
        given_folds([1, 2, 2])


def test_a_split_task_trains_chooses_and_tests_apart(monkeypatch):
    """The test clips' labels reach nothing but the score, and each part goes where it belongs."""
    bags, truth = needles(90, 0)
    labels = tuple(tuple(np.array(["a", "b"])[row.astype(bool)]) for row in truth)
    parts = tuple(np.split(np.random.default_rng(0).permutation(90), [40, 60]))
    task = SplitTask(labels, tuple(str(k // 3) for k in range(90)), (parts,))
    np.testing.assert_array_equal(task.truth(), truth)
    seen = []

    class Constant:
        hidden, units = 1, 256

        def scores(self, bags):
            seen.append(bags)
            return np.tile([0.3, 0.6], (len(bags), 1))

    def pretend(train, validation, **options):
        seen.extend([train, validation])
        return Constant()

    monkeypatch.setattr("edgesea.evaluation.heads.select", pretend)
    found = task.score(bags, "autopool", resamples=10)
    (train, train_truth), (validation, validation_truth), tested = seen
    for held, part in ((train, parts[0]), (validation, parts[1]), (tested, parts[2])):
        np.testing.assert_array_equal(held.frames, bags.select(part).frames)
    np.testing.assert_array_equal(train_truth, truth[parts[0]])
    np.testing.assert_array_equal(validation_truth, truth[parts[1]])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["heads"] == [{"hidden": 1, "units": 256}]
    assert found["clips"] == 30
    assert found["classes"]["a"]["average_precision"]["value"] == pytest.approx(truth[parts[2], 0].mean())
    assert "folds" not in found


def test_a_split_task_of_folds_tests_every_clip_once(fast, monkeypatch):
    monkeypatch.setattr(mil, "EPOCHS", 12)
    bags, truth = rings(120, 4)
    labels = tuple((("in", "out")[row.argmax()],) for row in truth)
    task = SplitTask(labels, tuple(map(str, range(120))), given_folds([k % 3 for k in range(120)]))
    found = task.score(bags, "mean", shapes=((1, 128),), resamples=20)
    assert found["clips"] == 120
    assert len(found["folds"]) == len(found["heads"]) == 3
    assert found["accuracy"]["value"] == pytest.approx(np.mean(found["folds"]))
    assert found["accuracy"]["value"] > 0.85


def test_errors_say_what_to_do():
    part = needles(4, 0)
    with pytest.raises(UsageError, match=r"Unknown pooling 'max': choose one of mean, autopool\."):
        mil.select(part, part, pooling="max")
    nothing = (Bags(np.zeros((0, 6), np.float32), np.zeros(1, np.int64)), np.zeros((0, 2)))
    with pytest.raises(
        UsageError, match=r"on and to validate on, and the data has 4 and 0: give more labelled"
    ):
        mil.select(part, nothing, pooling="mean")
