"""Teacher and student hear the same frame, each at its own rate and of its own length.

A frame is cut from the sound once, at the higher of the two sample rates and as long as the longer of the two
needs; each then gets it resampled and cut to its own number of samples, from the same first sample on.

Where there is no teacher (a bundle whose run is gone), the student hears alone, and there are no outputs.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soxr

from edgesea.errors import UsageError
from edgesea.frontend import Frontend
from edgesea.teacher import Teacher


class Pairing:
    """A teacher, or None, and the frontend of a student.

    sample_rate : Hz; samples : of a frame as it is cut from the sound
    outputs : name -> shape for one frame, of what is asked of the teacher; empty where there is none
    """

    def __init__(self, teacher: Teacher | None, frontend: Frontend, wanted: Sequence[str] = ("embedding",)):
        self.teacher, self.frontend = teacher, frontend
        parts = (teacher, frontend) if teacher else (frontend,)
        self.sample_rate = max(part.sample_rate for part in parts)
        self.samples = max(math.ceil(part.samples * self.sample_rate / part.sample_rate) for part in parts)
        self.outputs = {name: tuple(teacher.outputs[name]) for name in wanted} if teacher else {}

    @property
    def hears(self) -> bool:
        """Whether any sound can be asked about: not where the embeddings were made before."""
        return self.teacher is None or self.teacher.waveforms

    def hear(self, waveforms: np.ndarray, path: Path, starts: np.ndarray) -> dict[str, np.ndarray]:
        """What the teacher gives for frames of a file, each output (B, *shape) float32.

        waveforms : (B, samples) float32
        path, starts : the file, and where in it the frames begin, (B,), s; what a teacher is asked that gives
            what was made before
        """
        if not self.outputs:
            return {}
        if not self.teacher.waveforms:
            return self.teacher.recall(path, starts, tuple(self.outputs))
        return self._asked(waveforms)

    def ask(self, waveforms: np.ndarray) -> dict[str, np.ndarray]:
        """waveforms (B, samples) float32, of any origin -> what is asked of the teacher, as `hear` gives it.

        Raises `UsageError` for a teacher that cannot hear.
        """
        if not self.teacher.waveforms:
            raise UsageError(
                f"The teacher {self.teacher.name} gives embeddings that were made before and cannot hear "
                "other sound: say --no-augment, which trains on the domain's frames as they are."
            )
        return self._asked(waveforms)

    def embeddings(self, waveforms: np.ndarray) -> np.ndarray:
        """waveforms (B, samples) float32, of any origin -> the teacher's embeddings (B, n) float32."""
        return self.ask(waveforms)["embedding"]

    def _asked(self, waveforms: np.ndarray) -> dict[str, np.ndarray]:
        heard = heard_at(waveforms, self.sample_rate, self.teacher.sample_rate, self.teacher.samples)
        return self.teacher.hear(heard, tuple(self.outputs))

    def patches(self, waveforms: np.ndarray) -> np.ndarray:
        """waveforms (B, samples) float32 -> the student's patches (B, frames, mels, 1) float32."""
        heard = heard_at(waveforms, self.sample_rate, self.frontend.sample_rate, self.frontend.samples)
        return self.frontend.patch(heard)


def heard_at(waveforms: np.ndarray, rate: int, wanted: int, samples: int) -> np.ndarray:
    """waveforms (B, n) at `rate` Hz -> their beginnings, (B, samples) at `wanted` Hz."""
    if wanted != rate:
        # soxr takes (time, channels): the frames of a batch are its channels.
        waveforms = soxr.resample(waveforms.T, rate, wanted, quality="HQ").T
    short = samples - waveforms.shape[1]
    return np.ascontiguousarray(np.pad(waveforms, ((0, 0), (0, max(0, short))))[:, :samples])
