"""Copies along a few axes: what moving, joining, padding and spreading of tensors come down to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from firmware_export import layout
from firmware_export.ir import Operator, Tensor
from firmware_export.lowering import Lowering
from firmware_export.program import IN, OUT, Array, Call, Constant, Slot

# As edgesea_axis of edgesea_kernels.h.
AXIS = np.dtype([("size", np.int32), ("in_stride", np.int32), ("out_stride", np.int32)])


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
    element = tensor.bytes // tensor.elements
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


def gather(lowering: Lowering, op: Operator, source: Tensor, positions: Sequence[Sequence[int]]) -> None:
    """Take values at ``positions``, a list of indexes for each axis, one axis after the other."""
    shape = list(source.shape)
    moved = [i for i, where in enumerate(positions) if list(where) != list(range(shape[i]))]
    # The axis that loses most goes first, so that the rest is small.
    moved.sort(key=lambda i: len(positions[i]) / shape[i])
    if not moved:
        call = copy_call(source, shape, layout.strides(shape), layout.strides(shape))
        lowering.add(op, (source.index,), call)
    for number, axis in enumerate(moved):
        last = number == len(moved) - 1
        element = source.bytes // source.elements
        constant = Constant(
            "edgesea_gather_constant",
            {
                "positions": Array("positions", "uint32_t", np.array(positions[axis], np.uint32)),
                "outer": math.prod(shape[:axis]),
                "size": shape[axis],
                "count": len(positions[axis]),
                "run": math.prod(shape[axis + 1 :]) * element,
            },
        )
        shape[axis] = len(positions[axis])
        result = op.outputs[0] if last else lowering.temporary(tuple(shape), source.dtype).index
        call = Call("edgesea_gather", (constant, IN(0), OUT))
        lowering.add(op, (source.index,), call, output=result)
        source = source if last else lowering.temporaries[result]
