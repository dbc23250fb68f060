"""Samplers: their distributions against enumeration and against the paper's definitions."""

import dataclasses
import itertools
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from edgesea import files, sampling
from edgesea.datasets import Clip, Manifest
from edgesea.distillation import _Stages
from edgesea.errors import UsageError
from edgesea.progress import SILENT
from edgesea.run import Config, Run
from edgesea.sampling import Candidates, base, dpp, spl
from edgesea.store import Store

NOON = datetime(2024, 5, 1, 12)


def clip(name, **fields):
    return Clip(Path("/street") / name, **fields)


def candidates(folder, clips, frames=4, dimension=8, hop=0.5, rows=None, seed=0):
    """A domain of `frames` frames a clip with random embeddings and measured levels."""
    rng = np.random.default_rng(seed)
    store = Store(folder / "domain", {})
    m = len(clips) * frames
    store.write(
        0,
        {
            "clip": np.repeat(np.arange(len(clips), dtype=np.int32), frames),
            "start": np.tile(np.arange(frames) * hop, len(clips)),
            "level_db": rng.normal(-30, 10, m).astype(np.float32),
            "embedding": rng.standard_normal((m, dimension)).astype(np.float32),
        },
    )
    manifest = Manifest(Path("/street"), tuple(clips), "street")
    return Candidates(store, np.arange(m) if rows is None else rows, manifest)


def week(sensors=2, days=3, a_day=10):
    return [
        clip(
            f"{s}-{d}-{k}.wav",
            sensor=f"s{s}",
            timestamp=NOON + timedelta(days=d, minutes=7 * k),
            level_db=40.0 + (7 * k + s + d) % 11,
        )
        for s in range(sensors)
        for d in range(days)
        for k in range(a_day)
    ]


def assert_distribution(counts, probabilities, level=1e-4):
    """Chi-square: a right sampler fails once in 10,000 seeds, and the seeds here are fixed."""
    counts, expected = np.asarray(counts), np.asarray(probabilities) * np.sum(counts)
    assert expected.min() > 4
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > level


# Determinantal point processes.


def enumerated(kernel, k):
    """Every set of k, and its probability det(L_Y) / sum."""
    sets = list(itertools.combinations(range(len(kernel)), k))
    weight = np.array([np.linalg.det(kernel[np.ix_(y, y)]) for y in sets])
    return sets, weight / weight.sum()


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_a_k_dpp_has_the_probabilities_of_its_determinants(k):
    """All sets, not only inclusions: those of one point do not see the repulsion."""
    rng = np.random.default_rng(k)
    features = rng.standard_normal((6, 5)) * rng.uniform(0.5, 1.5, (6, 1))
    sets, probability = enumerated(features @ features.T, k)
    drawn = [tuple(sorted(dpp.k_dpp(features, k, rng))) for _ in range(6000)]
    likely = probability * 6000 > 5
    counts = np.array([drawn.count(y) for y in sets])
    assert counts.sum() == 6000
    grouped = [*counts[likely], counts[~likely].sum()], [*probability[likely], probability[~likely].sum()]
    keep = 6000 * np.array(grouped[1]) > 4
    assert_distribution(np.array(grouped[0])[keep], np.array(grouped[1])[keep])


def test_quality_makes_a_point_likelier_and_alike_points_exclude_each_other():
    rng = np.random.default_rng(2)
    features = np.array([[1.0, 0], [1.0, 1e-9], [0, 1.0]])
    for _ in range(50):
        assert {2} < set(dpp.k_dpp(features, 2, rng).tolist())
    loud = features[[0, 0, 2]] * np.array([[1.0], [2.0], [1.0]])
    first = [1 in dpp.k_dpp(loud, 2, rng) for _ in range(2000)]
    assert np.mean(first) == pytest.approx(4 / 5, abs=0.04)  # squares of the qualities


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 6), st.data())
def test_a_k_dpp_gives_k_different_points_also_beyond_the_rank(count, dimension, data):
    k = data.draw(st.integers(1, count))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    features = rng.integers(-1, 2, (count, dimension)).astype(float)  # with zeros and repetitions
    chosen = dpp.k_dpp(features, k, rng)
    assert len(set(chosen.tolist())) == k
    assert set(chosen.tolist()) <= set(range(count))


