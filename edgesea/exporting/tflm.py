"""A model for TensorFlow Lite Micro (TFLM): which operators its resolver needs, and how large its arena is.

    methods = resolver_methods(bundle.manifest["int8"]["operators"])   # ("AddConv2D", "AddFullyConnected")
    arena = arena_of(bundle.int8.read_bytes(), "cortex-m4")

The arena is computed for the core's kernels, see `tflm_arena`, and given a tenth more. Where the package
tflite-micro is installed, TFLM itself runs the model once on this machine, so that a model that it refuses is
refused here.
"""

import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgesea.errors import EdgeseaError
from edgesea.exporting.tflm_arena import ALIGNMENT, KERNELS, REFERENCE, arena_used
from firmware_export.graph import read

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

_NAMES = {
    "cmsis-nn": "CMSIS-NN's kernels",
    "cmsis-nn-mve": "CMSIS-NN's kernels for MVE",
    REFERENCE: "the reference kernels",
}

# Part of the computed bytes that is added, for a version of TFLM that keeps more than the measured one.
MARGIN = 0.10

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
"""


@dataclass(frozen=True)
class Arena:
    """The arena of a model in TFLM, in bytes.

    bytes : used without the kernels' scratch memory
    scratch : what that adds
    margin : what `recommended` allows for everything else
    how : "computed"
    kernels : what it was computed for, for people
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


def arena_of(model: bytes, core: str) -> Arena:
    """The arena of an int8 .tflite on a core; EdgeseaError where an installed TFLM does not run it."""
    graph = read(model)
    kernels = KERNELS.get(core, REFERENCE)
    least, used = (arena_used(graph, each) for each in (REFERENCE, kernels))
    return Arena(
        bytes=least,
        scratch=used - least,
        margin=round(used * MARGIN),
        how="computed",
        kernels=f"computed for {core} with {_NAMES[kernels]}; {_tried(model, used)}",
    )


def _tried(model: bytes, used: int) -> str:
    """Runs a model where TFLM is installed; a clause that says so."""
    if importlib.util.find_spec("tflite_micro") is None:
        return f"not tried, because no {PACKAGE} was installed ({INSTALL})"
    with tempfile.TemporaryDirectory(prefix="edgesea-tflm-") as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(model)
        # Pointers are twice as long here.
        _run(path, 2 * used + (1 << 20))
    return f"{PACKAGE} {importlib.metadata.version(PACKAGE)} runs the model on this machine"


def _run(path: Path, arena: int) -> None:
    """Runs the model once; EdgeseaError where TFLM does not."""
    command = [sys.executable, "-c", _MEASURE, str(path), str(arena)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        raise EdgeseaError(
            f"TensorFlow Lite Micro took more than {LIMIT_S} seconds for one inference."
        ) from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or ["nothing"]
        raise EdgeseaError(f"TensorFlow Lite Micro does not run this model; it says: {said[-1]}.")


def _capitalised(part: str) -> str:
    return part if part[0].isdigit() else part.capitalize()
