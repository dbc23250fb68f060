"""The geometry of what looks at a window of a feature map: convolutions and poolings."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_export.ir import Operator, Tensor
from firmware_export.lowering import LARGEST_AXIS, Lowering
from firmware_export.program import Rows
from firmware_export.require import refuse
from firmware_export.schema import PADDINGS, Option

PADDING = Option("padding", 0, PADDINGS)
STRIDE = Option("stride", (2, 1))


@dataclass(frozen=True)
class Frame:
    """The geometry that convolutions and poolings share.

    Parameters
    ----------
    rows : Rows
        What happens from row to row; the rest is what happens along a row.
    turned : bool
        Whether rows are columns here. A map of width 1, as networks over time have, is laid out as one of
        height 1; as the latter it is one row, and kernels handle several pixels of a row at a time.
    """

    rows: Rows
    in_width: int
    out_width: int
    kernel_width: int
    stride: int
    dilation: int
    pad_left: int
    turned: bool

    @property
    def whole(self) -> bool:
        """Whether the output has the size of the input."""
        return (self.rows.in_rows, self.in_width) == (self.rows.out_rows, self.out_width)


def frame_of(
    lowering: Lowering,
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
    batch, *in_size, _ = source.shape
    _, *out_size, _ = result.shape
    stride, dilation = op.options["stride"], op.options.get("dilation", (1, 1))
    if max(*source.shape, *result.shape, *kernel, *stride, *dilation) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    axes = [
        _axis(op, *each) for each in zip(in_size, out_size, kernel, stride, dilation, around, strict=True)
    ]
    turned = lowering.turn and in_size[0] > 1 and in_size[1] == out_size[1] == 1
    down, along = axes[::-1] if turned else axes
    rows = Rows(
        down.in_size,
        down.out_size,
        source.bytes // (batch * down.in_size),
        result.bytes // (batch * down.out_size),
        down.kernel,
        down.stride,
        down.dilation,
        down.pad,
        singly=singly and (down.out_size == 1 or down.kernel <= down.stride),
    )
    return Frame(
        rows, along.in_size, along.out_size, along.kernel, along.stride, along.dilation, along.pad, turned
    )


@dataclass(frozen=True)
class _Axis:
    """A window along one axis; `pad` positions of zeros stand before the first."""

    in_size: int
    out_size: int
    kernel: int
    stride: int
    dilation: int
    pad: int


def _axis(
    op: Operator,
    in_size: int,
    out_size: int,
    kernel: int,
    stride: int,
    dilation: int,
    around: tuple[int, int],
) -> _Axis:
    pad = around[0]
    if op.options["padding"] != "VALID":
        extent = (kernel - 1) * dilation + 1
        pad += max((out_size - 1) * stride + extent - in_size - sum(around), 0) // 2
    return _Axis(in_size, out_size, kernel, stride, dilation, pad)
