"""Functions of one value: tables for int8, formulas for int16 and float."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from firmware_export.graph import Operator
from firmware_export.lowering.base import LARGEST_AXIS, Lowering, lowers
from firmware_export.operators import refuse
from firmware_export.program import IN, OUT, Array, Call, Constant, Step
from firmware_export.quantize import (
    LIMITS,
    activation_range,
    clamp,
    float32_ratio,
    interpolation_table,
    quantize_multiplier,
    round_away,
    scale_twice,
    shift_right,
    sigmoid_table,
    softmax_exponentials,
)


@lowers("LOGISTIC")
def _logistic(lowering: Lowering, op: Operator) -> None:
    if lowering.graph.input(op, 0).dtype == "int16":
        _sigmoid16(lowering, op, "edgesea_logistic16")
        return
    one = np.float32(1)
    _float_table(lowering, op, lambda value: one / (one + np.float32(math.exp(-value))))


@lowers("TANH")
def _tanh(lowering: Lowering, op: Operator) -> None:
    if lowering.graph.input(op, 0).dtype == "int16":
        _sigmoid16(lowering, op, "edgesea_tanh16")
        return
    _float_table(lowering, op, math.tanh)


def _float_table(lowering: Lowering, op: Operator, function: Callable[[float], float]) -> None:
    """A table that TensorFlow Lite, too, computes once, in float32: LUTPopulate.

    Below -80 both functions are at their lower end, and the exponential would leave float32.
    """
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    inverse = np.float32(1) / np.float32(q_out.scale)

    def entry(value: int) -> int:
        real = np.float32(q.scale) * np.float32(value - q.zero_point)
        rescaled = np.float32(function(max(float(real), -80.0))) * inverse
        return clamp(round_away(float(rescaled)) + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


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


@lowers("HARD_SWISH")
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


@lowers("LEAKY_RELU")
def _leaky_relu(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    positive = quantize_multiplier(float32_ratio(q.scale, q_out.scale))
    negative = quantize_multiplier(float32_ratio(q.scale, op.options["alpha"], q_out.scale))
    if source.dtype == "int16":
        _rescale(lowering, op, positive, negative, *LIMITS["int16"])
        return

    def entry(value: int) -> int:
        real = value - q.zero_point
        scaled = scale_twice(real, *(positive if real >= 0 else negative))
        return clamp(scaled + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


@lowers("RELU", "RELU6")
def _relu(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    multiplier = quantize_multiplier(float32_ratio(q.scale, q_out.scale))
    low, high = activation_range(op.opcode, q_out.scale, q_out.zero_point, result.dtype)
    if source.dtype == "int16":
        _rescale(lowering, op, multiplier, multiplier, low, high)
        return

    def entry(value: int) -> int:
        return clamp(scale_twice(value - q.zero_point, *multiplier) + q_out.zero_point, low, high)

    lowering.add_table(op, source, entry)


@lowers("QUANTIZE")
def _quantize(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    if source.dtype == "float32":
        constant = Constant(
            "edgesea_float_constant",
            {"scale": q_out.scale, "count": source.elements, "zero": q_out.zero_point},
        )
        function = "edgesea_quantize16" if result.dtype == "int16" else "edgesea_quantize"
        lowering.add(op, (source.index,), Call(function, (constant, IN(0), OUT)))
        return
    multiplier = quantize_multiplier(q.scale / q_out.scale)
    if "int16" in (source.dtype, result.dtype):
        _rescale(lowering, op, multiplier, multiplier, *LIMITS[result.dtype])
        return

    def entry(value: int) -> int:
        return clamp(scale_twice(value - q.zero_point, *multiplier) + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


@lowers("DEQUANTIZE")
def _dequantize(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    q = source.quantization
    constant = Constant(
        "edgesea_float_constant", {"scale": q.scale, "count": source.elements, "zero": q.zero_point}
    )
    function = "edgesea_dequantize16" if source.dtype == "int16" else "edgesea_dequantize"
    lowering.add(op, (source.index,), Call(function, (constant, IN(0), OUT)))


def _rescale(
    lowering: Lowering,
    op: Operator,
    positive: tuple[int, int],
    negative: tuple[int, int],
    low: int,
    high: int,
) -> None:
    """Where 256 results do not do: int16 on either side."""
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    constant = Constant(
        "edgesea_rescale_constant",
        {
            "count": source.elements,
            "multiplier": (positive[0], negative[0]),
            "shift": (positive[1], negative[1]),
            "in_zero": source.quantization.zero_point,
            "out_zero": result.quantization.zero_point,
            "low": low,
            "high": high,
            "in_wide": int(source.dtype == "int16"),
            "out_wide": int(result.dtype == "int16"),
        },
    )
    in_place = (0,) if source.dtype == result.dtype else ()
    lowering.add(op, (source.index,), Call("edgesea_rescale", (constant, IN(0), OUT)), in_place=in_place)


@lowers("SOFTMAX")
def _softmax(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    source = graph.input(op, 0)
    width = source.shape[-1]
    if width > LARGEST_AXIS:
        raise refuse(op, f"its last axis exceeds {LARGEST_AXIS}")
    if source.dtype == "int16":
        _softmax16(lowering, op)
        return
    exponentials = softmax_exponentials(source.quantization.scale, op.options["beta"])
    constant = Constant(
        "edgesea_softmax_constant",
        {
            "exponentials": Array("exponentials", "int32_t", exponentials),
            "rows": source.elements // width,
            "width": width,
            "entries": exponentials.size,
        },
    )
    lowering.add(op, (source.index,), Call("edgesea_softmax", (constant, IN(0), OUT)), in_place=(0,))


def _softmax16(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    multiplier, shift = quantize_multiplier(source.quantization.scale * op.options["beta"] / (10.0 / 65535.0))
    exponentials = interpolation_table(math.exp, 10.0 / 65535, 32767)
    reciprocals = interpolation_table(lambda x: 1 / (1 + x), 1.0 / 65535, -32768)
    constant = Constant(
        "edgesea_softmax16_constant",
        {
            "exponentials": Array("exponentials", "int16_t", exponentials),
            "reciprocals": Array("reciprocals", "int16_t", reciprocals),
            "rows": source.elements // source.shape[-1],
            "width": source.shape[-1],
            "multiplier": multiplier,
            "shift": shift,
        },
    )
    lowering.add(op, (source.index,), Call("edgesea_softmax16", (constant, IN(0), OUT)), in_place=(0,))


def join_tables(lowering: Lowering, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Apply a table where the rows are made, if nobody else wants them as they were; join tables."""
    readers: dict[int, int] = {}
    for step in steps:
        for tensor in step.inputs:
            readers[tensor] = readers.get(tensor, 0) + 1
    for tensor in lowering.graph.outputs:
        root = lowering.root(tensor)
        readers[root] = readers.get(root, 0) + 1
    done: list[Step] = []
    maker: dict[int, int] = {}
    for step in steps:
        number = maker.get(step.inputs[0]) if step.function == "edgesea_lookup_row" else None
        if number is None or readers[step.inputs[0]] > 1 or done[number].rows is None:
            number = len(done)
            done.append(step)
        else:
            done[number] = _joined(done[number], step)
        maker[step.output] = number
    return tuple(done)


def _joined(earlier: Step, lookup: Step) -> Step:
    """One step that does both; `lookup` is an edgesea_lookup_row."""
    table = lookup.constant.fields["table"]
    operators = earlier.operators + lookup.operators
    if earlier.function == "edgesea_lookup_row":
        fields = dict(earlier.constant.fields)
        fields["table"] = replace(table, values=_composed(fields["table"].values, table.values))
        return replace(
            earlier,
            operators=operators,
            output=lookup.output,
            constant=replace(earlier.constant, fields=fields),
        )
    if earlier.table is not None:
        table = replace(table, values=_composed(earlier.table.values, table.values))
    return replace(earlier, operators=operators, output=lookup.output, table=table)


def _composed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return second[first.astype(np.int64) + 128]
