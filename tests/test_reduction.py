"""Reducers: identity, and PCA against scikit-learn's on all the data at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA

from edgesea import reduction
from edgesea.errors import EdgeseaError, UsageError


def cloud(rows=400, n=12, seed=0):
    """Embeddings with a mean, and with axes of clearly different lengths."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.standard_normal((n, n)))
    spread = rng.standard_normal((rows, n)) * 0.5 ** np.arange(n)
    return (spread @ turn + rng.standard_normal(n) * 3).astype(np.float32)


def batches(data, sizes):
    cut, start = [], 0
    while start < len(data):
        size = sizes[len(cut) % len(sizes)]
        cut.append(data[start : start + size])
        start += size
    return cut


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.integers(1, 12))
def test_in_batches_of_any_size_pca_is_scikit_learns_of_all_at_once(sizes, dimension):
    """Axes with their signs, mean, shares of the variance, and so every frame's place."""
    data = cloud()
    fitted = reduction.reducer("pca", dimension).fit(batches(data, sizes))
    theirs = PCA(dimension, svd_solver="full").fit(data.astype(np.float64))
    np.testing.assert_allclose(fitted.axes, theirs.components_, atol=1e-7)
    np.testing.assert_allclose(fitted.mean, theirs.mean_, rtol=1e-9)
    np.testing.assert_allclose(fitted.explained, theirs.explained_variance_ratio_, rtol=1e-7)
    np.testing.assert_allclose(fitted.transform(data) * fitted.scale, theirs.transform(data), atol=1e-5)
    assert fitted.report() == {
        "name": "pca",
        "dimension": dimension,
        "explained_variance": pytest.approx(theirs.explained_variance_ratio_.sum(), rel=1e-7),
    }


def test_a_mean_far_from_zero_costs_no_digits():
    """Embeddings whose mean is 10,000 times what they vary by, in batches whose means differ."""
    data = np.sort(cloud(rows=900), axis=0).astype(np.float64)
    data = (1e4 + data).astype(np.float32)
    fitted = reduction.reducer("pca", 4).fit(batches(data, [64]))
    theirs = PCA(4, svd_solver="full").fit(data.astype(np.float64))
    np.testing.assert_allclose(fitted.explained, theirs.explained_variance_ratio_, rtol=1e-6)
    np.testing.assert_allclose(fitted.axes, theirs.components_, atol=1e-5)


@pytest.mark.parametrize("value", [0.1, 1.0, 1e4 / 3])
def test_a_teacher_that_says_always_the_same_is_named(value):
    data = np.full((300, 6), value, np.float32)
    with pytest.raises(EdgeseaError, match="the same embedding for every frame: there is nothing to learn"):
        reduction.reducer("pca", 2).fit(batches(data, [70]))


def test_all_axes_keep_every_distance():
    data = cloud(rows=50)
    fitted = reduction.reducer("pca", 12).fit(batches(data, [7]))
    mapped = fitted.transform(data) * fitted.scale
    far = np.linalg.norm(data[:, None] - data[None], axis=-1)
    np.testing.assert_allclose(np.linalg.norm(mapped[:, None] - mapped[None], axis=-1), far, atol=1e-4)


@pytest.mark.parametrize(("name", "dimension"), [("identity", 12), ("pca", 4)])
@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e5])
def test_targets_have_unit_power_whatever_the_teachers_unit(name, dimension, unit):
    data = cloud() * np.float32(unit)
    targets = reduction.reducer(name, dimension).fit(batches(data, [100])).transform(data)
    assert targets.dtype == np.float32
    assert np.sqrt(np.square(targets, dtype=np.float64).mean()) == pytest.approx(1.0, rel=1e-5)


