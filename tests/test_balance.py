"""Balancing: every cluster of a domain is drawn as often as every other, the same whenever it is made."""

import dataclasses
import shutil

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from unchanged import UNCHANGED

from edgesea import balance, examples, files
from edgesea.balance import Balance, clusters, places
from edgesea.distillation import check, distill
from edgesea.embed import Piece
from edgesea.errors import EdgeseaError, UsageError
from edgesea.progress import Progress
from edgesea.run import Config
from edgesea.store import Store

RATE = 16_000
SAMPLES = 15_600 + 3 * 7_800
COMMON, RARE = 12, 4


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6), st.randoms())
def test_every_frame_is_in_the_stretch_that_it_begins_in(counts, random):
    """Clips of several stretches of 10 s, which begin where they do; frames in any order."""
    offsets = [random.choice([None, 0.0, 2.2, 600.0]) for _ in counts]
    cut = [
        Piece(clip, offset if k == 0 else (offset or 0.0) + 10 * k, None)
        for clip, (count, offset) in enumerate(zip(counts, offsets, strict=True))
        for k in range(count)
    ]
    wanted = [random.randrange(len(cut)) for _ in range(20)]
    into = [random.choice([-1e-6, 0.0, 0.5, 9.9]) for _ in wanted]
    clip = np.array([cut[each].clip for each in wanted])
    start = np.array([(cut[each].start or 0.0) + more for each, more in zip(wanted, into, strict=True)])
    np.testing.assert_array_equal(places(cut, clip, start), wanted)


def test_clusters_with_stretches_to_themselves_are_drawn_equally_often():
    """However many stretches they have, however long, and whatever else is there."""
    place = np.repeat([0, 1, 2, 4, 5], [10, 10, 3, 10, 1])
    made = Balance(7, place, np.array([0, 0, 0, 1, 2])[np.searchsorted([0, 1, 2, 4, 5], place)])
    np.testing.assert_allclose(made.shares(made.chances), 1 / 3)
    np.testing.assert_allclose(made.chances[[3, 6]], 0)  # no frames: never drawn
    assert made.chances[4] == pytest.approx(1 / 3)
    np.testing.assert_allclose(made.shares(np.ones(7)), [0.6, 0.2, 0.2])
    assert made.says() == (
        "drawn by 3 clusters of the domain: the rarest is 33.3% of what is drawn instead of 20.0%, the "
        "commonest 33.3% instead of 60.0%"
    )


