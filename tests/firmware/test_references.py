"""Where TensorFlow Lite's own kernels disagree by more than rounding: what docs/c-model.md lists."""

from __future__ import annotations

import numpy as np
import pytest
import random_graphs
from ai_edge_litert.interpreter import Interpreter, OpResolverType

RESOLVERS = {
    "reference": OpResolverType.BUILTIN_REF,
    "optimised": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "XNNPACK": OpResolverType.BUILTIN,
}

# Beyond so many steps it is no longer rounding. Two roundings in a row, as in MEAN, may be two steps apart.
ROUNDING = 2

# The operators of BUILTIN_REF that are not as the optimised kernels are, by type.
WRONG = {"int8": {"SUM"}, "int16": {"SUM"}}
# Operators that BUILTIN_REF does not have.
ABSENT = {"ELU"}


def answers(model: bytes, seed: int) -> dict[str, list[np.ndarray]]:
    """What each set of kernels makes of the same inputs; without those that do not have the operator."""
    inputs = random_graphs.random_inputs(model, seed)
    found = {}
    for name, resolver in RESOLVERS.items():
        try:
            runner = Interpreter(model_content=model, experimental_op_resolver_type=resolver, num_threads=1)
            runner.allocate_tensors()
        except (RuntimeError, ValueError):
            continue
        for detail, value in zip(runner.get_input_details(), inputs, strict=True):
            runner.set_tensor(detail["index"], value)
        runner.invoke()
        found[name] = [runner.get_tensor(d["index"]) for d in runner.get_output_details()]
    return found


def apart(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """The greatest distance between two answers, in steps."""
    return max(
        float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max())
        for a, b in zip(one, other, strict=True)
    )


def furthest(opcode: str, dtype: str, seeds: range) -> dict[str, float]:
    """How far the other kernels are from the reference's on random models of one operator, in steps."""
    worst: dict[str, float] = {}
    for seed in seeds:
        found = answers(random_graphs.single_operator_model(opcode, seed, dtype), seed)
        for name in found.keys() - {"reference"}:
            if "reference" in found:
                distance = apart(found["reference"], found[name])
                worst[name] = max(worst.get(name, 0.0), distance)
    return worst


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_the_list_of_operators_that_the_reference_has_wrong(dtype):
    wrong = set()
    for opcode in random_graphs.MAKERS:
        if opcode in ABSENT or not random_graphs.supports(opcode, dtype):
            continue
        distances = furthest(opcode, dtype, range(6))
        if max(distances.values()) > ROUNDING:
            wrong.add(opcode)
    assert wrong == WRONG[dtype]
