"""Read a .tflite file into a graph: tensors, operators and the order they run in.

A .tflite is hostile until checked. ``read`` takes any well-formed file, float or quantised, whatever its
operators, and ends in a graph or in a ``ModelError`` of one sentence. What then becomes of the graph is in
``passes.py``.

The format is TensorFlow Lite's schema, version 3; slot numbers below count the fields of its tables from
zero. Only the main subgraph, the first, is read.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from firmware_export.errors import ModelError
from firmware_export.flatbuffer import Table
from firmware_export.ir import Graph, Kind, Operator, Quantization, Tensor
from firmware_export.ops import KINDS
from firmware_export.schema import NAMES, TYPES

__all__ = ["Graph", "ModelError", "Operator", "Quantization", "Tensor", "read"]

# The types that NumPy has.
_ARRAY_TYPES = frozenset(
    name for name, bits in TYPES if bits >= 8 and not name.startswith(("bfloat", "float8"))
)

LARGEST_FILE = 2**31 - 1
LARGEST_TENSOR = 2**31 - 1
LARGEST_RANK = 8
MOST_INDEXES = 50_000


def read(source: str | os.PathLike | bytes) -> Graph:
    """Read a .tflite file.

    Parameters
    ----------
    source : path, or bytes of the file

    Returns
    -------
    Graph
        Of the main subgraph, as the file has it.

    Raises
    ------
    ModelError
        If the file is not a .tflite, or damaged; whatever its bytes, no other exception.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        return _Reader(bytes(source), None).graph()
    path = Path(source)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path} is not a file; give the path of a .tflite file.")
        if status.st_size > LARGEST_FILE:
            raise ModelError(f"{path} holds {status.st_size} bytes; a .tflite has at most {LARGEST_FILE}.")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        return _Reader(data, path.stem).graph()
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


class _Reader:
    """The tables of one .tflite file, turned into a graph."""

    def __init__(self, data: bytes, name: str | None):
        self.data, self.name = data, name
        self.indexes_left = MOST_INDEXES
        self.model = Table.root(data, b"TFL3")
        version = self.model.scalar(0, "uint32", 0)
        if version != 3:
            raise self.model.error(f"its schema has version {version} where 3 is expected")
        self.opcodes = [self._opcode(table) for table in self.model.tables(1, "operator code")]
        self.buffers = self.model.tables(4, "buffer")

    def graph(self) -> Graph:
        subgraphs = self.model.tables(2, "subgraph")
        if not subgraphs:
            raise self.model.error("it has no subgraph")
        main = subgraphs[0]
        tensors = [self._tensor(i, table) for i, table in enumerate(main.tables(0, "tensor"))]
        described = main.tables(3, "operator")
        operators = [self._operator(i, table, len(tensors)) for i, table in enumerate(described)]
        inputs = self._indexes(main, 1, len(tensors))
        outputs = self._indexes(main, 2, len(tensors))
        tensors = _with_empty_constants(tensors, operators, inputs)
        _check_order(tensors, operators, inputs)
        return Graph(
            name=self.name or main.string(4),
            tensors=tuple(tensors),
            operators=tuple(operators),
            inputs=inputs,
            outputs=outputs,
            sha256=hashlib.sha256(self.data).hexdigest(),
            size=len(self.data),
        )

    def _opcode(self, table: Table) -> tuple[str, int, bool]:
        """The name and version of an operator, and whether it is a custom one."""
        # Old files have only the 8-bit field; newer ones hold at most 127 there and the whole code apart.
        code = max(table.scalar(0, "int8", 0), table.scalar(3, "int32", 0))
        if not 0 <= code < len(NAMES):
            raise table.error(f"operator code {code} is unknown; the newest known is {len(NAMES) - 1}")
        version = table.scalar(2, "int32", 1)
        if NAMES[code] == "CUSTOM":
            # The name goes into messages: no line breaks, no terminal's control sequences.
            name = "".join(c if c.isprintable() else "?" for c in table.string(1)[:100])
            return name, version, True
        return NAMES[code], version, False

    def _indexes(self, table: Table, slot: int, tensors: int, *, optional: bool = False) -> tuple[int, ...]:
        """A vector of tensor numbers, each in range (or -1 where ``optional``)."""
        view = table.vector(slot, "int32")
        if view is None:
            return ()
        # Many hostile tables can share one long vector, so the sum over the file is bounded.
        self.indexes_left -= view.size
        if self.indexes_left < 0:
            raise table.error(f"its operators name more than {MOST_INDEXES} tensors")
        least = -1 if optional else 0
        indexes = tuple(view.tolist())
        for index in indexes:
            if not least <= index < tensors:
                raise table.error(f"it names tensor {index} of {tensors}")
        return indexes

    def _tensor(self, index: int, table: Table) -> Tensor:
        kind = table.scalar(1, "int8", 0)
        if not 0 <= kind < len(TYPES):
            raise table.error(f"element type {kind} is unknown")
        dtype, bits = TYPES[kind]
        dimensions = table.vector(0, "int32")
        if dimensions is not None and dimensions.size > LARGEST_RANK:
            raise table.error(f"it has {dimensions.size} dimensions, more than {LARGEST_RANK}")
        shape = () if dimensions is None else tuple(dimensions.tolist())
        if any(size < 0 for size in shape):
            raise table.error(f"its shape {shape} has a negative dimension")
        if math.prod(shape) * max(bits, 8) // 8 > LARGEST_TENSOR:
            raise table.error(f"its shape {shape} of {dtype} takes more than {LARGEST_TENSOR} bytes")
        sparse = table.table(6) is not None
        variable = table.scalar(5, "bool", False)
        data = self._buffer(table)
        if data is not None and variable:
            raise table.error("it is a variable and a constant at once")
        if data is not None and dtype != "string" and not sparse:
            size = (math.prod(shape) * bits + 7) // 8
            if data.size != size:
                raise table.error(f"its buffer holds {data.size} bytes where {dtype} {shape} takes {size}")
            if dtype in _ARRAY_TYPES:
                data = data.view(np.dtype(dtype).newbyteorder("<")).reshape(shape)
        quantization = self._quantization(table, shape)
        return Tensor(index, table.string(3), shape, dtype, quantization, data, variable, sparse)

    def _buffer(self, table: Table) -> np.ndarray | None:
        """The bytes of a tensor's buffer, uint8 [shape=(n,)]; None where it has none."""
        number = table.scalar(2, "uint32", 0)
        if number == 0:
            return None
        if number >= len(self.buffers):
            raise table.error(f"it names buffer {number} of {len(self.buffers)}")
        buffer = self.buffers[number]
        data = buffer.vector(0, "uint8")
        if data is not None:
            # An empty vector is how converters write "no data"; a constant without elements is found later.
            return data if data.size else None
        # Large models keep their data behind the flatbuffer, at an offset from the file's beginning.
        offset, size = buffer.scalar(1, "uint64", 0), buffer.scalar(2, "uint64", 0)
        if offset <= 1 or size == 0:
            return None
        if offset + size > len(self.data):
            raise buffer.error(f"its {size} bytes at {offset} run past the end of the file")
        return np.frombuffer(self.data, np.uint8, size, offset)

    def _quantization(self, table: Table, shape: tuple[int, ...]) -> Quantization | None:
        inner = table.table(4)
        scales = None if inner is None else inner.vector(2, "float32")
        if scales is None or not scales.size:
            return None
        zero_points = inner.vector(3, "int64")
        count = 0 if zero_points is None else zero_points.size
        if count != scales.size:
            raise table.error(f"it has {scales.size} scales and {count} zero points")
        axis = inner.scalar(6, "int32", 0)
        if axis < 0 or (shape and axis >= len(shape)):
            raise table.error(f"it is quantised along axis {axis} of {len(shape)}")
        if scales.size > 1 and shape and scales.size != shape[axis]:
            raise table.error(f"it has {scales.size} scales for {shape[axis]} elements along axis {axis}")
        return Quantization(scales, zero_points, axis, affine=inner.scalar(4, "uint8", 0) == 0)

    def _operator(self, index: int, table: Table, tensors: int) -> Operator:
        code = table.scalar(0, "uint32", 0)
        if code >= len(self.opcodes):
            raise table.error(f"it names operator code {code} of {len(self.opcodes)}")
        opcode, version, custom = self.opcodes[code]
        inputs = self._indexes(table, 1, tensors, optional=True)
        outputs = self._indexes(table, 2, tensors)
        options: dict[str, Any] = {}
        kind = None if custom else KINDS.get(opcode)
        if kind:
            table.where = f"operator {index} ({opcode})"
            _check_arity(table, kind, inputs, outputs)
            options = self._options(table, kind)
        inner = self._indexes(table, 8, tensors)
        return Operator(
            index, opcode, version, inputs, outputs, MappingProxyType(options), custom, kind, inner
        )

    def _options(self, table: Table, kind: Kind) -> dict[str, Any]:
        """The operator's parameters by name, defaults where the file is silent."""
        union = table.scalar(3, "uint8", 0)
        if union not in (0, kind.union):
            raise table.error(f"its options are of type {union} where {kind.union} is expected")
        inner = table.table(4) if union else None
        return {option.name: option.read(inner, table) for option in kind.options}


