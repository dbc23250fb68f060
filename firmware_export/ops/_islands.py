"""Islands of float: what a converter leaves between DEQUANTIZE and QUANTIZE for want of a quantised kernel.

A chain of functions of one value between int8 and int8 is one table, computed here in float32 as the
reference computes it at run time; its operators make no steps. ``Kind.real`` says which may be in it.
"""

from __future__ import annotations

import numpy as np

from firmware_export import require
from firmware_export.ir import Graph, Operator
from firmware_export.quantize import LIMITS
from firmware_export.require import refuse

# Longer chains come from no converter.
_LONGEST = 16


def is_real(graph: Graph, op: Operator) -> bool:
    """Whether ``op`` computes in float32."""
    x = graph.input(op, 0)
    return x is not None and x.dtype == "float32"


def check_real(graph: Graph, op: Operator) -> None:
    """Refuse a function of float32 values that cannot become part of a table."""
    x = require.activation_in(graph, op, 0, ("float32",))
    y = require.activation_out(graph, op, ("float32",))
    require.shape(op, y, x.shape)
    if not joins_table(graph, op):
        raise refuse(
            op,
            "it computes in float32, which is possible only in a chain of functions of one value between a "
            "DEQUANTIZE of int8 and a QUANTIZE to int8",
        )


def joins_table(graph: Graph, op: Operator) -> bool:
    """Whether all that reads ``op``, a DEQUANTIZE or a function of reals, takes it as part of a table."""
    if not _begins(graph, op):
        return False
    waiting, visited = [op], 0
    while waiting:
        current = waiting.pop()
        visited += 1
        readers = graph.consumers(current.outputs[0])
        if current.outputs[0] in graph.outputs or not readers or visited > _LONGEST:
            return False
        for reader in readers:
            if reader.opcode == "QUANTIZE" and graph.output(reader).dtype == "int8":
                continue
            if reader.kind is None or reader.kind.real is None:
                return False
            waiting.append(reader)
    return True


def _begins(graph: Graph, op: Operator) -> bool:
    """Whether ``op`` ends a chain of functions that begins with a DEQUANTIZE of int8."""
    return bool(_chain(graph, op))


def _chain(graph: Graph, last: Operator) -> list[Operator]:
    """The operators from a DEQUANTIZE of int8 to ``last``; none where these are no chain."""
    chain = [last]
    while len(chain) <= _LONGEST:
        first = chain[0]
        if first.opcode == "DEQUANTIZE":
            return chain if graph.input(first, 0).dtype == "int8" else []
        if first.kind is None or first.kind.real is None or not is_real(graph, first):
            return []
        before = graph.producer(first.inputs[0])
        if before is None:
            return []
        chain.insert(0, before)
    return []


def island(graph: Graph, op: Operator) -> list[Operator]:
    """The chain that a QUANTIZE to int8 ends and that is a table with it; empty where there is none."""
    before = graph.producer(op.inputs[0])
    if before is None or not is_real(graph, op) or graph.output(op).dtype != "int8":
        return []
    return _chain(graph, before)


def table_of(graph: Graph, op: Operator) -> tuple[int, np.ndarray]:
    """The int8 tensor that an island begins with, and what comes of -128..127 in it: int8 [shape=(256,)]."""
    chain = island(graph, op)
    source, result = graph.input(chain[0], 0), graph.output(op)
    low, high = LIMITS["int8"]
    steps = np.arange(low, high + 1) - source.quantization.zero_point
    values = np.float32(source.quantization.scale) * steps.astype(np.float32)
    with np.errstate(all="ignore"):
        for each in chain[1:]:
            values = each.kind.real(each, values).astype(np.float32)
        scaled = values / np.float32(result.quantization.scale)
    scaled = np.nan_to_num(scaled, nan=0.0, posinf=1e6, neginf=-1e6).astype(np.float64)
    rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    return source.index, np.clip(rounded + result.quantization.zero_point, low, high).astype(np.int8)
