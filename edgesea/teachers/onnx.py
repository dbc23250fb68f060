"""Teachers that are ONNX models, run by onnxruntime in a process of their own (`loaded_onnx` runs there)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgesea.recognise import Found
from edgesea.sandbox import Sandbox, limits
from edgesea.teacher import TeacherOptions
from edgesea.teachers.model import ModelTeacher, cores, file_size

_SENT = 64  # frames to the other process at a time


def recognises(found: Found) -> bool:
    """Whether this is an ONNX model."""
    return found.kind == "onnx"


def load(path: Path, options: TeacherOptions) -> ModelTeacher:
    """The teacher in a .onnx file."""
    return ModelTeacher(path, options, _Onnx(path, options))


class _Onnx:
    """See `edgesea.teachers.model.Model`."""

    names = ("embedding",)

    def __init__(self, path: Path, options: TeacherOptions):
        self._sandbox = Sandbox(
            f"The teacher {path}",
            "edgesea.teachers.loaded_onnx:open_onnx",
            {
                "path": str(path.absolute()),
                "shown": str(path),
                "tensor": options.tensor,
                "threads": max(options.threads, cores()),
                "accelerator": options.accelerator,
            },
            limits=limits(file_size(path), base_bytes=2 << 30, base_s=10.0),
        )
        self.input_shape = tuple(self._sandbox.call(":input_shape"))

    def run(self, frames: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        parts = [frames[start : start + _SENT] for start in range(0, len(frames), _SENT)]
        heard = [self._sandbox.call(":run", part, examples=len(part)) for part in parts]
        return {"embedding": np.concatenate(heard)}
