"""The operators that the C model knows: how the file gives their parameters, and what each demands.

``BUILTINS`` is the one table. To add an operator is to add an entry: its options as the schema stores them,
how many tensors it takes and makes, its rule, and, where it multiplies, the count of its products.

A rule refuses what TFLite's reference kernels (``BUILTIN_REF``) refuse or leave undefined, and what the C
model has no kernel for; what it lets through has one meaning. The demands are those of
tensorflow/lite/kernels/*.cc and of TFLite's 8-bit quantisation specification.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from firmware_export.flatbuffer import ModelError, Table

if TYPE_CHECKING:
    from firmware_export.graph import Graph, Operator, Tensor

# The schema's BuiltinOperator, in the order of its codes.
NAMES = tuple(
    """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP
    FLOOR FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC
    LSH_PROJECTION LSTM MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX
    SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD
    UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE
    UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN EXP TOPK_V2 SPLIT LOG_SOFTMAX
    DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2 GREATER
    GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL
    NOT_EQUAL LOG SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT
    LOGICAL_AND LOGICAL_NOT UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE
    RESIZE_NEAREST_NEIGHBOR LEAKY_RELU SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2
    ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND
    HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 SCATTER_ND SELECT_V2 DENSIFY
    SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D
    IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
    CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL
    BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD
    UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR
    RIGHT_SHIFT STABLEHLO_LOGISTIC STABLEHLO_ADD STABLEHLO_DIVIDE STABLEHLO_MULTIPLY STABLEHLO_MAXIMUM
    STABLEHLO_RESHAPE STABLEHLO_CLAMP STABLEHLO_CONCATENATE STABLEHLO_BROADCAST_IN_DIM STABLEHLO_CONVOLUTION
    STABLEHLO_SLICE STABLEHLO_CUSTOM_CALL STABLEHLO_REDUCE STABLEHLO_ABS STABLEHLO_AND STABLEHLO_COSINE
    STABLEHLO_EXPONENTIAL STABLEHLO_FLOOR STABLEHLO_LOG STABLEHLO_MINIMUM STABLEHLO_NEGATE STABLEHLO_OR
    STABLEHLO_POWER STABLEHLO_REMAINDER STABLEHLO_RSQRT STABLEHLO_SELECT STABLEHLO_SUBTRACT STABLEHLO_TANH
    STABLEHLO_SCATTER STABLEHLO_COMPARE STABLEHLO_CONVERT STABLEHLO_DYNAMIC_SLICE
    STABLEHLO_DYNAMIC_UPDATE_SLICE STABLEHLO_PAD STABLEHLO_IOTA STABLEHLO_DOT_GENERAL
    STABLEHLO_REDUCE_WINDOW STABLEHLO_SORT STABLEHLO_WHILE STABLEHLO_GATHER STABLEHLO_TRANSPOSE DILATE
    STABLEHLO_RNG_BIT_GENERATOR REDUCE_WINDOW STABLEHLO_COMPOSITE STABLEHLO_SHIFT_LEFT STABLEHLO_CBRT
    STABLEHLO_CASE
    """.split()  # noqa: SIM905
)

PADDINGS = ("SAME", "VALID")
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")

# The schema's TensorType in the order of its codes, with the bits of one element; 0 where these vary.
TYPES = (
    ("float32", 32),
    ("float16", 16),
    ("int32", 32),
    ("uint8", 8),
    ("int64", 64),
    ("string", 0),
    ("bool", 8),
    ("int16", 16),
    ("complex64", 64),
    ("int8", 8),
    ("float64", 64),
    ("complex128", 128),
    ("uint64", 64),
    ("resource", 0),
    ("variant", 0),
    ("uint32", 32),
    ("uint16", 16),
    ("int4", 4),
    ("bfloat16", 16),
    ("int2", 2),
    ("uint4", 4),
    ("float8_e4m3fn", 8),
    ("float8_e5m2", 8),
)

# The integers of an activation: (lowest, highest).
RANGES = {"int8": (-128, 127), "int16": (-32768, 32767)}
# The type of a bias, by the type of the activation.
_BIAS = {"int8": "int32", "int16": "int64"}

LARGEST_RANK = 5
LARGEST_BYTES = 2**24
LARGEST_WINDOW = 4096
# Scales beyond these come from no calibration, and reach where fixed-point arithmetic has no bits left.
SMALLEST_SCALE, LARGEST_SCALE = 2.0**-40, 2.0**20
# Two scales that a converter computed by different routes.
SAME_SCALE = 1e-5


@dataclass(frozen=True)
class Option:
    """One parameter of an operator, as the schema stores it.

    Parameters
    ----------
    name : str
    slots : int, or (int, int) for a (height, width) pair
        The field or fields of the options' table.
    kind : str, or tuple of str
        ``int32``, ``bool``, ``float32``; ``int32s`` for a vector; a tuple holds the names of an enumeration.
    default : optional
        The value of an absent field.
    """

    name: str
    slots: int | tuple[int, int]
    kind: str | tuple[str, ...] = "int32"
    default: object = 0

    def read(self, table: Table | None, where: Table) -> object:
        """The value in ``table``, or the default where there is no table; ``where`` names the operator."""
        if isinstance(self.slots, tuple):
            return tuple(self._number(table, slot, self.kind) for slot in self.slots)
        if self.kind == "int32s":
            view = None if table is None else table.vector(self.slots, "int32")
            if view is not None and view.size > 64:
                raise where.error(f"its {self.name} has {view.size} elements")
            return () if view is None else tuple(view.tolist())
        if isinstance(self.kind, tuple):
            number = self._number(table, self.slots, "int8")
            if not 0 <= number < len(self.kind):
                raise where.error(f"its {self.name} is {number}, which is none of {', '.join(self.kind)}")
            return self.kind[number]
        return self._number(table, self.slots, self.kind)

    def _number(self, table: Table | None, slot: int, kind: str):
        return self.default if table is None else table.scalar(slot, kind, self.default)


def refuse(op: Operator, reason: str) -> ModelError:
    """A ``ModelError`` that names the operator; ``reason`` is a clause such as ``its stride is 0``."""
    return ModelError(f"Operator {op.index} ({op.opcode}) cannot be compiled: {reason}.")


# What every rule is made of. Each raises ModelError or returns what the next check needs.


def _activation_in(graph: Graph, op: Operator, position: int = 0, kinds=("int8", "int16")) -> Tensor:
    """The activation at input ``position``, of one of ``kinds``; integers are quantised as a whole."""
    tensor = graph.input(op, position)
    if tensor is None:
        raise refuse(op, f"its input {position} is absent")
    _require_activation(op, f"input {position}", tensor, kinds)
    return tensor


def _activation_out(graph: Graph, op: Operator, kinds, position: int = 0) -> Tensor:
    """The output at ``position``, of one of ``kinds``."""
    tensor = graph.output(op, position)
    _require_activation(op, "output" if len(op.outputs) == 1 else f"output {position}", tensor, kinds)
    return tensor


def _require_activation(op: Operator, role: str, tensor: Tensor, kinds) -> None:
    fault = activation_fault(tensor, kinds)
    if fault:
        raise refuse(op, f"its {role}, tensor {tensor.index}, {fault}")


def activation_fault(tensor: Tensor, kinds=("int8", "int16", "float32")) -> str:
    """Why ``tensor`` cannot be an activation of one of ``kinds``, as a clause; empty where it can."""
    if tensor.dtype not in kinds:
        return f"is {tensor.dtype} where {' or '.join(kinds)} is expected"
    if tensor.dtype not in RANGES:
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
    low, high = RANGES[tensor.dtype]
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


def _require_shape(op: Operator, tensor: Tensor, shape) -> None:
    if tensor.shape != tuple(shape):
        raise refuse(
            op, f"its output, tensor {tensor.index}, has shape {tensor.shape} where {tuple(shape)} follows"
        )


def _require_same_quantization(op: Operator, x: Tensor, y: Tensor, *, exact: bool = False) -> None:
    """Refuse another quantisation on the other side of an operator that moves integers as they are."""
    if x.dtype not in RANGES:
        return
    a, b = x.quantization, y.quantization
    near = a.scale == b.scale if exact else abs(a.scale - b.scale) <= SAME_SCALE * max(a.scale, b.scale)
    if not near or a.zero_point != b.zero_point:
        raise refuse(
            op,
            f"it moves integers unchanged, but tensor {x.index} has scale {a.scale:g} and zero point "
            f"{a.zero_point}, tensor {y.index} {b.scale:g} and {b.zero_point}",
        )


def _constant(graph: Graph, op: Operator, position: int, role: str, kinds=("int32",)) -> np.ndarray:
    """The value of the constant at input ``position``, of one of ``kinds``."""
    tensor = graph.input(op, position)
    if tensor is None or not tensor.constant:
        raise refuse(op, f"its {role}, input {position}, is not a constant")
    if tensor.dtype not in kinds:
        raise refuse(
            op, f"its {role}, tensor {tensor.index}, is {tensor.dtype} where {' or '.join(kinds)} is expected"
        )
    return tensor.data


def _axes(graph: Graph, op: Operator, position: int, rank: int, kinds=("int32",)) -> list[int]:
    """The axes in the constant at input ``position``, each from 0 to ``rank`` - 1 and named once."""
    value = _constant(graph, op, position, "axes", kinds)
    if value.ndim > 1 or not 1 <= value.size <= rank:
        raise refuse(op, f"its axes have shape {value.shape} for {rank} dimensions")
    axes = [int(axis) for axis in value.reshape(-1)]
    return _normal_axes(op, axes, rank)


def _axis(graph: Graph, op: Operator, position: int, rank: int, kinds=("int32",)) -> int:
    """The one axis in the constant at input ``position``, from 0 to ``rank`` - 1."""
    axes = _axes(graph, op, position, rank, kinds)
    if len(axes) != 1:
        raise refuse(op, f"it names {len(axes)} axes where one is expected")
    return axes[0]


def _normal_axes(op: Operator, axes, rank: int) -> list[int]:
    """``axes`` counted from the front."""
    if not all(-rank <= axis < rank for axis in axes):
        raise refuse(op, f"its axes {list(axes)} are outside {rank} dimensions")
    normal = [axis % rank for axis in axes]
    if len(set(normal)) != len(normal):
        raise refuse(op, f"its axes {list(axes)} name one axis twice")
    return normal


def _require_fused(op: Operator, y: Tensor) -> None:
    """Refuse a fused activation that the integer kernels do not have."""
    activation = op.options["activation"]
    if activation not in ACTIVATIONS[:4]:
        raise refuse(op, f"its fused activation is {activation}")
    if activation in ("RELU6", "RELU_N1_TO_1"):
        _require_ceiling(op, y)


def _require_ceiling(op: Operator, y: Tensor) -> None:
    """Refuse a scale under which a bound of 6 is no 32-bit integer."""
    if 6 / y.quantization.scale >= 2**30:
        raise refuse(op, f"its bound of 6 does not fit in 32 bits at the scale {y.quantization.scale:g}")


def _require_multiplier(op: Operator, ratio: float, largest: int, *, what: str = "ratio of scales") -> None:
    """Refuse a fixed-point multiplier whose left shift would overflow 32 bits.

    ``ratio`` becomes a 31-bit fraction and a shift (QuantizeMultiplier); a ratio of 1 or more shifts left
    first, so ``largest``, the greatest magnitude that it multiplies, must keep room for it.
    """
    if not math.isfinite(ratio) or ratio < 0 or largest * 2.0 ** max(0, _exponent(ratio)) >= 2**31:
        raise refuse(op, f"its {what} {ratio:g} times values up to {largest} overflows 32 bits")


def _exponent(ratio: float) -> int:
    """The shift of QuantizeMultiplier: ratio = fraction * 2**shift, fraction rounded to 31 bits below 1."""
    fraction, exponent = math.frexp(ratio)
    return exponent + (round(fraction * 2**31) == 2**31)


def _ratio(x: Tensor, y: Tensor) -> float:
    return x.quantization.scale / y.quantization.scale


def _reach(x: Tensor) -> int:
    """The greatest magnitude of an integer of ``x`` less its zero point."""
    low, high = RANGES[x.dtype]
    return max(x.quantization.zero_point - low, high - x.quantization.zero_point)


def _require_unary(graph: Graph, op: Operator, kinds=("int8", "int16")) -> tuple[Tensor, Tensor]:
    """Input and output of an operator that keeps shape and type."""
    x = _activation_in(graph, op, 0, kinds)
    y = _activation_out(graph, op, (x.dtype,))
    _require_shape(op, y, x.shape)
    return x, y


def _require_output(op: Operator, y: Tensor, scale: float, zero_point: int) -> None:
    """Refuse an output whose quantisation is not the one that the operator defines."""
    q = y.quantization
    if q.scale != scale or q.zero_point != zero_point:
        raise refuse(
            op,
            f"its output has scale {q.scale:g} and zero point {q.zero_point} where 1/{round(1 / scale)} and "
            f"{zero_point} are demanded",
        )


def _require_window(op: Operator, x: Tensor, filter_, dilation) -> tuple[int, int]:
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


def _require_weights(graph: Graph, op: Operator, axis: int, rank: int) -> Tensor:
    """The int8 weights at input 1, symmetric, with one scale or one for each index along ``axis``."""
    data = _constant(graph, op, 1, "weights", ("int8",))
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


def _require_products(graph: Graph, op: Operator, x: Tensor, weights: Tensor, axis: int, y: Tensor) -> None:
    """Check the bias, and that sum and requantisation stay in 32 bits, with int16 inputs in 48."""
    channels = weights.shape[axis]
    others = tuple(i for i in range(weights.data.ndim) if i != axis)
    sums = np.abs(weights.data.astype(np.int16)).sum(axis=others, dtype=np.int64)
    largest = sums.astype(np.float64) * _reach(x)
    ratios = x.quantization.scale * weights.quantization.scales.astype(np.float64) / y.quantization.scale
    said = op.options.get("bias_type", "float32")
    if said not in ("float32", _BIAS[x.dtype]):
        raise refuse(op, f"its options give the bias as {said} where {_BIAS[x.dtype]} is expected")
    if graph.input(op, 2) is not None:
        bias = _constant(graph, op, 2, "bias", (_BIAS[x.dtype],))
        what = f"its bias, tensor {op.inputs[2]},"
        if bias.size != channels:
            raise refuse(op, f"{what} has {bias.size} elements for {channels} channels")
        _require_bias_scale(op, what, graph.input(op, 2), ratios, y)
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


def _require_bias_scale(op: Operator, what: str, bias: Tensor, ratios: np.ndarray, y: Tensor) -> None:
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


# The rules, one an operator or a family.


def _check_conv_2d(graph: Graph, op: Operator) -> None:
    x = _activation_in(graph, op)
    y = _activation_out(graph, op, (x.dtype,))
    weights = _require_weights(graph, op, axis=0, rank=4)
    size = _require_window(op, x, weights.shape[1:3], op.options["dilation"])
    if weights.shape[3] != x.shape[3]:
        raise refuse(
            op,
            f"its weights read {weights.shape[3]} channels of {x.shape[3]}; there is no grouped convolution",
        )
    _require_bias(graph, op)
    _require_shape(op, y, (x.shape[0], *size, weights.shape[0]))
    _require_fused(op, y)
    _require_products(graph, op, x, weights, 0, y)


def _check_depthwise_conv_2d(graph: Graph, op: Operator) -> None:
    x = _activation_in(graph, op)
    y = _activation_out(graph, op, (x.dtype,))
    weights = _require_weights(graph, op, axis=3, rank=4)
    size = _require_window(op, x, weights.shape[1:3], op.options["dilation"])
    multiplier = op.options["depth_multiplier"]
    if weights.shape[0] != 1 or weights.shape[3] != x.shape[3] * multiplier:
        raise refuse(
            op, f"its weights {weights.shape} do not make {multiplier} channels of each of {x.shape[3]}"
        )
    _require_bias(graph, op)
    _require_shape(op, y, (x.shape[0], *size, weights.shape[3]))
    _require_fused(op, y)
    _require_products(graph, op, x, weights, 3, y)


def _require_bias(graph: Graph, op: Operator) -> None:
    if graph.input(op, 2) is None:
        raise refuse(op, "it has no bias, which the reference kernels demand")


def _check_fully_connected(graph: Graph, op: Operator) -> None:
    x = _activation_in(graph, op)
    y = _activation_out(graph, op, (x.dtype,))
    if op.options["weights_format"] != "DEFAULT" or len(op.outputs) != 1:
        raise refuse(op, f"its weights are {op.options['weights_format']}, with {len(op.outputs)} outputs")
    weights = _require_weights(graph, op, axis=0, rank=2)
    units, depth = weights.shape
    if x.elements % depth or (op.options["keep_num_dims"] and x.shape[-1:] != (depth,)):
        raise refuse(op, f"its weights take {depth} values, its input has shape {x.shape}")
    keep = op.options["keep_num_dims"]
    _require_shape(op, y, (*x.shape[:-1], units) if keep else (x.elements // depth, units))
    _require_fused(op, y)
    _require_products(graph, op, x, weights, 0, y)


def _check_pool(graph: Graph, op: Operator) -> None:
    x = _activation_in(graph, op)
    y = _activation_out(graph, op, (x.dtype,))
    size = _require_window(op, x, op.options["filter"], (1, 1))
    _require_shape(op, y, (x.shape[0], *size, x.shape[3]))
    _require_same_quantization(op, x, y)
    _require_fused(op, y)


def _check_reduce(graph: Graph, op: Operator) -> None:
    x = _activation_in(graph, op)
    y = _activation_out(graph, op, (x.dtype,))
    axes = _axes(graph, op, 1, len(x.shape))
    keep = op.options["keep_dims"]
    _require_shape(op, y, [1 if i in axes else n for i, n in enumerate(x.shape) if keep or i not in axes])
    if op.opcode == "REDUCE_MAX":
        _require_same_quantization(op, x, y, exact=True)
    else:
        _require_multiplier(op, _ratio(x, y), (x.elements // y.elements) * _reach(x))


def _check_arithmetic(graph: Graph, op: Operator) -> None:
    a, b = (_activation_in(graph, op, i) for i in (0, 1))
    y = _activation_out(graph, op, (a.dtype,))
    if a.dtype != b.dtype:
        raise refuse(op, f"its inputs are {a.dtype} and {b.dtype}")
    if a.shape != b.shape and max(len(a.shape), len(b.shape)) > 4:
        raise refuse(op, f"it broadcasts {a.shape} with {b.shape}: more than four dimensions")
    try:
        shape = np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise refuse(
            op, f"its inputs have shapes {a.shape} and {b.shape}, which do not go together"
        ) from None
    _require_shape(op, y, shape)
    _require_fused(op, y)
    scales = [t.quantization.scale for t in (a, b, y)]
    if op.opcode == "MUL":
        _require_multiplier(op, scales[0] * scales[1] / scales[2], _reach(a) * _reach(b))
        return
    if a.dtype == "int16" and op.options["pot_scale_int16"] and all(math.frexp(s)[0] == 0.5 for s in scales):
        raise refuse(op, "it adds by the old int16 rule for scales that are powers of two")
    # Both inputs are brought to twice the larger scale with bits to spare; the way back must shift right.
    back = 2 * max(scales[:2]) / (2.0 ** (20 if a.dtype == "int8" else 15) * scales[2])
    if _exponent(back) > 0:
        raise refuse(op, f"its output's scale {scales[2]:g} is too small for its inputs' {max(scales[:2]):g}")


def _check_pad(graph: Graph, op: Operator) -> None:
    x = _activation_in(graph, op)
    y = _activation_out(graph, op, (x.dtype,))
    paddings = _constant(graph, op, 1, "paddings", ("int32", "int64"))
    if paddings.shape != (len(x.shape), 2):
        raise refuse(op, f"its paddings have shape {paddings.shape} for {len(x.shape)} dimensions")
    if paddings.min() < 0 or paddings.max() > LARGEST_BYTES:
        raise refuse(op, f"its paddings {paddings.tolist()} are outside 0 to {LARGEST_BYTES}")
    _require_shape(op, y, [n + int(p.sum()) for n, p in zip(x.shape, paddings, strict=True)])
    _require_same_quantization(op, x, y)
    if op.opcode == "PADV2":
        value = _constant(graph, op, 2, "pad value", (x.dtype,))
        filler = graph.input(op, 2)
        _require_activation(op, "pad value", filler, (x.dtype,))
        if value.size != 1:
            raise refuse(op, f"its pad value has {value.size} elements")
        _require_same_quantization(op, filler, y, exact=True)


def _check_concatenation(graph: Graph, op: Operator) -> None:
    first = _activation_in(graph, op)
    y = _activation_out(graph, op, (first.dtype,))
    rank = len(first.shape)
    (axis,) = _normal_axes(op, [op.options["axis"]], rank)
    if op.options["activation"] != "NONE":
        raise refuse(op, f"its fused activation is {op.options['activation']}")
    total = 0
    for position in range(len(op.inputs)):
        x = _activation_in(graph, op, position, (first.dtype,))
        if len(x.shape) != rank or any(i != axis and n != first.shape[i] for i, n in enumerate(x.shape)):
            raise refuse(op, f"its inputs have shapes {first.shape} and {x.shape}, joined along axis {axis}")
        _require_same_quantization(op, x, y, exact=True)
        total += x.shape[axis]
    _require_shape(op, y, [total if i == axis else n for i, n in enumerate(first.shape)])


def _check_reshape(graph: Graph, op: Operator) -> None:
    x, y = _require_moved(graph, op)
    if graph.input(op, 1) is not None:
        value = _constant(graph, op, 1, "shape")
        if value.ndim != 1:
            raise refuse(op, f"its shape is given as {value.ndim} dimensions")
        wanted = tuple(value.tolist())
    else:
        wanted = op.options["new_shape"]
    if wanted == (0,):  # how old converters wrote a scalar
        wanted = ()
    matches = len(wanted) == len(y.shape) and all(n in (m, -1) for n, m in zip(wanted, y.shape, strict=True))
    if not matches or wanted.count(-1) > 1 or y.elements != x.elements:
        raise refuse(op, f"it makes shape {y.shape} of {x.shape} where {wanted} is asked for")


def _require_moved(graph: Graph, op: Operator, position: int = 0) -> tuple[Tensor, Tensor]:
    """Input and (first) output of an operator that moves integers as they are."""
    x = _activation_in(graph, op, position)
    y = _activation_out(graph, op, (x.dtype,))
    _require_same_quantization(op, x, y)
    return x, y


def _check_squeeze(graph: Graph, op: Operator) -> None:
    x, y = _require_moved(graph, op)
    axes = _normal_axes(op, op.options["axes"], len(x.shape))
    if any(x.shape[axis] != 1 for axis in axes):
        raise refuse(op, f"its axes {axes} of {x.shape} are not all of size 1")
    _require_shape(op, y, [n for i, n in enumerate(x.shape) if (i not in axes if axes else n != 1)])


def _check_expand_dims(graph: Graph, op: Operator) -> None:
    x, y = _require_moved(graph, op)
    axis = _axis(graph, op, 1, len(x.shape) + 1, ("int32", "int64"))
    _require_shape(op, y, (*x.shape[:axis], 1, *x.shape[axis:]))


def _check_transpose(graph: Graph, op: Operator) -> None:
    x, y = _require_moved(graph, op)
    order = _axes(graph, op, 1, len(x.shape))
    if len(order) != len(x.shape) or graph.input(op, 1).data.min() < 0:
        raise refuse(op, f"its permutation is no order of the axes 0 to {len(x.shape) - 1}")
    _require_shape(op, y, [x.shape[axis] for axis in order])


def _check_strided_slice(graph: Graph, op: Operator) -> None:
    x, y = _require_moved(graph, op)
    bounds = [_constant(graph, op, i, role) for i, role in ((1, "begin"), (2, "end"), (3, "strides"))]
    if any(value.shape != (len(x.shape),) for value in bounds):
        raise refuse(op, f"its bounds have shapes {[v.shape for v in bounds]} for {len(x.shape)} dimensions")
    for name in ("ellipsis_mask", "new_axis_mask", "offset"):
        if op.options[name]:
            raise refuse(op, f"its {name} is {op.options[name]}")
    if op.options["shrink_axis_mask"] & op.options["begin_mask"]:
        raise refuse(op, "its begin_mask and shrink_axis_mask name the same axis")
    try:
        ranges = slice_ranges(x.shape, *bounds, op.options)
    except ValueError as error:
        raise refuse(op, str(error)) from None
    _require_shape(
        op, y, [len(r) for i, r in enumerate(ranges) if not op.options["shrink_axis_mask"] >> i & 1]
    )


def slice_ranges(shape, begin, end, strides, options) -> list[range]:
    """Which indexes a STRIDED_SLICE takes along each axis, in order.

    Parameters
    ----------
    shape : tuple of int > 0
        Of the input.
    begin, end, strides : np.ndarray [shape=(len(shape),), int32]
    options : Mapping
        The operator's; ``ellipsis_mask``, ``new_axis_mask`` and ``offset`` are taken to be 0.

    Raises
    ------
    ValueError
        If a stride is 0 or immense, or an axis to be removed is cut at an index that it does not have.
    """
    ranges = []
    for axis, size in enumerate(shape):
        first, last, stride = int(begin[axis]), int(end[axis]), int(strides[axis])
        if not 0 < abs(stride) <= LARGEST_BYTES:
            raise ValueError(f"its stride along axis {axis} is {stride}")
        if options["shrink_axis_mask"] >> axis & 1:
            if not -size <= first < size or stride < 0:
                raise ValueError(
                    f"it takes index {first} of axis {axis}, which has {size}, by stride {stride}"
                )
            ranges.append(range(first % size, first % size + 1))
            continue
        low, high = (0, size) if stride > 0 else (-1, size - 1)
        first = min(max(first + size if first < 0 else first, low), high)
        last = min(max(last + size if last < 0 else last, low), high)
        if options["begin_mask"] >> axis & 1:
            first = 0 if stride > 0 else size - 1
        if options["end_mask"] >> axis & 1:
            last = size if stride > 0 else -1
        ranges.append(range(first, last, stride))
    return ranges


def _check_split(graph: Graph, op: Operator) -> None:
    x, _ = _require_moved(graph, op, 1)
    axis, count = _axis(graph, op, 0, len(x.shape)), len(op.outputs)
    if op.options["splits"] != count or x.shape[axis] % count:
        raise refuse(
            op, f"it cuts axis {axis} of {x.shape} into {op.options['splits']}, with {count} outputs"
        )
    shape = [n // count if i == axis else n for i, n in enumerate(x.shape)]
    for position in range(count):
        y = _activation_out(graph, op, (x.dtype,), position)
        _require_same_quantization(op, x, y)
        _require_shape(op, y, shape)


def _check_softmax(graph: Graph, op: Operator) -> None:
    x, y = _require_unary(graph, op)
    _require_output(op, y, *((1 / 256, -128) if y.dtype == "int8" else (1 / 32768, 0)))
    beta = op.options["beta"]
    if not x.shape or x.shape[-1] >= 2**16:
        raise refuse(op, f"its input has shape {x.shape}: the last axis may have 1 to 65535 values")
    if not 0 < beta <= LARGEST_SCALE:
        raise refuse(op, f"its beta is {beta:g}, outside 0 to {LARGEST_SCALE:g}")
    if x.dtype == "int8" and x.quantization.scale * beta * 2**26 <= 1:
        # PreprocessSoftmaxScaling shifts left only.
        raise refuse(op, f"its scale times beta, {x.quantization.scale * beta:g}, is not above 2**-26")
    if x.dtype == "int16":
        # 65535 steps of the input's difference stand for 10, where the exponential ends.
        _require_multiplier(
            op, x.quantization.scale * beta * 6553.5, 65535, what="scale times beta times 6553.5,"
        )


def _check_logistic(graph: Graph, op: Operator) -> None:
    x, y = _require_unary(graph, op)
    _require_output(op, y, *((1 / 256, -128) if y.dtype == "int8" else (1 / 32768, 0)))
    _require_table_scale(op, x)


def _check_tanh(graph: Graph, op: Operator) -> None:
    x, y = _require_unary(graph, op)
    _require_output(op, y, 1 / 128 if y.dtype == "int8" else 1 / 32768, 0)
    _require_table_scale(op, x)


def _require_table_scale(op: Operator, x: Tensor) -> None:
    """Refuse an int16 input whose step, in steps of the reference's table, does not fit in 16 bits."""
    if x.dtype == "int16" and x.quantization.scale * 12288 >= 2**15:
        raise refuse(op, f"its input's scale {x.quantization.scale:g} is 8/3 or more")


