"""Trains a small audio transformer as a teacher, on the synthesised street and on labelled sound of your own.

    python benchmarks/train_transformer_teacher.py --out teacher.tflite
    python benchmarks/train_transformer_teacher.py --out real.tflite --data ../shared/data/esc10_other_folds

writes a .tflite that `edgesea distill --teacher` takes (see `edgesea.teachers.transformer`): patch
(1, 96, 64, 1) float32 of the frontend yamnet-16k -> embedding, class scores and attention maps; weights in
float16. With --data the classes of that data come behind the street's eight, and its recordings are heard
beside the street's; every clip has to have one label.

The network is AST's in small (Gong, Chung and Glass, Interspeech 2021), see `edgesea.students.transformer`.
Every epoch a frame is heard at another gain, shifted in time, and with bands and stretches left out (Park et
al., "SpecAugment", Interspeech 2019). It prints the accuracy on frames of recordings that were held out: what
may be said of this teacher, which is one for tests and comparisons.
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from edgesea import audio, datasets, files
from edgesea.datasets import split_groups, street
from edgesea.frontend import preset
from edgesea.interpreter import open_interpreter
from edgesea.students.transformer import Transformer, maps
from edgesea.teachers.transformer import ATTENTION, EMBEDDING, FRONTEND, MARK, SCORES

FRONT = preset(FRONTEND)
TRAIN_SEED, HELD_OUT_SEED = 720_001, 720_002
SHAPE, DIMENSION = Transformer(width=96, heads=6, layers=3, hidden=192), 128


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recordings", type=int, default=1200, help="of the street, heard in training")
    parser.add_argument("--held-out", type=int, default=160, help="recordings for the accuracy")
    parser.add_argument("--data", help="labelled sound, what `edgesea distill --data` takes")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--out", type=Path, required=True)
    call = parser.parse_args()

    began = time.monotonic()
    keras.utils.set_random_seed(TRAIN_SEED)
    parts = [street_frames(TRAIN_SEED, call.recordings), street_frames(HELD_OUT_SEED, call.held_out)]
    names = list(street.CLASSES)
    if call.data:
        real, classes = real_frames(call.data, len(names))
        parts = [tuple(map(np.concatenate, zip(a, b, strict=True))) for a, b in zip(parts, real, strict=True)]
        names += classes
    (x, y), (held_x, held_y) = parts
    print(f"{len(x)} + {len(held_x)} frames of {len(names)} classes after {time.monotonic() - began:.0f} s")

    embedder = SHAPE.build(*FRONT.patch_shape[:2], DIMENSION, name="transformer_teacher")
    logits = keras.layers.Dense(len(names), name="classes")(keras.ops.relu(embedder.output))
    model = keras.Model(embedder.input, logits)
    learn(model, x, y, call.epochs, len(names))
    right = model.predict(held_x, verbose=0).argmax(axis=1) == held_y
    print(f"accuracy on {len(right)} frames of held-out recordings: {right.mean():.3f}")
    for index, name in enumerate(names):
        own = held_y == index
        print(f"  {name:22s} {right[own].mean():.3f} of n = {own.sum()}" if own.any() else f"  {name}: none")
    files.write_bytes(call.out, convert(model, embedder))
    check(call.out, model, embedder, held_x[:16])
    print(f"{call.out}: {call.out.stat().st_size} bytes, {model.count_params()} parameters")
    print(f"{time.monotonic() - began:.0f} s altogether")


def street_frames(seed: int, recordings: int) -> tuple[np.ndarray, np.ndarray]:
    """The loudest frame of one clip of each recording: patches (n, 96, 64, 1) float32, classes (n,)."""
    x = [loudest(street.waveform(seed, recording, 0), 1)[0] for recording in range(recordings)]
    return np.stack(x), np.arange(recordings) % len(street.CLASSES)


def real_frames(data: str, first: int) -> tuple[list, list[str]]:
    """(training, held out), each patches and classes from `first` on, split by recording; class names."""
    manifest = datasets.load(data)
    names = list(manifest.labels)
    parts = split_groups([str(clip.group) for clip in manifest.clips], {"train": 0.9, "held-out": 0.1})
    if len({str(clip.group) for clip in manifest.clips}) <= len(names):
        # Where only the class is known of most clips, as a group: every tenth clip is held out.
        parts = {
            "train": [k for k in range(len(manifest)) if k % 10],
            "held-out": range(0, len(manifest), 10),
        }
    found = []
    for part in ("train", "held-out"):
        x, y = [], []
        for k in parts[part]:
            clip = manifest.clips[k]
            waveform = audio.read(
                clip.path, FRONT.sample_rate, start=clip.start, end=clip.end, silent_ok=True
            )
            patches = loudest(waveform, 2)
            x.append(patches)
            y += [first + names.index(clip.labels[0])] * len(patches)
        found.append((np.concatenate(x), np.array(y)))
    return found, names


def loudest(waveform: np.ndarray, count: int) -> np.ndarray:
    """Patches of the loudest frames of a clip, at most `count`: only some may hold the sound."""
    frames = audio.frame(waveform, FRONT.samples, FRONT.samples // 2)
    order = np.argsort(-np.square(frames).mean(axis=1))[:count]
    return FRONT.patch(frames[order])


def learn(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int, classes: int) -> None:
    """AdamW with a warm-up and a cosine, on frames that are varied anew in every epoch."""
    batch, rng = 64, np.random.default_rng(TRAIN_SEED)
    steps = epochs * (len(x) // batch)
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, steps, warmup_target=1e-3, warmup_steps=max(1, steps // 20)
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(rate, weight_decay=1e-2),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05),
        metrics=["accuracy"],
    )
    truth = np.eye(classes, dtype=np.float32)[y]
    for epoch in range(epochs):
        course = model.fit(varied(rng, x), truth, batch_size=batch, verbose=0).history
        print(
            f"epoch {epoch + 1}: loss {course['loss'][0]:.3f} accuracy {course['accuracy'][0]:.3f}",
            flush=True,
        )


def varied(rng: np.random.Generator, x: np.ndarray) -> np.ndarray:
    """Patches (n, 96, 64, 1), natural logarithms of power, each at another gain and place, and with holes."""
    out = x + rng.uniform(-2, 1, (len(x), 1, 1, 1)).astype(np.float32)
    for patch in out:
        patch[:] = np.roll(patch, rng.integers(patch.shape[0]), axis=0)
        for axis, most in ((0, 16), (1, 8)):
            size = rng.integers(most + 1)
            start = rng.integers(patch.shape[axis] - size + 1)
            patch[(slice(None),) * axis + (slice(start, start + size),)] = patch.mean()
    return out


def convert(model: keras.Model, embedder: keras.Model) -> bytes:
    """The network as .tflite with a batch of 1 and float16 weights.

    Its outputs are told apart by their order, which is that of their names here.
    """
    whole = keras.Model(embedder.input, [embedder.output, model.output, *maps(embedder)])

    def function(patch):
        embedding, logits, *attention = whole(patch, training=False)
        return {
            "attention": tf.stack([maps[0] for maps in attention], name=MARK)[None],
            "embedding": embedding,
            "scores": tf.nn.softmax(logits),
        }

    spec = tf.TensorSpec((1, *FRONT.patch_shape), tf.float32, name="patch")
    # Without a second argument: given the Keras model, TensorFlow 2.21 leaves the weights out of the file.
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [tf.function(function).get_concrete_function(spec)]
    )
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def check(path: Path, model: keras.Model, embedder: keras.Model, x: np.ndarray) -> None:
    """Compares the file with the network that it was made of."""
    held = open_interpreter(path, expose=[EMBEDDING, SCORES, ATTENTION])
    embedding, scores, attention = held.run(x, held.outputs)
    meant = [embedder.predict(x, verbose=0), keras.ops.softmax(model.predict(x, verbose=0)).numpy()]
    theirs = keras.Model(embedder.input, maps(embedder)).predict(x, verbose=0)
    meant.append(np.stack(theirs, axis=1))
    for name, a, b in zip(
        ("embedding", "scores", "attention"), (embedding, scores, attention), meant, strict=True
    ):
        print(f"{name} {a.shape[1:]}: largest difference {np.abs(a - b).max():.2e} of {np.abs(b).max():.2e}")


if __name__ == "__main__":
    main()
