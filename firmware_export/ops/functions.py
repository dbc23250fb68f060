"""Functions of one value beyond the activations: GELU, ELU, EXP, LOG, SQRT, RSQRT, ABS, NEG, SQUARE, ...

For int8 each becomes a table of 256 bytes. BUILTIN_REF has no ELU; its table is that of the optimised
kernels, which a user's accuracy is measured with.
"""

from __future__ import annotations

import math

import numpy as np

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import Lowering
from firmware_export.ops import _libm
from firmware_export.ops._islands import check_real, is_real
from firmware_export.ops._rescaling import rescale
from firmware_export.ops._tables import float_table
from firmware_export.program import IN, OUT, Call
from firmware_export.quantize import (
    LIMITS,
    clamp,
    inverse_square_root,
    quantize_multiplier,
    scale_twice,
)
from firmware_export.require import refuse
from firmware_export.schema import Option

# exp of more is no float32.
_LARGEST_EXPONENT = 88.0


def _check(graph: Graph, op: Operator) -> None:
    if is_real(graph, op) and op.kind.real:
        check_real(graph, op)
    else:
        require.unary(graph, op)


def _check_int8(graph: Graph, op: Operator) -> None:
    if is_real(graph, op) and op.kind.real:
        check_real(graph, op)
    else:
        require.unary(graph, op, ("int8",))


def _check_root(graph: Graph, op: Operator) -> None:
    _check(graph, op)
    q = graph.input(op, 0).quantization
    if graph.input(op, 0).dtype == "int8" and q.zero_point != -128:
        raise refuse(
            op,
            f"its input's zero point is {q.zero_point}: TensorFlow Lite ends an inference at a value below 0",
        )


def _check_int8_root(graph: Graph, op: Operator) -> None:
    _check_int8(graph, op)
    _check_root(graph, op)


def _check_real(graph: Graph, op: Operator) -> None:
    if not is_real(graph, op):
        raise refuse(op, f"TensorFlow Lite has no kernel for it on {graph.input(op, 0).dtype}")
    check_real(graph, op)


def _no_steps(lowering: Lowering, op: Operator) -> None:
    raise AssertionError(f"{op} is part of a table and makes no step.")


def _check_abs(graph: Graph, op: Operator) -> None:
    _check(graph, op)
    if is_real(graph, op):
        return
    x, y = require.unary(graph, op)
    require.multiplier(op, require.ratio(x, y), require.reach(x))


def _check_neg(graph: Graph, op: Operator) -> None:
    _check(graph, op)
    if is_real(graph, op):
        return
    x, y = require.unary(graph, op)
    # The reference negates the integers as they are, whatever they stand for.
    q, q_out = x.quantization, y.quantization
    if q.scale != q_out.scale or q.zero_point != -q_out.zero_point:
        raise refuse(
            op,
            "TensorFlow Lite negates the integers as they are, right only for one scale and opposite zero "
            f"points, not for {q.scale:g} and {q.zero_point} in, {q_out.scale:g} and {q_out.zero_point} "
            "out; subtract from 0 instead",
        )


def _gelu(lowering: Lowering, op: Operator) -> None:
    float_table(lowering, op, _tanh_gelu if op.options["approximate"] else _erf_gelu)


# In float32 and in this order, as reference/gelu.h has it: what is a hair off in double turns a step here and
# there.
def _erf_gelu(value: float) -> float:
    x = np.float32(value)
    return np.float32(0.5) * x * _libm.erfc(x * np.float32(-math.sqrt(0.5)))


def _tanh_gelu(value: float) -> float:
    x = np.float32(value)
    inner = np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x * x * x)
    return np.float32(0.5) * x * (np.float32(1) + _libm.tanh(inner))


def _elu(lowering: Lowering, op: Operator) -> None:
    float_table(
        lowering, op, lambda value: np.float32(math.exp(value)) - np.float32(1) if value < 0 else value
    )


def _exp(lowering: Lowering, op: Operator) -> None:
    float_table(lowering, op, lambda value: math.exp(value) if value < _LARGEST_EXPONENT else math.inf)


def _log(lowering: Lowering, op: Operator) -> None:
    y = lowering.graph.output(op)
    lowest = y.quantization.scale * (LIMITS[y.dtype][0] - y.quantization.zero_point)
    float_table(lowering, op, lambda value: math.log(value) if value > 0 else lowest)


def _sqrt(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization

    def entry(value: int) -> int:
        real = np.float32(q.scale) * np.float32(value - q.zero_point)
        steps = np.sqrt(real) / np.float32(q_out.scale)
        return clamp(int(steps) + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


def _rsqrt(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    if source.dtype == "int16":
        largest = 32767 * float(np.float32(q_out.scale))
        float_table(
            lowering, op, lambda value: 1 / np.sqrt(np.float32(value)) if value > 0 else np.float32(largest)
        )
        return
    root = float(np.float32(math.sqrt(q.scale)) * np.float32(q_out.scale))
    multiplier, shift = quantize_multiplier(1 / root)

    def entry(value: int) -> int:
        if value == q.zero_point:
            return 127
        root, right = inverse_square_root(value - q.zero_point)
        # 20 bits more keep the inverse root an integer.
        raised = scale_twice(1, root, 20 - right)
        return clamp(scale_twice(raised, multiplier, shift - 20) + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


def _abs(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    ratio = float(np.float32(q.scale) / np.float32(q_out.scale))
    multiplier, shift = quantize_multiplier(ratio)
    if source.dtype == "int16":
        rescale(lowering, op, (multiplier, shift), (-multiplier, shift), *LIMITS["int16"])
        return

    def entry(value: int) -> int:
        scaled = scale_twice(abs(value - q.zero_point), multiplier, shift)
        return clamp(scaled + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


def _neg(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    if source.dtype == "int16":
        call = Call("edgesea_negate16", (IN(0), OUT, source.elements))
        lowering.add(op, (source.index,), call, in_place=(0,))
        return
    # The lowest has no opposite and stays.
    lowering.add_table(op, source, lambda value: -value if value > -128 else -128)


def _function(opcode: str, check, lower, real=None, **rest) -> Kind:
    return Kind(opcode, check=check, lower=lower, is_absorbed=is_real if real else None, real=real, **rest)


KINDS = (
    _function("ABS", _check_abs, _abs, lambda op, x: np.abs(x), union=78, version=5),
    _function("COS", _check_real, _no_steps, lambda op, x: np.cos(x), union=84),
    _function("ELU", _check_int8, _elu, lambda op, x: np.where(x < 0, np.expm1(np.minimum(x, 0)), x)),
    _function("EXP", _check, _exp, lambda op, x: np.exp(x), union=33, version=2),
    _function("FLOOR", _check_real, _no_steps, lambda op, x: np.floor(x)),
    _function(
        "GELU", _check, _gelu, union=116, version=3, options=(Option("approximate", 0, "bool", False),)
    ),
    _function("LOG", _check, _log, lambda op, x: np.log(x), version=2),
    _function("NEG", _check_neg, _neg, lambda op, x: -x, union=42),
    _function("RSQRT", _check_root, _rsqrt, lambda op, x: np.float32(1) / np.sqrt(x), version=3),
    _function("SIN", _check_real, _no_steps, lambda op, x: np.sin(x)),
    _function("SQRT", _check_int8_root, _sqrt, lambda op, x: np.sqrt(x), version=2),
    _function("SQUARE", _check_real, _no_steps, lambda op, x: x * x, union=66),
)
