"""STRIDED_SLICE, SLICE, and GATHER at places that are constants."""

from __future__ import annotations

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import LARGEST_AXIS, Lowering
from firmware_export.ops._constants import of_integers
from firmware_export.ops._copies import copy_call, gather
from firmware_export.require import refuse
from firmware_export.schema import Option


def _check_strided_slice(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    bounds = [require.constant(graph, op, i, role) for i, role in ((1, "begin"), (2, "end"), (3, "strides"))]
    if any(value.shape != (len(x.shape),) for value in bounds):
        raise refuse(op, f"its bounds have shapes {[v.shape for v in bounds]} for {len(x.shape)} dimensions")
    for name in ("ellipsis_mask", "new_axis_mask", "offset"):
        if op.options[name]:
            raise refuse(op, f"its {name} is {op.options[name]}")
    if op.options["shrink_axis_mask"] & op.options["begin_mask"]:
        raise refuse(op, "its begin_mask and shrink_axis_mask name the same axis")
    try:
        begin, end, strides = bounds
        ranges = _ranges(x.shape, begin, end, strides, op.options)
    except ValueError as error:
        raise refuse(op, str(error)) from None
    require.shape(
        op, y, [len(r) for i, r in enumerate(ranges) if not op.options["shrink_axis_mask"] >> i & 1]
    )


def _ranges(shape, begin, end, strides, options) -> list[range]:
    """Which indexes a STRIDED_SLICE takes along each axis, in order.

    Parameters
    ----------
    shape : tuple of int > 0
        Of the input.
    begin, end, strides : np.ndarray [shape=(len(shape),), int32]
    options : Mapping
        The operator's; ``ellipsis_mask``, ``new_axis_mask`` and ``offset`` are taken to be 0.

    Raises
    ------
    ValueError
        If a stride is 0 or immense, or an axis to be removed is cut at an index that it does not have.
    """
    ranges = []
    for axis, size in enumerate(shape):
        first, last, stride = int(begin[axis]), int(end[axis]), int(strides[axis])
        if not 0 < abs(stride) <= require.LARGEST_BYTES:
            raise ValueError(f"its stride along axis {axis} is {stride}")
        if options["shrink_axis_mask"] >> axis & 1:
            if not -size <= first < size or stride < 0:
                raise ValueError(
                    f"it takes index {first} of axis {axis}, which has {size}, by stride {stride}"
                )
            ranges.append(range(first % size, first % size + 1))
            continue
        low, high = (0, size) if stride > 0 else (-1, size - 1)
        first = min(max(first + size if first < 0 else first, low), high)
        last = min(max(last + size if last < 0 else last, low), high)
        if options["begin_mask"] >> axis & 1:
            first = 0 if stride > 0 else size - 1
        if options["end_mask"] >> axis & 1:
            last = size if stride > 0 else -1
        ranges.append(range(first, last, stride))
    return ranges


def _strided_slice(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    source = graph.input(op, 0)
    begin, end, strides = (graph.input(op, i).data for i in (1, 2, 3))
    ranges = _ranges(source.shape, begin, end, strides, op.options)
    sizes = [len(r) for r in ranges]
    apart = layout.strides(source.shape)
    first = sum(r.start * stride for r, stride in zip(ranges, apart, strict=True))
    steps = [r.step * stride for r, stride in zip(ranges, apart, strict=True)]
    lowering.add(op, (source.index,), copy_call(source, sizes, steps, layout.strides(sizes), in_first=first))


def _check_slice(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    begin, size = (
        require.constant(graph, op, i, role, ("int32", "int64")) for i, role in ((1, "begin"), (2, "size"))
    )
    if any(value.shape != (len(x.shape),) for value in (begin, size)):
        shapes = f"{begin.shape} and {size.shape}"
        raise refuse(op, f"its bounds have shapes {shapes} for {len(x.shape)} dimensions")
    for axis, (n, first, count) in enumerate(zip(x.shape, begin.tolist(), size.tolist(), strict=True)):
        if not (0 <= first < n and (count == -1 or 1 <= count <= n - first)):
            raise refuse(op, f"it takes {count} values from index {first} of axis {axis}, which has {n}")
    require.shape(op, y, _sliced_shape(x.shape, begin, size))


def _sliced_shape(shape, begin, size) -> list[int]:
    """What a SLICE leaves: -1 stands for all from ``begin`` on."""
    return [n - int(b) if s == -1 else int(s) for n, b, s in zip(shape, begin, size, strict=True)]


def _slice(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    strides = layout.strides(source.shape)
    begin = lowering.graph.input(op, 1).data.tolist()
    first = sum(b * stride for b, stride in zip(begin, strides, strict=True))
    call = copy_call(source, result.shape, strides, layout.strides(result.shape), in_first=first)
    lowering.add(op, (source.index,), call)


def _check_gather(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    positions = require.constant(graph, op, 1, "positions", ("int16", "int32", "int64"))
    (axis,) = require.normal_axes(op, [op.options["axis"]], len(x.shape))
    if op.options["batch_dims"]:
        raise refuse(op, f"its batch_dims are {op.options['batch_dims']}")
    if positions.min() < 0 or positions.max() >= x.shape[axis]:
        reached = f"{positions.min()} to {positions.max()}"
        raise refuse(op, f"its positions reach from {reached} of an axis of {x.shape[axis]}")
    if positions.size > LARGEST_AXIS:
        raise refuse(op, f"it takes {positions.size} positions, more than {LARGEST_AXIS}")
    require.shape(op, y, (*x.shape[:axis], *positions.shape, *x.shape[axis + 1 :]))


def _gather(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    positions: list = [range(n) for n in source.shape]
    axis = op.options["axis"] % len(source.shape)
    positions[axis] = lowering.graph.input(op, 1).data.reshape(-1).tolist()
    gather(lowering, op, source, positions)


@of_integers
def _strided_sliced(values, shape, options):
    x, begin, end, strides = values
    if any(v.shape != (x.ndim,) for v in (begin, end, strides)):
        return None
    if options["ellipsis_mask"] or options["new_axis_mask"] or options["offset"]:
        return None
    try:
        ranges = _ranges(x.shape, begin, end, strides, options)
    except ValueError:
        return None
    for axis, taken in enumerate(ranges):
        x = np.take(x, np.arange(taken.start, taken.stop, taken.step), axis)
    return np.squeeze(x, tuple(i for i in range(x.ndim) if options["shrink_axis_mask"] >> i & 1))


@of_integers
def _sliced(values, shape, options):
    x, begin, size = values
    if any(v.shape != (x.ndim,) for v in (begin, size)):
        return None
    if not all(0 <= b <= n and -1 <= s <= n - b for b, s, n in zip(begin, size, x.shape, strict=True)):
        return None
    return x[tuple(slice(b, None if s == -1 else b + s) for b, s in zip(begin, size, strict=True))]


@of_integers
def _gathered(values, shape, options):
    x, indexes = values
    if x.ndim != 1 or options["batch_dims"] or not x.size:
        return None
    return x[indexes] if ((indexes >= 0) & (indexes < x.size)).all() else None


KINDS = (
    Kind(
        "GATHER",
        union=23,
        options=(Option("axis", 0), Option("batch_dims", 1)),
        inputs=(2, 2),
        version=8,
        check=_check_gather,
        lower=_gather,
        evaluate=_gathered,
    ),
    Kind(
        "SLICE",
        union=48,
        inputs=(3, 3),
        version=8,
        check=_check_slice,
        lower=_slice,
        evaluate=_sliced,
    ),
    Kind(
        "STRIDED_SLICE",
        union=32,
        options=(
            Option("begin_mask", 0),
            Option("end_mask", 1),
            Option("ellipsis_mask", 2),
            Option("new_axis_mask", 3),
            Option("shrink_axis_mask", 4),
            Option("offset", 5, "bool", False),
        ),
        inputs=(4, 4),
        version=4,
        check=_check_strided_slice,
        lower=_strided_slice,
        evaluate=_strided_sliced,
    ),
)
