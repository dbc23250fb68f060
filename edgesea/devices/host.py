"""Measures a model on the machine that this runs on, with the TFLite runtime that is installed here."""

from collections.abc import Sequence
from pathlib import Path

from edgesea.devices import conditions, latency
from edgesea.errors import EdgeseaError, UsageError
from edgesea.interpreter import open_interpreter
from edgesea.measures import memory
from edgesea.measures.inputs import random_inputs
from firmware_export.graph import Graph, read

# What follows the colon of the device's name.
TARGET = ""


def measure(
    model: Path,
    target: str = "",
    *,
    threads: int = 1,
    runs: int = 200,
    limit_s: float = 10.0,
    input_shape: Sequence[int] | None = None,
) -> dict:
    """Storage, activation memory and latency of a .tflite on this machine.

    Parameters
    ----------
    model : the .tflite
    target : without meaning here, the machine is this one
    threads : int > 0, of the runtime
    runs : int > 0, inferences that are timed after the warm-up
    limit_s : float > 0, stop timing after so many seconds though `runs` are not done (one is always timed)
    input_shape : of the first input, for a model whose file leaves its length open

    Returns
    -------
    dict
        A measurement. latency_ms holds median, p95, min, max of n single inferences, and apart from them
        cold_load (file to allocated interpreter, the runtime being imported already), first_inference and
        warm_up_runs.

    Raises
    ------
    UsageError : threads or runs below 1, a length that is open and not given, or not as the model has it
    EdgeseaError : the model cannot be read or run
    """
    if threads < 1 or runs < 1:
        raise UsageError(f"Received {threads} threads and {runs} runs: give at least 1 of each.")
    graph = read(model)
    # Its latency first: what follows may fail for want of memory, and the model that is timed has its own.
    before = conditions.state()
    interpreter = open_interpreter(model, threads=threads, input_shape=input_shape)
    timed = interpreter.sandbox.call(
        "edgesea.devices.latency:time_inferences",
        runs,
        limit_s,
        # The first and the warm-up, then as many as are timed.
        examples=latency.WARM_UP_RUNS + 2,
        seconds=threads * (limit_s + latency.WARM_UP_S),
    )
    after = conditions.state()

    return {
        "device": "host",
        "engine": interpreter.engine,
        "model": {"name": model.name, "sha256": graph.sha256},
        "storage": memory.storage(graph),
        "activation": _activation(model, graph, input_shape),
        "latency_ms": {"threads": threads, "cold_load": latency.ms(interpreter.load_s), **timed},
        "conditions": {
            **conditions.machine(),
            "input": _input(interpreter, input_shape),
            "before": before,
            "after": after,
        },
        "how": {
            "storage.model_bytes": "measured",
            "storage.weight_bytes": "computed",
            "activation": "computed",
            "latency_ms": "measured",
        },
    }


def _activation(model: Path, graph: Graph, input_shape: Sequence[int] | None) -> dict:
    """Activation memory with the shapes that the tensors have after one inference.

    Every inner tensor is kept for it; a model that is too large for that is answered with the reason.
    """
    try:
        interpreter = open_interpreter(model, preserve_all=True, input_shape=input_shape)
        interpreter.outputs_of(random_inputs(interpreter.inputs))
    except EdgeseaError as error:
        unknown = dict.fromkeys(memory.activation(graph))
        return {**unknown, "not_counted": f"Unknown, because {error}"}
    return memory.activation(memory.sized(graph, interpreter.tensors()))


def _input(interpreter, input_shape: Sequence[int] | None) -> str:
    """What went in, as a text: a length that was chosen is a condition of every figure."""
    if input_shape is None:
        return "random"
    return f"random, of shape {'x'.join(map(str, interpreter.input.shape))}"
