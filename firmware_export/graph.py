"""Read a .tflite file into a checked graph: tensors, operators and the order they run in.

A .tflite is hostile until checked. ``read`` takes any well-formed file, float or quantised, whatever its
operators, and ends in a graph or in a ``ModelError`` of one sentence; ``fold`` removes what depends on no
input and what no output needs; ``check`` refuses, by name, index and reason, what the C model cannot compile.

    graph = fold(read("student_int8.tflite"))
    check(graph)

The format is TensorFlow Lite's schema, version 3 (tensorflow/compiler/mlir/lite/schema/schema.fbs); slot
numbers below count the fields of its tables from zero. Only the main subgraph, the first, is read.
"""

from __future__ import annotations

import hashlib
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np

from firmware_export.flatbuffer import ModelError, Table
from firmware_export.fold import evaluate
from firmware_export.operators import BUILTINS, NAMES, TYPES, Builtin, activation_fault, refuse, tensor_fault

__all__ = ["Graph", "ModelError", "Operator", "Quantization", "Tensor", "check", "fold", "read"]

_BITS = dict(TYPES)
# Those that NumPy has.
_ARRAY_TYPES = frozenset(
    name for name, bits in TYPES if bits >= 8 and not name.startswith(("bfloat", "float8"))
)

LARGEST_FILE = 2**31 - 1
LARGEST_TENSOR = 2**31 - 1
LARGEST_RANK = 8
# More flash than any microcontroller maps; counted once for each operator that reads it.
LARGEST_CONSTANTS = 2**25
MOST_INDEXES = 50_000


@dataclass(frozen=True, eq=False)
class Quantization:
    """What the integers of a tensor stand for: real = scale * (integer - zero_point).

    Parameters
    ----------
    scales : np.ndarray [shape=(n,), float32]
        One scale, or one for each index along ``axis``.
    zero_points : np.ndarray [shape=(n,), int64]
        As many as there are scales.
    axis : int >= 0
        The axis that the scales run along; without meaning when there is one scale.
    affine : bool
        False where the file adds a scheme of its own (custom or blockwise), which nothing here understands.
    """

    scales: np.ndarray
    zero_points: np.ndarray
    axis: int = 0
    affine: bool = True

    @property
    def scale(self) -> float:
        """The scale of a tensor quantised as a whole: the float32 value in the file, as a Python float."""
        return float(self.scales[0])

    @property
    def zero_point(self) -> int:
        """The zero point of a tensor quantised as a whole."""
        return int(self.zero_points[0])

    @property
    def per_channel(self) -> bool:
        """Whether there is more than one scale."""
        return self.scales.size > 1


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the graph.

    Parameters
    ----------
    index : int >= 0
        Its number in the file; ``graph.tensors[index]`` is this tensor.
    name : str
        As in the file: any text, not an identifier.
    shape : tuple of int >= 0
        A batch of unknown size counts 1, as the file's ``shape`` gives it.
    dtype : str
        ``int8``, ``float32``, ... as the schema names it, in lower case.
    quantization : Quantization or None
    data : np.ndarray [shape=shape] or None
        A constant, as a read-only view of the file. Types that NumPy lacks (``int4``, ``bfloat16``,
        ``string``) and sparse tensors give their bytes, uint8 [shape=(n,)].
    variable : bool
        Whether it keeps its value between inferences.
    sparse : bool
        Whether ``data`` is in the schema's sparse encoding.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = None
    data: np.ndarray | None = None
    variable: bool = False
    sparse: bool = False

    @property
    def elements(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """Its size in memory in bytes; 0 where its elements have no fixed size (``string``, ``resource``)."""
        return (self.elements * _BITS[self.dtype] + 7) // 8

    @property
    def constant(self) -> bool:
        """Whether its value is in the file."""
        return self.data is not None

    def __str__(self) -> str:
        return f"tensor {self.index}"


@dataclass(frozen=True, eq=False)
class Operator:
    """A step of the graph.

    Parameters
    ----------
    index : int >= 0
        Its number in the file, which stays when ``fold`` removes others.
    opcode : str
        ``CONV_2D``, ... as the schema names it; for a custom operator the name that the file gives it, made
        printable and cut to 100 characters.
    version : int >= 1
        Of the operator.
    inputs : tuple of int
        Tensor numbers; -1 for an optional input that is absent.
    outputs : tuple of int
        Tensor numbers.
    options : Mapping
        The operator's parameters by name, see ``operators.BUILTINS``; empty for operators that are not there.
    custom : bool
        Whether ``opcode`` is a name of a custom or Flex operator.
    """

    index: int
    opcode: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, object]
    custom: bool = False

    def __str__(self) -> str:
        return f"operator {self.index} ({self.opcode})"


