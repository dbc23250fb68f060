"""Damage to .tflite files: ``mutated`` changes a file's bytes, ``altered`` what a well-formed file says."""

from __future__ import annotations

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema


def mutated(model: bytes, rng: np.random.Generator) -> bytes:
    """``model`` damaged in one to four places: flipped bits, offsets, lengths, type codes, cuts, splices."""
    data = bytearray(model)
    for _ in range(rng.integers(1, 5)):
        if len(data) < 80:
            break
        _DAMAGES[rng.choice(len(_DAMAGES), p=_CHANCES)](data, rng)
    return bytes(data)


def _flip_bits(data: bytearray, rng) -> None:
    for _ in range(rng.integers(1, 9)):
        data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))


def _set_byte(data: bytearray, rng) -> None:
    values = (0, 1, 2, 3, 9, 32, 126, 127, 128, 255, rng.integers(256))
    data[rng.integers(len(data))] = int(rng.choice(values))


def _set_half(data: bytearray, rng) -> None:
    """Overwrite a small 16-bit number, as the places in a vtable are."""
    places = np.flatnonzero(np.frombuffer(bytes(data[: len(data) // 2 * 2]), "<u2") < 256)
    if places.size:
        at = 2 * int(rng.choice(places))
        value = int(rng.choice([0, 1, 2, 4, 5, 6, 8, 12, 16, 255, 0x7FFF, 0x8000, 0xFFFF]))
        data[at : at + 2] = value.to_bytes(2, "little")


def _set_word(data: bytearray, rng) -> None:
    """Overwrite a 32-bit number that could be an offset, a length, a tensor number or a dimension."""
    words = np.frombuffer(bytes(data[: len(data) // 4 * 4]), "<u4").astype(np.int64)
    places = np.flatnonzero((words > 0) & (words < len(data)))
    if not places.size:
        return
    at = int(rng.choice(places))
    old, end = words[at], len(data)
    fixed = (0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFC, end, end - 4 * at, 100_000)
    near = (old + 1, old - 1, old + 4, old - 4, 2 * old, rng.choice(words), rng.integers(64))
    value = int(rng.choice([*fixed, *near])) & 0xFFFFFFFF
    data[4 * at : 4 * at + 4] = value.to_bytes(4, "little")


def _splice(data: bytearray, rng) -> None:
    size = int(rng.integers(4, 65))
    a, b = (int(v) & ~3 for v in rng.integers(0, len(data) - size, 2))
    data[a : a + size] = data[b : b + size]


def _erase(data: bytearray, rng) -> None:
    size = int(rng.integers(1, 33))
    at = int(rng.integers(0, len(data) - size))
    data[at : at + size] = bytes([int(rng.choice([0, 255]))]) * size


def _truncate(data: bytearray, rng) -> None:
    del data[int(rng.integers(len(data))) :]


def _insert(data: bytearray, rng) -> None:
    at = int(rng.integers(len(data)))
    data[at:at] = rng.bytes(int(rng.integers(1, 17)))


_DAMAGES = (_flip_bits, _set_byte, _set_half, _set_word, _splice, _erase, _truncate, _insert)
_CHANCES = (0.15, 0.15, 0.15, 0.3, 0.1, 0.05, 0.05, 0.05)


def altered(model: bytes, rng: np.random.Generator) -> bytes:
    """A well-formed file that differs from ``model`` in one to three values: a shape, a type, a scale, ..."""
    root = schema.ModelT.InitFromPackedBuf(model, 0)
    main = root.subgraphs[0]
    for _ in range(rng.integers(1, 4)):
        if rng.random() < 0.4:
            _alter_operator(root, main.operators[rng.integers(len(main.operators))], len(main.tensors), rng)
        else:
            _alter_tensor(root, main.tensors[rng.integers(len(main.tensors))], rng)
    return packed(root)


def packed(root: schema.ModelT) -> bytes:
    """The file of a model held as the schema's objects."""
    builder = flatbuffers.Builder(4096)
    builder.Finish(root.Pack(builder), b"TFL3")
    return bytes(builder.Output())


_NUMBERS = (-(2**31), -129, -2, -1, 0, 1, 2, 3, 5, 100, 4096, 5000, 2**24, 2**31 - 1)
_SCALES = (0.0, -1.0, np.nan, np.inf, 1e-45, 1e-30, 1e-9, 1e-3, 0.1, 1.0, 1 / 256, 1 / 32768, 30.0, 1e9, 3e38)
_ENUMERATIONS = (
    "mode",
    "outputType",
    "padding",
    "fusedActivationFunction",
    "weightsFormat",
    "quantizedBiasType",
)


def _alter_operator(root, operator, tensors: int, rng) -> None:
    what = rng.integers(5)
    if what == 0:
        code = root.operatorCodes[operator.opcodeIndex]
        code.builtinCode = code.deprecatedBuiltinCode = int(rng.integers(0, 127))
    elif what <= 2 and len(operator.inputs):
        inputs = [int(i) for i in operator.inputs]
        at = rng.integers(len(inputs))
        inputs[at : at + 1] = [int(rng.integers(-1, tensors))] if what == 1 else []
        operator.inputs = inputs
    elif operator.builtinOptions is not None:
        fields = sorted(vars(operator.builtinOptions))
        if fields:
            name = fields[rng.integers(len(fields))]
            value = _other_option(name, getattr(operator.builtinOptions, name), rng)
            setattr(operator.builtinOptions, name, value)


def _other_option(name: str, value, rng):
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, float):
        return float(rng.choice(_SCALES))
    if value is None or np.ndim(value):
        return np.asarray(rng.choice(_NUMBERS, rng.integers(4)), np.int32)
    return int(rng.integers(0, 6)) if name in _ENUMERATIONS else int(rng.choice(_NUMBERS))


def _alter_tensor(root, tensor, rng) -> None:
    what = rng.integers(6)
    quantization = tensor.quantization
    if what == 0 and tensor.shape is not None and len(tensor.shape):
        shape = [int(n) for n in tensor.shape]
        at = rng.integers(len(shape))
        shape[at] = min(int(rng.choice([*_NUMBERS, shape[at] + 1, shape[at] - 1])), 2**31 - 1)
        tensor.shape = shape
    elif what == 1:
        tensor.type = int(rng.integers(0, 18))
    elif what == 2:
        tensor.isVariable = True
    elif what == 3:
        data = root.buffers[tensor.buffer].data
        if data is not None and len(data):
            data = np.array(data, np.uint8)
            words = data.size % 4 == 0 and rng.random() < 0.7
            values = data.view("<i4" if words else "u1")
            values[rng.integers(values.size)] = rng.choice(_NUMBERS) if words else rng.integers(256)
            root.buffers[tensor.buffer].data = data
    elif quantization is not None and quantization.scale is not None:
        if what == 4:
            quantization.scale = np.array(quantization.scale, np.float32)
            quantization.scale[rng.integers(len(quantization.scale))] = rng.choice(_SCALES)
        else:
            quantization.zeroPoint = np.array(quantization.zeroPoint, np.int64)
            at = rng.integers(len(quantization.zeroPoint))
            quantization.zeroPoint[at] = rng.choice([*_NUMBERS, 2**40])
