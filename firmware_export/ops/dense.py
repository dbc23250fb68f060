"""FULLY_CONNECTED, which rounds once where convolutions round twice."""

from __future__ import annotations

import math

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import LARGEST_AXIS, Lowering
from firmware_export.ops._channels import (
    CHANNEL,
    SPARE,
    channel_scales,
    check_range,
    folded_bias,
    multipliers_of,
)
from firmware_export.ops._options import fused_activation
from firmware_export.program import IN, OUT, SCRATCH, Array, Call, Constant
from firmware_export.quantize import activation_range
from firmware_export.require import refuse
from firmware_export.schema import TYPE_NAMES, Option


def _check_fully_connected(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op)
    y = require.activation_out(graph, op, (x.dtype,))
    if op.options["weights_format"] != "DEFAULT" or len(op.outputs) != 1:
        raise refuse(op, f"its weights are {op.options['weights_format']}, with {len(op.outputs)} outputs")
    weights = require.weights(graph, op, axis=0, rank=2)
    units, depth = weights.shape
    if x.elements % depth or (op.options["keep_num_dims"] and x.shape[-1:] != (depth,)):
        raise refuse(op, f"its weights take {depth} values, its input has shape {x.shape}")
    keep = op.options["keep_num_dims"]
    require.shape(op, y, (*x.shape[:-1], units) if keep else (x.elements // depth, units))
    require.fused_activation(op, y)
    require.products(graph, op, x, weights, 0, y)


def _dense_products(graph: Graph, op: Operator) -> int:
    # Weights [units, depth].
    return graph.output(op).elements * math.prod(graph.input(op, 1).shape[-1:])


def _fully_connected(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    source, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    outputs, inputs = filter_.shape
    if source.dtype == "int16":
        _fully_connected16(lowering, op)
        return
    weights = filter_.data.astype(np.int64)
    q_in, q_filter, q_out = source.quantization, filter_.quantization, result.quantization
    # Float64 throughout, of one scale as of many.
    scales = channel_scales(filter_, outputs if q_filter.per_channel else 1)
    ratios = [q_in.scale * scale / q_out.scale for scale in scales]
    multipliers, shifts = multipliers_of(ratios)
    bias = folded_bias(lowering, op, weights, q_in.zero_point)
    check_range(op, bias, weights, np.broadcast_to(shifts, (outputs,)).tolist())
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, "int8")
    if max(outputs, inputs, source.elements // inputs) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    constant = Constant(
        "edgesea_dense",
        {
            "weights": Array(
                "weights",
                "int8_t",
                layout.by_channel(filter_.data),
                {"dsp": layout.by_fours(filter_.data)},
                SPARE,
            ),
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
        # There the inputs are in the scratch memory before the first output is written.
        in_place_on={"dsp": (0,)} if source.elements == inputs <= layout.PIECE else {},
    )


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


KINDS = (
    Kind(
        "FULLY_CONNECTED",
        union=8,
        options=(
            fused_activation(0),
            Option("weights_format", 1, ("DEFAULT", "SHUFFLED4x16INT8")),
            Option("keep_num_dims", 2, "bool", False),
            Option("bias_type", 4, TYPE_NAMES),
        ),
        inputs=(2, 3),
        outputs=(1, 2),
        version=14,
        check=_check_fully_connected,
        lower=_fully_connected,
        cost=_dense_products,
    ),
)
