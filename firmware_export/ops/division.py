"""DIV: the quotient of two int8 tensors, element by element.

The reference multiplies by a reciprocal of Newton's iteration. It ends the inference where a divisor is 0;
the C model goes on with the end of the range.
"""

from __future__ import annotations

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator, Tensor
from firmware_export.lowering import Lowering
from firmware_export.ops._options import fused_activation
from firmware_export.ops._pairwise import check_operands, pairwise
from firmware_export.quantize import (
    activation_range,
    clamp,
    multiply_high,
    quantize_multiplier,
    reciprocal,
    shift_right,
)
from firmware_export.require import refuse

# Numerators of nine bits leave so many bits of the 32.
_HEADROOM = 23


def _ratio(a: Tensor, b: Tensor, y: Tensor) -> float:
    return a.quantization.scale / (b.quantization.scale * y.quantization.scale)


def _check(graph: Graph, op: Operator) -> None:
    a, b, y = check_operands(graph, op, ("int8",))
    require.fused_activation(op, y)
    largest = require.reach(b)
    if b.constant:
        steps = b.data.astype(int) - b.quantization.zero_point
        if not steps.all():
            raise refuse(op, "its constant divisor has a 0")
        largest = int(abs(steps).max())
    _, shift = quantize_multiplier(_ratio(a, b, y))
    # The result of 0 / x is shifted right by 31 bits and more, which 32-bit arithmetic does not define.
    if shift < largest.bit_length() - 1 or shift > _HEADROOM:
        raise refuse(
            op,
            f"its ratio of scales {_ratio(a, b, y):g} makes the result of 0 / x undefined in TensorFlow "
            "Lite; multiply by the reciprocal instead",
        )


def _lower(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    a, b, y = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    q_a, q_b, q_y = a.quantization, b.quantization, y.quantization
    multiplier, shift = quantize_multiplier(_ratio(a, b, y))
    low, high = activation_range(op.options["activation"], q_y.scale, q_y.zero_point, "int8")

    def quotient(first: int, second: int) -> int:
        value, size = first - q_a.zero_point, second - q_b.zero_point
        if size < 0:
            value, size = -value, -size
        if value == 0:
            return q_y.zero_point
        if size == 0:
            return low if value < 0 else high
        inverse, right = reciprocal(size)
        headroom = 31 - (value if value >= 0 else ~value).bit_length()
        product = multiply_high(multiply_high(value << headroom, inverse), multiplier)
        return clamp(shift_right(product, headroom + right - shift) + q_y.zero_point, low, high)

    sides = [
        {"zero": q.zero_point, "multiplier": 0, "shift": 0, "sign": sign} for q, sign in ((q_a, 1), (q_b, -1))
    ]
    out = {
        "out_multiplier": multiplier,
        "out_shift": shift,
        "out_zero": q_y.zero_point,
        "low": low,
        "high": high,
    }
    pairwise(lowering, op, "edgesea_div", quotient, sides, out, by_rows=False)


KINDS = (
    Kind(
        "DIV",
        union=29,
        options=(fused_activation(0),),
        inputs=(2, 2),
        version=2,
        check=_check,
        lower=_lower,
    ),
)
