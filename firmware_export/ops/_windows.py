"""The geometry of what looks at a window of a feature map: convolutions and poolings."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_export.ir import Operator, Tensor
from firmware_export.lowering import LARGEST_AXIS
from firmware_export.program import Rows
from firmware_export.require import refuse
from firmware_export.schema import PADDINGS, Option

PADDING = Option("padding", 0, PADDINGS)
STRIDE = Option("stride", (2, 1))


@dataclass(frozen=True)
class Frame:
    """The geometry that convolutions and poolings share."""

    rows: Rows
    in_width: int
    out_width: int
    kernel_width: int
    stride: int
    dilation: int
    pad_left: int


def frame_of(
    op: Operator,
    source: Tensor,
    result: Tensor,
    kernel: tuple[int, ...],
    singly: bool = False,
    around: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
) -> Frame:
    """The geometry of a window of ``kernel`` (height, width) over ``source``.

    around: rows and columns that a PAD puts there first
    """
    batch, in_height, in_width, _ = source.shape
    _, out_height, out_width, _ = result.shape
    stride, dilation = op.options["stride"], op.options.get("dilation", (1, 1))
    if max(*source.shape, *result.shape, *kernel, *stride, *dilation) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    padded_height, padded_width = in_height + sum(around[0]), in_width + sum(around[1])
    pad_top = around[0][0] + _padding(op, padded_height, out_height, extents[0], stride[0])
    pad_left = around[1][0] + _padding(op, padded_width, out_width, extents[1], stride[1])
    rows = Rows(
        in_height,
        out_height,
        source.bytes // (batch * in_height),
        result.bytes // (batch * out_height),
        kernel[0],
        stride[0],
        dilation[0],
        pad_top,
        singly=singly and (out_height == 1 or kernel[0] <= stride[0]),
    )
    return Frame(rows, in_width, out_width, kernel[1], stride[1], dilation[1], pad_left)


def _padding(op: Operator, size: int, out_size: int, extent: int, stride: int) -> int:
    """How many rows (or columns) of zeros stand before the first."""
    if op.options["padding"] == "VALID":
        return 0
    return max((out_size - 1) * stride + extent - size, 0) // 2
