"""The frames that a student learns from: the same whenever they are made, of the clips that may be used."""

import dataclasses

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from unchanged import UNCHANGED

from edgesea import datasets, examples, files, reduction
from edgesea.augment import Augmentation
from edgesea.examples import Examples, spread
from edgesea.pairing import Pairing
from edgesea.store import Store
from edgesea.teachers import Teacher

RATE = 8_000


class Mean(Teacher):
    """A teacher whose embedding is the mean and the spread of half a second at 8 kHz."""

    outputs, sample_rate, samples = {"embedding": (2,)}, RATE, RATE // 2

    def hear(self, waveforms, wanted=("embedding",)):
        return {"embedding": np.stack([waveforms.mean(axis=1), waveforms.std(axis=1)], axis=1)}


class First:
    """A student's frontend: the first sample of a frame, and the mean of all."""

    sample_rate, samples, patch_shape = RATE, RATE // 2, (1, 2, 1)

    def patch(self, waveforms):
        return np.stack([waveforms[:, 0], waveforms.mean(axis=1)], axis=1)[:, None, :, None]


def pairing():
    return Pairing(Mean(), First())


@pytest.fixture
def steps(tmp_path):
    """Ten clips of 25 s; clip k hovers around k / 20, so an example says which clips it was made of."""
    folder = tmp_path / "in"
    folder.mkdir()
    for k in range(10):
        hiss = np.random.default_rng(k).standard_normal(25 * RATE) * 1e-3
        soundfile.write(folder / f"{k}.wav", k / 20 + hiss, RATE, subtype="FLOAT")
    return datasets.load(folder)


def clips_of(store):
    return np.round(store.column("embedding")[:, 0] * 20).astype(int)


def make(manifest, folder, clips, count, augmentation=UNCHANGED, seed=1):
    store = Store(folder, {})
    examples.make(manifest, clips, pairing(), store, count, augmentation, seed)
    return store


def test_examples_come_from_the_given_clips_alone_and_from_all_of_them(tmp_path, steps):
    store = make(steps, tmp_path / "s", [1, 4, 7], 120)
    assert len(store) == 120
    assert set(clips_of(store)) == {1, 4, 7}
    np.testing.assert_allclose(store.column("patch")[:, 0, 1, 0], store.column("embedding")[:, 0], atol=2e-3)


def test_a_mixture_is_of_the_given_clips_too(tmp_path, steps):
    # The mean tells: a sum of clips 0 and 1, whatever their levels, stays below what clip 9 alone has.
    mixing = dataclasses.replace(UNCHANGED, mix_probability=1.0, mix_db=(0.0, 0.0))
    assert set(clips_of(make(steps, tmp_path / "s", [0, 1], 60, mixing))) <= {0, 1, 2}


@pytest.mark.parametrize("mix_clips", [2, 3])
def test_what_is_mixed_in_may_be_a_texture_and_what_it_is_mixed_into_never_is(mix_clips):
    click = np.zeros(400, np.float32)
    click[50] = 0.5

    def example(**values):
        chosen = dataclasses.replace(UNCHANGED, mix_db=(-90.0, -90.0), mix_clips=mix_clips, **values)
        return examples._example(3, lambda rng: (click, 0), chosen, 1, np.ones((1, 2)), RATE, True)

    def crest(frame):
        return np.abs(frame).max() / np.sqrt(np.mean(np.square(frame)))

    textured, label = example(mix_probability=1.0, texture_probability=1.0)
    plain, _ = example(mix_probability=1.0)
    assert crest(plain) == pytest.approx(20)
    assert crest(textured) < 6
    np.testing.assert_allclose(label, [1, 1])
    alone, _ = example(mix_probability=0.0, texture_probability=1.0)
    np.testing.assert_array_equal(alone, click)


