"""Teachers that are .tflite files, with the embedding taken from the output or from a named inner tensor."""

from pathlib import Path

import numpy as np

from edgesea.errors import UsageError
from edgesea.interpreter import open_interpreter
from edgesea.teachers.base import TeacherOptions, ear, fingerprint


def recognises(path: Path) -> bool:
    return path.suffix == ".tflite"


def load(path: Path, options: TeacherOptions) -> "TfliteTeacher":
    return TfliteTeacher(path, options)


class TfliteTeacher:
    """See `edgesea.teachers.base.Teacher`."""

    def __init__(self, path: Path, options: TeacherOptions):
        self.name = path.stem
        self.fingerprint = fingerprint(path, options)
        expose = (options.tensor,) if options.tensor else ()
        self._model = open_interpreter(path, threads=options.threads, expose=expose)
        ends = len(self._model.inputs), len(self._model.outputs)
        if ends != (1, 1):
            raise UsageError(
                f"The teacher {path} has {ends[0]} inputs and {ends[1]} outputs: it has to "
                "have one input, and one output or a tensor named by --teacher-tensor."
            )
        self._ear = ear(path, self._model.input.shape, options)
        self.frontend = self._ear.frontend
        self.sample_rate, self.samples = self._ear.sample_rate, self._ear.samples
        self.dimension = int(np.prod(self._model.output.shape))

    def embed(self, waveforms: np.ndarray) -> np.ndarray:
        return self._model.run(self._ear.frames(waveforms)).reshape(len(waveforms), self.dimension)
