"""Operators of random graphs beyond convolutions, arithmetic and activations.

As in ``random_graphs``: each function appends one operator that reads ``x`` and returns its outputs, or None
where the operator does not take a tensor of that shape or type.
"""

from __future__ import annotations

import math

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from nets import TYPES, Net, operand, options, rescaled

# ---- functions of one value


def _function(opcode: str, opts: str | None = None):
    def maker(net: Net, x: int):
        if net.dtype != "int8" and opcode in INT8_ONLY:
            return None
        y = rescaled(net, x)
        net.add(opcode, [x], [y], options(opts) if opts else None)
        return [y]

    return maker


def gelu(net: Net, x: int):
    y = rescaled(net, x)
    net.add("GELU", [x], [y], options("Gelu", approximate=bool(net.rng.random() < 0.5)))
    return [y]


def exp(net: Net, x: int):
    y = net.value(net.shapes[x], net.output_scale(float(np.exp(min(net.quants[x][0] * net.spread(), 14)))))
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


def _in_float(opcode: str, opts: str, count: int = 1):
    """An operator on float32 tensors between DEQUANTIZE and QUANTIZE."""

    def maker(net: Net, x: int):
        shape = net.shapes[x]
        if net.dtype != "int8" or not shape:
            return None
        given = []
        for _ in range(count):
            given.append(net.tensor(shape, "float32"))
            net.add("DEQUANTIZE", [x], given[-1:], options("Dequantize"))
        made = {}
        if opcode == "CUMSUM":
            given.append(net.integers(int(net.rng.integers(-len(shape), len(shape)))))
            made = {"exclusive": bool(net.rng.random() < 0.5), "reverse": bool(net.rng.random() < 0.5)}
        real = net.tensor(shape, "float32")
        net.add(opcode, given, [real], options(opts, **made))
        y = net.value(shape, net.output_scale(net.quants[x][0] * net.spread() * 3))
        net.add("QUANTIZE", [real], [y], options("Quantize"))
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


def prelu(net: Net, x: int):
    shape = net.shapes[x]
    if not 1 <= len(shape) <= 4 or net.dtype != "int8":
        return None
    own = [n if i == len(shape) - 1 or net.rng.random() < 0.3 else 1 for i, n in enumerate(shape)]
    alpha = net.constant(own[int(net.rng.integers(len(own))) :], 1 / 128)
    y = rescaled(net, x)
    net.add("PRELU", [x, alpha], [y])
    return [y]


def l2_normalization(net: Net, x: int):
    if net.dtype != "int8" or not 1 <= len(net.shapes[x]) <= 4:
        return None
    y = net.tensor(net.shapes[x], None, 1 / 128, 0)
    net.add("L2_NORMALIZATION", [x], [y], options("L2Norm"))
    return [y]


# ---- the same values elsewhere


