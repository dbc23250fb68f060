"""The one place that picks a TFLite interpreter, and the one way to call it.

`open_interpreter` takes the first runtime that is installed: ai-edge-litert (the maintained one), then
tflite-runtime (what an old device has), then tf.lite inside TensorFlow. The runtimes share one interface, so
nothing after the choice knows which it was; whoever reports a number asks `runtime` for its name and version.

An interpreter here is called with real numbers: `Interpreter.run` quantises a batch by the input's own scale
and zero point, feeds it one example at a time, and gives real numbers back. `Interpreter.invoke` is the same
without the arithmetic, integers in and integers out.

    interpreter = open_interpreter("model_int8.tflite")
    embedding = interpreter.run(patches)  # (n, frames, mels, 1) float32 -> (n, d) float32
"""

import contextlib
import functools
import importlib
import importlib.metadata
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from edgesea.errors import EdgeseaError, UsageError

log = logging.getLogger(__name__)

# (module that has Interpreter and OpResolverType, distribution that holds its version), best first.
RUNTIMES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow.lite.python.interpreter", "tensorflow"),
)

RESOLVERS = ("default", "reference")


@dataclass(frozen=True)
class Tensor:
    """One tensor of a model: what it is called, its form, and how its integers stand for real numbers.

    scale, zero_point : real = scale * (integer - zero_point); scale is 0.0 for a tensor without quantisation
        and for one that is quantised per channel (`per_channel`), which holds weights, never activations.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float = 0.0
    zero_point: int = 0
    per_channel: bool = field(default=False, repr=False)

    @property
    def bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def quantised(self) -> bool:
        return self.scale != 0.0

    def quantise(self, values: np.ndarray) -> np.ndarray:
        """Real numbers -> this tensor's type, as TFLite's QUANTIZE: float32 division, halves away from zero.

        Values outside the tensor's range saturate. Without quantisation this only changes the type.
        """
        if not self.quantised:
            return np.asarray(values, self.dtype)
        steps = (np.asarray(values, np.float32) / np.float32(self.scale)).astype(np.float64)
        rounded = np.copysign(np.floor(np.abs(steps) + 0.5), steps) + self.zero_point
        limits = np.iinfo(self.dtype)
        return np.clip(rounded, limits.min, limits.max).astype(self.dtype)

    def dequantise(self, values: np.ndarray) -> np.ndarray:
        """This tensor's integers -> float32; without quantisation the values as they are."""
        if not self.quantised:
            return np.asarray(values)
        return ((np.asarray(values, np.int64) - self.zero_point) * self.scale).astype(np.float32)


class Interpreter:
    """A loaded model, ready to run; made by `open_interpreter`.

    inputs, outputs : tuple of Tensor
    input, output : the first of each, which is the only one of a student
    runtime : (name, version) of the runtime underneath
    resolver : 'default' or 'reference'
    """

    def __init__(self, raw, *, resolver: str):
        self.raw = raw
        self.resolver = resolver
        self.runtime = runtime()
        self.inputs = tuple(_tensor(detail) for detail in raw.get_input_details())
        self.outputs = tuple(_tensor(detail) for detail in raw.get_output_details())

    @property
    def input(self) -> Tensor:
        return self.inputs[0]

    @property
    def output(self) -> Tensor:
        return self.outputs[0]

    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor of the model, inner ones and constants too, in the file's order."""
        return tuple(_tensor(detail) for detail in self.raw.get_tensor_details() if detail["name"])

    def find(self, name: str) -> Tensor:
        """The one tensor whose name is `name`, or else the one whose name ends in it."""
        return find_tensor(self.tensors(), name)

    def value(self, tensor: Tensor) -> np.ndarray:
        """A copy of what a tensor holds now; an inner one is only there with `preserve_all`."""
        try:
            return self.raw.get_tensor(tensor.index)
        except ValueError as error:
            raise UsageError(
                f"the inner tensor {tensor.name!r} was not kept: open the model with preserve_all=True"
            ) from error

    def invoke(self, example: np.ndarray) -> np.ndarray:
        """Runs one example as it is, in the input's own type and number of values -> the first output."""
        self._feed(np.asarray(example, self.input.dtype))
        return self.raw.get_tensor(self.output.index)

    def run(self, batch: np.ndarray, tensors: Sequence[Tensor] | None = None):
        """Runs every example of `batch`, real numbers in and out.

        batch : (n, ...) float32, each example as many values as the input holds
        tensors : which tensors to read after each example; by default the first output

        Returns (n, ...) float32 for the first output, or a tuple of such arrays for `tensors`; a tensor's own
        leading batch dimension of 1 is dropped.
        """
        wanted = (self.output,) if tensors is None else tuple(tensors)
        results = [np.empty((len(batch), *_example_shape(tensor)), np.float32) for tensor in wanted]
        for row, example in enumerate(batch):
            self._feed(self.input.quantise(example))
            for tensor, result in zip(wanted, results, strict=True):
                result[row] = tensor.dequantise(self.value(tensor)).reshape(result[row].shape)
        return results[0] if tensors is None else tuple(results)

    def _feed(self, example: np.ndarray) -> None:
        shape = self.input.shape
        if example.size != np.prod(shape):
            raise UsageError(
                f"the model takes {'x'.join(map(str, shape))} values an example, received {example.shape}: "
                "make the patches with the frontend that the model was trained on"
            )
        self.raw.set_tensor(self.input.index, example.reshape(shape))
        self.raw.invoke()


