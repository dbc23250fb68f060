"""SOFTMAX over the last axis."""

from __future__ import annotations

import math

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import LARGEST_AXIS, Lowering
from firmware_export.program import IN, OUT, Array, Call, Constant
from firmware_export.quantize import interpolation_table, quantize_multiplier, softmax_exponentials
from firmware_export.require import refuse
from firmware_export.schema import Option


def _check(graph: Graph, op: Operator) -> None:
    x, y = require.unary(graph, op)
    require.output_quantization(op, y, *((1 / 256, -128) if y.dtype == "int8" else (1 / 32768, 0)))
    beta = op.options["beta"]
    if not x.shape or x.shape[-1] >= 2**16:
        raise refuse(op, f"its input has shape {x.shape}: the last axis may have 1 to 65535 values")
    if not 0 < beta <= require.LARGEST_SCALE:
        raise refuse(op, f"its beta is {beta:g}, outside 0 to {require.LARGEST_SCALE:g}")
    if x.dtype == "int8" and x.quantization.scale * beta * 2**26 <= 1:
        # PreprocessSoftmaxScaling shifts left only.
        raise refuse(op, f"its scale times beta, {x.quantization.scale * beta:g}, is not above 2**-26")
    if x.dtype == "int16":
        # 65535 steps of the input's difference stand for 10, where the exponential ends.
        require.multiplier(
            op, x.quantization.scale * beta * 6553.5, 65535, what="scale times beta times 6553.5,"
        )


def _softmax(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    source = graph.input(op, 0)
    width = source.shape[-1]
    if width > LARGEST_AXIS:
        raise refuse(op, f"its last axis exceeds {LARGEST_AXIS}")
    if source.dtype == "int16":
        _softmax16(lowering, op)
        return
    exponentials = softmax_exponentials(source.quantization.scale, op.options["beta"])
    constant = Constant(
        "edgesea_softmax_constant",
        {
            "exponentials": Array("exponentials", "int32_t", exponentials),
            "rows": source.elements // width,
            "width": width,
            "entries": exponentials.size,
        },
    )
    lowering.add(op, (source.index,), Call("edgesea_softmax", (constant, IN(0), OUT)), in_place=(0,))


def _softmax16(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    multiplier, shift = quantize_multiplier(source.quantization.scale * op.options["beta"] / (10.0 / 65535.0))
    exponentials = interpolation_table(math.exp, 10.0 / 65535, 2.0 / 65535, 32767)
    reciprocals = interpolation_table(lambda x: 1 / (1 + x), 1.0 / 65535, 2.0 / 65535, -32768)
    constant = Constant(
        "edgesea_softmax16_constant",
        {
            "exponentials": Array("exponentials", "int16_t", exponentials),
            "reciprocals": Array("reciprocals", "int16_t", reciprocals),
            "rows": source.elements // source.shape[-1],
            "width": source.shape[-1],
            "multiplier": multiplier,
            "shift": shift,
        },
    )
    lowering.add(op, (source.index,), Call("edgesea_softmax16", (constant, IN(0), OUT)), in_place=(0,))


KINDS = (
    Kind(
        "SOFTMAX",
        union=9,
        options=(Option("beta", 0, "float32", 0.0),),
        version=3,
        check=_check,
        lower=_softmax,
    ),
)
