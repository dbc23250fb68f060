"""PRELU: a slope of its own for each channel, below zero."""

from __future__ import annotations

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import Lowering
from firmware_export.ops._pairwise import check_operands, pairwise
from firmware_export.quantize import LIMITS, clamp, float32_ratio, quantize_multiplier, scale_twice
from firmware_export.require import refuse


def _check(graph: Graph, op: Operator) -> None:
    # Of int16 the reference kernels read the bytes.
    x, alpha, y = check_operands(graph, op, ("int8",))
    if x.constant or x.shape != y.shape:
        raise refuse(op, f"its input has shape {x.shape}, its slopes {alpha.shape}")
    require.multiplier(op, require.ratio(x, y), require.reach(x))
    slope = require.ratio(x, y) * alpha.quantization.scale
    require.multiplier(op, slope, require.reach(x) * require.reach(alpha), what="ratio of scales below zero")


def _lower(lowering: Lowering, op: Operator) -> None:
    x, alpha = (lowering.graph.input(op, i).quantization for i in (0, 1))
    y = lowering.graph.output(op)
    zero = y.quantization.zero_point
    low, high = LIMITS[y.dtype]
    above = quantize_multiplier(float32_ratio(x.scale, y.quantization.scale))
    below = quantize_multiplier(float32_ratio(x.scale, alpha.scale, y.quantization.scale))

    def sloped(value: int, slope: int) -> int:
        real = value - x.zero_point
        pair = above if real >= 0 else below
        product = real if real >= 0 else real * (slope - alpha.zero_point)
        return clamp(scale_twice(product, *pair) + zero, low, high)

    sides = [
        {"zero": q.zero_point, "multiplier": multiplier, "shift": shift, "sign": 1}
        for q, (multiplier, shift) in ((x, above), (alpha, below))
    ]
    out = {"out_multiplier": 0, "out_shift": 0, "out_zero": zero, "low": low, "high": high}
    pairwise(lowering, op, "edgesea_prelu", sloped, sides, out, by_rows=False)


KINDS = (Kind("PRELU", inputs=(2, 2), check=_check, lower=_lower),)
