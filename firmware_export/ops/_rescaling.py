"""From one scale to another where 256 results do not do: int16 on either side."""

from __future__ import annotations

from firmware_export.ir import Operator
from firmware_export.lowering import Lowering
from firmware_export.program import IN, OUT, Call, Constant


def rescale(
    lowering: Lowering,
    op: Operator,
    positive: tuple[int, int],
    negative: tuple[int, int],
    low: int,
    high: int,
) -> None:
    """Multiply by one ratio from zero upwards and by another below, each as (multiplier, shift)."""
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    constant = Constant(
        "edgesea_rescale_constant",
        {
            "count": source.elements,
            "multiplier": (positive[0], negative[0]),
            "shift": (positive[1], negative[1]),
            "in_zero": source.quantization.zero_point,
            "out_zero": result.quantization.zero_point,
            "low": low,
            "high": high,
            "in_wide": int(source.dtype == "int16"),
            "out_wide": int(result.dtype == "int16"),
        },
    )
    in_place = (0,) if source.dtype == result.dtype else ()
    lowering.add(op, (source.index,), Call("edgesea_rescale", (constant, IN(0), OUT)), in_place=in_place)
