"""Functions of one value that TensorFlow Lite, too, takes from a table that it computes in float32."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from firmware_export.ir import Operator
from firmware_export.lowering import Lowering
from firmware_export.program import IN, OUT, Array, Call, Constant
from firmware_export.quantize import clamp, interpolation_table, round_away


def float_table(lowering: Lowering, op: Operator, function: Callable[[float], float]) -> None:
    """``function`` as a table: of 256 values for int8, of 513 between which lines are drawn for int16.

    Parameters
    ----------
    function : callable(float) -> float
        Takes a float32 as a Python float; what it returns is rounded to float32. LUTPopulate of TensorFlow
        Lite, kernels/internal/common.h.
    """
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    if source.dtype == "int16":
        table = interpolation_table(function, q.scale, q_out.scale, real=np.float32)
        constant = Constant(
            "edgesea_interpolate16_constant",
            {"table": Array("table", "int16_t", table), "count": source.elements},
        )
        call = Call("edgesea_interpolate16", (constant, IN(0), OUT))
        lowering.add(op, (source.index,), call, in_place=(0,))
        return
    inverse = np.float32(1) / np.float32(q_out.scale)

    def entry(value: int) -> int:
        real = np.float32(q.scale) * np.float32(value - q.zero_point)
        rescaled = float(np.float32(function(float(real))) * inverse)
        # Far outside, so that infinities become the ends.
        return clamp(round_away(min(max(rescaled, -1e6), 1e6)) + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)
