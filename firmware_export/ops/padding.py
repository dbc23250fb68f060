"""PAD and PADV2."""

from __future__ import annotations

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import CTYPES, Lowering
from firmware_export.ops._copies import copy_call
from firmware_export.ops._padding import filler_of, joins_reader
from firmware_export.program import Array
from firmware_export.require import refuse


def _check(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op)
    y = require.activation_out(graph, op, (x.dtype,))
    paddings = require.constant(graph, op, 1, "paddings", ("int32", "int64"))
    if paddings.shape != (len(x.shape), 2):
        raise refuse(op, f"its paddings have shape {paddings.shape} for {len(x.shape)} dimensions")
    if paddings.min() < 0 or paddings.max() > require.LARGEST_BYTES:
        raise refuse(op, f"its paddings {paddings.tolist()} are outside 0 to {require.LARGEST_BYTES}")
    require.shape(op, y, [n + int(p.sum()) for n, p in zip(x.shape, paddings, strict=True)])
    require.same_quantization(op, x, y)
    if op.opcode == "PADV2":
        value = require.constant(graph, op, 2, "pad value", (x.dtype,))
        filler = graph.input(op, 2)
        require.activation(op, "pad value", filler, (x.dtype,))
        if value.size != 1:
            raise refuse(op, f"its pad value has {value.size} elements")
        require.same_quantization(op, filler, y, exact=True)


def _pad(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    source, result = graph.input(op, 0), graph.output(op)
    filler = np.array([filler_of(graph, op)], result.dtype)
    strides = layout.strides(result.shape)
    fill = copy_call(
        result,
        result.shape,
        [0] * len(strides),
        strides,
        source=Array("filler", CTYPES[result.dtype], filler),
    )
    before = [int(pair[0]) for pair in graph.input(op, 1).data]
    first = sum(n * stride for n, stride in zip(before, strides, strict=True))
    copy = copy_call(source, source.shape, layout.strides(source.shape), strides, out_first=first)
    lowering.add(op, (source.index,), fill, copy)


KINDS = (
    Kind("PAD", union=22, inputs=(2, 2), version=6, check=_check, lower=_pad, is_absorbed=joins_reader),
    Kind("PADV2", union=43, inputs=(3, 3), version=6, check=_check, lower=_pad, is_absorbed=joins_reader),
)
