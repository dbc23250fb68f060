"""TRANSPOSE_CONV, the way back of a convolution: each value of the input is spread over a window."""

from __future__ import annotations

import math

import numpy as np

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import LARGEST_AXIS, Lowering
from firmware_export.ops._channels import CHANNEL, CHANNEL16, channel_scales, multipliers_of, short_multiplier
from firmware_export.ops._options import fused_activation
from firmware_export.ops._windows import PADDING, STRIDE
from firmware_export.program import IN, OUT, Array, Call, Constant
from firmware_export.quantize import activation_range
from firmware_export.require import refuse
from firmware_export.schema import TYPE_NAMES, Option

# Where the inputs stand: the output's shape, the weights, the map, the bias.
_SHAPE, _WEIGHTS, _MAP, _BIAS = range(4)


def _check(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op, _MAP)
    y = require.activation_out(graph, op, (x.dtype,))
    weights = require.weights(graph, op, axis=0, rank=4)
    if len(x.shape) != 4 or len(y.shape) != 4 or weights.shape[3] != x.shape[3]:
        raise refuse(op, f"its weights have shape {weights.shape}, its map {x.shape}")
    if not all(1 <= n <= require.LARGEST_WINDOW for n in (*op.options["stride"], *weights.shape[1:3])):
        raise refuse(op, f"its stride {op.options['stride']} or window {weights.shape[1:3]} is out of range")
    wanted = require.constant(graph, op, _SHAPE, "output shape")
    if wanted.shape != (4,):
        raise refuse(op, f"its output shape is given as {wanted.tolist()}")
    require.shape(op, y, wanted.tolist())
    sizes = zip(x.shape[1:3], y.shape[1:3], weights.shape[1:3], op.options["stride"], strict=True)
    for size, made, taps, stride in sizes:
        # A convolution of the output by the same window and stride has to give the input's size.
        least = (size - 1) * stride + (1 if op.options["padding"] == "SAME" else taps)
        if not least <= made < least + stride:
            raise refuse(op, f"it makes {made} rows or columns of {size} by a stride of {stride}")
    if (y.shape[0], y.shape[3]) != (x.shape[0], weights.shape[0]):
        raise refuse(op, f"it makes shape {y.shape} of {x.shape} with weights {weights.shape}")
    if max(*x.shape, *y.shape) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    require.fused_activation(op, y)
    require.products(graph, op, x, weights, 0, y, bias_at=_BIAS)


def _products(graph: Graph, op: Operator) -> int:
    # Filter [out_channels, height, width, in_channels]; every element of the map meets every tap.
    return graph.input(op, _MAP).elements * math.prod(graph.input(op, _WEIGHTS).shape[:3])


def _lower(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    source, filter_, result = graph.input(op, _MAP), graph.input(op, _WEIGHTS), graph.output(op)
    q_in, q_out = source.quantization, result.quantization
    channels = filter_.shape[0]
    ratios = [q_in.scale * scale / q_out.scale for scale in channel_scales(filter_, channels)]
    multipliers, shifts = multipliers_of(ratios)
    wide = source.dtype == "int16"
    records = np.zeros(channels, CHANNEL16 if wide else CHANNEL)
    bias = graph.input(op, _BIAS)
    if bias is not None:
        records["bias"] = bias.data.reshape(-1)
    if wide:
        for channel, pair in enumerate(zip(multipliers.tolist(), shifts.tolist(), strict=True)):
            records[channel]["multiplier"], records[channel]["shift"] = short_multiplier(*pair)
    else:
        records["multiplier"], records["shift"] = multipliers, shifts
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, source.dtype)
    suffix = "16" if wide else ""
    fields = {
        "weights": Array("weights", "int8_t", filter_.data),
        "channels": Array("channels", f"edgesea_channel{suffix}", records),
        "batch": source.shape[0],
        "in_size": source.shape[1:3],
        "in_channels": source.shape[3],
        "out_size": result.shape[1:3],
        "out_channels": channels,
        "kernel": filter_.shape[1:3],
        "stride": op.options["stride"],
        "pad": tuple(_padding(op, axis, filter_.shape, result.shape) for axis in (0, 1)),
        "low": low,
        "high": high,
    }
    if not wide:
        fields |= {"in_zero": q_in.zero_point, "out_zero": q_out.zero_point}
    constant = Constant(f"edgesea_transposed_conv{suffix}_constant", fields)
    call = Call(f"edgesea_transposed_conv{suffix}", (constant, IN(0), OUT))
    lowering.add(op, (source.index,), call)


def _padding(op: Operator, axis: int, weights: tuple[int, ...], made: tuple[int, ...]) -> int:
    """How many rows (or columns) the convolution that made the map would have put before its first."""
    if op.options["padding"] == "VALID":
        return 0
    stride, size, taps = op.options["stride"][axis], made[1 + axis], weights[1 + axis]
    return max((-(-size // stride) - 1) * stride + taps - size, 0) // 2


KINDS = (
    Kind(
        "TRANSPOSE_CONV",
        union=49,
        options=(PADDING, STRIDE, fused_activation(3), Option("bias_type", 4, TYPE_NAMES)),
        inputs=(3, 4),
        version=5,
        check=_check,
        lower=_lower,
        cost=_products,
    ),
)
