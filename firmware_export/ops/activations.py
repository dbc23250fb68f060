"""LOGISTIC, TANH, HARD_SWISH, LEAKY_RELU and the RELUs: tables for int8, formulas for int16."""

from __future__ import annotations

import math

import numpy as np

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator, Tensor
from firmware_export.lowering import Lowering
from firmware_export.ops._rescaling import rescale
from firmware_export.ops._tables import float_table
from firmware_export.program import IN, OUT, Array, Call, Constant
from firmware_export.quantize import (
    LIMITS,
    activation_range,
    clamp,
    float32_ratio,
    quantize_multiplier,
    scale_twice,
    shift_right,
    sigmoid_table,
)
from firmware_export.require import refuse
from firmware_export.schema import Option


def _check_logistic(graph: Graph, op: Operator) -> None:
    x, y = require.unary(graph, op)
    require.output_quantization(op, y, *((1 / 256, -128) if y.dtype == "int8" else (1 / 32768, 0)))
    _require_table_scale(op, x)


def _check_tanh(graph: Graph, op: Operator) -> None:
    x, y = require.unary(graph, op)
    require.output_quantization(op, y, 1 / 128 if y.dtype == "int8" else 1 / 32768, 0)
    _require_table_scale(op, x)


def _require_table_scale(op: Operator, x: Tensor) -> None:
    """Refuse an int16 input whose step, in steps of the reference's table, does not fit in 16 bits."""
    if x.dtype == "int16" and x.quantization.scale * 12288 >= 2**15:
        raise refuse(op, f"its input's scale {x.quantization.scale:g} is 8/3 or more")


def _check_hard_swish(graph: Graph, op: Operator) -> None:
    x, y = require.unary(graph, op, ("int8",))
    # The kernel's two 16-bit multipliers, in its float32: to the output, and to the half that clips at 3.
    fine = np.float32(1 / 128) * np.float32(x.quantization.scale)
    output = require.exponent(float(fine / np.float32(y.quantization.scale)))
    inner = require.exponent(float(fine / np.float32(3 / 32768)))
    if not -15 <= output <= 0 or not -15 <= inner <= 15:
        raise refuse(
            op,
            f"its scales, {x.quantization.scale:g} in and {y.quantization.scale:g} out, do not fit 16-bit "
            "multipliers",
        )


def _check_leaky_relu(graph: Graph, op: Operator) -> None:
    x, y = require.unary(graph, op)
    alpha = op.options["alpha"]
    if not 0 <= alpha <= require.LARGEST_SCALE:
        raise refuse(op, f"its alpha is {alpha:g}, outside 0 to {require.LARGEST_SCALE:g}")
    require.multiplier(op, require.ratio(x, y) * max(1.0, alpha), require.reach(x))


def _check_relu(graph: Graph, op: Operator) -> None:
    x, y = require.unary(graph, op, ("int8",) if op.opcode == "RELU_N1_TO_1" else ("int8", "int16"))
    require.multiplier(op, require.ratio(x, y), require.reach(x))
    if op.opcode != "RELU":
        require.ceiling(op, y)


def _logistic(lowering: Lowering, op: Operator) -> None:
    if lowering.graph.input(op, 0).dtype == "int16":
        _sigmoid16(lowering, op, "edgesea_logistic16")
        return
    one = np.float32(1)
    float_table(lowering, op, lambda value: one / (one + np.float32(math.exp(-max(value, -80.0)))))


def _tanh(lowering: Lowering, op: Operator) -> None:
    if lowering.graph.input(op, 0).dtype == "int16":
        _sigmoid16(lowering, op, "edgesea_tanh16")
        return
    float_table(lowering, op, math.tanh)


def _sigmoid16(lowering: Lowering, op: Operator, function: str) -> None:
    source = lowering.graph.input(op, 0)
    # From the input's scale to that of the table, 1 / 12288, in 15 bits: TanhPrepare.
    multiplier, shift = source.quantization.scale * 12288, 0
    while multiplier <= 32767 / 2 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    constant = Constant(
        "edgesea_sigmoid16_constant",
        {
            "table": Array("table", "uint16_t", sigmoid_table()),
            "count": source.elements,
            "multiplier": int(multiplier),
            "shift": shift,
        },
    )
    lowering.add(op, (source.index,), Call(function, (constant, IN(0), OUT)), in_place=(0,))


def _hard_swish(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    fine = float(np.float32(1 / 128) * np.float32(q.scale))
    out_multiplier, out_shift = _short_multiplier(float32_ratio(fine, q_out.scale))
    inner_multiplier, inner_shift = _short_multiplier(
        float32_ratio(fine, float(np.float32(3) / np.float32(32768)))
    )

    def entry(value: int) -> int:
        # 16-bit fixed point throughout: reference_ops::HardSwish.
        raised = (value - q.zero_point) << 7
        on_output_scale = (raised * out_multiplier + (1 << 14)) >> 15
        gate = raised
        if inner_shift > 0:
            gate = clamp(gate << (inner_shift - 1), *LIMITS["int16"])
        gate = min((gate * inner_multiplier + (1 << 14)) >> 15, 32767)
        if inner_shift > 0:
            gate = clamp(gate << 1, *LIMITS["int16"])
        gate = shift_right(gate, max(-inner_shift, 0))
        gate = (gate + (1 << 15)) >> 1
        product = gate * on_output_scale
        product = abs(product) >> 15 if product >= 0 else -(abs(product) >> 15)
        return clamp(shift_right(product, -out_shift) + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


def _short_multiplier(real: float) -> tuple[int, int]:
    """quantize_multiplier with the multiplier rounded to 16 bits."""
    multiplier, shift = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, 32767), shift


def _leaky_relu(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    positive = quantize_multiplier(float32_ratio(q.scale, q_out.scale))
    negative = quantize_multiplier(float32_ratio(q.scale, op.options["alpha"], q_out.scale))
    if source.dtype == "int16":
        rescale(lowering, op, positive, negative, *LIMITS["int16"])
        return

    def entry(value: int) -> int:
        real = value - q.zero_point
        scaled = scale_twice(real, *(positive if real >= 0 else negative))
        return clamp(scaled + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


def _relu(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    multiplier = quantize_multiplier(float32_ratio(q.scale, q_out.scale))
    low, high = activation_range(op.opcode, q_out.scale, q_out.zero_point, result.dtype)
    if source.dtype == "int16":
        rescale(lowering, op, multiplier, multiplier, low, high)
        return

    def entry(value: int) -> int:
        return clamp(scale_twice(value - q.zero_point, *multiplier) + q_out.zero_point, low, high)

    lowering.add_table(op, source, entry)


KINDS = (
    Kind("HARD_SWISH", union=91, check=_check_hard_swish, lower=_hard_swish),
    Kind(
        "LEAKY_RELU",
        union=75,
        options=(Option("alpha", 0, "float32", 0.0),),
        version=2,
        check=_check_leaky_relu,
        lower=_leaky_relu,
    ),
    Kind("LOGISTIC", version=3, check=_check_logistic, lower=_logistic),
    Kind("RELU", version=3, check=_check_relu, lower=_relu),
    Kind("RELU6", version=3, check=_check_relu, lower=_relu),
    Kind("RELU_N1_TO_1", check=_check_relu, lower=_relu),
    Kind("TANH", version=3, check=_check_tanh, lower=_tanh),
)
