"""Few recordings are split by time, and no frame of one part hears what a frame of another heard."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesea.datasets import Clip, Manifest, timesplit
from edgesea.errors import UsageError

PARTS = {"train": 0.7, "validation": 0.15, "held-out": 0.15}


def night(*seconds: float) -> tuple[Manifest, list[float]]:
    clips = tuple(Clip(Path(f"/data/{k}.wav")) for k in range(len(seconds)))
    return Manifest(Path("/data"), clips, "night"), list(seconds)


def length(stretches) -> float:
    return sum(each.end - each.start for each in stretches)


def test_it_is_needed_where_recordings_are_few():
    assert timesplit.needed(night(*[60] * 4)[0])
    assert not timesplit.needed(night(*[60] * 5)[0])


def test_a_night_is_heard_by_every_part_all_night_long():
    parts = timesplit.split(*night(36_000.0), PARTS, 1.0)
    for part, share in PARTS.items():
        assert length(parts[part]) / 36_000 == pytest.approx(share, abs=0.01)
    for stretches in parts.values():
        assert len(stretches) == 10
        assert stretches[0].start < 3600
        assert stretches[-1].end > 32_400


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.floats(1, 4000), min_size=1, max_size=4),
    st.floats(0.1, 5),
    st.integers(0, 5),
)
def test_parts_never_come_near_each_other(lengths, frame_s, seed):
    manifest, ends = night(*lengths)
    try:
        parts = timesplit.split(manifest, ends, PARTS, frame_s, seed)
    except UsageError:
        assert sum(lengths) < 40 * (10 + 2 * frame_s) or min(lengths) < 2 * (10 + 2 * frame_s)
        return
    begins = np.concatenate([[0], np.cumsum(ends)])
    line = sorted(
        (begins[each.clip] + each.start, begins[each.clip] + each.end, part)
        for part, stretches in parts.items()
        for each in stretches
    )
    for (_, end, part), (start, _, following) in pairwise(line):
        assert start >= end - 1e-6
        if part != following:
            assert start - end >= timesplit.gap(frame_s) - 1e-6
    assert all(0 <= each.start < each.end <= ends[each.clip] for p in parts.values() for each in p)


def test_clips_that_overlap_in_one_file_share_its_time():
    path = Path("/data/a.wav")
    clips = tuple(Clip(path, start=float(k), end=k + 20.0) for k in range(0, 980, 5))
    parts = timesplit.split(Manifest(Path("/data"), clips, "x"), [clip.end for clip in clips], PARTS, 1.0)
    spans = {part: [(each.start, each.end) for each in stretches] for part, stretches in parts.items()}
    for part, mine in spans.items():
        for other, theirs in spans.items():
            if other != part:
                assert all(b <= c - 11 or d <= a - 11 for a, b in mine for c, d in theirs)


def test_which_frames_lie_inside():
    stretches = [timesplit.Stretch(0, 10.0, 20.0), timesplit.Stretch(1, 0.0, 2.0)]
    clip = np.array([0, 0, 0, 0, 1, 1, 2])
    start = np.array([9.9, 10.0, 19.0, 19.5, 0.0, 1.5, 11.0])
    assert timesplit.inside(stretches, clip, start, 1.0).tolist() == [0, 1, 1, 0, 1, 0, 0]


def test_another_seed_is_another_split_and_the_same_is_the_same():
    first, again, other = (timesplit.split(*night(7200.0), PARTS, 1.0, seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_too_little_sound():
    with pytest.raises(UsageError) as caught:
        timesplit.split(*night(30.0), PARTS, 1.0)
    assert str(caught.value) == (
        "/data holds 30 s of 1 recordings: to split so few by time takes 80 s, with 11 s left out between "
        "parts; give more sound."
    )