def slice_(net: Net, x: int):
    shape = net.shapes[x]
    if not 1 <= len(shape) <= 5:
        return None
    begin = [int(net.rng.integers(n)) for n in shape]
    made = [int(net.rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    size = list(made)
    for axis, n in enumerate(shape):
        if net.rng.random() < 0.3:
            size[axis], made[axis] = -1, n - begin[axis]
    y = net.like(x, made)
    net.add("SLICE", [x, net.integers(begin), net.integers(size)], [y], options("Slice"))
    return [y]


def gather(net: Net, x: int):
    shape = net.shapes[x]
    if not 1 <= len(shape) <= 4:
        return None
    axis = int(net.rng.integers(len(shape)))
    own = [(), (3,), (1,), (2, 2), (5,)][net.rng.integers(5)]
    if len(shape) + len(own) > 5:
        own = (3,)
    positions = net.rng.integers(0, shape[axis], own)
    y = net.like(x, [*shape[:axis], *own, *shape[axis + 1 :]])
    written = axis - len(shape) if net.rng.random() < 0.3 else axis
    net.add("GATHER", [x, net.integers(positions)], [y], options("Gather", axis=written))
    return [y]


def split_v(net: Net, x: int):
    shape = net.shapes[x]
    axes = [i for i, n in enumerate(shape) if n > 1]
    if not axes:
        return None
    axis = int(net.rng.choice(axes))
    cuts = sorted({int(v) for v in net.rng.integers(1, shape[axis], 2)})
    sizes = [b - a for a, b in zip([0, *cuts], [*cuts, shape[axis]], strict=True)]
    outputs = [net.like(x, [*shape[:axis], size, *shape[axis + 1 :]]) for size in sizes]
    if net.rng.random() < 0.5:
        sizes[int(net.rng.integers(len(sizes)))] = -1
    inputs = [x, net.integers(sizes), net.integers([axis - len(shape) if net.rng.random() < 0.3 else axis])]
    net.add("SPLIT_V", inputs, outputs, options("SplitV", numSplits=len(sizes)))
    return outputs


def pack(net: Net, x: int):
    shape = net.shapes[x]
    if len(shape) > 4:
        return None
    parts = [x] * int(net.rng.integers(1, 4))
    low, high = (-128, 127) if net.dtype == "int8" else (-32768, 32767)
    if net.rng.random() < 0.6:
        parts.append(net.tensor(shape, None, *net.quants[x], net.rng.integers(low, high + 1, shape)))
    axis = int(net.rng.integers(-len(shape) - 1, len(shape) + 1))
    made = list(shape)
    made.insert(axis if axis >= 0 else axis + len(shape) + 1, len(parts))
    y = net.like(x, made)
    net.add("PACK", parts, [y], options("Pack", valuesCount=len(parts), axis=axis))
    return [y]


def unpack(net: Net, x: int):
    shape = net.shapes[x]
    axes = [i for i, n in enumerate(shape) if n <= 6]
    if not axes:
        return None
    axis = int(net.rng.choice(axes))
    made = [n for i, n in enumerate(shape) if i != axis]
    outputs = [net.like(x, made) for _ in range(shape[axis])]
    written = axis - len(shape) if net.rng.random() < 0.3 else axis
    net.add("UNPACK", [x], outputs, options("Unpack", num=shape[axis], axis=written))
    return outputs


def tile(net: Net, x: int):
    shape = net.shapes[x]
    if not 1 <= len(shape) <= 4 or math.prod(shape) > 500:
        return None
    repeats = [int(n) for n in net.rng.choice([1, 1, 2, 3], len(shape))]
    y = net.like(x, [n * m for n, m in zip(shape, repeats, strict=True)])
    net.add("TILE", [x, net.integers(repeats)], [y], options("Tile"))
    return [y]


def mirror_pad(net: Net, x: int):
    shape = net.shapes[x]
    if not 1 <= len(shape) <= 4 or math.prod(shape) > 1000:
        return None
    mode = int(net.rng.integers(2))
    most = [min(n - (mode == 0), 3) for n in shape]
    paddings = [[int(v) for v in net.rng.integers(0, n + 1, 2)] for n in most]
    y = net.like(x, [n + sum(p) for n, p in zip(shape, paddings, strict=True)])
    net.add("MIRROR_PAD", [x, net.integers(paddings)], [y], options("MirrorPad", mode=mode))
    return [y]


def space_to_depth(net: Net, x: int):
    shape = net.shapes[x]
    if len(shape) != 4 or net.dtype != "int8":
        return None
    blocks = [b for b in (1, 2, 3, 4) if not shape[1] % b and not shape[2] % b]
    block = int(net.rng.choice(blocks))
    y = net.like(x, (shape[0], shape[1] // block, shape[2] // block, shape[3] * block**2))
    net.add("SPACE_TO_DEPTH", [x], [y], options("SpaceToDepth", blockSize=block))
    return [y]


def depth_to_space(net: Net, x: int):
    shape = net.shapes[x]
    if len(shape) != 4 or net.dtype != "int8":
        return None
    block = int(net.rng.choice([b for b in (1, 2, 3) if not shape[3] % b**2]))
    y = net.like(x, (shape[0], shape[1] * block, shape[2] * block, shape[3] // block**2))
    net.add("DEPTH_TO_SPACE", [x], [y], options("DepthToSpace", blockSize=block))
    return [y]


# ---- convolutions of other kinds, other sizes, positions


def _filter_output(net: Net, shape, x: int, scale: float, terms: int) -> int:
    deviation = math.sqrt(terms) * net.spread() * 74.0
    return net.value(shape, net.output_scale(deviation * net.quants[x][0] * scale))


def _filter(net: Net, shape) -> tuple[int, np.ndarray]:
    """Weights with a scale for each output channel (the first axis)."""
    scales = np.exp(net.rng.uniform(math.log(3e-3), math.log(2e-2), shape[0])).astype(np.float32)
    data = net.rng.integers(-127, 128, shape)
    return net.tensor(shape, "int8", scales if shape[0] > 1 else scales[0], 0, data, 0), scales


def _filter_bias(net: Net, scales: np.ndarray, x: int, terms: int) -> int:
    own = np.float32(net.quants[x][0]) * scales
    data = net.rng.normal(0, math.sqrt(terms) * net.spread() * 37, scales.size).round()
    wide = "int64" if net.dtypes[x] == "int16" else "int32"
    return net.tensor(scales.shape, wide, own if scales.size > 1 else own[0], 0, data)


def transpose_conv(net: Net, x: int):
    shape = net.shapes[x]
    if len(shape) != 4 or math.prod(shape) > 1500:
        return None
    rng = net.rng
    same = bool(rng.random() < 0.5)
    stride = [int(n) for n in rng.integers(1, 4, 2)]
    taps = [int(n) for n in rng.integers(1, 5, 2)]
    made = [
        n * s if same else (n - 1) * s + max(t, s) for n, s, t in zip(shape[1:3], stride, taps, strict=True)
    ]
    channels = int(rng.integers(1, 6))
    weights, scales = _filter(net, (channels, *taps, shape[3]))
    terms = shape[3] * -(-taps[0] // stride[0]) * -(-taps[1] // stride[1])
    y = _filter_output(net, (shape[0], *made, channels), x, float(np.median(scales)), terms)
    inputs = [net.integers([shape[0], *made, channels]), weights, x]
    if rng.random() < 0.6:
        inputs.append(_filter_bias(net, scales, x, terms))
    net.add(
        "TRANSPOSE_CONV",
        inputs,
        [y],
        options("TransposeConv", padding=0 if same else 1, strideH=stride[0], strideW=stride[1]),
    )
    return [y]


def grouped_conv_2d(net: Net, x: int):
    """A CONV_2D, not in MAKERS under a name of its own."""
    shape = net.shapes[x]
    groups = [g for g in (2, 3, 4, 8) if len(shape) == 4 and shape[3] % g == 0 and shape[3] > g]
    if not groups:
        return None
    rng = net.rng
    group = int(rng.choice(groups))
    taps = [min(int(rng.integers(1, 4)), n) for n in shape[1:3]]
    channels = group * int(rng.integers(1, 4))
    depth = shape[3] // group
    weights, scales = _filter(net, (channels, *taps, depth))
    terms = depth * math.prod(taps)
    padding = int(rng.integers(2))
    made = shape[1:3] if padding == 0 else [n - t + 1 for n, t in zip(shape[1:3], taps, strict=True)]
    y = _filter_output(net, (shape[0], *made, channels), x, float(np.median(scales)), terms)
    bias = _filter_bias(net, scales, x, terms)
    made_options = options(
        "Conv2D",
        padding=padding,
        strideH=1,
        strideW=1,
        dilationHFactor=1,
        dilationWFactor=1,
        fusedActivationFunction=net.activation(),
    )
    net.add("CONV_2D", [x, weights, bias], [y], made_options)
    return [y]


def _above_zero(net: Net, x: int) -> int:
    """``x`` made a half and more, so that it may divide."""
    between = net.tensor(net.shapes[x], None, 1 / 256, -128)
    net.add("LOGISTIC", [x], [between])
    y = net.tensor(net.shapes[x], None, 1.5 / 255, -128)
    half = net.tensor((), None, 0.5 / 255, -128, 127)
    net.add("ADD", [between, half], [y], options("Add", potScaleInt16=False))
    return y


def div(net: Net, x: int):
    shape, rng = net.shapes[x], net.rng
    if net.dtype != "int8" or len(shape) > 4:
        return None
    kind = rng.integers(3)
    if kind == 0:
        pair = [operand(net, x), _above_zero(net, x)]
    else:
        start = len(shape) if kind == 1 else int(rng.integers(0, len(shape) + 1))
        zero_point = net.zero_point()
        data = rng.choice([n for n in range(-128, 128) if n != zero_point], shape[start:])
        pair = [x, net.tensor(data.shape, None, net.scale(), zero_point, data)]
    # Wide enough that TensorFlow Lite defines 0 / x.
    ratio = float(np.exp(rng.uniform(np.log(65), np.log(3000))))
    a, b = (net.quants[t][0] for t in pair)
    y = net.value(np.broadcast_shapes(*(net.shapes[t] for t in pair)), a / b / ratio)
    net.add("DIV", pair, [y], options("Div", fusedActivationFunction=net.activation()))
    return [y]


def lstm(net: Net, x: int):
    shape, rng = net.shapes[x], net.rng
    if len(shape) != 3 or net.dtype != "int8" or math.prod(shape) > 600:
        return None
    units, inputs = int(rng.integers(1, 9)), shape[2]
    major, coupled = bool(rng.random() < 0.3), rng.random() < 0.3
    batch = shape[1 if major else 0]
    scale, zero_point = float(np.exp(rng.uniform(np.log(0.003), np.log(0.01)))), net.zero_point()
    absent = [0] if coupled else []

    def each(make):
        return [-1 if gate in absent else make() for gate in range(4)]

    def weights(depth: int, spread: float) -> int:
        data = rng.integers(-127, 128, (units, depth))
        return net.tensor(data.shape, "int8", 2 / (spread * 74 * math.sqrt(depth)), 0, data)

    own = each(lambda: weights(inputs, net.quants[x][0] * net.spread()))
    recurrent = each(lambda: weights(units, 0.7))
    biases = each(
        lambda: net.tensor((units,), "int32", net.quants[x][0] / 100, 0, rng.integers(-900, 900, units))
    )
    states = [
        net.tensor((batch, units), "int8", scale, zero_point),
        net.tensor((batch, units), "int16", 2.0 ** -int(rng.integers(9, 16))),
    ]
    for state in states:
        net.tensors[state].isVariable = True
    y = net.tensor((*shape[:2], units), "int8", scale, zero_point)
    tail = [-1] * int(rng.choice([0, 4]))
    chosen = options(
        "UnidirectionalSequenceLSTM",
        fusedActivationFunction=schema.ActivationFunctionType.TANH,
        cellClip=float(rng.choice([0, 0, 1.5])),
        timeMajor=major,
    )
    names = [x, *own, *recurrent, -1, -1, -1, *biases, -1, -1, *states, *tail]
    net.add("UNIDIRECTIONAL_SEQUENCE_LSTM", names, [y], chosen)
    inner = [net.tensor((1,), "int16", 2.0**-12) for _ in range(4)]
    # The state that takes the outputs has their integers, whatever its own scale.
    other = scale * 1.2 if rng.random() < 0.2 else scale
    net.operators[-1].intermediates = [*inner, net.tensor((1,), "int8", other, zero_point)]
    # Nothing else may read them.
    for hidden in (*states, *inner, *net.operators[-1].intermediates):
        net.quants[hidden] = None
    return [y]


def _resize(opcode: str, opts: str):
    def maker(net: Net, x: int):
        shape = net.shapes[x]
        if len(shape) != 4 or math.prod(shape) > 1000:
            return None
        made = [int(n) for n in net.rng.integers(1, 15, 2)]
        y = net.like(x, (shape[0], *made, shape[3]))
        how = net.rng.integers(3)
        chosen = {"alignCorners": bool(how == 1), "halfPixelCenters": bool(how == 2)}
        net.add(opcode, [x, net.integers(made)], [y], options(opts, **chosen))
        return [y]

    return maker


def _position(opcode: str, opts: str):
    def maker(net: Net, x: int):
        shape = net.shapes[x]
        if not shape or net.dtype != "int8":
            return None
        axis = int(net.rng.integers(len(shape)))
        dtype = "int32" if net.rng.random() < 0.6 else "int64"
        y = net.tensor([n for i, n in enumerate(shape) if i != axis], dtype)
        written = axis - len(shape) if net.rng.random() < 0.3 else axis
        net.add(opcode, [x, net.integers(written)], [y], options(opts, outputType=TYPES[dtype]))
        return [y]

    return maker


MAKERS = {
    "ABS": _function("ABS", "Abs"),
    "ADD_N": _in_float("ADD_N", "AddN", 3),
    "ARG_MAX": _position("ARG_MAX", "ArgMax"),
    "ARG_MIN": _position("ARG_MIN", "ArgMin"),
    "BATCH_MATMUL": batch_matmul,
    "COS": _real("COS", "Cos"),
    "CUMSUM": _in_float("CUMSUM", "Cumsum"),
    "DEPTH_TO_SPACE": depth_to_space,
    "DIV": div,
    "ELU": _function("ELU"),
    "EXP": exp,
    "FLOOR": _real("FLOOR"),
    "GATHER": gather,
    "GELU": gelu,
    "L2_NORMALIZATION": l2_normalization,
    "LOG": log,
    "MAXIMUM": _comparison("MAXIMUM"),
    "MINIMUM": _comparison("MINIMUM"),
    "MIRROR_PAD": mirror_pad,
    "NEG": neg,
    "PACK": pack,
    "PRELU": prelu,
    "RELU_N1_TO_1": _function("RELU_N1_TO_1"),
    "RESIZE_BILINEAR": _resize("RESIZE_BILINEAR", "ResizeBilinear"),
    "RESIZE_NEAREST_NEIGHBOR": _resize("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor"),
    "RSQRT": rsqrt,
    "SIN": _real("SIN"),
    "SLICE": slice_,
    "SPACE_TO_DEPTH": space_to_depth,
    "SPLIT_V": split_v,
    "SQRT": sqrt,
    "SQUARE": _real("SQUARE", "Square"),
    "SQUARED_DIFFERENCE": squared_difference,
    "TILE": tile,
    "TRANSPOSE_CONV": transpose_conv,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
    "UNPACK": unpack,
}

# What the reference kernels, or the C model, have for int8 only.
INT8_ONLY = frozenset(
    (
        *("ADD_N", "ARG_MAX", "ARG_MIN", "COS", "CUMSUM", "DEPTH_TO_SPACE", "DIV", "ELU", "FLOOR"),
        *("L2_NORMALIZATION", "PRELU", "RELU_N1_TO_1", "SIN", "SPACE_TO_DEPTH", "SQRT", "SQUARE"),
        *("SQUARED_DIFFERENCE", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
    )
)