def _check_hard_swish(graph: Graph, op: Operator) -> None:
    x, y = _require_unary(graph, op, ("int8",))
    # The kernel's two 16-bit multipliers, in its float32: to the output, and to the half that clips at 3.
    fine = np.float32(1 / 128) * np.float32(x.quantization.scale)
    output = _exponent(float(fine / np.float32(y.quantization.scale)))
    inner = _exponent(float(fine / np.float32(3 / 32768)))
    if not -15 <= output <= 0 or not -15 <= inner <= 15:
        raise refuse(
            op,
            f"its scales, {x.quantization.scale:g} in and {y.quantization.scale:g} out, do not fit 16-bit "
            "multipliers",
        )


def _check_leaky_relu(graph: Graph, op: Operator) -> None:
    x, y = _require_unary(graph, op)
    alpha = op.options["alpha"]
    if not 0 <= alpha <= LARGEST_SCALE:
        raise refuse(op, f"its alpha is {alpha:g}, outside 0 to {LARGEST_SCALE:g}")
    _require_multiplier(op, _ratio(x, y) * max(1.0, alpha), _reach(x))


def _check_relu(graph: Graph, op: Operator) -> None:
    x, y = _require_unary(graph, op)
    _require_multiplier(op, _ratio(x, y), _reach(x))
    if op.opcode == "RELU6":
        _require_ceiling(op, y)


