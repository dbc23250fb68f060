"""Copies along a few axes: what moving, joining, padding and spreading of tensors come down to."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from firmware_export import layout
from firmware_export.ir import Tensor
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
