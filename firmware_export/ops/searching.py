"""ARG_MAX and ARG_MIN: where along an axis the largest or smallest value stands."""

from __future__ import annotations

import math

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import Lowering
from firmware_export.program import IN, OUT, Call, Constant
from firmware_export.require import refuse
from firmware_export.schema import TYPE_NAMES, Option


def _check(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op, 0, ("int8",))
    y = require.activation_out(graph, op, ("int32", "int64"))
    axis = require.axis(graph, op, 1, len(x.shape), ("int32", "int64"))
    if op.options["output_type"] != y.dtype:
        raise refuse(op, f"its options give the output as {op.options['output_type']}, it is {y.dtype}")
    require.shape(op, y, [n for i, n in enumerate(x.shape) if i != axis])


def _lower(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    axis = int(lowering.graph.input(op, 1).data.reshape(-1)[0]) % len(source.shape)
    constant = Constant(
        "edgesea_position_constant",
        {
            "outer": math.prod(source.shape[:axis]),
            "count": source.shape[axis],
            "inner": math.prod(source.shape[axis + 1 :]),
            "sign": 1 if op.opcode == "ARG_MAX" else -1,
            "wide": int(result.dtype == "int64"),
        },
    )
    lowering.add(op, (source.index,), Call("edgesea_position", (constant, IN(0), OUT)))


_OPTIONS = (Option("output_type", 0, TYPE_NAMES),)

KINDS = (
    Kind("ARG_MAX", union=40, options=_OPTIONS, inputs=(2, 2), version=3, check=_check, lower=_lower),
    Kind("ARG_MIN", union=57, options=_OPTIONS, inputs=(2, 2), version=3, check=_check, lower=_lower),
)