def test_within_the_rank_no_set_is_chosen_that_has_no_volume():
    """Twins, parallel embeddings, never come together while the rank allows another choice."""
    rng = np.random.default_rng(3)
    features = np.repeat(rng.standard_normal((8, 8)), 2, axis=0) * rng.uniform(0.1, 3, (16, 1))
    for _ in range(30):
        assert len(set((dpp.k_dpp(features, 8, rng) // 2).tolist())) == 8


def test_eigenvalues_of_any_size_neither_overflow_nor_vanish():
    """512 eigenvalues over 30 decades: their polynomials do not fit a double."""
    values = np.linspace(-200, 900, 512)
    chosen = dpp._eigenvectors(values, 256, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == 256
    assert chosen.min() >= 250  # next to none of the small ones
    with np.errstate(all="raise"):
        assert len(dpp._eigenvectors(np.zeros(64), 64, np.random.default_rng(0))) == 64


def test_dpp_div_looks_at_directions_and_dpp_at_loudness_too(tmp_path):
    clips = [clip(f"{k}.wav", level_db=float(k)) for k in range(30)]
    held = candidates(tmp_path, clips, frames=1, dimension=8)
    day = np.arange(30)
    rng = np.random.default_rng(0)
    div = np.bincount(
        np.concatenate([sampling.sampler("dpp-div").choose(held, day, 3, rng) for _ in range(1500)]), None, 30
    )
    loud = np.bincount(
        np.concatenate([sampling.sampler("dpp").choose(held, day, 3, rng) for _ in range(1500)]), None, 30
    )
    embeddings = held.embeddings(day).astype(np.float64)
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    for counts, quality in ((div, np.ones(30)), (loud, np.arange(1, 31) / 30)):
        features = unit * quality[:, None]
        sets, probability = enumerated(features @ features.T, 3)
        inclusion = np.zeros(30)
        for y, p in zip(sets, probability, strict=True):
            inclusion[list(y)] += p
        # Every frame's own chance, within five standard deviations.
        assert (np.abs(counts / 1500 - inclusion) < 5 * np.sqrt(inclusion * (1 - inclusion) / 1500)).all()
    assert loud[15:].sum() > 0.8 * loud.sum() > div[15:].sum()


def test_a_day_that_gives_more_than_a_k_dpp_can_is_cut_into_parts(tmp_path, monkeypatch):
    asked, parts = [], []
    real = dpp.k_dpp
    held = candidates(tmp_path, [clip("a.wav")], frames=120, dimension=8)
    place = {row.tobytes(): k for k, row in enumerate(dpp._unit(held.embeddings(np.arange(120))))}

    def k_dpp(features, k, rng):
        asked.append((len(features), k))
        parts.append([place[row.tobytes()] for row in features])
        return real(features, k, rng)

    monkeypatch.setattr(dpp, "LARGEST", 50)
    monkeypatch.setattr(dpp, "k_dpp", k_dpp)
    assert len(set(sampling.sampler("dpp-div")(held, 30, 0))) == 30
    assert asked == [(15, 4)] * 6 + [(15, 3)] * 2  # no more than half of 8 dimensions
    assert sorted(itertools.chain(*parts)) == list(range(120))
    assert all(np.ptp(part) > 50 for part in parts)  # at random, from all over the day
    asked.clear()
    sampling.sampler("dpp-div")(held, 4, 0)
    assert asked == [(40, 2), (40, 1), (40, 1)]  # no more than 50 frames


# Sound pressure levels.


def by_definition(levels, seconds):
    """The relevance, frame by frame, by counting."""
    out = []
    for i in range(len(levels)):
        near = np.abs(seconds - seconds[i]) <= 3600
        below, equal = (levels[near] < levels[i]).sum(), (levels[near] == levels[i]).sum()
        out.append((below + (equal + 1) / 2) / near.sum())
    return np.array(out)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 40)), min_size=1, max_size=60))
def test_relevance_is_the_normalised_rank_in_a_sliding_window_of_two_hours(frames):
    """Times in steps of 10 minutes, so that some lie exactly on a window's edge; in any order; with ties."""
    levels, tens = np.array(frames, float).T
    np.testing.assert_allclose(spl.relevance(levels, tens * 600), by_definition(levels, tens * 600))


def test_relevance_of_a_known_day():
    # 12:00, 12:30, 13:00 and, out of reach of the first two, 14:00
    levels, seconds = np.array([50.0, 70.0, 60.0, 40.0]), np.array([0.0, 1800.0, 3600.0, 7200.0])
    np.testing.assert_allclose(spl.relevance(levels, seconds), [1 / 3, 1.0, 3 / 4, 1 / 2])


