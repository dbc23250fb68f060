"""ADD, SUB and MUL: sums, differences and products of two tensors, element by element."""

from __future__ import annotations

import math

import numpy as np

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import Lowering
from firmware_export.ops._constants import of_integers
from firmware_export.ops._options import fused_activation
from firmware_export.ops._pairwise import check_operands, pairwise
from firmware_export.quantize import activation_range, clamp, float32_ratio, quantize_multiplier, scale_twice
from firmware_export.require import refuse
from firmware_export.schema import Option


def _check(graph: Graph, op: Operator) -> None:
    a, b, y = check_operands(graph, op)
    require.fused_activation(op, y)
    scales = [t.quantization.scale for t in (a, b, y)]
    if op.opcode == "MUL":
        require.multiplier(op, scales[0] * scales[1] / scales[2], require.reach(a) * require.reach(b))
        return
    if a.dtype == "int16" and op.options["pot_scale_int16"] and all(math.frexp(s)[0] == 0.5 for s in scales):
        raise refuse(op, "it adds by the old int16 rule for scales that are powers of two")
    # Both inputs are brought to twice the larger scale with bits to spare; the way back must shift right.
    back = 2 * max(scales[:2]) / (2.0 ** (20 if a.dtype == "int8" else 15) * scales[2])
    if require.exponent(back) > 0:
        raise refuse(op, f"its output's scale {scales[2]:g} is too small for its inputs' {max(scales[:2]):g}")


def _mul(lowering: Lowering, op: Operator) -> None:
    a, b = (lowering.graph.input(op, i).quantization for i in (0, 1))
    q_out = lowering.graph.output(op).quantization
    multiplier, shift = quantize_multiplier(float32_ratio(a.scale, b.scale, q_out.scale))
    dtype = lowering.graph.output(op).dtype
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, dtype)

    def product(first: int, second: int) -> int:
        raw = (first - a.zero_point) * (second - b.zero_point)
        return clamp(scale_twice(raw, multiplier, shift) + q_out.zero_point, low, high)

    sides = [{"zero": q.zero_point, "multiplier": 0, "shift": 0, "sign": 1} for q in (a, b)]
    out = {
        "out_multiplier": multiplier,
        "out_shift": shift,
        "out_zero": q_out.zero_point,
        "low": low,
        "high": high,
    }
    pairwise(lowering, op, "edgesea_mul", product, sides, out)


def _add(lowering: Lowering, op: Operator) -> None:
    quantizations = [lowering.graph.input(op, i).quantization for i in (0, 1)]
    q_out = lowering.graph.output(op).quantization
    dtype = lowering.graph.output(op).dtype
    spare_bits = 20 if dtype == "int8" else 15
    largest = 2 * max(q.scale for q in quantizations)
    sides = []
    for q, sign in zip(quantizations, (1, -1 if op.opcode == "SUB" else 1), strict=True):
        multiplier, shift = quantize_multiplier(q.scale / largest)
        sides.append({"zero": q.zero_point, "multiplier": multiplier, "shift": shift, "sign": sign})
    multiplier, shift = quantize_multiplier(largest / (2.0**spare_bits * q_out.scale))
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, dtype)

    def total(*operands: int) -> int:
        raw = sum(
            side["sign"]
            * scale_twice((operand - side["zero"]) << spare_bits, side["multiplier"], side["shift"])
            for operand, side in zip(operands, sides, strict=True)
        )
        return clamp(scale_twice(raw, multiplier, shift) + q_out.zero_point, low, high)

    out = {
        "out_multiplier": multiplier,
        "out_shift": shift,
        "out_zero": q_out.zero_point,
        "low": low,
        "high": high,
    }
    pairwise(lowering, op, "edgesea_add", total, sides, out)


def _of_shapes(function: np.ufunc):
    """``function`` of two integer constants; overflow wraps around, as it does in C."""

    def compute(values, shape, options):
        a, b = values
        if a.dtype != b.dtype or a.dtype.name not in ("int32", "int64") or options["activation"] != "NONE":
            return None
        try:
            if np.broadcast_shapes(a.shape, b.shape) != shape:
                return None
        except ValueError:
            return None
        with np.errstate(over="ignore"):
            return np.asarray(function(a, b, dtype=a.dtype))

    return of_integers(compute)


_SUM = (fused_activation(0), Option("pot_scale_int16", 1, "bool", True))

KINDS = (
    Kind(
        "ADD",
        union=11,
        options=_SUM,
        inputs=(2, 2),
        version=5,
        check=_check,
        lower=_add,
        evaluate=_of_shapes(np.add),
    ),
    Kind(
        "MUL",
        union=21,
        options=(fused_activation(0),),
        inputs=(2, 2),
        version=7,
        check=_check,
        lower=_mul,
        evaluate=_of_shapes(np.multiply),
    ),
    Kind(
        "SUB",
        union=28,
        options=_SUM,
        inputs=(2, 2),
        version=5,
        check=_check,
        lower=_add,
        evaluate=_of_shapes(np.subtract),
    ),
)
