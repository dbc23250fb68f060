"""RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR."""

from __future__ import annotations

import numpy as np

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import LARGEST_AXIS, Lowering
from firmware_export.ops._copies import gather
from firmware_export.program import IN, OUT, Array, Call, Constant
from firmware_export.quantize import round_away
from firmware_export.require import refuse
from firmware_export.schema import Option

# As edgesea_blend of edgesea_kernels.h.
BLEND = np.dtype([("first", np.int32), ("second", np.int32), ("share", np.int32)])


def _check(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    if len(x.shape) != 4:
        raise refuse(op, f"its input has shape {x.shape} where four dimensions are expected")
    size = require.constant(graph, op, 1, "size")
    if size.shape != (2,):
        raise refuse(op, f"its size is given as {size.tolist()}")
    require.shape(op, y, (x.shape[0], *size.tolist(), x.shape[3]))
    if op.options["align_corners"] and op.options["half_pixel_centers"]:
        raise refuse(op, "its align_corners and half_pixel_centers are both set")
    if max(*x.shape, *y.shape) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")


def _nearest(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    rows, columns = (_nearest_positions(op, source.shape[i], result.shape[i]) for i in (1, 2))
    gather(lowering, op, source, [range(source.shape[0]), rows, columns, range(source.shape[3])])


def _nearest_positions(op: Operator, size: int, made: int) -> list[int]:
    """Which index each index of the output takes, in float32: GetNearestNeighbor."""
    aligned = op.options["align_corners"]
    scale = np.float32(size) / np.float32(made)
    if aligned and made > 1:
        scale = np.float32(size - 1) / np.float32(made - 1)
    offset = np.float32(0.5 if op.options["half_pixel_centers"] else 0)
    places = ((np.arange(made, dtype=np.float32) + offset) * scale).tolist()
    return [max(min(round_away(place) if aligned else int(place), size - 1), 0) for place in places]


def _bilinear(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    batch, height, width, channels = source.shape
    _, out_height, out_width, _ = result.shape
    wide = "16" if source.dtype == "int16" else ""
    constant = Constant(
        "edgesea_resize_bilinear_constant",
        {
            "rows": Array("rows", "edgesea_blend", _blends(op, height, out_height, width * channels)),
            "columns": Array("columns", "edgesea_blend", _blends(op, width, out_width, channels)),
            "batch": batch,
            "in_values": height * width * channels,
            "out_height": out_height,
            "out_width": out_width,
            "channels": channels,
        },
    )
    lowering.add(op, (source.index,), Call(f"edgesea_resize_bilinear{wide}", (constant, IN(0), OUT)))


def _blends(op: Operator, size: int, made: int, stride: int) -> np.ndarray:
    """Between which two rows (or columns) each of the output lies: BLEND [shape=(made,)].

    In steps of 1/1024, as reference_ops::ResizeBilinearInteger takes them. The positions are in values, with
    ``stride`` between neighbours.
    """
    scale = (1024 * size + made // 2) // made
    if op.options["align_corners"] and made > 1:
        scale = (1024 * (size - 1) + (made - 1) // 2) // (made - 1)
    blends = np.zeros(made, BLEND)
    for i in range(made):
        place = i * scale + (scale // 2 - 512 if op.options["half_pixel_centers"] else 0)
        first = max(place, 0) // 1024
        second = min(max(place + 1023, 0) // 1024, size - 1)
        blends[i] = (first * stride, second * stride, place - 1024 * first)
    return blends


_OPTIONS_BILINEAR = (
    Option("align_corners", 2, "bool", False),
    Option("half_pixel_centers", 3, "bool", False),
)
_OPTIONS_NEAREST = (
    Option("align_corners", 0, "bool", False),
    Option("half_pixel_centers", 1, "bool", False),
)

KINDS = (
    Kind(
        "RESIZE_BILINEAR",
        union=15,
        options=_OPTIONS_BILINEAR,
        inputs=(2, 2),
        version=4,
        check=_check,
        lower=_bilinear,
    ),
    Kind(
        "RESIZE_NEAREST_NEIGHBOR",
        union=74,
        options=_OPTIONS_NEAREST,
        inputs=(2, 2),
        version=4,
        check=_check,
        lower=_nearest,
    ),
)
