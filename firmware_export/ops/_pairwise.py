"""What works on two tensors, element by element, one of them repeated where it is smaller."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Operator, Tensor
from firmware_export.lowering import CTYPES, Lowering, image_rows
from firmware_export.ops._copies import copy_call
from firmware_export.program import IN, OUT, Array, Call, Constant
from firmware_export.require import refuse

# Bytes of a constant that does not repeat simply and so lies in flash as often as it is used.
LARGEST_SPREAD = 2**20


def check_operands(graph: Graph, op: Operator, kinds=("int8", "int16")) -> tuple[Tensor, Tensor, Tensor]:
    """Both inputs and the output: of one type, and of shapes that go together."""
    a, b = (require.activation_in(graph, op, i, kinds) for i in (0, 1))
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
    return a, b, y


def pairwise(
    lowering: Lowering,
    op: Operator,
    function: str,
    formula: Callable[[int, int], int],
    sides: list[dict[str, int]],
    out: dict[str, int],
    by_rows: bool = True,
) -> None:
    """An operator on two tensors, element by element, one of them repeated where it is smaller.

    A constant of one element makes it a table. Otherwise the kernel wants the first operand whole and the
    second whole or repeated from its beginning; operands are exchanged for that, or spread out by a copy.
    ``by_rows``: whether there is a kernel that makes feature maps row by row.
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
    if operands[0].constant or (not operands[1].constant and operands[0].elements < result.elements):
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
    rows = image_rows(result, lowering.turn) if by_rows else None
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
