"""What operators demand of their tensors, in parts that the families in ``ops/`` put together.

Each function raises ``ModelError``, in a sentence that names the operator, or returns what the next check
needs. They refuse what TFLite's reference kernels (``BUILTIN_REF``) refuse or leave undefined, and what the C
model has no kernel for; what they let through has one meaning. The demands are those of
tensorflow/lite/kernels/*.cc and of TFLite's 8-bit quantisation specification.
"""

from __future__ import annotations

import math

import numpy as np

from firmware_export.errors import ModelError
from firmware_export.ir import Graph, Operator, Tensor
from firmware_export.quantize import LIMITS
from firmware_export.schema import ACTIVATIONS

# The type of a bias, by the type of the activation.
_BIAS = {"int8": "int32", "int16": "int64"}

LARGEST_RANK = 5
LARGEST_BYTES = 2**24
LARGEST_WINDOW = 4096
# Scales beyond these come from no calibration, and reach where fixed-point arithmetic has no bits left.
SMALLEST_SCALE, LARGEST_SCALE = 2.0**-40, 2.0**20
# Two scales that a converter computed by different routes.
SAME_SCALE = 1e-5


def refuse(op: Operator, reason: str) -> ModelError:
    """A ``ModelError`` that names the operator; ``reason`` is a clause such as ``its stride is 0``."""
    return ModelError(f"Operator {op.index} ({op.opcode}) cannot be compiled: {reason}.")


def activation_in(graph: Graph, op: Operator, position: int = 0, kinds=("int8", "int16")) -> Tensor:
    """The activation at input ``position``, of one of ``kinds``; integers are quantised as a whole."""
    tensor = graph.input(op, position)
    if tensor is None:
        raise refuse(op, f"its input {position} is absent")
    activation(op, f"input {position}", tensor, kinds)
    return tensor


def activation_out(graph: Graph, op: Operator, kinds, position: int = 0) -> Tensor:
    """The output at ``position``, of one of ``kinds``."""
    tensor = graph.output(op, position)
    activation(op, "output" if len(op.outputs) == 1 else f"output {position}", tensor, kinds)
    return tensor


def activation(op: Operator, role: str, tensor: Tensor, kinds) -> None:
    """Refuse an operator whose tensor no kernel of these kinds can take."""
    fault = activation_fault(tensor, kinds)
    if fault:
        raise refuse(op, f"its {role}, tensor {tensor.index}, {fault}")


def activation_fault(tensor: Tensor, kinds=("int8", "int16", "float32")) -> str:
    """Why ``tensor`` cannot be an activation of one of ``kinds``, as a clause; empty where it can."""
    if tensor.dtype not in kinds:
        return f"is {tensor.dtype} where {' or '.join(kinds)} is expected"
    if tensor.dtype not in LIMITS:
        return ""
    quantization = tensor.quantization
    if quantization is None:
        return "has no scale and zero point"
    if quantization.per_channel or not quantization.affine:
        return "is not quantised by one scale and one zero point"
    if not SMALLEST_SCALE <= quantization.scale <= LARGEST_SCALE:
        return f"has scale {quantization.scale:g}, outside {SMALLEST_SCALE:g} to {LARGEST_SCALE:g}"
    if tensor.dtype == "int16" and quantization.zero_point != 0:
        return f"has zero point {quantization.zero_point} where int16 demands 0"
    low, high = LIMITS[tensor.dtype]
    if not low <= quantization.zero_point <= high:
        return f"has zero point {quantization.zero_point}, outside {tensor.dtype}"
    return ""


def tensor_fault(tensor: Tensor) -> str:
    """Why no kernel can hold ``tensor``, as a clause; empty where one can."""
    if len(tensor.shape) > LARGEST_RANK:
        return f"has {len(tensor.shape)} dimensions, more than {LARGEST_RANK}"
    if not tensor.elements:
        return f"has shape {tensor.shape}, without an element"
    if tensor.bytes > LARGEST_BYTES:
        return f"takes {tensor.bytes} bytes, more than {LARGEST_BYTES}"
    if tensor.variable:
        return "keeps its value between inferences, which the C model does not"
    if tensor.sparse:
        return "is stored sparsely"
    return ""