def open_interpreter(
    model: Path | str | bytes,
    *,
    threads: int = 1,
    resolver: str = "default",
    preserve_all: bool = False,
    expose: Sequence[str] = (),
) -> Interpreter:
    """Loads a .tflite, from a file or from its bytes, and allocates its tensors.

    resolver : 'default' is the fastest that the runtime has (XNNPACK); 'reference' is TFLite's reference
        kernels (BUILTIN_REF) without any delegate, which the C model is held to, bit by bit
    preserve_all : keep inner tensors for `Interpreter.value`; then no delegate runs, which is several times
        slower
    expose : names (or the ends of names) of inner tensors that become the model's outputs, in this order and
        in place of its own: the way to read a few of them at full speed

    Raises EdgeseaError where no runtime is installed or the model cannot be loaded, UsageError where the call
    is wrong.
    """
    if resolver not in RESOLVERS:
        raise UsageError(f"resolver must be one of {', '.join(RESOLVERS)}, received {resolver!r}")
    if not isinstance(threads, int) or threads < 1:
        raise UsageError(f"threads must be a whole number of at least 1, received {threads!r}")
    label = "the model" if isinstance(model, bytes) else str(model)
    content = model if isinstance(model, bytes) else _read(Path(model))
    if not content:
        raise EdgeseaError(f"{label} is empty: give a .tflite file")
    if expose:
        content = _expose(content, label, expose)
    return _load(content, label, threads=threads, resolver=resolver, preserve_all=preserve_all)


def runtime() -> tuple[str, str]:
    """(name, version) of the runtime that `open_interpreter` uses, such as ('ai-edge-litert', '2.3.0')."""
    return _runtime()[1:]


def find_tensor(tensors: Sequence[Tensor], name: str) -> Tensor:
    """The one tensor called `name`, or else the one whose name ends in it; UsageError for none or several."""
    matches = [tensor for tensor in tensors if tensor.name == name]
    matches = matches or [tensor for tensor in tensors if tensor.name.endswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(tensor.name for tensor in matches[:4])
        raise UsageError(f"{len(matches)} tensors have names that end in {name!r} ({names}): give more of it")
    last = ", ".join(tensor.name for tensor in tensors[-4:])
    raise UsageError(f"no tensor of the model has a name that ends in {name!r}: its last ones are {last}")


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keeps what C++ libraries print on file descriptor 2 from the terminal; it goes to the log at DEBUG.

    The libraries behind a .tflite (interpreter, converter) greet on stderr below Python's reach. Not for use
    around code of our own, whose warnings a user should see.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        try:
            saved = os.dup(2)
        except OSError:  # started without a stderr: there is nothing to keep quiet
            yield
            return
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            for line in file.read().decode("utf-8", "replace").splitlines():
                log.debug("%s", line)


@functools.cache
def _runtime() -> tuple[ModuleType, str, str]:
    for module, distribution in RUNTIMES:
        with contextlib.suppress(ImportError), quiet_stderr():
            found = importlib.import_module(module)
            return found, distribution, importlib.metadata.version(distribution)
    raise EdgeseaError("no TFLite runtime is installed: run `pip install ai-edge-litert`")


def _load(content: bytes, label: str, *, threads: int, resolver: str, preserve_all: bool) -> Interpreter:
    module, _, _ = _runtime()
    kinds = module.OpResolverType
    kind = kinds.AUTO
    if resolver == "reference":
        kind = kinds.BUILTIN_REF
    elif preserve_all:
        kind = kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        with quiet_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raw = module.Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_op_resolver_type=kind,
                experimental_preserve_all_tensors=preserve_all,
            )
            raw.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise EdgeseaError(f"{label} is not a .tflite that this runtime can load: {reason}") from error
    if not raw.get_input_details() or not raw.get_output_details():
        raise EdgeseaError(f"{label} has no input or no output: there is nothing to run")
    return Interpreter(raw, resolver=resolver)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path} cannot be read ({reason}): give the path of a .tflite file") from error


def _tensor(detail: dict) -> Tensor:
    parameters = detail["quantization_parameters"]
    scales = parameters["scales"]
    single = len(scales) == 1
    return Tensor(
        index=int(detail["index"]),
        name=detail["name"],
        shape=tuple(int(size) for size in detail["shape"]),
        dtype=np.dtype(detail["dtype"]),
        scale=float(scales[0]) if single else 0.0,
        zero_point=int(parameters["zero_points"][0]) if single else 0,
        per_channel=len(scales) > 1,
    )


def _example_shape(tensor: Tensor) -> tuple[int, ...]:
    return tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape


def _expose(content: bytes, label: str, names: Sequence[str]) -> bytes:
    """The same model with the named tensors as its outputs.

    A flatbuffer refers to a vector by an offset from the field that holds it, forwards: so the new list of
    outputs goes to the end of the file, and only that one field changes. The runtime has verified every
    offset of the file by the time this reads them.
    """
    tensors = _load(content, label, threads=1, resolver="reference", preserve_all=False).tensors()
    indices = [find_tensor(tensors, name).index for name in names]

    edited = bytearray(content)
    edited.extend(bytes(-len(edited) % 4))
    model = _u32(edited, 0)
    subgraphs = _target(edited, _field(edited, model, 2))
    subgraph = _target(edited, subgraphs + 4)
    outputs = _field(edited, subgraph, 2)
    edited[outputs : outputs + 4] = (len(edited) - outputs).to_bytes(4, "little")
    for number in (len(indices), *indices):
        edited.extend(number.to_bytes(4, "little"))
    return bytes(edited)


def _u32(content: bytearray, at: int) -> int:
    return int.from_bytes(content[at : at + 4], "little")


def _target(content: bytearray, at: int) -> int:
    return at + _u32(content, at)


def _field(content: bytearray, table: int, number: int) -> int:
    """Where field `number` of the flatbuffer table at `table` lies."""
    vtable = table - int.from_bytes(content[table : table + 4], "little", signed=True)
    slot = vtable + 4 + 2 * number
    return table + int.from_bytes(content[slot : slot + 2], "little")