def test_the_count_is_exact_over_shards(tmp_path, steps, monkeypatch):
    monkeypatch.setattr(examples, "SHARD", 32)
    for count in (1, 31, 32, 33, 70):
        store = make(steps, tmp_path / str(count), [2, 3], count)
        assert len(store) == count
        assert [len(shard) for shard in store.shards][:-1] == [32] * ((count - 1) // 32)


def test_one_example_is_the_same_however_many_follow_and_however_they_are_batched(
    tmp_path, steps, monkeypatch
):
    monkeypatch.setattr(examples, "SHARD", 64)
    few = make(steps, tmp_path / "few", [0, 5], 40, Augmentation())
    monkeypatch.setattr(examples, "_BATCH", 7)
    many = make(steps, tmp_path / "many", [0, 5], 100, Augmentation())
    for name in ("embedding", "patch"):
        np.testing.assert_allclose(few.column(name), many.column(name)[:40], rtol=1e-6, atol=1e-7)
    other = make(steps, tmp_path / "other", [0, 5], 40, Augmentation(), seed=2)
    assert not np.isclose(few.column("embedding"), other.column("embedding")).all(axis=1).any()
    assert len(np.unique(many.column("embedding"), axis=0)) == 100


@pytest.mark.parametrize("held", [examples.MEMORY, 3 * 10 * RATE * 4])
def test_killed_and_called_again_the_examples_are_the_same(tmp_path, steps, monkeypatch, held):
    """Also where not all of the domain fits into memory and each shard draws from a part of it."""
    monkeypatch.setattr(examples, "SHARD", 32)
    monkeypatch.setattr(examples, "MEMORY", held)
    whole = make(steps, tmp_path / "whole", range(10), 100, Augmentation())

    real, written = files.os.replace, []

    def killed(source, target):
        if str(target).endswith(".arrow"):
            written.append(target)
            if len(written) == 3:
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(files.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        make(steps, tmp_path / "s", range(10), 100, Augmentation())
    monkeypatch.setattr(files.os, "replace", real)
    assert len(Store(tmp_path / "s", {}).shards) == 2
    again = make(steps, tmp_path / "s", range(10), 100, Augmentation())
    for path in sorted(whole.folder.glob("*.arrow")):
        assert (again.folder / path.name).read_bytes() == path.read_bytes()


def test_where_memory_is_short_a_shard_draws_from_a_few_stretches_and_all_from_many(
    tmp_path, steps, monkeypatch
):
    monkeypatch.setattr(examples, "SHARD", 32)
    monkeypatch.setattr(examples, "MEMORY", 2 * 10 * RATE * 4)
    store = make(steps, tmp_path / "s", range(10), 32 * 12)
    found = clips_of(store)
    each = [set(found[start : start + 32]) for start in range(0, len(found), 32)]
    assert max(map(len, each)) <= 2
    assert len(set.union(*each)) >= 7


def test_a_stretch_that_cannot_be_decoded_is_silence(tmp_path, steps):
    path = steps.clips[0].path
    sound, _ = soundfile.read(path, dtype="float32")
    sound[:] = 0
    sound[12 * RATE :] = np.nan
    soundfile.write(path, sound, RATE, subtype="FLOAT")
    store = make(steps, tmp_path / "s", [0], 20)
    assert not store.column("embedding").any()


def example_rows(tmp_path, n=30):
    store = Store(tmp_path / "rows", {})
    for number in range(3):
        values = np.arange(number * 10, number * 10 + 10, dtype=np.float32)
        embedding = np.stack([values, values**2, -values], axis=1)
        store.write(number, {"embedding": embedding, "patch": values.astype(np.float16).reshape(-1, 1, 1, 1)})
    reducer = reduction.reducer("identity", 3).fit([store.column("embedding")])
    return Examples(store, np.arange(5, n), reducer)


def test_a_batch_keeps_each_patch_with_its_target(tmp_path):
    rows = example_rows(tmp_path)
    batch = rows.batch(np.array([20, 0, 3, 11]), {"patch", "target"})
    assert batch.keys() == {"patch", "target"}
    patches, targets = batch["patch"], batch["target"]
    scale = rows.reducer.scale
    assert sorted(patches.ravel()) == [5, 8, 16, 25]
    np.testing.assert_allclose(targets[:, 0] * scale, patches.ravel(), rtol=1e-5)
    np.testing.assert_allclose(targets[:, 1] * scale, patches.ravel() ** 2.0, rtol=1e-3)
    assert patches.dtype == np.float16
    assert targets.dtype == np.float32


def test_targets_and_patches_are_in_the_order_of_the_rows(tmp_path):
    rows = example_rows(tmp_path)
    np.testing.assert_allclose(rows.targets()[:, 0] * rows.reducer.scale, np.arange(5, 30), rtol=1e-5)
    np.testing.assert_array_equal(rows.patches().ravel(), np.arange(5, 30))
    assert rows.patches().dtype == np.float32
    assert len(rows) == 25


@given(st.integers(1, 500), st.integers(1, 600))
def test_spread_takes_at_most_so_many_evenly_from_end_to_end(n, most):
    rows = np.arange(n) * 3
    chosen = spread(rows, most)
    assert len(chosen) == min(n, most)
    assert np.isin(chosen, rows).all()
    assert len(np.unique(chosen)) == len(chosen)
    if 1 < most < n:
        assert (chosen[0], chosen[-1]) == (rows[0], rows[-1])
        gaps = np.diff(chosen)
        assert gaps.max() - gaps.min() <= 3
