"""CONCATENATION and SPLIT; PACK of shapes; UNPACK is read only."""

from __future__ import annotations

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import CTYPES, Lowering
from firmware_export.ops._constants import of_integers
from firmware_export.ops._copies import copy_call
from firmware_export.ops._options import MANY, fused_activation
from firmware_export.program import IN, Array, Call, Slot
from firmware_export.require import refuse
from firmware_export.schema import Option


def _check_concatenation(graph: Graph, op: Operator) -> None:
    first = require.activation_in(graph, op)
    y = require.activation_out(graph, op, (first.dtype,))
    rank = len(first.shape)
    (axis,) = require.normal_axes(op, [op.options["axis"]], rank)
    if op.options["activation"] != "NONE":
        raise refuse(op, f"its fused activation is {op.options['activation']}")
    total = 0
    for position in range(len(op.inputs)):
        x = require.activation_in(graph, op, position, (first.dtype,))
        if len(x.shape) != rank or any(i != axis and n != first.shape[i] for i, n in enumerate(x.shape)):
            raise refuse(op, f"its inputs have shapes {first.shape} and {x.shape}, joined along axis {axis}")
        require.same_quantization(op, x, y, exact=True)
        total += x.shape[axis]
    require.shape(op, y, [total if i == axis else n for i, n in enumerate(first.shape)])


def _check_split(graph: Graph, op: Operator) -> None:
    x, _ = require.moved(graph, op, 1)
    axis, count = require.axis(graph, op, 0, len(x.shape)), len(op.outputs)
    if op.options["splits"] != count or x.shape[axis] % count:
        raise refuse(
            op, f"it cuts axis {axis} of {x.shape} into {op.options['splits']}, with {count} outputs"
        )
    shape = [n // count if i == axis else n for i, n in enumerate(x.shape)]
    for position in range(count):
        y = require.activation_out(graph, op, (x.dtype,), position)
        require.same_quantization(op, x, y)
        require.shape(op, y, shape)


def _concatenation(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    result = graph.output(op)
    axis = op.options["axis"] % len(result.shape)
    strides = layout.strides(result.shape)
    inputs: list[int] = []
    calls: list[Call] = []
    first = 0
    for index in op.inputs:
        tensor = graph.tensors[index]
        source: Slot | Array
        if tensor.constant:
            source = Array(f"part{len(calls)}", CTYPES[tensor.dtype], tensor.data)
        else:
            source = IN(len(inputs))
            inputs.append(index)
        calls.append(
            copy_call(
                tensor, tensor.shape, layout.strides(tensor.shape), strides, out_first=first, source=source
            )
        )
        first += tensor.shape[axis] * strides[axis]
    lowering.add(op, inputs, *calls)


def _split(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    source = graph.input(op, 1)
    axis = int(graph.input(op, 0).data.reshape(-1)[0]) % len(source.shape)
    strides = layout.strides(source.shape)
    for position, index in enumerate(op.outputs):
        shape = graph.tensors[index].shape
        first = position * shape[axis] * strides[axis]
        call = copy_call(source, shape, strides, layout.strides(shape), in_first=first)
        lowering.add(op, (source.index,), call, output=index)


@of_integers
def _concatenated(values, shape, options):
    axis = options["axis"]
    rank = values[0].ndim
    if not -rank <= axis < rank or any(v.ndim != rank for v in values):
        return None
    sizes = [v.shape[: axis % rank] + v.shape[axis % rank + 1 :] for v in values]
    return np.concatenate(values, axis) if all(size == sizes[0] for size in sizes) else None


@of_integers
def _packed(values, shape, options):
    rank = values[0].ndim + 1
    axis = options["axis"]
    if any(v.shape != values[0].shape for v in values) or not -rank <= axis < rank:
        return None
    return np.stack(values, axis)


KINDS = (
    Kind(
        "CONCATENATION",
        union=10,
        options=(Option("axis", 0), fused_activation(1)),
        inputs=(1, MANY),
        version=7,
        check=_check_concatenation,
        lower=_concatenation,
        evaluate=_concatenated,
    ),
    Kind(
        "PACK",
        union=59,
        options=(Option("values_count", 0), Option("axis", 1)),
        inputs=(1, MANY),
        evaluate=_packed,
    ),
    Kind(
        "SPLIT",
        union=35,
        options=(Option("splits", 0),),
        inputs=(2, 2),
        outputs=(1, MANY),
        version=5,
        check=_check_split,
        lower=_split,
    ),
    Kind("UNPACK", union=64, options=(Option("count", 0), Option("axis", 1)), outputs=(1, MANY)),
)