def _check_arity(table: Table, kind: Kind, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    """Refuse an operator with too few or too many tensors, or without one that it cannot do without."""
    for role, count, (least, most) in (
        ("inputs", len(inputs), kind.inputs),
        ("outputs", len(outputs), kind.outputs),
    ):
        if not least <= count <= most:
            raise table.error(f"it has {count} {role} where {least} to {most} are expected")
    if -1 in inputs[: kind.inputs[0]]:
        raise table.error(f"its input {inputs.index(-1)} is absent")


def _with_empty_constants(
    tensors: list[Tensor], operators: list[Operator], inputs: tuple[int, ...]
) -> list[Tensor]:
    """Give the tensors without elements that nothing writes their empty array: they are constants too."""
    made = {index for op in operators for index in op.outputs}.union(inputs)
    return [
        replace(t, data=np.empty(t.shape, t.dtype))
        if not t.elements and t.dtype in _ARRAY_TYPES and not t.constant and t.index not in made
        else t
        for t in tensors
    ]


def _check_order(tensors: list[Tensor], operators: list[Operator], inputs: tuple[int, ...]) -> None:
    """Refuse a graph in which a tensor is written twice, or read before it is written."""
    written_by: dict[int, Operator] = {}
    given = set(inputs)
    for op in operators:
        for index in op.outputs:
            if index in written_by or index in given or tensors[index].constant:
                raise ModelError(
                    f"Operator {op.index} ({op.opcode}) writes tensor {index}, which has a value already."
                )
            written_by[index] = op
    done: set[int] = set()
    for op in operators:
        for index in op.inputs:
            if index in written_by and index not in done:
                raise ModelError(
                    f"Operator {op.index} ({op.opcode}) reads tensor {index} before operator "
                    f"{written_by[index].index} writes it."
                )
        done.update(op.outputs)