def test_spl_draws_by_relevance(tmp_path):
    """One frame by p, and two without repetition: P{i, j} = p_i p_j / (1 - p_i) + p_j p_i / (1 - p_j)."""
    levels = [50.0, 70.0, 60.0, 40.0, 65.0]
    clips = [
        clip(f"{k}.wav", sensor="s", timestamp=NOON + timedelta(minutes=40 * k), level_db=level)
        for k, level in enumerate(levels)
    ]
    held = candidates(tmp_path, clips, frames=1)
    p = by_definition(np.array(levels), np.arange(5) * 2400.0)
    p /= p.sum()
    choose = sampling.sampler("spl").choose
    rng = np.random.default_rng(1)
    ones = [int(choose(held, np.arange(5), 1, rng)[0]) for _ in range(4000)]
    assert_distribution(np.bincount(ones, minlength=5), p)
    pairs = list(itertools.combinations(range(5), 2))
    both = [p[i] * p[j] * (1 / (1 - p[i]) + 1 / (1 - p[j])) for i, j in pairs]
    drawn = [tuple(sorted(choose(held, np.arange(5), 2, rng).tolist())) for _ in range(4000)]
    assert_distribution([drawn.count(pair) for pair in pairs], both)


def test_levels_are_the_sensors_where_it_gave_them_else_the_measured_ones(tmp_path):
    held = candidates(tmp_path, week())
    assert held.levels.tolist() == np.repeat([c.level_db for c in week()], 4).tolist()
    measured = candidates(tmp_path / "b", [clip("a.wav"), clip("b.wav")])
    np.testing.assert_array_equal(measured.levels, measured.store.column("level_db"))


# Days, shares and the contract.


def test_days_are_of_one_sensor_and_one_date_by_its_own_clock(tmp_path):
    zone = timezone(timedelta(hours=9))
    late = datetime(2024, 5, 1, 23, 59, 59, tzinfo=zone)  # in UTC, 15 hours later the day before
    clips = [
        clip("b.wav", sensor="b", timestamp=datetime(2024, 5, 1, 0, 0, tzinfo=zone)),
        clip("a.wav", sensor="a", timestamp=late),
        clip("c.wav", sensor="b", timestamp=datetime(2024, 5, 2, 0, 0, tzinfo=zone)),
        clip("d.wav", sensor="b", timestamp=datetime(2024, 5, 1, 6, 0, tzinfo=zone)),
        clip("e.wav", sensor="c", timestamp=datetime(2024, 5, 2, 0, 0, tzinfo=zone)),
    ]
    held = candidates(tmp_path, clips, frames=4, hop=0.5)
    # The clip that begins a second before midnight has two frames on either day.
    assert [day.tolist() for day in held.days()] == [
        [4, 5],
        [6, 7],
        [0, 1, 2, 3, 12, 13, 14, 15],
        [8, 9, 10, 11],
        [16, 17, 18, 19],
    ]


def test_a_clip_that_is_a_stretch_of_its_file_begins_at_its_timestamp(tmp_path):
    clips = [clip("a.wav", start=600.0, sensor="s", timestamp=NOON)]
    store = Store(tmp_path / "domain", {})
    columns = {"clip": np.zeros(2, np.int32), "start": np.array([600.0, 600.5])}
    store.write(0, {**columns, "embedding": np.ones((2, 2), np.float32)})
    held = Candidates(store, np.arange(2), Manifest(Path("/street"), tuple(clips), "street"))
    assert held.seconds % 86_400 == pytest.approx([43_200.0, 43_200.5])


def test_without_sensors_and_times_all_is_one_day(tmp_path):
    held = candidates(tmp_path, [clip("a.wav"), clip("b.wav")])
    assert [day.tolist() for day in held.days()] == [list(range(8))]
    for name in sampling.SAMPLERS:
        assert len(sampling.sampler(name)(held, 5, 0)) == 5


@pytest.mark.parametrize("name", list(sampling.SAMPLERS))
def test_every_sampler_keeps_the_contract(tmp_path, name):
    rows = np.arange(0, 240, 2)
    held = candidates(tmp_path, week(), rows=rows)
    choose = sampling.sampler(name)
    for n in (1, 7, 60, 119, 120):
        chosen = choose(held, n, 5)
        assert chosen.tolist() == sorted(set(chosen.tolist()))
        assert len(chosen) == n
        assert set(chosen.tolist()) <= set(rows.tolist())
        np.testing.assert_array_equal(choose(held, n, 5), chosen)
    assert choose(held, 60, 5).tolist() != choose(held, 60, 6).tolist()
    # Six days of one size: each gives its share.
    assert np.bincount(choose(held, 60, 5) // 40).tolist() == [10] * 6


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.data())
def test_shares_are_whole_and_never_more_than_there_is(sizes, data):
    n = data.draw(st.integers(1, sum(sizes)))
    shares = base._shares(sizes, n, np.random.default_rng(data.draw(st.integers(0, 999))))
    assert shares.sum() == n
    exact = np.multiply(sizes, n / sum(sizes))
    assert (np.abs(shares - exact) < 1 + 1e-9).all()
    assert (shares <= sizes).all()
    assert (shares >= 0).all()


