"""A teacher whose answers come from a model file, whatever runs it: framing, pooling, and a trial.

The trial at the door asks for one frame twice, with another in between and beside it. A model whose answer
changes has state that could not be set back, or randomness; its embeddings would depend on the order of the
clips, and it is refused.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from edgesea.errors import EdgeseaError, UsageError
from edgesea.sandbox import Sandbox
from edgesea.teacher import Ear, Teacher, TeacherOptions, fingerprint
from edgesea.teacher import ear as ear_of

# Of the largest value: equal arithmetic differs by less where a batch has another size.
_SAME = 1e-3
_SENT = 64  # frames to a model's process at a time


class Model(Protocol):
    """What runs a file, in a process of its own."""

    @property
    def input_shape(self) -> Sequence[int | None]:
        """Of one example; None for a size that is open."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """Of its outputs, "embedding" among them."""
        ...

    def run(self, frames: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """frames (B, ...) float32 -> (B, ...) float32 for each name."""
        ...


class Sandboxed:
    """A model behind a sandbox with one output, the embedding; see `Model`.

    sandbox : holds an object with `input_shape()` and `run(frames)`
    """

    names: Sequence[str] = ("embedding",)

    def __init__(self, sandbox: Sandbox):
        self._sandbox = sandbox
        self.input_shape: Sequence[int | None] = tuple(sandbox.call(":input_shape"))

    def run(self, frames: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Frames (B, ...) float32 -> the embedding by name, (B, ...) float32."""
        return {"embedding": np.concatenate(self._heard(frames))}

    def _heard(self, frames: np.ndarray, *wanted: list[str]) -> list:
        """What the model's `run` gives, part after part."""
        parts = [frames[start : start + _SENT] for start in range(0, len(frames), _SENT)]
        return [self._sandbox.call(":run", part, *wanted, examples=len(part)) for part in parts]


class ModelTeacher(Teacher):
    """See `edgesea.teacher.Teacher`."""

    def __init__(
        self,
        path: Path,
        options: TeacherOptions,
        model: Model,
        *,
        ear: Ear | None = None,
        name: str | None = None,
    ):
        self.name = name or path.stem
        self._path, self._model, self._pool = path, model, options.pool
        self._ear = ear or ear_of(path, tuple(model.input_shape), options)
        self.frontend = self._ear.frontend
        self.sample_rate, self.samples = self._ear.sample_rate, self._ear.samples
        self.fingerprint = fingerprint(path, options)
        raw = self._trial()
        self.outputs = {each: tuple(values.shape[1:]) for each, values in raw.items()}
        self.outputs["embedding"] = self._embedding_shape(raw["embedding"].shape[1:])

    def hear(self, waveforms: np.ndarray, wanted: Sequence[str] = ("embedding",)) -> dict[str, np.ndarray]:
        raw = self._raw(waveforms, wanted)
        if "embedding" in raw:
            raw["embedding"] = self._pooled(raw["embedding"])
        return raw

    def _raw(self, waveforms: np.ndarray, wanted: Sequence[str]) -> dict[str, np.ndarray]:
        return self._model.run(self._ear.frames(waveforms), wanted)

    def _trial(self) -> Mapping[str, np.ndarray]:
        """Everything that it gives for a frame of noise; refuses a model that gives two answers."""
        noise = np.random.default_rng(0).normal(0, 0.1, (2, self.samples)).astype(np.float32)
        first = self._raw(noise[:1], self._model.names)
        second = self._raw(noise[::-1], self._model.names)
        for name, values in first.items():
            scale = np.abs(values).max(initial=0)
            if not np.allclose(values[0], second[name][1], rtol=0, atol=_SAME * scale, equal_nan=True):
                raise UsageError(
                    f"The teacher {self._path} gives two answers for one frame (its {name}): it keeps a "
                    "state or draws random numbers, so give a model without either."
                )
        return first

    def _embedding_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        axes = tuple(size for size in shape if size != 1) or (1,)
        form = " x ".join(map(str, shape))
        if len(axes) == 1:
            if self._pool:
                raise UsageError(
                    f"The teacher {self._path} gives one vector of {axes[0]} a frame: leave "
                    "--teacher-pool out."
                )
            return axes
        if self._pool is None:
            raise UsageError(
                f"The teacher {self._path} gives an output of shape {form} a frame, where an embedding is "
                "one vector: join them with --teacher-pool mean (or max, first, last), or name the tensor or "
                "layer that is the embedding with --teacher-tensor."
            )
        if len(axes) > 2 and self._pool in ("first", "last"):
            raise UsageError(
                f"The teacher {self._path} gives a map of {form} a frame, which has no {self._pool} vector: "
                "give --teacher-pool mean or max."
            )
        count = int(np.prod(axes[:-1]))
        self.notes = (
            f"The teacher {self.name} gives {count} vectors of {axes[-1]} a frame; "
            f"--teacher-pool {self._pool} makes them one.",
        )
        return axes[-1:]

    def _pooled(self, values: np.ndarray) -> np.ndarray:
        if self._pool is None:
            return values.reshape(len(values), self.dimension)
        sequence = values.reshape(len(values), -1, self.dimension)
        if self._pool == "first":
            return sequence[:, 0]
        if self._pool == "last":
            return sequence[:, -1]
        return sequence.mean(axis=1) if self._pool == "mean" else sequence.max(axis=1)


def one_of_each(path: Path, inputs: int, outputs: int, named: str) -> None:
    """Refuses a model that does not say by itself what goes in and what comes out."""
    if (inputs, outputs) != (1, 1):
        raise UsageError(
            f"The teacher {path} has {inputs} inputs and {outputs} outputs: it has to "
            f"have one input, and one output or a {named} named by --teacher-tensor."
        )


def cores() -> int:
    """Of this machine, those that this process may use; OMP_NUM_THREADS, which Ray sets, may say fewer."""
    try:
        there = len(os.sched_getaffinity(0))
    except AttributeError:  # a system without it
        there = os.cpu_count() or 1
    told = os.environ.get("OMP_NUM_THREADS", "")
    return min(there, max(1, int(told))) if told.isdecimal() else there


def file_size(path: Path) -> int:
    """Bytes of a model's file, for the limits of what runs it. Raises `EdgeseaError` where it is gone."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise EdgeseaError(f"The teacher {path} cannot be read ({error.strerror}): give a file.") from error
