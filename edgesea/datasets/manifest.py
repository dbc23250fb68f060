"""What a dataset is to edgesea: a list of clips, each a stretch of an audio file with what is known about it.

Conventions
- A *group* is one recording (or whatever else must never be torn apart): splits and cross-validation keep the
  clips of a group together. Without other knowledge every file is a group of its own.
- A clip has any number of labels: none (a domain), one, or several (multi-label).
- The order of the clips is the adapter's, and the same every time.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np

from edgesea import remote
from edgesea.errors import UsageError


@dataclass(frozen=True)
class Clip:
    """One stretch of sound.

    path : the audio file
    labels : class names, () where nothing is known
    group : the recording that the clip was cut from
    start, end : seconds of the file, None for its beginning or end
    level_db : sound pressure level in dB as the sensor measured it
    timestamp : when it was recorded
    sensor : where it was recorded
    fold : the fold that a dataset's authors assigned, to be used as given
    """

    path: Path
    labels: tuple[str, ...] = ()
    group: str = ""
    start: float | None = None
    end: float | None = None
    level_db: float | None = None
    timestamp: datetime | None = None
    sensor: str | None = None
    fold: int | None = None

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", str(self.path))


@dataclass(frozen=True)
class Manifest:
    """The clips of one dataset; `root` is the folder that relative paths start from, `aside` holds (path,
    reason) of what looks like sound and is no clip.
    """

    root: Path
    clips: tuple[Clip, ...]
    name: str
    aside: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self.clips)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Every class name, sorted."""
        return tuple(sorted({label for clip in self.clips for label in clip.labels}))

    def truth(self, classes: Sequence[str]) -> np.ndarray:
        """Which of the classes every clip has: (clips, classes) float32 of 0 and 1."""
        held = [[name in clip.labels for name in classes] for clip in self.clips]
        return np.array(held, np.float32).reshape(len(self), len(classes))

    @property
    def multilabel(self) -> bool:
        """True where some clip has more than one label."""
        return any(len(clip.labels) > 1 for clip in self.clips)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of what the dataset consists of, 64 hexadecimal digits.

        Made of every clip's relative path, file size (0 where the file is missing) and fields, in order; not
        of where the folder lies, nor of modification times. Sound changed within a file of the same size is
        not noticed: reading every file would cost as much as using it.
        """
        digest = hashlib.sha256()
        remote.ask(clip.path for clip in self.clips)
        for clip in self.clips:
            row = [
                self.relative(clip.path),
                clip.path.stat().st_size if clip.path.is_file() else 0,
                clip.labels,
                self.relative(remote.path(clip.group)),
                clip.start,
                clip.end,
                clip.level_db,
                clip.timestamp.isoformat() if clip.timestamp else None,
                clip.sensor,
                clip.fold,
            ]
            digest.update(json.dumps(row).encode("utf-8") + b"\n")
        return digest.hexdigest()

    def relative(self, path: Path) -> str:
        """`path` as seen from `root`, with forward slashes; unchanged where it lies elsewhere."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.as_posix()

    def select(self, indices: Sequence[int], name: str) -> "Manifest":
        """The manifest of some of the clips."""
        return replace(self, clips=tuple(self.clips[i] for i in indices), name=name)


def split_groups(
    groups: Sequence[str], fractions: Mapping[str, float], seed: int = 0
) -> dict[str, list[int]]:
    """Assigns items to parts so that no group is torn apart.

    groups : the group of every item
    fractions : part name -> its share of the items, each > 0, together 1
    seed : another seed, another split; the order of the items has no influence

    Groups are taken in the order of a hash of seed and name, each going to the part that lacks most items,
    and every part gets at least one group. Returns part name -> indices of its items, ascending.
    Raises `UsageError` for impossible fractions and for fewer groups than parts.
    """
    if not fractions or min(fractions.values()) <= 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise UsageError(f"Received the fractions {dict(fractions)}: each must be above 0 and their sum 1.")
    items: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        items.setdefault(group, []).append(index)
    if len(items) < len(fractions):
        raise UsageError(
            f"Cannot split {len(items)} recordings into {len(fractions)} parts ({', '.join(fractions)}): "
            "each part needs at least one recording of its own."
        )
    parts: dict[str, list[int]] = {part: [] for part in fractions}
    order = sorted(items, key=lambda group: _hash(seed, group))
    for done, group in enumerate(order):
        empty = [part for part in parts if not parts[part]]
        open_parts = empty if len(order) - done <= len(empty) else list(parts)
        lacking = max(open_parts, key=lambda part: fractions[part] * len(groups) - len(parts[part]))
        parts[lacking] += items[group]
    return {part: sorted(indices) for part, indices in parts.items()}


def _hash(seed: int, group: str) -> bytes:
    return hashlib.sha256(json.dumps([seed, group]).encode("utf-8")).digest()
