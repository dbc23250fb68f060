"""Turn the operators of a checked graph into steps: a kernel, its constants, the tensors it works on.

This is where TensorFlow Lite's meaning of an operator becomes integers: input zero points go into biases,
scale ratios become multipliers, functions of one int8 value become tables. What costs nothing at run time
(RESHAPE, SQUEEZE, EXPAND_DIMS) becomes no step at all but a view of the tensor that it renames.

To add an operator, write one function in a module of this folder and decorate it with ``@lowers("NAME")``.
"""

from __future__ import annotations

from firmware_export.graph import Graph
from firmware_export.lowering import dense, functions, moving, pairwise, reductions, windows  # noqa: F401
from firmware_export.lowering.base import LOWERINGS, Lowering
from firmware_export.operators import refuse
from firmware_export.program import IN, OUT, Call, Program

__all__ = ["lower"]


def lower(graph: Graph) -> Program:
    """Turn a folded, checked graph into steps.

    Raises
    ------
    ModelError
        If there is no kernel for an operator, or its numbers leave the range that the kernel works in.
    """
    lowering = Lowering(graph)
    for op in graph.operators:
        if op.opcode not in LOWERINGS:
            raise refuse(op, "the C model has no kernel for it")
        if not windows.joins_reader(graph, op):
            LOWERINGS[op.opcode](lowering, op)
    _separate_outputs(lowering)
    steps = functions.join_tables(lowering, tuple(lowering.steps))
    return Program(graph, steps, lowering.views, lowering.temporaries)


def _separate_outputs(lowering: Lowering) -> None:
    """Give each output memory of its own, where it is only another name of an input or of another output."""
    graph = lowering.graph
    taken = set(graph.inputs)
    for tensor in graph.outputs:
        root = lowering.root(tensor)
        if root in taken:
            del lowering.views[tensor]
            call = Call("memcpy", (OUT, IN(0), graph.tensors[tensor].bytes))
            lowering.add(graph.producer(tensor), (root,), call, output=tensor)
        taken.add(lowering.root(tensor))
