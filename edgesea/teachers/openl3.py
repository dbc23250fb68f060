"""OpenL3's audio networks, from its published weights (.h5, version 0.4): 1 s at 48 kHz -> 512-d or 6144-d.

Source: Cramer et al., "Look, Listen, and Learn More: Design Choices for Deep Audio Embeddings", ICASSP 2019,
and the package `openl3` from 0.4 on, with the frontend that it calls librosa's. The six files
(`openl3_audio_{linear,mel128,mel256}_{music,env}.h5`) hold weights of equal shapes, so their names say what
they were trained on; a file of another name needs --teacher-frontend. `--teacher-tensor 6144` pools the last
map less.

The spectrograms, all in dB of magnitudes below the frame's largest, cut off at -80 dB:
    mel128, mel256   2048 samples every 242, centred; Slaney's mel scale and areas; 199 frames
    linear           512 samples every 242, not centred; 257 frequencies; 197 frames
"""

import dataclasses
import re
from pathlib import Path

import numpy as np

from edgesea.errors import UsageError
from edgesea.frontend import Frontend, preset
from edgesea.recognise import Found
from edgesea.teacher import Ear, TeacherOptions
from edgesea.teachers.keras import KerasModel
from edgesea.teachers.model import ModelTeacher

MEL256 = preset("openl3-48k")
MEL128 = dataclasses.replace(MEL256, name="openl3-mel128-48k", mels=128)
_MELS = {"mel128": MEL128, "mel256": MEL256}
LINEAR = (197, 257)
# Frames and frequencies over which the last map is pooled to 6144 values.
_POOLS = {"linear": (8, 8), "mel128": (8, 4), "mel256": (8, 8)}
_SIZES = ("512", "6144")


def recognises(found: Found) -> bool:
    """Whether these are weights of an L3 network that are not EdgeL3's."""
    return found.kind == "l3-weights" and not found.path.name.startswith("edgel3")


def load(path: Path, options: TeacherOptions) -> ModelTeacher:
    """OpenL3 as a teacher; `options.tensor` is its size, 512 or 6144."""
    size = options.tensor or _SIZES[0]
    if size not in _SIZES:
        raise UsageError(
            f"Received --teacher-tensor {size} for OpenL3: its embeddings have 512 or 6144 values."
        )
    representation = _representation(path, options.frontend)
    frontend = _MELS.get(representation)
    ear = LinearEar() if frontend is None else Ear(48_000, frontend.samples, frontend, takes_patches=True)
    frames, mels = (frontend.frames, frontend.mels) if frontend else LINEAR
    model = KerasModel(
        path,
        "open_l3",
        module="edgesea.teachers.loaded_l3",
        frames=frames,
        mels=mels,
        pool=_POOLS[representation] if size == "6144" else None,
    )
    options = dataclasses.replace(options, tensor=f"{representation}-{size}", frontend=frontend)
    return ModelTeacher(path, options, model, ear=ear)


def _representation(path: Path, frontend: Frontend | None) -> str:
    if frontend is not None:
        if frontend == MEL256:
            return "mel256"
        raise UsageError(
            f"The weights {path} are of an L3 network, which --teacher-frontend {frontend.name} is not for."
        )
    found = re.search(r"linear|mel128|mel256", path.name)
    if found is None:
        raise UsageError(
            f"The weights {path} do not say which spectrogram they were trained on: name the file as it was "
            "published, such as openl3_audio_mel256_music.h5 (or linear, or mel128)."
        )
    return found[0]


@dataclasses.dataclass(frozen=True)
class LinearEar(Ear):
    """The linear spectrogram, which has no mel scale and is no `Frontend`: for this teacher alone."""

    sample_rate: int = 48_000
    samples: int = 48_000
    frontend: Frontend | None = None
    takes_patches: bool = True

    def frames(self, waveforms: np.ndarray) -> np.ndarray:
        """waveforms (B, 48000) -> (B, 197, 257, 1) float32, dB in [-80, 0]."""
        out = np.empty((len(waveforms), *LINEAR, 1), np.float32)
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
        for k, waveform in enumerate(waveforms):
            rows = np.lib.stride_tricks.sliding_window_view(waveform, 512)[::242]
            magnitude = np.abs(np.fft.rfft(rows * window))
            level = 10 * np.log10(np.maximum(magnitude, 1e-10))
            out[k, :, :, 0] = np.maximum(level - level.max(), -80.0)
        return out
