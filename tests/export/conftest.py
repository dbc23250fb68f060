"""What the tests of the export share: one small student, its frontend, and patches."""

import numpy as np
import pytest
from deciding import heard_patches, tones

from edgesea.frontend import Frontend

FRAMES, MELS, DIMENSION = 24, 16, 8


@pytest.fixture(scope="session")
def frontend() -> Frontend:
    return Frontend(
        name="tiny",
        sample_rate=8000,
        samples=256 + (FRAMES - 1) * 128,
        fft_size=256,
        window_length=256,
        hop=128,
        padding="valid",
        frames=FRAMES,
        power=2,
        mels=MELS,
        mel_scale="htk",
        fmin=50.0,
        fmax=4000.0,
        log="db",
        amin=1e-10,
        reference="max",
        floor=-80.0,
    )


@pytest.fixture(scope="session")
def patches() -> np.ndarray:
    """(160, frames, mels, 1) float32, dB, [-80, 0]: bands that come and go, with noise on top."""
    generator = np.random.default_rng(7)
    time, pitch = np.mgrid[:FRAMES, :MELS]
    centre, width, onset = generator.uniform((2, 1, 2), (14, 5, 20), (160, 3)).T[..., None, None]
    bands = np.exp(-(((pitch - centre) / width) ** 2) - ((time - onset) / 6) ** 2)
    noise = generator.normal(0, 4, (160, FRAMES, MELS))
    return np.clip(-70 + 65 * bands + noise, -80, 0).astype(np.float32)[..., None]


@pytest.fixture(scope="session")
def student(patches):
    """A separable network that has learnt, roughly, eight fixed projections of the patch."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    patch = keras.Input((FRAMES, MELS, 1), name="patch")
    x = layers.Conv2D(8, 3, 2, "valid", use_bias=False, name="stem")(patch)
    x = layers.ReLU(name="stem_relu")(layers.BatchNormalization(momentum=0.8, name="stem_norm")(x))
    x = layers.DepthwiseConv2D(3, 1, "same", use_bias=False, name="depthwise")(x)
    x = layers.ReLU(name="depthwise_relu")(layers.BatchNormalization(momentum=0.8, name="depthwise_norm")(x))
    x = layers.Conv2D(16, 1, use_bias=False, name="pointwise")(x)
    x = layers.ReLU(6.0, name="pointwise_relu")(
        layers.BatchNormalization(momentum=0.8, name="pointwise_norm")(x)
    )
    x = layers.AveragePooling2D(2, name="pool")(x)
    model = keras.Model(patch, layers.Dense(DIMENSION, name="embedding")(layers.Flatten(name="flat")(x)))
    projection = np.random.default_rng(8).normal(0, 0.003, (FRAMES * MELS, DIMENSION))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    model.fit(patches, (patches[..., 0] + 60).reshape(len(patches), -1) @ projection, epochs=8, verbose=0)
    return model


@pytest.fixture(scope="session")
def float_model(student) -> bytes:
    from edgesea.exporting.tflite import convert_float

    return convert_float(student)


@pytest.fixture(scope="session")
def int8_model(student, patches) -> bytes:
    from edgesea.exporting.tflite import convert_int8

    return convert_int8(student, patches[:100])


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("tones"))


@pytest.fixture(scope="session")
def head(sounds, float_model, frontend):
    from edgesea.decisions.head import train

    return train(float_model, frontend, sounds, hop=0.2, window=3, rest=0.0)


@pytest.fixture(scope="session")
def heard(sounds, frontend):
    return heard_patches(sounds, frontend)