def shape(op: Operator, tensor: Tensor, shape) -> None:
    """Refuse an operator whose output has another shape than follows from its inputs."""
    if tensor.shape != tuple(shape):
        raise refuse(
            op, f"its output, tensor {tensor.index}, has shape {tensor.shape} where {tuple(shape)} follows"
        )


def same_quantization(op: Operator, x: Tensor, y: Tensor, *, exact: bool = False) -> None:
    """Refuse another quantisation on the other side of an operator that moves integers as they are."""
    if x.dtype not in LIMITS:
        return
    a, b = x.quantization, y.quantization
    near = a.scale == b.scale if exact else abs(a.scale - b.scale) <= SAME_SCALE * max(a.scale, b.scale)
    if not near or a.zero_point != b.zero_point:
        raise refuse(
            op,
            f"it moves integers unchanged, but tensor {x.index} has scale {a.scale:g} and zero point "
            f"{a.zero_point}, tensor {y.index} {b.scale:g} and {b.zero_point}",
        )


def constant(graph: Graph, op: Operator, position: int, role: str, kinds=("int32",)) -> np.ndarray:
    """The value of the constant at input ``position``, of one of ``kinds``."""
    tensor = graph.input(op, position)
    if tensor is None or not tensor.constant:
        raise refuse(op, f"its {role}, input {position}, is not a constant")
    if tensor.dtype not in kinds:
        raise refuse(
            op, f"its {role}, tensor {tensor.index}, is {tensor.dtype} where {' or '.join(kinds)} is expected"
        )
    return tensor.data


def axes(graph: Graph, op: Operator, position: int, rank: int, kinds=("int32",)) -> list[int]:
    """The axes in the constant at input ``position``, each from 0 to ``rank`` - 1 and named once."""
    value = constant(graph, op, position, "axes", kinds)
    if value.ndim > 1 or not 1 <= value.size <= rank:
        raise refuse(op, f"its axes have shape {value.shape} for {rank} dimensions")
    return normal_axes(op, [int(axis) for axis in value.reshape(-1)], rank)


def axis(graph: Graph, op: Operator, position: int, rank: int, kinds=("int32",)) -> int:
    """The one axis in the constant at input ``position``, from 0 to ``rank`` - 1."""
    named = axes(graph, op, position, rank, kinds)
    if len(named) != 1:
        raise refuse(op, f"it names {len(named)} axes where one is expected")
    return named[0]


def normal_axes(op: Operator, axes, rank: int) -> list[int]:
    """``axes`` counted from the front."""
    if not all(-rank <= axis < rank for axis in axes):
        raise refuse(op, f"its axes {list(axes)} are outside {rank} dimensions")
    normal = [axis % rank for axis in axes]
    if len(set(normal)) != len(normal):
        raise refuse(op, f"its axes {list(axes)} name one axis twice")
    return normal


def fused_activation(op: Operator, y: Tensor) -> None:
    """Refuse a fused activation that the integer kernels do not have."""
    activation = op.options["activation"]
    if activation not in ACTIVATIONS[:4]:
        raise refuse(op, f"its fused activation is {activation}")
    if activation in ("RELU6", "RELU_N1_TO_1"):
        ceiling(op, y)


def ceiling(op: Operator, y: Tensor) -> None:
    """Refuse a scale under which a bound of 6 is no 32-bit integer."""
    if 6 / y.quantization.scale >= 2**30:
        raise refuse(op, f"its bound of 6 does not fit in 32 bits at the scale {y.quantization.scale:g}")


