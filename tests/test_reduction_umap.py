"""The reducer umap: the layout is umap-learn's, and so is the place that a new frame gets."""

import importlib.util

import numpy as np
import pytest

from edgesea import reduction
from edgesea.errors import EdgeseaError, UsageError
from edgesea.reduction import UMAP


def blobs(rows, n=16, seed=0):
    centres = np.random.default_rng(99).standard_normal((5, n)) * 3
    rng = np.random.default_rng(seed)
    return (centres[rng.integers(5, size=rows)] + rng.standard_normal((rows, n))).astype(np.float32)


def laid_out(rows=300, dimension=3, neighbours=12):
    """A reducer whose layout is not umap-learn's, so that what follows the layout is tested without it."""
    fitted = UMAP(dimension, options=UMAP.Options(neighbours=neighbours))
    fitted.sample = blobs(rows)
    fitted.layout = np.random.default_rng(1).standard_normal((rows, dimension)).astype(np.float32)
    return fitted


@pytest.mark.skipif(not importlib.util.find_spec("umap"), reason="umap-learn is not installed")
@pytest.mark.slow
def test_layout_and_places_are_umap_learns(tmp_path):
    from sklearn.neighbors import NearestNeighbors

    data, new = blobs(300), blobs(60, seed=2)
    fitted = reduction.reducer("umap:neighbours=12,min_dist=0.5", 3, seed=4).fit([data[:100], data[100:]])
    import scipy.sparse
    import umap

    model = umap.UMAP(n_neighbors=12, n_components=3, min_dist=0.5, random_state=4, n_jobs=1).fit(data)
    centre = model.embedding_.mean(axis=0)
    np.testing.assert_allclose(fitted.layout, model.embedding_ - centre, atol=1e-5)

    # What umap-learn's transform starts from, by its own functions.
    distance, near = NearestNeighbors(n_neighbors=12).fit(data).kneighbors(new)
    sigma, rho = umap.umap_.smooth_knn_dist(distance.astype(np.float32), 12.0, local_connectivity=0.0)
    row, column, weight, _ = umap.umap_.compute_membership_strengths(
        near.astype(np.int32), distance.astype(np.float32), sigma, rho, bipartite=True
    )
    graph = scipy.sparse.coo_matrix((weight, (row, column)), shape=(60, 300)).tocsr()
    start = umap.umap_.init_graph_transform(graph, model.embedding_) - centre
    ours = fitted.transform(new) * fitted.scale
    # Its bandwidths leave the nearest neighbour out of the sum, as if it were the frame itself.
    np.testing.assert_allclose(ours, start, atol=1e-2)
    # And what it ends with, after its random descent.
    assert np.corrcoef(ours.ravel(), (model.transform(new) - centre).ravel())[0, 1] > 0.98

    again = reduction.reducer("umap:neighbours=12,min_dist=0.5", 3, seed=4).fit([data])
    np.testing.assert_array_equal(again.layout, fitted.layout)
    fitted.save(tmp_path / "r.npz")
    np.testing.assert_array_equal(reduction.load(tmp_path / "r.npz").transform(new), fitted.transform(new))
    assert np.sqrt(np.square(fitted.transform(data)).mean()) == pytest.approx(1.0, rel=1e-5)
    assert fitted.report() == {"name": "umap", "dimension": 3, "neighbours": 12, "min_dist": 0.5}


def test_memberships_have_the_sum_that_umap_asks_for():
    fitted = laid_out()
    near, distance = reduction._nearest(blobs(40, seed=3), fitted.sample, 12)
    sigma = reduction._bandwidth(distance, np.log2(12))
    np.testing.assert_allclose(np.exp(-distance / sigma).sum(axis=1), np.log2(12), rtol=1e-6)
    far = np.linalg.norm(blobs(40, seed=3)[:, None] - fitted.sample[None], axis=-1)
    np.testing.assert_array_equal(np.sort(near, axis=1), np.sort(np.argsort(far, axis=1)[:, :12], axis=1))


def test_a_frame_has_its_place_whatever_is_beside_it(monkeypatch):
    fitted, new = laid_out(), blobs(50, seed=5)
    together = fitted.transform(new)
    assert together.shape == (50, 3)
    monkeypatch.setattr(reduction, "_CHUNK", 7)
    np.testing.assert_allclose(fitted.transform(new), together, atol=1e-5)
    np.testing.assert_allclose(fitted.transform(new[13:14])[0], together[13], atol=1e-5)
    assert fitted.transform(new[:0]).shape == (0, 3)


def test_frames_all_alike_and_frames_far_away_have_places_too():
    fitted = laid_out(rows=40)
    fitted.sample[:] = 2.0
    # All as near: the mean of some twelve, and no division by zero.
    assert np.isfinite(fitted.transform(np.full((3, 16), 2.0, np.float32))).all()
    assert np.isfinite(fitted.transform(np.full((3, 16), 1e6, np.float32))).all()


def test_saved_and_loaded_without_umap_learn(tmp_path, monkeypatch):
    fitted = laid_out()
    fitted.save(tmp_path / "r.npz")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    again = reduction.load(tmp_path / "r.npz")
    np.testing.assert_array_equal(again.transform(blobs(20)), fitted.transform(blobs(20)))
    assert again.report() == fitted.report()
    with pytest.raises(
        UsageError,
        match=r"The reducer umap needs a package that is not installed: pip install 'edgesea\[umap\]'\.",
    ):
        reduction.reducer("umap", 3)
    (tmp_path / "r.npz").write_bytes((tmp_path / "r.npz").read_bytes()[:500])
    with pytest.raises(EdgeseaError, match=r"Cannot read the reducer .*r\.npz"):
        reduction.load(tmp_path / "r.npz")


@pytest.mark.skipif(not importlib.util.find_spec("umap"), reason="umap-learn is not installed")
@pytest.mark.slow
def test_errors_of_the_data_say_what_to_do():
    data = blobs(30)
    with pytest.raises(
        UsageError, match=r"with 50 neighbours needs more frames than that to fit on, and there"
    ):
        reduction.reducer("umap", 3).fit([data])
    with pytest.raises(UsageError, match=r"--dim 17 is more than the teacher's 16 dimensions"):
        reduction.reducer("umap", 17).fit([data])


def test_options_out_of_range_are_refused():
    with pytest.raises(UsageError, match=r"Received neighbours = 1 and min_dist = 0\.9 for the reducer umap"):
        reduction.reducer("umap:neighbours=1", 3)
    with pytest.raises(UsageError, match=r"min_dist = 1\.5 .*: give at least 2, and a number from 0 to 1\."):
        reduction.reducer("umap:min_dist=1.5", 3)
