"""Augments waveforms for distillation: shift, speed, equalisation, mixing two clips, noise, gain.

docs/augmentation.md lists what there is, with its costs.

The teacher is asked again for every augmented frame, since an embedding computed on another input is not
this input's (Stanton et al., NeurIPS 2021, "Does knowledge distillation really work?": what the student is
distilled on decides how closely it can match). So nothing here has to keep a label: the aim is variety that
stays in the domain, and a mixture of two of its clips is the best source of it.

Frame i of a training set is drawn with `generator(seed, i)` alone, so that any frame can be made again
without the ones before it, also after the process was killed:

    rng = augment.generator(seed, i)
    a, b = clips[rng.integers(len(clips))], clips[rng.integers(len(clips))]
    frame = augmentation.apply(rng, augmentation.cut(rng, a, samples), augmentation.cut(rng, b, samples))

Conventions: waveform (samples,) float32 in [-1, 1]; levels in dB; a "level" is a root mean square.
"""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from edgesea import codecs
from edgesea.errors import UsageError, received

# A gain may raise the peak up to here; more is scaled down as a whole rather than clipped.
_PEAK = 1.0
# Below this root mean square (-70 dB) a waveform counts as silent: it is never amplified to another's level,
# which would raise the noise floor of its recording instead of its sound.
_QUIET = 10 ** (-70 / 20)
_BANDS = 8
_MOST_OCTAVES = 2  # up or down
# What came later: the beginnings of the names of an effect's fields.
_EFFECTS = ("reverberation", "bits", "codec", "texture")


def generator(seed: int, index: int) -> np.random.Generator:
    """The random numbers of frame `index`, independent of every other frame's."""
    return np.random.default_rng([seed, index])


def crop(rng: np.random.Generator, waveform: np.ndarray, samples: int) -> np.ndarray:
    """Cuts (samples,) out of a waveform at a uniformly random place: the time shift.

    A shorter waveform is laid at a uniformly random place into silence.
    """
    spare = len(waveform) - samples
    place = int(rng.integers(abs(spare) + 1))
    if spare >= 0:
        return waveform[place : place + samples].astype(np.float32)
    out = np.zeros(samples, np.float32)
    out[place : place + len(waveform)] = waveform
    return out


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _rising(pair: object, lowest: float, highest: float) -> bool:
    """Whether `pair` is two numbers in order and in range."""
    return (
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and all(map(_number, pair))
        and lowest <= pair[0] <= pair[1] <= highest
    )


