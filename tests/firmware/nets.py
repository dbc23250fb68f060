"""A quantised .tflite under construction, for the tests that make models out of single operators."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")
LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767), "uint8": (0, 255)}
TYPES = {
    "float32": schema.TensorType.FLOAT32,
    "int8": schema.TensorType.INT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "uint8": schema.TensorType.UINT8,
}


class Net:
    """A .tflite under construction: tensors are numbers, ``add`` appends an operator, ``bytes`` ends it.

    Parameters
    ----------
    rng : np.random.Generator
    dtype : str
        ``int8`` or ``int16``, of the activations.
    """

    def __init__(self, rng: np.random.Generator, dtype: str = "int8"):
        self.rng, self.dtype = rng, dtype
        self.tensors: list[schema.TensorT] = []
        self.shapes: list[tuple[int, ...]] = []
        self.quants: list[tuple[float, int] | None] = []
        self.dtypes: list[str] = []
        self.buffers = [schema.BufferT()]
        self.codes: dict[str, int] = {}
        self.operators: list[schema.OperatorT] = []
        self.inputs: list[int] = []
        self.used: set[int] = set()

    def tensor(self, shape, dtype=None, scale=None, zero_point=0, data=None, axis=0) -> int:
        """Add a tensor; ``scale`` is a number, or an array along ``axis``; ``data`` makes it a constant."""
        tensor = schema.TensorT()
        tensor.shape = [int(n) for n in shape]
        tensor.type = TYPES[dtype or self.dtype]
        tensor.name = f"t{len(self.tensors)}".encode()
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            quantization.zeroPoint = np.broadcast_to(
                np.asarray(zero_point, np.int64), quantization.scale.shape
            ).copy()
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype or self.dtype).tobytes(), np.uint8)
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        self.shapes.append(tuple(tensor.shape))
        self.dtypes.append(dtype or self.dtype)
        self.quants.append(
            None if scale is None or np.size(scale) != 1 else (float(np.float32(scale)), int(zero_point))
        )
        return len(self.tensors) - 1

    def integers(self, values, dtype="int32") -> int:
        """Add a constant of plain integers: a shape, axes, paddings."""
        values = np.asarray(values, dtype)
        return self.tensor(values.shape, dtype, data=values)

    def like(self, x: int, shape) -> int:
        """Add a tensor of another shape with the type and quantisation of ``x``."""
        return self.tensor(shape, self.dtypes[x], *self.quants[x])

    def value(self, shape, scale, dtype=None) -> int:
        """Add an activation whose scale is about ``scale``, with a random zero point."""
        return self.tensor(shape, dtype, scale, self.zero_point(dtype))

    def zero_point(self, dtype=None) -> int:
        """A zero point: 0 for int16; anything for int8, the ends included."""
        if (dtype or self.dtype) == "int16":
            return 0
        return int(
            self.rng.choice(
                [-128, 127, 0, 0, *self.rng.integers(-128, 128, 2), *self.rng.integers(-30, 31, 3)]
            )
        )

    def input(self, shape, scale=None) -> int:
        """Add an input of the graph."""
        index = self.value(shape, self.scale() if scale is None else scale)
        self.inputs.append(index)
        return index

    def scale(self) -> float:
        """A scale for an activation that spans a few units."""
        return float(np.exp(self.rng.uniform(np.log(0.5), np.log(20)))) / (
            255 if self.dtype == "int8" else 65535
        )

    def spread(self, dtype=None) -> float:
        """The standard deviation of integers spread over the whole type."""
        return 74.0 if (dtype or self.dtype) == "int8" else 18900.0

    def output_scale(self, deviation: float, dtype=None) -> float:
        """A scale for values of this deviation: mostly about right, at times far too wide or narrow."""
        rng = self.rng
        factor = np.exp(rng.uniform(-1, 1)) if rng.random() < 0.85 else np.exp(rng.uniform(-4, 4))
        return float(deviation * factor / self.spread(dtype))

    def activation(self) -> int:
        """A fused activation."""
        name = ACTIVATIONS[self.rng.choice(4, p=[0.4, 0.25, 0.2, 0.15])]
        return getattr(schema.ActivationFunctionType, name)

    def constant(self, shape, scale=None) -> int:
        """Add a quantised constant of the activations' type."""
        low, high = LIMITS[self.dtype]
        data = self.rng.integers(low, high + 1, shape)
        return self.tensor(shape, None, scale or self.scale(), self.zero_point(), data)

    def add(self, opcode: str, inputs, outputs, options=None, version=2) -> None:
        """Append an operator; ``options`` is the schema's ...OptionsT object."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self.codes.setdefault(opcode, len(self.codes))
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
            operator.builtinOptions = options
        self.operators.append(operator)
        self.used.update(inputs)

    def bytes(self, outputs) -> bytes:
        """The finished file."""
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs, subgraph.outputs, subgraph.name = self.inputs, list(outputs), b"main"
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [subgraph], self.buffers
        model.description = b"random"
        model.operatorCodes = []
        for name in self.codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = VERSIONS.get(name, 1)
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


# The version that a converter writes for these types; the interpreter only asks that it knows it.
VERSIONS = {
    "ADD": 2,
    "ARG_MAX": 2,
    "ARG_MIN": 2,
    "AVERAGE_POOL_2D": 2,
    "BATCH_MATMUL": 3,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "DEQUANTIZE": 2,
    "EXP": 2,
    "FULLY_CONNECTED": 4,
    "GATHER": 2,
    "GELU": 2,
    "L2_NORMALIZATION": 2,
    "LEAKY_RELU": 2,
    "LOG": 2,
    "LOGISTIC": 2,
    "MAXIMUM": 2,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MINIMUM": 2,
    "MIRROR_PAD": 2,
    "MUL": 2,
    "PACK": 2,
    "PAD": 2,
    "PADV2": 2,
    "REDUCE_MAX": 2,
    "REDUCE_MIN": 2,
    "RELU": 2,
    "RELU6": 2,
    "RESIZE_BILINEAR": 2,
    "RESIZE_NEAREST_NEIGHBOR": 2,
    "RSQRT": 2,
    "SLICE": 2,
    "SOFTMAX": 2,
    "SPACE_TO_DEPTH": 2,
    "SPLIT": 2,
    "SPLIT_V": 2,
    "SQRT": 2,
    "SQUARED_DIFFERENCE": 2,
    "STRIDED_SLICE": 2,
    "SUB": 2,
    "SUM": 2,
    "TANH": 2,
    "TRANSPOSE": 2,
    "TRANSPOSE_CONV": 3,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": 3,
    "UNPACK": 2,
}


def options(name: str, **values):
    """A filled ...OptionsT object of the schema."""
    made = getattr(schema, name + "OptionsT")()
    for key, value in values.items():
        if not hasattr(made, key):
            raise AttributeError(f"{name}Options has no {key}")
        setattr(made, key, value)
    return made


def operand(net: Net, x: int) -> int:
    """A second operand for ``x``: another value of its shape, a constant, or either to be broadcast."""
    rng = net.rng
    shape = net.shapes[x]
    others = [
        t
        for t in range(len(net.shapes))
        if net.shapes[t] == shape
        and net.dtypes[t] == net.dtypes[x]
        and net.quants[t]
        and not net.tensors[t].buffer
    ]
    others = [t for t in others if t != x] or [x] * (rng.random() < 0.2)
    if others and rng.random() < 0.6:
        return int(rng.choice(others))
    if rng.random() < 0.3:
        return net.constant(shape)
    start = int(rng.integers(0, len(shape) + 1))
    # Where x has one value along an axis, it may be the one that is repeated.
    return net.constant(
        [1 if rng.random() < 0.5 else 3 if n == 1 and rng.random() < 0.3 else n for n in shape[start:]]
    )


def requantized(net: Net, x: int, to: int) -> int:
    """``x`` in the quantisation of ``to``, through a QUANTIZE where it differs."""
    if net.quants[x] == net.quants[to]:
        return x
    y = net.like(to, net.shapes[x])
    net.add("QUANTIZE", [x], [y], options("Quantize"))
    return y


def rescaled(net: Net, x: int) -> int:
    """An output of the shape of ``x`` whose scale is like its own, or exactly its own."""
    if net.rng.random() < 0.3:
        return net.like(x, net.shapes[x])
    return net.value(net.shapes[x], net.output_scale(net.quants[x][0] * net.spread()))
