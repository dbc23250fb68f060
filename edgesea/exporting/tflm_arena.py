"""How much of its arena TensorFlow Lite Micro (TFLM) uses for a model, for a kind of kernels.

    used = arena_used(graph, "cmsis-nn")

An arena holds two things: what TFLM keeps (for tensors, operators and channels), and one place for all that
comes and goes, inputs and outputs included. Where the latter lies is decided by TFLM's greedy planner, which
is followed here: the largest buffer first, each at the first gap among those that live at the same time. The
scratch memory of CMSIS-NN's kernels lives during their operator.

Held against TFLM 90b983c with CMSIS-NN 4ab83cc on emulated cores (benchmarks/results/tflm.json): within 2 %
for five models on a Cortex-M4 and a Cortex-M55.
"""

from collections.abc import Iterable

from edgesea.measures import memory
from firmware_export.graph import Graph, Operator

# Kernels by the core that they are for; others have the reference's.
KERNELS = {
    "cortex-m0plus": "cmsis-nn",
    "cortex-m3": "cmsis-nn",
    "cortex-m4": "cmsis-nn",
    "cortex-m7": "cmsis-nn",
    "cortex-m33": "cmsis-nn",
    "cortex-m55": "cmsis-nn-mve",
    # Espressif's own: what they want is not known, so it is taken to be as much.
    "xtensa-lx6": "cmsis-nn",
    "xtensa-lx7": "cmsis-nn",
}
REFERENCE = "reference"

ALIGNMENT = 16

# What TFLM keeps on a 32-bit core, in bytes: TfLiteEvalTensor; multiplier and shift of a channel; and, as
# measured, of an operator: node, registration and its kernel's data, with a share of the interpreter's own.
TENSOR_BYTES = 12
CHANNEL_BYTES = 8
OPERATOR_BYTES = 142
# What planning takes beside the former, of a tensor and of a buffer, before buffers lie there.
PLANNED_TENSOR_BYTES = 24
PLANNED_BUFFER_BYTES = 44

# CMSIS-NN: channels that a depthwise kernel for MVE takes at once.
_MVE_CHANNELS = 124


def arena_used(graph: Graph, kernels: str) -> int:
    """Bytes of the least arena in which TFLM runs ``graph`` with kernels of ``KERNELS`` or ``REFERENCE``."""
    buffers = list(_buffers(graph, kernels))
    channels = sum(
        tensor.quantization.scales.size
        for operator in graph.operators
        if operator.opcode in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
        and (tensor := graph.input(operator, 1)) is not None
        and tensor.quantization is not None
    )
    kept = (
        TENSOR_BYTES * len(graph.tensors)
        + OPERATOR_BYTES * len(graph.operators)
        + CHANNEL_BYTES * channels
        + int(memory.activation(graph).get("state_bytes", 0))
    )
    planning = PLANNED_TENSOR_BYTES * len(graph.tensors) + PLANNED_BUFFER_BYTES * len(buffers)
    return kept + max(_placed(buffers), planning)


def _buffers(graph: Graph, kernels: str) -> Iterable[tuple[int, int, int]]:
    """What comes and goes, in TFLM's order: (bytes, first operator, last operator)."""
    first = dict.fromkeys(graph.inputs, 0)
    last = dict.fromkeys(graph.outputs, max(len(graph.operators) - 1, 0))
    for number, operator in enumerate(graph.operators):
        for tensor in operator.outputs:
            first[tensor] = number
        for tensor in operator.inputs:
            last[tensor] = max(last.get(tensor, 0), number)
    for tensor in sorted(first):
        yield _aligned(graph.tensors[tensor].bytes), first[tensor], last.get(tensor, first[tensor])
    for number, operator in enumerate(graph.operators):
        if scratch := scratch_bytes(graph, operator, kernels):
            yield _aligned(scratch), number, number


def _placed(buffers: list[tuple[int, int, int]]) -> int:
    """The bytes that TFLM's GreedyMemoryPlanner needs for ``buffers``."""
    placed: list[tuple[int, int, int, int]] = []
    # Of equal ones it takes the later first.
    for number in sorted(range(len(buffers)), key=lambda number: (-buffers[number][0], -number)):
        size, first, last = buffers[number]
        offset = 0
        for begin, end, since, until in sorted(placed):
            if since <= last and first <= until:
                if begin - offset >= size:
                    break
                offset = max(offset, end)
        placed.append((offset, offset + size, first, last))
    return max((end for _, end, _, _ in placed), default=0)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def scratch_bytes(graph: Graph, operator: Operator, kernels: str) -> int:
    """Scratch memory that CMSIS-NN's int8 kernels ask for; source: its ..._get_buffer_size functions."""
    if kernels == REFERENCE:
        return 0
    mve = kernels == "cmsis-nn-mve"
    x, weights = graph.input(operator, 0), graph.input(operator, 1)
    if operator.opcode == "AVERAGE_POOL_2D" and x is not None and not mve:
        return 4 * x.shape[-1]
    if weights is None or len(weights.shape) not in (2, 4):
        return 0
    if operator.opcode == "FULLY_CONNECTED":
        return 4 * weights.shape[0] if mve else 0
    if len(weights.shape) != 4:
        return 0
    first, height, width, channels = weights.shape
    plain = operator.options.get("dilation") == (1, 1)
    if operator.opcode == "CONV_2D":
        if height == width == 1 and plain:
            return 0
        group = 8 if mve else 4
        return 4 * group * -(-height * width * channels // group)
    if operator.opcode == "DEPTHWISE_CONV_2D" and first == 1 and plain and x is not None:
        if x.shape[-1] != channels or x.shape[0] != 1:
            return 0
        if mve:
            return 4 * _MVE_CHANNELS * height * width
        return 0 if (height, width) == (3, 3) else 2 * channels * height * width
    return 0
