"""A program in the making: what the operators' ``lower`` functions add their steps to.

This is where TensorFlow Lite's meaning of an operator becomes integers: input zero points go into biases,
scale ratios become multipliers, functions of one int8 value become tables. What costs nothing at run time
(RESHAPE, SQUEEZE, EXPAND_DIMS) becomes no step at all but a view of the tensor that it renames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from firmware_export.ir import Graph, Operator, Tensor
from firmware_export.program import IN, OUT, Array, Call, Constant, Rows, Step

# Sizes of a feature map's axis and of a kernel are 16-bit numbers in the kernels' constants.
LARGEST_AXIS = 65535

CTYPES = {"int8": "int8_t", "int16": "int16_t"}


@dataclass(eq=False)
class Lowering:
    """A program in the making.

    Parameters
    ----------
    graph : Graph
    turn : bool
        Whether maps of width 1 are one row: faster, in more memory where they could stream. See
        ``ops._windows.Frame``.
    steps, views, temporaries
        As in ``Program``.
    """

    graph: Graph
    turn: bool = True
    steps: list[Step] = field(default_factory=list)
    views: dict[int, int] = field(default_factory=dict)
    temporaries: dict[int, Tensor] = field(default_factory=dict)

    def root(self, tensor: int) -> int:
        """The tensor whose memory holds ``tensor``."""
        return self.views.get(tensor, tensor)

    def add_rows(
        self, op: Operator, function: str, inputs: Iterable[int], constant: Constant, rows: Rows, **rest
    ) -> None:
        """A step that makes its output row by row."""
        inputs = tuple(self.root(i) for i in inputs)
        self.steps.append(
            Step((op,), function, inputs, self.root(op.outputs[0]), constant=constant, rows=rows, **rest)
        )

    def add(
        self, op: Operator, inputs: Iterable[int], *calls: Call, output: int | None = None, **rest
    ) -> None:
        """A step on whole tensors."""
        inputs = tuple(self.root(i) for i in inputs)
        output = self.root(op.outputs[0] if output is None else output)
        self.steps.append(Step((op,), calls[0].function, inputs, output, calls=calls, **rest))

    def view(self, op: Operator) -> None:
        """Make the output of ``op`` another name for its first input."""
        self.views[op.outputs[0]] = self.root(op.inputs[0])

    def temporary(self, shape: tuple[int, ...], dtype: str) -> Tensor:
        """A tensor of the compiler's own."""
        number = len(self.graph.tensors) + len(self.temporaries)
        self.temporaries[number] = Tensor(number, "temporary", shape, dtype)
        return self.temporaries[number]

    def add_table(self, op: Operator, source: Tensor, function: Callable[[int], int]) -> None:
        """A function of one int8 value, as 256 results for -128..127."""
        values = np.array([function(value) for value in range(-128, 128)], np.int8)
        table = Array("table", "int8_t", values)
        rows = image_rows(source, self.turn)
        if rows is not None:
            constant = Constant("edgesea_lookup_constant", {"table": table, "count": rows.out_row_bytes})
            self.add_rows(op, "edgesea_lookup_row", (source.index,), constant, rows, in_place=(0,))
        else:
            call = Call("edgesea_lookup", (table, IN(0), OUT, source.elements))
            self.add(op, (source.index,), call, in_place=(0,))


def image_rows(tensor: Tensor, turn: bool = True) -> Rows | None:
    """The rows of a feature map [1, height, width, channels]; None for any other shape.

    A map of width 1 is one row where ``turn`` says so, see ``Lowering``.
    """
    if (
        len(tensor.shape) != 4
        or tensor.shape[0] != 1
        or tensor.elements == 0
        or tensor.shape[1] > LARGEST_AXIS
    ):
        return None
    height = 1 if turn and tensor.shape[2] == 1 else tensor.shape[1]
    row_bytes = tensor.bytes // height
    return Rows(height, height, row_bytes, row_bytes)
