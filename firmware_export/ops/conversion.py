"""QUANTIZE and DEQUANTIZE: between float and integers, and between two scales."""

from __future__ import annotations

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import Lowering
from firmware_export.ops._islands import island, joins_table, table_of
from firmware_export.ops._rescaling import rescale
from firmware_export.program import IN, OUT, Call, Constant
from firmware_export.quantize import LIMITS, clamp, quantize_multiplier, scale_twice
from firmware_export.require import refuse


def _check_quantize(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op, 0, ("float32", "int8", "int16", "uint8"))
    y = require.activation_out(graph, op, ("int8", "int16", "uint8"))
    require.shape(op, y, x.shape)
    if "uint8" in (x.dtype, y.dtype) and "int8" not in (x.dtype, y.dtype):
        raise refuse(op, f"it makes {y.dtype} of {x.dtype}; uint8 is possible from and to int8")
    if x.dtype != "float32":
        require.multiplier(op, require.ratio(x, y), require.reach(x))


def _check_dequantize(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op)
    y = require.activation_out(graph, op, ("float32",))
    require.shape(op, y, x.shape)


def _quantize(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    if island(lowering.graph, op):
        index, table = table_of(lowering.graph, op)
        lowering.add_table(op, lowering.graph.tensors[index], lambda value: int(table[value + 128]))
        return
    if source.dtype == "float32":
        constant = Constant(
            "edgesea_float_constant",
            {"scale": q_out.scale, "count": source.elements, "zero": q_out.zero_point},
        )
        function = "edgesea_quantize16" if result.dtype == "int16" else "edgesea_quantize"
        lowering.add(op, (source.index,), Call(function, (constant, IN(0), OUT)))
        return
    multiplier = quantize_multiplier(q.scale / q_out.scale)
    if "int16" in (source.dtype, result.dtype):
        rescale(lowering, op, multiplier, multiplier, *LIMITS[result.dtype])
        return

    low, high = LIMITS[result.dtype]

    def entry(byte: int) -> int:
        # Tables go by bytes with a sign.
        value = byte & 255 if source.dtype == "uint8" else byte
        made = clamp(scale_twice(value - q.zero_point, *multiplier) + q_out.zero_point, low, high)
        return made - 256 if made > 127 else made

    lowering.add_table(op, source, entry)


def _dequantize(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    q = source.quantization
    constant = Constant(
        "edgesea_float_constant", {"scale": q.scale, "count": source.elements, "zero": q.zero_point}
    )
    function = "edgesea_dequantize16" if source.dtype == "int16" else "edgesea_dequantize"
    lowering.add(op, (source.index,), Call(function, (constant, IN(0), OUT)))


KINDS = (
    Kind(
        "DEQUANTIZE",
        union=38,
        version=9,
        check=_check_dequantize,
        lower=_dequantize,
        is_absorbed=joins_table,
    ),
    Kind("QUANTIZE", union=89, version=6, check=_check_quantize, lower=_quantize),
)
