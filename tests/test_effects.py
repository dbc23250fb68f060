"""Reverberation, few bits, codecs, textures: what they are said to do, measured on what comes out."""

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from scipy import signal

from edgesea import codecs, effects
from edgesea.codecs import CODECS
from edgesea.errors import UsageError

RATE = 16_000


@pytest.mark.parametrize(("seconds", "direct_db"), [(0.3, 10.0), (1.2, -3.0)])
def test_a_room_decays_by_60_db_in_its_time(seconds, direct_db):
    response = effects.impulse_response(np.random.default_rng(0), RATE, seconds, direct_db)
    assert len(response) == round(seconds * RATE)
    assert response[0] == 1
    tail = response[1:]
    assert 10 * np.log10(1 / np.square(tail).sum()) == pytest.approx(direct_db, abs=0.1)
    # Level over time, a line fitted to it: 60 dB over its length.
    blocks = np.square(tail[: len(tail) // 40 * 40].reshape(40, -1)).mean(axis=1)
    slope = np.polyfit(np.linspace(0, 1, 40), 10 * np.log10(blocks), 1)[0]
    assert slope == pytest.approx(-60, abs=3)


def test_a_reverberated_sound_is_as_long_as_loud_and_lasts():
    click = np.zeros(RATE)
    click[100] = 1.0
    response = effects.impulse_response(np.random.default_rng(0), RATE, 0.5, 0.0)
    out = effects.reverberated(click, response)
    assert out.shape == click.shape
    assert np.square(out).sum() == pytest.approx(np.square(click).sum())
    np.testing.assert_allclose(out[:100], 0, atol=1e-12)
    np.testing.assert_allclose(out[100 : 100 + len(response)] / out[100], response, atol=1e-9)
    np.testing.assert_array_equal(effects.reverberated(np.zeros(50), response), np.zeros(50))


def test_few_bits_are_steps_with_a_noise_of_their_size():
    rng = np.random.default_rng(1)
    sound = rng.uniform(-0.9, 0.9, 100_000)
    out = effects.quantised(rng, sound, 8)
    steps = out * 2**7
    np.testing.assert_array_equal(steps, np.round(steps))
    error = out - sound
    # Rounding and rectangular dither: a twelfth of a squared step each.
    assert np.square(error).mean() == pytest.approx(2 / 12 / 2**14, rel=0.03)
    assert error.mean() == pytest.approx(0, abs=1e-4)


def coloured(seed, samples=15_600, peak=0.5):
    """Noise between 200 Hz and 3 kHz, where every codec hears."""
    white = np.random.default_rng(seed).standard_normal(samples)
    spectrum = np.fft.rfft(white)
    hz = np.fft.rfftfreq(samples, 1 / RATE)
    spectrum[(hz < 200) | (hz > 3_000)] = 0
    out = np.fft.irfft(spectrum, samples)
    return peak * out / np.abs(out).max()


def lag(sound, later, most=2_000):
    """By how many samples `later` comes after `sound`, of the highest cross-correlation."""
    over = signal.correlate(later, sound, mode="full", method="fft")
    middle = len(sound) - 1
    return int(np.argmax(over[middle - most : middle + most + 1])) - most


def snr_db(sound, out):
    return 10 * np.log10(np.mean(sound**2) / np.mean((out - sound) ** 2))


@pytest.mark.parametrize("codec", list(CODECS))
@pytest.mark.parametrize("quality", [0.0, 0.4, 1.0])
def test_a_codec_neither_delays_nor_cuts(codec, quality):
    sound = coloured(1)
    out = codecs.lossy(sound, RATE, codec, quality)
    assert out.shape == sound.shape
    assert np.isfinite(out).all()
    assert lag(sound, out) == 0
    assert lag(sound, np.roll(out, 7)) == 7  # what would be seen of one that delays
    np.testing.assert_array_equal(codecs.lossy(sound, RATE, codec, quality), out)


@pytest.mark.parametrize("codec", list(CODECS))
def test_a_codec_loses_more_of_less_quality(codec):
    sound = coloured(2)
    found = [snr_db(sound, codecs.lossy(sound, RATE, codec, quality)) for quality in (0.0, 0.5, 1.0)]
    assert found[0] < found[1] - 1
    assert found[1] < found[2] - 1
    assert 0 < found[0] < 12  # it is heard, and the sound still is too
    assert found[2] > 12


@pytest.mark.parametrize("codec", list(CODECS))
@pytest.mark.parametrize("samples", [1, 37, 15_600, 70_000])
def test_a_codec_takes_any_length_and_leaves_silence_alone(codec, samples):
    """Also more than libsndfile is given at a time."""
    sound = coloured(3, max(samples, 100))[:samples]
    assert codecs.lossy(sound, RATE, codec, 0.5).shape == (samples,)
    silence = np.zeros(samples)
    np.testing.assert_array_equal(codecs.lossy(silence, RATE, codec, 0.5), silence)


def test_a_codec_that_the_machine_has_not_is_refused(monkeypatch):
    for codec in CODECS:
        codecs.check(codec, RATE)
    with pytest.raises(
        UsageError, match=r"of this machine cannot write mp3 at 5000 Hz: choose another codec"
    ):
        codecs.check("mp3", 5_000)
    with pytest.raises(UsageError, match=r"of this machine cannot write vorbis at 384000 Hz: choose another"):
        codecs.check("vorbis", 384_000)
    # As a libsndfile before 1.1 answers, which knows of no MP3.
    monkeypatch.setattr(soundfile, "_formats", {"WAV": 0x010000})
    with pytest.raises(UsageError) as refused:
        codecs.check("mp3", RATE)
    assert str(refused.value) == (
        f"The libsndfile {soundfile.__libsndfile_version__} of this machine cannot write mp3 at 16000 Hz: "
        "choose another codec of the augmentation, or give it no codec_probability."
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.floats(-1, 1))
def test_a_texture_has_the_spectrum_and_the_level_of_its_sound(seed, samples, constant):
    rng = np.random.default_rng(seed)
    sound = constant + rng.uniform(-1, 1, samples)
    out = effects.texture(np.random.default_rng(seed + 1), sound)
    assert out.shape == sound.shape
    np.testing.assert_allclose(np.abs(np.fft.rfft(out)), np.abs(np.fft.rfft(sound)), atol=1e-9)
    assert np.square(out).sum() == pytest.approx(np.square(sound).sum())
    assert out.mean() == pytest.approx(sound.mean(), abs=1e-12)
    np.testing.assert_array_equal(effects.texture(np.random.default_rng(seed + 1), sound), out)


def test_a_texture_sounds_all_the_time_and_no_two_are_alike():
    click = np.zeros(4_000)
    click[2_000] = 1.0
    one, other = (effects.texture(np.random.default_rng(seed), click) for seed in (0, 1))
    quarters = np.square(one.reshape(4, -1)).sum(axis=1)
    assert quarters.min() > 0.15  # of 0.25 each
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1
    silence = np.zeros(99)
    np.testing.assert_array_equal(effects.texture(np.random.default_rng(0), silence), silence)
