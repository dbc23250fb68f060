"""A-weighted levels, against the table of the standard, librosa, and a filter in the time domain."""

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from edgesea import audio, levels
from edgesea.errors import UsageError

RATE = 16_000

# IEC 61672-1:2013, table 3: A-weighting in dB at the thirds from 10 Hz to 20 kHz.
TABLE = (
    *(-70.4, -63.4, -56.7, -50.5, -44.7, -39.4, -34.6, -30.2, -26.2, -22.5, -19.1, -16.1, -13.4, -10.9, -8.6),
    *(
        -6.6,
        -4.8,
        -3.2,
        -1.9,
        -0.8,
        0.0,
        0.6,
        1.0,
        1.2,
        1.3,
        1.2,
        1.0,
        0.5,
        -0.1,
        -1.1,
        -2.5,
        -4.3,
        -6.6,
        -9.3,
    ),
)


def tone(hz, amplitude=1.0, rate=RATE, seconds=1.0):
    t = np.arange(round(rate * seconds)) / rate
    return (amplitude * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def test_the_weighting_is_the_standards():
    thirds = 10 ** (np.arange(10, 44) / 10)  # 10 Hz to 19,953 Hz, exact
    np.testing.assert_allclose(levels.a_weighting(thirds), TABLE, atol=0.06)
    assert levels.a_weighting(np.array([0.0]))[0] == -np.inf


def test_the_weighting_is_librosas():
    hz = np.geomspace(5, 40_000, 300)
    # librosa rounds the level at 1 kHz to 2 dB, which is 1.9997.
    np.testing.assert_allclose(levels.a_weighting(hz), librosa.A_weighting(hz, min_db=None), atol=5e-3)


def analogue_filter(rate):
    """IEC 61672-1, E.2 to E.5, as poles and zeros, turned into a digital filter of gain 1 at 1 kHz."""
    poles = -2 * np.pi * np.array([20.598997, 20.598997, 107.65265, 737.86223, 12194.217, 12194.217])
    sections = signal.zpk2sos(*signal.bilinear_zpk(np.zeros(4), poles, 1.0, rate))
    _, response = signal.sosfreqz(sections, [1000.0], fs=rate)
    sections[0, :3] /= np.abs(response[0])
    return sections


@pytest.mark.parametrize("band", [(25, 60), (100, 400), (50, 3000)])
def test_the_level_of_noise_is_that_of_a_filter_in_the_time_domain(band):
    """Bands far below half the rate, where the bilinear transform bends little; mean power of 60 frames."""
    rate, rng = 96_000, np.random.default_rng(3)
    sound = signal.sosfilt(
        signal.butter(4, band, "bandpass", fs=rate, output="sos"), rng.standard_normal(61 * rate)
    )
    sound = (0.05 * sound / sound.std())[rate:].astype(np.float32)
    weighted = signal.sosfilt(analogue_filter(rate), sound)[rate:]
    found = levels.level_dba(sound.reshape(60, rate)[1:], rate)
    mean = 10 * np.log10(np.mean(10 ** (found / 10)))
    assert mean == pytest.approx(10 * np.log10(np.mean(np.square(weighted))), abs=0.25)


@pytest.mark.parametrize("hz", [31.62, 125.89, 1000.0, 1000.37, 5011.9])
@pytest.mark.parametrize("seconds", [0.96, 1.0])
def test_a_tone_has_its_own_level_and_its_frequencys_weight(hz, seconds):
    expected = -3.01 - 20 + levels.a_weighting(np.array(hz))
    assert levels.level_dba(tone(hz, 0.1, seconds=seconds)[None], RATE)[0] == pytest.approx(expected, abs=0.1)


def test_even_and_odd_lengths_agree_on_noise():
    noise = np.random.default_rng(0).standard_normal(32_001).astype(np.float32) * 0.01
    even, odd = levels.level_dba(noise[None, :-1], RATE), levels.level_dba(noise[None], RATE)
    assert even[0] == pytest.approx(odd[0], abs=0.02)


def test_calibration_is_added_and_frames_stand_alone():
    frames = np.stack([tone(1000, 0.5), tone(1000, 0.05), np.zeros(RATE, np.float32)])
    found = levels.level_dba(frames, RATE, calibration_db=94.0)
    np.testing.assert_allclose(found[:2], [94 - 9.03, 94 - 29.03], atol=0.02)
    assert found[2] == np.float32(audio.SILENCE_DB + 94)
    alone = [levels.level_dba(frame[None], RATE, 94.0)[0] for frame in frames]
    np.testing.assert_allclose(alone, found, atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5), st.sampled_from([8_000, 16_000, 44_100]), st.floats(-80, 20))
def test_the_level_is_the_weighted_power_of_the_spectrum(samples, frames, rate, gain_db):
    """Against the definition in float64, one frame at a time, for frames of any length."""
    rng = np.random.default_rng(samples)
    sound = (10 ** (gain_db / 20) * rng.standard_normal((frames, samples))).astype(np.float32)
    window = np.hanning(samples + 2)[1:-1]
    hz = np.abs(np.fft.fftfreq(samples, 1 / rate))  # both sides, nothing counted twice
    gain = 10 ** (levels.a_weighting(hz) / 10)
    for row, found in zip(sound.astype(np.float64), levels.level_dba(sound, rate), strict=True):
        power = (gain * np.abs(np.fft.fft(row * window)) ** 2).sum() / (samples * np.square(window).sum())
        assert found == pytest.approx(10 * np.log10(max(power, 1e-12)), abs=2e-3)


def test_many_frames_in_batches_are_those_of_one_call(monkeypatch):
    sound = np.random.default_rng(1).standard_normal((37, 900)).astype(np.float32)
    together = levels.level_dba(sound, RATE)
    monkeypatch.setattr(levels, "_BATCH", 4000)
    np.testing.assert_allclose(levels.level_dba(sound, RATE), together, atol=1e-4)
    assert together.shape == (37,)
    assert levels.level_dba(sound[:0], RATE).shape == (0,)


def test_rumble_is_not_loud():
    """At equal power, 30 Hz weighs some 40 dB less than 1 kHz: what an unweighted level does not see."""
    low, high = levels.level_dba(np.stack([tone(30.3), tone(1000)]), RATE)
    assert high - low > 38
    assert audio.level_db(tone(30.3)) == pytest.approx(audio.level_db(tone(1000)), abs=0.1)


def test_errors_say_what_to_do():
    with pytest.raises(UsageError, match=r"Received a calibration of nan dB: give a finite number\."):
        levels.level_dba(np.zeros((1, 8), np.float32), RATE, np.nan)
    with pytest.raises(UsageError, match=r"Received frames of the shape \(8,\): give \(B, samples\)"):
        levels.level_dba(np.zeros(8, np.float32), RATE)