@dataclass(frozen=True, eq=False)
class Graph:
    """A model: what it holds, in the order in which it runs.

    Parameters
    ----------
    name : str
        The file's name without its ending, or the subgraph's where it came as bytes.
    tensors : tuple of Tensor
        All that the file has, used or not.
    operators : tuple of Operator
        In an order in which every input is ready.
    inputs, outputs : tuple of int
        Tensor numbers.
    sha256 : str
        Of the file, in hexadecimal.
    size : int > 0 [bytes]
        Of the file.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    sha256: str
    size: int

    @cached_property
    def _producers(self) -> dict[int, Operator]:
        return {tensor: op for op in self.operators for tensor in op.outputs}

    @cached_property
    def _consumers(self) -> dict[int, list[Operator]]:
        consumers: dict[int, list[Operator]] = {}
        for op in self.operators:
            for tensor in dict.fromkeys(op.inputs):
                consumers.setdefault(tensor, []).append(op)
        return consumers

    def producer(self, tensor: int) -> Operator | None:
        """The operator that writes ``tensor``; None for an input or a constant."""
        return self._producers.get(tensor)

    def consumers(self, tensor: int) -> tuple[Operator, ...]:
        """The operators that read ``tensor``, each once, in the order in which they run."""
        return tuple(self._consumers.get(tensor, ()))

    def input(self, op: Operator, position: int) -> Tensor | None:
        """The tensor at input ``position`` of ``op``, or None where it is absent."""
        index = op.inputs[position] if position < len(op.inputs) else -1
        return None if index < 0 else self.tensors[index]

    def output(self, op: Operator, position: int = 0) -> Tensor:
        """The tensor at output ``position`` of ``op``."""
        return self.tensors[op.outputs[position]]

    def multiply_accumulates(self, op: Operator) -> int:
        """How many multiply-accumulates ``op`` costs, those with padding included; 0 where it has none."""
        builtin = BUILTINS.get(op.opcode)
        return builtin.multiply_accumulates(self, op) if builtin and not op.custom else 0


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


def fold(graph: Graph) -> Graph:
    """Replace what depends on no input by its value, and drop the operators that no output needs.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    Graph
        With the same tensor and operator numbers; the tensors that were computed are constants.

    Raises
    ------
    ModelError
        If an operator on constants makes another shape or type than the file declares.
    """
    tensors = list(graph.tensors)
    kept = []
    for op in graph.operators:
        inputs = [None if i < 0 else tensors[i] for i in op.inputs]
        values = evaluate(op, inputs, [tensors[i] for i in op.outputs])
        if values is None:
            kept.append(op)
            continue
        for index, value in zip(op.outputs, values, strict=True):
            tensors[index] = replace(tensors[index], data=value)
    needed = set(graph.outputs)
    alive = []
    for op in reversed(kept):
        if needed.intersection(op.outputs):
            alive.append(op)
            needed.update(op.inputs)
    return replace(graph, tensors=tuple(tensors), operators=tuple(reversed(alive)))


def check(graph: Graph) -> None:
    """Refuse what the C model cannot compile.

    Parameters
    ----------
    graph : Graph
        After ``fold``.

    Raises
    ------
    ModelError
        Naming the first operator or tensor that stands in the way, and why.
    """
    _check_ends(graph)
    ready, room = set(graph.inputs), LARGEST_CONSTANTS
    for op in graph.operators:
        builtin = BUILTINS.get(op.opcode)
        if op.custom or builtin is None or builtin.check is None:
            known = ", ".join(name for name, b in BUILTINS.items() if b.check)
            kind = "custom operators" if op.custom else "such operator"
            raise refuse(op, f"the C model has no {kind}; it has {known}")
        if op.version > builtin.version:
            raise refuse(op, f"its version {op.version} is newer than {builtin.version}, the newest known")
        for index in (*op.inputs, *op.outputs):
            if index >= 0:
                fault = tensor_fault(graph.tensors[index])
                if fault:
                    raise refuse(op, f"tensor {index} {fault}")
        for index in op.inputs:
            if index >= 0 and index not in ready and not graph.tensors[index].constant:
                raise refuse(op, f"nothing writes tensor {index}")
        ready.update(op.outputs)
        constants = sum(graph.tensors[i].bytes for i in op.inputs if i >= 0 and graph.tensors[i].constant)
        room -= constants
        if room < 0:
            raise refuse(op, f"with it the model reads more than {LARGEST_CONSTANTS} bytes of constants")
        if all(index < 0 or graph.tensors[index].constant for index in op.inputs):
            raise refuse(op, "it computes from constants alone")
        builtin.check(graph, op)


def _check_ends(graph: Graph) -> None:
    """Refuse a graph whose inputs and outputs are not each a value of its own."""
    for role, indexes in (("input", graph.inputs), ("output", graph.outputs)):
        if not indexes:
            raise ModelError(f"The model cannot be compiled: it has no {role}.")
        if len(set(indexes)) != len(indexes):
            raise ModelError(f"The model cannot be compiled: it names one {role} twice.")
        for index in indexes:
            tensor = graph.tensors[index]
            fault = tensor_fault(tensor) or ("is a constant" if tensor.constant else activation_fault(tensor))
            if fault:
                raise ModelError(f"The model cannot be compiled: its {role}, tensor {index}, {fault}.")
    for index in graph.outputs:
        if graph.producer(index) is None:
            raise ModelError(f"The model cannot be compiled: no operator writes its output, tensor {index}.")


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
        operators = main.tables(3, "operator")
        operators = [self._operator(i, table, len(tensors)) for i, table in enumerate(operators)]
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
        options: dict[str, object] = {}
        if not custom and opcode in BUILTINS:
            builtin = BUILTINS[opcode]
            table.where = f"operator {index} ({opcode})"
            _check_arity(table, builtin, inputs, outputs)
            options = self._options(table, builtin)
        return Operator(index, opcode, version, inputs, outputs, MappingProxyType(options), custom)

    def _options(self, table: Table, builtin: Builtin) -> dict[str, object]:
        """The operator's parameters by name, defaults where the file is silent."""
        kind = table.scalar(3, "uint8", 0)
        if kind not in (0, builtin.union):
            raise table.error(f"its options are of type {kind} where {builtin.union} is expected")
        inner = table.table(4) if kind else None
        return {option.name: option.read(inner, table) for option in builtin.options}


def _check_arity(table: Table, builtin: Builtin, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> None:
    """Refuse an operator with too few or too many tensors, or without one that it cannot do without."""
    for role, count, (least, most) in (
        ("inputs", len(inputs), builtin.inputs),
        ("outputs", len(outputs), builtin.outputs),
    ):
        if not least <= count <= most:
            raise table.error(f"it has {count} {role} where {least} to {most} are expected")
    if -1 in inputs[: builtin.inputs[0]]:
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
