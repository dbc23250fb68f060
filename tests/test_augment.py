"""Augmentation: reproducible frame by frame, within its ranges, distributed as documented."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unchanged import UNCHANGED

from edgesea import augment, codecs
from edgesea.augment import Augmentation
from edgesea.errors import UsageError

N = 4_000


def level_db(waveform):
    return 10 * np.log10(np.mean(np.square(waveform, dtype=np.float64)))


def tone(hz, amplitude=0.1):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(N) / N)).astype(np.float32)


def part(waveform, hz):
    """The amplitude of one whole-numbered frequency."""
    return 2 * abs(np.fft.rfft(waveform)[hz]) / N


def test_any_frame_can_be_made_alone():
    rng = np.random.default_rng(0)
    clips = [rng.standard_normal(3 * N).astype(np.float32) * 0.1 for _ in range(3)]

    def make(i):
        rng = augment.generator(7, i)
        a, b = clips[rng.integers(3)], clips[rng.integers(3)]
        return Augmentation().apply(rng, augment.crop(rng, a, N), augment.crop(rng, b, N))

    frames = [make(i) for i in range(20)]
    np.testing.assert_array_equal(make(13), frames[13])
    assert len({frame.tobytes() for frame in frames}) == 20
    assert not np.array_equal(augment.generator(7, 1).random(4), augment.generator(8, 1).random(4))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 1), st.floats(0, 1), st.integers(0, 50))
def test_stays_in_range_whatever_comes(seed, loud, other, length):
    rng = np.random.default_rng(seed)
    first = (loud * rng.uniform(-1, 1, length)).astype(np.float32)
    second = (other * rng.uniform(-1, 1, length)).astype(np.float32)
    out = Augmentation(gain_db=(-20, 60)).apply(rng, first, second)
    assert out.shape == (length,)
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert np.abs(out).max(initial=0) <= 1.0


def test_does_not_change_its_input():
    first, second = tone(100), tone(200)
    before = first.copy(), second.copy()
    for i in range(10):
        Augmentation(noise_probability=1.0).apply(augment.generator(0, i), first, second)
    np.testing.assert_array_equal(first, before[0])
    np.testing.assert_array_equal(second, before[1])


def test_none_changes_nothing():
    np.testing.assert_allclose(UNCHANGED.apply(augment.generator(0, 0), tone(50), tone(60)), tone(50))


def test_gain_is_uniform_in_db():
    config = Augmentation(mix_probability=0, noise_probability=0)
    gains = [
        level_db(config.apply(augment.generator(1, i), tone(50), tone(60))) - level_db(tone(50))
        for i in range(400)
    ]
    assert -20 <= min(gains) < -19
    assert 5 < max(gains) <= 6.0001
    assert np.mean(gains) == pytest.approx(-7, abs=1.2)  # standard error 0.38


def test_a_peak_is_scaled_down_not_clipped():
    config = Augmentation(mix_probability=0, noise_probability=0, gain_db=(20, 20))
    out = config.apply(augment.generator(0, 0), tone(50, 0.5), tone(60))
    np.testing.assert_allclose(out, tone(50, 0.5) * 2, atol=1e-6)


def test_mixes_as_often_and_as_loud_as_asked():
    config = Augmentation(noise_probability=0, gain_db=(0, 0))
    over = []
    for i in range(600):
        out = config.apply(augment.generator(2, i), tone(50, 0.1), tone(60, 0.02))
        assert part(out, 50) == pytest.approx(0.1, rel=1e-4)
        if part(out, 60) > 1e-6:
            over.append(20 * np.log10(part(out, 50) / part(out, 60)))
    assert len(over) / 600 == pytest.approx(0.6, abs=0.08)  # standard error 0.02
    assert -15.001 <= min(over) < -13
    assert 13 < max(over) <= 15.001
    assert np.mean(over) == pytest.approx(0, abs=2)


@pytest.mark.parametrize("pink", [False, True])
def test_noise_has_its_level_and_colour(pink):
    config = Augmentation(mix_probability=0, noise_probability=1, noise_db=(20, 20), gain_db=(0, 0))
    spectra = []
    for i in range(200):
        noise = config.apply(augment.generator(3, i), tone(50), tone(60)) - tone(50)
        assert level_db(tone(50)) - level_db(noise) == pytest.approx(20, abs=0.01)
        power = np.abs(np.fft.rfft(noise)) ** 2
        octaves = 10 * np.log10(power[100:200].mean() / power[800:1600].mean())
        if (octaves > 4.5) == pink:
            spectra.append(octaves)
    assert 70 < len(spectra) < 130  # half of them
    # Three octaves: 9.03 dB for pink, 0 for white.
    assert np.mean(spectra) == pytest.approx(9.03 if pink else 0, abs=0.3)


def test_silence():
    config = Augmentation(mix_probability=1, noise_probability=1, mix_db=(0, 0), gain_db=(0, 0))
    nothing = np.zeros(N, np.float32)
    rng = augment.generator(0, 0)
    np.testing.assert_array_equal(config.apply(rng, nothing, nothing), nothing)
    alone = Augmentation(mix_probability=1, noise_probability=0, gain_db=(0, 0))
    np.testing.assert_allclose(alone.apply(rng, nothing, tone(60)), tone(60), atol=1e-7)
    np.testing.assert_allclose(alone.apply(rng, tone(60), nothing), tone(60), atol=1e-7)
    # A second clip that is all but silent is not raised to the level of the first.
    np.testing.assert_allclose(alone.apply(rng, tone(60), tone(70, 1e-4)), tone(60), atol=1e-7)


def test_crops_uniformly():
    sound = np.arange(12, dtype=np.float32)
    places = [int(augment.crop(augment.generator(0, i), sound, 10)[0]) for i in range(300)]
    assert np.bincount(places).shape == (3,)
    assert np.bincount(places).min() > 70


def test_a_short_clip_is_laid_into_silence():
    places = set()
    for i in range(50):
        out = augment.crop(augment.generator(0, i), np.ones(8, np.float32), 10)
        assert (out.shape, out.sum()) == ((10,), 8)
        places.add(int(np.argmax(out)))
        assert out[places.copy().pop() if len(places) == 1 else int(np.argmax(out)) + 7] == 1
    assert places == {0, 1, 2}


def test_round_trip_through_a_dictionary():
    config = Augmentation(mix_probability=0.5, gain_db=(-3, 3))
    assert config.to_dict()["gain_db"] == [-3.0, 3.0]
    assert Augmentation.from_dict(config.to_dict()) == config
    assert Augmentation.from_dict({}) == Augmentation()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mix_probability": 1.5}, "Received mix_probability = 1.5: it must lie in 0 .. 1."),
        ({"noise_probability": -0.1}, "Received noise_probability = -0.1: it must lie in 0 .. 1."),
        ({"gain_db": (6, -20)}, "Received gain_db = (6, -20): give a lowest and a highest value in dB"),
        (
            {"mix_db": (1,)},
            "Received mix_db = (1,): give a lowest and a highest value in dB, in -200 .. 200.",
        ),
        ({"noise_db": (0, float("nan"))}, "Received noise_db = (0, nan)"),
        (
            {"reverb": 1},
            "Received the unknown augmentation option 'reverb': known are speed_probability, speed_octaves",
        ),
    ],
)
def test_refuses_what_means_nothing(values, message):
    with pytest.raises(UsageError) as caught:
        Augmentation.from_dict(values)
    assert message in str(caught.value)


def _tone(hz: float, samples: int, rate: int = 16_000) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(samples) / rate).astype(np.float32)


def _loudest_hz(waveform: np.ndarray, rate: int = 16_000) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.argmax(spectrum) * rate / len(waveform))


@pytest.mark.parametrize(("octaves", "expected"), [(1.0, 2_000), (-1.0, 500), (0.0, 1_000)])
def test_cut_changes_pitch_by_as_many_octaves_as_it_says(octaves, expected):
    chosen = Augmentation(speed_probability=1.0, speed_octaves=(octaves, octaves), equaliser_probability=0.0)
    out = chosen.cut(np.random.default_rng(0), _tone(1_000, 64_000), 16_000)
    assert out.shape == (16_000,)
    assert out.dtype == np.float32
    assert _loudest_hz(out) == pytest.approx(expected, abs=2)


def test_cut_equalises_within_its_gains():
    chosen = Augmentation(speed_probability=0.0, equaliser_probability=1.0, equaliser_db=(-6.0, 6.0))
    noise = np.random.default_rng(1).standard_normal(16_000).astype(np.float32)
    gains = []
    for seed in range(20):
        out = chosen.cut(np.random.default_rng(seed), noise, 16_000)
        gain = np.abs(np.fft.rfft(out))[1:-1] / np.abs(np.fft.rfft(noise))[1:-1]
        gains.append(20 * np.log10(gain))
    gains = np.array(gains)
    assert gains.max() <= 6.01
    assert gains.min() >= -6.01
    assert gains.std() > 1


def test_cut_without_its_options_is_a_crop():
    waveform = np.random.default_rng(2).standard_normal(40_000).astype(np.float32)
    out = UNCHANGED.cut(np.random.default_rng(3), waveform, 16_000)
    starts = np.flatnonzero(waveform[:-16_000] == out[0])
    assert any(np.array_equal(waveform[k : k + 16_000], out) for k in starts)


def test_cut_lays_a_short_waveform_into_silence_at_any_speed():
    chosen = Augmentation(speed_probability=1.0, equaliser_probability=0.0)
    out = chosen.cut(np.random.default_rng(4), _tone(440, 4_000), 16_000)
    assert out.shape == (16_000,)
    assert (out == 0).mean() > 0.5


def test_what_came_later_is_off_and_not_told_of_where_it_is():
    """Examples of before say nothing of it, and are the same."""
    assert not Augmentation().placed
    later = ("reverberation", "bits", "mix_clips", "codec", "texture")
    assert not any(name.startswith(later) for name in Augmentation().to_dict())
    assert Augmentation.from_dict(Augmentation(mix_clips=3).to_dict()) == Augmentation(mix_clips=3)
    on = Augmentation(bits_probability=0.5, bits=(8, 8))
    assert on.placed
    assert on.to_dict()["bits"] == [8, 8]
    assert "reverberation_s" not in on.to_dict()
    assert "codec" not in on.to_dict()
    assert Augmentation.from_dict(on.to_dict()) == on
    lossy = Augmentation(codec_probability=0.5, codec="mp3", texture_probability=0.25)
    assert lossy.placed
    assert not Augmentation(texture_probability=0.25).placed
    assert {name: value for name, value in lossy.to_dict().items() if name.startswith(later)} == {
        "codec_probability": 0.5,
        "codec": "mp3",
        "codec_quality": [0.0, 1.0],
        "texture_probability": 0.25,
    }
    assert Augmentation.from_dict(lossy.to_dict()) == lossy


def test_a_frame_is_put_into_a_room_and_rounded():
    rng = np.random.default_rng(0)
    frame = tone(300)
    dry = Augmentation(reverberation_probability=1.0, reverberation_s=(0.2, 0.2), reverberation_db=(0, 0))
    wet = dry.place(rng, np.concatenate([frame[: N // 2], np.zeros(N // 2, np.float32)]), N)
    assert wet.dtype == np.float32
    assert level_db(wet[N // 2 : N // 2 + N // 20]) > -40
    rounded = Augmentation(bits_probability=1.0, bits=(8, 8)).place(rng, frame, N)
    np.testing.assert_array_equal(rounded * 2**7, np.round(rounded * 2**7))
    assert 0 < np.abs(rounded - frame).max() <= 2**-7


def test_place_does_nothing_that_has_no_chance():
    frame = tone(300)
    only = Augmentation(bits_probability=1e-12)
    np.testing.assert_array_equal(only.place(np.random.default_rng(0), frame, N), frame)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"reverberation_s": [0, 1]}, "give a shortest and a longest time in s, in 0.01 .. 10."),
        ({"bits": [8.5, 9]}, "give the fewest and the most, whole numbers in 2 .. 16."),
        ({"bits": [12, 7]}, "give the fewest and the most, whole numbers in 2 .. 16."),
        ({"mix_clips": 1}, "give a whole number in 2 .. 8."),
        ({"mix_clips": 2.0}, "give a whole number in 2 .. 8."),
        ({"bits_probability": 2}, "it must lie in 0 .. 1."),
        ({"codec_probability": -1}, "it must lie in 0 .. 1."),
        ({"texture_probability": "x"}, "it must lie in 0 .. 1."),
        ({"codec": "opus"}, "Received codec = 'opus': choose one of vorbis, mp3."),
        ({"codec": ["mp3"]}, "choose one of vorbis, mp3."),
        ({"codec_quality": [0.5, 1.5]}, "give a lowest and a highest quality, in 0 .. 1."),
        ({"codec_quality": 0.5}, "give a lowest and a highest quality, in 0 .. 1."),
        ({"reverberation_db": [3, 1]}, "give a lowest and a highest value in dB, in -200 .. 200."),
    ],
)
def test_effects_that_cannot_be_are_refused(values, said):
    with pytest.raises(UsageError) as refused:
        Augmentation.from_dict(values)
    assert str(refused.value).endswith(said)


def test_a_blend_is_of_both_at_a_level_in_range():
    even = Augmentation(mix_db=(6.0, 6.0))
    out, share = even.blend(np.random.default_rng(0), tone(100, 0.1), tone(300, 0.5))
    assert 20 * np.log10(part(out, 100) / part(out, 300)) == pytest.approx(6)
    assert share == pytest.approx(1 / (1 + 10**-0.6))
    alone, share = even.blend(np.random.default_rng(0), tone(100), np.zeros(N, np.float32))
    np.testing.assert_allclose(alone, tone(100))
    assert share == 1


@pytest.mark.parametrize("codec", list(codecs.CODECS))
def test_a_frame_goes_through_a_codec(codec):
    """Loud noise, whose peaks the codec raises above 1."""
    loud = np.random.default_rng(0).choice([-1.0, 1.0], 15_600).astype(np.float32)
    chosen = Augmentation(codec_probability=1.0, codec=codec, codec_quality=(0.2, 0.2))
    out = chosen.place(augment.generator(5, 1), loud, 16_000)
    assert (out.shape, out.dtype) == (loud.shape, np.float32)
    assert np.isfinite(out).all()
    assert np.abs(out).max() == 1
    assert not np.array_equal(out, loud)
    silence = np.zeros(15_600, np.float32)
    np.testing.assert_array_equal(chosen.place(augment.generator(5, 1), silence, 16_000), silence)


def test_a_codec_changes_nothing_of_the_other_effects():
    frame = tone(300)
    others = {"reverberation_probability": 1.0, "bits_probability": 1.0}
    plain = Augmentation(**others).place(augment.generator(0, 3), frame, N)
    never = Augmentation(**others, codec_probability=1e-12).place(augment.generator(0, 3), frame, N)
    np.testing.assert_array_equal(plain, never)


VARIED = """
import hashlib
import numpy as np
from edgesea import augment

