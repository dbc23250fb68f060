"""Dense layers, which round once where convolutions round twice."""

from __future__ import annotations

import numpy as np

from firmware_export import layout
from firmware_export.graph import Operator
from firmware_export.lowering.base import LARGEST_AXIS, Lowering, lowers
from firmware_export.lowering.channels import (
    CHANNEL,
    SPARE,
    channel_scales,
    check_range,
    folded_bias,
    multipliers_of,
)
from firmware_export.operators import refuse
from firmware_export.program import IN, OUT, SCRATCH, Array, Call, Constant
from firmware_export.quantize import activation_range


@lowers("FULLY_CONNECTED")
def _fully_connected(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    source, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    outputs, inputs = filter_.shape
    if source.dtype == "int16":
        _fully_connected16(lowering, op)
        return
    weights = filter_.data.astype(np.int64)
    q_in, q_filter, q_out = source.quantization, filter_.quantization, result.quantization
    if q_filter.per_channel:
        ratios = [q_in.scale * scale / q_out.scale for scale in channel_scales(filter_, outputs)]
    else:
        # The product of the scales is float32: GetQuantizedConvolutionMultipler.
        ratios = [float(np.float32(q_in.scale) * np.float32(q_filter.scale)) / q_out.scale]
    multipliers, shifts = multipliers_of(ratios)
    bias = folded_bias(lowering, op, weights, q_in.zero_point)
    check_range(op, bias, weights, np.broadcast_to(shifts, (outputs,)).tolist())
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, "int8")
    if max(outputs, inputs, source.elements // inputs) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    packed = layout.by_channel(filter_.data)
    constant = Constant(
        "edgesea_dense",
        {
            "weights": Array("weights", "int8_t", packed, spare=SPARE),
            "bias": Array("bias", "int32_t", bias.astype(np.int32)),
            "multiplier": Array("multiplier", "int32_t", multipliers),
            "shift": Array("shift", "int8_t", shifts),
            "rows": source.elements // inputs,
            "inputs": inputs,
            "outputs": outputs,
            "per_channel": int(q_filter.per_channel),
            "out_zero": q_out.zero_point,
            "low": low,
            "high": high,
        },
    )
    lowering.add(
        op,
        (source.index,),
        Call("edgesea_fully_connected", (constant, IN(0), OUT, SCRATCH)),
        scratch=layout.scratch_bytes("edgesea_fully_connected", constant.fields),
    )


CHANNEL16 = np.dtype([("bias", np.int64), ("multiplier", np.int32), ("shift", np.int32)])


def _fully_connected16(lowering: Lowering, op: Operator) -> None:
    """A dense layer on int16, which, unlike the convolutions, keeps all bits of the multiplier."""
    graph = lowering.graph
    source, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    outputs, inputs = filter_.shape
    q_in, q_out = source.quantization, result.quantization
    ratios = [q_in.scale * scale / q_out.scale for scale in channel_scales(filter_, outputs)]
    multipliers, shifts = multipliers_of(ratios)
    bias = folded_bias(lowering, op, filter_.data.astype(np.int64), 0)
    largest = np.abs(bias) + 32768 * np.abs(filter_.data.astype(np.int64)).sum(axis=1)
    if largest.max() >= 2**31:
        raise refuse(op, f"its sums can reach {largest.max()}, more than 32 bits")
    rows = source.elements // inputs
    if max(outputs, inputs, rows) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    low, high = activation_range(op.options["activation"], q_out.scale, 0, "int16")
    records = np.zeros(outputs, CHANNEL)
    records["bias"], records["multiplier"], records["shift"] = bias, multipliers, shifts
    constant = Constant(
        "edgesea_dense16",
        {
            "weights": Array("weights", "int8_t", filter_.data),
            "channels": Array("channels", "edgesea_channel", records),
            "rows": rows,
            "inputs": inputs,
            "outputs": outputs,
            "low": low,
            "high": high,
        },
    )
    lowering.add(op, (source.index,), Call("edgesea_fully_connected16", (constant, IN(0), OUT)))
