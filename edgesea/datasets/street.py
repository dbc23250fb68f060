"""Synthesises a street: the demo's sound, in the eight coarse classes of SONYC-UST (Cartwright et al., 2019).

The aim is a small world with the shape of the real one, not realism: every class is a family of sources with
a physical idea behind it (see each source below), the classes overlap in pitch, rhythm and brightness, and
every clip has its street, its echo and often a second source behind it. Scores on it say that the machinery
works; they say nothing about real streets.

Conventions
- A *recording* is one draw of a source's parameters (this dog, in this courtyard, at this sensor); its clips
  are takes of it. Recording r is of class `CLASSES[r % 8]`.
- Everything follows from (seed, recording, take): any clip can be made alone.
- Recordings follow each other in time, and go from sensor to sensor after one of each class.
- level_db is the clip's root mean square in dB, 0 dB being an amplitude of 10^-5 (`FULL_SCALE_DB` at
  amplitude 1), unweighted: what a sensor with that calibration would report.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from edgesea import audio, files
from edgesea.datasets import table
from edgesea.datasets.manifest import Clip, Manifest
from edgesea.errors import UsageError

CLASSES = (
    "engine",
    "machinery-impact",
    "non-machinery-impact",
    "powered-saw",
    "alert-signal",
    "music",
    "human-voice",
    "dog",
)
FULL_SCALE_DB = 100.0
_FIRST_DAY = datetime(2024, 5, 1)
# Harmonics stop here, as a part of the sample rate.
_TOP = 0.47

Render = Callable[[np.random.Generator, int, int], np.ndarray]


def synthesise(
    out: Path | str,
    clips: int,
    seed: int,
    *,
    seconds: float = 4.0,
    sample_rate: int = 16_000,
    takes: int = 4,
    sensors: int = 4,
    days: int = 3,
) -> Manifest:
    """Writes a dataset: `out`/audio/*.flac (16 bit, mono) and, when all are whole, the table `out`/clips.csv.

    clips : int > 0, how many; the classes take turns, recording by recording
    seconds : float, length of a clip, 0.5 to 60
    sample_rate : int, in Hz, 8000 to 96000
    takes : int > 0, clips of one recording; sensors, days : int > 0, that the recordings spread over

    Returns the manifest that `datasets.load(out)` gives.
    """
    if min(clips, takes, sensors, days) < 1:
        raise UsageError(
            f"Received {clips} clips, {takes} takes, {sensors} sensors and {days} days: "
            "each must be at least 1."
        )
    out = Path(out)
    made = []
    # Recordings have slots of time of their own, in which each begins at random.
    slot = max(days * 86_400 / -(-clips // takes), takes * seconds)
    for index in range(clips):
        recording, take = divmod(index, takes)
        sound = waveform(seed, recording, take, seconds=seconds, sample_rate=sample_rate, sensors=sensors)
        label = CLASSES[recording % len(CLASSES)]
        path = out / "audio" / f"{label}-{recording:04d}-{take}.flac"
        with files.replacing(path) as temporary:
            soundfile.write(temporary, sound, sample_rate, subtype="PCM_16")
        rng = np.random.default_rng([seed, recording, 0])
        begin = slot * recording + rng.uniform(0, slot - takes * seconds)
        made.append(
            Clip(
                path,
                (label,),
                f"{label}-{recording:04d}",
                level_db=round(audio.level_db(sound) + FULL_SCALE_DB, 2),
                timestamp=_FIRST_DAY + timedelta(seconds=round(begin + take * seconds)),
                sensor=f"sensor-{recording // len(CLASSES) % sensors}",
            )
        )
    table.write(Manifest(out, tuple(made), out.name), out / table.NAME)
    return table.load(out)


def waveform(
    seed: int,
    recording: int,
    take: int,
    *,
    seconds: float = 4.0,
    sample_rate: int = 16_000,
    sensors: int = 4,
) -> np.ndarray:
    """One clip, (seconds * sample_rate,) float32 in [-1, 1]. Arguments as for `synthesise`.

    The source stands 0 to 24 dB above its street; in one of four clips a source of any class is added 12 to
    24 dB below it. Levels spread over 35 dB.
    """
    if not (0.5 <= seconds <= 60 and 8_000 <= sample_rate <= 96_000):
        raise UsageError(
            f"Received clips of {seconds} s at {sample_rate} Hz: give 0.5 to 60 s and 8000 to 96000 Hz."
        )
    n = round(seconds * sample_rate)
    # The third number keeps these streams apart: 0 times, 1 the recording, 2 the sensor, 3 + take the clips.
    place = np.random.default_rng([seed, recording, 1])
    sensor = np.random.default_rng([seed, recording // len(CLASSES) % sensors, 2])
    rng = np.random.default_rng([seed, recording, 3 + take])
    source = _SOURCES[CLASSES[recording % len(CLASSES)]](place)
    reach = _reach(place, sample_rate)

    sound = _unit(reach(source(rng, n, sample_rate)))
    if rng.random() < 0.25:
        other = _SOURCES[CLASSES[rng.integers(len(CLASSES))]](rng)
        sound += _unit(other(rng, n, sample_rate)) * _gain(-rng.uniform(12, 24))
    sound += _street(sensor, rng, n, sample_rate) * _gain(-rng.uniform(0, 24))
    sound = _unit(sound) * _gain(rng.uniform(-47, -12))
    return (sound * min(1.0, 0.99 / np.abs(sound).max())).astype(np.float32)


# The sources. Each draws one recording's parameters and returns what renders takes of it, (n,) float64 of any
# level. Frequencies in Hz, times in seconds.


def _engine(rng: np.random.Generator) -> Render:
    """Firing pulses of a drifting rate, every other one weaker, through an exhaust's resonances, and hiss."""
    firing = rng.uniform(22, 95)
    slope = rng.uniform(0.9, 1.7)
    uneven = rng.uniform(0.1, 0.9)
    resonances = np.exp(rng.uniform(np.log(70), np.log(900), 3))
    hiss, bright = _gain(-rng.uniform(6, 22)), rng.uniform(600, 3500)
    passing = rng.random() < 0.4

    def render(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
        pace = firing * np.exp(rng.uniform(-0.15, 0.15) + rng.uniform(0.02, 0.25) * _curve(rng, n, rate, 0.7))
        order = np.arange(1, 121)
        hz = order * firing / 2  # odd multiples of half the firing rate are the unevenness
        amplitudes = np.where(order % 2, uneven, 1.0) * hz**-slope
        amplitudes *= 0.3 + sum(_peak(hz, f, f / 4) for f in resonances)
        pulses = _unit(_harmonics(pace / 2, amplitudes, rate))
        rush = _noise(rng, n, rate, _band(150, bright)) * (0.4 + np.abs(pulses))
        out = pulses + hiss * rush
        if passing:
            out = out * _bump(n, rng.uniform(0.2, 0.8), rng.uniform(0.15, 0.5))
        return out

    return render


def _machinery_impact(rng: np.random.Generator) -> Render:
    """A tool that strikes by itself: regular blows on ringing modes, a motor humming under them."""
    per_second = np.exp(rng.uniform(np.log(1.2), np.log(32)))
    jitter = rng.uniform(0.005, 0.06)
    ring = _modes(rng, int(rng.integers(4, 9)), 180, 5500, 0.006, 0.06 + 0.1 / per_second)
    burst = rng.uniform(0.2, 1.2)
    motor, hum = rng.uniform(45, 150), _gain(-rng.uniform(8, 30))

    def render(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
        gaps = rng.normal(1, jitter, int(n / rate * per_second * 2) + 4) / per_second
        times = np.cumsum(np.maximum(gaps, 0.2 / per_second)) - rng.uniform(0.5, 1.5) / per_second
        if per_second > 6 and rng.random() < 0.5:  # hand-held tools are set down now and then
            pause = rng.uniform(0, n / rate)
            times = times[np.abs(times - pause) > rng.uniform(0.2, 0.7)]
        blows = _train(n, rate, times, rng.uniform(0.7, 1.0, len(times)))
        out = _unit(_convolve(blows, ring(rng, rate, burst)))
        return out + hum * _unit(_harmonics(np.full(n, motor), np.arange(1, 20) ** -1.2, rate))

    return render


def _non_machinery_impact(rng: np.random.Generator) -> Render:
    """Things that hit, slam, fall and break: few blows, far apart or bouncing, of unlike strength."""
    low = np.exp(rng.uniform(np.log(70), np.log(1200)))
    ring = _modes(rng, int(rng.integers(3, 10)), low, low * rng.uniform(3, 12), 0.02, rng.uniform(0.05, 0.4))
    burst = rng.uniform(0.0, 2.0)
    bouncing = rng.random() < 0.4

    def render(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
        seconds = n / rate
        times = rng.uniform(0.02, 0.95, rng.integers(1, 2 + int(1.2 * seconds))) * seconds
        strength = _gain(-rng.uniform(0, 18, len(times)))
        if bouncing:
            factor = rng.uniform(0.55, 0.85)
            k = np.arange(rng.integers(3, 9))
            after = rng.uniform(0.2, 0.5) * (1 - factor**k) / (1 - factor)
            times = np.concatenate([times, times[0] + after])
            strength = np.concatenate([strength, strength[0] * factor**k])
        return _convolve(_train(n, rate, times, strength), ring(rng, rate, burst))

    return render


def _powered_saw(rng: np.random.Generator) -> Render:
    """A blade's teeth singing high and rough, dropping in pitch and growing noisy while it cuts."""
    teeth = np.exp(rng.uniform(np.log(110), np.log(1400)))
    tilt = rng.uniform(0.2, 0.9)
    edge = rng.uniform(1200, 3000)
    drop = rng.uniform(0.08, 0.35)
    rasp = _gain(rng.uniform(-12, 4))
    flutter = rng.uniform(20, 70)

    def render(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
        load = np.clip(1.6 * _curve(rng, n, rate, rng.uniform(0.4, 1.2)) + 0.3, 0, 1)
        pace = teeth * np.exp(rng.uniform(-0.08, 0.08)) * (1 - drop * load)
        pace = pace * (1 + 0.01 * _curve(rng, n, rate, 15))
        if rng.random() < 0.3:  # the motor runs up
            pace = pace * (1 - 0.7 * np.exp(-np.arange(n) / rate / rng.uniform(0.1, 0.5)))
        wobble = 1 + 0.4 * np.sin(2 * np.pi * flutter * np.arange(n) / rate + 2 * _curve(rng, n, rate, 4))
        song = _unit(_harmonics(pace, np.arange(1, 80) ** -tilt, rate))
        dust = _noise(rng, n, rate, _band(edge, 0.45 * rate))
        return wobble * (song * (1 - 0.4 * load) + rasp * dust * (0.25 + load))

    return render


def _alert_signal(rng: np.random.Generator) -> Render:
    """Sirens that wail, yelp or alternate; horns of two notes; beepers. Loud, tonal, made to be noticed."""
    kind = rng.choice(["wail", "yelp", "alternating", "horn", "beeper"])
    low = rng.uniform(350, 800)
    high = low * rng.uniform(1.25, 2.4)
    periods = {"wail": (2.5, 6), "yelp": (0.18, 0.45), "alternating": (0.5, 1.4)}
    period = rng.uniform(*periods.get(kind, (0.5, 1.3)))
    tone = rng.uniform(900, 2800)
    slope = rng.uniform(0.6, 2.0)
    duty = rng.uniform(0.35, 0.65)

    def render(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
        turn = (np.arange(n) / rate / period + rng.random()) % 1.0
        amplitudes = np.arange(1, 40) ** -slope
        if kind in ("wail", "yelp"):
            glide = np.where(turn < 0.6, turn / 0.6, (1 - turn) / 0.4)
            return _harmonics(low * (high / low) ** glide, amplitudes, rate)
        if kind == "alternating":
            return _harmonics(np.where(turn < 0.5, low, high), amplitudes, rate)
        if kind == "beeper":
            on = _smooth((turn < duty).astype(float), rate, 0.004)
            return on * _harmonics(np.full(n, tone), amplitudes**2, rate)
        on = np.zeros(n)
        for _ in range(rng.integers(1, 4)):
            begin = rng.uniform(0, 0.8) * n
            on[int(begin) : int(begin + rng.uniform(0.15, 1.5) * rate)] = 1.0
        horn = _harmonics(np.full(n, low), amplitudes, rate)
        horn = horn + _harmonics(np.full(n, low * 1.26), amplitudes, rate)
        return _smooth(on, rate, 0.01) * horn

    return render


def _music(rng: np.random.Generator) -> Render:
    """Chords and a tune of one scale at one tempo, plucked or bowed, mostly over a beat."""
    tonic = rng.uniform(110, 220)
    scale = np.array([0, 2, 4, 5, 7, 9, 11] if rng.random() < 0.5 else [0, 2, 3, 5, 7, 8, 10])
    beat = 60 / rng.uniform(70, 150)
    attack, decay = rng.uniform(0.003, 0.08), rng.uniform(0.15, 1.0)
    slope = rng.uniform(0.8, 2.2)
    drums = rng.uniform(0.3, 1.2) if rng.random() < 0.7 else 0.0

    def render(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
        out = np.zeros(n)
        amplitudes = np.arange(1, 12) ** -slope

        def note(step: int, begin: float, length: float, strength: float) -> None:
            first = int(begin * rate)
            m = min(n - first, int((length + decay) * rate))
            if m < 2:
                return
            hz = tonic * 2 ** ((scale[step % 7] + 12 * (step // 7)) / 12)
            t = np.arange(m) / rate
            shape = np.minimum(t / attack, 1) * np.exp(-np.maximum(t - 0.3 * length, 0) / decay)
            vibrato = hz * (1 + 0.004 * np.sin(2 * np.pi * 5.5 * t))
            out[first : first + m] += strength * shape * _harmonics(vibrato, amplitudes, rate)

        begin = rng.uniform(0, beat)
        root, count = int(rng.integers(7)), 0
        while begin < n / rate:
            if count % 4 == 0:
                root = int(rng.choice([0, 3, 4, 5]))
                for third in (0, 2, 4):
                    note(root + third, begin, 3 * beat, 0.5)
            for half in range(int(rng.integers(0, 3))):
                step = 7 + int(rng.integers(0, 9))
                note(step, begin + half * beat / 2, beat / 2, rng.uniform(0.4, 1.0))
            begin, count = begin + beat, count + 1
        if drums:
            at = np.arange(-rng.random(), n / rate / beat) * beat
            t = np.arange(int(0.2 * rate)) / rate
            thump = np.sin(2 * np.pi * (50 * t - 3.0 * np.exp(-t / 0.03))) * np.exp(-t / 0.06)
            out += drums * _convolve(_train(n, rate, at[::2], 1.0), thump)
            tick = rng.standard_normal(len(t)) * np.exp(-t / 0.02)
            tick[1:] -= tick[:-1]
            out += 0.25 * drums * _convolve(_train(n, rate, at + beat / 2, 1.0), tick)
        return out

    return render


# First three formants of vowels, in Hz (after Peterson and Barney, 1952, men).
_VOWELS = np.array(
    [
        [270, 2290, 3010],
        [530, 1840, 2480],
        [660, 1720, 2410],
        [730, 1090, 2440],
        [570, 840, 2410],
        [300, 870, 2240],
    ]
)


def _human_voice(rng: np.random.Generator) -> Render:
    """Syllables: gliding pitch through moving formants, fricatives and pauses; one or several people."""
    people = [
        (rng.uniform(85, 290), rng.uniform(0.95, 1.25), rng.uniform(2.8, 6.0))
        for _ in range(rng.choice([1, 1, 1, 2, 3]))
    ]
    effort = rng.uniform(0.8, 1.8)  # slope of the glottal spectrum: small when shouting

    def render(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
        out = np.zeros(n)
        for pitch, tract, pace in people:
            steps = int(n / rate * 100) + 2  # formants and amplitudes every 10 ms
            t = np.arange(steps) / 100
            syllable = (t * pace + rng.random() + 0.35 * _curve(rng, steps, 100, 1.5)).astype(int)
            syllable -= syllable.min()
            count = syllable.max() + 1
            vowel = _smooth(_VOWELS[rng.integers(len(_VOWELS), size=count)][syllable] * tract, 100, 0.04)
            loud = _gain(-rng.uniform(0, 14, count)) * (rng.random(count) > 0.22)
            voiced = _smooth(loud[syllable] * (1 - (t * pace % 1) ** 6), 100, 0.03)
            melody = pitch * np.exp(0.22 * _curve(rng, n, rate, 1.3) + 0.05 * _curve(rng, n, rate, 5))
            hz = np.arange(1, 1 + int(min(4000, _TOP * rate) / melody.max()))[:, None] * pitch
            throat = sum(
                weight * _peak(hz, vowel[None, :, i], width)
                for i, (weight, width) in enumerate([(1.0, 90), (0.6, 120), (0.35, 180)])
            )
            out += _harmonics(melody, throat * (hz / 100.0) ** (-effort / 2) * voiced, rate)
            hiss = _smooth((rng.random(count) < 0.35)[syllable] * (t * pace % 1 > 0.75), 100, 0.02)
            breath = _noise(rng, n, rate, _band(rng.uniform(1800, 4000), 0.45 * rate))
            out += 0.06 * breath * np.interp(np.arange(n) / rate, t, hiss)
        return out

    return render


def _dog(rng: np.random.Generator) -> Render:
    """Barks: short arches of pitch, rough at the onset, in series; a howl or whine now and then."""
    pitch = np.exp(rng.uniform(np.log(220), np.log(1100)))
    length = rng.uniform(0.08, 0.28)
    pace = rng.uniform(0.9, 3.5)
    arch = rng.uniform(0.2, 0.7)
    rough = rng.uniform(0.1, 0.8)
    mouth = rng.uniform(2.0, 3.5) * pitch

    def render(rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
        out = np.zeros(n)
        howling = rng.random() < 0.12
        begin = rng.uniform(0, 0.6)
        while begin < n / rate:
            seconds = rng.uniform(0.6, 1.4) if howling else length * rng.uniform(0.8, 1.25)
            first = int(begin * rate)
            m = min(n - first, int(seconds * rate))
            if m > 8:
                turn = np.arange(m) / (seconds * rate)
                pace_hz = pitch * rng.uniform(0.9, 1.1) * (1 - arch / 2 + arch * np.sin(np.pi * turn**0.7))
                hz = np.arange(1, 25) * pitch
                bark = _unit(_harmonics(pace_hz, 0.15 / np.arange(1, 25) + _peak(hz, mouth, pitch), rate))
                if not howling:
                    bark = bark + rough * _noise(rng, m, rate, _band(pitch, 4 * mouth)) * np.exp(-4 * turn)
                out[first : first + m] += bark * np.sin(np.pi * turn**0.4) ** 1.5 * _gain(-rng.uniform(0, 6))
            gap = rng.uniform(0.6, 1.4) / pace
            begin += seconds + gap + (rng.uniform(0.5, 1.5) if rng.random() < 0.15 else 0.0)
        return out

    return render


_SOURCES: dict[str, Callable[[np.random.Generator], Render]] = {
    "engine": _engine,
    "machinery-impact": _machinery_impact,
    "non-machinery-impact": _non_machinery_impact,
    "powered-saw": _powered_saw,
    "alert-signal": _alert_signal,
    "music": _music,
    "human-voice": _human_voice,
    "dog": _dog,
}


def _street(sensor: np.random.Generator, rng: np.random.Generator, n: int, rate: int) -> np.ndarray:
    """What a sensor hears all the time: noise of its own colour that swells and ebbs, a hum; level 1."""
    colour, hum, tone = sensor.uniform(0.4, 1.1), sensor.uniform(0.0, 0.25), sensor.choice([100, 120])
    colour = colour + rng.uniform(-0.15, 0.15)
    air = _noise(rng, n, rate, lambda hz: np.maximum(hz, 30.0) ** -colour)
    swell = 1 + 0.5 * _curve(rng, n, rate, 0.5)
    return _unit(air * swell + hum * _harmonics(np.full(n, float(tone)), np.array([1.0, 0.5, 0.3]), rate))


def _reach(rng: np.random.Generator, rate: int) -> Callable[[np.ndarray], np.ndarray]:
    """The way from the source to the sensor: air and corners take the treble, walls answer."""
    dull = np.exp(rng.uniform(np.log(1500), np.log(12_000)))
    tail = rng.uniform(0.08, 0.5)
    t = np.arange(int(min(1.0, 3 * tail) * rate)) / rate
    echo = rng.standard_normal(len(t)) * np.exp(-t / tail * 3.45)  # 60 dB in 2 * tail
    echo *= _gain(-rng.uniform(6, 22)) / np.sqrt(np.sum(echo**2))
    echo[0] += 1.0

    def reach(sound: np.ndarray) -> np.ndarray:
        return _filtered(_convolve(sound, echo), rate, lambda hz: 1 / np.sqrt(1 + (hz / dull) ** 4))

    return reach


# Building blocks.


def _gain(db: Any) -> Any:
    """The factor of a level in dB, a number of a number and an array of an array."""
    return 10 ** (db / 20)


def _unit(sound: np.ndarray) -> np.ndarray:
    """Scaled to a root mean square of 1; silence stays."""
    level = np.sqrt(np.mean(sound**2))
    return sound / level if level > 0 else sound


def _peak(hz: np.ndarray, centre: float | np.ndarray, width: float) -> np.ndarray:
    """A resonance: 1 at the centre, a half at one width from it."""
    return 1 / (1 + ((hz - centre) / width) ** 2)


def _band(low: float, high: float) -> Callable[[np.ndarray], np.ndarray]:
    """A band-pass of second order on either side."""
    return lambda hz: 1 / np.sqrt((1 + (low / np.maximum(hz, 1.0)) ** 4) * (1 + (hz / high) ** 4))


def _filtered(sound: np.ndarray, rate: int, response: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    size = _fast(len(sound))
    spectrum = np.fft.rfft(sound, size) * response(np.fft.rfftfreq(size, 1 / rate))
    return np.fft.irfft(spectrum, size)[: len(sound)]


def _noise(
    rng: np.random.Generator, n: int, rate: int, response: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    return _unit(_filtered(rng.standard_normal(n), rate, response))


def _convolve(sound: np.ndarray, response: np.ndarray) -> np.ndarray:
    """The first len(sound) samples of the convolution."""
    size = _fast(len(sound) + len(response))
    return np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(response, size), size)[: len(sound)]


def _fast(n: int) -> int:
    """A multiple of 1024 from n on: such transforms never meet a large prime."""
    return -(-n // 1024) * 1024


def _curve(rng: np.random.Generator, n: int, rate: float, hz: float) -> np.ndarray:
    """A smooth random curve in [-1, 1] that goes to a new value `hz` times a second."""
    knots = rng.uniform(-1, 1, int(n / rate * hz) + 3)
    at = np.arange(n) * hz / rate + rng.random()
    left = at.astype(int)
    weight = (1 - np.cos(np.pi * (at - left))) / 2
    return knots[left] * (1 - weight) + knots[left + 1] * weight


def _smooth(values: np.ndarray, rate: float, seconds: float) -> np.ndarray:
    """A moving average along the first axis, centred."""
    width = max(1, round(seconds * rate)) | 1
    padded = np.pad(values, [(width // 2 + 1, width // 2)] + [(0, 0)] * (values.ndim - 1), mode="edge")
    total = np.cumsum(padded, axis=0, dtype=np.float64)
    return (total[width:] - total[:-width]) / width


def _bump(n: int, centre: float, width: float) -> np.ndarray:
    """A source that drives past: level 1 when nearest, in parts of the clip."""
    return 1 / (1 + ((np.arange(n) / n - centre) / width) ** 2)


def _harmonics(pace: np.ndarray, amplitudes: np.ndarray, rate: int) -> np.ndarray:
    """Sum over k of amplitudes[k - 1] * sin(k * phase), below the Nyquist frequency.

    pace (n,) : the fundamental in Hz. amplitudes (K,), or (K, T) for T equidistant moments of the sound.
    """
    n = len(pace)
    turn = np.exp(2j * np.pi * np.cumsum(pace) / rate)
    at = np.linspace(0, amplitudes.shape[-1] - 1, n) if amplitudes.ndim == 2 else None
    moments = np.arange(amplitudes.shape[-1])
    out = np.zeros(n)
    power = np.ones(n, complex)
    for amplitude in amplitudes[: int(_TOP * rate / pace.max())]:
        power *= turn
        out += power.imag * (amplitude if at is None else np.interp(at, moments, amplitude))
    return out


def _train(n: int, rate: int, times: np.ndarray, strength: np.ndarray | float) -> np.ndarray:
    """Impulses at `times`; those outside the clip are dropped."""
    out = np.zeros(n)
    at = np.round(np.asarray(times) * rate).astype(int)
    inside = (at >= 0) & (at < n)
    np.add.at(out, at[inside], np.broadcast_to(strength, at.shape)[inside])
    return out


def _modes(
    rng: np.random.Generator, count: int, low: float, high: float, shortest: float, longest: float
) -> Callable[[np.random.Generator, int, float], np.ndarray]:
    """A struck body of `count` decaying modes, the high ones shorter: (rng, rate, burst) -> response."""
    hz = np.sort(np.exp(rng.uniform(np.log(low), np.log(high), count)))
    decay = np.clip(longest * (hz[0] / hz) ** 0.6, shortest, longest)
    strength = rng.uniform(0.2, 1.0, count)

    def response(rng: np.random.Generator, rate: int, burst: float) -> np.ndarray:
        t = np.arange(int(6 * longest * rate) + 16) / rate
        audible = hz < _TOP * rate
        ringing = strength * audible * np.exp(-t[:, None] / decay) * np.sin(2 * np.pi * hz * t[:, None])
        crack = rng.standard_normal(len(t)) * np.exp(-t / max(shortest, longest / 8))
        return ringing.sum(axis=1) + burst * crack

    return response
