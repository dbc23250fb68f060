"""Random quantised .tflite graphs and what TFLite's reference kernels answer to them.

``random_model(seed)`` is a graph of several operators with branches, ``single_operator_model(opcode, seed)``
one operator; both are deterministic, and the reference interpreter runs every one. Shapes are small, so that
an emulated core gets through hundreds. The tests of the reader, the compiler and the kernels share this file;
``nets.py`` has what a model is put together with, ``random_makers.py`` most of its operators.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import random_makers
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from nets import ACTIVATIONS, LIMITS, TYPES, VERSIONS, Net, operand, options, requantized, rescaled

__all__ = [
    "ACTIVATIONS",
    "LIMITS",
    "MAKERS",
    "TYPES",
    "VERSIONS",
    "Net",
    "interpreter",
    "options",
    "random_inputs",
    "random_model",
    "reference",
    "schema",
    "single_operator_model",
    "supports",
]

# Each function below appends one operator that reads ``x`` and returns its outputs, or None where the
# operator does not take a tensor of that shape or type.


def _windows(net: Net, x: int, *, dilated: bool, filters=(1, 1, 2, 3, 3, 3, 4, 5)):
    """Filter, stride, dilation, padding and output size that suit the height and width of ``x``."""
    rng = net.rng
    padding = int(rng.integers(2))
    out, chosen = [], []
    for size in net.shapes[x][1:3]:
        filter_ = int(rng.choice(filters))
        stride = int(rng.choice([1, 1, 1, 2, 2, 3]))
        dilation = int(rng.choice([1, 1, 1, 2, 3])) if dilated else 1
        if padding == schema.Padding.VALID:
            filter_ = min(filter_, size)
            if (filter_ - 1) * dilation + 1 > size:
                dilation = 1
            out.append((size - (filter_ - 1) * dilation - 1) // stride + 1)
        else:
            out.append(-(-size // stride))
        chosen.append((filter_, stride, dilation))
    (fh, sh, dh), (fw, sw, dw) = chosen
    return (fh, fw), (sh, sw), (dh, dw), padding, tuple(out)


def _weights(net: Net, shape, axis: int, *, per_channel: bool) -> tuple[int, np.ndarray]:
    """Add int8 weights; returns the tensor and its scales [shape=(channels,)]."""
    rng = net.rng
    channels = shape[axis]
    low = -128 if rng.random() < 0.1 else -127
    data = rng.integers(low, 128, shape)
    scale = np.exp(rng.uniform(np.log(1e-3), np.log(2e-2)))
    if per_channel and channels > 1:
        scales = (scale * np.exp(rng.uniform(-1.5, 1.5, channels))).astype(np.float32)
        return net.tensor(shape, "int8", scales, 0, data, axis), scales
    scales = np.full(channels, np.float32(scale))
    return net.tensor(shape, "int8", scales[0], 0, data), scales


def _bias(net: Net, scales: np.ndarray, x: int, deviation: float) -> int:
    """Add a bias about as large as the sums it is added to; int32, for int16 activations int64."""
    input_scale = np.float32(net.quants[x][0])
    bias_scales = input_scale * scales
    data = net.rng.normal(0, 0.5 * deviation, scales.size).round()
    if (scales == scales[0]).all():
        bias_scales = bias_scales[0]
    return net.tensor(scales.shape, "int32" if net.dtypes[x] == "int8" else "int64", bias_scales, 0, data)


def _convolution_output(net: Net, x: int, shape, scales: np.ndarray, terms: int) -> tuple[int, float]:
    """Add the output of a sum of ``terms`` products; returns it and the deviation of the sums in integers."""
    deviation = math.sqrt(terms) * net.spread() * 74.0
    scale = net.output_scale(deviation * net.quants[x][0] * float(np.median(scales)))
    return net.value(shape, scale), deviation


def conv_2d(net: Net, x: int):
    if len(net.shapes[x]) != 4:
        return None
    rng = net.rng
    if rng.random() < 0.1:
        made = random_makers.grouped_conv_2d(net, x)
        if made:
            return made
    filter_, stride, dilation, padding, size = _windows(net, x, dilated=True)
    batch, channels = net.shapes[x][0], net.shapes[x][3]
    made = int(rng.choice([1, 2, 3, 4, 5, 8, 8, 11, 16, 16, 24]))
    weights, scales = _weights(net, (made, *filter_, channels), 0, per_channel=rng.random() < 0.7)
    y, deviation = _convolution_output(net, x, (batch, *size, made), scales, math.prod(filter_) * channels)
    bias = _bias(net, scales, x, deviation)
    net.add(
        "CONV_2D",
        [x, weights, bias],
        [y],
        options(
            "Conv2D",
            padding=padding,
            strideH=stride[0],
            strideW=stride[1],
            dilationHFactor=dilation[0],
            dilationWFactor=dilation[1],
            fusedActivationFunction=net.activation(),
        ),
    )
    return [y]


def depthwise_conv_2d(net: Net, x: int):
    if len(net.shapes[x]) != 4:
        return None
    rng = net.rng
    filter_, stride, dilation, padding, size = _windows(net, x, dilated=True)
    batch, channels = net.shapes[x][0], net.shapes[x][3]
    multiplier = int(rng.choice([1, 1, 1, 1, 2, 3, 4])) if channels <= 16 else 1
    made = channels * multiplier
    weights, scales = _weights(net, (1, *filter_, made), 3, per_channel=rng.random() < 0.7)
    y, deviation = _convolution_output(net, x, (batch, *size, made), scales, math.prod(filter_))
    bias = _bias(net, scales, x, deviation)
    net.add(
        "DEPTHWISE_CONV_2D",
        [x, weights, bias],
        [y],
        options(
            "DepthwiseConv2D",
            padding=padding,
            strideH=stride[0],
            strideW=stride[1],
            dilationHFactor=dilation[0],
            dilationWFactor=dilation[1],
            depthMultiplier=multiplier,
            fusedActivationFunction=net.activation(),
        ),
    )
    return [y]


def fully_connected(net: Net, x: int):
    rng = net.rng
    shape = net.shapes[x]
    if not shape or math.prod(shape) > 2000:
        return None
    keep = bool(rng.random() < 0.3)
    depth = shape[-1] if keep or rng.random() < 0.5 else math.prod(shape[1:]) if len(shape) > 1 else shape[-1]
    units = int(rng.choice([1, 2, 3, 5, 8, 10, 16]))
    weights, scales = _weights(net, (units, depth), 0, per_channel=rng.random() < 0.3)
    made = (*shape[:-1], units) if keep else (math.prod(shape) // depth, units)
    y, deviation = _convolution_output(net, x, made, scales, depth)
    bias = -1 if rng.random() < 0.2 else _bias(net, scales, x, deviation)
    net.add(
        "FULLY_CONNECTED",
        [x, weights, bias],
        [y],
        options("FullyConnected", keepNumDims=keep, fusedActivationFunction=net.activation()),
    )
    return [y]


def _pool(net: Net, x: int, opcode: str):
    if len(net.shapes[x]) != 4:
        return None
    filter_, stride, _, padding, size = _windows(net, x, dilated=False, filters=(1, 2, 2, 2, 3, 3, 4))
    if net.rng.random() < 0.15:
        filter_ = stride = net.shapes[x][1:3]
        padding, size = schema.Padding.VALID, (1, 1)
    y = net.like(x, (net.shapes[x][0], *size, net.shapes[x][3]))
    net.add(
        opcode,
        [x],
        [y],
        options(
            "Pool2D",
            padding=padding,
            strideH=stride[0],
            strideW=stride[1],
            filterHeight=filter_[0],
            filterWidth=filter_[1],
            fusedActivationFunction=net.activation(),
        ),
    )
    return [y]


def average_pool_2d(net: Net, x: int):
    return _pool(net, x, "AVERAGE_POOL_2D")


def max_pool_2d(net: Net, x: int):
    return _pool(net, x, "MAX_POOL_2D")


def _reduce(net: Net, x: int, opcode: str):
    rng = net.rng
    shape = net.shapes[x]
    rank = len(shape)
    if not rank:
        return None
    if rank == 4 and rng.random() < 0.6:
        axes = [1, 2] if rng.random() < 0.7 else [2, 1]
    else:
        axes = rng.permutation(rank)[: rng.integers(1, rank + 1)].tolist()
    keep = bool(rng.random() < 0.5)
    made = [1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes]
    count = math.prod(shape[i] for i in axes)
    written = [a - rank if rng.random() < 0.2 else a for a in axes]
    scale, _ = net.quants[x]
    if opcode in ("REDUCE_MAX", "REDUCE_MIN"):
        y = net.like(x, made)
    elif opcode == "SUM":
        y = net.value(made, net.output_scale(scale * net.spread() * math.sqrt(count)))
    else:
        y = net.value(made, net.output_scale(scale * net.spread() / math.sqrt(count)))
    net.add(opcode, [x, net.integers(written)], [y], options("Reducer", keepDims=keep))
    return [y]


def mean(net: Net, x: int):
    return _reduce(net, x, "MEAN")


def reduce_max(net: Net, x: int):
    return _reduce(net, x, "REDUCE_MAX")


def reduce_min(net: Net, x: int):
    return _reduce(net, x, "REDUCE_MIN")


def sum_(net: Net, x: int):
    return _reduce(net, x, "SUM")


def _arithmetic(net: Net, x: int, opcode: str):
    rng = net.rng
    other = operand(net, x)
    if len(net.shapes[x]) > 4:
        other = net.constant(net.shapes[x])
    pair = [x, other] if rng.random() < 0.7 else [other, x]
    a, b = (net.quants[t][0] * net.spread() for t in pair)
    deviation = a * b if opcode == "MUL" else math.hypot(a, b)
    shape = np.broadcast_shapes(*(net.shapes[t] for t in pair))
    y = net.value(shape, net.output_scale(deviation))
    made = {"fusedActivationFunction": net.activation()}
    if opcode != "MUL":
        made["potScaleInt16"] = net.dtype == "int8"
    net.add(opcode, pair, [y], options(opcode.capitalize(), **made))
    return [y]


def add(net: Net, x: int):
    return _arithmetic(net, x, "ADD")


def sub(net: Net, x: int):
    return _arithmetic(net, x, "SUB")


def mul(net: Net, x: int):
    return _arithmetic(net, x, "MUL")


def _pad(net: Net, x: int, opcode: str):
    rng = net.rng
    shape = net.shapes[x]
    if not 1 <= len(shape) <= 4:
        return None
    paddings = rng.integers(0, 3, (len(shape), 2))
    paddings[0] = 0
    if len(shape) == 4 and rng.random() < 0.8:
        paddings[3] = 0
    y = net.like(x, [n + int(p.sum()) for n, p in zip(shape, paddings, strict=True)])
    inputs = [x, net.integers(paddings, rng.choice(["int32", "int32", "int64"]))]
    if opcode == "PADV2":
        low, high = LIMITS[net.dtypes[x]]
        scale, zero_point = net.quants[x]
        inputs.append(net.tensor((1,), net.dtypes[x], scale, zero_point, [rng.integers(low, high + 1)]))
    net.add(opcode, inputs, [y], options("Pad" if opcode == "PAD" else "PadV2"))
    return [y]


def pad(net: Net, x: int):
    return _pad(net, x, "PAD")


def padv2(net: Net, x: int):
    return _pad(net, x, "PADV2")


def concatenation(net: Net, x: int):
    rng = net.rng
    shape = net.shapes[x]
    if not 1 <= len(shape) <= 4:
        return None
    axis = int(rng.integers(len(shape)))
    if rng.random() < 0.6:
        axis = len(shape) - 1
    others = [
        t
        for t in range(len(net.shapes))
        if len(net.shapes[t]) == len(shape)
        and all(i == axis or n == net.shapes[t][i] for i, n in enumerate(shape))
        and net.dtypes[t] == net.dtypes[x]
        and net.quants[t]
        and not net.tensors[t].buffer
    ]
    parts = [x, *(int(rng.choice(others)) for _ in range(rng.integers(1, 4)))]
    parts = [requantized(net, t, x) for t in parts]
    if rng.random() < 0.2:
        made = list(shape)
        made[axis] = int(rng.integers(1, 4))
        low, high = LIMITS[net.dtypes[x]]
        parts.append(net.tensor(made, net.dtypes[x], *net.quants[x], rng.integers(low, high + 1, made)))
    parts = [parts[i] for i in rng.permutation(len(parts))]
    made = list(shape)
    made[axis] = sum(net.shapes[t][axis] for t in parts)
    y = net.like(x, made)
    written = axis - len(shape) if rng.random() < 0.3 else axis
    net.add("CONCATENATION", parts, [y], options("Concatenation", axis=written))
    return [y]


def reshape(net: Net, x: int):
    rng = net.rng
    left = math.prod(net.shapes[x])
    made = []
    for _ in range(rng.integers(0, 4)):
        divisors = [d for d in range(1, left + 1) if left % d == 0]
        made.append(int(rng.choice(divisors)))
        left //= made[-1]
    made.append(left)
    made = [made[i] for i in rng.permutation(len(made))]
    y = net.like(x, made)
    written = list(made)
    if rng.random() < 0.3:
        written[int(rng.integers(len(written)))] = -1
    if rng.random() < 0.8:
        net.add("RESHAPE", [x, net.integers(written)], [y], options("Reshape", newShape=written))
    else:
        net.add("RESHAPE", [x], [y], options("Reshape", newShape=written))
    return [y]


def squeeze(net: Net, x: int):
    shape = net.shapes[x]
    ones = [i for i, n in enumerate(shape) if n == 1]
    if not ones:
        return None
    axes = [i for i in ones if net.rng.random() < 0.6]
    y = net.like(x, [n for i, n in enumerate(shape) if i not in (axes or ones)])
    written = [a - len(shape) if net.rng.random() < 0.2 else a for a in axes]
    net.add("SQUEEZE", [x], [y], options("Squeeze", squeezeDims=written))
    return [y]


def expand_dims(net: Net, x: int):
    shape = net.shapes[x]
    if len(shape) >= 5:
        return None
    axis = int(net.rng.integers(-len(shape) - 1, len(shape) + 1))
    made = list(shape)
    made.insert(axis if axis >= 0 else axis + len(shape) + 1, 1)
    y = net.like(x, made)
    net.add("EXPAND_DIMS", [x, net.integers(axis)], [y], options("ExpandDims"))
    return [y]


def softmax(net: Net, x: int):
    if not 1 <= len(net.shapes[x]) <= 4:
        return None
    y = (
        net.tensor(net.shapes[x], None, 1 / 256, -128)
        if net.dtypes[x] == "int8"
        else net.tensor(net.shapes[x], None, 1 / 32768, 0)
    )
    beta = 1.0 if net.rng.random() < 0.7 else float(np.exp(net.rng.uniform(-1.5, 1)))
    net.add("SOFTMAX", [x], [y], options("Softmax", beta=beta))
    return [y]


def logistic(net: Net, x: int):
    y = (
        net.tensor(net.shapes[x], None, 1 / 256, -128)
        if net.dtypes[x] == "int8"
        else net.tensor(net.shapes[x], None, 1 / 32768, 0)
    )
    net.add("LOGISTIC", [x], [y])
    return [y]


def tanh(net: Net, x: int):
    y = net.tensor(net.shapes[x], None, 1 / 128 if net.dtypes[x] == "int8" else 1 / 32768, 0)
    net.add("TANH", [x], [y])
    return [y]


def hard_swish(net: Net, x: int):
    if net.dtypes[x] != "int8":
        return None
    scale, _ = net.quants[x]
    if not 1e-6 < scale < 100:  # the kernel's 16-bit multipliers end somewhat farther out
        return None
    y = net.value(net.shapes[x], scale * float(np.exp(net.rng.uniform(-1.5, 0.7))))
    net.add("HARD_SWISH", [x], [y], options("HardSwish"))
    return [y]


def leaky_relu(net: Net, x: int):
    y = rescaled(net, x)
    alpha = float(net.rng.choice([0.0, 0.01, 0.1, 0.2, 0.3, 0.5, 1.0, net.rng.uniform(0, 1.5)]))
    net.add("LEAKY_RELU", [x], [y], options("LeakyRelu", alpha=alpha))
    return [y]


def relu(net: Net, x: int):
    y = rescaled(net, x)
    net.add("RELU", [x], [y])
    return [y]


def relu6(net: Net, x: int):
    y = rescaled(net, x)
    net.add("RELU6", [x], [y])
    return [y]


def quantize(net: Net, x: int):
    if net.rng.random() < 0.2:
        other = "int16" if net.dtypes[x] == "int8" else "int8"
        deviation = net.quants[x][0] * net.spread(net.dtypes[x])
        y = net.value(net.shapes[x], net.output_scale(deviation, other), other)
    else:
        y = rescaled(net, x)
    net.add("QUANTIZE", [x], [y], options("Quantize"))
    return [y]


def unsigned(net: Net, x: int) -> int:
    """``x`` as uint8, of its own scale or of another."""
    scale, zero_point = net.quants[x]
    if net.rng.random() < 0.5:
        scale, zero_point = scale * 1.3, int(net.rng.integers(-128, 128))
    y = net.tensor(net.shapes[x], "uint8", scale, zero_point + 128)
    net.add("QUANTIZE", [x], [y], options("Quantize"))
    return y


def strided_slice(net: Net, x: int):
    rng = net.rng
    shape = net.shapes[x]
    rank = len(shape)
    if not 1 <= rank <= 4:
        return None
    begin, end, strides, made = [], [], [], []
    begin_mask = end_mask = shrink = 0
    for i, size in enumerate(shape):
        stride = int(rng.choice([1, 1, 1, 2, 3, -1]))
        if rng.random() < 0.15 and i:
            at = int(rng.integers(-size, size))
            begin.append(at)
            end.append(at + 1)
            strides.append(1)
            shrink |= 1 << i
            continue
        first = int(rng.integers(0, size))
        last = int(rng.integers(first + 1, size + 1))
        low, high = (first, last) if stride > 0 else (last - 1, first - 1)
        if rng.random() < 0.3:
            begin_mask |= 1 << i
            low = 0 if stride > 0 else size - 1
        if rng.random() < 0.3 or (stride < 0 and high < 0):
            end_mask |= 1 << i
            high = size if stride > 0 else -1
        count = len(range(low, high, stride))
        if count < 1:
            return None
        begin.append(low - size if rng.random() < 0.2 else low)
        end.append(high - size if 0 <= high < size and rng.random() < 0.2 else high)
        strides.append(stride)
        made.append(count)
    y = net.like(x, made)
    net.add(
        "STRIDED_SLICE",
        [x, net.integers(begin), net.integers(end), net.integers(strides)],
        [y],
        options("StridedSlice", beginMask=begin_mask, endMask=end_mask, shrinkAxisMask=shrink),
    )
    return [y]


def split(net: Net, x: int):
    rng = net.rng
    shape = net.shapes[x]
    choices = [(i, n) for i, size in enumerate(shape) for n in (2, 3, 4) if size % n == 0]
    if not choices:
        return None
    axis, count = (int(v) for v in rng.choice(choices))
    made = list(shape)
    made[axis] //= count
    outputs = [net.like(x, made) for _ in range(count)]
    written = axis - len(shape) if rng.random() < 0.3 else axis
    net.add("SPLIT", [net.integers(written), x], outputs, options("Split", numSplits=count))
    return outputs


def transpose(net: Net, x: int):
    shape = net.shapes[x]
    if not 1 <= len(shape) <= 5:
        return None
    order = net.rng.permutation(len(shape)).tolist()
    y = net.like(x, [shape[i] for i in order])
    net.add("TRANSPOSE", [x, net.integers(order)], [y], options("Transpose"))
    return [y]


def dequantize(net: Net, x: int):
    y = net.tensor(net.shapes[x], "float32")
    net.add("DEQUANTIZE", [x], [y], options("Dequantize"))
    return [y]


MAKERS = {
    "ADD": add,
    "AVERAGE_POOL_2D": average_pool_2d,
    "CONCATENATION": concatenation,
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "DEQUANTIZE": dequantize,
    "EXPAND_DIMS": expand_dims,
    "FULLY_CONNECTED": fully_connected,
    "HARD_SWISH": hard_swish,
    "LEAKY_RELU": leaky_relu,
    "LOGISTIC": logistic,
    "MAX_POOL_2D": max_pool_2d,
    "MEAN": mean,
    "MUL": mul,
    "PAD": pad,
    "PADV2": padv2,
    "QUANTIZE": quantize,
    "REDUCE_MAX": reduce_max,
    "REDUCE_MIN": reduce_min,
    "RELU": relu,
    "RELU6": relu6,
    "RESHAPE": reshape,
    "SOFTMAX": softmax,
    "SPLIT": split,
    "SQUEEZE": squeeze,
    "STRIDED_SLICE": strided_slice,
    "SUB": sub,
    "SUM": sum_,
    "TANH": tanh,
    "TRANSPOSE": transpose,
    **random_makers.MAKERS,
}

# How often ``random_model`` takes each operator; 1 where nothing is said.
_WEIGHTS = {
    "CONV_2D": 6,
    "DEPTHWISE_CONV_2D": 5,
    "FULLY_CONNECTED": 2,
    "ADD": 2,
    "MAX_POOL_2D": 2,
    "CONCATENATION": 2,
}
# What BUILTIN_REF lacks or does wrongly: their reference is the optimised kernels.
OPTIMISED = frozenset({"ELU", "SUM"})
# What nothing follows: floats and positions.
_LAST = frozenset({"ARG_MAX", "ARG_MIN", "DEQUANTIZE"})
_CHAIN = [name for name in MAKERS if name not in _LAST | OPTIMISED]
_CHANCES = np.array([_WEIGHTS.get(name, 1) for name in _CHAIN], float)
_CHANCES /= _CHANCES.sum()
LARGEST_VALUE = 6000


def _input(net: Net, *, image: bool) -> int:
    """An input of random shape; float32 behind a QUANTIZE one time in six."""
    rng = net.rng
    rank = 4 if image else int(rng.integers(1, 5))
    shape = [int(n) for n in rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12], rank)]
    if rank == 4:
        shape[0] = 1 if rng.random() < 0.9 else 2
        shape[3] = int(rng.choice([1, 1, 2, 3, 4, 4, 8, 8, 12, 16, 17]))
    if rng.random() > 1 / 5:
        return net.input(shape)
    x = net.value(shape, net.scale())
    if net.dtype == "int8" and rng.random() < 1 / 4:
        given = net.tensor(shape, "uint8", net.quants[x][0], net.quants[x][1] + 128)
    else:
        given = net.tensor(shape, "float32")
    net.inputs.append(given)
    net.add("QUANTIZE", [given], [x], options("Quantize"))
    return x


@cache
def random_model(seed: int) -> bytes:
    """A .tflite of 2 to 10 operators with branches; one in four starts with int16 activations."""
    rng = np.random.default_rng([seed, 1])
    net = Net(rng, "int8" if rng.random() < 0.75 else "int16")
    values = [_input(net, image=rng.random() < 0.8)]
    if rng.random() < 0.2:
        values.append(_input(net, image=rng.random() < 0.8))
    wanted = int(rng.integers(2, 11))
    for _ in range(10 * wanted):
        x = values[-1] if rng.random() < 0.7 else int(rng.choice(values))
        net.dtype = net.dtypes[x]
        made = MAKERS[_CHAIN[rng.choice(len(_CHAIN), p=_CHANCES)]](net, x)
        values += [y for y in made or [] if math.prod(net.shapes[y]) <= LARGEST_VALUE]
        if len(net.operators) >= wanted:
            break
    leaves = [y for y in values if y not in net.used and y not in net.inputs]
    net.dtype = net.dtypes[values[-1]]
    outputs = sorted({*leaves[-3:], values[-1]} - set(net.inputs)) or quantize(net, values[-1])
    if rng.random() < 1 / 6:
        outputs = [dequantize(net, y)[0] for y in outputs]
    elif rng.random() < 1 / 10 and net.dtypes[outputs[0]] == "int8" and net.shapes[outputs[0]]:
        net.dtype = "int8"
        outputs += MAKERS[str(rng.choice(["ARG_MAX", "ARG_MIN"]))](net, outputs[0])
    elif rng.random() < 1 / 10 and net.dtypes[outputs[-1]] == "int8":
        outputs[-1] = unsigned(net, outputs[-1])
    return net.bytes(outputs)


@cache
def single_operator_model(opcode: str, seed: int, dtype: str = "int8") -> bytes:
    """A .tflite of one ``opcode`` between inputs and outputs; concatenations may bring the odd QUANTIZE.

    Raises
    ------
    ValueError
        If the operator is not defined for ``dtype``.
    """
    rng = np.random.default_rng([seed, list(MAKERS).index(opcode), 2])
    for _ in range(50):
        net = Net(rng, dtype)
        made = MAKERS[opcode](net, _plain_input(net, image=opcode.endswith("2D") or rng.random() < 0.6))
        if made:
            return net.bytes(made)
    raise ValueError(f"{opcode} is not defined for {dtype}")


def _plain_input(net: Net, *, image: bool) -> int:
    rng = net.rng
    rank = 4 if image else int(rng.integers(1, 5))
    shape = [int(n) for n in rng.integers(1, 11, rank)]
    if rank == 4:
        shape[0] = 1 if rng.random() < 0.9 else 2
        shape[3] = int(rng.choice([1, 1, 2, 3, 4, 4, 8, 8, 12, 16, 17, 32]))
    x = net.input(shape)
    if rng.random() < 0.3:
        net.input(shape)
    return x


def supports(opcode: str, dtype: str) -> bool:
    """Whether the reference kernels have ``opcode`` for ``dtype`` activations."""
    return dtype == "int8" or opcode not in INT8_ONLY


INT8_ONLY = frozenset({"HARD_SWISH", *random_makers.INT8_ONLY})


def interpreter(model: bytes) -> Interpreter:
    """TFLite's reference kernels over ``model``, ready to run; the optimised ones where it has none."""
    used = {each.builtinCode for each in schema.ModelT.InitFromPackedBuf(model, 0).operatorCodes}
    kernels = OpResolverType.BUILTIN_REF
    if used & {getattr(schema.BuiltinOperator, name) for name in OPTIMISED}:
        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    made = Interpreter(model_content=model, experimental_op_resolver_type=kernels, num_threads=1)
    made.allocate_tensors()
    return made


def random_inputs(model: bytes, seed: int) -> list[np.ndarray]:
    """One array for each input of ``model``: spread over the type, narrow, or all one value."""
    rng = np.random.default_rng([seed, 3])
    inputs = []
    for detail in interpreter(model).get_input_details():
        shape, dtype = detail["shape"], np.dtype(detail["dtype"])
        if dtype.kind == "f":
            inputs.append(rng.normal(0, np.exp(rng.uniform(-3, 2)), shape).astype(dtype))
            continue
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        kind = rng.choice(3, p=[0.7, 0.2, 0.1])
        if kind == 1:
            low, high = sorted(int(v) for v in rng.integers(low, high + 1, 2))
        elif kind == 2:
            low = high = int(rng.choice([low, high, detail["quantization"][1]]))
        inputs.append(rng.integers(low, high + 1, shape).astype(dtype))
    return inputs


def reference(model: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """What ``BUILTIN_REF`` computes from ``inputs``: one array for each output."""
    runner = interpreter(model)
    for detail, value in zip(runner.get_input_details(), inputs, strict=True):
        runner.set_tensor(detail["index"], value)
    runner.reset_all_variables()
    runner.invoke()
    return [runner.get_tensor(detail["index"]) for detail in runner.get_output_details()]
