"""Labels travel with frames: from clips into the store, and by shares of power into what is mixed."""

import dataclasses

import numpy as np
import pytest
import soundfile
from unchanged import UNCHANGED

from edgesea import augment, datasets, embed, examples
from edgesea.augment import Augmentation
from edgesea.pairing import Pairing
from edgesea.store import Store
from edgesea.teachers import Teacher

RATE = 8_000
CLASSES = ("a", "b", "c")


class Two(Teacher):
    """Half a second at 8 kHz: its mean as embedding, its peak as a further output."""

    name, fingerprint, outputs = "two", "1", {"embedding": (1,), "scores": (2,)}
    sample_rate, samples, frontend = RATE, RATE // 2, None

    def hear(self, waveforms, wanted=("embedding",)):
        every = {
            "embedding": waveforms.mean(axis=1)[:, None],
            "scores": np.stack([waveforms.max(axis=1), waveforms.min(axis=1)], axis=1),
        }
        return {name: every[name] for name in wanted}


class First:
    sample_rate, samples, patch_shape = RATE, RATE // 2, (1, 1, 1)

    def patch(self, waveforms):
        return waveforms[:, :1, None, None]


@pytest.fixture
def domain(tmp_path):
    """Three clips of tones, classes a, b and b, each of its own frequency and level, and its silence, c."""
    rows = ["path,label"]
    for name, hz, level, label in (("x", 440, 0.4, "a"), ("y", 990, 0.1, "b"), ("z", 1500, 0.2, "b")):
        tone = level * np.sin(2 * np.pi * hz * np.arange(4 * RATE) / RATE)
        soundfile.write(tmp_path / f"{name}.wav", tone, RATE, subtype="FLOAT")
        rows.append(f"{name}.wav,{label}")
    soundfile.write(tmp_path / "s.wav", np.zeros(4 * RATE), RATE, subtype="FLOAT")
    (tmp_path / "clips.csv").write_text("\n".join([*rows, "s.wav,c"]))
    return datasets.load(tmp_path / "clips.csv")


def powers(frame):
    """Power at the frequencies of the clips x, y and z."""
    spectrum = np.abs(np.fft.rfft(frame * np.hanning(len(frame)))) ** 2
    at = np.fft.rfftfreq(len(frame), 1 / RATE)
    return np.array([spectrum[np.abs(at - hz) < 20].sum() for hz in (440, 990, 1500)])


def test_every_frame_of_a_clip_has_its_label(tmp_path, domain):
    store = Store(tmp_path / "store", {})
    embed.embed(domain, Pairing(Two(), First()), store, 0.25, patches=True, classes=CLASSES)
    label, clip = store.column("label"), store.column("clip")
    assert label.dtype == np.float32
    np.testing.assert_array_equal(label, domain.truth(CLASSES)[clip])
    assert {tuple(row) for row in label} == {(1, 0, 0), (0, 1, 0)}  # silence is no clip


def test_without_classes_the_store_is_as_it_was(tmp_path, domain):
    store = Store(tmp_path / "store", {})
    embed.embed(domain, Pairing(Two(), First()), store, 0.25, patches=True)
    assert set(store.shards[0].layout) == {"path", "clip", "start", "level_db", "embedding", "patch"}


def test_a_mixtures_label_is_its_shares_of_power(tmp_path, domain, monkeypatch):
    """What the spectrum of the very frame holds of each clip is what its label says."""
    heard = []
    real = Two.hear
    monkeypatch.setattr(
        Two, "hear", lambda self, frames, wanted: heard.append(frames) or real(self, frames, wanted)
    )
    mixing = dataclasses.replace(UNCHANGED, mix_probability=1.0, mix_db=(-12.0, 12.0))
    store = Store(tmp_path / "examples", {})
    pairing = Pairing(Two(), First(), ("embedding", "scores"))
    examples.make(domain, [0, 1, 2], pairing, store, 100, mixing, 1, classes=CLASSES)
    label, held = store.column("label"), np.array([powers(frame) for frame in np.concatenate(heard)])
    held /= held.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        label, np.stack([held[:, 0], held[:, 1] + held[:, 2], 0 * held[:, 0]], 1), atol=0.02
    )
    assert ((label > 0.05) & (label < 0.95)).any(axis=1).sum() > 20
    # The teacher was asked of the mixture, for all outputs.
    np.testing.assert_allclose(store.column("scores")[:, 0], np.concatenate(heard).max(axis=1))


def test_a_mixture_of_three_has_the_shares_of_three(tmp_path, domain, monkeypatch):
    heard = []
    real = Two.hear
    monkeypatch.setattr(
        Two, "hear", lambda self, frames, wanted: heard.append(frames) or real(self, frames, wanted)
    )
    mixing = dataclasses.replace(UNCHANGED, mix_probability=1.0, mix_db=(-9.0, 9.0), mix_clips=3)
    store = Store(tmp_path / "examples", {})
    examples.make(domain, [0, 1, 2], Pairing(Two(), First()), store, 100, mixing, 1, classes=CLASSES)
    held = np.array([powers(frame) for frame in np.concatenate(heard)])
    held /= held.sum(axis=1, keepdims=True)
    # Three different clips: of one that is there twice the powers do not add up.
    three = (held > 1e-3).all(axis=1)
    assert 10 < three.sum() < 50
    wanted = np.stack([held[:, 0], held[:, 1] + held[:, 2], 0 * held[:, 0]], 1)
    np.testing.assert_allclose(store.column("label")[three], wanted[three], atol=0.02)


def test_silence_has_no_share_and_noise_takes_none():
    rng, tone = augment.generator(0, 0), np.full(100, 0.1, np.float32)
    mixing = dataclasses.replace(UNCHANGED, mix_probability=1.0, mix_db=(0.0, 0.0))
    silence = np.zeros(100, np.float32)
    assert mixing.mix(rng, tone, silence)[1] == 1
    assert mixing.mix(rng, silence, tone)[1] == 0
    assert mixing.mix(rng, tone, tone)[1] == pytest.approx(0.5)
    noisy = dataclasses.replace(UNCHANGED, noise_probability=1.0, noise_db=(0.0, 0.0))
    assert noisy.mix(rng, tone, tone)[1] == 1


def test_the_levels_decide_and_the_sound_is_what_it_was():
    first, second = np.full(100, 0.1, np.float32), np.full(100, 0.3, np.float32)
    for db, share in ((10.0, 10 / 11), (-10.0, 1 / 11), (3.0103, 2 / 3)):
        mixing = dataclasses.replace(UNCHANGED, mix_probability=1.0, mix_db=(db, db))
        frame, found = mixing.mix(augment.generator(0, 0), first, second)
        assert found == pytest.approx(share, rel=1e-4)
        np.testing.assert_array_equal(frame, mixing.apply(augment.generator(0, 0), first, second))
    assert Augmentation().mix(augment.generator(3, 1), first, second)[0].shape == (100,)
