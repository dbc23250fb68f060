"""What becomes of a graph on its way to a program, one pass after the other.

    graph = simplify(read("student_int8.tflite"))
    check(graph)
    program = lower(graph)

``simplify`` removes what depends on no input and what no output needs; ``check`` refuses, by name, index and
reason, what the C model cannot compile; ``lower`` turns operators into steps of kernels. What each operator
means is in ``ops/``; here is what concerns the graph as a whole.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware_export.errors import ModelError
from firmware_export.instead import instead
from firmware_export.ir import Graph, Operator, Tensor
from firmware_export.lowering import Lowering
from firmware_export.program import IN, OUT, Call, Program, Step
from firmware_export.require import activation_fault, refuse, tensor_fault

# More flash than any microcontroller maps; counted once for each operator that reads it.
LARGEST_CONSTANTS = 2**25

# Of the operators that are missing; hostile files have thousands.
MOST_NAMED = 24


def simplify(graph: Graph) -> Graph:
    """Replace what depends on no input by its value, and drop the operators that no output needs.

    Those without an output (CALL_ONCE, ASSIGN_VARIABLE) are there for what they do, and stay.

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
        value = _value(op, tensors)
        if value is None:
            kept.append(op)
        else:
            (output,) = op.outputs
            tensors[output] = replace(tensors[output], data=value)
    needed = set(graph.outputs)
    alive = []
    for op in reversed(kept):
        if needed.intersection(op.outputs) or not op.outputs:
            alive.append(op)
            needed.update(op.inputs)
    return replace(graph, tensors=tuple(tensors), operators=tuple(reversed(alive)))


def _value(op: Operator, tensors: list[Tensor]) -> np.ndarray | None:
    """What ``op`` computes of constants, read-only; None where it is none of those that are computed here."""
    if op.kind is None or op.kind.evaluate is None or len(op.outputs) != 1 or -1 in op.inputs:
        return None
    declared = tensors[op.outputs[0]]
    value = op.kind.evaluate(op, [tensors[i] for i in op.inputs], declared)
    if value is None:
        return None
    if value.shape != declared.shape or value.dtype.name != declared.dtype:
        raise ModelError(
            f"Operator {op.index} ({op.opcode}) makes {value.dtype.name} {value.shape} of its constants "
            f"where the file declares {declared.dtype} {declared.shape} for tensor {declared.index}."
        )
    value = np.ascontiguousarray(value).reshape(value.shape)
    value.flags.writeable = False
    return value


def check(graph: Graph) -> None:
    """Refuse what the C model cannot compile.

    Parameters
    ----------
    graph : Graph
        After ``simplify``.

    Raises
    ------
    ModelError
        Naming the first operator or tensor that stands in the way, and why.
    """
    _check_kinds(graph)
    _check_ends(graph)
    ready, room = set(graph.inputs), LARGEST_CONSTANTS
    for op in graph.operators:
        if op.version > op.kind.version:
            raise refuse(op, f"its version {op.version} is newer than {op.kind.version}, the newest known")
        states = {op.inputs[i] for i in op.kind.states if i < len(op.inputs)}
        for index in (*op.inputs, *op.outputs):
            if index >= 0 and index not in states:
                fault = tensor_fault(graph.tensors[index])
                if fault:
                    raise refuse(op, f"tensor {index} {fault}")
        for index in op.inputs:
            if index >= 0 and index not in ready | states and not graph.tensors[index].constant:
                raise refuse(op, f"nothing writes tensor {index}")
        ready.update(op.outputs)
        constants = sum(graph.tensors[i].bytes for i in op.inputs if i >= 0 and graph.tensors[i].constant)
        room -= constants
        if room < 0:
            raise refuse(op, f"with it the model reads more than {LARGEST_CONSTANTS} bytes of constants")
        if all(index < 0 or graph.tensors[index].constant for index in op.inputs):
            raise refuse(op, "it computes from constants alone")
        op.kind.check(graph, op)