def _check_quantize(graph: Graph, op: Operator) -> None:
    x = _activation_in(graph, op, 0, ("float32", "int8", "int16"))
    y = _activation_out(graph, op, ("int8", "int16"))
    _require_shape(op, y, x.shape)
    if x.dtype != "float32":
        _require_multiplier(op, _ratio(x, y), _reach(x))


def _check_dequantize(graph: Graph, op: Operator) -> None:
    x = _activation_in(graph, op)
    y = _activation_out(graph, op, ("float32",))
    _require_shape(op, y, x.shape)


# Multiply-accumulates.


def _no_products(graph: Graph, op: Operator) -> int:
    return 0


def _convolution_products(graph: Graph, op: Operator) -> int:
    # Filter [out_channels, height, width, in_channels]: each output element sums one filter.
    return graph.output(op).elements * math.prod(graph.input(op, 1).shape[1:])


def _depthwise_products(graph: Graph, op: Operator) -> int:
    # Filter [1, height, width, out_channels]: each output element sums one channel of it.
    return graph.output(op).elements * math.prod(graph.input(op, 1).shape[1:3])


def _dense_products(graph: Graph, op: Operator) -> int:
    # Weights [units, depth].
    return graph.output(op).elements * math.prod(graph.input(op, 1).shape[-1:])


