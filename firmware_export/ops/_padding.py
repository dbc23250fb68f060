"""A PAD of zeros around a feature map, which the convolution that reads it does itself."""

from __future__ import annotations

from firmware_export.ir import Graph, Operator


def joins_reader(graph: Graph, op: Operator) -> bool:
    """Whether ``op`` is a PAD of zeros around feature maps that the convolution reading it can do itself."""
    if (
        op.opcode not in ("PAD", "PADV2")
        or len(graph.output(op).shape) != 4
        or graph.output(op).dtype != "int8"
    ):
        return False
    readers = graph.consumers(op.outputs[0])
    paddings = graph.input(op, 1).data
    return (
        len(readers) == 1
        and readers[0].opcode in ("CONV_2D", "DEPTHWISE_CONV_2D")
        and not _is_grouped(graph, readers[0])
        and op.outputs[0] not in graph.outputs
        and not paddings[[0, 3]].any()
        and filler_of(graph, op) == graph.output(op).quantization.zero_point
    )


def _is_grouped(graph: Graph, op: Operator) -> bool:
    weights = graph.input(op, 1)
    return op.opcode == "CONV_2D" and weights.shape[-1:] != graph.input(op, 0).shape[-1:]


def filler_of(graph: Graph, op: Operator) -> int:
    """The integer that a PAD or PADV2 puts around its input."""
    if op.opcode == "PADV2":
        return int(graph.input(op, 2).data.reshape(-1)[0])
    return graph.output(op).quantization.zero_point
