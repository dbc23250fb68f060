"""BATCH_MATMUL: products of matrices that are both made at run time, as attention needs them."""

from __future__ import annotations

import math

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator, Tensor
from firmware_export.lowering import CTYPES, LARGEST_AXIS, Lowering
from firmware_export.ops._channels import short_multiplier
from firmware_export.ops._copies import AXIS
from firmware_export.program import IN, OUT, Array, Call, Constant, Slot
from firmware_export.quantize import quantize_multiplier
from firmware_export.require import refuse
from firmware_export.schema import Option


def _check(graph: Graph, op: Operator) -> None:
    a, b = (require.activation_in(graph, op, i) for i in (0, 1))
    y = require.activation_out(graph, op, (a.dtype,))
    if a.dtype != b.dtype:
        raise refuse(op, f"its inputs are {a.dtype} and {b.dtype}")
    if not 2 <= min(len(a.shape), len(b.shape)) <= max(len(a.shape), len(b.shape)) <= 4:
        raise refuse(op, f"its inputs have shapes {a.shape} and {b.shape}: two to four dimensions each")
    rows, depth = _matrix(a, op.options["transpose_a"])
    inner, columns = _matrix(b, op.options["transpose_b"])
    try:
        batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        batch = None
    if batch is None or depth != inner:
        raise refuse(op, f"its inputs have shapes {a.shape} and {b.shape}, which do not go together")
    require.shape(op, y, (*batch, rows, columns))
    largest = depth * require.reach(a) * require.reach(b)
    ratio = a.quantization.scale * b.quantization.scale / y.quantization.scale
    if a.dtype == "int8":
        require.multiplier(op, ratio, largest)
    elif largest >= 2**47 or ratio >= 2**7:
        raise refuse(op, f"sums of up to {largest} scaled by {ratio:g} overflow 48 bits")
    if max(rows, depth, columns) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")


def _matrix(tensor: Tensor, transposed: bool) -> tuple[int, int]:
    """Height and width of the matrix that is multiplied."""
    height, width = tensor.shape[-2:]
    return (width, height) if transposed else (height, width)


def _products(graph: Graph, op: Operator) -> int:
    shape = graph.input(op, 0).shape[-2:]
    depth = shape[:1] if op.options["transpose_a"] else shape[-1:]
    return graph.output(op).elements * math.prod(depth)


def _lower(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    a, b, y = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    q_a, q_b, q_y = a.quantization, b.quantization, y.quantization
    wide = y.dtype == "int16"
    multiplier, shift = quantize_multiplier(q_a.scale * q_b.scale / q_y.scale)
    fields: dict = {"multiplier": multiplier, "shift": shift}
    if wide:
        fields = dict(zip(("multiplier", "shift"), short_multiplier(multiplier, shift), strict=True))
    else:
        fields |= {"zero": (q_a.zero_point, q_b.zero_point), "out_zero": q_y.zero_point}
    rows, depth = _matrix(a, op.options["transpose_a"])
    a_strides, b_strides = (_strides(t, len(y.shape)) for t in (a, b))
    axes = layout.merge_axes(y.shape[:-2], a_strides[:-2], b_strides[:-2])
    # How far it is to the next row of a and column of b, and to the next value of each.
    across = (a_strides[-2], b_strides[-1])
    along = (a_strides[-1], b_strides[-2])
    if op.options["transpose_a"]:
        across, along = (along[0], across[1]), (across[0], along[1])
    if op.options["transpose_b"]:
        across, along = (across[0], along[1]), (along[0], across[1])
    constant = Constant(
        "edgesea_matmul16" if wide else "edgesea_matmul",
        {
            "axes": Array("axes", "edgesea_axis", np.array(axes or [(1, 0, 0)], AXIS)),
            "rank": max(len(axes), 1),
            "rows": rows,
            "columns": y.shape[-1],
            "depth": depth,
            "across": across,
            "along": along,
            **fields,
        },
    )
    inputs: list[int] = []
    operands: list[Slot | Array] = []
    for tensor, role in ((a, "left"), (b, "right")):
        if tensor.constant:
            operands.append(Array(role, CTYPES[tensor.dtype], tensor.data))
        else:
            operands.append(IN(len(inputs)))
            inputs.append(tensor.index)
    function = "edgesea_batch_matmul16" if wide else "edgesea_batch_matmul"
    lowering.add(op, inputs, Call(function, (constant, *operands, OUT)))


def _strides(tensor: Tensor, rank: int) -> list[int]:
    """Elements from one index to the next along each of ``rank`` axes; 0 where it is repeated."""
    lead = rank - len(tensor.shape)
    strides = layout.strides(tensor.shape)
    repeated = [n == 1 and axis < len(tensor.shape) - 2 for axis, n in enumerate(tensor.shape)]
    return [0] * lead + [0 if r else s for r, s in zip(repeated, strides, strict=True)]


KINDS = (
    Kind(
        "BATCH_MATMUL",
        union=101,
        options=(Option("transpose_a", 0, "bool", False), Option("transpose_b", 1, "bool", False)),
        inputs=(2, 2),
        version=4,
        check=_check,
        lower=_lower,
        cost=_products,
    ),
)
