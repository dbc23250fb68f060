"""Teachers that are Keras 3 models (.keras), with the embedding taken from the output or from a named layer.

The model is loaded in safe mode (a file that carries code is refused), and in a process of its own
(`loaded_keras` runs there).
"""

from pathlib import Path
from typing import Any

from edgesea.recognise import Found
from edgesea.sandbox import Sandbox, limits
from edgesea.teacher import TeacherOptions
from edgesea.teachers.model import ModelTeacher, Sandboxed, file_size

# TensorFlow itself takes a good part of both before a model is there.
_BASE_BYTES, _BASE_S = 4 << 30, 60.0


def recognises(found: Found) -> bool:
    """Whether this is a Keras model."""
    return found.kind == "keras" or (found.path.suffix == ".keras" and found.path.is_file())


def load(path: Path, options: TeacherOptions, *, name: str | None = None) -> ModelTeacher:
    """The teacher in a .keras file; `name` is the file's by default."""
    return ModelTeacher(
        path,
        options,
        KerasModel(path, "open_keras", options.tensor, accelerator=options.accelerator),
        name=name,
    )


class KerasModel(Sandboxed):
    """See `edgesea.teachers.model.Model`; `opener` is a function of `module`, which gets `options` too."""

    def __init__(
        self,
        path: Path,
        opener: str,
        layer: str | None = None,
        *,
        module: str = "edgesea.teachers.loaded_keras",
        **options: Any,
    ):
        sandbox = Sandbox(
            f"The teacher {path}",
            f"{module}:{opener}",
            {"path": str(path.absolute()), "shown": str(path), "layer": layer, **options},
            limits=limits(file_size(path), base_bytes=_BASE_BYTES, base_s=_BASE_S),
            preload=("tensorflow", "keras"),
        )
        super().__init__(sandbox)
