"""MEAN, SUM, REDUCE_MAX and REDUCE_MIN over axes; REDUCE_PROD of shapes.

SUM follows the optimised kernels: BUILTIN_REF of ai-edge-litert 2.3 sums the bytes of int8 and of int16 as if
they were unsigned, which is right only by accident.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator, Tensor
from firmware_export.lowering import Lowering
from firmware_export.ops._constants import of_integers
from firmware_export.ops._copies import AXIS
from firmware_export.program import IN, OUT, Array, Call, Constant, Rows
from firmware_export.quantize import LIMITS, quantize_multiplier
from firmware_export.require import refuse
from firmware_export.schema import Option


def _check(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op)
    y = require.activation_out(graph, op, (x.dtype,))
    axes = require.axes(graph, op, 1, len(x.shape))
    keep = op.options["keep_dims"]
    require.shape(op, y, [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes])
    if op.opcode in ("REDUCE_MAX", "REDUCE_MIN"):
        require.same_quantization(op, x, y, exact=True)
    elif op.opcode == "SUM":
        _check_sum(op, x, y)
    else:
        require.multiplier(op, require.ratio(x, y), (x.elements // y.elements) * require.reach(x))


def _check_sum(op: Operator, x: Tensor, y: Tensor) -> None:
    largest = x.elements // y.elements * -LIMITS[x.dtype][0]
    if largest >= 2**31:
        raise refuse(op, f"its sums can reach {largest}, more than 32 bits")


def _mean(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    multiplier, shift = quantize_multiplier(q.scale / q_out.scale)
    count = source.elements // result.elements
    # The division joins the multiplier, which keeps as many bits as fit: reference_ops::QuantizedMeanOrSum.
    bits = min(count.bit_length() - 1, 32, 31 + shift)
    scaling = {
        "multiplier": (multiplier << bits) // count,
        "offset": -q.zero_point * count,
        "shift": shift - bits,
        "out_zero": q_out.zero_point,
    }
    axes = _reduced_axes(lowering.graph, op)
    if source.dtype == "int16":
        _reduce(lowering, op, "edgesea_reduce_sum16", axes, {**scaling, "low": -32768, "high": 32767})
    elif len(source.shape) == 4 and source.shape[0] == 1 and axes == [1, 2]:
        _, height, width, channels = source.shape
        if lowering.turn and width == 1:
            height, width = width, height
        constant = Constant("edgesea_mean", {**scaling, "width": width, "channels": channels})
        rows = Rows(height, 1, width * channels, channels, height, singly=True)
        lowering.add_rows(op, "edgesea_mean_row", (source.index,), constant, rows, sums=4 * channels)
    else:
        _reduce(lowering, op, "edgesea_reduce_sum", axes, {**scaling, "low": -128, "high": 127})


def _sum(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    # In float32, with one rounding at the end: reference_ops::QuantizedMeanOrSum.
    scale = np.float32(q.scale) / np.float32(q_out.scale)
    bias = np.float32(-q.zero_point) * scale * np.float32(source.elements // result.elements)
    wide = "16" if source.dtype == "int16" else ""
    scaling = {"scale": float(scale), "bias": float(bias), "out_zero": q_out.zero_point}
    axes = _reduced_axes(lowering.graph, op)
    _reduce(lowering, op, f"edgesea_sum{wide}", axes, scaling, "edgesea_sum_constant")


def _extreme(lowering: Lowering, op: Operator) -> None:
    unused = {"multiplier": 0, "offset": 0, "shift": 0, "out_zero": 0, "low": -128, "high": 127}
    wide = "16" if lowering.graph.input(op, 0).dtype == "int16" else ""
    _reduce(lowering, op, f"edgesea_{op.opcode.lower()}{wide}", _reduced_axes(lowering.graph, op), unused)


def _reduced_axes(graph: Graph, op: Operator) -> list[int]:
    rank = len(graph.input(op, 0).shape)
    return sorted({int(axis) % rank for axis in graph.input(op, 1).data.reshape(-1)})


def _reduce(
    lowering: Lowering,
    op: Operator,
    function: str,
    axes: list[int],
    scaling: Mapping[str, int | float],
    ctype: str = "edgesea_reduce",
) -> None:
    """Any set of axes, by strides: those kept, then those reduced."""
    source = lowering.graph.input(op, 0)
    strides = layout.strides(source.shape)
    kept = [(source.shape[i], strides[i], 0) for i in range(len(strides)) if i not in axes]
    reduced = [(source.shape[i], strides[i], 0) for i in axes]
    constant = Constant(
        ctype,
        {
            "axes": Array("axes", "edgesea_axis", np.array(kept + reduced, AXIS)),
            **scaling,
            "kept": len(kept),
            "reduced": len(reduced),
        },
    )
    lowering.add(op, (source.index,), Call(function, (constant, IN(0), OUT)))


@of_integers
def _reduce_prod(values, shape, options):
    x, axes = values
    axes = {int(axis) for axis in axes.reshape(-1)}
    if not all(-x.ndim <= axis < x.ndim for axis in axes):
        return None
    axes = tuple({axis % x.ndim for axis in axes})
    return np.prod(x, axis=axes, dtype=x.dtype, keepdims=options["keep_dims"])


_OPTIONS = (Option("keep_dims", 0, "bool", False),)

KINDS = (
    Kind("MEAN", union=27, options=_OPTIONS, inputs=(2, 2), version=3, check=_check, lower=_mean),
    Kind("REDUCE_MAX", union=27, options=_OPTIONS, inputs=(2, 2), version=3, check=_check, lower=_extreme),
    Kind("REDUCE_MIN", union=27, options=_OPTIONS, inputs=(2, 2), version=3, check=_check, lower=_extreme),
    Kind("REDUCE_PROD", union=27, options=_OPTIONS, inputs=(2, 2), evaluate=_reduce_prod),
    Kind("SUM", union=27, options=_OPTIONS, inputs=(2, 2), version=2, check=_check, lower=_sum),
)