def test_whitened_axes_are_those_of_pca_with_equal_variance(tmp_path):
    sample = np.random.default_rng(4).normal(size=(500, 12)) * 2.0 ** -np.arange(12) + 3
    plain, white = (reduction.reducer(name, 5).fit([sample]) for name in ("pca", "pca:whiten=true"))
    values = white.transform(sample)
    np.testing.assert_allclose(np.cov(values.T, bias=True), np.eye(5), atol=1e-4)
    ours, theirs = values / values.std(axis=0), plain.transform(sample)
    np.testing.assert_allclose(ours, theirs / theirs.std(axis=0), atol=1e-4)
    white.save(tmp_path / "white.npz")
    again = reduction.load(tmp_path / "white.npz")
    np.testing.assert_array_equal(again.transform(sample), values)
    assert again.report() == white.report()
    assert again.report()["whiten"] is True
    assert "whiten" not in plain.report()


def test_identity_changes_nothing_but_the_unit():
    data = cloud()
    fitted = reduction.reducer("identity", 12).fit([data[:99], data[99:]])
    np.testing.assert_allclose(fitted.transform(data) * fitted.scale, data, rtol=1e-6)
    assert fitted.report() == {"name": "identity", "dimension": 12}


@pytest.mark.parametrize(("name", "dimension"), [("identity", 12), ("pca", 4)])
def test_a_saved_reducer_is_the_same_to_the_bit(tmp_path, name, dimension):
    data = cloud()
    fitted = reduction.reducer(name, dimension).fit([data])
    fitted.save(tmp_path / "r.npz")
    again = reduction.load(tmp_path / "r.npz")
    np.testing.assert_array_equal(again.transform(data), fitted.transform(data))
    assert again.report() == fitted.report()
    assert [each.name for each in tmp_path.iterdir()] == ["r.npz"]


def test_the_same_sample_gives_the_same_phi():
    data = cloud()
    one, two = (reduction.reducer("pca", 6).fit(batches(data, [64])) for _ in range(2))
    np.testing.assert_array_equal(one.transform(data), two.transform(data))


def test_errors_say_what_to_do():
    data = cloud(rows=20)
    with pytest.raises(
        UsageError, match=r"Unknown reducer 'pcaa': did you mean pca\? Choose one of identity, pca"
    ):
        reduction.reducer("pcaa", 4)
    with pytest.raises(UsageError, match=r"Received --dim 0: give a whole number of at least 1\."):
        reduction.reducer("pca", 0)
    with pytest.raises(UsageError, match=r"keeps all 12 dimensions of the teacher, and --dim says 5"):
        reduction.reducer("identity", 5).fit([data])
    with pytest.raises(
        UsageError, match=r"--dim 13 is more than the teacher's 12 dimensions: choose at most 12"
    ):
        reduction.reducer("pca", 13).fit([data])
    with pytest.raises(
        UsageError, match=r"--dim 12 needs at least as many frames to fit on, and there are 8"
    ):
        reduction.reducer("pca", 12).fit(batches(data[:8], [3]))
    with pytest.raises(EdgeseaError, match="the same embedding for every frame: there is nothing to learn"):
        reduction.reducer("identity", 4).fit([np.zeros((20, 4), np.float32)])


@pytest.mark.parametrize("damage", ["empty", "half", "text", "foreign", "pickle", "unknown"])
def test_a_damaged_file_is_named_and_nothing_is_unpickled(tmp_path, damage):
    path = tmp_path / "r.npz"
    reduction.reducer("pca", 4).fit([cloud()]).save(path)
    content = path.read_bytes()
    if damage == "foreign":
        np.savez(path, a=np.arange(3))
    elif damage == "unknown":
        np.savez(path, name=np.array("umapp"), dimension=np.array(2), scale=np.array(1.0))
    elif damage == "pickle":
        np.savez(path, name=np.array("pca"), dimension=np.array(4), scale=np.array([{}], object))
    else:
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "text": b"phi"}[damage])
    with pytest.raises(
        EdgeseaError, match=r"Cannot read the reducer .*r\.npz \(.*\): delete it and run again"
    ):
        reduction.load(path)
