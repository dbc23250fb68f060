"""Freq-MixStyle: means and deviations of mels are others' in part, the rest of a patch is its own."""

import numpy as np
import pytest

from edgesea import mixstyle


@pytest.fixture
def patches():
    rng = np.random.default_rng(0)
    level, depth = rng.normal(-40, 10, (6, 1, 5, 1)), rng.uniform(1, 9, (6, 1, 5, 1))
    return (level + depth * rng.standard_normal((6, 30, 5, 1))).astype(np.float32)


def standard(patches):
    return (patches - patches.mean(1, keepdims=True)) / patches.std(1, keepdims=True)


def test_what_is_no_style_stays(patches):
    mixed = mixstyle.mixed(np.random.default_rng(1), patches, 1.0)
    np.testing.assert_allclose(standard(mixed), standard(patches), atol=1e-4)
    assert np.abs(mixed - patches).max() > 1


def test_a_style_lies_between_its_own_and_its_partners(patches):
    rng = np.random.default_rng(1)
    rng.random()
    partners = rng.permutation(len(patches))
    mixed = mixstyle.mixed(np.random.default_rng(1), patches, 1.0)
    for measure in (np.mean, np.std):
        own, found = measure(patches, axis=1), measure(mixed, axis=1)
        low, high = np.minimum(own, own[partners]), np.maximum(own, own[partners])
        assert np.all((found >= low - 1e-3) & (found <= high + 1e-3))
    # One share a patch, for all of its mels.
    own = patches.mean(1)
    share = (mixed.mean(1) - own[partners]) / (own - own[partners] + 1e-12)
    moved = partners != np.arange(len(patches))
    assert np.ptp(share[moved], axis=1).max() < 1e-2


def test_it_happens_as_often_as_asked(patches):
    changed = [
        not np.array_equal(mixstyle.mixed(np.random.default_rng(seed), patches, 0.25), patches)
        for seed in range(200)
    ]
    assert 30 <= sum(changed) <= 70
    assert mixstyle.mixed(np.random.default_rng(0), patches, 0.0) is patches


def test_the_type_stays_and_silence_is_no_division_by_zero(patches):
    quiet = np.full((3, 30, 5, 1), -80, np.float16)
    mixed = mixstyle.mixed(np.random.default_rng(0), quiet, 1.0)
    assert mixed.dtype == np.float16
    np.testing.assert_array_equal(mixed, quiet)
