"""Teachers that are .tflite files, with the embedding taken from the output or from a named inner tensor."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from edgesea.errors import UsageError
from edgesea.interpreter import open_interpreter
from edgesea.recognise import Found
from edgesea.teacher import TeacherOptions
from edgesea.teachers.model import ModelTeacher, cores, one_of_each

# Frames for which a further process is worth its messages.
_EACH = 16


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
        if options.accelerator == "gpu":
            raise UsageError(
                f"The teacher {path} is a .tflite, which runs on processors: say --accelerator cpu."
            )
        named = {"embedding": options.tensor, **further}
        exposed = {name: tensor for name, tensor in named.items() if tensor}
        self._open = partial(open_interpreter, path, threads=options.threads, expose=list(exposed.values()))
        self._model = self._open()
        self._models = [self._model]
        self._most = max(1, cores() // options.threads)
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
        wanted = [self._tensors[name] for name in names]
        # One process a core, each with a share of the frames: which one it is changes no number.
        while len(self._models) < min(self._most, len(frames) // _EACH):
            self._models.append(self._open())
        count = max(1, min(len(self._models), len(frames) // _EACH))
        if count == 1:
            return dict(zip(names, self._model.run(frames, wanted), strict=True))
        with ThreadPoolExecutor(count) as pool:
            asked = [
                pool.submit(model.run, part, wanted)
                for model, part in zip(self._models, np.array_split(frames, count), strict=False)
            ]
            heard = [each.result() for each in asked]
        return {name: np.concatenate([each[k] for each in heard]) for k, name in enumerate(names)}


def _takes_slices(shape: tuple[int, ...]) -> bool:
    """Whether an input is a few rows of a spectrogram, (1, rows, mels), and not a frame of it."""
    return len(shape) == 3 and shape[1] <= 10 and shape[2] > 1
