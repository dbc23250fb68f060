"""A model for TensorFlow Lite Micro (TFLM): which operators its resolver needs, and how large its arena is.

    methods = resolver_methods(bundle.manifest["int8"]["operators"])   # ("AddConv2D", "AddFullyConnected")
    arena = arena_of(bundle.int8.read_bytes())

The arena is measured where the package tflite-micro is installed: TFLM itself, with its reference kernels,
on this 64-bit machine, runs the model in an arena and says how much it took; then it runs in just that.
Pointers of a microcontroller are half as large, so its own share is smaller there; but kernels for a core
want scratch memory in the arena that reference kernels do not. `Arena.recommended` allows for both.

Elsewhere the arena is computed: the largest sum of live tensors, and what TFLM keeps for every tensor,
operator and channel. That is a guess at what its planner does, with a larger margin; it says so.
"""

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgesea.errors import EdgeseaError
from edgesea.measures import memory
from firmware_export.graph import Graph, read

PACKAGE = "tflite-micro"
INSTALL = "python3 -m pip install --pre tflite-micro"

# Operators that tflite::MicroMutableOpResolver has a method for, by the schema's names.
# Source: tensorflow/lite/micro/micro_mutable_op_resolver.h
OPERATORS = frozenset(
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND
    BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTHWISE_CONV_2D
    DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR
    FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION
    L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM
    MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE READ_VARIABLE
    REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2
    ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE
    SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV
    UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
    """.split()  # noqa: SIM905
)
_METHODS = {
    "BATCH_MATMUL": "AddBatchMatMul",
    "CUMSUM": "AddCumSum",
    "PADV2": "AddPadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "AddUnidirectionalSequenceLSTM",
}

ALIGNMENT = 16

# Part of the measured bytes that is added, for a version of TFLM that keeps more than the measured one.
MEASURED_MARGIN = 0.10
# The same where nothing was measured: TFLM's planner may leave gaps.
COMPUTED_MARGIN = 0.25

# What TFLM keeps on a 64-bit machine, in bytes: sizeof(TfLiteEvalTensor), sizeof(NodeAndRegistration),
# multiplier and shift of a channel; and what is left of measured tails without these, model and operator.
TENSOR_BYTES = 24
OPERATOR_BYTES = 64
CHANNEL_BYTES = 8
REST_BYTES = 1024
OPERATOR_REST_BYTES = 100

LIMIT_S = 120

# Runs in a process of its own, because TFLM ends the process where it cannot go on.
_MEASURE = """
import sys
from tflite_micro import runtime
interpreter = runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2]))
details = interpreter.get_input_details(0)
import numpy
interpreter.set_input(numpy.zeros(details["shape"], details["dtype"]), 0)
interpreter.invoke()
interpreter.print_allocations()
"""


@dataclass(frozen=True)
class Arena:
    """The arena of a model in TFLM, in bytes.

    bytes : measured or computed, see `how`
    scratch : what CMSIS-NN's kernels may want beside it, computed
    margin : what `recommended` allows for everything else
    how : "measured" or "computed"
    kernels : what it was measured with or computed from, for people
    """

    bytes: int
    scratch: int
    margin: int
    how: str
    kernels: str

    @property
    def recommended(self) -> int:
        """Bytes to give it, a multiple of `ALIGNMENT`."""
        return -(-(self.bytes + self.scratch + self.margin) // ALIGNMENT) * ALIGNMENT

    def to_dict(self) -> dict:
        return {
            "bytes": self.bytes,
            "scratch_bytes": self.scratch,
            "margin_bytes": self.margin,
            "recommended_bytes": self.recommended,
            "how": self.how,
            "kernels": self.kernels,
        }


def resolver_methods(operators: Iterable[str]) -> tuple[str, ...]:
    """The methods of MicroMutableOpResolver that add these operators, each once, sorted.

    Raises EdgeseaError naming those that TFLM does not have.
    """
    names = sorted(set(operators))
    if missing := [name for name in names if name not in OPERATORS]:
        raise EdgeseaError(
            f"TensorFlow Lite Micro has no {', '.join(missing)}, which this model uses: take --runtime c."
        )
    return tuple(_METHODS.get(name) or "Add" + "".join(map(_capitalised, name.split("_"))) for name in names)


def arena_of(model: bytes) -> Arena:
    """The arena of an int8 .tflite: measured where the package tflite-micro is installed, else computed."""
    if importlib.util.find_spec("tflite_micro") is None:
        return compute_arena(model)
    return measure_arena(model)


def measure_arena(model: bytes) -> Arena:
    """Measures the arena with the installed tflite-micro; EdgeseaError where TFLM does not run the model."""
    graph = read(model)
    with tempfile.TemporaryDirectory(prefix="edgesea-tflm-") as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(model)
        generous = 4 * _computed(graph) + (1 << 20)
        found = _run(path, generous)
        # The recorder counts the plan; the interpreter is asked whether it runs in that.
        size = next((each for each in range(found, found + 1024, ALIGNMENT) if _runs(path, each)), generous)
    version = importlib.metadata.version(PACKAGE)
    return Arena(
        bytes=size,
        scratch=_scratch(graph),
        margin=round(size * MEASURED_MARGIN),
        how="measured",
        kernels=f"tflite-micro {version}, reference kernels, on a 64-bit machine",
    )


def compute_arena(model: bytes) -> Arena:
    """The arena as it can be computed from the model alone."""
    graph = read(model)
    size = _computed(graph)
    return Arena(
        bytes=size,
        scratch=_scratch(graph),
        margin=round(size * COMPUTED_MARGIN),
        how="computed",
        kernels=f"computed, not measured: no {PACKAGE} was installed ({INSTALL})",
    )


def _run(path: Path, arena: int) -> int:
    """Runs the model and returns the bytes that TFLM says it took of the arena."""
    command = [sys.executable, "-c", _MEASURE, str(path), str(arena)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise EdgeseaError(
            f"TensorFlow Lite Micro took more than {LIMIT_S} seconds for one inference."
        ) from None
    total = re.search(r"Arena allocation total (\d+) bytes", done.stderr)
    if done.returncode != 0 or total is None:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise EdgeseaError(f"TensorFlow Lite Micro does not run this model; it says: {said[-1]}.")
    return int(total[1])


def _runs(path: Path, arena: int) -> bool:
    try:
        _run(path, arena)
    except EdgeseaError:
        return False
    return True


def _computed(graph: Graph) -> int:
    channels = sum(
        tensor.quantization.scales.size
        for tensor in graph.tensors
        if tensor.constant and tensor.quantization is not None and tensor.quantization.per_channel
    )
    return (
        memory.activation(graph)["peak_bytes"]
        + TENSOR_BYTES * len(graph.tensors)
        + (OPERATOR_BYTES + OPERATOR_REST_BYTES) * len(graph.operators)
        + CHANNEL_BYTES * channels
        + REST_BYTES
    )


def _scratch(graph: Graph) -> int:
    """Bytes of the largest scratch buffer of CMSIS-NN's int8 convolutions: two columns of 16-bit inputs.

    Source: arm_convolve_s8_get_buffer_size, arm_depthwise_conv_s8_opt_get_buffer_size.
    """
    largest = 0
    for operator in graph.operators:
        if operator.opcode in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            weights = graph.input(operator, 1)
            _, height, width, channels = weights.shape
            largest = max(largest, 2 * 2 * height * width * channels)
    return largest


def _capitalised(part: str) -> str:
    return part if part[0].isdigit() else part.capitalize()
