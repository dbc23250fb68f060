"""MAXIMUM and MINIMUM of two tensors, SQUARED_DIFFERENCE."""

from __future__ import annotations

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import Lowering
from firmware_export.ops._pairwise import check_operands, pairwise
from firmware_export.quantize import LIMITS, clamp, quantize_multiplier, scale_twice
from firmware_export.require import refuse

# Bits that both operands gain before they are subtracted.
_SPARE_BITS = 7


def _check_comparison(graph: Graph, op: Operator) -> None:
    a, b, y = check_operands(graph, op)
    for x in (a, b):
        require.same_quantization(op, x, y)


def _comparison(lowering: Lowering, op: Operator) -> None:
    choose = max if op.opcode == "MAXIMUM" else min
    low, high = LIMITS[lowering.graph.output(op).dtype]
    side = {"zero": 0, "multiplier": 0, "shift": 0, "sign": 1}
    out = {"out_multiplier": 0, "out_shift": 0, "out_zero": 0, "low": low, "high": high}
    pairwise(lowering, op, f"edgesea_{op.opcode.lower()}", choose, [side, side], out, by_rows=False)


def _check_squared_difference(graph: Graph, op: Operator) -> None:
    a, b, y = check_operands(graph, op, ("int8",))
    if require.exponent(_way_back(a, b, y)) > 0:
        scales = [t.quantization.scale for t in (a, b, y)]
        raise refuse(
            op, f"its output's scale {scales[2]:g} is too small for its inputs' {max(scales[:2]):g}, squared"
        )


def _way_back(a, b, y) -> float:
    """From the square of the common scale, twice the larger one with bits to spare, to the output's."""
    largest = 2 * max(a.quantization.scale, b.quantization.scale)
    return largest * largest / (2.0 ** (2 * _SPARE_BITS) * y.quantization.scale)


def _squared_difference(lowering: Lowering, op: Operator) -> None:
    tensors = [lowering.graph.input(op, i) for i in (0, 1)]
    y = lowering.graph.output(op)
    largest = 2 * max(t.quantization.scale for t in tensors)
    sides = []
    for q in (t.quantization for t in tensors):
        multiplier, shift = quantize_multiplier(q.scale / largest)
        sides.append({"zero": q.zero_point, "multiplier": multiplier, "shift": shift, "sign": 1})
    multiplier, shift = quantize_multiplier(_way_back(tensors[0], tensors[1], y))
    zero = y.quantization.zero_point

    def square(*operands: int) -> int:
        a, b = (
            scale_twice((operand - side["zero"]) << _SPARE_BITS, side["multiplier"], side["shift"])
            for operand, side in zip(operands, sides, strict=True)
        )
        return clamp(scale_twice((a - b) ** 2, multiplier, shift) + zero, -128, 127)

    out = {"out_multiplier": multiplier, "out_shift": shift, "out_zero": zero, "low": -128, "high": 127}
    pairwise(lowering, op, "edgesea_squared_difference", square, sides, out, by_rows=False)


KINDS = (
    Kind(
        "MAXIMUM",
        union=39,
        inputs=(2, 2),
        version=4,
        check=_check_comparison,
        lower=_comparison,
    ),
    Kind(
        "MINIMUM",
        union=39,
        inputs=(2, 2),
        version=4,
        check=_check_comparison,
        lower=_comparison,
    ),
    Kind(
        "SQUARED_DIFFERENCE",
        union=76,
        inputs=(2, 2),
        version=2,
        check=_check_squared_difference,
        lower=_squared_difference,
    ),
)
