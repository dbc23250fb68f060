"""CONCATENATION and PACK, SPLIT, SPLIT_V and UNPACK: joining tensors along an axis and taking them apart."""

from __future__ import annotations

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator, Tensor
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
    # Converters take float apart too, before they quantise the parts.
    x, _ = require.moved(graph, op, 1, ("int8", "int16", "float32"))
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


def _check_split_v(graph: Graph, op: Operator) -> None:
    x, _ = require.moved(graph, op)
    axis = require.axis(graph, op, 2, len(x.shape))
    sizes = _sizes(graph, op, x.shape[axis])
    if op.options["splits"] != len(op.outputs) or len(sizes) != len(op.outputs):
        raise refuse(op, f"it cuts axis {axis} into {len(sizes)}, with {len(op.outputs)} outputs")
    if min(sizes) < 1 or sum(sizes) != x.shape[axis]:
        raise refuse(op, f"it cuts axis {axis} of {x.shape} into pieces of {sizes}")
    for position, size in enumerate(sizes):
        y = require.activation_out(graph, op, (x.dtype,), position)
        require.same_quantization(op, x, y)
        require.shape(op, y, [size if i == axis else n for i, n in enumerate(x.shape)])


def _sizes(graph: Graph, op: Operator, whole: int) -> list[int]:
    """The pieces that a SPLIT_V makes of an axis; one may be given as -1, the rest."""
    sizes = require.constant(graph, op, 1, "sizes", ("int32", "int64")).reshape(-1).tolist()
    rest = whole - sum(size for size in sizes if size != -1)
    return [rest if size == -1 and sizes.count(-1) == 1 else size for size in sizes]


def _check_pack(graph: Graph, op: Operator) -> None:
    first = require.activation_in(graph, op)
    y = require.activation_out(graph, op, (first.dtype,))
    (axis,) = require.normal_axes(op, [op.options["axis"]], len(first.shape) + 1)
    if op.options["values_count"] != len(op.inputs):
        raise refuse(op, f"it joins {op.options['values_count']} tensors, with {len(op.inputs)} inputs")
    for position in range(len(op.inputs)):
        x = require.activation_in(graph, op, position, (first.dtype,))
        if x.shape != first.shape:
            raise refuse(op, f"its inputs have shapes {first.shape} and {x.shape}")
        require.same_quantization(op, x, y)
    require.shape(op, y, (*first.shape[:axis], len(op.inputs), *first.shape[axis:]))


def _check_unpack(graph: Graph, op: Operator) -> None:
    x, _ = require.moved(graph, op)
    (axis,) = require.normal_axes(op, [op.options["axis"]], len(x.shape))
    if op.options["count"] != len(op.outputs) or x.shape[axis] != len(op.outputs):
        raise refuse(
            op,
            f"it takes axis {axis} of {x.shape} apart into {op.options['count']}, with {len(op.outputs)} "
            "outputs",
        )
    for position in range(len(op.outputs)):
        y = require.activation_out(graph, op, (x.dtype,), position)
        require.same_quantization(op, x, y)
        require.shape(op, y, [n for i, n in enumerate(x.shape) if i != axis])


def _concatenation(lowering: Lowering, op: Operator) -> None:
    axis = op.options["axis"] % len(lowering.graph.output(op).shape)
    _join(lowering, op, axis, [lowering.graph.tensors[index].shape for index in op.inputs])


def _pack(lowering: Lowering, op: Operator) -> None:
    shape = lowering.graph.output(op).shape
    axis = op.options["axis"] % len(shape)
    _join(lowering, op, axis, [(*shape[:axis], 1, *shape[axis + 1 :])] * len(op.inputs))


def _join(lowering: Lowering, op: Operator, axis: int, shapes: list[tuple[int, ...]]) -> None:
    """Copy the inputs, taken to be of ``shapes``, side by side along ``axis`` of the output."""
    graph = lowering.graph
    strides = layout.strides(graph.output(op).shape)
    inputs: list[int] = []
    calls: list[Call] = []
    first = 0
    for index, shape in zip(op.inputs, shapes, strict=True):
        tensor = graph.tensors[index]
        source: Slot | Array
        if tensor.constant:
            source = Array(f"part{len(calls)}", CTYPES[tensor.dtype], tensor.data)
        else:
            source = IN(len(inputs))
            inputs.append(index)
        calls.append(copy_call(tensor, shape, layout.strides(shape), strides, out_first=first, source=source))
        first += shape[axis] * strides[axis]
    lowering.add(op, inputs, *calls)


def _split(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 1)
    axis = int(lowering.graph.input(op, 0).data.reshape(-1)[0]) % len(source.shape)
    _part(lowering, op, source, axis, [source.shape[axis] // len(op.outputs)] * len(op.outputs))


def _split_v(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    axis = int(lowering.graph.input(op, 2).data.reshape(-1)[0]) % len(source.shape)
    _part(lowering, op, source, axis, _sizes(lowering.graph, op, source.shape[axis]))


def _unpack(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    _part(lowering, op, source, op.options["axis"] % len(source.shape), [1] * len(op.outputs))


def _part(lowering: Lowering, op: Operator, source: Tensor, axis: int, sizes: list[int]) -> None:
    """Copy pieces of ``sizes`` along ``axis`` into the outputs, one after the other."""
    strides = layout.strides(source.shape)
    first = 0
    for index, size in zip(op.outputs, sizes, strict=True):
        shape = [size if i == axis else n for i, n in enumerate(source.shape)]
        call = copy_call(source, shape, strides, layout.strides(shape), in_first=first)
        lowering.add(op, (source.index,), call, output=index)
        first += size * strides[axis]


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
        version=5,
        check=_check_pack,
        lower=_pack,
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
    Kind(
        "SPLIT_V",
        union=79,
        options=(Option("splits", 0),),
        inputs=(3, 3),
        outputs=(1, MANY),
        version=3,
        check=_check_split_v,
        lower=_split_v,
    ),
    Kind(
        "UNPACK",
        union=64,
        options=(Option("count", 0), Option("axis", 1)),
        outputs=(1, MANY),
        version=6,
        check=_check_unpack,
        lower=_unpack,
    ),
)
