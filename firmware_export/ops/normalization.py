"""L2_NORMALIZATION over the last axis."""

from __future__ import annotations

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import LARGEST_AXIS, Lowering
from firmware_export.ops._options import fused_activation
from firmware_export.program import IN, OUT, Call, Constant
from firmware_export.require import refuse


def _check(graph: Graph, op: Operator) -> None:
    x, y = require.unary(graph, op, ("int8",))
    require.output_quantization(op, y, 1 / 128, 0)
    if not x.shape or len(x.shape) > 4:
        raise refuse(op, f"its input has shape {x.shape} where one to four dimensions are expected")
    if op.options["activation"] != "NONE":
        raise refuse(op, f"its fused activation is {op.options['activation']}")
    width = x.shape[-1]
    if width > LARGEST_AXIS or width * require.reach(x) ** 2 >= 2**31:
        raise refuse(op, f"the squares of {width} values do not add up in 32 bits")


def _lower(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    width = source.shape[-1]
    constant = Constant(
        "edgesea_unit_length_constant",
        {"rows": source.elements // width, "width": width, "zero": source.quantization.zero_point},
    )
    call = Call("edgesea_unit_length", (constant, IN(0), OUT))
    lowering.add(op, (source.index,), call, in_place=(0,))


KINDS = (
    Kind(
        "L2_NORMALIZATION",
        union=12,
        options=(fused_activation(0),),
        version=2,
        check=_check,
        lower=_lower,
    ),
)
