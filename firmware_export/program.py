"""A graph as steps of kernels: what lowering makes, the planner lays out and the emitter writes.

Tensors are numbers: those of the graph, and above them temporaries of the compiler's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from firmware_export.ir import Graph, Operator, Tensor

# The implementations of the kernels, as edgesea_path.h chooses among them.
PATHS = ("plain", "dsp", "mve")


@dataclass(frozen=True, eq=False)
class Array:
    """A constant in flash.

    Parameters
    ----------
    role : str
        What it is, the end of its C name: ``weights``.
    ctype : str
        Of one element: ``int8_t``.
    values : np.ndarray
        A structured array stands for C structs.
    variants : dict of str to np.ndarray, int8 or int16
        What a path has in its place: ``dsp`` or ``mve``.
    spare : int [bytes]
        That follow it in memory and may be read.
    """

    role: str
    ctype: str
    values: np.ndarray
    variants: Mapping[str, np.ndarray] = field(default_factory=dict)
    spare: int = 0

    def bytes(self, path: str = "plain") -> int:
        """What it takes in flash on ``path``: ``plain``, ``dsp`` or ``mve``."""
        return self.variants.get(path, self.values).nbytes + self.spare


@dataclass(frozen=True, eq=False)
class Constant:
    """A kernel's constant: a C struct, its fields by name in any order.

    Parameters
    ----------
    ctype : str
        ``edgesea_conv``.
    fields : dict of str to int or Array
        None stands for NULL.
    """

    ctype: str
    fields: dict[str, Any]

    @property
    def arrays(self) -> list[Array]:
        """The arrays that the constant points to."""
        return [value for value in self.fields.values() if isinstance(value, Array)]


@dataclass(frozen=True)
class Rows:
    """How a step makes its output row by row.

    Output row r reads the input rows r * stride - pad + dilation * (0..height - 1).

    Parameters
    ----------
    in_rows, out_rows : int > 0
    in_row_bytes, out_row_bytes : int > 0
    height, stride, dilation : int > 0
    pad : int >= 0
    singly : bool
        Whether the kernel can take the rows of a window one at a time; the window must not overlap the next.
    """

    in_rows: int
    out_rows: int
    in_row_bytes: int
    out_row_bytes: int
    height: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0
    singly: bool = False

    @property
    def extent(self) -> int:
        """The rows from the first to the last that an output row reads."""
        return (self.height - 1) * self.dilation + 1


@dataclass(frozen=True)
class Slot:
    """An argument that the plan fills: where a tensor, the scratch memory or the step's state lies."""

    what: str
    position: int = 0


OUT, SCRATCH, STATE = Slot("out"), Slot("scratch"), Slot("state")


def IN(position: int) -> Slot:
    """The input at ``position``."""
    return Slot("in", position)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a kernel on whole tensors.

    Parameters
    ----------
    function : str
    arguments : tuple
        ``IN``, ``OUT``, ``SCRATCH``, ``STATE``, a Constant, an Array or a number.
    """

    function: str
    arguments: tuple


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel at work.

    Parameters
    ----------
    operators : tuple of Operator
        Those whose work this is: more than one where tables were joined to what comes before them.
    function : str
        The row function, or the first kernel called; also the name of its file.
    inputs : tuple of int
        Tensors read, never constants.
    output : int
        Tensor written.
    constant : Constant or None
        Handed to a row function.
    rows : Rows or None
        None for a kernel on whole tensors.
    calls : tuple of Call
        Where there are no rows: the calls that do the work.
    batch : int > 0
        How many feature maps the rows function makes, one after the other.
    scratch : Mapping of str to int [bytes]
        Memory that is free again after each call, by path; none where it is silent.
    sums : int [bytes]
        Memory that a row function which takes rows singly keeps until its row is done.
    table : Array or None
        Applied to each row when it is done.
    in_place : tuple of int
        Positions of the inputs whose memory the output may take.
    in_place_on : Mapping of str to tuple of int
        The same of the paths where more can.
    state : int [bytes]
        Memory that the step keeps from one inference to the next; only for steps on whole tensors.
    initial : int, 0..255
        Every byte of the state before the first inference.
    """

    operators: tuple[Operator, ...]
    function: str
    inputs: tuple[int, ...]
    output: int
    constant: Constant | None = None
    rows: Rows | None = None
    calls: tuple[Call, ...] = ()
    batch: int = 1
    scratch: Mapping[str, int] = field(default_factory=dict)
    sums: int = 0
    table: Array | None = None
    in_place: tuple[int, ...] = ()
    in_place_on: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    state: int = 0
    initial: int = 0

    def __post_init__(self):
        if self.state and self.rows is not None:
            raise ValueError(f"{self.function} makes its output row by row and cannot keep a state.")

    @property
    def arrays(self) -> list[Array]:
        """Every constant array that the step needs in flash."""
        found = [array for constant in self.constants for array in constant.arrays]
        found += [
            argument for call in self.calls for argument in call.arguments if isinstance(argument, Array)
        ]
        return found + ([] if self.table is None else [self.table])

    @property
    def constants(self) -> list[Constant]:
        """Every kernel constant of the step."""
        found = [] if self.constant is None else [self.constant]
        return found + [a for call in self.calls for a in call.arguments if isinstance(a, Constant)]

    @property
    def functions(self) -> set[str]:
        """Every kernel that the step calls."""
        return {self.function, *(call.function for call in self.calls)}

    @property
    def name(self) -> str:
        """The operators that the step computes."""
        return " + ".join(op.opcode for op in self.operators)


@dataclass(frozen=True, eq=False)
class Program:
    """A graph as steps.

    Parameters
    ----------
    graph : Graph
    steps : tuple of Step
    views : dict of int to int
        Tensors that share the memory of another: the tensor and its root.
    temporaries : dict of int to Tensor
        Tensors that the graph does not have, by number.
    """

    graph: Graph
    steps: tuple[Step, ...]
    views: dict[int, int]
    temporaries: dict[int, Tensor]

    def root(self, tensor: int) -> int:
        """The tensor whose memory holds ``tensor``."""
        return self.views.get(tensor, tensor)

    def tensor(self, number: int) -> Tensor:
        """A tensor of the model, or one that lowering added."""
        return self.temporaries[number] if number in self.temporaries else self.graph.tensors[number]
