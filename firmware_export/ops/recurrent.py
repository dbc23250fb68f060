"""UNIDIRECTIONAL_SEQUENCE_LSTM: long short-term memory over a whole sequence, in one operator.

What it keeps between moments is its own: every inference begins with an empty state, as TensorFlow Lite's
does after ``reset_all_variables``.
"""

from __future__ import annotations

import math

import numpy as np

from firmware_export import require
from firmware_export.ir import Graph, Kind, Operator, Tensor
from firmware_export.lowering import LARGEST_AXIS, Lowering
from firmware_export.ops._channels import check_range
from firmware_export.ops._options import fused_activation
from firmware_export.program import IN, OUT, PATHS, SCRATCH, Array, Call, Constant
from firmware_export.quantize import clamp, quantize_multiplier
from firmware_export.require import refuse
from firmware_export.schema import Option

# Where the inputs of the four gates stand, the input gate's first: weights of the input, weights of the
# output before, biases.
_INPUT, _RECURRENT, _BIAS = 1, 5, 12
_ABSENT = {
    "peepholes": range(9, 12),
    "a projection": range(16, 18),
    "layer normalisation": range(20, 24),
}
_STATES = (18, 19)
# The gates in the order of edgesea_lstm.h, by their place among the four.
_ORDER = (1, 2, 3, 0)
# Steps of what goes into a gate, and the smallest and largest steps of a cell.
_GATE_STEP = 2.0**-12
_CELL_EXPONENTS = (-15, -9)

_BIAS_PAIR = np.dtype([("input", np.int32), ("recurrent", np.int32)])
_SCALE = np.dtype(
    [
        ("input_multiplier", np.int32),
        ("recurrent_multiplier", np.int32),
        ("input_shift", np.int32),
        ("recurrent_shift", np.int32),
    ]
)


def _check(graph: Graph, op: Operator) -> None:
    x = require.activation_in(graph, op)
    if x.dtype != "int8":
        raise refuse(op, "TensorFlow Lite has no kernel for it on int16")
    y = require.activation_out(graph, op, ("int8",))
    if len(op.inputs) not in (20, 24):
        raise refuse(op, f"it has {len(op.inputs)} inputs where 20 or 24 are expected")
    for what, positions in _ABSENT.items():
        if any(graph.input(op, position) is not None for position in positions):
            raise refuse(op, f"it has {what}")
    if op.options["activation"] != "TANH" or op.options["diagonal_recurrent_tensors"]:
        raise refuse(
            op, f"its activation is {op.options['activation']} or its recurrent weights are diagonal"
        )
    if not (op.options["cell_clip"] >= 0 and op.options["proj_clip"] >= 0):
        clips = f"{op.options['cell_clip']:g} and {op.options['proj_clip']:g}"
        raise refuse(op, f"its bounds of cells and projection, {clips}, are not both 0 or more")
    if len(x.shape) != 3:
        raise refuse(
            op, f"its input, tensor {x.index}, has shape {x.shape} where three dimensions are expected"
        )
    hidden = _check_states(graph, op, x)
    units = hidden.shape[1]
    if max(*x.shape, units) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    require.shape(op, y, (*x.shape[:2], units))
    for gate in _gates(graph, op):
        for position, source, inputs in ((_INPUT, x, x.shape[2]), (_RECURRENT, hidden, units)):
            weights = _weights(graph, op, position + gate, (units, inputs))
            ratio = _ratio(weights, source)
            largest = 256 * int(np.abs(weights.data.astype(np.int64)).sum(axis=1).max())
            require.multiplier(op, ratio, max(largest, 1))
        bias = require.constant(graph, op, _BIAS + gate, "bias")
        if bias.shape != (units,):
            raise refuse(
                op, f"its bias, tensor {op.inputs[_BIAS + gate]}, has shape {bias.shape} for {units} units"
            )
    require.multiplier(op, _hidden_ratio(graph, op), 2**30)


def _check_states(graph: Graph, op: Operator, x: Tensor) -> Tensor:
    """The state that holds the outputs, after a look at both states."""
    hidden, cell = (graph.input(op, position) for position in _STATES)
    for role, tensor, dtype in (("output", hidden, "int8"), ("cell", cell, "int16")):
        if tensor is None or not tensor.variable or graph.consumers(tensor.index) != (op,):
            raise refuse(op, f"its {role} state is no variable of its own")
        require.activation(op, f"{role} state", tensor, (dtype,))
    batch = x.shape[1 if op.options["time_major"] else 0]
    if len(hidden.shape) != 2 or hidden.shape[0] != batch or cell.shape != hidden.shape:
        raise refuse(op, f"its states have shapes {hidden.shape} and {cell.shape} for a batch of {batch}")
    exponent = math.log2(cell.quantization.scale)
    if exponent != round(exponent) or not _CELL_EXPONENTS[0] <= exponent <= _CELL_EXPONENTS[1]:
        raise refuse(
            op, f"its cell's scale {cell.quantization.scale:g} is no power of two from 2**-15 to 2**-9"
        )
    if len(op.intermediates) != 5:
        raise refuse(op, f"it names {len(op.intermediates)} intermediate tensors where five are expected")
    require.activation(op, "intermediate 4", graph.tensors[op.intermediates[4]], ("int8",))
    return hidden