def _check_kinds(graph: Graph) -> None:
    """Refuse operators that the C model does not have, all in one sentence."""
    missing: dict[str, list[Operator]] = {}
    for op in graph.operators:
        if op.kind is None or op.kind.check is None:
            missing.setdefault(op.opcode, []).append(op)
    if not missing:
        return
    parts = []
    for name, found in list(missing.items())[:MOST_NAMED]:
        count = f"operator {found[0].index}"
        if len(found) > 1:
            count = f"{len(found)} of them, the first {count}"
        advice = instead(name, found[0].custom)
        parts.append(f"{'custom ' * found[0].custom}{name} ({count}{'; ' * bool(advice)}{advice})")
    more = len(missing) - len(parts)
    rest = f", and {more} more are missing" if more else ""
    raise ModelError(f"The model cannot be compiled: the C model has no {', no '.join(parts)}{rest}.")


def _check_ends(graph: Graph) -> None:
    """Refuse a graph whose inputs and outputs are not each a value of its own."""
    kinds = ("int8", "int16", "uint8", "float32")
    for role, indexes, possible in (
        ("input", graph.inputs, kinds),
        ("output", graph.outputs, (*kinds, "int32", "int64")),
    ):
        if not indexes:
            raise ModelError(f"The model cannot be compiled: it has no {role}.")
        if len(set(indexes)) != len(indexes):
            raise ModelError(f"The model cannot be compiled: it names one {role} twice.")
        for index in indexes:
            tensor = graph.tensors[index]
            fault = tensor_fault(tensor) or (
                "is a constant" if tensor.constant else activation_fault(tensor, possible)
            )
            if fault:
                raise ModelError(f"The model cannot be compiled: its {role}, tensor {index}, {fault}.")
    for index in graph.outputs:
        if graph.producer(index) is None:
            raise ModelError(f"The model cannot be compiled: no operator writes its output, tensor {index}.")


def lower(graph: Graph, turn: bool = True) -> Program:
    """Turn a simplified, checked graph into steps: a kernel, its constants, the tensors it works on.

    Parameters
    ----------
    graph : Graph
    turn : bool
        Whether maps of width 1 are handled as one row, see ``Lowering``.

    Raises
    ------
    ModelError
        If the numbers of an operator leave the range that its kernel works in.
    """
    lowering = Lowering(graph, turn)
    for op in graph.operators:
        if op.kind.is_absorbed is None or not op.kind.is_absorbed(graph, op):
            op.kind.lower(lowering, op)
    _separate_outputs(lowering)
    steps = _join_tables(lowering, tuple(lowering.steps))
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


def _join_tables(lowering: Lowering, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Apply a table where the rows are made, if nobody else wants them as they were; join tables."""
    readers: dict[int, int] = {}
    for step in steps:
        for tensor in step.inputs:
            readers[tensor] = readers.get(tensor, 0) + 1
    for tensor in lowering.graph.outputs:
        root = lowering.root(tensor)
        readers[root] = readers.get(root, 0) + 1
    done: list[Step] = []
    maker: dict[int, int] = {}
    for step in steps:
        number = maker.get(step.inputs[0]) if step.function == "edgesea_lookup_row" else None
        if number is None or readers[step.inputs[0]] > 1 or done[number].rows is None:
            number = len(done)
            done.append(step)
        else:
            done[number] = _joined(done[number], step)
        maker[step.output] = number
    return tuple(done)


def _joined(earlier: Step, lookup: Step) -> Step:
    """One step that does both; `lookup` is an edgesea_lookup_row."""
    table = lookup.constant.fields["table"]
    operators = earlier.operators + lookup.operators
    if earlier.function == "edgesea_lookup_row":
        fields = dict(earlier.constant.fields)
        fields["table"] = replace(table, values=_composed(fields["table"].values, table.values))
        return replace(
            earlier,
            operators=operators,
            output=lookup.output,
            constant=replace(earlier.constant, fields=fields),
        )
    if earlier.table is not None:
        table = replace(table, values=_composed(earlier.table.values, table.values))
    return replace(earlier, operators=operators, output=lookup.output, table=table)


def _composed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return second[first.astype(np.int64) + 128]
