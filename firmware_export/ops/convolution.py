"""CONV_2D and DEPTHWISE_CONV_2D."""

from __future__ import annotations

import math

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator, Tensor
from firmware_export.lowering import Lowering
from firmware_export.ops._channels import (
    SPARE,
    channel_scales,
    check_range,
    constant_channels,
    folded_bias,
    largest_sums,
    multipliers_of,
    records16,
    records_of,
)
from firmware_export.ops._grouped import grouped_convolution
from firmware_export.ops._options import fused_activation
from firmware_export.ops._padding import joins_reader
from firmware_export.ops._windows import PADDING, STRIDE, frame_of
from firmware_export.program import Array, Constant
from firmware_export.quantize import activation_range
from firmware_export.require import refuse
from firmware_export.schema import TYPE_NAMES, Option

# edgesea_kernels.h: EDGESEA_FULL_RANGE, EDGESEA_RELU.
FULL_RANGE, RELU = 2, 4


def _check_conv_2d(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op)
    y = require.activation_out(graph, op, (x.dtype,))
    weights = require.weights(graph, op, axis=0, rank=4)
    size = require.window(op, x, weights.shape[1:3], op.options["dilation"])
    if x.shape[3] % weights.shape[3] or weights.shape[0] % (x.shape[3] // weights.shape[3]):
        raise refuse(
            op,
            f"its weights read {weights.shape[3]} channels of {x.shape[3]} and make {weights.shape[0]}, "
            "which are no groups of one size",
        )
    require.bias(graph, op)
    require.shape(op, y, (x.shape[0], *size, weights.shape[0]))
    require.fused_activation(op, y)
    require.products(graph, op, x, weights, 0, y)


def _check_depthwise_conv_2d(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op)
    y = require.activation_out(graph, op, (x.dtype,))
    weights = require.weights(graph, op, axis=3, rank=4)
    size = require.window(op, x, weights.shape[1:3], op.options["dilation"])
    multiplier = op.options["depth_multiplier"]
    if weights.shape[0] != 1 or weights.shape[3] != x.shape[3] * multiplier:
        raise refuse(
            op, f"its weights {weights.shape} do not make {multiplier} channels of each of {x.shape[3]}"
        )
    require.bias(graph, op)
    require.shape(op, y, (x.shape[0], *size, weights.shape[3]))
    require.fused_activation(op, y)
    require.products(graph, op, x, weights, 3, y)


def _conv_2d_products(graph: Graph, op: Operator) -> int:
    # Filter [out_channels, height, width, in_channels]: each output element sums one filter.
    return graph.output(op).elements * math.prod(graph.input(op, 1).shape[1:])


def _depthwise_products(graph: Graph, op: Operator) -> int:
    # Filter [1, height, width, out_channels]: each output element sums one channel of it.
    return graph.output(op).elements * math.prod(graph.input(op, 1).shape[1:3])


def _conv_2d(lowering: Lowering, op: Operator) -> None:
    source, filter_ = lowering.graph.input(op, 0), lowering.graph.input(op, 1)
    if filter_.shape[3] != source.shape[3]:
        grouped_convolution(lowering, op)
        return
    if source.dtype == "int16":
        _convolution16(lowering, op, filter_.data, filter_.shape[0], "edgesea_conv16_row")
        return
    _convolution(lowering, op, filter_.data, "edgesea_conv_row")


def _depthwise_conv_2d(lowering: Lowering, op: Operator) -> None:
    source, filter_ = lowering.graph.input(op, 0), lowering.graph.input(op, 1)
    if source.dtype == "int16":
        _convolution16(lowering, op, filter_.data, filter_.shape[3], "edgesea_depthwise16_row")
        return
    # [channels, height, width, 1], as if every output channel had a convolution of its own.
    weights = np.moveaxis(filter_.data, 3, 0).reshape(filter_.shape[3], *filter_.shape[1:3], 1)
    if source.shape[3] == 1:
        # With one input channel each has one.
        _convolution(lowering, op, weights, "edgesea_conv_row")
    elif filter_.shape[3] == source.shape[3]:
        _convolution(lowering, op, weights, "edgesea_depthwise_row")
    else:
        _convolution(lowering, op, weights, "edgesea_depthwise_multiple_row")


def _convolution(lowering: Lowering, op: Operator, weights: np.ndarray, function: str) -> None:
    """Both kinds of convolution.

    weights [out_channels, height, width, in_channels of one output], int8.
    """
    graph = lowering.graph
    given, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    source, around = _before_padding(graph, op)
    channels = weights.shape[0]
    frame = frame_of(lowering, op, source, result, weights.shape[1:3], around=around)
    if frame.turned:
        weights = weights.swapaxes(1, 2)
    q_in, q_out = given.quantization, result.quantization
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, "int8")
    weights, records, general = _finished(lowering, op, weights, channel_scales(filter_, channels))
    if (
        function == "edgesea_conv_row"
        and weights.shape[1:3] == (1, 1)
        and frame.rows.stride == frame.stride == 1
        and frame.whole
    ):
        function = "edgesea_pointwise_row"
    flags = (
        general * layout.GENERAL
        + ((low, high) == (-128, 127)) * FULL_RANGE
        + (low == q_out.zero_point) * RELU
    )
    if function == "edgesea_depthwise_row" and not general:
        plain = weights.shape[1:3] == (3, 3) and frame.dilation == 1
        function = "edgesea_depthwise_3x3_row" if plain else "edgesea_depthwise_paired_row"
    constant = Constant(
        "edgesea_conv",
        {
            "weights": _packed(weights, function),
            "channels": Array("channels", "edgesea_channel", records),
            "in_width": frame.in_width,
            "in_channels": source.shape[3],
            "out_width": frame.out_width,
            "out_channels": channels,
            "kernel_height": frame.rows.height,
            "kernel_width": frame.kernel_width,
            "stride": frame.stride,
            "dilation": frame.dilation,
            "pad_left": frame.pad_left,
            "in_zero": q_in.zero_point,
            "out_zero": q_out.zero_point,
            "low": low,
            "high": high,
            "flags": flags,
        },
    )
    scratch = layout.scratch_bytes(function, constant.fields)
    batch = source.shape[0]
    lowering.add_rows(op, function, (source.index,), constant, frame.rows, scratch=scratch, batch=batch)


