"""A float .tflite with one of its layers in integers: what that layer alone does to the embedding.

The result of the layer goes through QUANTIZE and DEQUANTIZE, with the scale and zero point that it has in the
integer model, and its constants become what the integer model's stand for. All else stays float. So the error
of the embedding is that layer's own: not gathered before it, nor hidden by loud channels that nothing reads.
"""

import copy

import numpy as np

from edgesea.exporting.flatbuffer import pack, tflite_schema, unpack
from firmware_export.graph import Graph
from firmware_export.graph import Tensor as GraphTensor


class FloatModel:
    """A float .tflite, unpacked, of which `with_rounded` makes variants."""

    def __init__(self, content: bytes):
        self.schema = tflite_schema()
        self.model = unpack(content)

    def with_rounded(self, tensor: int, twin: GraphTensor, integer: Graph) -> bytes:
        """The model with float tensor number `tensor` computed as `twin` of the integer model is.

        tensor : the model's input, or the result of an operator
        """
        model = copy.deepcopy(self.model)
        main = model.subgraphs[0]
        producer = next((place for place, op in enumerate(main.operators) if tensor in op.outputs), None)
        if producer is not None:
            self._round_constants(model, main.operators[producer], integer, integer.producer(twin.index))
        first = 0 if producer is None else producer + 1

        rounded = self._add_tensor(main, twin, getattr(self.schema.TensorType, twin.dtype.upper()))
        result = self._add_tensor(main, twin, self.schema.TensorType.FLOAT32)
        for op in main.operators[first:]:
            op.inputs = [result if index == tensor else index for index in op.inputs]
        main.outputs = [result if index == tensor else index for index in main.outputs]
        kinds = self.schema.BuiltinOperator
        main.operators[first:first] = [
            self._operator(model, kinds.QUANTIZE, tensor, rounded),
            self._operator(model, kinds.DEQUANTIZE, rounded, result),
        ]
        return pack(model)

    def _round_constants(self, model, op, integer: Graph, twin) -> None:
        """Gives `op` the weights and biases that the integer operator `twin` has, as float32."""
        main = model.subgraphs[0]
        for place, index in enumerate(op.inputs):
            constant = integer.input(twin, place)
            if constant is None or not constant.constant or constant.quantization is None:
                continue
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(dequantised(constant).tobytes(), np.uint8)
            model.buffers.append(buffer)
            main.tensors[index].buffer = len(model.buffers) - 1

    def _add_tensor(self, main, twin: GraphTensor, kind: int) -> int:
        tensor = self.schema.TensorT()
        tensor.shape = list(twin.shape)
        tensor.type = kind
        if kind != self.schema.TensorType.FLOAT32:
            tensor.quantization = self.schema.QuantizationParametersT()
            tensor.quantization.scale = [twin.quantization.scale]
            tensor.quantization.zeroPoint = [twin.quantization.zero_point]
        main.tensors.append(tensor)
        return len(main.tensors) - 1

    def _operator(self, model, kind: int, source: int, result: int):
        code = self.schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = kind
        code.version = 2
        model.operatorCodes.append(code)
        op = self.schema.OperatorT()
        op.opcodeIndex = len(model.operatorCodes) - 1
        op.inputs, op.outputs = [source], [result]
        return op


def dequantised(tensor: GraphTensor) -> np.ndarray:
    """The real numbers of a constant, quantised as a whole or per channel, float32 [shape=tensor.shape]."""
    quantization = tensor.quantization
    shape = [1] * len(tensor.shape)
    if quantization.per_channel:
        shape[quantization.axis] = -1
    scales = quantization.scales.astype(np.float64).reshape(shape)
    return ((tensor.data - quantization.zero_points.reshape(shape)) * scales).astype(np.float32)
