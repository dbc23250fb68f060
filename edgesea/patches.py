"""Sound as one student hears it: cut into frames, each a patch of its frontend."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgesea import audio
from edgesea.errors import UsageError
from edgesea.frontend import Frontend

_BATCH = 256  # frames


def of_sound(
    sound: Path | str | np.ndarray, rate: int | None, frontend: Frontend, hop: float | None = None
) -> Iterator[np.ndarray]:
    """Yields batches of patches (B, frames, mels, 1) float32.

    Parameters
    ----------
    sound : a file of audio, or a waveform (samples,) in [-1, 1]
    rate : int > 0, Hz, of a waveform; a file says it itself
    frontend : of the student
    hop : float > 0, seconds from frame to frame; half a frame by default

    Raises
    ------
    UsageError : what was received is no sound, or its rate is missing
    BadAudio : a file that cannot be used
    """
    hop = frontend.samples / frontend.sample_rate / 2 if hop is None else hop
    if not (isinstance(hop, int | float) and 0 < hop < 1e6):
        raise UsageError(f"Received hop = {hop!r}: give seconds above 0.")
    waveform = _waveform(sound, rate, frontend.sample_rate)
    frames = audio.frame(waveform, frontend.samples, max(1, round(hop * frontend.sample_rate)))
    for start in range(0, len(frames), _BATCH):
        yield frontend.patch(frames[start : start + _BATCH])


def _waveform(sound: Path | str | np.ndarray, rate: int | None, wanted: int) -> np.ndarray:
    if isinstance(sound, str | Path):
        if rate is not None:
            raise UsageError(
                f"Received rate = {rate!r} for the file {sound}, which says it itself: leave it out."
            )
        return audio.read(sound, wanted, silent_ok=True)
    waveform = np.asarray(sound)
    if waveform.ndim != 1 or waveform.dtype.kind != "f" or not waveform.size:
        raise UsageError(
            f"Received a waveform of shape {waveform.shape} and type {waveform.dtype}: give one channel of "
            "floats in [-1, 1], (samples,)."
        )
    if not np.isfinite(waveform).all():
        raise UsageError("Received a waveform with NaN or infinity in it: give floats in [-1, 1].")
    if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or rate < 1:
        raise UsageError(
            f"Received a waveform with rate = {rate!r}: give its sample rate in Hz, a whole number."
        )
    import soxr

    resampled: np.ndarray = soxr.resample(waveform.astype(np.float32), int(rate), wanted, quality="HQ")
    return resampled
