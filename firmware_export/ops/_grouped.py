"""CONV_2D in groups: each group of output channels reads a group of input channels of its own."""

from __future__ import annotations

import numpy as np

from firmware_export.ir import Operator
from firmware_export.lowering import Lowering
from firmware_export.ops._channels import (
    CHANNEL,
    channel_scales,
    check_range,
    folded_bias,
    multipliers_of,
    records16,
)
from firmware_export.ops._windows import frame_of
from firmware_export.program import Array, Constant
from firmware_export.quantize import activation_range


def grouped_convolution(lowering: Lowering, op: Operator) -> None:
    """A convolution whose weights read fewer channels than its input has; plain C on every path."""
    graph = lowering.graph
    source, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    channels, height, width, depth = filter_.shape
    frame = frame_of(lowering, op, source, result, (height, width))
    taps = filter_.data.swapaxes(1, 2) if frame.turned else filter_.data
    q_in, q_out = source.quantization, result.quantization
    ratios = [q_in.scale * scale / q_out.scale for scale in channel_scales(filter_, channels)]
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, source.dtype)
    fields = {
        "weights": Array("weights", "int8_t", np.ascontiguousarray(taps)),
        "in_width": frame.in_width,
        "in_channels": source.shape[3],
        "out_width": frame.out_width,
        "out_channels": channels,
        "kernel_height": frame.rows.height,
        "kernel_width": frame.kernel_width,
        "groups": source.shape[3] // depth,
        "stride": frame.stride,
        "dilation": frame.dilation,
        "pad_left": frame.pad_left,
        "low": low,
        "high": high,
    }
    if source.dtype == "int16":
        fields["channels"] = records16(lowering, op, channels, ratios)
        suffix = "16"
    else:
        weights = taps.reshape(channels, -1).astype(np.int64)
        multipliers, shifts = multipliers_of(ratios)
        records = np.zeros(channels, CHANNEL)
        records["bias"] = bias = folded_bias(lowering, op, weights, q_in.zero_point)
        records["multiplier"], records["shift"] = multipliers, shifts
        check_range(op, bias, weights, shifts.tolist())
        fields |= {
            "channels": Array("channels", "edgesea_channel", records),
            "in_zero": q_in.zero_point,
            "out_zero": q_out.zero_point,
        }
        suffix = ""
    constant = Constant(f"edgesea_grouped_conv{suffix}", fields)
    function = f"edgesea_grouped_conv{suffix}_row"
    lowering.add_rows(op, function, (source.index,), constant, frame.rows, batch=source.shape[0])
