"""Reverberation and few bits: what they are said to do, measured on what comes out."""

import numpy as np
import pytest

from edgesea import effects

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
