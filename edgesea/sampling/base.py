"""What a sampler is, and what it chooses from: the frames of a domain, sensor by sensor and day by day.

Conventions
- A *day* is one sensor from midnight to midnight, by the clock that the timestamps were written with. Where
  the dataset names no sensors all frames are of one sensor, and where it holds no timestamps of one day.
- A clip's timestamp is the moment of its first sample.
- A *place* is an index into the candidates, a *row* one into the store.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np

from edgesea.datasets import Clip, Manifest
from edgesea.errors import UsageError
from edgesea.store import Store

_DAY = 86_400.0


@dataclass(frozen=True)
class Candidates:
    """The frames to choose from.

    store : a domain's store, see `edgesea.embed`
    rows (m,) int64 : which of its rows
    manifest : the clips that the store was made from
    """

    store: Store
    rows: np.ndarray
    manifest: Manifest

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def seconds(self) -> np.ndarray:
        """When each frame began, (m,) float64 in s by the sensor's clock; NaN without a timestamp."""
        clips = self.manifest.clips
        begins = np.array([_clock(clip) - (clip.start or 0.0) for clip in clips])
        return begins[self._clip] + self.store.rows("start", self.rows)

    @cached_property
    def levels(self) -> np.ndarray:
        """How loud each frame is, (m,) float64 in dB: as the sensor measured its clip, else as the frame was
        measured when it was embedded. Only levels of one day are comparable.
        """
        given = [clip.level_db for clip in self.manifest.clips]
        if given[0] is not None:
            return np.array(given, np.float64)[self._clip]
        return self.store.rows("level_db", self.rows).astype(np.float64)

    def days(self) -> list[np.ndarray]:
        """The places of each day, ascending; days in the order of sensor and date."""
        sensor = np.unique([clip.sensor or "" for clip in self.manifest.clips], return_inverse=True)[1]
        day = np.nan_to_num(np.floor(self.seconds / _DAY), nan=-np.inf)
        order = np.lexsort((day, sensor[self._clip]))
        keys = np.stack([sensor[self._clip], day])[:, order]
        starts = np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1
        return np.split(order, starts)

    def embeddings(self, places: np.ndarray) -> np.ndarray:
        """The teacher's embeddings, (len(places), n) float32."""
        return self.store.rows("embedding", self.rows[places])

    @cached_property
    def _clip(self) -> np.ndarray:
        return self.store.rows("clip", self.rows)


class Sampler(ABC):
    """Chooses n of the candidates: each day gives its share, chosen by `choose`."""

    name: str
    by_level = False  # whether it asks how loud frames are

    @dataclass(frozen=True)
    class Options:
        """What can be chosen."""

    def __init__(self, options: Any = None) -> None:
        self.options = options or self.Options()

    def check(self, manifest: Manifest) -> None:
        """Raises `UsageError` where it is not known which frames are of one sensor and day, or how loud they
        are: see `_check_days`.
        """
        _check_days(manifest)
        if self.by_level:
            # Levels that were given and levels that were measured are not comparable.
            _check_all(manifest, lambda clip: clip.level_db, "has no level_db", "level_db")

    def __call__(self, candidates: Candidates, n: int, seed: int) -> np.ndarray:
        """n rows of the store, (n,) int64 ascending, without repetition; the same seed, the same rows.

        Raises `UsageError` where there are fewer candidates than n, and what `check` raises.
        """
        self.check(candidates.manifest)
        check_size(n, len(candidates))
        days = candidates.days()
        rng = np.random.default_rng(seed)
        shares = _shares([len(day) for day in days], n, rng)
        chosen = [
            self.choose(candidates, day, share, own) if share < len(day) else day
            for day, share, own in zip(days, shares, rng.spawn(len(days)), strict=True)
            if share
        ]
        return np.sort(candidates.rows[np.concatenate(chosen)])

    @abstractmethod
    def choose(self, candidates: Candidates, day: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        """n of the places `day`, 0 < n < len(day), in any order."""


def check_size(n: int, there: int) -> None:
    """Raises `UsageError` where `n` frames are wanted and fewer are there."""
    if n > there:
        raise UsageError(
            f"--sample {n} is more than the {there} frames there are to choose from: give more sound, or a "
            "smaller --sample."
        )


def _check_days(manifest: Manifest) -> None:
    """Raises `UsageError` where some clips name their sensor or their time and others do not, and where a
    sensor goes back in time from one clip to the next: its clock was set, and its days are not known.
    """
    _check_all(manifest, lambda clip: clip.sensor, "names no sensor", "sensor")
    _check_all(manifest, lambda clip: clip.timestamp, "has no timestamp", "timestamp")
    before: dict[str | None, Clip] = {}
    for clip in manifest.clips:
        last = before.get(clip.sensor)
        if clip.timestamp and last and last.timestamp and clip.timestamp < last.timestamp:
            sensor = f" at the sensor {clip.sensor}" if clip.sensor else ""
            raise UsageError(
                f"The timestamps of {manifest.root} are out of order, {manifest.relative(clip.path)} "
                f"({clip.timestamp}) after {manifest.relative(last.path)} ({last.timestamp}){sensor}: list a "
                "sensor's clips in the order of time, correct their timestamps, or leave them out."
            )
        before[clip.sensor] = clip


def _check_all(manifest: Manifest, of: Callable[[Clip], object], lacks: str, column: str) -> None:
    lacking = [clip for clip in manifest.clips if of(clip) is None]
    if lacking and len(lacking) < len(manifest):
        raise UsageError(
            f"{manifest.relative(lacking[0].path)} in {manifest.root} {lacks}, as {len(lacking)} of "
            f"{len(manifest)} clips: give every clip its {column}, or leave that column out."
        )


def _clock(clip: Clip) -> float:
    """What the sensor's clock said, in s: its own hours, whatever the time zone."""
    if clip.timestamp is None:
        return np.nan
    return (clip.timestamp.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds()


def _shares(sizes: list[int], n: int, rng: np.random.Generator) -> np.ndarray:
    """n in proportion to `sizes`, each share rounded up or down at random so that its mean is exact."""
    ends = np.cumsum(np.multiply(sizes, n / sum(sizes))) + rng.random()
    ends[-1] = n + ends[-1] % 1  # not a rounding error less
    return np.diff(np.floor(ends), prepend=0).astype(np.int64)
