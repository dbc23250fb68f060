"""The way to run a .tflite: `open_interpreter` loads it in a process of its own and calls it there.

A .tflite can end the process that runs it (LiteRT aborts and faults on damaged files), fill its memory or
never come back; so each is held by a `Sandbox`, and here is the handle of it. Which runtime there is, and how
it is called, is in `edgesea.loaded_model`.

An interpreter is called with real numbers: `Interpreter.run` quantises a batch by the input's own scale and
zero point, feeds it one example at a time, and gives real numbers back. `Interpreter.invoke` is the same
without the arithmetic, integers in and integers out. Every example starts from the model's first state.

    interpreter = open_interpreter("model_int8.tflite")
    embedding = interpreter.run(patches)  # (n, frames, mels, 1) float32 -> (n, d) float32
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgesea.errors import UsageError
from edgesea.loaded_model import RUNTIMES, Tensor, find_tensor, quiet_stderr, runtime
from edgesea.sandbox import Limits, Sandbox, limits

__all__ = [
    "RESOLVERS",
    "RUNTIMES",
    "Interpreter",
    "Tensor",
    "find_tensor",
    "open_interpreter",
    "quiet_stderr",
    "runtime",
]

RESOLVERS = ("default", "reference")
# Examples sent at a time: enough that the messages cost nothing, few enough that memory does not grow.
_EXAMPLES = 64
_BYTES = 4 << 20


class Interpreter:
    """The handle of a model that runs in a process of its own; made by `open_interpreter`.

    inputs, outputs : tuple of Tensor
    input, output : the first of each, which is the only one of a student
    runtime : (name, version) of the runtime underneath
    engine : runtime, version, kernels and delegate, as a text
    stateful : whether something in it outlives an inference; every example starts without it all the same
    load_s : s that loading took
    resolver : 'default' or 'reference'
    """

    def __init__(self, sandbox: Sandbox, *, resolver: str):
        self.sandbox, self.resolver = sandbox, resolver
        described = sandbox.call(":described")
        self.runtime = tuple(described["runtime"])
        self.engine: str = described["engine"]
        self.stateful: bool = described["stateful"]
        self.load_s: float = described["load_s"]
        self.inputs = tuple(map(Tensor.from_dict, described["inputs"]))
        self.outputs = tuple(map(Tensor.from_dict, described["outputs"]))

    @property
    def input(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor of the model, inner ones and constants too, in the file's order.

        After an inference their shapes are those that it had, also where the file has placeholders.
        """
        return tuple(map(Tensor.from_dict, self.sandbox.call(":tensors_described")))

    def find(self, name: str) -> Tensor:
        """The one tensor whose name is `name`, or else the one whose name ends in it."""
        return find_tensor(self.tensors(), name)

    def value(self, tensor: Tensor) -> np.ndarray:
        """A copy of what a tensor holds now; an inner one is only there with `preserve_all`."""
        return self.sandbox.call(":value", tensor.index, tensor.name)

    def invoke(self, example: np.ndarray) -> np.ndarray:
        """Runs one example as it is, in the input's own type and number of values -> the first output."""
        return self.outputs_of([example])[0]

    def outputs_of(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Runs one example, an array an input in its own type -> every output in its own type."""
        typed = [
            np.asarray(values, tensor.dtype) for values, tensor in zip(inputs, self.inputs, strict=False)
        ]
        return self.sandbox.call(":outputs_of", [*typed, *inputs[len(typed) :]])

    def run(self, batch: np.ndarray, tensors: Sequence[Tensor] | None = None) -> Any:
        """Runs every example of `batch`, real numbers in and out.

        batch : (n, ...) float32, each example as many values as the input holds
        tensors : which tensors to read after each example; by default the first output

        Returns (n, ...) float32 for the first output, or a tuple of such arrays for `tensors`; a tensor's own
        leading batch dimension of 1 is dropped.
        """
        batch = np.asarray(batch)
        wanted = [tensor.index for tensor in ((self.output,) if tensors is None else tensors)]
        size = max(1, min(_EXAMPLES, _BYTES * len(batch) // max(1, batch.nbytes))) if len(batch) else 1
        parts = [
            self.sandbox.call(":run", part, wanted, examples=len(part))
            for part in (batch[start : start + size] for start in range(0, max(1, len(batch)), size))
        ]
        results = [np.concatenate(of_tensor) for of_tensor in zip(*parts, strict=True)]
        return results[0] if tensors is None else tuple(results)


def open_interpreter(
    model: Path | str | bytes,
    *,
    threads: int = 1,
    resolver: str = "default",
    preserve_all: bool = False,
    expose: Sequence[str] = (),
    input_shape: Sequence[int] | None = None,
    within: Limits | None = None,
) -> Interpreter:
    """Loads a .tflite, from a file or from its bytes, in a process of its own, and allocates its tensors.

    resolver : 'default' is the fastest that the runtime has (XNNPACK); 'reference' is TFLite's reference
        kernels (BUILTIN_REF) without any delegate, which the C model is held to, bit by bit
    preserve_all : keep inner tensors for `Interpreter.value`; then no delegate runs, which is several times
        slower
    expose : names (or the ends of names) of inner tensors that become the model's outputs, in this order and
        in place of its own: the way to read a few of them at full speed
    input_shape : of the first input, for a model whose file leaves it open
    within : limits of memory and time; by default those that `edgesea.sandbox.limits` gives its size

    Raises EdgeseaError where no runtime is installed or the model cannot be loaded, UsageError where the call
    is wrong, or where the file leaves a length open that was not given.
    """
    if resolver not in RESOLVERS:
        raise UsageError(f"The resolver must be one of {', '.join(RESOLVERS)}, received {resolver!r}.")
    if not isinstance(threads, int) or threads < 1:
        raise UsageError(f"The threads must be a whole number of at least 1, received {threads!r}.")
    given: bytes | str
    if isinstance(model, bytes):
        label, size, given = "The model", len(model), model
    else:
        label, given = str(model), os.path.abspath(model)
        size = os.path.getsize(given) if os.path.isfile(given) else 0
        if os.path.exists(given) and not os.path.isfile(given):
            what = "Is a directory" if os.path.isdir(given) else "Not a regular file"
            raise UsageError(f"{label} cannot be read ({what}): give the path of a .tflite file.")
    sandbox = Sandbox(
        label,
        "edgesea.loaded_model:load",
        {
            "model": given,
            "label": label,
            "threads": threads,
            "resolver": resolver,
            "preserve_all": preserve_all,
            "expose": list(expose),
            "input_shape": None if input_shape is None else [int(size) for size in input_shape],
        },
        limits=within or limits(size),
    )
    return Interpreter(sandbox, resolver=resolver)
