"""Fidelity figures: values worked out by hand, and what must not change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import r2_score
from sklearn.neighbors import NearestNeighbors

from edgesea.measures import fidelity, metrics

matrices = arrays.arrays(
    np.float64,
    st.tuples(st.integers(3, 20), st.integers(1, 5)),
    elements=st.floats(-100, 100, allow_subnormal=False).map(lambda x: round(x, 3)),
)


def test_r2_by_hand():
    target = np.array([[1.0, 0.0], [3.0, 0.0], [5.0, 0.0]])  # spread 4 + 0 + 4 = 8
    embedding = np.array([[1.0, 0.0], [3.0, 1.0], [4.0, 0.0]])  # errors 0 + 1 + 1 = 2
    assert fidelity.r2(target, embedding) == pytest.approx(1 - 2 / 8)
    assert fidelity.r2(target, target) == 1
    assert fidelity.r2(target, np.tile(target.mean(axis=0), (3, 1))) == 0
    assert fidelity.r2(target, -target) < 0


def test_cosine_by_hand():
    target = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0], [1.0, 1.0]])
    embedding = np.array([[5.0, 0.0], [0.0, -1.0], [4.0, 3.0], [0.0, 0.0]])
    assert fidelity.cosine(target, embedding) == pytest.approx((1 - 1 + 24 / 25 + 0) / 4)


def test_neighbours_by_hand():
    angles = np.radians([0, 1, 10, 12, 90, 94])
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert fidelity.knn_overlap(circle, circle * np.arange(1, 7)[:, None], k=1) == 1.0
    # Where 2 and 4 change places, the nearest of 0 and 1 stay, those of all others change.
    swapped = circle[[0, 1, 4, 3, 2, 5]]
    assert fidelity.knn_overlap(circle, swapped, k=1) == pytest.approx(2 / 6)


@settings(max_examples=60, deadline=None)
@given(matrices, st.randoms(use_true_random=False))
def test_r2_is_scikit_learns_weighted_by_variance(target, random):
    noise = np.array([[random.uniform(-1, 1) for _ in row] for row in target])
    if target.var() < 1e-6:
        return
    expected = r2_score(target, target + noise, multioutput="variance_weighted", force_finite=False)
    varying = target.var(axis=0) > 0
    if varying.all():
        assert fidelity.r2(target, target + noise) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(matrices, st.integers(0, 2**32 - 1), st.floats(0.01, 100))
def test_what_changes_no_figure(target, seed, unit):
    rng = np.random.default_rng(seed)
    embedding = target + rng.standard_normal(target.shape)
    turn, _ = np.linalg.qr(rng.standard_normal((target.shape[1],) * 2))
    order = rng.permutation(len(target))
    for figure in (fidelity.r2, fidelity.cosine):
        value = figure(target, embedding)
        same = pytest.approx(value, rel=1e-6, abs=1e-6, nan_ok=True)
        assert figure(target * unit, embedding * unit) == same
        assert figure(target @ turn, embedding @ turn) == same
        assert figure(target[order], embedding[order]) == same
        assert value <= 1 + 1e-9 or np.isnan(value)
    lengths = rng.uniform(0.1, 10, (len(target), 1))
    assert fidelity.cosine(target, embedding * lengths) == pytest.approx(
        fidelity.cosine(target, embedding), abs=1e-9
    )


def test_neighbour_overlap_is_scikit_learns():
    rng = np.random.default_rng(3)
    target = rng.standard_normal((300, 8))
    embedding = target + rng.standard_normal((300, 8))
    found = [
        NearestNeighbors(metric="cosine", algorithm="brute").fit(space).kneighbors(n_neighbors=10)[1]
        for space in (target, embedding)
    ]
    expected = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*found, strict=True)])
    assert fidelity.knn_overlap(target, embedding) == pytest.approx(expected)
    assert 0.1 < expected < 0.9


def test_chance_overlap_is_what_chance_gives():
    rng = np.random.default_rng(0)
    overlap = fidelity.knn_overlap(rng.standard_normal((500, 16)), rng.standard_normal((500, 16)))
    assert overlap == pytest.approx(10 / 499, abs=0.01)


def test_many_frames_are_thinned_and_few_have_no_neighbours(monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(fidelity, "MOST_FRAMES", 100)
    target = rng.standard_normal((350, 4))
    assert fidelity.knn_overlap(target, target) == 1.0
    embedding = rng.standard_normal((350, 4))
    assert fidelity.knn_overlap(target, embedding) == fidelity.knn_overlap(target[::4], embedding[::4])
    assert np.isnan(fidelity.knn_overlap(target[:10], target[:10]))


def test_what_is_not_defined_is_none():
    flat = np.ones((5, 3))
    assert fidelity.fidelity(flat, flat) == {
        "r2": None,
        "cosine": pytest.approx(1.0),
        "cka": None,
        "knn_overlap": None,
        "frames": 5,
    }
    assert fidelity.fidelity(np.zeros((12, 2)), np.ones((12, 2)))["cosine"] == 0


def test_a_target_that_does_not_vary_has_no_r2_however_its_mean_is_rounded():
    for value in (0.97, 1e6 / 3, 1e-8):
        target = np.full((3, 1), value)
        assert np.isnan(fidelity.r2(target, target + 0.1))
    assert fidelity.r2(np.array([[1e6], [1e6 + 1e-6]]), np.array([[1e6], [1e6]])) < 0


def test_intervals_are_those_of_resampled_recordings():
    """Worked out again, resample by resample, with the figures themselves."""
    rng = np.random.default_rng(4)
    groups = np.repeat([f"recording {k}" for k in range(12)], rng.integers(2, 9, 12))
    target = (
        rng.standard_normal((len(groups), 5))
        + rng.standard_normal((12, 5))[np.unique(groups, return_inverse=True)[1]]
    )
    embedding = target + 0.5 * rng.standard_normal(target.shape)
    found = fidelity.fidelity(target, embedding, list(groups))
    assert {key: found[key] for key in found if key != "intervals"} == fidelity.fidelity(target, embedding)

    for key, figure in (("r2", fidelity.r2), ("cosine", fidelity.cosine), ("cka", fidelity.cka)):
        expected = metrics.interval(
            lambda picked, figure=figure: figure(target[picked], embedding[picked]), groups
        )
        for end in ("low", "high"):
            assert found["intervals"][key][end] == pytest.approx(expected[end], rel=1e-6)


def test_copies_of_a_frame_make_no_interval_narrower():
    rng = np.random.default_rng(5)
    target = rng.standard_normal((40, 6))
    embedding = target + rng.standard_normal(target.shape)
    groups = np.repeat(np.arange(10), 4)
    once = fidelity.fidelity(target, embedding, groups)["intervals"]["r2"]
    often = fidelity.fidelity(
        np.repeat(target, 5, axis=0), np.repeat(embedding, 5, axis=0), np.repeat(groups, 5)
    )["intervals"]["r2"]
    assert often == {end: pytest.approx(value, rel=1e-6) for end, value in once.items()}
