"""int8 networks of random weights, written as .tflite without a framework: what speed is measured on.

    net = Network(seed=1)
    x = net.input((1, 49, 10, 1))
    x = net.convolution(x, 64, kernel=(10, 4), stride=(2, 2))
    model = net.finish(x)

How long a layer takes depends on its shape, not on its weights. Scales are chosen so that outputs fill the
range of the inputs: the deviation of a sum of n products is sqrt(n) times that of one.
"""

import math

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

# The version that a converter writes for int8.
VERSIONS = {
    "ADD": 2,
    "AVERAGE_POOL_2D": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "MAX_POOL_2D": 2,
    "MEAN": 2,
    "MUL": 2,
    "SOFTMAX": 2,
}
SCALE, ZERO = 0.05, -3  # of the input
DEVIATION = 73.0  # of integers spread evenly over int8


class Network:
    """An int8 network under construction: tensors are numbers, `finish` returns the file.

    Parameters
    ----------
    seed : int, of the weights
    """

    def __init__(self, seed: int):
        self._rng = np.random.default_rng(seed)
        self._tensors: list[schema.TensorT] = []
        self._buffers = [schema.BufferT()]
        self._codes: dict[str, int] = {}
        self._operators: list[schema.OperatorT] = []
        self._inputs: list[int] = []

    def shape(self, x: int) -> tuple[int, ...]:
        return tuple(self._tensors[x].shape)

    def input(self, shape: tuple[int, ...]) -> int:
        x = self._tensor(shape, SCALE, ZERO)
        self._inputs.append(x)
        return x

    def convolution(
        self, x: int, filters: int, kernel=(3, 3), stride=(1, 1), dilation=(1, 1), same=True, relu=True
    ) -> int:
        """CONV_2D: [1, height, width, channels] -> [1, ..., ..., filters]."""
        taps = (*kernel, self.shape(x)[3])
        options = schema.Conv2DOptionsT()
        return self._convolution("CONV_2D", options, x, filters, taps, stride, dilation, same, relu)

    def depthwise(
        self, x: int, kernel=(3, 3), stride=(1, 1), dilation=(1, 1), same=True, relu=True, dead=0
    ) -> int:
        """DEPTHWISE_CONV_2D with an output for each input channel; the first `dead` of them never change."""
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = 1
        channels = self.shape(x)[3]
        return self._convolution(
            "DEPTHWISE_CONV_2D", options, x, channels, kernel, stride, dilation, same, relu, dead
        )

    def dense(self, x: int, units: int, relu=False) -> int:
        """FULLY_CONNECTED: [1, inputs] -> [1, units]."""
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = self._activation(relu)
        inputs = self.shape(x)[-1]
        weights, bias, scale = self._weights(x, (units, inputs), 0, inputs, per_channel=False)
        y = self._tensor((1, units), scale, -128 if relu else 5)
        self._add("FULLY_CONNECTED", [x, weights, bias], y, options)
        return y

    def pool(self, x: int, kind: str, kernel=(2, 2), stride=(2, 2)) -> int:
        """MAX_POOL_2D or AVERAGE_POOL_2D over whole windows; kind: "max" or "average"."""
        options = schema.Pool2DOptionsT()
        options.padding = schema.Padding.VALID
        options.filterHeight, options.filterWidth = kernel
        options.strideH, options.strideW = stride
        _, height, width, channels = self.shape(x)
        size = [(n - k) // s + 1 for n, k, s in zip((height, width), kernel, stride, strict=True)]
        y = self._tensor((1, *size, channels), *self._quantization(x))
        self._add(f"{kind.upper()}_POOL_2D", [x], y, options)
        return y

    def add(self, x: int, other: int, relu=False) -> int:
        """ADD of two tensors of one shape."""
        options = schema.AddOptionsT()
        options.fusedActivationFunction = self._activation(relu)
        scale = math.hypot(self._quantization(x)[0], self._quantization(other)[0])
        y = self._tensor(self.shape(x), scale, -128 if relu else 5)
        self._add("ADD", [x, other], y, options)
        return y

    def multiply(self, x: int, other: int) -> int:
        """MUL of two tensors of one shape."""
        scale = DEVIATION * self._quantization(x)[0] * self._quantization(other)[0]
        y = self._tensor(self.shape(x), scale, 5)
        self._add("MUL", [x, other], y, schema.MulOptionsT())
        return y

    def mean(self, x: int) -> int:
        """MEAN over height and width: [1, height, width, channels] -> [1, channels]."""
        options = schema.ReducerOptionsT()
        options.keepDims = False
        y = self._tensor((1, self.shape(x)[3]), *self._quantization(x))
        self._add("MEAN", [x, self._integers([1, 2])], y, options)
        return y

    def reshape(self, x: int, shape: tuple[int, ...]) -> int:
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        y = self._tensor(shape, *self._quantization(x))
        self._add("RESHAPE", [x, self._integers(shape)], y, options)
        return y

    def finish(self, y: int) -> bytes:
        """The file of the network that ends with `y`."""
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs, graph.name = self._inputs, [y], b"main"
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = 3, [graph], self._buffers
        model.description = b"random weights"
        model.operatorCodes = []
        for name in self._codes:
            code = schema.OperatorCodeT()
            code.builtinCode = getattr(schema.BuiltinOperator, name)
            code.deprecatedBuiltinCode = min(code.builtinCode, 127)
            code.version = VERSIONS.get(name, 1)
            model.operatorCodes.append(code)
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _convolution(self, opcode, options, x, filters, taps, stride, dilation, same, relu, dead=0) -> int:
        kernel = taps[:2]
        shape = (filters, *taps) if opcode == "CONV_2D" else (1, *taps, filters)
        weights, bias, scale = self._weights(
            x, shape, 0 if opcode == "CONV_2D" else 3, math.prod(taps), per_channel=True, dead=dead
        )
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.strideH, options.strideW = stride
        options.dilationHFactor, options.dilationWFactor = dilation
        options.fusedActivationFunction = self._activation(relu)
        size = []
        for n, k, s, d in zip(self.shape(x)[1:3], kernel, stride, dilation, strict=True):
            size.append(-(-n // s) if same else (n - (k - 1) * d - 1) // s + 1)
        y = self._tensor((1, *size, filters), scale, -128 if relu else 5)
        self._add(opcode, [x, weights, bias], y, options)
        return y

    def _weights(
        self, x: int, shape, axis: int, products: int, *, per_channel: bool, dead: int = 0
    ) -> tuple[int, int, float]:
        """Weights and bias along `axis` of `shape`, and a scale for sums of so many products."""
        scale, _ = self._quantization(x)
        channels = shape[axis]
        usual = 1 / (DEVIATION * math.sqrt(products))
        scales = usual * (self._rng.uniform(0.8, 1.2, channels) if per_channel else np.ones(1))
        scales[:dead] *= 2.0**-20
        scales = scales.astype(np.float32)
        weights = self._tensor(shape, scales, 0, self._rng.integers(-127, 128, shape), "int8", axis)
        bias = self._tensor(
            (channels,), np.float32(scale) * scales, 0, self._rng.integers(-2000, 2000, channels), "int32"
        )
        return weights, bias, scale

    def _activation(self, relu: bool) -> int:
        return schema.ActivationFunctionType.RELU if relu else schema.ActivationFunctionType.NONE

    def _quantization(self, x: int) -> tuple[float, int]:
        quantization = self._tensors[x].quantization
        return float(quantization.scale[0]), int(quantization.zeroPoint[0])

    def _integers(self, values) -> int:
        return self._tensor((len(values),), None, 0, np.array(values), "int32")

    def _tensor(self, shape, scale, zero=0, data=None, dtype="int8", axis=0) -> int:
        tensor = schema.TensorT()
        tensor.shape = [int(n) for n in shape]
        tensor.type = getattr(schema.TensorType, dtype.upper())
        tensor.name = f"t{len(self._tensors)}".encode()
        if scale is not None:
            quantization = schema.QuantizationParametersT()
            quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            quantization.zeroPoint = np.full(quantization.scale.shape, zero, np.int64)
            quantization.quantizedDimension = axis
            tensor.quantization = quantization
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            tensor.buffer = len(self._buffers)
            self._buffers.append(buffer)
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _add(self, opcode: str, inputs: list[int], y: int, options) -> None:
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(opcode, len(self._codes))
        operator.inputs, operator.outputs = inputs, [y]
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
        operator.builtinOptions = options
        self._operators.append(operator)
