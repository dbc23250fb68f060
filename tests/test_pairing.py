"""Teacher and student hear the same frame, each at its own rate."""

from dataclasses import replace

import numpy as np
import pytest
import soxr

from edgesea.errors import UsageError
from edgesea.frontend import preset
from edgesea.pairing import Pairing, heard_at
from edgesea.teachers import Teacher


class Ear(Teacher):
    """A teacher that gives back what it hears, and as scores twice that."""

    def __init__(self, sample_rate, samples):
        self.name = "ear"
        self.sample_rate, self.samples = sample_rate, samples
        self.outputs = {"embedding": (samples,), "scores": (samples,)}
        self.asked = []

    def hear(self, waveforms, wanted=("embedding",)):
        assert waveforms.flags.c_contiguous
        self.asked.append(tuple(wanted))
        given = {"embedding": waveforms, "scores": 2 * waveforms}
        return {name: given[name] for name in wanted}


class Remembered(Ear):
    """A source of embeddings that were made before: file and second, as a number."""

    waveforms = False

    def hear(self, waveforms, wanted=("embedding",)):
        raise AssertionError("it cannot hear")

    def recall(self, path, starts, wanted=("embedding",)):
        return {name: np.stack([np.full(len(starts), len(path)), starts], axis=1) for name in wanted}


def tone(rate, samples, hz=440.0, phase=0.3):
    return np.sin(2 * np.pi * hz * np.arange(samples) / rate + phase).astype(np.float32)[None] / 2


@pytest.mark.parametrize(
    ("teacher", "rate", "samples"),
    [
        (Ear(16_000, 15_600), 16_000, 15_600),  # the same ear
        (Ear(48_000, 48_000), 48_000, 48_000),  # the teacher hears more
        (Ear(8_000, 7_000), 16_000, 15_600),  # the student does: ceil(7000 * 2) is less than its own
        (Ear(8_000, 8_001), 16_000, 16_002),
        (Ear(44_100, 10_000), 44_100, 42_998),  # 15600 / 16000 s at 44.1 kHz is 42997.5 samples
    ],
)
def test_a_frame_is_long_enough_for_both(teacher, rate, samples):
    pairing = Pairing(teacher, preset("yamnet-16k"))
    assert (pairing.sample_rate, pairing.samples) == (rate, samples)
    assert pairing.embeddings(np.zeros((2, samples), np.float32)).shape == (2, teacher.samples)
    assert pairing.patches(np.zeros((2, samples), np.float32)).shape == (2, *preset("yamnet-16k").patch_shape)


def test_nothing_is_resampled_where_the_rates_agree():
    pairing = Pairing(Ear(16_000, 8_000), preset("yamnet-16k"))
    frames = np.random.default_rng(0).uniform(-1, 1, (3, pairing.samples)).astype(np.float32)
    np.testing.assert_array_equal(pairing.embeddings(frames), frames[:, :8_000])
    np.testing.assert_array_equal(pairing.patches(frames), preset("yamnet-16k").patch(frames))


def test_both_hear_the_same_tone_from_the_same_moment_on():
    frontend = preset("yamnet-16k")
    pairing = Pairing(Ear(48_000, 46_800), frontend)
    frames = tone(48_000, pairing.samples)
    np.testing.assert_array_equal(pairing.embeddings(frames), frames[:, :46_800])
    heard = pairing.patches(frames)
    expected = frontend.patch(tone(16_000, frontend.samples))
    # Away from the edges, where the resampler meets silence; in ln units.
    loud = expected[0, 5:-5] > -3
    assert loud.sum() > 200
    np.testing.assert_allclose(heard[0, 5:-5][loud], expected[0, 5:-5][loud], atol=0.02)


def test_frames_of_a_batch_do_not_hear_each_other():
    pairing = Pairing(Ear(22_050, 20_000), preset("sea-8k"))
    frames = np.random.default_rng(1).uniform(-1, 1, (5, pairing.samples)).astype(np.float32)
    together = heard_at(frames, pairing.sample_rate, 8_000, 8_000)
    for frame, heard in zip(frames, together, strict=True):
        alone = soxr.resample(frame, pairing.sample_rate, 8_000, quality="HQ")
        n = min(len(alone), 8_000)
        np.testing.assert_allclose(heard[:n], alone[:n], atol=1e-6)


def test_a_frame_that_resamples_a_little_short_ends_in_silence():
    frontend = preset("sea-8k")
    pairing = Pairing(Ear(44_100, 100), replace(frontend))
    heard = heard_at(np.ones((1, 100), np.float32), pairing.sample_rate, 8_000, 8_000)
    assert heard.shape == (1, 8_000)
    assert not heard[0, 100:].any()


def test_the_wanted_outputs_are_asked_for_in_one_go():
    teacher = Ear(16_000, 8_000)
    pairing = Pairing(teacher, preset("yamnet-16k"), wanted=("embedding", "scores"))
    assert pairing.outputs == {"embedding": (8_000,), "scores": (8_000,)}
    frames = np.random.default_rng(0).normal(size=(2, pairing.samples)).astype(np.float32)
    heard = pairing.hear(frames, "a.wav", np.zeros(2))
    assert teacher.asked == [("embedding", "scores")]
    np.testing.assert_array_equal(heard["embedding"], frames[:, :8_000])
    np.testing.assert_array_equal(heard["scores"], 2 * frames[:, :8_000])


def test_without_a_teacher_the_student_hears_alone():
    frontend = preset("yamnet-16k")
    pairing = Pairing(None, frontend)
    assert (pairing.sample_rate, pairing.samples, pairing.outputs) == (16_000, 15_600, {})
    assert pairing.hear(np.zeros((2, 15_600), np.float32), "a.wav", np.zeros(2)) == {}


def test_a_source_of_embeddings_is_asked_by_file_and_second_and_never_about_other_sound():
    teacher = Remembered(16_000, 15_600)
    pairing = Pairing(teacher, preset("yamnet-16k"))
    frames = np.zeros((2, 15_600), np.float32)
    heard = pairing.hear(frames, "abcd.wav", np.array([0.0, 1.5]))
    np.testing.assert_array_equal(heard["embedding"], [[8, 0], [8, 1.5]])
    with pytest.raises(UsageError, match=r"^The teacher ear gives embeddings .*: say --no-augment, which "):
        pairing.embeddings(frames)
