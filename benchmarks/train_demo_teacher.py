"""Trains the demo's teacher: a small convolutional network on the synthesised street, labels known.

    python benchmarks/train_demo_teacher.py

writes edgesea/teachers/demo_teacher.tflite: patch (1, 96, 64, 1) float32 of the frontend yamnet-16k ->
embedding (1, 256) float32, >= 0; weights in float16. The training street has seeds of its own, so that no
recording of the demo was heard here. A clip's frames are trained together, since only some of them may hold
the sound: the clip's score of a class is the log of the mean exponential over its frames.

It prints the accuracy on recordings held out (same synthesiser, another seed), which is what the README may
say about this teacher; it is a teacher for a demonstration and for nothing else.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from edgesea import audio, files
from edgesea.datasets import street
from edgesea.frontend import PRESETS
from edgesea.interpreter import open_interpreter

FRONTEND = PRESETS["yamnet-16k"]
TRAIN_SEED, HELD_OUT_SEED = 710_001, 710_002
EMBEDDING = 256
TARGET = Path(__file__).resolve().parents[1] / "edgesea" / "teachers" / "demo_teacher.tflite"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=3200, help="heard in training, one clip each")
    parser.add_argument("--held-out", type=int, default=480, help="recordings for the accuracy")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=TARGET)
    call = parser.parse_args()

    began = time.monotonic()
    keras.utils.set_random_seed(TRAIN_SEED)
    x, y = patches(TRAIN_SEED, call.recordings)
    held_x, held_y = patches(HELD_OUT_SEED, call.held_out)
    print(
        f"{len(x)} + {len(held_x)} clips of {x.shape[1]} frames rendered in {time.monotonic() - began:.0f} s"
    )

    embedder = network()
    clips = classifier(embedder, frames=x.shape[1])
    batch = 32
    steps = call.epochs * -(-len(x) // batch)
    clips.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(2e-3, steps), weight_decay=1e-4
        ),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05),
        metrics=["accuracy"],
    )
    clips.fit(x, y, batch_size=batch, epochs=call.epochs, verbose=2)
    scores = clips.predict(held_x, verbose=0)
    report(scores, held_y)
    files.write_bytes(call.out, convert(embedder))
    check(call.out, embedder, held_x[:32].reshape(-1, *FRONTEND.patch_shape))
    print(f"{call.out}: {call.out.stat().st_size} bytes, {embedder.count_params()} parameters")
    print(f"{time.monotonic() - began:.0f} s altogether")


def patches(seed: int, recordings: int) -> tuple[np.ndarray, np.ndarray]:
    """One clip of each recording: patches (clips, frames, 96, 64, 1) float32, one-hot labels (clips, 8)."""
    classes = len(street.CLASSES)
    x = []
    for recording in range(recordings):
        waveform = street.waveform(seed, recording, 0)
        frames = audio.frame(waveform, FRONTEND.samples, FRONTEND.samples, pad=False)
        x.append(FRONTEND.patch(frames))
    return np.stack(x), np.eye(classes, dtype=np.float32)[np.arange(recordings) % classes]


def network() -> keras.Model:
    """patch (96, 64, 1) -> embedding (256,) >= 0, about 12 million multiply-accumulates."""

    def block(tensor, filters: int, size: int, strides: int):
        tensor = keras.layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(tensor)
        return keras.layers.ReLU()(keras.layers.BatchNormalization()(tensor))

    patch = keras.Input(FRONTEND.patch_shape, name="patch")
    # Fixed numbers instead of learned ones: log-mels of a street lie around -4 and spread by about 2.
    tensor = keras.layers.Rescaling(0.5, offset=2.0)(patch)
    tensor = block(tensor, 24, 5, 2)
    tensor = block(tensor, 48, 3, 2)
    tensor = block(tensor, 96, 3, 2)
    tensor = block(tensor, 192, 3, 2)
    tensor = block(tensor, EMBEDDING, 1, 1)
    embedding = keras.layers.GlobalAveragePooling2D(name="embedding")(tensor)
    return keras.Model(patch, embedding, name="demo_teacher")


def classifier(embedder: keras.Model, frames: int) -> keras.Model:
    """patches (frames, 96, 64, 1) -> logits of the clip (8,)."""
    clip = keras.Input((frames, *FRONTEND.patch_shape))
    embeddings = embedder(Frames()(clip))
    logits = keras.layers.Dense(len(street.CLASSES))(keras.layers.Dropout(0.3)(embeddings))
    return keras.Model(clip, Pool(frames)(logits))


class Frames(keras.layers.Layer):
    """(B, frames, ...) -> (B * frames, ...)."""

    def call(self, clips):
        return keras.ops.reshape(clips, (-1, *clips.shape[2:]))


class Pool(keras.layers.Layer):
    """Logits (B * frames, 8) -> (B, 8): log mean exp over the frames."""

    def __init__(self, frames: int):
        super().__init__()
        self.frames = frames

    def call(self, logits):
        logits = keras.ops.reshape(logits, (-1, self.frames, logits.shape[-1]))
        return keras.ops.logsumexp(logits, axis=1) - np.log(self.frames)


def convert(embedder: keras.Model) -> bytes:
    """The network as .tflite with a batch of 1 and float16 weights."""
    shape = (1, *FRONTEND.patch_shape)
    function = tf.function(lambda patch: embedder(patch, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec(shape, tf.float32, name="patch"))
    # Without a second argument: given the Keras model, TensorFlow 2.21 leaves the weights out of the file.
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def check(path: Path, embedder: keras.Model, x: np.ndarray) -> None:
    """Compares the file with the network that it was made of."""
    written, meant = open_interpreter(path).run(x), embedder.predict(x, verbose=0)
    difference = np.abs(written - meant).max() / np.abs(meant).max()
    print(f"float16 file against float32 network: largest difference {difference:.1e} of the largest value")
    if difference > 0.01:
        raise SystemExit(f"{path} does not compute what was trained: delete it.")


def report(scores: np.ndarray, labels: np.ndarray) -> None:
    right = scores.argmax(axis=1) == labels.argmax(axis=1)
    print(f"held-out recordings: accuracy {right.mean():.3f} of n = {len(right)}")
    for index, name in enumerate(street.CLASSES):
        own = labels[:, index] == 1
        print(f"  {name:22s} {right[own].mean():.3f} of n = {own.sum()}")


if __name__ == "__main__":
    main()
