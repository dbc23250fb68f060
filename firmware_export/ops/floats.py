"""ADD_N and CUMSUM, which TensorFlow Lite has in float32 only.

Converters leave them between DEQUANTIZE and QUANTIZE; the C model adds in float32 there, in the same order.
"""

from __future__ import annotations

import math

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import Lowering
from firmware_export.ops._options import MANY
from firmware_export.program import IN, OUT, Call, Constant
from firmware_export.require import refuse
from firmware_export.schema import Option


def _check_add_n(graph: Graph, op: Operator) -> None:
    y = require.activation_out(graph, op, ("float32",))
    for position in range(len(op.inputs)):
        x = require.activation_in(graph, op, position, ("float32",))
        if x.constant:
            raise refuse(op, f"its input {position} is a constant; fold it into the others, or use ADD")
        require.shape(op, y, x.shape)


def _add_n(lowering: Lowering, op: Operator) -> None:
    count = lowering.graph.output(op).elements
    calls = [Call("edgesea_float_add", (IN(0), IN(1), OUT, count))]
    for position in range(2, len(op.inputs)):
        calls.append(Call("edgesea_float_add", (OUT, IN(position), OUT, count)))
    lowering.add(op, op.inputs, *calls)


def _check_cumsum(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op, 0, ("float32",))
    y = require.activation_out(graph, op, ("float32",))
    require.shape(op, y, x.shape)
    require.axis(graph, op, 1, len(x.shape))


def _cumsum(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    axis = int(lowering.graph.input(op, 1).data.reshape(-1)[0]) % len(source.shape)
    constant = Constant(
        "edgesea_float_cumsum_constant",
        {
            "outer": math.prod(source.shape[:axis]),
            "count": source.shape[axis],
            "inner": math.prod(source.shape[axis + 1 :]),
            "exclusive": int(op.options["exclusive"]),
            "reverse": int(op.options["reverse"]),
        },
    )
    lowering.add(op, (source.index,), Call("edgesea_float_cumsum", (constant, IN(0), OUT)))


KINDS = (
    Kind("ADD_N", union=82, inputs=(2, MANY), check=_check_add_n, lower=_add_n),
    Kind(
        "CUMSUM",
        union=102,
        options=(Option("exclusive", 0, "bool", False), Option("reverse", 1, "bool", False)),
        inputs=(2, 2),
        check=_check_cumsum,
        lower=_cumsum,
    ),
)
