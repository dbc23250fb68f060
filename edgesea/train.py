"""The training loop: batches in, one objective; resumable after every epoch.

The order of the examples in epoch e depends on (seed, e) alone, and the state after each epoch (everything
that the objective calls its own, the best weights so far, the course) is one file that appears whole or not
at all. Training that was killed goes on after the last whole epoch and ends with the same student, to the bit
on one machine.
"""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edgesea import files, mixstyle
from edgesea.errors import EdgeseaError
from edgesea.examples import Examples, Fresh
from edgesea.objectives import Objective
from edgesea.progress import SILENT, Progress
from edgesea.team import Team

WARM_UP = 200  # optimiser steps until the learning rate is reached, at most a tenth of all
OPTIMIZERS = ("adamw", "muon")
AHEAD = 4  # batches that are read ahead


@dataclass(frozen=True)
class Schedule:
    """epochs, batch (frames), learning_rate, weight_decay, patience (epochs without a better score), seed;
    mixstyle, the chance that the patches of a batch mix their styles, see `edgesea.mixstyle`; kind, of
    optimiser: one of `OPTIMIZERS`.
    """

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float
    patience: int
    seed: int
    mixstyle: float = 0.0
    kind: str = "adamw"

    def optimizer(self, steps: int) -> Callable:
        """What makes the optimiser of some variables, for a share of `steps` steps in all.

        AdamW (Loshchilov and Hutter, 2019) or `edgesea.muon`, a linear warm-up, then a cosine to nearly
        nothing.
        """

        def make(variables: list, share: float = 1.0):
            import keras

            own = max(1, round(share * steps))
            warm_up = min(WARM_UP, own // 10)
            rate = keras.optimizers.schedules.CosineDecay(
                self.learning_rate / 20,
                max(1, own - warm_up),
                alpha=1e-3,
                warmup_target=self.learning_rate,
                warmup_steps=warm_up,
            )
            optimizer = _optimizer(self.kind)(rate, weight_decay=self.weight_decay)
            optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
            optimizer.build(variables)
            return optimizer

        return make


def _optimizer(kind: str) -> Callable:
    """The class of an optimiser."""
    if kind == "adamw":
        import keras

        return keras.optimizers.AdamW
    from edgesea.muon import Muon

    return Muon


class Watcher(Protocol):
    """Who looks on: what it says of the student joins the course, and it may end the training."""

    def score(self, student) -> dict[str, float]:
        """Figures of the network to deploy, by name."""

    def enough(self, course: Sequence[dict]) -> bool:
        """Whether the training ends after these epochs; a function of them alone."""


def train(
    objective: Objective,
    examples: Examples | Fresh,
    validation: Examples,
    schedule: Schedule,
    folder: Path,
    tensorboard: Path,
    *,
    watcher: Watcher | None = None,
    team: Team | None = None,
    progress: Progress = SILENT,
) -> list[dict]:
    """Trains what `objective` was begun with and leaves its network with the weights of its best epoch.

    Parameters
    ----------
    objective : Objective
        After `begin`.
    folder : Path
        Where the state lies; training goes on from what it holds.
    watcher : Watcher or None
        Is asked after every epoch.
    team : Team or None
        Trains each batch together; its chief writes the state. The objective was begun `together`.

    Returns
    -------
    list of dict
        The course, one an epoch: epoch, what the objective's losses and scores are called (losses are means
        over the epoch, scores on `validation`), learning_rate, seconds.

    Raises
    ------
    EdgeseaError
        The loss stops being a number, or the state cannot be read.
    """
    import tensorflow as tf

    steps = max(1, len(examples) // schedule.batch)
    state = _State(folder / "state.npz", objective)
    state.restore()
    writes = team is None or team.chief
    writer = tf.summary.create_file_writer(str(tensorboard)) if writes else tf.summary.create_noop_writer()
    step = team.compiled(objective.step) if team else tf.function(objective.step)
    objective.check_validation(validation)
    with (
        progress.stage("train", steps * schedule.epochs, steps * state.epoch) as advance,
        _read_ahead(_batches(examples, objective.needs, schedule, steps, state.epoch)) as batches,
    ):
        while state.epoch < schedule.epochs and not state.stale(schedule.patience):
            if watcher is not None and watcher.enough(state.course):
                break
            if objective.turn(state.epoch):
                step = tf.function(objective.step)
            started = time.monotonic()
            totals: dict[str, float] = {}
            for done in range(1, steps + 1):
                losses = {name: float(value) for name, value in step(next(batches)).items()}
                if not np.isfinite(losses["loss"]):
                    raise EdgeseaError(
                        f"The loss became {losses['loss']} in epoch {state.epoch + 1}: lower --learning-rate "
                        f"(it is {schedule.learning_rate:g}) and choose another --out."
                    )
                totals = {name: totals.get(name, 0.0) + value for name, value in losses.items()}
                note = f"epoch {state.epoch + 1}/{schedule.epochs} loss {totals['loss'] / done:.4f}"
                advance(1, note + state.best_note())
            course = {
                "epoch": state.epoch + 1,
                **{name: total / steps for name, total in totals.items()},
                **objective.score(validation),
                **(watcher.score(objective.deploy()) if watcher is not None else {}),
                "learning_rate": float(objective.optimizer.learning_rate),
                "seconds": time.monotonic() - started,
            }
            state.save(course, write=writes)
            with writer.as_default(step=course["epoch"]):
                for name in course.keys() - {"epoch", "seconds"}:
                    tf.summary.scalar(name, course[name])
            writer.flush()
    objective.finish()
    state.take_best()
    return state.course


def _batches(
    examples: Examples | Fresh, needs: frozenset, schedule: Schedule, steps: int, first_epoch: int
) -> Iterator[dict]:
    """Batches of tensors from `first_epoch` on, every epoch in an order of its own."""
    import tensorflow as tf

    for epoch in range(first_epoch, schedule.epochs):
        here = examples.of_epoch(epoch)
        order = np.random.default_rng([schedule.seed, 2, epoch]).permutation(len(here))
        size = min(schedule.batch, len(order))
        order = np.resize(order, steps * size)  # of fresh examples, some may have been dropped
        for step in range(steps):
            columns = here.batch(order[step * size : (step + 1) * size], needs)
            if schedule.mixstyle:
                rng = np.random.default_rng([schedule.seed, 3, epoch, step])
                columns["patch"] = mixstyle.mixed(rng, columns["patch"], schedule.mixstyle)
            yield {name: tf.constant(values) for name, values in columns.items()}


@contextlib.contextmanager
def _read_ahead(batches: Iterator[dict]) -> Iterator[Iterator[dict]]:
    """Yields the same batches, read by a thread that is some ahead and ends with the block.

    A plain thread and a queue: through `tf.data.Dataset.from_generator` the same batches cost two hundred
    thousand page faults a second where TensorFlow runs without oneDNN, and half of the training's time.
    """
    held: queue.Queue = queue.Queue(AHEAD)
    ended = threading.Event()

    def put(item) -> bool:
        while not ended.is_set():
            with contextlib.suppress(queue.Full):
                held.put(item, timeout=0.1)
                return True
        return False

    def read():
        try:
            for batch in batches:
                if not put((batch, None)):
                    return
        except BaseException as error:  # It is raised where the batch is asked for.
            put((None, error))

    def ask():
        while True:
            batch, error = held.get()
            if error is not None:
                raise error
            yield batch

    thread = threading.Thread(target=read, name="batches", daemon=True)
    thread.start()
    try:
        yield ask()
    finally:
        ended.set()
        thread.join()


class _State:
    """Everything that the rest of the training depends on, in one file."""

    def __init__(self, path: Path, objective: Objective):
        self.path = path
        self._criterion = objective.criterion.removeprefix("-")
        self._sign = -1 if objective.criterion.startswith("-") else 1
        self._first = objective.first
        self._kept, self._variables = objective.kept, objective.variables
        self.course: list[dict] = []
        self._best = [variable.numpy() for variable in self._kept]

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.course)

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) with the best score on validation audio; 0 before the first."""
        if not self.course:
            return 0
        looked_at = self.course[self._first :] or self.course
        return max(looked_at, key=lambda each: self._sign * each[self._criterion])["epoch"]

    def stale(self, patience: int) -> bool:
        return self.epoch > self._first and self.epoch - self.best_epoch >= patience

    def best_note(self) -> str:
        if not self.course:
            return ""
        label = {"r2": "R²"}.get(self._criterion, self._criterion)
        return f" {label} {self.course[self.best_epoch - 1][self._criterion]:.3f}"

    def save(self, course: dict, write: bool = True) -> None:
        """Takes an epoch in; `write` : into the file too."""
        self.course.append(course)
        if self.best_epoch == self.epoch:
            self._best = [variable.numpy() for variable in self._kept]
        if not write:
            return
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
        for variable, value in zip(self._kept, self._best, strict=True):
            variable.assign(value)