def multiplier(op: Operator, ratio: float, largest: int, *, what: str = "ratio of scales") -> None:
    """Refuse a fixed-point multiplier whose left shift would overflow 32 bits.

    ``ratio`` becomes a 31-bit fraction and a shift (QuantizeMultiplier); a ratio of 1 or more shifts left
    first, so ``largest``, the greatest magnitude that it multiplies, must keep room for it.
    """
    if not math.isfinite(ratio) or ratio < 0 or largest * 2.0 ** max(0, exponent(ratio)) >= 2**31:
        raise refuse(op, f"its {what} {ratio:g} times values up to {largest} overflows 32 bits")


def exponent(ratio: float) -> int:
    """The shift of QuantizeMultiplier: ratio = fraction * 2**shift, fraction rounded to 31 bits below 1."""
    fraction, exponent = math.frexp(ratio)
    return exponent + (round(fraction * 2**31) == 2**31)


def ratio(x: Tensor, y: Tensor) -> float:
    """The scale of ``x`` over that of ``y``."""
    return x.quantization.scale / y.quantization.scale


def reach(x: Tensor) -> int:
    """The greatest magnitude of an integer of ``x`` less its zero point."""
    low, high = LIMITS[x.dtype]
    return max(x.quantization.zero_point - low, high - x.quantization.zero_point)


def unary(graph: Graph, op: Operator, kinds=("int8", "int16")) -> tuple[Tensor, Tensor]:
    """Input and output of an operator that keeps shape and type."""
    x = activation_in(graph, op, 0, kinds)
    y = activation_out(graph, op, (x.dtype,))
    shape(op, y, x.shape)
    return x, y


def moved(graph: Graph, op: Operator, position: int = 0, kinds=("int8", "int16")) -> tuple[Tensor, Tensor]:
    """Input and (first) output of an operator that moves values as they are."""
    x = activation_in(graph, op, position, kinds)
    y = activation_out(graph, op, (x.dtype,))
    same_quantization(op, x, y)
    return x, y


def output_quantization(op: Operator, y: Tensor, scale: float, zero_point: int) -> None:
    """Refuse an output whose quantisation is not the one that the operator defines."""
    q = y.quantization
    if q.scale != scale or q.zero_point != zero_point:
        raise refuse(
            op,
            f"its output has scale {q.scale:g} and zero point {q.zero_point} where 1/{round(1 / scale)} and "
            f"{zero_point} are demanded",
        )


