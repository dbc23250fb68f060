"""RESHAPE, SQUEEZE and EXPAND_DIMS, which move nothing; TRANSPOSE, which moves everything; SHAPE."""

from __future__ import annotations

import numpy as np

from firmware_export import layout, require
from firmware_export.ir import Graph, Kind, Operator
from firmware_export.lowering import Lowering
from firmware_export.ops._constants import of_integers
from firmware_export.ops._copies import copy_call
from firmware_export.require import refuse
from firmware_export.schema import Option


def _check_reshape(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    if graph.input(op, 1) is not None:
        value = require.constant(graph, op, 1, "shape")
        if value.ndim != 1:
            raise refuse(op, f"its shape is given as {value.ndim} dimensions")
        wanted = tuple(value.tolist())
    else:
        wanted = op.options["new_shape"]
    if wanted == (0,):  # how old converters wrote a scalar
        wanted = ()
    matches = len(wanted) == len(y.shape) and all(n in (m, -1) for n, m in zip(wanted, y.shape, strict=True))
    if not matches or wanted.count(-1) > 1 or y.elements != x.elements:
        raise refuse(op, f"it makes shape {y.shape} of {x.shape} where {wanted} is asked for")


def _check_squeeze(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    axes = require.normal_axes(op, op.options["axes"], len(x.shape))
    if any(x.shape[axis] != 1 for axis in axes):
        raise refuse(op, f"its axes {axes} of {x.shape} are not all of size 1")
    require.shape(op, y, [n for i, n in enumerate(x.shape) if (i not in axes if axes else n != 1)])


def _check_expand_dims(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    axis = require.axis(graph, op, 1, len(x.shape) + 1, ("int32", "int64"))
    require.shape(op, y, (*x.shape[:axis], 1, *x.shape[axis:]))


def _check_transpose(graph: Graph, op: Operator) -> None:
    x, y = require.moved(graph, op)
    order = require.axes(graph, op, 1, len(x.shape))
    if len(order) != len(x.shape) or graph.input(op, 1).data.min() < 0:
        raise refuse(op, f"its permutation is no order of the axes 0 to {len(x.shape) - 1}")
    require.shape(op, y, [x.shape[axis] for axis in order])


def _view(lowering: Lowering, op: Operator) -> None:
    lowering.view(op)


def _transpose(lowering: Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    order = lowering.graph.input(op, 1).data.reshape(-1).tolist()
    strides = layout.strides(source.shape)
    call = copy_call(source, result.shape, [strides[axis] for axis in order], layout.strides(result.shape))
    lowering.add(op, (source.index,), call)


@of_integers
def _reshaped(values, shape, options):
    x, *wanted = values
    try:
        return x.reshape(wanted[0].reshape(-1).tolist() if wanted else options["new_shape"])
    except ValueError:
        return None


@of_integers
def _squeezed(values, shape, options):
    try:
        return np.squeeze(values[0], options["axes"] or None)
    except ValueError:
        return None


@of_integers
def _expanded(values, shape, options):
    x, axis = values
    if axis.size != 1 or not -x.ndim - 1 <= axis.item() <= x.ndim:
        return None
    return np.expand_dims(x, axis.item())


@of_integers
def _transposed(values, shape, options):
    x, order = values
    return x.transpose(order) if sorted(order.reshape(-1).tolist()) == list(range(x.ndim)) else None


def _shape(op, inputs, output):
    # Of any tensor: its shape is known, be it a constant or not.
    return np.array(inputs[0].shape, "int64" if output.dtype == "int64" else "int32")


KINDS = (
    Kind(
        "EXPAND_DIMS",
        union=52,
        inputs=(2, 2),
        check=_check_expand_dims,
        lower=_view,
        evaluate=_expanded,
    ),
    Kind(
        "RESHAPE",
        union=17,
        options=(Option("new_shape", 0, "int32s"),),
        inputs=(1, 2),
        check=_check_reshape,
        lower=_view,
        evaluate=_reshaped,
    ),
    Kind("SHAPE", union=55, evaluate=_shape),
    Kind(
        "SQUEEZE",
        union=30,
        options=(Option("axes", 0, "int32s"),),
        check=_check_squeeze,
        lower=_view,
        evaluate=_squeezed,
    ),
    Kind(
        "TRANSPOSE",
        union=26,
        inputs=(2, 2),
        version=8,
        check=_check_transpose,
        lower=_transpose,
        evaluate=_transposed,
    ),
)
