"""Teachers that are TensorFlow SavedModels, run in a process of their own (`loaded_saved_model` runs there).

Which signature and which output is the embedding is said by `--teacher-tensor`: a signature, an output, or
SIGNATURE:OUTPUT. A model that takes waveforms of any length, as published ones often do, is asked one frame
at a time.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgesea.recognise import Found
from edgesea.sandbox import Sandbox, limits
from edgesea.teacher import TeacherOptions
from edgesea.teachers.model import ModelTeacher, Sandboxed, file_size

_BASE_BYTES, _BASE_S = 4 << 30, 60.0


def recognises(found: Found) -> bool:
    """Whether this is a SavedModel."""
    return found.kind == "saved-model"


def load(
    path: Path,
    options: TeacherOptions,
    *,
    named: Mapping[str, str] | None = None,
    name: str | None = None,
) -> ModelTeacher:
    """The teacher in a folder with a saved_model.pb.

    named : what is asked of it -> the signature's output, for a model that is known
    """
    return ModelTeacher(path, options, SavedModel(path, options, named), name=name)


class SavedModel(Sandboxed):
    """See `edgesea.teachers.model.Model`."""

    def __init__(self, path: Path, options: TeacherOptions, named: Mapping[str, str] | None = None):
        size = sum(file_size(each) for each in path.rglob("*") if each.is_file())
        sandbox = Sandbox(
            f"The teacher {path}",
            "edgesea.teachers.loaded_saved_model:open_saved_model",
            {
                "path": str(path.absolute()),
                "shown": str(path),
                "wanted": options.tensor,
                "named": dict(named or {}),
                "accelerator": options.accelerator,
            },
            limits=limits(size, base_bytes=_BASE_BYTES, base_s=_BASE_S),
            preload=("tensorflow", "keras"),
        )
        self.names = tuple(named or ("embedding",))
        super().__init__(sandbox)

    def run(self, frames: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Frames (B, ...) float32 -> each output by name, (B, ...) float32."""
        heard = self._heard(frames, list(names))
        return {name: np.concatenate([each[k] for each in heard]) for k, name in enumerate(names)}