def window(op: Operator, x: Tensor, filter_, dilation) -> tuple[int, int]:
    """Height and width that a window leaves of a (batch, height, width, channels) input."""
    if len(x.shape) != 4:
        raise refuse(
            op, f"its input, tensor {x.index}, has shape {x.shape} where four dimensions are expected"
        )
    for name, pair in (("stride", op.options["stride"]), ("filter", filter_), ("dilation", dilation)):
        if not all(1 <= n <= LARGEST_WINDOW for n in pair):
            raise refuse(op, f"its {name} {tuple(pair)} is outside 1 to {LARGEST_WINDOW}")
    sizes = []
    for size, stride, taps, gap in zip(x.shape[1:3], op.options["stride"], filter_, dilation, strict=True):
        reach = (taps - 1) * gap + 1
        sizes.append(-(-size // stride) if op.options["padding"] == "SAME" else (size - reach) // stride + 1)
    if min(sizes) < 1:
        raise refuse(op, f"its {tuple(filter_)} filter does not fit into {x.shape[1:3]} without padding")
    return sizes[0], sizes[1]


def weights(graph: Graph, op: Operator, axis: int, rank: int) -> Tensor:
    """The int8 weights at input 1, symmetric, with one scale or one for each index along ``axis``."""
    data = constant(graph, op, 1, "weights", ("int8",))
    weights = graph.input(op, 1)
    what = f"its weights, tensor {weights.index},"
    if data.ndim != rank or not data.size:
        raise refuse(op, f"{what} have shape {weights.shape} where {rank} dimensions are expected")
    quantization = weights.quantization
    if quantization is None or not quantization.affine:
        raise refuse(op, f"{what} have no scale of their own")
    if quantization.per_channel and (
        quantization.axis != axis or quantization.scales.size != weights.shape[axis]
    ):
        raise refuse(
            op, f"{what} have {quantization.scales.size} scales along axis {quantization.axis}, not {axis}"
        )
    if not (np.isfinite(quantization.scales) & (quantization.scales > 0)).all():
        raise refuse(op, f"{what} have a scale that is not a positive number")
    if quantization.zero_points.any():
        raise refuse(op, f"{what} have a zero point other than 0")
    return weights


def bias(graph: Graph, op: Operator) -> None:
    """Refuse an operator without a bias."""
    if graph.input(op, 2) is None:
        raise refuse(op, "it has no bias, which the reference kernels demand")


def products(
    graph: Graph, op: Operator, x: Tensor, weights: Tensor, axis: int, y: Tensor, bias_at: int = 2
) -> None:
    """Check the bias, and that sum and requantisation stay in 32 bits, with int16 inputs in 48.

    bias_at: where the bias stands among the inputs.
    """
    channels = weights.shape[axis]
    others = tuple(i for i in range(weights.data.ndim) if i != axis)
    sums = np.abs(weights.data.astype(np.int16)).sum(axis=others, dtype=np.int64)
    largest = sums.astype(np.float64) * reach(x)
    ratios = x.quantization.scale * weights.quantization.scales.astype(np.float64) / y.quantization.scale
    said = op.options.get("bias_type", "float32")
    if said not in ("float32", _BIAS[x.dtype]):
        raise refuse(op, f"its options give the bias as {said} where {_BIAS[x.dtype]} is expected")
    if graph.input(op, bias_at) is not None:
        bias = constant(graph, op, bias_at, "bias", (_BIAS[x.dtype],))
        what = f"its bias, tensor {op.inputs[bias_at]},"
        if bias.size != channels:
            raise refuse(op, f"{what} has {bias.size} elements for {channels} channels")
        _bias_scale(op, what, graph.input(op, bias_at), ratios, y)
        largest += np.abs(bias.reshape(-1).astype(np.float64))
    ratios = np.broadcast_to(ratios, (channels,))
    if x.dtype == "int16":
        # MultiplyByQuantizedMultiplier(int64): a 48-bit sum and a shift below 8.
        worst = int(np.argmax(largest))
        if largest[worst] >= 2**47:
            raise refuse(op, f"a sum of up to {largest[worst]:.0f} in channel {worst} overflows 48 bits")
        if ratios.max() >= 2**7:
            raise refuse(op, f"its ratio of scales {ratios.max():g} is not below 128")
        return
    shifts = np.maximum(0, np.frexp(ratios * (1 + 2.0**-31))[1])
    overflow = largest * 2.0**shifts >= 2**31
    if overflow.any():
        worst = int(np.argmax(overflow))
        raise refuse(
            op,
            f"a sum of up to {largest[worst]:.0f} scaled by {ratios[worst]:g} in channel {worst} overflows "
            "32 bits",
        )


def _bias_scale(op: Operator, what: str, bias: Tensor, ratios: np.ndarray, y: Tensor) -> None:
    """Refuse a bias in other units than the sums, where the reference does."""
    quantization = bias.quantization
    if quantization is not None and quantization.zero_points.any():
        raise refuse(op, f"{what} has a zero point other than 0")
    if op.opcode != "FULLY_CONNECTED":
        # Convolutions add the integers whatever their scale; converters leave odd ones with biases of zero.
        return
    scale = 0.0 if quantization is None else float(quantization.scales[0])
    # GetQuantizedConvolutionMultipler: at most 0.02 steps of the output between the two scales.
    if not abs(scale / y.quantization.scale - ratios[0]) <= 0.02:
        raise refuse(op, f"{what} has scale {scale:g}, which is not that of its input times its weights")
