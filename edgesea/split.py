"""Which sound is learnt from, looked at and held out: whole recordings, or, of few, stretches of time.

A split is kept in a run's split.json: of every part the clips, by their place in the manifest; or, where it
is by time, `"by": "time"`, the length of a frame in `frame_seconds`, and of every part its stretches as
[clip, start, end] in seconds of the file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgesea import audio, remote
from edgesea.datasets import Manifest, split_groups, timesplit
from edgesea.datasets.manifest import Clip
from edgesea.datasets.timesplit import Stretch
from edgesea.errors import UsageError
from edgesea.store import Store


@dataclasses.dataclass(frozen=True)
class Split:
    """Part -> its clips, or its stretches of clips.

    Attributes
    ----------
    parts : dict of str to list
        Indices into the manifest; or `Stretch`, where `frame_s` is given.
    frame_s : float or None
        Seconds of a frame, where the split is by time: a frame is of the part that it lies in whole.
    """

    parts: Mapping[str, list]
    frame_s: float | None = None

    @classmethod
    def of(cls, manifest: Manifest, shares: Mapping[str, float], frame_s: float, seed: int) -> Split:
        """Splits by recording; by time, with gaps, where there are too few recordings.

        Raises
        ------
        UsageError
            There is less sound than each part needs.
        """
        if timesplit.needed(manifest):
            return cls(timesplit.split(manifest, _ends(manifest), shares, frame_s, seed), frame_s)
        groups = [manifest.relative(remote.path(clip.group)) for clip in manifest.clips]
        parts = split_groups(groups, dict(shares), seed)
        if not all(parts.values()):
            raise UsageError(f"{manifest.root} has too few recordings to split: give more sound.")
        return cls(parts)

    def rows(self, part: str, domain: Store) -> np.ndarray:
        """The rows of a domain's store that are of a part, ascending."""
        clip = domain.column("clip")
        if self.frame_s is None:
            return np.flatnonzero(np.isin(clip, self.parts[part]))
        return np.flatnonzero(timesplit.inside(self.parts[part], clip, domain.column("start"), self.frame_s))

    def pieces(self, part: str, manifest: Manifest) -> list[tuple[int, Clip]]:
        """The clips of a part, each as far as it is of it, with their places in the manifest."""
        if self.frame_s is None:
            return [(index, manifest.clips[index]) for index in self.parts[part]]
        return [
            (each.clip, dataclasses.replace(manifest.clips[each.clip], start=each.start, end=each.end))
            for each in self.parts[part]
        ]

    def to_json(self) -> dict:
        """What split.json holds."""
        if self.frame_s is None:
            return dict(self.parts)
        stretches = {
            part: [[each.clip, each.start, each.end] for each in held] for part, held in self.parts.items()
        }
        return {"by": "time", "frame_seconds": self.frame_s, **stretches}

    @classmethod
    def from_json(cls, values: Mapping) -> Split:
        """The inverse of `to_json`, of values that were checked."""
        values = dict(values)
        if values.pop("by", None) != "time":
            return cls(values)
        frame_s = float(values.pop("frame_seconds"))
        return cls({part: [Stretch(*each) for each in held] for part, held in values.items()}, frame_s)


def _ends(manifest: Manifest) -> list[float]:
    """For every clip the second of its file where it ends; counted, since a header may promise more."""
    held: dict[Path, float] = {}
    for clip in manifest.clips:
        if clip.path not in held:
            try:
                held[clip.path] = audio.survey(clip.path, decode=True).seconds
            except audio.BadAudio:
                held[clip.path] = 0.0
    return [
        held[clip.path] if clip.end is None else min(clip.end, held[clip.path]) for clip in manifest.clips
    ]
