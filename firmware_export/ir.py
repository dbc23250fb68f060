"""The intermediate representation: a model as tensors, operators and the order they run in.

Values, and nothing that reads files or knows an operator by name. What is known of an operator comes with it:
its ``Kind``, from a file in ``ops/``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from firmware_export.schema import TYPES, Option

_BITS = dict(TYPES)


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
class Kind:
    """What is known of one kind of operator.

    Parameters
    ----------
    opcode : str
        As the schema names it: ``CONV_2D``.
    union : int
        The schema's BuiltinOptions of the operator; 0 where it has none.
    options : tuple of Option
    inputs : (int, int)
        How many inputs it has at least (these are never absent) and at most.
    outputs : (int, int)
        How many outputs it has at least and at most.
    version : int
        The newest version of the operator whose meaning is known here: that of ai-edge-litert 2.3.
    check : callable(graph, op) or None
        Raises ``ModelError`` for what the C model cannot compile; None where there is no kernel for the
        operator and it is only read, to compute it from constants or to count its cost.
    lower : callable(lowering, op) or None
        Adds the steps that do its work; given with ``check``.
    cost : callable(graph, op) -> int or None
        Its multiply-accumulates, those with padding included; None where it has none.
    evaluate : callable(op, inputs, output) -> np.ndarray or None
        Its one output where the inputs are constants; returns None for what it does not compute.
    is_absorbed : callable(graph, op) -> bool or None
        Whether the operator that reads its output does its work too, so that it makes no step.
    real : callable(op, values) -> np.ndarray or None
        What it computes of each of some float32 values [shape=(n,)]; None where it is no such function.
    states : tuple of int
        Positions of inputs that are variables, which its kernel makes anew in every inference.
    """

    opcode: str
    union: int = 0
    options: tuple[Option, ...] = ()
    inputs: tuple[int, int] = (1, 1)
    outputs: tuple[int, int] = (1, 1)
    version: int = 1
    check: Callable[[Graph, Operator], None] | None = None
    lower: Callable[..., None] | None = None
    cost: Callable[[Graph, Operator], int] | None = None
    evaluate: Callable[[Operator, Sequence[Tensor], Tensor], np.ndarray | None] | None = None
    is_absorbed: Callable[[Graph, Operator], bool] | None = None
    real: Callable[[Operator, np.ndarray], np.ndarray] | None = None
    states: tuple[int, ...] = ()

    def __post_init__(self):
        if (self.check is None) != (self.lower is None):
            raise ValueError(f"{self.opcode} has one of check and lower; give both or neither.")


@dataclass(frozen=True, eq=False)
class Operator:
    """A step of the graph.

    Parameters
    ----------
    index : int >= 0
        Its number in the file, which stays when ``simplify`` removes others.
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
        The operator's parameters by name, as its ``kind`` lists them; empty where nothing is known of it.
    custom : bool
        Whether ``opcode`` is a name of a custom or Flex operator.
    kind : Kind or None
        What is known of such operators; None for those that no file in ``ops/`` describes.
    intermediates : tuple of int
        Tensor numbers; they say how what an LSTM computes inside is quantised.
    """

    index: int
    opcode: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]
    custom: bool = False
    kind: Kind | None = None
    intermediates: tuple[int, ...] = ()

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
        return op.kind.cost(self, op) if op.kind and op.kind.cost else 0
