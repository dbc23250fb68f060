"""A-weighted sound level: how loud a frame is to a listener.

A-weighting (IEC 61672-1:2013, annex E) is applied to the power spectrum of the frame under a Hann window,
which keeps strong low frequencies from leaking into the band where the ear is keen.

Conventions
- A frame is *silent* whose level is at most `SILENT_DB`, relative to an amplitude of 1: digital silence, with
  which data sets pad their clips, and what is hardly more than its rounding.
- Levels in dB. Without a calibration they are relative to an amplitude of 1 (a full-scale sine of 1 kHz has
  -3.01 dB). `calibration_db` is the sound pressure level that the microphone turns into an amplitude of 1
  (root mean square); with it, levels are dB(A) SPL.
"""

import functools

import numpy as np
from scipy import fft

from edgesea.audio import SILENCE_DB
from edgesea.errors import UsageError

# Measured on ESC-50 with YAMNet: up to here frames have the embedding of digital silence, which lies four
# times as far from that of sound as sounds lie from their mean; from some 10 dB above, one of their own. The
# rounding of 16 bits is some 20 dB lower.
SILENT_DB = -80.0
# Pole frequencies in Hz (IEC 61672-1, equations E.2 to E.5, rounded as in its table of approximations).
_F1, _F2, _F3, _F4 = 20.598997, 107.65265, 737.86223, 12194.217
# Samples whose spectrum is taken at once: in float32 and in the processor's cache, a frame of a second costs
# some hundredths of a millisecond at 16 kHz.
_BATCH = 1 << 18


def a_weighting(hz: np.ndarray) -> np.ndarray:
    """Gain of the A-weighting in dB at frequencies `hz` >= 0; 0 at 1 kHz, -inf at 0."""
    with np.errstate(divide="ignore"):
        return 20 * np.log10(_response(np.asarray(hz, np.float64)) / _response(np.float64(1000.0)))


def level_dba(frames: np.ndarray, sample_rate: int, calibration_db: float = 0.0) -> np.ndarray:
    """A-weighted level of every frame.

    frames : (B, samples) float32, relative to an amplitude of 1
    sample_rate : int > 0, in Hz
    calibration_db : float, in dB, added to every level (see above)

    Returns (B,) float32 in dB, at least `audio.SILENCE_DB` + calibration_db.
    Raises `UsageError` for a calibration that is not a finite number, and for frames of another shape.
    """
    if not np.isfinite(calibration_db):
        raise UsageError(f"Received a calibration of {calibration_db} dB: give a finite number.")
    if frames.ndim != 2 or not frames.shape[1]:
        raise UsageError(f"Received frames of the shape {frames.shape}: give (B, samples), samples >= 1.")
    samples = frames.shape[1]
    window, gain = _weights(samples, sample_rate)
    power = np.empty(len(frames))
    size = max(1, _BATCH // samples)
    for k in range(0, len(frames), size):
        spectrum = fft.rfft(frames[k : k + size] * window)
        power[k : k + size] = (np.square(spectrum.real) + np.square(spectrum.imag)) @ gain
    levels = 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DB / 10)))
    return (levels + calibration_db).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _weights(samples: int, sample_rate: int) -> tuple[np.ndarray, np.ndarray]:
    """The window (samples,), and what each bin of its power spectrum counts; float32, read-only."""
    window = np.hanning(samples + 2)[1:-1]
    gain = 10 ** (a_weighting(np.fft.rfftfreq(samples, 1 / sample_rate)) / 10)
    # One side of the spectrum: every bin stands for two but the first and, for even lengths, the last.
    gain[1 : (samples + 1) // 2] *= 2
    gain /= samples * np.square(window).sum()
    window, gain = window.astype(np.float32), gain.astype(np.float32)
    window.flags.writeable = gain.flags.writeable = False
    return window, gain


def silent(level_db: np.ndarray, calibration_db: float = 0.0) -> np.ndarray:
    """Which frames are silent, (B,) bool, by their levels (B,) of `level_dba` with that calibration."""
    # What is no number is no sound.
    return ~(level_db - calibration_db > SILENT_DB)


def _response(hz: np.ndarray) -> np.ndarray:
    """The A-weighting's amplitude response, up to a factor."""
    f2 = hz**2
    return f2**2 / ((f2 + _F1**2) * np.sqrt((f2 + _F2**2) * (f2 + _F3**2)) * (f2 + _F4**2))
