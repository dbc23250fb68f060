"""The training loop: patches in, phi(teacher) as target, one objective; resumable after every epoch.

The order of the examples in epoch e depends on (seed, e) alone, and the state after each epoch (weights,
optimiser, best weights so far, course) is one file that appears whole or not at all. Training that was
killed goes on after the last whole epoch and ends with the same student, to the bit on one machine.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesea import files
from edgesea.errors import EdgeseaError
from edgesea.evaluation import fidelity
from edgesea.examples import Examples
from edgesea.progress import SILENT, Progress

WARM_UP = 200  # optimiser steps until the learning rate is reached, at most a tenth of all
PREDICT = 256  # frames a step when nothing is learnt


@dataclass(frozen=True)
class Plan:
    """epochs, batch (frames), learning_rate, weight_decay, patience (epochs without a better R^2), seed."""

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    patience: int
    seed: int


def train(
    student,
    examples: Examples,
    validation: Examples,
    loss: Callable,
    plan: Plan,
    folder: Path,
    tensorboard: Path,
    *,
    progress: Progress = SILENT,
) -> list[dict]:
    """Trains `student` in place and leaves it with the weights of its best epoch.

    folder : where the state lies; training goes on from what it holds
    Returns the course: a dict an epoch with epoch, loss, r2 and cosine (both on `validation`),
    learning_rate, seconds. Raises `EdgeseaError` where the loss stops being a number.
    """
    import tensorflow as tf

    steps = max(1, len(examples) // plan.batch)
    optimizer = _optimizer(plan, steps * plan.epochs)
    optimizer.build(student.trainable_variables)
    state = _State(folder / "state.npz", student, optimizer)
    state.restore()
    dataset = iter(_dataset(examples, plan, steps, state.epoch))
    writer = tf.summary.create_file_writer(str(tensorboard))

    @tf.function(jit_compile=False)
    def step(patches, targets):
        with tf.GradientTape() as tape:
            value = loss(targets, student(tf.cast(patches, tf.float32), training=True))
        gradients = tape.gradient(value, student.trainable_variables)
        optimizer.apply_gradients(zip(gradients, student.trainable_variables, strict=True))
        return value

    wanted, patches = validation.targets(), validation.patches()
    if not np.isfinite(fidelity.r2(wanted, wanted)):
        raise EdgeseaError(
            "The validation recordings hold no two frames that the teacher tells apart: give more sound, or "
            "another --seed."
        )
    with progress.stage("train", steps * plan.epochs, steps * state.epoch) as advance:
        while state.epoch < plan.epochs and not state.stale(plan.patience):
            started = time.monotonic()
            total = 0.0
            for done in range(1, steps + 1):
                value = float(step(*next(dataset)))
                if not np.isfinite(value):
                    raise EdgeseaError(
                        f"The loss became {value} in epoch {state.epoch + 1}: lower --learning-rate "
                        f"(it is {plan.learning_rate:g}) and choose another --out."
                    )
                total += value
                advance(
                    1, f"epoch {state.epoch + 1}/{plan.epochs} loss {total / done:.4f}{state.best_note()}"
                )
            embedding = predict(student, patches)
            course = {
                "epoch": state.epoch + 1,
                "loss": total / steps,
                "r2": fidelity.r2(wanted, embedding),
                "cosine": fidelity.cosine(wanted, embedding),
                "learning_rate": float(optimizer.learning_rate),
                "seconds": time.monotonic() - started,
            }
            state.save(course)
            with writer.as_default(step=course["epoch"]):
                for name in ("loss", "r2", "cosine", "learning_rate"):
                    tf.summary.scalar(name, course[name])
            writer.flush()
    state.take_best()
    return state.course


def predict(student, patches: np.ndarray) -> np.ndarray:
    """patches (N, frames, mels, 1) float32 -> embeddings (N, d) float32."""
    return student.predict(patches, batch_size=PREDICT, verbose=0)


def _optimizer(plan: Plan, steps: int):
    """AdamW (Loshchilov and Hutter, 2019), a linear warm-up, then a cosine to nearly nothing."""
    import keras

    warm_up = min(WARM_UP, steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        plan.learning_rate / 20,
        max(1, steps - warm_up),
        alpha=1e-3,
        warmup_target=plan.learning_rate,
        warmup_steps=warm_up,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=plan.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    return optimizer


def _dataset(examples: Examples, plan: Plan, steps: int, first_epoch: int):
    """Batches from `first_epoch` on, without end, every epoch in an order of its own."""
    import tensorflow as tf

    def batches():
        epoch = first_epoch
        while True:
            order = np.random.default_rng([plan.seed, 2, epoch]).permutation(len(examples))
            size = min(plan.batch, len(order))
            for step in range(steps):
                yield examples.batch(order[step * size : (step + 1) * size])
            epoch += 1

    patches, targets = examples.batch(np.arange(1))
    signature = (
        tf.TensorSpec((None, *patches.shape[1:]), tf.float16),
        tf.TensorSpec((None, *targets.shape[1:]), tf.float32),
    )
    return tf.data.Dataset.from_generator(batches, output_signature=signature).prefetch(4)


class _State:
    """Everything that the rest of the training depends on, in one file."""

    def __init__(self, path: Path, student, optimizer):
        self.path = path
        self._student = student
        self._variables = [*student.variables, *optimizer.variables]
        self.course: list[dict] = []
        self._best = [variable.numpy() for variable in student.variables]

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.course)

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) with the highest R^2 on validation audio; 0 before the first."""
        return max(self.course, key=lambda each: each["r2"])["epoch"] if self.course else 0

    def stale(self, patience: int) -> bool:
        return self.epoch - self.best_epoch >= patience

    def best_note(self) -> str:
        return f" R² {self.course[self.best_epoch - 1]['r2']:.3f}" if self.course else ""

    def save(self, course: dict) -> None:
        self.course.append(course)
        if self.best_epoch == self.epoch:
            self._best = [variable.numpy() for variable in self._student.variables]
        arrays = {f"now{i}": variable.numpy() for i, variable in enumerate(self._variables)}
        arrays |= {f"best{i}": value for i, value in enumerate(self._best)}
        with files.replacing(self.path) as temporary:
            np.savez(temporary, course=np.array(json.dumps(self.course)), **arrays)

    def restore(self) -> None:
        if not self.path.exists():
            return
        try:
            held = files.read_arrays(self.path)
            self.course = json.loads(str(held["course"]))
            now = [held[f"now{i}"] for i in range(len(self._variables))]
            self._best = [held[f"best{i}"] for i in range(len(self._best))]
            if any(
                value.shape != variable.shape for value, variable in zip(now, self._variables, strict=True)
            ):
                raise ValueError("of another student")
        except (OSError, ValueError, KeyError) as error:
            raise EdgeseaError(
                f"Cannot read the checkpoint {self.path} ({error}): delete it and run again to train from "
                "the start."
            ) from error
        for variable, value in zip(self._variables, now, strict=True):
            variable.assign(value)

    def take_best(self) -> None:
        for variable, value in zip(self._student.variables, self._best, strict=True):
            variable.assign(value)