def _weights(graph: Graph, op: Operator, position: int, shape: tuple[int, int]) -> Tensor:
    """Weights of a gate: int8, symmetric, of one scale."""
    require.constant(graph, op, position, "weights", ("int8",))
    weights = graph.input(op, position)
    q = weights.quantization
    if weights.shape != shape:
        raise refuse(
            op, f"its weights, tensor {weights.index}, have shape {weights.shape} where {shape} follows"
        )
    if q is None or q.per_channel or not q.affine or not 0 < q.scale < math.inf or q.zero_point != 0:
        raise refuse(op, f"its weights, tensor {weights.index}, are not quantised by one scale around 0")
    return weights


def _gates(graph: Graph, op: Operator) -> tuple[int, ...]:
    """The gates that have weights, in the kernel's order."""
    own = [graph.input(op, position) is not None for position in (_INPUT, _RECURRENT, _BIAS)]
    if any(own) != all(own):
        raise refuse(op, "its input gate has a part of its weights and biases")
    return _ORDER if all(own) else _ORDER[:3]


def _ratio(weights: Tensor, source: Tensor) -> float:
    """The scale of a gate's sums over a gate's steps, in float32."""
    with np.errstate(over="ignore"):
        product = np.float32(weights.quantization.scale) * np.float32(source.quantization.scale)
        return float(product / np.float32(_GATE_STEP))


def _hidden_ratio(graph: Graph, op: Operator) -> float:
    """The scale of output gate times cell's tangent over that of the output, in float32."""
    scale = np.float32(graph.tensors[op.intermediates[4]].quantization.scale)
    return float(np.float32(2.0**-15) / scale * np.float32(2.0**-15))


def _lower(lowering: Lowering, op: Operator) -> None:
    graph = lowering.graph
    x = graph.input(op, 0)
    hidden, cell = (graph.input(op, position) for position in _STATES)
    units, gates = hidden.shape[1], _gates(graph, op)
    zeros = [source.quantization.zero_point for source in (x, hidden)]
    biases, scales = np.zeros((units, len(gates)), _BIAS_PAIR), np.zeros(len(gates), _SCALE)
    weights = []
    for number, gate in enumerate(gates):
        parts = [graph.input(op, position + gate) for position in (_INPUT, _RECURRENT)]
        folded = [-z * p.data.astype(np.int64).sum(axis=1) for z, p in zip(zeros, parts, strict=True)]
        folded[0] += graph.input(op, _BIAS + gate).data
        for side, part, bias, source in zip(("input", "recurrent"), parts, folded, (x, hidden), strict=True):
            multiplier, shift = quantize_multiplier(_ratio(part, source))
            check_range(op, bias, part.data.astype(np.int64), [shift] * units)
            biases[side][:, number] = bias
            scales[f"{side}_multiplier"][number], scales[f"{side}_shift"][number] = multiplier, shift
        weights.append(np.concatenate([part.data for part in parts], axis=1))
    multiplier, shift = quantize_multiplier(_hidden_ratio(graph, op))
    first, second = x.shape[:2]
    batch, moments = (second, first) if op.options["time_major"] else (first, second)
    constant = Constant(
        "edgesea_lstm_constant",
        {
            "weights": Array("weights", "int8_t", np.stack(weights, axis=1)),
            "biases": Array("biases", "edgesea_lstm_bias", biases),
            "scales": Array("scales", "edgesea_lstm_scale", scales),
            "batch": batch,
            "moments": moments,
            "inputs": x.shape[2],
            "units": units,
            "apart": (1, batch) if op.options["time_major"] else (moments, 1),
            "clip": _clip(op, cell),
            "multiplier": multiplier,
            "shift": shift,
            "out_zero": graph.tensors[op.intermediates[4]].quantization.zero_point,
            "gates": len(gates),
            "cell_bits": 15 + round(math.log2(cell.quantization.scale)),
        },
    )
    call = Call("edgesea_lstm", (constant, IN(0), OUT, SCRATCH))
    lowering.add(op, (x.index,), call, scratch=dict.fromkeys(PATHS, 2 * units))


def _clip(op: Operator, cell: Tensor) -> int:
    """The greatest magnitude of a cell in its own steps; 0: none."""
    clip = op.options["cell_clip"]
    return int(clamp(clip / cell.quantization.scale, 0, 32767)) if clip > 0 else 0


def _products(graph: Graph, op: Operator) -> int:
    units, inputs = (math.prod(tensor.shape[-1:]) for tensor in (graph.output(op), graph.input(op, 0)))
    gates = 3 if graph.input(op, _INPUT) is None else 4
    return graph.output(op).elements * gates * (inputs + units)


KINDS = (
    Kind(
        "UNIDIRECTIONAL_SEQUENCE_LSTM",
        union=71,
        options=(
            fused_activation(0),
            Option("cell_clip", 1, "float32", 0.0),
            Option("proj_clip", 2, "float32", 0.0),
            Option("time_major", 3, "bool", False),
            Option("diagonal_recurrent_tensors", 5, "bool", False),
        ),
        # Which of the others may be absent depends on one another.
        inputs=(1, 24),
        version=3,
        check=_check,
        lower=_lower,
        cost=_products,
        states=_STATES,
    ),
)
