"""Operators of random graphs beyond convolutions, arithmetic and activations.

As in ``random_graphs``: each function appends one operator that reads ``x`` and returns its outputs, or None
where the operator does not take a tensor of that shape or type.
"""

from __future__ import annotations

import math

import numpy as np
from nets import Net, operand, options, rescaled

# ---- functions of one value


def _function(opcode: str, opts: str | None = None):
    def maker(net: Net, x: int):
        y = rescaled(net, x)
        net.add(opcode, [x], [y], options(opts) if opts else None)
        return [y]

    return maker


def gelu(net: Net, x: int):
    y = rescaled(net, x)
    net.add("GELU", [x], [y], options("Gelu", approximate=bool(net.rng.random() < 0.5)))
    return [y]


def exp(net: Net, x: int):
    y = net.value(net.shapes[x], net.output_scale(float(np.exp(min(net.quants[x][0] * net.spread(), 20)))))
    net.add("EXP", [x], [y], options("Exp"))
    return [y]


def log(net: Net, x: int):
    y = net.value(net.shapes[x], net.output_scale(2.0))
    net.add("LOG", [x], [y])
    return [y]


def _positive(net: Net, x: int) -> int:
    """``x`` without negative values, which end the reference's square roots."""
    y = net.tensor(net.shapes[x], None, net.quants[x][0], -128 if net.dtype == "int8" else 0)
    net.add("RELU", [x], [y])
    return y


def sqrt(net: Net, x: int):
    if net.dtype != "int8":
        return None
    y = net.value(net.shapes[x], net.output_scale(math.sqrt(net.quants[x][0] * net.spread())))
    net.add("SQRT", [_positive(net, x)], [y])
    return [y]


def rsqrt(net: Net, x: int):
    y = net.value(net.shapes[x], net.output_scale(1 / math.sqrt(net.quants[x][0] * net.spread())))
    net.add("RSQRT", [_positive(net, x)], [y])
    return [y]


def neg(net: Net, x: int):
    scale, zero_point = net.quants[x]
    if zero_point == -128:
        return None
    y = net.tensor(net.shapes[x], None, scale, -zero_point)
    net.add("NEG", [x], [y], options("Neg"))
    return [y]


def _real(opcode: str, opts: str | None = None):
    """A function that only float32 has a kernel for, as converters write it."""

    def maker(net: Net, x: int):
        if net.dtype != "int8":
            return None
        shape = net.shapes[x]
        a, b = net.tensor(shape, "float32"), net.tensor(shape, "float32")
        reach = net.quants[x][0] * net.spread()
        y = net.value(shape, net.output_scale(reach**2 if opcode == "SQUARE" else 1.0))
        net.add("DEQUANTIZE", [x], [a], options("Dequantize"))
        net.add(opcode, [a], [b], options(opts) if opts else None)
        net.add("QUANTIZE", [b], [y], options("Quantize"))
        return [y]

    return maker


# ---- two tensors


def _comparison(opcode: str):
    def maker(net: Net, x: int):
        shape = net.shapes[x]
        if len(shape) > 4:
            return None
        rng = net.rng
        low, high = (-128, 127) if net.dtype == "int8" else (-32768, 32767)
        start = int(rng.integers(0, len(shape) + 1))
        own = [1 if rng.random() < 0.3 else n for n in shape[start:]]
        alike = [
            t
            for t in range(len(net.shapes))
            if net.quants[t] == net.quants[x]
            and net.shapes[t] == shape
            and net.dtypes[t] == net.dtypes[x]
            and not net.tensors[t].buffer
        ]
        other = net.tensor(own, None, *net.quants[x], rng.integers(low, high + 1, own))
        if rng.random() < 0.5 and alike:
            other = int(rng.choice(alike))
        y = net.like(x, shape)
        pair = [x, other] if rng.random() < 0.6 else [other, x]
        net.add(opcode, pair, [y], options("MaximumMinimum"))
        return [y]

    return maker


def squared_difference(net: Net, x: int):
    if net.dtype != "int8" or len(net.shapes[x]) > 4:
        return None
    other = operand(net, x)
    scales = [net.quants[t][0] for t in (x, other)]
    shape = np.broadcast_shapes(net.shapes[x], net.shapes[other])
    y = net.value(shape, net.output_scale(sum((s * net.spread()) ** 2 for s in scales)))
    pair = [x, other] if net.rng.random() < 0.6 else [other, x]
    net.add("SQUARED_DIFFERENCE", pair, [y], options("SquaredDifference"))
    return [y]


def batch_matmul(net: Net, x: int):
    rng = net.rng
    shape = net.shapes[x]
    if not 2 <= len(shape) <= 4 or math.prod(shape) > 2000:
        return None
    transposed = [bool(v) for v in rng.random(2) < 0.4]
    rows, depth = shape[-2:][::-1] if transposed[0] else shape[-2:]
    columns = int(rng.integers(1, 7))
    lead = shape[:-2] if rng.random() < 0.6 else shape[int(rng.integers(0, len(shape) - 1)) : -2]
    lead = [1 if rng.random() < 0.2 else n for n in lead]
    own = [*lead, *((columns, depth) if transposed[1] else (depth, columns))]
    if rng.random() < 0.4:
        other = net.constant(own)
    elif own == list(shape) and rng.random() < 0.5:
        other = x
    else:
        other = net.input(own)
    deviation = math.sqrt(depth) * net.spread() ** 2 * net.quants[x][0] * net.quants[other][0]
    batch = np.broadcast_shapes(tuple(lead), shape[:-2])
    y = net.value((*batch, rows, columns), net.output_scale(deviation))
    net.add(
        "BATCH_MATMUL",
        [x, other],
        [y],
        options("BatchMatMul", adjX=transposed[0], adjY=transposed[1]),
    )
    return [y]


MAKERS = {
    "ABS": _function("ABS", "Abs"),
    "BATCH_MATMUL": batch_matmul,
    "COS": _real("COS", "Cos"),
    "ELU": _function("ELU"),
    "EXP": exp,
    "FLOOR": _real("FLOOR"),
    "GELU": gelu,
    "LOG": log,
    "MAXIMUM": _comparison("MAXIMUM"),
    "MINIMUM": _comparison("MINIMUM"),
    "NEG": neg,
    "RSQRT": rsqrt,
    "SIN": _real("SIN"),
    "SQRT": sqrt,
    "SQUARE": _real("SQUARE", "Square"),
    "SQUARED_DIFFERENCE": squared_difference,
}

# What the reference kernels, or the C model, have for int8 only.
INT8_ONLY = frozenset({"COS", "ELU", "FLOOR", "SIN", "SQRT", "SQUARE", "SQUARED_DIFFERENCE"})
