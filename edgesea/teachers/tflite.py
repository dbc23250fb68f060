"""Teachers that are .tflite files, with the embedding taken from the output or from a named inner tensor."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgesea.errors import UsageError
from edgesea.interpreter import open_interpreter
from edgesea.recognise import Found
from edgesea.teacher import TeacherOptions
from edgesea.teachers.model import ModelTeacher, one_of_each


def recognises(found: Found) -> bool:
    """Whether this is a .tflite, a damaged one too: then it is told what is amiss."""
    return found.kind == "tflite" or (found.path.suffix == ".tflite" and found.kind in ("unknown", "empty"))


def load(
    path: Path, options: TeacherOptions, *, further: Mapping[str, str] | None = None, name: str | None = None
) -> ModelTeacher:
    """The teacher in a .tflite.

    further : output beside the embedding, such as "scores" -> name of the tensor that holds it
    """
    return ModelTeacher(path, options, _Tflite(path, options, further or {}), name=name)


class _Tflite:
    """See `edgesea.teachers.model.Model`."""

    def __init__(self, path: Path, options: TeacherOptions, further: Mapping[str, str]):
        named = {"embedding": options.tensor, **further}
        exposed = {name: tensor for name, tensor in named.items() if tensor}
        self._model = open_interpreter(path, threads=options.threads, expose=list(exposed.values()))
        self.names = tuple(exposed) or ("embedding",)
        outputs = len(self._model.outputs)
        one_of_each(path, len(self._model.inputs), 1 if exposed else outputs, "tensor")
        self._tensors = dict(zip(self.names, self._model.outputs, strict=True))
        shape = self._model.input.shape
        if self._model.stateful and _takes_slices(shape):
            raise UsageError(
                f"The teacher {path} is a streaming model: it takes {' x '.join(map(str, shape))} slices and "
                "keeps the sound before them as state; give the model that takes a whole frame at a time."
            )
        self.input_shape = shape

    def run(self, frames: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        values = self._model.run(frames, [self._tensors[name] for name in names])
        return dict(zip(names, values, strict=True))


def _takes_slices(shape: tuple[int, ...]) -> bool:
    """Whether an input is a few rows of a spectrogram, (1, rows, mels), and not a frame of it."""
    return len(shape) == 3 and shape[1] <= 10 and shape[2] > 1
