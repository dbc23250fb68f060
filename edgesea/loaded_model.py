"""A .tflite loaded into this process: which runtime there is, what the model is made of, and its inferences.

Models from users and strangers are not loaded like this but by `edgesea.interpreter.open_interpreter`, which
does it in a process of their own, where this module runs.

`runtime` takes the first that is installed: ai-edge-litert (the maintained one), then tflite-runtime (what an
old device has), then tf.lite inside TensorFlow. They share one interface, so nothing after the choice knows
which it was.

Every example starts from the model's first state. Variable tensors are set back by the runtime. Resource
variables (VAR_HANDLE; what Keras layers with state become) it cannot set back: a model with them is loaded
anew for every example.
"""

import contextlib
import functools
import importlib
import importlib.metadata
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from edgesea.errors import EdgeseaError, UsageError

log = logging.getLogger(__name__)

# (module that has Interpreter and OpResolverType, distribution that holds its version), best first.
RUNTIMES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow.lite.python.interpreter", "tensorflow"),
)

# VAR_HANDLE: BuiltinOperator in TensorFlow's schema.fbs.
_VAR_HANDLE = 142


@dataclass(frozen=True)
class Tensor:
    """One tensor of a model: what it is called, its form, and how its integers stand for real numbers.

    shape : as it is now; placeholders of 1 where `signature` has -1, before the first inference
    signature : as the file declares it, -1 for sizes that the input decides
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
    signature: tuple[int, ...] = field(default=(), repr=False)

    @property
    def bytes(self) -> int:
        """Size of the values, in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def quantised(self) -> bool:
        """Whether one scale and zero point say what its integers mean."""
        return self.scale != 0.0

    @property
    def open_axes(self) -> tuple[int, ...]:
        """Axes whose size the file leaves open, the batch (the first of several axes) apart."""
        batch = len(self.signature) > 1
        return tuple(
            axis for axis, size in enumerate(self.signature) if size < 0 and not (batch and axis == 0)
        )

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

    def to_dict(self) -> dict:
        """The fields as JSON values; the type by name."""
        return asdict(self) | {"dtype": self.dtype.name}

    @classmethod
    def from_dict(cls, values: dict) -> "Tensor":
        """The tensor of which `values` is the `to_dict()`."""
        known = {key: tuple(held) if isinstance(held, list) else held for key, held in values.items()}
        fields: dict[str, Any] = {**known, "dtype": np.dtype(known["dtype"])}
        return cls(**fields)


