"""An ONNX model in the process of a sandbox."""

import numpy as np
import onnx
import onnxruntime

from edgesea.errors import EdgeseaError, UsageError

_BATCH = 8  # frames
_GPU = "CUDAExecutionProvider"


class LoadedOnnx:
    """A session, asked a few frames at a time where the file leaves the batch open, else one at a time."""

    def __init__(self, session: onnxruntime.InferenceSession):
        self._session = session
        self._input, self._output = session.get_inputs()[0], session.get_outputs()[0].name

    def input_shape(self) -> list[int | None]:
        """Of one example; an axis with a name is open, except that the first of several is the batch."""
        shape = [size if isinstance(size, int) and size > 0 else None for size in self._input.shape]
        return [1, *shape[1:]] if len(shape) > 1 and shape[0] is None else shape

    @property
    def _open_batch(self) -> bool:
        shape = self._input.shape
        return len(shape) > 1 and not (isinstance(shape[0], int) and shape[0] > 0)

    def _asked(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(self._session.run([self._output], {self._input.name: values})[0])

    def run(self, frames: np.ndarray) -> np.ndarray:
        """frames (B, ...) float32 -> (B, ...) float32."""
        shape = [size or -1 for size in self.input_shape()]
        if self._open_batch:
            parts = [frames[k : k + _BATCH] for k in range(0, len(frames), _BATCH)]
            given = [self._asked(part.reshape(len(part), *shape[1:])) for part in parts]
            if all(len(each) == len(part) for each, part in zip(given, parts, strict=True)):
                return np.concatenate(given, dtype=np.float32)
            # A file may leave its batch open and mix it all the same.
        heard = [self._asked(frame.reshape(shape)) for frame in frames]
        return np.stack([each[0] if each.shape[:1] == (1,) else each for each in heard]).astype(np.float32)


def open_onnx(
    path: str, shown: str, tensor: str | None, threads: int, accelerator: str = "cpu"
) -> LoadedOnnx:
    """The model in a .onnx; `tensor` is the name, or the end of the name, of the value that is wanted."""
    there = _GPU in onnxruntime.get_available_providers()
    if accelerator == "gpu" and not there:
        raise UsageError(
            f"There is no GPU that onnxruntime can run {shown} on: install onnxruntime-gpu, or say "
            "--accelerator cpu."
        )
    providers = ([_GPU] if there and accelerator != "cpu" else []) + ["CPUExecutionProvider"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        model = path if tensor is None else _with_output(path, tensor)
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except (MemoryError, UsageError):
        raise
    except Exception as error:  # onnxruntime's exceptions have no common base.
        reason = " ".join(str(error).replace(path, shown).split())[:300].rstrip(".")
        raise EdgeseaError(f"Cannot load the ONNX model {shown}: {reason}.") from error
    ends = len(session.get_inputs()), len(session.get_outputs())
    if ends != (1, 1):
        raise UsageError(
            f"The teacher {shown} has {ends[0]} inputs and {ends[1]} outputs: it has to have one input, and "
            "one output or a tensor named by --teacher-tensor."
        )
    if session.get_inputs()[0].type != "tensor(float)":
        raise UsageError(
            f"The teacher {shown} takes {session.get_inputs()[0].type}: give a model that takes float32."
        )
    return LoadedOnnx(session)


def _with_output(path: str, name: str) -> bytes:
    """The same model with the value of that name as its only output."""
    model = onnx.load(path)
    names = [each for node in model.graph.node for each in node.output if each]
    matching = [each for each in names if each == name] or [each for each in names if each.endswith(name)]
    if len(matching) != 1:
        raise UsageError(
            f"{len(matching)} values of the teacher have a name that ends in {name!r}: its last ones are "
            f"{', '.join(names[-4:])}."
        )
    del model.graph.output[:]
    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(matching[0]))
    return model.SerializeToString()
