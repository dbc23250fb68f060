"""Compute what a graph computes from constants alone.

A converter that leaves the batch open writes the shape of a RESHAPE as operators: SHAPE, STRIDED_SLICE, PACK.
Once the batch is 1 they are constants. ``evaluate`` computes such operators, which move whole elements or do
integer arithmetic on shapes; it does no quantised arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from firmware_export.flatbuffer import ModelError
from firmware_export.operators import slice_ranges

if TYPE_CHECKING:
    from firmware_export.graph import Operator, Tensor

# Shapes take a few bytes. The limit, on the inputs and on the outputs of one operator, keeps a hostile graph
# from costing memory or time.
LARGEST_BYTES = 2**12


def evaluate(op: Operator, inputs: list[Tensor | None], outputs: list[Tensor]) -> list[np.ndarray] | None:
    """Compute the outputs of an operator that depends on no input of the graph.

    Parameters
    ----------
    op : Operator
    inputs : list of Tensor or None
    outputs : list of Tensor
        As the file declares them.

    Returns
    -------
    list of np.ndarray, or None
        One read-only array for each output, of its shape and type; None where the operator is none of those
        that are computed here, or an input is no constant, or a large one.

    Raises
    ------
    ModelError
        If the operator makes another shape or type than the file declares.
    """
    if op.custom or None in inputs or len(outputs) != 1:
        return None
    if op.opcode == "SHAPE":
        value = np.array(inputs[0].shape, "int64" if outputs[0].dtype == "int64" else "int32")
    elif op.opcode in _EVALUATORS and all(_integers(tensor) for tensor in inputs):
        if max(sum(t.bytes for t in inputs), outputs[0].bytes) > LARGEST_BYTES:
            return None
        value = _EVALUATORS[op.opcode]([t.data for t in inputs], outputs[0].shape, op.options)
    else:
        return None
    if value is None:
        return None
    if value.shape != outputs[0].shape or value.dtype.name != outputs[0].dtype:
        raise ModelError(
            f"Operator {op.index} ({op.opcode}) makes {value.dtype.name} {value.shape} of its constants "
            f"where the file declares {outputs[0].dtype} {outputs[0].shape} for tensor {outputs[0].index}."
        )
    value = np.ascontiguousarray(value).reshape(value.shape)
    value.flags.writeable = False
    return [value]


def _integers(tensor: Tensor) -> bool:
    return tensor.constant and not tensor.sparse and tensor.data.dtype.kind == "i"


# Each function below takes the constants, the shape that the file declares for the output and the options,
# and returns the output, or None for what it does not know. What it makes is about as large as its inputs or
# that shape.


def _strided_slice(values, shape, options):
    x, begin, end, strides = values
    if any(v.shape != (x.ndim,) for v in (begin, end, strides)):
        return None
    if options["ellipsis_mask"] or options["new_axis_mask"] or options["offset"]:
        return None
    try:
        ranges = slice_ranges(x.shape, begin, end, strides, options)
    except ValueError:
        return None
    for axis, taken in enumerate(ranges):
        x = np.take(x, np.arange(taken.start, taken.stop, taken.step), axis)
    return np.squeeze(x, tuple(i for i in range(x.ndim) if options["shrink_axis_mask"] >> i & 1))


def _slice(values, shape, options):
    x, begin, size = values
    if any(v.shape != (x.ndim,) for v in (begin, size)):
        return None
    if not all(0 <= b <= n and -1 <= s <= n - b for b, s, n in zip(begin, size, x.shape, strict=True)):
        return None
    return x[tuple(slice(b, None if s == -1 else b + s) for b, s in zip(begin, size, strict=True))]


def _pack(values, shape, options):
    rank = values[0].ndim + 1
    axis = options["axis"]
    if any(v.shape != values[0].shape for v in values) or not -rank <= axis < rank:
        return None
    return np.stack(values, axis)


def _concatenation(values, shape, options):
    axis = options["axis"]
    rank = values[0].ndim
    if not -rank <= axis < rank or any(v.ndim != rank for v in values):
        return None
    sizes = [v.shape[: axis % rank] + v.shape[axis % rank + 1 :] for v in values]
    return np.concatenate(values, axis) if all(size == sizes[0] for size in sizes) else None


def _reshape(values, shape, options):
    x, *wanted = values
    try:
        return x.reshape(wanted[0].reshape(-1).tolist() if wanted else options["new_shape"])
    except ValueError:
        return None


def _squeeze(values, shape, options):
    try:
        return np.squeeze(values[0], options["axes"] or None)
    except ValueError:
        return None


def _expand_dims(values, shape, options):
    x, axis = values
    if axis.size != 1 or not -x.ndim - 1 <= axis.item() <= x.ndim:
        return None
    return np.expand_dims(x, axis.item())


def _transpose(values, shape, options):
    x, order = values
    return x.transpose(order) if sorted(order.reshape(-1).tolist()) == list(range(x.ndim)) else None


def _gather(values, shape, options):
    x, indexes = values
    if x.ndim != 1 or options["batch_dims"] or not x.size:
        return None
    return x[indexes] if ((indexes >= 0) & (indexes < x.size)).all() else None


def _reduce_prod(values, shape, options):
    x, axes = values
    axes = {int(axis) for axis in axes.reshape(-1)}
    if not all(-x.ndim <= axis < x.ndim for axis in axes):
        return None
    axes = tuple({axis % x.ndim for axis in axes})
    return np.prod(x, axis=axes, dtype=x.dtype, keepdims=options["keep_dims"])


def _arithmetic(function: np.ufunc):
    def evaluate(values, shape, options):
        a, b = values
        if a.dtype != b.dtype or a.dtype.name not in ("int32", "int64") or options["activation"] != "NONE":
            return None
        try:
            if np.broadcast_shapes(a.shape, b.shape) != shape:
                return None
        except ValueError:
            return None
        with np.errstate(over="ignore"):
            return np.asarray(function(a, b, dtype=a.dtype))

    return evaluate


_EVALUATORS: Mapping[str, Callable] = {
    "ADD": _arithmetic(np.add),
    "CONCATENATION": _concatenation,
    "EXPAND_DIMS": _expand_dims,
    "GATHER": _gather,
    "MUL": _arithmetic(np.multiply),
    "PACK": _pack,
    "REDUCE_PROD": _reduce_prod,
    "RESHAPE": _reshape,
    "SLICE": _slice,
    "SQUEEZE": _squeeze,
    "STRIDED_SLICE": _strided_slice,
    "SUB": _arithmetic(np.subtract),
    "TRANSPOSE": _transpose,
}
