"""Splits few recordings by time: a night on one Pi is one recording, to be learnt from and tested on.

The recordings are laid end to end on one line of time, which is cut into rounds; each round is cut into one
stretch for every part, in the order of a hash of seed and round, so that every part hears all of the night.
Between stretches of different parts lies a gap that belongs to none, or a frame of one part would hear what
a frame of another heard: see `gap`. Rounds are as many as let the gaps cost a tenth of the sound, at most
ten.
"""

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesea import remote
from edgesea.datasets.manifest import Manifest
from edgesea.errors import UsageError

# With fewer recordings than this, whole recordings make no parts that can stand for each other.
FEWEST_RECORDINGS = 5
_GUARD_S = 10.0  # between parts, beside the length of a frame: an echo, a passing car
_MOST_ROUNDS = 10
_COST = 0.1  # of the sound, that gaps may take


@dataclass(frozen=True)
class Stretch:
    """A piece of a clip that belongs to one part; start < end, in seconds of the clip's file."""

    clip: int
    start: float
    end: float


def recordings(manifest: Manifest) -> int:
    """How many recordings the clips were cut from."""
    return len({clip.group for clip in manifest.clips})


def needed(manifest: Manifest) -> bool:
    """Whether there are too few recordings to split by recording."""
    return recordings(manifest) < FEWEST_RECORDINGS


def gap(frame_s: float) -> float:
    """Seconds between parts, for frames of `frame_s` seconds."""
    return frame_s + _GUARD_S


def split(
    manifest: Manifest,
    ends: Sequence[float],
    fractions: Mapping[str, float],
    frame_s: float,
    seed: int = 0,
) -> dict[str, list[Stretch]]:
    """Assigns stretches of time to parts.

    ends : for every clip the second of its file where it ends (`clip.end`, or the file's length)
    fractions : part name -> its share of the time, each > 0, together 1
    frame_s : the longest frame that is cut from it, in seconds > 0

    Returns part name -> its stretches, in the order of the clips and of time. Frames that lie whole in
    stretches of different parts are at least `gap(frame_s)` apart, on the line of all files in their order.
    Raises `UsageError` for impossible fractions and for less sound than each part needs.
    """
    if not fractions or min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise UsageError(f"Received the fractions {dict(fractions)}: each must be above 0 and their sum 1.")
    files = _files(manifest, ends)
    total = sum(last - first for first, last in files.values())
    between = gap(frame_s)
    rounds = int(np.clip(_COST * total / (between * len(fractions)), 1, _MOST_ROUNDS))
    if total / rounds * min(fractions.values()) < between + frame_s:
        least = (between + frame_s) / min(fractions.values())
        raise UsageError(
            f"{manifest.root} holds {total:.0f} s of {recordings(manifest)} recordings: to split so few by "
            f"time takes {least:.0f} s, with {between:.3g} s left out between parts; give more sound."
        )
    parts: dict[str, list[Stretch]] = {part: [] for part in fractions}
    at = {}  # file -> where it begins on the line
    position = 0.0
    for file, (first, last) in files.items():
        at[file] = position - first
        position += last - first
    for part, begin, end in _cut(total, fractions, rounds, between, seed):
        for index, clip in enumerate(manifest.clips):
            shift = at[clip.path]
            start = max(clip.start or 0.0, begin - shift)
            stop = min(ends[index], end - shift)
            if stop - start > 1e-6:
                parts[part].append(Stretch(index, start, stop))
    for part, stretches in parts.items():
        stretches.sort(key=lambda each: (each.clip, each.start))
        if not any(each.end - each.start >= frame_s for each in stretches):
            raise UsageError(
                f"The {part} part of {manifest.root} holds no stretch as long as a frame ({frame_s:g} s): "
                "give longer recordings, or another seed."
            )
    return parts


def inside(stretches: Sequence[Stretch], clip: np.ndarray, start: np.ndarray, frame_s: float) -> np.ndarray:
    """Which frames lie whole within stretches.

    clip (N,) int, start (N,) float : of each frame, as in a store of `edgesea.embed`

    Returns (N,) bool.
    """
    found = np.zeros(len(clip), bool)
    for each in stretches:
        fits = (start >= each.start - 1e-6) & (start + frame_s <= each.end + 1e-6)
        found |= (clip == each.clip) & fits
    return found


def _files(manifest: Manifest, ends: Sequence[float]) -> dict[Path, tuple[float, float]]:
    """File -> first and last second that clips take of it, in the order of recording where that is known."""
    spans: dict[Path, tuple[float, float]] = {}
    order: dict[Path, tuple] = {}
    for clip, end in zip(manifest.clips, ends, strict=True):
        start = clip.start or 0.0
        first, last = spans.get(clip.path, (start, max(start, end)))
        spans[clip.path] = min(first, start), max(last, end)
        when = clip.timestamp.isoformat() if clip.timestamp else ""
        order.setdefault(
            clip.path, (manifest.relative(remote.path(clip.group)), when, manifest.relative(clip.path))
        )
    return {path: spans[path] for path in sorted(spans, key=order.__getitem__)}


def _cut(
    total: float, fractions: Mapping[str, float], rounds: int, between: float, seed: int
) -> Iterator[tuple[str, float, float]]:
    """Yields (part, begin, end) on the line, in order, with the gap taken from the beginning of each stretch
    that another part's precedes.
    """
    before: str | None = None
    position = 0.0
    for number in range(rounds):
        for part in sorted(fractions, key=functools.partial(_hash, seed, number)):
            end = position + total / rounds * fractions[part]
            yield part, position + (between if before not in (None, part) else 0.0), end
            before, position = part, end


def _hash(seed: int, number: int, part: str) -> bytes:
    return hashlib.sha256(f"{seed}/{number}/{part}".encode()).digest()