def test_shares_are_right_in_the_mean():
    rng = np.random.default_rng(0)
    mean = np.mean([base._shares([1, 2, 3, 10], 4, rng) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(mean, [0.25, 0.5, 0.75, 2.5], atol=0.04)


def test_random_is_uniform(tmp_path):
    held = candidates(tmp_path, week(1, 2, 3), frames=1)
    counts = np.bincount(
        np.concatenate([sampling.sampler("random")(held, 2, seed) for seed in range(1500)]), minlength=6
    )
    np.testing.assert_allclose(counts / 1500, 1 / 3, atol=0.05)


# Bad data.


def manifest(*clips):
    return Manifest(Path("/street"), clips, "street")


def test_what_is_half_known_is_refused():
    known, unknown = clip("a.wav", sensor="s"), clip("b.wav")
    for name in sampling.SAMPLERS:
        with pytest.raises(
            UsageError,
            match=r"b\.wav in /street names no sensor, as 1 of 2 clips: give every clip its sensor, or leave "
            r"that column out\.$",
        ):
            sampling.sampler(name).check(manifest(known, unknown))
    with pytest.raises(UsageError, match=r"a\.wav in /street has no timestamp, as 1 of 2 clips"):
        sampling.sampler("dpp-div").check(manifest(clip("a.wav"), clip("b.wav", timestamp=NOON)))
    half = manifest(clip("a.wav", level_db=50.0), clip("b.wav"), clip("c.wav"))
    for name in ("spl", "dpp"):
        with pytest.raises(UsageError, match=r"b\.wav in /street has no level_db, as 2 of 3 clips: give"):
            sampling.sampler(name).check(half)
    for name in ("dpp-div", "random"):
        sampling.sampler(name).check(half)


def test_a_sensor_that_goes_back_in_time_is_refused():
    before, same, after = (
        clip(f"{k}.wav", sensor="s", timestamp=NOON + timedelta(seconds=second))
        for k, second in enumerate((0, 0, 9))
    )
    # Sensors may be listed in any order.
    other = clip("c.wav", sensor="t", timestamp=NOON - timedelta(days=1))
    for name in sampling.SAMPLERS:
        sampling.sampler(name).check(manifest(before, same, other, after))
        with pytest.raises(
            UsageError,
            match=r"The timestamps of /street are out of order, 0\.wav \(2024-05-01 12:00:00\) after "
            r"2\.wav \(2024-05-01 12:00:09\) at the sensor s: list a sensor's clips in the order of time, ",
        ):
            sampling.sampler(name).check(manifest(after, other, before))
    unnamed = [dataclasses.replace(each, sensor=None) for each in (after, before)]
    with pytest.raises(UsageError, match=r"after 2\.wav \(2024-05-01 12:00:09\): list a sensor's clips"):
        sampling.sampler("spl").check(manifest(*unnamed))


def test_an_hour_that_comes_twice_is_in_order():
    """On the night when clocks go back, 02:30 in summer time comes before 02:00 in winter time."""
    summer = datetime(2024, 10, 27, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    winter = datetime(2024, 10, 27, 2, 0, tzinfo=timezone(timedelta(hours=1)))
    clips = [clip("a.wav", timestamp=summer), clip("b.wav", timestamp=winter)]
    sampling.sampler("spl").check(manifest(*clips))
    with pytest.raises(UsageError, match="out of order"):
        sampling.sampler("spl").check(manifest(*clips[::-1]))


def test_more_than_there_is_cannot_be_had(tmp_path):
    held = candidates(tmp_path, week(1, 1, 2))
    for name in sampling.SAMPLERS:
        with pytest.raises(
            UsageError, match=r"--sample 9 is more than the 8 frames there are to choose from"
        ):
            sampling.sampler(name)(held, 9, 0)


def test_an_unknown_sampler_is_named():
    with pytest.raises(
        UsageError, match=r"Unknown sampler 'dice': choose one of random, spl, dpp, dpp-div\."
    ):
        sampling.sampler("dice")


def test_what_files_promise_and_do_not_hold_ends_no_run(finished_run, tmp_path):
    """More than there is was refused before (tests/test_sampling_refused.py): here files were damaged."""
    done = Run.open(finished_run)
    domain = Store.open(done.domain)
    rows = np.arange(40)

    def chosen(**values):
        run = Run(tmp_path / "-".join(map(str, values.values())))
        _Stages(dataclasses.replace(done.config, **values), SILENT)._reduce(run, domain, rows)
        return files.read_arrays(run.sample)["rows"]

    for sample in (Config.sample, 41, 40):
        assert chosen(sample=sample).tolist() == rows.tolist()
    for name in sampling.SAMPLERS:
        assert len(set(chosen(sample=20, sampler=name)) & set(rows)) == 20