def _transposed_products(graph: Graph, op: Operator) -> int:
    # Filter [out_channels, height, width, in_channels]; every element of input 2 meets every tap.
    return graph.input(op, 2).elements * math.prod(graph.input(op, 1).shape[:3])


def _matrix_products(graph: Graph, op: Operator) -> int:
    # a [..., rows, depth], or [..., depth, rows] where it is transposed.
    shape = graph.input(op, 0).shape[-2:]
    depth = shape[:1] if op.options["transpose_a"] else shape[-1:]
    return graph.output(op).elements * math.prod(depth)


@dataclass(frozen=True)
class Builtin:
    """What is known of one operator.

    Parameters
    ----------
    union : int
        The schema's BuiltinOptions of the operator; 0 where it has none.
    options : tuple of Option
    check : callable(graph, op) or None
        Raises ``ModelError`` for what the C model cannot compile; None where there is no kernel for the
        operator and it is only read, to fold it or to count its cost.
    inputs : (int, int)
        How many inputs it has at least (these are never absent) and at most.
    outputs : (int, int)
        How many outputs it has at least and at most.
    multiply_accumulates : callable(graph, op) -> int
    version : int
        The newest version of the operator whose meaning is known here: that of ai-edge-litert 2.3.
    """

    union: int = 0
    options: tuple[Option, ...] = ()
    check: Callable[[Graph, Operator], None] | None = None
    inputs: tuple[int, int] = (1, 1)
    outputs: tuple[int, int] = (1, 1)
    multiply_accumulates: Callable[[Graph, Operator], int] = _no_products
    version: int = 1


