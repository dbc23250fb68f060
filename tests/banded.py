"""A bundle whose model is written by hand: the mean level of three bands of the spectrum, through a
sigmoid."""

import numpy as np
import soundfile

from edgesea.decisions.head import integer_alpha
from edgesea.exporting import write_bundle
from edgesea.frontend import Frontend

RATE = 8000
LABELS = ("low", "middle", "high")
PITCHES = {"low": 300.0, "middle": 1200.0, "high": 3000.0}

FRONTEND = Frontend(
    name="bands",
    sample_rate=RATE,
    samples=256 + 11 * 256,
    fft_size=256,
    window_length=256,
    hop=256,
    padding="valid",
    frames=12,
    power=2,
    mels=12,
    mel_scale="htk",
    fmin=50.0,
    fmax=4000.0,
    log="db",
    amin=1e-10,
    reference="one",
    floor=-100.0,
)


def network():
    """patch -> embedding (1, 3), the bands' mean levels, and scores (1, 3): loud or not."""
    import keras

    patch = keras.Input(FRONTEND.patch_shape, name="patch")
    x = keras.layers.AveragePooling2D((12, 4))(patch)
    x = keras.layers.Flatten()(x)
    embedding = keras.layers.Dense(3, name="embedding")
    scores = keras.layers.Dense(3, activation="sigmoid", name="scores")
    inner = embedding(x)
    model = keras.Model(patch, [inner, scores(inner)])
    embedding.set_weights([np.eye(3, dtype=np.float32) / 10, np.full(3, 5.0, np.float32)])
    scores.set_weights([2 * np.eye(3, dtype=np.float32), np.full(3, -8.0, np.float32)])
    return model


def patches() -> np.ndarray:
    """What int8 is calibrated on: each band loud and quiet."""
    random = np.random.default_rng(0)
    levels = random.uniform(-80, 10, (64, 1, 3, 1, 1))
    bands = np.broadcast_to(levels, (64, 12, 3, 4, 1)).reshape(64, 12, 12, 1)
    return np.clip(bands + random.normal(0, 5, (64, 12, 12, 1)), -100, 20).astype(np.float32)


def write(out, **options):
    """Writes the bundle to `out`; options of `write_bundle` over its own. Returns the folder."""
    from edgesea.exporting.tflite import convert_float, convert_int8

    names = ("embedding", "scores")
    model = network()
    decisions = {
        "labels": list(LABELS),
        "head": 3,
        "student": None,
        "every": 6,
        "window": 3,
        "alpha": integer_alpha([0.0, 0.0, 2.0]),
        "thresholds": [32768] * 3,
        "rest": 4,
        "agreement": None,
    }
    given = {
        "name": "bands",
        "int8": convert_int8(model, patches(), names),
        "float_": convert_float(model, names),
        "frontend": FRONTEND,
        "golden": patches()[:6],
        "decisions": decisions,
    }
    write_bundle(out, **given | options)
    return out


def sound(seconds: float = 12.0, seed: int = 1) -> np.ndarray:
    """Tones of the three bands that come and go over noise, int16."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * RATE)) / RATE
    mixed = random.normal(0, 0.003, len(time))
    for label in LABELS:
        on = np.repeat(random.random(int(seconds) + 1) < 0.5, RATE)[: len(time)]
        mixed += 0.25 * on * np.sin(2 * np.pi * PITCHES[label] * time)
    return np.clip(np.round(mixed * 32768), -32768, 32767).astype(np.int16)


def write_wav(path, pcm, rate: int = RATE):
    """A WAV of 16 bits."""
    soundfile.write(path, pcm, rate, subtype="PCM_16")
    return path
