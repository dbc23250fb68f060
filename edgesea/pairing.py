"""Teacher and student hear the same frame, each at its own rate and of its own length.

A frame is cut from the sound once, at the higher of the two sample rates and as long as the longer of the two
needs; each then gets it resampled and cut to its own number of samples, from the same first sample on.
"""

import math

import numpy as np
import soxr

from edgesea.frontend import Frontend
from edgesea.teachers import Teacher


class Pairing:
    """sample_rate : Hz; samples : of a frame as it is cut from the sound."""

    def __init__(self, teacher: Teacher, frontend: Frontend):
        self.teacher, self.frontend = teacher, frontend
        self.sample_rate = max(teacher.sample_rate, frontend.sample_rate)
        self.samples = max(
            math.ceil(part.samples * self.sample_rate / part.sample_rate) for part in (teacher, frontend)
        )

    def embeddings(self, waveforms: np.ndarray) -> np.ndarray:
        """waveforms (B, samples) float32 -> the teacher's embeddings (B, n) float32."""
        return self.teacher.embed(self._heard(waveforms, self.teacher.sample_rate, self.teacher.samples))

    def patches(self, waveforms: np.ndarray) -> np.ndarray:
        """waveforms (B, samples) float32 -> the student's patches (B, frames, mels, 1) float32."""
        return self.frontend.patch(self._heard(waveforms, self.frontend.sample_rate, self.frontend.samples))

    def _heard(self, waveforms: np.ndarray, rate: int, samples: int) -> np.ndarray:
        if rate != self.sample_rate:
            # soxr takes (time, channels): the frames of a batch are its channels.
            waveforms = soxr.resample(waveforms.T, self.sample_rate, rate, quality="HQ").T
        short = samples - waveforms.shape[1]
        return np.ascontiguousarray(np.pad(waveforms, ((0, 0), (0, max(0, short))))[:, :samples])
