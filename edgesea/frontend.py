"""The frontend: the one definition of waveform -> log-mel patch.

A `Frontend` is a frozen value. Every constant that the workbench or a device needs to turn sound into a patch
comes from it, and its three implementations must agree: NumPy (`Frontend.patch`, the reference), TensorFlow
(`Frontend.tensorflow_patch`, within 1e-4 of the reference) and the C of `firmware_export`.

The definition, for a waveform x of `samples` samples in [-1, 1] and t = 0 .. `frames` - 1:

1. pad x with zeros on both sides as `padding` says: `left_padding` zeros come first;
2. cut `window_length` samples from t * `hop` on, multiply them by the window, append zeros up to `fft_size`;
3. take the magnitude of the DFT, to the power `power`, at `bins` = `fft_size` / 2 + 1 frequencies;
4. sum it under `mels` triangles (`mel_matrix`); take the square root if `root` is 2;
5. y = log(max(sum + `offset`, `amin`)), 10 * log10 or natural as `log` says;
6. subtract the patch's largest value if `reference` is 'max'; raise what is below `floor` to it.

Both implementations compute in float64 and round once, at the end. Float32 would not do: under a pure tone,
float32's rounding noise already lies above the -80 dB floor of a square-rooted spectrum.

Sources: O'Shaughnessy's mel scale as in HTK (Young et al., The HTK Book, eq. 5.13); Slaney's Auditory Toolbox
(Interval Research TR 1998-010) for the other scale and for the area normalisation; kapre 0.1 for the
square root and the patch's maximum as reference; YAMNet (AudioSet) for log(x + 0.001).
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from edgesea.errors import EdgeseaError, UsageError

_CHOICES = {
    "window": ("hann",),
    "padding": ("valid", "same", "centre"),
    "power": (1, 2),
    "root": (1, 2),
    "mel_scale": ("htk", "slaney"),
    "mel_slopes": ("hz", "mel"),
    "mel_norm": (None, "slaney"),
    "log": ("db", "ln"),
    "reference": ("one", "max"),
}
_POSITIVE_INTEGERS = ("sample_rate", "samples", "fft_size", "window_length", "hop", "frames", "mels")

# Windowed samples in float64 that `patch` holds at a time: 2 MiB, so that a chunk stays near the cache and
# memory does not grow with the batch.
_CHUNK_VALUES = 1 << 18


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frontend:
    """Every constant of waveform -> patch.

    name : str, what manifests and reports call it.
    sample_rate : int > 0, in Hz.
    samples : int > 0, samples of waveform in one patch.
    fft_size : int, a power of two >= window_length, in samples.
    window_length : int > 0, in samples.
    window : 'hann', the periodic one: 0.5 - 0.5 cos(2 pi n / window_length).
    hop : int > 0, samples from one row of the patch to the next.
    padding : where the zeros go around the waveform.
        'valid': none. 'same': TensorFlow's and kapre 0.1's, ceil(samples / hop) rows, the odd zero last.
        'centre': librosa's, window_length // 2 on either side.
    frames : int > 0, rows of the patch; exactly as many as `samples`, `hop` and `padding` give.
    power : 1 sums magnitudes under the mel triangles, 2 their squares.
    mels : int > 0, columns of the patch.
    mel_scale : 'htk' (logarithmic throughout) or 'slaney' (linear below 1 kHz).
    mel_slopes : the triangles' sides are straight lines over 'hz' (librosa, kapre) or over 'mel' (HTK,
        TensorFlow, YAMNet).
    mel_norm : None (peaks of 1) or 'slaney' (every triangle divided by half its width in Hz; librosa's
        norm='slaney', kapre's norm=1).
    fmin, fmax : float, in Hz, 0 <= fmin < fmax <= sample_rate / 2.
    root : 1, or 2 for the square root of the mel sum (kapre 0.1's power_melgram=1).
    log : 'db' (10 log10) or 'ln'.
    offset, amin : float >= 0, at least one of them > 0: log(max(sum + offset, amin)).
    reference : 'one', or 'max' for the largest value of the patch.
    floor : float or None, in the units of `log`, after the reference.

    Raises UsageError in one sentence for a value that has no meaning.
    """

    name: str
    sample_rate: int
    samples: int
    fft_size: int
    window_length: int
    window: str = "hann"
    hop: int
    padding: str
    frames: int
    power: int
    mels: int
    mel_scale: str
    mel_slopes: str = "hz"
    mel_norm: str | None = None
    fmin: float
    fmax: float
    root: int = 1
    log: str
    offset: float = 0.0
    amin: float = 0.0
    reference: str = "one"
    floor: float | None = None

    def __post_init__(self) -> None:
        _validate(self)

    @property
    def bins(self) -> int:
        """Frequencies of the one-sided DFT, from 0 Hz to sample_rate / 2."""
        return self.fft_size // 2 + 1

    @property
    def left_padding(self) -> int:
        """Zeros before the waveform's first sample; what row 0 starts with."""
        return _padding(self)[0]

    @property
    def right_padding(self) -> int:
        """Zeros after the waveform's last sample, as many as the last row reaches for."""
        return _padding(self)[1]

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        """(frames, mels, 1)."""
        return self.frames, self.mels, 1

    def to_dict(self) -> dict:
        """The fields as str, int and float, for JSON and TOML; what is None is left out."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}

    @classmethod
    def from_dict(cls, fields: dict) -> "Frontend":
        """The frontend of which `fields` is the `to_dict()`; unknown and missing fields are refused."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        if unknown := sorted(set(fields) - set(known)):
            raise UsageError(
                f"The frontend has an unknown field `{unknown[0]}`: "
                f"remove it, or use one of {', '.join(known)}."
            )
        needed = [name for name, field in known.items() if field.default is dataclasses.MISSING]
        if missing := [name for name in needed if name not in fields]:
            raise UsageError(f"The frontend lacks the field `{missing[0]}`: add it.")
        return cls(**fields)

    def window_values(self) -> np.ndarray:
        """The window, shape (window_length,), float64, in [0, 1]."""
        n = np.arange(self.window_length)
        return 0.5 - 0.5 * np.cos(2 * np.pi * n / self.window_length)

    def mel_matrix(self) -> np.ndarray:
        """The triangles, shape (bins, mels), float64, >= 0, read-only: spectrum @ mel_matrix = mel sums.

        Triangle m rises from edge m to edge m + 1 and falls to edge m + 2, of mels + 2 edges that are equally
        far apart on the mel scale from fmin to fmax. A triangle narrower than the distance of two
        frequencies may hold none of them and is then all zero.
        """
        return _mel_matrix(self)

    def patch(self, waveform: np.ndarray) -> np.ndarray:
        """The log-mel patch, by NumPy: the reference that the other implementations are held against.

        waveform : floating point, shape (samples,) or (B, samples), in [-1, 1] (not enforced), finite.
        Returns float32, shape (B, frames, mels, 1), B = 1 for one waveform; in dB or nepers as `log` says;
        in [floor, 0] if `reference` is 'max'.
        Raises UsageError for another shape or type, EdgeseaError for NaN or infinity.
        """
        waveforms = self._checked(waveform)
        patches = np.empty((len(waveforms), *self.patch_shape), np.float32)
        chunk = max(1, _CHUNK_VALUES // (self.frames * self.fft_size))
        for start in range(0, len(waveforms), chunk):
            part = slice(start, start + chunk)
            patches[part, :, :, 0] = self._log_mel(waveforms[part].astype(np.float64))
        return patches

    def _checked(self, waveform: Any) -> np.ndarray:
        waveform = np.asarray(waveform)
        if waveform.ndim not in (1, 2) or waveform.shape[-1] != self.samples:
            raise UsageError(
                f"The frontend {self.name} takes waveforms of shape ({self.samples},) or "
                f"(B, {self.samples}), received {waveform.shape}: cut or pad the sound to {self.samples}."
            )
        if not np.issubdtype(waveform.dtype, np.floating):
            raise UsageError(
                f"The frontend {self.name} takes floating-point waveforms in [-1, 1], "
                f"received {waveform.dtype}: divide by the type's full scale first."
            )
        if not np.isfinite(waveform).all():
            raise EdgeseaError(
                f"The waveform given to the frontend {self.name} holds NaN or infinity: "
                "set such audio aside, or repair it first."
            )
        return waveform.reshape(-1, self.samples)

    def _log_mel(self, waveforms: np.ndarray) -> np.ndarray:
        """(B, samples) float64 -> (B, frames, mels) float64: steps 1 to 6 of the module's definition."""
        padded = np.pad(waveforms, ((0, 0), (self.left_padding, self.right_padding)))
        rows = np.lib.stride_tricks.sliding_window_view(padded, self.window_length, axis=1)
        rows = rows[:, : self.hop * self.frames : self.hop]
        # One matrix of all rows: NumPy hands a product of two matrices to BLAS, but not a stack of products.
        rows = (rows * self.window_values()).reshape(-1, self.window_length)
        spectrum = np.fft.rfft(rows, self.fft_size)
        energy = spectrum.real**2 + spectrum.imag**2
        mel = (np.sqrt(energy) if self.power == 1 else energy) @ self.mel_matrix()
        mel = mel.reshape(-1, self.frames, self.mels)
        if self.root == 2:
            mel = np.sqrt(mel)
        value = np.log(np.maximum(mel + self.offset, self.amin)) * self._log_scale
        if self.reference == "max":
            value -= value.max(axis=(1, 2), keepdims=True)
        return value if self.floor is None else np.maximum(value, self.floor)

    def tensorflow_patch(self, waveforms: Any) -> Any:
        """The log-mel patch, by TensorFlow; works eagerly, in `tf.function` and in `tf.data`.

        waveforms : floating-point tensor, shape (samples,) or (B, samples), in [-1, 1]; B may be unknown.
        Returns float32, shape (B, frames, mels, 1), B = 1 for one waveform, within 1e-4 of `patch`, relative.
        A NaN comes out as NaN: values cannot be refused inside a graph.
        """
        import tensorflow as tf

        waveforms = tf.reshape(tf.cast(waveforms, tf.float64), (-1, self.samples))
        padded = tf.pad(waveforms, ((0, 0), (self.left_padding, self.right_padding)))
        rows = tf.signal.frame(padded, self.window_length, self.hop)[:, : self.frames]
        spectrum = tf.signal.rfft(rows * self.window_values(), (self.fft_size,))
        energy = tf.math.real(spectrum) ** 2 + tf.math.imag(spectrum) ** 2
        mel = tf.matmul(tf.sqrt(energy) if self.power == 1 else energy, self.mel_matrix())
        if self.root == 2:
            mel = tf.sqrt(mel)
        value = tf.math.log(tf.maximum(mel + self.offset, self.amin)) * self._log_scale
        if self.reference == "max":
            value -= tf.reduce_max(value, axis=(1, 2), keepdims=True)
        if self.floor is not None:
            value = tf.maximum(value, self.floor)
        return tf.ensure_shape(tf.cast(value[..., None], tf.float32), (None, *self.patch_shape))

    @property
    def _log_scale(self) -> float:
        return 10 / math.log(10) if self.log == "db" else 1.0


def _padding(frontend: Frontend) -> tuple[int, int]:
    """Zeros (before, after) the waveform."""
    if frontend.padding == "valid":
        return 0, 0
    reach = (frontend.frames - 1) * frontend.hop + frontend.window_length
    if frontend.padding == "same":
        before = max(0, reach - frontend.samples) // 2
    else:
        before = frontend.window_length // 2
    return before, max(0, reach - frontend.samples - before)


def _rows(frontend: Frontend) -> int:
    """Rows that fit: what `frames` has to be."""
    if frontend.padding == "same":
        return -(-frontend.samples // frontend.hop)
    spare = frontend.samples - frontend.window_length
    if frontend.padding == "centre":
        spare += 2 * (frontend.window_length // 2)
    return 1 + spare // frontend.hop


@functools.lru_cache(maxsize=16)
def _mel_matrix(frontend: Frontend) -> np.ndarray:
    to_mel, to_hz = _SCALES[frontend.mel_scale]
    edges_mel = np.linspace(to_mel(frontend.fmin), to_mel(frontend.fmax), frontend.mels + 2)
    edges_hz = to_hz(edges_mel)
    frequencies = np.arange(frontend.bins) * (frontend.sample_rate / frontend.fft_size)
    if frontend.mel_slopes == "hz":
        place, edges = frequencies, edges_hz
    else:
        place, edges = to_mel(frequencies), edges_mel
    low, peak, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (place[:, None] - low) / (peak - low)
    falling = (high - place[:, None]) / (high - peak)
    matrix = np.maximum(0, np.minimum(rising, falling))
    if frontend.mel_norm == "slaney":
        matrix *= 2 / (edges_hz[2:] - edges_hz[:-2])
    matrix.setflags(write=False)
    return matrix


def _htk_mel(hz: np.ndarray | float) -> Any:
    return 2595 * np.log10(1 + np.asarray(hz, np.float64) / 700)


def _htk_hz(mel: np.ndarray | float) -> Any:
    return 700 * (10 ** (mel / 2595) - 1)


# Slaney: 3 mels every 200 Hz up to 1 kHz (15 mels); from there 27 mels for every factor of 6.4.
_SLANEY_STEP = math.log(6.4) / 27


def _slaney_mel(hz: np.ndarray | float) -> Any:
    hz = np.asarray(hz, np.float64)
    return np.where(hz < 1000, hz * 3 / 200, 15 + np.log(np.maximum(hz, 1000) / 1000) / _SLANEY_STEP)


def _slaney_hz(mel: np.ndarray | float) -> Any:
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(_SLANEY_STEP * (np.maximum(mel, 15) - 15)))


_SCALES = {"htk": (_htk_mel, _htk_hz), "slaney": (_slaney_mel, _slaney_hz)}


def _validate(frontend: Frontend) -> None:
    """Raises UsageError naming the field, the value received and what it may be; stores floats as float."""

    def refuse(field: str, expected: str) -> NoReturn:
        value = getattr(frontend, field)
        raise UsageError(f"The frontend's `{field}` is {value!r}: it has to be {expected}.")

    _validate_types(frontend, refuse)
    _validate_together(frontend, refuse)


def _validate_types(frontend: Frontend, refuse: Callable[[str, str], None]) -> None:
    """Each field by itself: its type, and that it is one of its choices."""
    if not isinstance(frontend.name, str) or not frontend.name:
        refuse("name", "a text that is not empty")
    for field in _POSITIVE_INTEGERS:
        value = getattr(frontend, field)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            refuse(field, "a positive integer")
    for field, choices in _CHOICES.items():
        value = getattr(frontend, field)
        if isinstance(value, bool) or value not in choices:
            refuse(field, f"one of {', '.join(map(repr, choices))}")
    for field in ("fmin", "fmax", "offset", "amin", "floor"):
        value = getattr(frontend, field)
        if field == "floor" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            refuse(field, "a finite number")
        object.__setattr__(frontend, field, float(value))


def _validate_together(frontend: Frontend, refuse: Callable[[str, str], None]) -> None:
    """The fields beside each other, where every one has its type."""
    if frontend.fft_size & (frontend.fft_size - 1) or frontend.fft_size < 2:
        refuse("fft_size", "a power of two, 2 or more")
    if frontend.window_length > frontend.fft_size:
        refuse("window_length", f"at most the fft_size, {frontend.fft_size}")
    if frontend.fmin < 0:
        refuse("fmin", "0 or more")
    if not frontend.fmin < frontend.fmax <= frontend.sample_rate / 2:
        nyquist = frontend.sample_rate / 2
        refuse("fmax", f"above fmin ({frontend.fmin:g}) and at most half the sample rate ({nyquist:g})")
    if frontend.offset < 0:
        refuse("offset", "0 or more")
    if frontend.amin < 0 or frontend.offset == frontend.amin == 0:
        refuse("amin", "0 or more, and above 0 where `offset` is 0, so that silence has a logarithm")
    if frontend.reference == "max" and frontend.floor is not None and frontend.floor >= 0:
        refuse("floor", "below 0 where the reference is the patch's maximum")
    if frontend.padding == "valid" and frontend.samples < frontend.window_length:
        refuse("samples", f"at least the window_length, {frontend.window_length}, without padding")
    if frontend.frames != (rows := _rows(frontend)):
        refuse(
            "frames",
            f"{rows}, as {frontend.samples} samples with a window of {frontend.window_length}, a hop of "
            f"{frontend.hop} and '{frontend.padding}' padding give",
        )


PRESETS = {
    frontend.name: frontend
    for frontend in (
        # The SEA paper's students (ICASSP 2021), as kapre 0.1 computes it in their released weights.
        Frontend(
            name="sea-8k",
            sample_rate=8000,
            samples=8000,
            fft_size=1024,
            window_length=1024,
            hop=160,
            padding="same",
            frames=50,
            power=2,
            mels=64,
            mel_scale="htk",
            mel_norm="slaney",
            fmin=0.0,
            fmax=4000.0,
            root=2,
            log="db",
            amin=1e-10,
            reference="max",
            floor=-80.0,
        ),
        # YAMNet's params.py and features.py (tensorflow/models, research/audioset/yamnet).
        Frontend(
            name="yamnet-16k",
            sample_rate=16000,
            samples=15600,
            fft_size=512,
            window_length=400,
            hop=160,
            padding="valid",
            frames=96,
            power=1,
            mels=64,
            mel_scale="htk",
            mel_slopes="mel",
            fmin=125.0,
            fmax=7500.0,
            log="ln",
            offset=0.001,
        ),
        # OpenL3 from 0.4 on, mel256, its librosa frontend: mel sums of magnitudes, Slaney's scale, librosa's
        # centring. (Before 0.4 it was kapre 0.1's: HTK scale, squares, 'same' padding.)
        Frontend(
            name="openl3-48k",
            sample_rate=48000,
            samples=48000,
            fft_size=2048,
            window_length=2048,
            hop=242,
            padding="centre",
            frames=199,
            power=1,
            mels=256,
            mel_scale="slaney",
            mel_norm="slaney",
            fmin=0.0,
            fmax=24000.0,
            log="db",
            amin=1e-10,
            reference="max",
            floor=-80.0,
        ),
    )
}


def preset(name: str) -> Frontend:
    """The frontend of that name: 'sea-8k', 'yamnet-16k' or 'openl3-48k'."""
    try:
        return PRESETS[name]
    except (KeyError, TypeError):
        raise UsageError(f"There is no frontend {name!r}: use one of {', '.join(PRESETS)}.") from None
