"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import Lowering
from firmware_export.ops._options import fused_activation
from firmware_export.ops._windows import PADDING, STRIDE, frame_of
from firmware_export.program import Constant
from firmware_export.quantize import activation_range
from firmware_export.schema import Option


def _check(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op)
    y = require.activation_out(graph, op, (x.dtype,))
    size = require.window(op, x, op.options["filter"], (1, 1))
    require.shape(op, y, (x.shape[0], *size, x.shape[3]))
    require.same_quantization(op, x, y)
    require.fused_activation(op, y)


def _max_pool_2d(lowering: Lowering, op: Operator) -> None:
    _pool(lowering, op, "max")


def _average_pool_2d(lowering: Lowering, op: Operator) -> None:
    _pool(lowering, op, "average")


def _pool(lowering: Lowering, op: Operator, kind: str) -> None:
    graph = lowering.graph
    source, result = graph.input(op, 0), graph.output(op)
    frame = frame_of(lowering, op, source, result, op.options["filter"], singly=True)
    sums = 4 * frame.out_width * result.shape[3] if kind == "average" else 0
    quantization = result.quantization
    wide = "16" if source.dtype == "int16" else ""
    low, high = activation_range(
        op.options["activation"], quantization.scale, quantization.zero_point, source.dtype
    )
    constant = Constant(
        f"edgesea_pool{wide}",
        {
            "in_width": frame.in_width,
            "out_width": frame.out_width,
            "channels": source.shape[3],
            "kernel_width": frame.kernel_width,
            "stride": frame.stride,
            "pad_left": frame.pad_left,
            "low": low,
            "high": high,
        },
    )
    batch = source.shape[0]
    lowering.add_rows(
        op, f"edgesea_{kind}_pool{wide}_row", (source.index,), constant, frame.rows, sums=sums, batch=batch
    )


_OPTIONS = (PADDING, STRIDE, Option("filter", (4, 3)), fused_activation(5))

KINDS = (
    Kind("AVERAGE_POOL_2D", union=5, options=_OPTIONS, version=3, check=_check, lower=_average_pool_2d),
    Kind("MAX_POOL_2D", union=5, options=_OPTIONS, version=3, check=_check, lower=_max_pool_2d),
)