@given(st.integers(1, 8), st.integers(1, 5), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_chances_are_chances_whatever_is_where(stretches, count, frames, seed):
    rng = np.random.default_rng(seed)
    made = Balance(stretches, rng.integers(stretches, size=frames), rng.integers(count, size=frames))
    assert made.chances.shape == (stretches,)
    assert made.chances.sum() == pytest.approx(1)
    assert (made.chances > 0).tolist() == np.isin(np.arange(stretches), made.place).tolist()
    shares = made.shares(made.chances)
    assert len(shares) == len(np.unique(made.cluster))
    assert shares.sum() == pytest.approx(1)
    # By hand: the frames of each stretch, and what of them is of the cluster.
    frame_of = [np.flatnonzero(made.place == k) for k in range(stretches)]
    by_hand = [
        sum(
            made.chances[k] * np.mean(made.cluster[inside] == cluster)
            for k, inside in enumerate(frame_of)
            if len(inside)
        )
        for cluster in np.unique(made.cluster)
    ]
    np.testing.assert_allclose(shares, by_hand)


def blobs(sizes=(900, 90, 10)):
    rng = np.random.default_rng(0)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    return (truth[:, None] * 5 + rng.standard_normal((len(truth), 4)) * 0.1).astype(np.float32), truth


@pytest.mark.parametrize("fitted", [20_000, 200])
def test_clusters_are_found_and_the_same_again(monkeypatch, fitted):
    """Also where not all frames fit the centres, and where they are heard in several batches."""
    monkeypatch.setattr(balance, "_FITTED", fitted)
    monkeypatch.setattr(balance, "_BATCH", 300)
    held, truth = blobs((800, 150, 50))
    rows = np.arange(1_000)
    found = clusters(lambda rows: held[rows], rows, 3, seed=1)
    assert found.dtype == np.int64
    assert len({*zip(found, truth, strict=True)}) == 3
    np.testing.assert_array_equal(clusters(lambda rows: held[rows], rows, 3, seed=1), found)


def test_frames_that_are_alike_have_fewer_clusters_than_asked():
    same = np.ones((6, 2), np.float32)
    found = clusters(lambda rows: same[rows], np.arange(6), 4, seed=0)
    made = Balance(2, np.array([0, 0, 0, 1, 1, 1]), found)
    assert made.chances.sum() == pytest.approx(1)
    assert np.isfinite(made.shares(made.chances)).all()


@pytest.mark.parametrize("pool", [5, 2])
def test_stretches_are_drawn_by_their_chances(pool):
    """Over many shards, also where one shard draws from few of them."""
    chances = np.array([0.0, 0.5, 0.0, 0.3, 0.2])
    drawn = []
    for number in range(300):
        rng = np.random.default_rng([7, number])
        choose = examples._chooser(rng, 5, pool, chances)
        some = [choose(rng) for _ in range(20)]
        assert len(set(some)) <= pool
        drawn += some
    shares = np.bincount(drawn, minlength=5) / len(drawn)
    assert shares[[0, 2]].tolist() == [0, 0]
    np.testing.assert_allclose(shares, chances, atol=0.07)  # a pool of 2: standard error 0.02


def test_without_chances_stretches_are_drawn_as_ever():
    """The draws of before there were chances, spelt out."""
    rng, again = np.random.default_rng([1, 1, 0]), np.random.default_rng([1, 1, 0])
    choose = examples._chooser(rng, 9, 4, None)
    chosen = np.sort(again.choice(9, 4, replace=False))
    assert [choose(rng) for _ in range(50)] == [int(chosen[again.integers(4)]) for _ in range(50)]


@pytest.fixture(scope="module")
def lopsided(tmp_path_factory):
    """Sixteen recordings of four frames, none of them padded: hiss, and a few of a high tone."""
    folder = tmp_path_factory.mktemp("in")
    for k in range(COMMON + RARE):
        rng = np.random.default_rng(k)
        sound = rng.standard_normal(SAMPLES) * 0.05
        if k >= COMMON:
            sound = 0.3 * np.sin(2 * np.pi * 3_000 * np.arange(SAMPLES) / RATE) + sound / 50
        soundfile.write(folder / f"{k:02d}.wav", sound, RATE)
    return folder


def configuration(folder, **values):
    small = {"student": "separable-s", "dim": 8, "frames": 96, "batch": 32, "epochs": 1, "seed": 4}
    return Config("demo", str(folder), **{**small, "augmentation": UNCHANGED, "balance": 2, **values})


class Heard(Progress):
    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


def rare(run):
    """The share of the run's examples that are nearer to a rare recording's frame than to a common one's."""
    domain = Store.open(run.domain)
    embedding, clip = domain.column("embedding"), domain.column("clip")
    made = Store.open(run.examples).column("embedding")
    distance = np.square(made[:, None] - embedding[None]).sum(axis=2)
    return float(np.mean(clip[distance.argmin(axis=1)] >= COMMON))


@pytest.fixture(scope="module")
def balanced(tmp_path_factory, lopsided):
    heard = Heard()
    run = distill(configuration(lopsided), tmp_path_factory.mktemp("runs") / "run", progress=heard)
    return run, heard.said


def test_a_run_learns_as_much_from_what_is_rare(tmp_path, balanced, lopsided):
    run, said = balanced
    chances = files.read_arrays(run.balance)["chances"]
    trained = sorted(run.kept_split().parts["train"])
    assert len(chances) == len(trained)
    few = np.array(trained) >= COMMON
    assert 0 < few.sum() < (~few).sum()
    assert chances[few].sum() == pytest.approx(0.5)
    assert 0.35 < rare(run) < 0.65  # 96 draws: standard error 0.05
    assert any(line.startswith("drawn by 2 clusters of the domain: the rarest is 50.0% ") for line in said)
    held = Store.open(run.examples).made_from
    assert held["balance"]["clusters"] == 2
    plain = distill(configuration(lopsided, balance=0), tmp_path / "plain")
    assert rare(plain) < 0.35
    assert not plain.balance.exists()
    assert "balance" not in Store.open(plain.examples).made_from


def test_interrupted_and_called_again_it_draws_the_same(tmp_path, balanced, lopsided, monkeypatch):
    """Before its chances are kept, and before shards of its examples; found anew, they are the same."""
    monkeypatch.setattr(examples, "SHARD", 32)
    run, _ = balanced
    config = configuration(lopsided)
    whole = distill(config, tmp_path / "whole")
    real, done = files.os.replace, []

    def killed(source, target):
        if str(target).endswith("balance.npz") or "examples" in str(target):
            done.append(target)
            if len(done) in (1, 3, 5):
                raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(files.os, "replace", killed)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            distill(config, tmp_path / "run")
    again = distill(config, tmp_path / "run")
    for one in (run, again):
        np.testing.assert_array_equal(
            files.read_arrays(one.balance)["chances"], files.read_arrays(whole.balance)["chances"]
        )
    names = sorted(path.name for path in whole.examples.iterdir())
    assert len(names) == 4
    for name in names:
        assert (again.examples / name).read_bytes() == (whole.examples / name).read_bytes()


def test_damaged_chances_are_named(tmp_path, balanced, lopsided):
    run, _ = balanced
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    other = dataclasses.replace(run, folder=folder)
    other.metrics.unlink()
    for chances in (np.full(3, -1.0), np.ones(3), np.ones((1, 1)), np.array([np.nan]), np.array([1])):
        np.savez(other.balance, chances=chances)
        with pytest.raises(EdgeseaError, match=r"^Cannot read the chances .*balance\.npz .*: delete it and"):
            distill(configuration(lopsided), folder)
    # Of another sound, the examples would be too: what is there is neither used nor mixed with.
    np.savez(other.balance, chances=np.array([1.0]))
    with pytest.raises(UsageError, match=r"was made with another balance"):
        distill(configuration(lopsided), folder)
    shutil.rmtree(other.examples)
    with pytest.raises(
        EdgeseaError, match=r"^The sound has \d+ stretches to draw from, and had 1 when it was"
    ):
        distill(configuration(lopsided), folder)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"augmentation": None},
            "--balance draws the sound that is varied, and --no-augment trains on the frames as they are: "
            "leave one of them out.",
        ),
        (
            {"balance": 10_000},
            r"--balance 10000 asks for more clusters than there are frames to train on, \d+: ask for fewer, "
            "or give more sound.",
        ),
    ],
)
def test_what_cannot_be_balanced_is_refused(lopsided, values, said):
    with pytest.raises(UsageError, match=f"^{said}$"):
        check(configuration(lopsided, **values))


def test_a_codec_that_the_machine_has_not_is_refused_before_anything_is_written(
    tmp_path, lopsided, monkeypatch
):
    monkeypatch.setattr(soundfile, "_formats", {"WAV": 0x010000})
    lossy = dataclasses.replace(UNCHANGED, codec_probability=0.5)
    with pytest.raises(UsageError, match=r"of this machine cannot write vorbis at 16000 Hz"):
        distill(configuration(lopsided, augmentation=lossy), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("value", [1, -2, 2.5, True, "8", None])
def test_a_number_of_clusters_that_is_none_is_refused(value):
    with pytest.raises(UsageError) as refused:
        Config("demo", "x", balance=value)
    assert str(refused.value).endswith("give a whole number of clusters, at least 2, or 0 for none.")
