"""TILE, MIRROR_PAD, SPACE_TO_DEPTH and DEPTH_TO_SPACE: the same values in other places."""

from __future__ import annotations

import math

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator, Tensor
from firmware_export.lowering import LARGEST_AXIS, Lowering
from firmware_export.ops._copies import copy_call, gather
from firmware_export.require import refuse
from firmware_export.schema import Option

# A walk through memory has at most so many axes: EDGESEA_WALK_AXES.
_MOST_AXES = 8

_MODES = ("REFLECT", "SYMMETRIC")


def _check_tile(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    repeats = require.constant(graph, op, 1, "multiples", ("int32", "int64"))
    if repeats.shape != (len(x.shape),):
        raise refuse(op, f"its multiples have shape {repeats.shape} for {len(x.shape)} dimensions")
    if not all(1 <= int(n) <= require.LARGEST_BYTES for n in repeats):
        raise refuse(op, f"its multiples {repeats.tolist()} are outside 1 to {require.LARGEST_BYTES}")
    require.shape(op, y, [n * int(m) for n, m in zip(x.shape, repeats, strict=True)])
    if sum((n > 1) + (int(m) > 1) for n, m in zip(x.shape, repeats, strict=True)) > _MOST_AXES:
        raise refuse(op, f"it repeats {x.shape} {repeats.tolist()} times, along too many axes")


def _tile(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    repeats = [int(n) for n in lowering.graph.input(op, 1).data]
    sizes, in_strides, out_strides = [], [], []
    own, made = layout.strides(source.shape), layout.strides(result.shape)
    for axis, (size, repeat) in enumerate(zip(source.shape, repeats, strict=True)):
        sizes += [repeat, size]
        in_strides += [0, own[axis]]
        out_strides += [size * made[axis], made[axis]]
    lowering.add(op, (source.index,), copy_call(source, sizes, in_strides, out_strides))


def _check_mirror_pad(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    paddings = require.constant(graph, op, 1, "paddings", ("int32", "int64"))
    if paddings.shape != (len(x.shape), 2):
        raise refuse(op, f"its paddings have shape {paddings.shape} for {len(x.shape)} dimensions")
    if max(y.shape, default=1) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    edge = _edge(op)
    for size, pair in zip(x.shape, paddings.tolist(), strict=True):
        if not all(0 <= n <= size - edge for n in pair):
            raise refuse(op, f"its padding {pair} of an axis of {size} is outside 0 to {size - edge}")
    require.shape(op, y, [n + int(p.sum()) for n, p in zip(x.shape, paddings, strict=True)])


def _edge(op: Operator) -> int:
    """How many values at an end are not repeated: 1 for REFLECT, 0 for SYMMETRIC."""
    return int(op.options["mode"] == "REFLECT")


def _mirror_pad(lowering: Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    paddings = lowering.graph.input(op, 1).data.tolist()
    edge = _edge(op)
    positions = []
    for size, (before, after) in zip(source.shape, paddings, strict=True):
        left = [edge + i for i in reversed(range(before))]
        right = [size - 1 - edge - i for i in range(after)]
        positions.append([*left, *range(size), *right])
    gather(lowering, op, source, positions)


def _check_blocks(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    if x.dtype != "int8":
        raise refuse(op, f"TensorFlow Lite has no kernel for it on {x.dtype}")
    block = op.options["block"]
    if len(x.shape) != 4 or not 1 <= block <= require.LARGEST_WINDOW:
        raise refuse(op, f"its input has shape {x.shape}, its blocks a side of {block}")
    deep, wide = (y, x) if op.opcode == "SPACE_TO_DEPTH" else (x, y)
    if len(wide.shape) != 4 or any(n % block for n in wide.shape[1:3]):
        raise refuse(op, f"its map of shape {wide.shape} is not made of blocks with a side of {block}")
    batch, height, width, channels = wide.shape
    found = (batch, height // block, width // block, channels * block * block)
    if deep.shape != found:
        raise refuse(op, f"it makes shape {y.shape} of {x.shape} by blocks with a side of {block}")


def _blocks(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    block = op.options["block"]
    deep, wide = (result, source) if op.opcode == "SPACE_TO_DEPTH" else (source, result)
    batch, height, width, depth = deep.shape
    sizes = (batch, height, width, block, block, depth // block**2)
    in_deep = layout.strides(sizes)
    in_wide = _block_strides(wide, block)
    strides = (in_wide, in_deep) if deep is result else (in_deep, in_wide)
    lowering.add(op, (source.index,), copy_call(source, sizes, *strides))


def _block_strides(wide: Tensor, block: int) -> tuple[int, ...]:
    """Elements between neighbours along batch, block row, block column, row, column and channel."""
    _, height, width, channels = wide.shape
    row = width * channels
    return (math.prod((height, row)), block * row, block * channels, row, channels, 1)


_BLOCK = (Option("block", 0),)

KINDS = (
    Kind("DEPTH_TO_SPACE", union=94, options=_BLOCK, version=2, check=_check_blocks, lower=_blocks),
    Kind(
        "MIRROR_PAD",
        union=77,
        options=(Option("mode", 0, _MODES),),
        inputs=(2, 2),
        version=3,
        check=_check_mirror_pad,
        lower=_mirror_pad,
    ),
    Kind("SPACE_TO_DEPTH", union=19, options=_BLOCK, version=2, check=_check_blocks, lower=_blocks),
    Kind("TILE", union=51, inputs=(2, 2), version=3, check=_check_tile, lower=_tile),
)
