"""Computes what a .tflite takes up: storage of its constants, and memory of its activations.

Two figures of activation memory, because they answer two questions. The *largest tensor* is the SEA paper's
(ICASSP 2021, Table 1: the largest single feature map, in float32) and compares models. The *peak* is what a
device needs: the sum of all buffers that are live while one operator runs, largest over the operators in the
order of the file. A buffer is live from the operator that writes it (the model's inputs: from the start) to
the last one that reads it (the model's outputs: to the end). A reshape shares its input's buffer and costs
nothing.

The peak takes the file's order and no overlap between an operator's inputs and outputs. A planner that
reorders, works in place or streams rows stays below it; an interpreter that aligns its tensors and keeps
books of its own goes above. Only the main subgraph is looked at; where it calls others while it runs, the
answer says so.

The shapes in a file may be placeholders of 1, where the input's length or the batch decides them: `sized`
puts in those that a runtime had after an inference. What a model keeps from one inference to the next
(variable tensors, resource variables) is live all the time.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from firmware_export.graph import Graph, Operator, Tensor


class Sized(Protocol):
    """A tensor as a runtime has it after an inference."""

    @property
    def index(self) -> int:
        """Its number in the file."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """As it was, with no size left open."""
        ...


# Operators whose output holds the bytes of their first input, in the same order.
ALIASES = frozenset({"RESHAPE", "SQUEEZE", "EXPAND_DIMS"})
# Operators that run another subgraph each time, whose buffers are not looked at.
CALLS = frozenset({"IF", "WHILE", "CALL", "STABLEHLO_WHILE"})


def sized(graph: Graph, tensors: Iterable[Sized]) -> Graph:
    """The graph with the shapes that its tensors had in an inference, in place of the file's."""
    shapes = {tensor.index: tuple(tensor.shape) for tensor in tensors}
    return replace(
        graph,
        tensors=tuple(
            tensor
            if tensor.constant or tensor.index not in shapes
            else replace(tensor, shape=shapes[tensor.index])
            for tensor in graph.tensors
        ),
    )


def storage(graph: Graph) -> dict:
    """The bytes that a model takes up where it is stored.

    Returns
    -------
    dict
        model_bytes, of the file; weight_bytes, of the constants that its operators read (biases and small
        shape vectors too), those that share their bytes counted once.
    """
    used = {index for op in graph.operators for index in op.inputs if index >= 0}.union(graph.outputs)
    constants = [graph.tensors[index].data for index in used if graph.tensors[index].constant]
    spans = {(data.__array_interface__["data"][0], data.nbytes) for data in constants}
    return {"model_bytes": graph.size, "weight_bytes": sum(size for _, size in spans)}


def activation(graph: Graph) -> dict:
    """The bytes that a model's inputs, intermediates and outputs take up while it runs.

    Returns
    -------
    dict
        largest_tensor, its name; largest_tensor_bytes, in the model's own types;
        largest_tensor_float32_bytes, the paper's definition;
        peak_bytes and peak_float32_bytes, all live buffers; peak_operator, where peak_bytes occurs
        (None for a model without operators). Where there is something to say, state_bytes, what it keeps
        from one inference to the next (part of the peak), and not_counted, a sentence.
    """
    buffers = _buffers(graph)
    nothing = Tensor(0, "", (0,), "int8")
    largest = max((b.tensor for b in buffers), key=lambda tensor: tensor.bytes, default=nothing)
    widest = max((b.tensor for b in buffers), key=lambda tensor: tensor.elements, default=nothing)
    peak, where = _peak(graph, [(b, b.tensor.bytes) for b in buffers])
    resources, unseen = _resources(graph)
    state = sum(tensor.bytes for tensor in graph.tensors if tensor.variable)
    state += sum(tensor.bytes for tensor in resources)
    kept: dict[str, int | str] = {"state_bytes": state} if state else {}
    called = sorted({op.opcode for op in graph.operators if op.opcode in CALLS})
    missing = [f"what is inside {', '.join(called)}"] if called else []
    missing += [f"{unseen} variables whose size only another subgraph says"] if unseen else []
    if missing:
        kept["not_counted"] = f"More is needed than this: {' and '.join(missing)} is not counted."
    return {
        "largest_tensor": largest.name,
        "largest_tensor_bytes": largest.bytes,
        "largest_tensor_float32_bytes": 4 * widest.elements,
        "peak_bytes": peak + sum(tensor.bytes for tensor in resources),
        "peak_float32_bytes": _peak(graph, [(b, 4 * b.tensor.elements) for b in buffers])[0]
        + 4 * sum(tensor.elements for tensor in resources),
        "peak_operator": None if where is None else str(where),
        **kept,
    }


def _resources(graph: Graph) -> tuple[list[Tensor], int]:
    """What the resource variables hold, one tensor each; and how many there are of unknown size."""
    handles = {index for op in graph.operators if op.opcode == "VAR_HANDLE" for index in op.outputs}
    held: dict[int, Tensor] = {}
    for op in graph.operators:
        if op.opcode == "ASSIGN_VARIABLE" and op.inputs[0] in handles:
            held[op.inputs[0]] = graph.tensors[op.inputs[1]]
        elif op.opcode == "READ_VARIABLE" and op.inputs[0] in handles:
            held.setdefault(op.inputs[0], graph.tensors[op.outputs[0]])
    return list(held.values()), len(handles - set(held))


class _Buffer:
    """One tensor's memory, live from step `first` to step `last` (positions in `graph.operators`)."""

    def __init__(self, tensor: Tensor, step: int):
        self.tensor = tensor
        self.first = self.last = step


def _buffers(graph: Graph) -> list[_Buffer]:
    end = max(len(graph.operators) - 1, 0)
    held: dict[int, _Buffer] = {}  # by tensor number; several for one buffer where they are aliases
    for index, tensor in enumerate(graph.tensors):
        if index in graph.inputs or tensor.variable:
            held[index] = _Buffer(tensor, 0)
        if tensor.variable:
            held[index].last = end
    for step, op in enumerate(graph.operators):
        for index in op.inputs:
            if index in held:
                held[index].last = max(held[index].last, step)
        for index in op.outputs:
            source = held.get(op.inputs[0]) if op.opcode in ALIASES and op.inputs else None
            held[index] = source or _Buffer(graph.tensors[index], step)
    for index in graph.outputs:
        if index in held:
            held[index].last = end
    return list(dict.fromkeys(held.values()))


def _peak(graph: Graph, sizes: list[tuple[_Buffer, int]]) -> tuple[int, Operator | None]:
    """The largest sum of live buffers, and the first operator at which it is reached."""
    live = [
        sum(size for b, size in sizes if b.first <= step <= b.last) for step in range(len(graph.operators))
    ]
    if not live:
        return sum(size for _, size in sizes), None
    step = live.index(max(live))
    return live[step], graph.operators[step]
