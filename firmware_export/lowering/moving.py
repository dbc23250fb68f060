"""Operators that move values as they are: views where nothing moves, otherwise copies along a few axes."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from firmware_export import layout
from firmware_export.graph import Operator, Tensor
from firmware_export.lowering.base import AXIS, CTYPES, Lowering, lowers
from firmware_export.lowering.windows import filler_of
from firmware_export.operators import slice_ranges
from firmware_export.program import IN, OUT, Array, Call, Constant, Slot


@lowers("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(lowering: Lowering, op: Operator) -> None:
    lowering.view(op)


def _element_bytes(tensor: Tensor) -> int:
    return tensor.bytes // tensor.elements


def copy_call(
    tensor: Tensor,
    sizes: Iterable[int],
    in_strides: Iterable[int],
    out_strides: Iterable[int],
    in_first: int = 0,
    out_first: int = 0,
    source: Slot | Array | None = None,
) -> Call:
    """Copy elements of the type of ``tensor``: strides and first elements are counted in elements."""
    element = _element_bytes(tensor)
    axes = layout.merge_axes(sizes, in_strides, out_strides)
    run = element
    if axes and axes[-1][1:] == (1, 1):
        run *= axes.pop()[0]
    records = np.array([(n, i * element, o * element) for n, i, o in axes] or [(1, 0, 0)], AXIS)
    constant = Constant(
        "edgesea_copy_constant",
        {
            "axes": Array("axes", "edgesea_axis", records),
            "run": run,
            "in_first": in_first * element,
            "out_first": out_first * element,
            "rank": len(records),
        },
    )
    return Call("edgesea_copy", (constant, IN(0) if source is None else source, OUT))


@lowers("TRANSPOSE")
def _transpose(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    order = lowering.graph.input(op, 1).data.reshape(-1).tolist()
    strides = layout.strides(source.shape)
    call = copy_call(source, result.shape, [strides[axis] for axis in order], layout.strides(result.shape))
    lowering.add(op, (source.index,), call)


@lowers("STRIDED_SLICE")
def _strided_slice(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    source = graph.input(op, 0)
    ranges = slice_ranges(source.shape, *(graph.input(op, i).data for i in (1, 2, 3)), op.options)
    sizes = [len(r) for r in ranges]
    strides = layout.strides(source.shape)
    first = sum(r.start * stride for r, stride in zip(ranges, strides, strict=True))
    steps = [r.step * stride for r, stride in zip(ranges, strides, strict=True)]
    lowering.add(op, (source.index,), copy_call(source, sizes, steps, layout.strides(sizes), in_first=first))


@lowers("SPLIT")
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


@lowers("CONCATENATION")
def _concatenation(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    result = graph.output(op)
    axis = op.options["axis"] % len(result.shape)
    strides = layout.strides(result.shape)
    inputs: list[int] = []
    calls = []
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


@lowers("PAD", "PADV2")
def _pad(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    source, result = graph.input(op, 0), graph.output(op)
    filler = np.array([filler_of(graph, op)], result.dtype)
    strides = layout.strides(result.shape)
    fill = copy_call(
        result,
        result.shape,
        [0] * len(strides),
        strides,
        source=Array("filler", CTYPES[result.dtype], filler),
    )
    before = [int(pair[0]) for pair in graph.input(op, 1).data]
    first = sum(n * stride for n, stride in zip(before, strides, strict=True))
    copy = copy_call(source, source.shape, layout.strides(source.shape), strides, out_first=first)
    lowering.add(op, (source.index,), fill, copy)
