"""Trained heads: an MLP over the frames of a clip, and what joins them into one answer.

Two ways to join, `pooling`:
    mean      the clip's mean embedding goes through the MLP
    autopool  every frame goes through it, and per class c the frames' probabilities p_t are joined by
                  P_c = sum_t p_tc * softmax_t(alpha_c * p_tc)
              with alpha_c learned from 1 on: 0 is the mean, infinity the maximum (auto-pool: McFee, Salamon,
              Bello, "Adaptive pooling operators for weakly labeled sound event detection", 2018). This is
              multiple-instance learning: the label is of the clip, and nobody knows of which frames.

The MLP has 0, 1 or 2 hidden layers of 128 or 256 rectified units, as in the SEA paper. Where clips have one
class each the frames' outputs are a softmax trained by cross-entropy, else sigmoids trained by binary
cross-entropy. Embeddings are standardised by the training frames. Training ends, and the shape is chosen, by
the validation clips alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from edgesea import backend
from edgesea.errors import UsageError
from edgesea.measures import metrics

POOLINGS = ("mean", "autopool")
# Hidden layers and their units, small to large: of equals the first is chosen.
SHAPES = ((0, 0), (1, 128), (1, 256), (2, 128), (2, 256))
EPOCHS, PATIENCE, BATCH, LEARNING_RATE, WEIGHT_DECAY = 100, 8, 64, 1e-3, 1e-5


@dataclass(frozen=True)
class Bags:
    """The frames of some clips.

    frames (N, d) float32 : clip after clip
    ends (clips + 1,) int64 : clip k has the frames ends[k] to ends[k + 1]; every clip has one at least
    """

    frames: np.ndarray
    ends: np.ndarray

    @classmethod
    def of(cls, embeddings: np.ndarray, clip: np.ndarray) -> "Bags":
        """embeddings (N, d) and the clip of each (N,), ascending: one bag for each number that occurs."""
        starts = np.flatnonzero(np.diff(clip, prepend=clip[0] - 1)) if len(clip) else np.zeros(0, int)
        return cls(np.asarray(embeddings, np.float32), np.append(starts, len(clip)).astype(np.int64))

    def __len__(self) -> int:
        return len(self.ends) - 1

    @property
    def longest(self) -> int:
        """Frames of the clip that has most."""
        return int(np.diff(self.ends).max())

    def means(self) -> "Bags":
        """One frame a clip, the mean of its frames."""
        means = np.stack([self.frames[a:b].mean(axis=0) for a, b in pairwise(self.ends.tolist())])
        return Bags(means, np.arange(len(self) + 1))

    def select(self, clips: Sequence[int] | np.ndarray) -> "Bags":
        """The bags of some clips, in that order."""
        rows = [np.arange(self.ends[k], self.ends[k + 1]) for k in clips]
        return Bags(self.frames[np.concatenate(rows)], np.cumsum([0, *map(len, rows)]))

    def padded(self, clips: Sequence[int] | np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """(B, length, d) float32, with zeros behind, and (B, length) float32, 1 where there is a frame."""
        frames = np.zeros((len(clips), length, self.frames.shape[1]), np.float32)
        present = np.zeros((len(clips), length), np.float32)
        for k, clip in enumerate(clips):
            held = self.frames[self.ends[clip] : self.ends[clip + 1]]
            frames[k, : len(held)], present[k, : len(held)] = held, 1
        return frames, present


class Head:
    """A trained head: bags -> scores (clips, classes) in [0, 1]."""

    def __init__(self, model, pooling: str, shape: tuple[int, int], length: int):
        self.pooling, self.hidden, self.units = pooling, *shape
        self._model, self._length = model, length

    def scores(self, bags: Bags) -> np.ndarray:
        """Of every clip and class."""
        bags = bags.means() if self.pooling == "mean" else bags
        length = max(self._length, bags.longest)
        parts = np.array_split(np.arange(len(bags)), -(-len(bags) // 256))
        return np.concatenate([self._model.predict_on_batch(bags.padded(part, length)) for part in parts])

    def layers(self) -> tuple[tuple[tuple[np.ndarray, np.ndarray], ...], list[float]]:
        """What it does to one frame, and how it joins frames.

        Returns (weights (inputs, outputs), bias (outputs,)) float64 of each layer, the standardisation in the
        first, all but the last rectified; and alpha of every class.
        """
        normal = next(each for each in self._model.layers if each.__class__.__name__ == "Normalization")
        mean, variance = (np.asarray(each, np.float64).ravel() for each in (normal.mean, normal.variance))
        dense = [each for each in self._model.layers if each.__class__.__name__ == "Dense"]
        layers = []
        for layer in dense:
            weights, bias = (np.asarray(each, np.float64) for each in layer.get_weights())
            layers.append((weights, bias))
        weights, bias = layers[0]
        weights = weights / np.sqrt(variance)[:, None]
        layers[0] = weights, bias - mean @ weights
        return tuple(layers), self._model.layers[-1].get_weights()[0].tolist()


def select(
    train: tuple[Bags, np.ndarray],
    validation: tuple[Bags, np.ndarray],
    *,
    pooling: str,
    shapes: Sequence[tuple[int, int]] = SHAPES,
    seed: int = 0,
) -> Head:
    """Trains a head of every shape and returns the one that is best on the validation clips.

    train, validation : bags, and truth (clips, classes) of 0 and 1
    pooling : one of `POOLINGS`

    Best is by accuracy where every clip has one class, else by macro AUPRC.
    Raises `UsageError` for an unknown pooling, and where either part has no clip.
    """
    if pooling not in POOLINGS:
        raise UsageError(f"Unknown pooling {pooling!r}: choose one of {', '.join(POOLINGS)}.")
    if not len(train[0]) or not len(validation[0]):
        raise UsageError(
            f"A head needs clips to train on and to validate on, and the data has {len(train[0])} and "
            f"{len(validation[0])}: give more labelled sound."
        )
    single = all((truth.sum(axis=1) == 1).all() for _, truth in (train, validation))
    metric = metrics.accuracy if single else metrics.macro_auprc
    best, reached = None, -1.0
    for shape in shapes:
        head = _train(train, validation, pooling, shape, single, seed)
        # NaN, where no validation clip has any class, is no better than anything.
        value = np.nan_to_num(metric(validation[1], head.scores(validation[0])))
        if value > reached:
            best, reached = head, value
    return best


def _train(train, validation, pooling: str, shape: tuple[int, int], single: bool, seed: int) -> Head:
    backend.load()
    import keras

    parts = [(bags.means() if pooling == "mean" else bags, truth) for bags, truth in (train, validation)]
    length = max(bags.longest for bags, _ in parts)
    keras.utils.set_random_seed(seed)
    model = _build(parts[0][0], parts[0][1].shape[1], length, shape, single)
    model.compile(
        keras.optimizers.Adam(LEARNING_RATE), "categorical_crossentropy" if single else "binary_crossentropy"
    )
    model.fit(
        _batches(*parts[0], length, seed),
        validation_data=_batches(*parts[1], length, None),
        epochs=EPOCHS,
        callbacks=[keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)],
        verbose=0,
    )
    return Head(model, pooling, shape, length)


def _build(train: Bags, classes: int, length: int, shape: tuple[int, int], single: bool):
    """frames (B, T, d), present (B, T) -> probabilities (B, classes)."""
    import keras

    frames = keras.Input((None, train.frames.shape[1]))
    present = keras.Input((None,))
    mean, spread = train.frames.mean(axis=0), train.frames.std(axis=0)
    x = keras.layers.Normalization(mean=mean, variance=np.where(spread > 0, spread, 1) ** 2)(frames)
    decay = keras.regularizers.L2(WEIGHT_DECAY)
    hidden, units = shape
    for _ in range(hidden):
        x = keras.layers.Dense(units, "relu", kernel_regularizer=decay)(x)
    x = keras.layers.Dense(classes, "softmax" if single else "sigmoid", kernel_regularizer=decay)(x)
    return keras.Model([frames, present], _autopool()(x, present))


def _autopool():
    import keras

    class AutoPool(keras.layers.Layer):
        """Joins probabilities (B, T, classes) where `present` (B, T) is 1 into (B, classes)."""

        def build(self, probabilities_shape, present_shape):
            self.alpha = self.add_weight(name="alpha", shape=probabilities_shape[-1:], initializer="ones")

        def call(self, probabilities, present):
            ops = keras.ops
            logits = ops.where(ops.expand_dims(present, -1) > 0, self.alpha * probabilities, -1e9)
            weight = ops.exp(logits - ops.max(logits, axis=1, keepdims=True))
            return ops.sum(probabilities * weight, axis=1) / ops.sum(weight, axis=1)

    return AutoPool()


def _batches(bags: Bags, truth: np.ndarray, length: int, seed: int | None):
    """Padded batches, in another order every epoch where there is a seed."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self):
            super().__init__()
            self.rng = np.random.default_rng(seed)
            self.order = np.arange(len(bags))
            self.on_epoch_end()

        def __len__(self):
            return -(-len(bags) // BATCH)

        def __getitem__(self, number):
            clips = self.order[number * BATCH : (number + 1) * BATCH]
            return bags.padded(clips, length), truth[clips].astype(np.float32)

        def on_epoch_end(self):
            if seed is not None:
                self.order = self.rng.permutation(len(bags))

    return Batches()
