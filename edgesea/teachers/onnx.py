"""Teachers that are ONNX models, run by onnxruntime in a process of their own (`loaded_onnx` runs there)."""

from pathlib import Path

from edgesea.recognise import Found
from edgesea.sandbox import Sandbox, limits
from edgesea.teacher import TeacherOptions
from edgesea.teachers.model import ModelTeacher, Sandboxed, cores, file_size


def recognises(found: Found) -> bool:
    """Whether this is an ONNX model."""
    return found.kind == "onnx"


def load(path: Path, options: TeacherOptions) -> ModelTeacher:
    """The teacher in a .onnx file."""
    return ModelTeacher(path, options, _Onnx(path, options))


class _Onnx(Sandboxed):
    """See `edgesea.teachers.model.Model`."""

    def __init__(self, path: Path, options: TeacherOptions):
        sandbox = Sandbox(
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
        super().__init__(sandbox)