@dataclass(frozen=True)
class Augmentation:
    """How frames are varied; every range is uniform, in dB.

    speed_probability : chance that a clip is played faster or slower, its pitch with it
    speed_octaves : how much; below 0 is slower
    equaliser_probability : chance that a clip goes through a random equaliser
    equaliser_db : gain of each of its eight bands, which are spaced by the square root of frequency
    mix_probability : chance that a second clip is mixed in
    mix_db : level of the first clip over the second one
    noise_probability : chance that noise is added, half of it white, half of it pink (power ~ 1/frequency)
    noise_db : level of the sound over the noise
    gain_db : gain of the sum; less where the peak would exceed 1

    Off unless asked for:

    mix_clips : of how many clips a mixture is, 2 to 8; those after the first are mixed first, by `mix_db` too
    reverberation_probability : chance that the whole is put into a synthesised room, see `effects`
    reverberation_s : its reverberation time, in s
    reverberation_db : direct sound over reverberation
    bits_probability : chance that the frame is rounded to few bits in the end, with dither
    bits : how many, the fewest and the most
    codec_probability : chance that the frame goes through a lossy codec after all else, see `codecs`
    codec : vorbis or mp3
    codec_quality : from 0, as few bytes as the codec can do with, to 1, as many
    texture_probability : chance that a clip that is mixed in is replaced by a texture of itself, see
        `effects.texture`; by label it still is what it was
    """

    speed_probability: float = 0.5
    speed_octaves: tuple[float, float] = (-0.6, 0.6)
    equaliser_probability: float = 0.5
    equaliser_db: tuple[float, float] = (-10.0, 10.0)
    mix_probability: float = 0.6
    mix_db: tuple[float, float] = (-15.0, 15.0)
    noise_probability: float = 0.3
    noise_db: tuple[float, float] = (10.0, 50.0)
    gain_db: tuple[float, float] = (-20.0, 6.0)
    mix_clips: int = 2
    reverberation_probability: float = 0.0
    reverberation_s: tuple[float, float] = (0.1, 1.5)
    reverberation_db: tuple[float, float] = (-5.0, 20.0)
    bits_probability: float = 0.0
    bits: tuple[int, int] = (7, 12)
    codec_probability: float = 0.0
    codec: str = "vorbis"
    codec_quality: tuple[float, float] = (0.0, 1.0)
    texture_probability: float = 0.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self) if field.name.endswith("_probability")):
            value = getattr(self, name)
            if not (_number(value) and 0 <= value <= 1):
                raise UsageError(f"Received {name} = {received(value)}: it must lie in 0 .. 1.")
        octaves = self.speed_octaves
        if not _rising(octaves, -_MOST_OCTAVES, _MOST_OCTAVES):
            raise UsageError(
                f"Received speed_octaves = {received(octaves)}: give a lowest and a highest value, "
                "in -2 .. 2."
            )
        object.__setattr__(self, "speed_octaves", tuple(float(value) for value in octaves))
        if not (type(self.mix_clips) is int and 2 <= self.mix_clips <= 8):
            raise UsageError(
                f"Received mix_clips = {received(self.mix_clips)}: give a whole number in 2 .. 8."
            )
        if not _rising(self.reverberation_s, 0.01, 10):
            raise UsageError(
                f"Received reverberation_s = {received(self.reverberation_s)}: give a shortest and a longest "
                "time in s, in 0.01 .. 10."
            )
        object.__setattr__(self, "reverberation_s", tuple(float(value) for value in self.reverberation_s))
        if not (_rising(self.bits, 2, 16) and all(isinstance(value, int) for value in self.bits)):
            raise UsageError(
                f"Received bits = {received(self.bits)}: give the fewest and the most, whole numbers in "
                "2 .. 16."
            )
        object.__setattr__(self, "bits", tuple(self.bits))
        self._check_codec()
        for name in ("equaliser_db", "mix_db", "noise_db", "gain_db", "reverberation_db"):
            pair = getattr(self, name)
            if not _rising(pair, -200, 200):
                raise UsageError(
                    f"Received {name} = {received(pair)}: give a lowest and a highest value in dB, "
                    "in -200 .. 200."
                )
            object.__setattr__(self, name, tuple(float(value) for value in pair))

    def _check_codec(self) -> None:
        if not (isinstance(self.codec, str) and self.codec in codecs.CODECS):
            raise UsageError(
                f"Received codec = {received(self.codec)}: choose one of {', '.join(codecs.CODECS)}."
            )
        if not _rising(self.codec_quality, 0, 1):
            raise UsageError(
                f"Received codec_quality = {received(self.codec_quality)}: give a lowest and a highest "
                "quality, in 0 .. 1."
            )
        object.__setattr__(self, "codec_quality", tuple(float(value) for value in self.codec_quality))

    def check(self, sample_rate: int) -> None:
        """Raises `UsageError` where this machine cannot vary frames so, of a sample rate in Hz."""
        if self.codec_probability:
            codecs.check(self.codec, sample_rate)

    def to_dict(self) -> dict:
        """The fields as a config file holds them: numbers and lists of numbers.

        Those that came later are there only where they are not off: examples of before are still the same.
        """
        off = {
            name
            for effect in _EFFECTS
            if not getattr(self, f"{effect}_probability")
            for name in (field.name for field in fields(self) if field.name.startswith(effect))
        }
        if self.mix_clips == 2:
            off.add("mix_clips")
        held = {name: value for name, value in asdict(self).items() if name not in off}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in held.items()}

    @classmethod
    def from_dict(cls, values: Mapping) -> "Augmentation":
        """The inverse of `to_dict`; fields left out have their defaults."""
        known = [field.name for field in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise UsageError(
                f"Received the unknown augmentation option {received(unknown[0])}: "
                f"known are {', '.join(known)}."
            )
        return cls(**values)

    def cut(self, rng: np.random.Generator, waveform: np.ndarray, samples: int) -> np.ndarray:
        """Cuts (samples,) float32 out of a waveform, maybe played faster or slower, maybe equalised.

        Speed by linear interpolation: the treble that it adds and takes is variety too.
        """
        fast, equalised = rng.random(2) < (self.speed_probability, self.equaliser_probability)
        factor = 2 ** rng.uniform(*self.speed_octaves)
        bands = rng.uniform(*self.equaliser_db, _BANDS)
        length = int(np.ceil((samples - 1) * factor)) + 1 if fast else samples
        out = crop(rng, waveform, length)
        if fast:
            counted = _counted(samples * 2**_MOST_OCTAVES + 1)
            out = np.interp(counted[:samples] * factor, counted[:length], out)
        if equalised:
            spectrum = np.fft.rfft(out)
            spectrum *= 10 ** (np.interp(*_places(len(spectrum)), bands) / 20)
            out = np.fft.irfft(spectrum, samples)
        return out.astype(np.float32)

    def apply(self, rng: np.random.Generator, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Varies `first`, maybe mixed with `second`.

        first, second (samples,) float32. Returns (samples,) float32 in [-1, 1]. A silent `second` adds
        nothing, a silent `first` mixed with `second` is `second`, and silence gets no noise.
        """
        return self.mix(rng, first, second)[0]

    def mix(
        self, rng: np.random.Generator, first: np.ndarray, second: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """What `apply` returns, and the share of `first` in the power of the mixture, in [0, 1].

        Clips of levels L1 and L2 dB have the shares 1 / (1 + 10^((L2 - L1) / 10)) and the rest; what is not
        mixed is all `first`. Noise is nobody's and takes no share.
        """
        out = np.asarray(first, np.float64)
        # Every random number is drawn whether it is used or not: one option changes only its own effect.
        mixed, noisy, pink = rng.random(3) < (self.mix_probability, self.noise_probability, 0.5)
        mix_db, noise_db, gain_db = (
            rng.uniform(*pair) for pair in (self.mix_db, self.noise_db, self.gain_db)
        )
        share = 1.0
        if mixed:
            share = _share(out, np.asarray(second, np.float64), mix_db)
            out = _under(out, np.asarray(second, np.float64), mix_db)
        if noisy:
            noise = rng.standard_normal(len(out))
            out = _under(out, _pink(noise) if pink else noise, noise_db) if _level(out) > _QUIET else out
        out = out * 10 ** (gain_db / 20)
        peak = np.abs(out).max(initial=0.0)
        if peak > _PEAK:
            out *= _PEAK / peak
        return out.astype(np.float32), share

    def blend(
        self, rng: np.random.Generator, first: np.ndarray, second: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Two clips (samples,) at a level by `mix_db`, unvaried, and the share of `first` as of `mix`."""
        db = rng.uniform(*self.mix_db)
        first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
        return _under(first, second, db), _share(first, second, db)

    def textured(self, rng: np.random.Generator, clip: np.ndarray) -> np.ndarray:
        """A clip (samples,) float32 that will be mixed in, maybe replaced by a texture of itself."""
        from edgesea import effects

        if rng.random() < self.texture_probability:
            return effects.texture(rng, clip).astype(np.float32)
        return clip

    @property
    def placed(self) -> bool:
        """Whether there is anything for `place` to do."""
        return bool(self.reverberation_probability or self.bits_probability or self.codec_probability)

    def place(self, rng: np.random.Generator, frame: np.ndarray, sample_rate: int) -> np.ndarray:
        """Puts a frame of `apply` into a room, through a recorder of few bits and a codec, each maybe.

        frame (samples,) float32; sample_rate in Hz. Returns (samples,) float32 in [-1, 1], as loud as before
        but for what few bits and few bytes do.
        """
        from edgesea import effects

        out = np.asarray(frame, np.float64)
        echoes, rounded = rng.random(2) < (self.reverberation_probability, self.bits_probability)
        seconds, direct_db = rng.uniform(*self.reverberation_s), rng.uniform(*self.reverberation_db)
        bits = int(rng.integers(self.bits[0], self.bits[1] + 1))
        if echoes:
            out = effects.reverberated(out, effects.impulse_response(rng, sample_rate, seconds, direct_db))
        if rounded:
            out = effects.quantised(rng, out, bits)
        # Not drawn where it is off: examples of before are still the same.
        if self.codec_probability and rng.random() < self.codec_probability:
            out = codecs.lossy(out, sample_rate, self.codec, rng.uniform(*self.codec_quality))
        return np.clip(out, -_PEAK, _PEAK).astype(np.float32)


@functools.lru_cache(maxsize=4)
def _counted(n: int) -> np.ndarray:
    """0, 1 .. n - 1 as (n,) float64, not to be written to."""
    out = np.arange(n, dtype=np.float64)
    out.flags.writeable = False
    return out


@functools.lru_cache(maxsize=8)
def _places(bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Where a spectrum's bins, (bins,), and the equaliser's bands lie, from 0 to 1; not to be written to."""
    place, bands = np.sqrt(np.linspace(0, 1, bins)), np.linspace(0, 1, _BANDS)
    place.flags.writeable = bands.flags.writeable = False
    return place, bands


@functools.lru_cache(maxsize=8)
def _pinkness(bins: int) -> np.ndarray:
    """What makes white noise's amplitudes pink by division, (bins - 1,), not to be written to."""
    out = np.sqrt(np.arange(1, bins))
    out.flags.writeable = False
    return out


def _level(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform)))) if len(waveform) else 0.0


def _under(sound: np.ndarray, other: np.ndarray, db: float) -> np.ndarray:
    """The sum of `sound` and `other`, the latter set `db` below the former."""
    loud, level = _level(sound), _level(other)
    if level <= _QUIET:
        return sound
    if loud <= _QUIET:
        return other
    return sound + other * (loud / level * 10 ** (-db / 20))


def _share(sound: np.ndarray, other: np.ndarray, db: float) -> float:
    """The share of `sound` in the power of what `_under` makes of both."""
    if _level(other) <= _QUIET:
        return 1.0
    return 1 / (1 + 10 ** (-db / 10)) if _level(sound) > _QUIET else 0.0


def _pink(white: np.ndarray) -> np.ndarray:
    """Shapes white noise to a power of 1/frequency, without the constant."""
    spectrum = np.fft.rfft(white)
    spectrum[0] = 0.0
    spectrum[1:] /= _pinkness(len(spectrum))
    return np.fft.irfft(spectrum, len(white))
