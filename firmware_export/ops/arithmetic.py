"""ADD, SUB and MUL: sums, differences and products of two tensors, element by element."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator, Tensor
from firmware_export.lowering import CTYPES, Lowering, image_rows
from firmware_export.ops._constants import of_integers
from firmware_export.ops._copies import copy_call
from firmware_export.ops._options import fused_activation
from firmware_export.program import IN, OUT, Array, Call, Constant
from firmware_export.quantize import activation_range, clamp, float32_ratio, quantize_multiplier, scale_twice
from firmware_export.require import refuse
from firmware_export.schema import Option

# Bytes of a constant that does not repeat simply and so lies in flash as often as it is used.
LARGEST_SPREAD = 2**20


def _check(graph: Graph, op: Operator) -> None:
    a, b = (require.activation_in(graph, op, i) for i in (0, 1))
    y = require.activation_out(graph, op, (a.dtype,))
    if a.dtype != b.dtype:
        raise refuse(op, f"its inputs are {a.dtype} and {b.dtype}")
    if a.shape != b.shape and max(len(a.shape), len(b.shape)) > 4:
        raise refuse(op, f"it broadcasts {a.shape} with {b.shape}: more than four dimensions")
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise refuse(
            op, f"its inputs have shapes {a.shape} and {b.shape}, which do not go together"
        ) from None
    require.shape(op, y, shape)
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
    _pairwise(lowering, op, "edgesea_mul", product, sides, out)


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
    _pairwise(lowering, op, "edgesea_add", total, sides, out)


def _pairwise(
    lowering: Lowering,
    op: Operator,
    function: str,
    formula: Callable[[int, int], int],
    sides: list[dict[str, int]],
    out: dict[str, int],
) -> None:
    """An operator on two tensors, element by element, one of them repeated where it is smaller.

    A constant of one element makes it a table. Otherwise the kernel wants the first operand whole and the
    second whole or repeated from its beginning; operands are exchanged for that, or spread out by a copy.
    """
    graph = lowering.graph
    result = graph.output(op)
    wide = result.dtype == "int16"
    operands = [graph.input(op, i) for i in (0, 1)]
    for position in (1, 0):
        other = operands[1 - position]
        if (
            not wide
            and operands[position].constant
            and operands[position].elements == 1
            and other.shape == result.shape
        ):
            number = int(operands[position].data.reshape(-1)[0])
            pair = partial(_in_order, formula, number, position)
            lowering.add_table(op, other, pair)
            return
    order = (0, 1)
    if operands[0].constant or operands[0].elements < result.elements:
        order = (1, 0)
    first, second = (operands[i] for i in order)
    if first.elements < result.elements:
        first = _spread(lowering, op, first, result.shape)
    period = _period(second, result.shape)
    values = None
    if second.constant:
        if period is None:
            period = result.elements
            if result.bytes > LARGEST_SPREAD:
                raise refuse(op, f"its constant, spread over its output, takes {result.bytes} bytes of flash")
            values = np.ascontiguousarray(np.broadcast_to(second.data, result.shape))
        else:
            values = second.data.reshape(-1)
    elif period is None:
        second, period = _spread(lowering, op, second, result.shape), result.elements
    rows = image_rows(result, lowering.turn)
    row_elements = result.elements // rows.out_rows if rows else 0
    inputs = (first.index,) if second.constant else (first.index, second.index)
    by_rows = rows is not None and (
        row_elements % period == 0 if second.constant else period == result.elements
    )
    count = row_elements if by_rows else result.elements
    fields = {
        "constant": None if values is None else Array("operand", CTYPES[result.dtype], values),
        "count": count,
        "period": min(period, count),
        **{name: tuple(sides[i][name] for i in order) for name in ("multiplier", "shift", "zero", "sign")},
        **out,
    }
    if wide:
        # Their zero is 0.
        del fields["zero"], fields["out_zero"]
    suffix = "16" if wide else ""
    constant = Constant(f"edgesea_pairwise{suffix}", fields)
    whole = tuple(i for i in range(len(inputs)) if i == 0 or period == result.elements)
    if by_rows:
        lowering.add_rows(op, f"{function}{suffix}_row", inputs, constant, rows, in_place=whole)
    else:
        arguments = (constant, IN(0), 0 if second.constant else IN(1), OUT)
        lowering.add(op, inputs, Call(f"{function}{suffix}", arguments), in_place=whole)


def _in_order(formula: Callable[[int, int], int], number: int, position: int, value: int) -> int:
    """The formula of a constant at ``position`` and a value at the other."""
    return formula(value, number) if position else formula(number, value)


def _period(tensor: Tensor, shape: tuple[int, ...]) -> int | None:
    """After how many elements ``tensor`` repeats when spread over ``shape``; None if not so simply."""
    own = (1,) * (len(shape) - len(tensor.shape)) + tensor.shape
    lead = 0
    while lead < len(shape) and own[lead] == 1:
        lead += 1
    return tensor.elements if own[lead:] == shape[lead:] else None


def _spread(lowering: Lowering, op: Operator, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``tensor`` repeated over ``shape``, as a tensor of its own."""
    whole = lowering.temporary(shape, tensor.dtype)
    own = (1,) * (len(shape) - len(tensor.shape)) + tensor.shape
    strides = [0 if size == 1 else stride for size, stride in zip(own, layout.strides(own), strict=True)]
    call = copy_call(tensor, shape, strides, layout.strides(shape))
    lowering.add(op, (tensor.index,), call, output=whole.index)
    return whole


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
