"""Convolutions and poolings: everything that looks at a window of a feature map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware_export import layout
from firmware_export.graph import Graph, Operator, Tensor
from firmware_export.lowering.base import LARGEST_AXIS, Lowering, lowers
from firmware_export.lowering.channels import (
    SPARE,
    channel_scales,
    check_range,
    folded_bias,
    largest_sums,
    multipliers_of,
    records16,
    records_of,
)
from firmware_export.operators import refuse
from firmware_export.program import Array, Constant, Rows
from firmware_export.quantize import activation_range

# edgesea_kernels.h: EDGESEA_FULL_RANGE, EDGESEA_RELU.
FULL_RANGE, RELU = 2, 4


def _padding(op: Operator, size: int, out_size: int, extent: int, stride: int) -> int:
    """How many rows (or columns) of zeros stand before the first."""
    if op.options["padding"] == "VALID":
        return 0
    return max((out_size - 1) * stride + extent - size, 0) // 2


@dataclass(frozen=True)
class _Frame:
    """The geometry that convolutions and poolings share."""

    rows: Rows
    in_width: int
    out_width: int
    kernel_width: int
    stride: int
    dilation: int
    pad_left: int


def _frame(
    op: Operator,
    source: Tensor,
    result: Tensor,
    kernel: tuple[int, int],
    singly: bool = False,
    around: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
) -> _Frame:
    """The geometry of a window over ``source``; ``around``: rows and columns that a PAD puts there first."""
    batch, in_height, in_width, _ = source.shape
    _, out_height, out_width, _ = result.shape
    stride, dilation = op.options["stride"], op.options.get("dilation", (1, 1))
    if max(*source.shape, *result.shape, *kernel, *stride, *dilation) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    padded_height, padded_width = in_height + sum(around[0]), in_width + sum(around[1])
    pad_top = around[0][0] + _padding(op, padded_height, out_height, extents[0], stride[0])
    pad_left = around[1][0] + _padding(op, padded_width, out_width, extents[1], stride[1])
    rows = Rows(
        in_height,
        out_height,
        source.bytes // (batch * in_height),
        result.bytes // (batch * out_height),
        kernel[0],
        stride[0],
        dilation[0],
        pad_top,
        singly=singly and (out_height == 1 or kernel[0] <= stride[0]),
    )
    return _Frame(rows, in_width, out_width, kernel[1], stride[1], dilation[1], pad_left)


@lowers("CONV_2D")
def _conv_2d(lowering: Lowering, op: Operator) -> None:
    filter_ = lowering.graph.input(op, 1)
    if lowering.graph.input(op, 0).dtype == "int16":
        _convolution16(lowering, op, filter_.data, filter_.shape[0], "edgesea_conv16_row")
        return
    weights = filter_.data.reshape(filter_.shape[0], -1).astype(np.int64)
    _convolution(lowering, op, weights, layout.by_channel(filter_.data), "edgesea_conv_row")


@lowers("DEPTHWISE_CONV_2D")
def _depthwise_conv_2d(lowering: Lowering, op: Operator) -> None:
    source, filter_ = lowering.graph.input(op, 0), lowering.graph.input(op, 1)
    if source.dtype == "int16":
        _convolution16(lowering, op, filter_.data, filter_.shape[3], "edgesea_depthwise16_row")
        return
    by_tap = layout.by_tap(filter_.data)
    weights = by_tap.T.astype(np.int64)
    if source.shape[3] == 1:
        # With one input channel every output channel is an ordinary convolution of it.
        packed = layout.by_channel(np.ascontiguousarray(by_tap.T))
        _convolution(lowering, op, weights, packed, "edgesea_conv_row")
    elif filter_.shape[3] == source.shape[3]:
        _convolution(lowering, op, weights, by_tap, "edgesea_depthwise_row")
    else:
        _convolution(lowering, op, weights, by_tap, "edgesea_depthwise_multiple_row")


def _convolution(
    lowering: Lowering, op: Operator, weights: np.ndarray, packed: np.ndarray, function: str
) -> None:
    """Both kinds of convolution.

    weights [out_channels, taps * in_channels of one output], int64; packed: as the kernel reads them.
    """
    graph = lowering.graph
    given, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    source, around = _before_padding(graph, op)
    channels = weights.shape[0]
    kernel = filter_.shape[1:3]
    frame = _frame(op, source, result, kernel, around=around)
    q_in, q_out = given.quantization, result.quantization
    # Float64 throughout: PopulateConvolutionQuantizationParams.
    ratios = [q_in.scale * scale / q_out.scale for scale in channel_scales(filter_, channels)]
    multipliers, shifts = multipliers_of(ratios)
    bias = folded_bias(lowering, op, weights, q_in.zero_point)
    check_range(op, bias, weights, shifts.tolist())
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, "int8")
    if (
        function == "edgesea_conv_row"
        and kernel == op.options["stride"] == (1, 1)
        and (frame.rows.in_rows, frame.in_width) == result.shape[1:3]
    ):
        function = "edgesea_pointwise_row"
    records, general = records_of(
        bias, multipliers, shifts, q_out.zero_point, int(largest_sums(bias, weights).max())
    )
    flags = (
        general * layout.GENERAL
        + ((low, high) == (-128, 127)) * FULL_RANGE
        + (low == q_out.zero_point) * RELU
    )
    # The DSP path takes four channels at a time and adds pairs of rows; see edgesea_depthwise_paired_row.
    paired = function == "edgesea_depthwise_row" and kernel[0] <= 3 and channels >= 4 and not general
    # Two products share 16 bits on the MVE path: -128 * -128 twice would not fit.
    paired = paired and not np.any(weights == -128)
    if paired:
        function = "edgesea_depthwise_paired_row"
    constant = Constant(
        "edgesea_conv",
        {
            "weights": Array(
                "weights", "int8_t", packed, layout.by_pairs(filter_.data) if paired else None, SPARE
            ),
            "channels": Array("channels", "edgesea_channel", records),
            "in_width": frame.in_width,
            "in_channels": source.shape[3],
            "out_width": frame.out_width,
            "out_channels": channels,
            "kernel_height": kernel[0],
            "kernel_width": kernel[1],
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


def _convolution16(
    lowering: Lowering, op: Operator, weights: np.ndarray, channels: int, function: str
) -> None:
    """Both kinds of convolution on int16; weights in the order of the file, which is the kernels'."""
    graph = lowering.graph
    source, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    kernel = filter_.shape[1:3]
    frame = _frame(op, source, result, kernel)
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
            "kernel_height": kernel[0],
            "kernel_width": kernel[1],
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
    (_, rows, columns, _) = (tuple(int(n) for n in pair) for pair in graph.input(pad, 1).data)
    return graph.input(pad, 0), (rows, columns)