class LoadedModel:
    """A model that is ready to run; made by `load`.

    inputs, outputs : tuple of Tensor
    input, output : the first of each, which is the only one of a student
    load_s : s from the file to an allocated interpreter, the runtime being there already
    """

    def __init__(self, content: bytes, label: str, open_raw: Callable[[], Any], *, resolver: str):
        start = time.perf_counter()
        self.raw = open_raw()
        self.load_s = time.perf_counter() - start
        self.label, self.resolver = label, resolver
        self._open_raw, self._used = open_raw, False
        self._resources = _VAR_HANDLE in _operator_codes(content)
        self.inputs = tuple(_tensor(detail) for detail in self.raw.get_input_details())
        self.outputs = tuple(_tensor(detail) for detail in self.raw.get_output_details())

    @property
    def input(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    @property
    def output(self) -> Tensor:
        """The first output."""
        return self.outputs[0]

    def tensors(self) -> tuple[Tensor, ...]:
        """Every tensor of the model, inner ones and constants too, in the file's order, as it is now."""
        return tuple(_tensor(detail) for detail in self.raw.get_tensor_details() if detail["name"])

    def value(self, tensor: int, name: str = "") -> np.ndarray:
        """A copy of what a tensor holds now, by its index; an inner one is only there with `preserve_all`."""
        try:
            return self.raw.get_tensor(tensor)
        except ValueError as error:
            raise UsageError(
                f"The inner tensor {name!r} was not kept: open the model with preserve_all=True."
            ) from error

    def infer(self, inputs: Sequence[np.ndarray]) -> None:
        """Runs one example, an array an input, each in the input's own type and number of values."""
        if len(inputs) != len(self.inputs):
            raise UsageError(
                f"{self.label} has {len(self.inputs)} inputs and received {len(inputs)}: give one array each."
            )
        self.reset()
        self._used = True
        for tensor, values in zip(self.inputs, inputs, strict=True):
            if values.size != np.prod(tensor.shape):
                raise UsageError(
                    f"{self.label} takes {'x'.join(map(str, tensor.shape))} values an example, received "
                    f"{values.shape}: make the patches with the frontend that the model was trained on."
                )
            self.raw.set_tensor(tensor.index, values.reshape(tensor.shape))
        self.invoke()

    def invoke(self) -> None:
        """Runs what the inputs hold, from the state that the model is in."""
        try:
            self.raw.invoke()
        except (ValueError, RuntimeError) as error:
            raise EdgeseaError(
                f"{self.label} does not run: {_sentence(error)}; convert it again, or give another."
            ) from error

    def reset(self) -> None:
        """Sets the model's state back to what it is before the first example."""
        if not self._used:
            return
        if self._resources:
            self.raw = self._open_raw()
        else:
            self.raw.reset_all_variables()

    def run(self, batch: np.ndarray, tensors: Sequence[int]) -> list[np.ndarray]:
        """Every example of `batch`, real numbers in -> for each tensor, by index, (n, ...) float32."""
        known = {tensor.index: tensor for tensor in (*self.outputs, *self.inputs)}
        if set(tensors) - set(known):
            known |= {tensor.index: tensor for tensor in self.tensors()}
        wanted = [known[index] for index in tensors]
        if len(batch) == 0:
            return [np.empty((0, *example_shape(tensor.shape)), np.float32) for tensor in wanted]
        results: list[list[np.ndarray]] = [[] for _ in wanted]
        for example in batch:
            self.infer([self.input.quantise(example)])
            for tensor, result in zip(wanted, results, strict=True):
                value = tensor.dequantise(self.value(tensor.index, tensor.name))
                result.append(value.astype(np.float32).reshape(example_shape(value.shape)))
        return [np.stack(result) for result in results]

    def outputs_of(self, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One example, in the inputs' own types -> every output in its own type."""
        self.infer(inputs)
        return [self.raw.get_tensor(tensor.index) for tensor in self.outputs]

    def described(self) -> dict:
        """What the other side of a sandbox has to know of it, as JSON values."""
        return {
            "runtime": list(runtime()),
            "engine": self.engine(),
            "load_s": self.load_s,
            "stateful": self._resources or any(code in _STATEFUL for code in self.operators()),
            "inputs": [tensor.to_dict() for tensor in self.inputs],
            "outputs": [tensor.to_dict() for tensor in self.outputs],
        }

    def tensors_described(self) -> list[dict]:
        """Every tensor's `to_dict()`."""
        return [tensor.to_dict() for tensor in self.tensors()]

    def operators(self) -> list[str]:
        """Names of the operators that run, `DELEGATE` for what a delegate took over."""
        # The runtimes have no public way to ask; all three have this one.
        return [detail["op_name"] for detail in self.raw._get_ops_details()]

    def engine(self) -> str:
        """Runtime, version, kernels and delegate: `ai-edge-litert 2.3.0, default kernels, XNNPACK`."""
        # Only the delegate that a runtime applies by itself can be there, and that is XNNPACK.
        delegate = "XNNPACK" if "DELEGATE" in self.operators() else "no delegate"
        return f"{' '.join(runtime())}, {self.resolver} kernels, {delegate}"


# Operators that keep something from one inference to the next.
_STATEFUL = frozenset(
    {
        *("VAR_HANDLE", "SVDF", "RNN", "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN"),
        *("UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM"),
    }
)


def load(
    model: str | bytes,
    *,
    label: str = "",
    threads: int = 1,
    resolver: str = "default",
    preserve_all: bool = False,
    expose: Sequence[str] = (),
    input_shape: Sequence[int] | None = None,
) -> LoadedModel:
    """Loads a .tflite into this process; for the options see `edgesea.interpreter.open_interpreter`."""
    label = label or ("The model" if isinstance(model, bytes) else str(model))
    start = time.perf_counter()
    content = model if isinstance(model, bytes) else _read(Path(model))
    if not content:
        raise EdgeseaError(f"{label} is empty: give a .tflite file.")
    reading_s = time.perf_counter() - start
    if expose:
        content = _expose(content, label, expose)
    loaded = _load(content, label, threads, resolver, preserve_all, input_shape)
    loaded.load_s += reading_s
    return loaded


def runtime() -> tuple[str, str]:
    """(name, version) of the runtime that models run on, such as ('ai-edge-litert', '2.3.0')."""
    return _runtime()[1:]


def prepare() -> None:
    """Imports the runtime, where there is one: what is forked from here has it already."""
    with contextlib.suppress(EdgeseaError):
        runtime()


def find_tensor(tensors: Sequence[Tensor], name: str) -> Tensor:
    """The one tensor called `name`, or else the one whose name ends in it; UsageError for none or several."""
    matches = [tensor for tensor in tensors if tensor.name == name]
    matches = matches or [tensor for tensor in tensors if tensor.name.endswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(tensor.name for tensor in matches[:4])
        raise UsageError(
            f"{len(matches)} tensors have names that end in {name!r} ({names}): give more of it."
        )
    last = ", ".join(tensor.name for tensor in tensors[-4:])
    raise UsageError(f"No tensor of the model has a name that ends in {name!r}: its last ones are {last}.")


def example_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A tensor's shape without its leading batch of 1."""
    return shape[1:] if shape[:1] == (1,) else shape


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
    raise EdgeseaError("No TFLite runtime is installed: run `pip install ai-edge-litert`.")


def _load(
    content: bytes,
    label: str,
    threads: int,
    resolver: str,
    preserve_all: bool,
    input_shape: Sequence[int] | None,
) -> LoadedModel:
    module, _, _ = _runtime()
    kinds = module.OpResolverType
    kind = kinds.AUTO
    if resolver == "reference":
        kind = kinds.BUILTIN_REF
    elif preserve_all:
        kind = kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES

    def open_raw():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                raw = module.Interpreter(
                    model_content=content,
                    num_threads=threads,
                    experimental_op_resolver_type=kind,
                    experimental_preserve_all_tensors=preserve_all,
                )
                _size_inputs(raw, label, input_shape)
                raw.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise EdgeseaError(
                f"{label} is not a .tflite that this runtime can load: {_sentence(error)}."
            ) from error
        if not raw.get_input_details() or not raw.get_output_details():
            raise EdgeseaError(f"{label} has no input or no output: there is nothing to run.")
        return raw

    return LoadedModel(content, label, open_raw, resolver=resolver)


def _size_inputs(raw, label: str, shape: Sequence[int] | None) -> None:
    """Gives the first input the shape that was asked for; refuses sizes that are open and not asked for."""
    tensors = [_tensor(detail) for detail in raw.get_input_details()]
    if shape is not None and tensors:
        first = tensors.pop(0)
        fixed = first.signature or first.shape
        if len(shape) != len(fixed) or any(a != b for a, b in zip(shape, fixed, strict=True) if b >= 0):
            raise UsageError(
                f"{label} takes an input of shape {_form(fixed)} and --input-shape says {_form(shape)}: "
                "give sizes for the question marks alone."
            )
        raw.resize_tensor_input(first.index, list(shape))
    for tensor in tensors:
        if tensor.open_axes:
            second = [max(size, 1) for size in tensor.signature]
            for axis in tensor.open_axes[-1:]:
                second[axis] = 16_000
            raise UsageError(
                f"{label} takes an input of shape {_form(tensor.signature)}, a length that its file leaves "
                f"open: measure it with `edgesea bench --input-shape {_form(second)}` or another length, or "
                "convert it with a fixed one."
            )


def _form(shape: Sequence[int]) -> str:
    return "x".join("?" if size < 0 else str(size) for size in shape)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{path} cannot be read ({reason}): give the path of a .tflite file.") from error


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())[:300].rstrip(".")


def _tensor(detail: dict) -> Tensor:
    parameters = detail["quantization_parameters"]
    scales = parameters["scales"]
    single = len(scales) == 1
    shape = tuple(int(size) for size in detail["shape"])
    # The runtime gives an empty signature where the file has none: then the shape is the signature.
    signature = tuple(int(size) for size in detail.get("shape_signature", ())) or shape
    return Tensor(
        index=int(detail["index"]),
        name=detail["name"],
        shape=shape,
        dtype=np.dtype(detail["dtype"]),
        scale=float(scales[0]) if single else 0.0,
        zero_point=int(parameters["zero_points"][0]) if single else 0,
        per_channel=len(scales) > 1,
        signature=signature,
    )


def _expose(content: bytes, label: str, names: Sequence[str]) -> bytes:
    """The same model with the named tensors as its outputs.

    A flatbuffer refers to a vector by an offset from the field that holds it, forwards: so the new list of
    outputs goes to the end of the file, and only that one field changes. The runtime has verified every
    offset of the file by the time this reads them.
    """
    tensors = _load(content, label, 1, "reference", False, None).tensors()
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


def _operator_codes(content: bytes) -> set[int]:
    """The builtin operators that a model names; called only after the runtime has verified its offsets."""
    model = _u32(content, 0)
    place = _field(content, model, 1)
    if place == model:
        return set()
    codes, vector = set(), _target(content, place)
    for number in range(_u32(content, vector)):
        table = _target(content, vector + 4 + 4 * number)
        old, new = _field(content, table, 0), _field(content, table, 3)
        codes.add(max(content[old] if old != table else 0, _u32(content, new) if new != table else 0))
    return codes


def _u32(content: bytes | bytearray, at: int) -> int:
    return int.from_bytes(content[at : at + 4], "little")


def _target(content: bytes | bytearray, at: int) -> int:
    return at + _u32(content, at)


def _field(content: bytes | bytearray, table: int, number: int) -> int:
    """Where field `number` of the flatbuffer table at `table` lies; `table` itself where it has none."""
    vtable = table - int.from_bytes(content[table : table + 4], "little", signed=True)
    slot = vtable + 4 + 2 * number
    if 2 * number + 4 >= int.from_bytes(content[vtable : vtable + 2], "little"):
        return table
    return table + int.from_bytes(content[slot : slot + 2], "little")
