"""Measures a model on the machine that this runs on, with the TFLite runtime that is installed here."""

import time
from pathlib import Path

import numpy as np

from edgesea.bench import conditions, memory
from edgesea.errors import UsageError
from edgesea.interpreter import Interpreter, open_interpreter, runtime
from firmware_export.graph import read

WARM_UP_S = 0.3
WARM_UP_RUNS = 5


def measure(
    model: Path, target: str = "", *, threads: int = 1, runs: int = 200, limit_s: float = 10.0
) -> dict:
    """Storage, activation memory and latency of a .tflite on this machine.

    Parameters
    ----------
    model : the .tflite
    target : without meaning here, the machine is this one
    threads : int > 0, of the runtime
    runs : int > 0, inferences that are timed after the warm-up
    limit_s : float > 0, stop timing after so many seconds though `runs` are not done (one is always timed)

    Returns
    -------
    dict
        A measurement. latency_ms holds median, p95, min, max of n single inferences, and apart from them
        cold_load (file to allocated interpreter, the runtime being imported already), first_inference and
        warm_up_runs.

    Raises
    ------
    UsageError : threads or runs below 1
    EdgeseaError : the model cannot be read or run
    """
    if threads < 1 or runs < 1:
        raise UsageError(f"threads and runs must be at least 1, received {threads} and {runs}")
    graph = read(model)
    runtime()  # imported here, so that the cold load is the model's alone

    before = conditions.state()
    start = time.perf_counter()
    interpreter = open_interpreter(model, threads=threads)
    cold_load = time.perf_counter() - start
    latency = {"threads": threads, "cold_load": _ms(cold_load), **_latency(interpreter, runs, limit_s)}
    after = conditions.state()

    return {
        "device": "host",
        "engine": engine(interpreter),
        "model": {"name": model.name, "sha256": graph.sha256},
        "storage": memory.storage(graph),
        "activation": memory.activation(graph),
        "latency_ms": latency,
        "conditions": {**conditions.machine(), "input": "random", "before": before, "after": after},
        "how": {
            "storage.model_bytes": "measured",
            "storage.weight_bytes": "computed",
            "activation": "computed",
            "latency_ms": "measured",
        },
    }


def engine(interpreter: Interpreter) -> str:
    """Runtime, version, kernels and delegate: `ai-edge-litert 2.3.0, default kernels, XNNPACK`."""
    name, version = interpreter.runtime
    # The runtimes have no public way to ask; all three have this one.
    operators = {detail["op_name"] for detail in interpreter.raw._get_ops_details()}
    # Only the delegate that a runtime applies by itself can be there, and that is XNNPACK.
    delegate = "XNNPACK" if "DELEGATE" in operators else "no delegate"
    return f"{name} {version}, {interpreter.resolver} kernels, {delegate}"


def example(interpreter: Interpreter) -> np.ndarray:
    """A random input of the model's own shape and type: all integers alike, floats as noise at -20 dB.

    Random because constant or empty input runs through other branches and, in float, into denormals.
    """
    generator = np.random.default_rng(0)
    kind = interpreter.input
    if np.issubdtype(kind.dtype, np.integer):
        limits = np.iinfo(kind.dtype)
        return generator.integers(limits.min, limits.max, kind.shape, kind.dtype, endpoint=True)
    return generator.normal(0, 0.1, kind.shape).astype(kind.dtype)


def _latency(interpreter: Interpreter, runs: int, limit_s: float) -> dict:
    """Times single inferences: the first, the warm-up untimed, then `runs` of them or `limit_s` seconds."""
    sample = example(interpreter)

    def once() -> float:
        start = time.perf_counter()
        interpreter.invoke(sample)
        return time.perf_counter() - start

    first = once()
    warm, spent = 0, 0.0
    while warm < WARM_UP_RUNS or spent < WARM_UP_S:
        spent += once()
        warm += 1
    times: list[float] = []
    while len(times) < runs and sum(times) < limit_s:
        times.append(once())
    return {
        "first_inference": _ms(first),
        "warm_up_runs": warm,
        "n": len(times),
        "median": _ms(np.median(times)),
        "p95": _ms(np.percentile(times, 95)),
        "min": _ms(min(times)),
        "max": _ms(max(times)),
    }


def _ms(seconds: float) -> float:
    return round(float(seconds) * 1000, 4)