def joins_reader(graph: Graph, op: Operator) -> bool:
    """Whether ``op`` is a PAD of zeros around feature maps that the convolution reading it can do itself."""
    if (
        op.opcode not in ("PAD", "PADV2")
        or len(graph.output(op).shape) != 4
        or graph.output(op).dtype != "int8"
    ):
        return False
    readers = graph.consumers(op.outputs[0])
    paddings = graph.input(op, 1).data
    return (
        len(readers) == 1
        and readers[0].opcode in ("CONV_2D", "DEPTHWISE_CONV_2D")
        and op.outputs[0] not in graph.outputs
        and not paddings[[0, 3]].any()
        and filler_of(graph, op) == graph.output(op).quantization.zero_point
    )


def filler_of(graph: Graph, op: Operator) -> int:
    """The integer that a PAD or PADV2 puts around its input."""
    if op.opcode == "PADV2":
        return int(graph.input(op, 2).data.reshape(-1)[0])
    return graph.output(op).quantization.zero_point


def _pool(lowering: Lowering, op: Operator, kind: str, sums: int) -> None:
    graph = lowering.graph
    source, result = graph.input(op, 0), graph.output(op)
    frame = _frame(op, source, result, op.options["filter"], singly=True)
    quantization = result.quantization
    wide = "16" if source.dtype == "int16" else ""
    low, high = activation_range(
        op.options["activation"], quantization.scale, quantization.zero_point, source.dtype
    )
    constant = Constant(
        f"edgesea_pool{wide}",
        {
            "in_width": frame.in_width,
            "out_width": frame.out_width,
            "channels": source.shape[3],
            "kernel_width": frame.kernel_width,
            "stride": frame.stride,
            "pad_left": frame.pad_left,
            "low": low,
            "high": high,
        },
    )
    batch = source.shape[0]
    lowering.add_rows(
        op, f"edgesea_{kind}_pool{wide}_row", (source.index,), constant, frame.rows, sums=sums, batch=batch
    )


@lowers("MAX_POOL_2D")
def _max_pool_2d(lowering: Lowering, op: Operator) -> None:
    _pool(lowering, op, "max", 0)


@lowers("AVERAGE_POOL_2D")
def _average_pool_2d(lowering: Lowering, op: Operator) -> None:
    result = lowering.graph.output(op)
    _pool(lowering, op, "average", 4 * result.shape[2] * result.shape[3])