_MANY = 8_000
_TYPE_NAMES = tuple(name for name, _ in TYPES)
_PADDING = Option("padding", 0, PADDINGS)


def _activation(slot: int) -> Option:
    return Option("activation", slot, ACTIVATIONS)


_POOL = (_PADDING, Option("stride", (2, 1)), Option("filter", (4, 3)), _activation(5))
_SUM = (_activation(0), Option("pot_scale_int16", 1, "bool", True))
_REDUCE = (Option("keep_dims", 0, "bool", False),)

BUILTINS: dict[str, Builtin] = {
    "ADD": Builtin(11, _SUM, _check_arithmetic, (2, 2), version=5),
    "AVERAGE_POOL_2D": Builtin(5, _POOL, _check_pool, version=3),
    "BATCH_MATMUL": Builtin(
        101,
        (Option("transpose_a", 0, "bool", False), Option("transpose_b", 1, "bool", False)),
        inputs=(2, 2),
        multiply_accumulates=_matrix_products,
    ),
    "CONCATENATION": Builtin(
        10, (Option("axis", 0), _activation(1)), _check_concatenation, (1, _MANY), version=7
    ),
    "CONV_2D": Builtin(
        1,
        (
            _PADDING,
            Option("stride", (2, 1)),
            Option("dilation", (5, 4), default=1),
            _activation(3),
            Option("bias_type", 6, _TYPE_NAMES),
        ),
        _check_conv_2d,
        (2, 3),
        multiply_accumulates=_convolution_products,
        version=8,
    ),
    "DEPTHWISE_CONV_2D": Builtin(
        2,
        (
            _PADDING,
            Option("stride", (2, 1)),
            Option("depth_multiplier", 3),
            Option("dilation", (6, 5), default=1),
            _activation(4),
        ),
        _check_depthwise_conv_2d,
        (2, 3),
        multiply_accumulates=_depthwise_products,
        version=6,
    ),
    "DEQUANTIZE": Builtin(38, (), _check_dequantize, version=9),
    "EXPAND_DIMS": Builtin(52, (), _check_expand_dims, (2, 2)),
    "FULLY_CONNECTED": Builtin(
        8,
        (
            _activation(0),
            Option("weights_format", 1, ("DEFAULT", "SHUFFLED4x16INT8")),
            Option("keep_num_dims", 2, "bool", False),
            Option("bias_type", 4, _TYPE_NAMES),
        ),
        _check_fully_connected,
        (2, 3),
        (1, 2),
        multiply_accumulates=_dense_products,
        version=14,
    ),
    "GATHER": Builtin(23, (Option("axis", 0), Option("batch_dims", 1)), inputs=(2, 2)),
    "HARD_SWISH": Builtin(91, (), _check_hard_swish),
    "LEAKY_RELU": Builtin(75, (Option("alpha", 0, "float32", 0.0),), _check_leaky_relu, version=2),
    "LOGISTIC": Builtin(0, (), _check_logistic, version=3),
    "MAX_POOL_2D": Builtin(5, _POOL, _check_pool, version=3),
    "MEAN": Builtin(27, _REDUCE, _check_reduce, (2, 2), version=3),
    "MUL": Builtin(21, (_activation(0),), _check_arithmetic, (2, 2), version=7),
    "PACK": Builtin(59, (Option("values_count", 0), Option("axis", 1)), inputs=(1, _MANY)),
    "PAD": Builtin(22, (), _check_pad, (2, 2), version=6),
    "PADV2": Builtin(43, (), _check_pad, (3, 3), version=6),
    "QUANTIZE": Builtin(89, (), _check_quantize, version=6),
    "REDUCE_MAX": Builtin(27, _REDUCE, _check_reduce, (2, 2), version=3),
    "REDUCE_PROD": Builtin(27, _REDUCE, inputs=(2, 2)),
    "RELU": Builtin(0, (), _check_relu, version=3),
    "RELU6": Builtin(0, (), _check_relu, version=3),
    "RESHAPE": Builtin(17, (Option("new_shape", 0, "int32s"),), _check_reshape, (1, 2)),
    "SHAPE": Builtin(55),
    "SLICE": Builtin(48, inputs=(3, 3)),
    "SOFTMAX": Builtin(9, (Option("beta", 0, "float32", 0.0),), _check_softmax, version=3),
    "SPLIT": Builtin(35, (Option("splits", 0),), _check_split, (2, 2), (1, _MANY), version=5),
    "SQUEEZE": Builtin(30, (Option("axes", 0, "int32s"),), _check_squeeze),
    "STRIDED_SLICE": Builtin(
        32,
        (
            Option("begin_mask", 0),
            Option("end_mask", 1),
            Option("ellipsis_mask", 2),
            Option("new_axis_mask", 3),
            Option("shrink_axis_mask", 4),
            Option("offset", 5, "bool", False),
        ),
        _check_strided_slice,
        (4, 4),
        version=4,
    ),
    "SUB": Builtin(28, _SUM, _check_arithmetic, (2, 2), version=5),
    "SUM": Builtin(27, _REDUCE, _check_reduce, (2, 2), version=2),
    "TANH": Builtin(0, (), _check_tanh, version=3),
    "TRANSPOSE": Builtin(26, (), _check_transpose, (2, 2), version=8),
    "TRANSPOSE_CONV": Builtin(
        49,
        (_PADDING, Option("stride", (2, 1)), _activation(3)),
        inputs=(3, 4),
        multiply_accumulates=_transposed_products,
    ),
    "UNPACK": Builtin(64, (Option("count", 0), Option("axis", 1)), outputs=(1, _MANY)),
}