def _finished(
    lowering: Lowering, op: Operator, weights: np.ndarray, scales: list[float]
) -> tuple[np.ndarray, np.ndarray, bool]:
    """How sums become outputs: weights with those of constant channels 0, records, whether they are general.

    weights [out_channels, height, width, in_channels of one output], int8; scales [out_channels]
    """
    graph = lowering.graph
    q_in, q_out = graph.input(op, 0).quantization, graph.output(op).quantization
    # Float64 throughout: PopulateConvolutionQuantizationParams.
    multipliers, shifts = multipliers_of(q_in.scale * scale / q_out.scale for scale in scales)
    flat = weights.reshape(weights.shape[0], -1).astype(np.int64)
    bias = folded_bias(lowering, op, flat, q_in.zero_point)
    check_range(op, bias, flat, shifts.tolist())
    constant, values = constant_channels(flat, bias, multipliers, shifts, q_out.zero_point)
    flat, bias = np.where(constant[:, None], 0, flat), np.where(constant, 0, bias)
    multipliers = np.where(constant, 0, multipliers)
    zeros = np.where(constant, values, q_out.zero_point)
    records, general = records_of(bias, multipliers, shifts, zeros, largest_sums(bias, flat))
    return flat.astype(np.int8).reshape(weights.shape), records, general


def _packed(weights: np.ndarray, function: str) -> Array:
    """Weights [out_channels, height, width, in_channels of one output], as `function` reads them."""
    if function in ("edgesea_conv_row", "edgesea_pointwise_row"):
        return Array("weights", "int8_t", layout.by_channel(weights), spare=SPARE)
    variants = {}
    if function in ("edgesea_depthwise_3x3_row", "edgesea_depthwise_paired_row"):
        variants = {"dsp": layout.by_pairs(weights), "mve": layout.by_vectors(weights)}
    return Array("weights", "int8_t", layout.by_tap(weights), variants, SPARE)


def _convolution16(
    lowering: Lowering, op: Operator, weights: np.ndarray, channels: int, function: str
) -> None:
    """Both kinds of convolution on int16; weights in the order of the file, which is the kernels'."""
    graph = lowering.graph
    source, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    frame = frame_of(lowering, op, source, result, filter_.shape[1:3])
    if frame.turned:
        weights = np.ascontiguousarray(weights.swapaxes(1, 2))
    q_in, q_out = source.quantization, result.quantization
    ratios = [q_in.scale * scale / q_out.scale for scale in channel_scales(filter_, channels)]
    low, high = activation_range(op.options["activation"], q_out.scale, 0, "int16")
    constant = Constant(
        "edgesea_conv16",
        {
            "weights": Array("weights", "int8_t", weights),
            "channels": records16(lowering, op, channels, ratios),
            "in_width": frame.in_width,
            "in_channels": source.shape[3],
            "out_width": frame.out_width,
            "out_channels": channels,
            "kernel_height": frame.rows.height,
            "kernel_width": frame.kernel_width,
            "stride": frame.stride,
            "dilation": frame.dilation,
            "pad_left": frame.pad_left,
            "low": low,
            "high": high,
        },
    )
    lowering.add_rows(op, function, (source.index,), constant, frame.rows, batch=source.shape[0])


def _before_padding(graph: Graph, op: Operator) -> tuple[Tensor, tuple[tuple[int, int], tuple[int, int]]]:
    """What a convolution reads, and the (rows, columns) of zeros around it, if a PAD before it joins it."""
    source = graph.input(op, 0)
    pad = graph.producer(source.index)
    if pad is None or not joins_reader(graph, pad):
        return source, ((0, 0), (0, 0))
    _, (top, bottom), (left, right), _ = graph.input(pad, 1).data.tolist()
    return graph.input(pad, 0), ((top, bottom), (left, right))


KINDS = (
    Kind(
        "CONV_2D",
        union=1,
        options=(
            PADDING,
            STRIDE,
            Option("dilation", (5, 4), default=1),
            fused_activation(3),
            Option("bias_type", 6, TYPE_NAMES),
        ),
        inputs=(2, 3),
        version=8,
        check=_check_conv_2d,
        lower=_conv_2d,
        cost=_conv_2d_products,
    ),
    Kind(
        "DEPTHWISE_CONV_2D",
        union=2,
        options=(
            PADDING,
            STRIDE,
            Option("depth_multiplier", 3),
            Option("dilation", (6, 5), default=1),
            fused_activation(4),
        ),
        inputs=(2, 3),
        version=6,
        check=_check_depthwise_conv_2d,
        lower=_depthwise_conv_2d,
        cost=_depthwise_products,
    ),
)
