"""An ONNX model in the process of a sandbox."""

import numpy as np
import onnx
import onnxruntime

from edgesea.errors import EdgeseaError, UsageError


class LoadedOnnx:
    """A session, asked one frame at a time: many files fix their batch at 1."""

    def __init__(self, session: onnxruntime.InferenceSession):
        self._session = session
        self._input, self._output = session.get_inputs()[0], session.get_outputs()[0].name

    def input_shape(self) -> list[int | None]:
        """Of one example; an axis with a name is open, except that the first of several is the batch."""
        shape = [size if isinstance(size, int) and size > 0 else None for size in self._input.shape]
        return [1, *shape[1:]] if len(shape) > 1 and shape[0] is None else shape

    def run(self, frames: np.ndarray) -> np.ndarray:
        """frames (B, ...) float32 -> (B, ...) float32."""
        shape = [size or -1 for size in self.input_shape()]
        heard = [
            np.asarray(self._session.run([self._output], {self._input.name: frame.reshape(shape)})[0])
            for frame in frames
        ]
        return np.stack([each[0] if each.shape[:1] == (1,) else each for each in heard]).astype(np.float32)


def open_onnx(path: str, shown: str, tensor: str | None, threads: int) -> LoadedOnnx:
    """The model in a .onnx; `tensor` is the name, or the end of the name, of the value that is wanted."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    try:
        model = path if tensor is None else _with_output(path, tensor)
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
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