chosen = augment.Augmentation(codec_probability=1.0, codec={codec!r}, texture_probability=1.0)
clip = (np.random.default_rng(0).standard_normal(20_000) * 0.1).astype(np.float32)
digest = hashlib.sha256()
for number in range(3):
    rng = augment.generator(2, number)
    first, second = (chosen.cut(rng, clip, 15_600) for _ in range(2))
    frame = chosen.apply(rng, first, chosen.textured(rng, second))
    digest.update(chosen.place(rng, frame, 16_000).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("codec", list(codecs.CODECS))
def test_another_process_makes_the_same_frames(codec):
    """An encoder that writes a random serial number, as Ogg's does, must not be heard."""
    made = [
        subprocess.run(
            [sys.executable, "-c", VARIED.format(codec=codec)], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert made[0] == made[1]
    assert len(made[0].strip()) == 64


def test_a_texture_is_as_likely_as_asked_and_has_the_clips_spectrum():
    chosen = Augmentation(texture_probability=0.25)
    clip = np.random.default_rng(0).uniform(-0.5, 0.5, N).astype(np.float32)
    made = [chosen.textured(augment.generator(4, i), clip) for i in range(400)]
    changed = [each for each in made if each is not clip]
    assert len(changed) / 400 == pytest.approx(0.25, abs=0.07)  # standard error 0.022
    for each in changed[:5]:
        assert each.dtype == np.float32
        np.testing.assert_allclose(np.abs(np.fft.rfft(each)), np.abs(np.fft.rfft(clip)), atol=1e-4)
        assert level_db(each) == pytest.approx(level_db(clip), abs=1e-4)


def test_what_depends_on_the_length_alone_is_kept_and_cannot_be_changed():
    """Sounds of two lengths in turn, each as without the cache; what it holds is no caller's."""
    chosen = Augmentation(speed_probability=1.0, equaliser_probability=1.0, noise_probability=1.0)
    waveform = np.random.default_rng(0).standard_normal(30_000).astype(np.float32) * 0.1

    def made(samples):
        rng = augment.generator(6, samples)
        first, second = (chosen.cut(rng, waveform, samples) for _ in range(2))
        return chosen.apply(rng, first, second)

    kept = (augment._counted, augment._places, augment._pinkness)
    again = [made(samples) for samples in (5_000, 8_001, 5_000, 8_001)]
    for samples, found in zip((5_000, 8_001), again[2:], strict=True):
        for each in kept:
            each.cache_clear()
        np.testing.assert_array_equal(made(samples), found)
    for array in (augment._counted(9), *augment._places(9), augment._pinkness(9)):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
