"""Damaged .tflite files through the process of their own: a result or a sentence, within time and memory.

The limits are those that every model of this size gets; what is checked is that they hold: nothing ends this
process, no mutant takes 5 s of processor time or 1 GB, and every error is one of edgesea's.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from edgesea.errors import EdgeseaError
from edgesea.interpreter import open_interpreter
from edgesea.measures.inputs import random_inputs
from edgesea.sandbox import limits

FIRMWARE = Path(__file__).parents[1] / "firmware"


def _module(name: str):
    spec = importlib.util.spec_from_file_location(f"sandbox_{name}", FIRMWARE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def originals(request) -> list[bytes]:
    """A small model of each of a few operators; and real ones, where they are."""
    graphs = _module("random_graphs")
    made = [graphs.single_operator_model(name, 3) for name in ("CONV_2D", "FULLY_CONNECTED", "MEAN")]
    shared = Path(__file__).resolve().parents[3] / "shared"
    real = ("models/kws_ref_model", "cases/models/hey_jarvis", "cases/stateful_teacher/stateful")
    return made + [path.read_bytes() for name in real if (path := shared / f"{name}.tflite").is_file()]


def _judged(originals: list[bytes], count: int, seed: int) -> dict[str, int]:
    damage = _module("damaged_models")
    rng = np.random.default_rng(seed)
    ends = {"ran": 0, "refused": 0, "died": 0}
    peak, sentences = 0, []
    for number in range(count):
        mutant = damage.mutated(originals[number % len(originals)], rng)
        limit = limits(len(mutant))
        assert limit.memory_bytes < 1 << 30
        assert limit.cpu_s < 5
        interpreter = None
        try:
            interpreter = open_interpreter(mutant)
            interpreter.outputs_of(random_inputs(interpreter.inputs))
            ends["ran"] += 1
        except EdgeseaError as error:
            sentences.append(str(error))
            ends["died" if "ended the process" in str(error) else "refused"] += 1
        if interpreter is not None:
            interpreter.sandbox.close()
            peak = max(peak, interpreter.sandbox.peak_bytes or 0)
    assert peak < 1 << 30
    assert not [each for each in sentences if "\n" in each or not each.endswith(".")]
    return ends


def test_mutants(originals):
    ends = _judged(originals, 200, seed=1)
    assert ends["ran"] > 5
    assert ends["refused"] > 20


@pytest.mark.slow
def test_many_mutants(originals):
    ends = _judged(originals, 10_000, seed=2)
    assert ends["died"] > 0, "these kill the runtime, and would have killed edgesea"
