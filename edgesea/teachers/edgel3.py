"""The SEA paper's released Student 3 (edgel3), as an embedding model to compare with or to distil from."""

from pathlib import Path

import numpy as np

from edgesea import backend, files
from edgesea.teachers.base import TeacherOptions


def recognises(path: Path) -> bool:
    return path.suffix == ".h5"


def load(path: Path, options: TeacherOptions) -> "EdgeL3":
    return EdgeL3(path)


class EdgeL3:
    """See `edgesea.teachers.base.Teacher`."""

    def __init__(self, path: Path):
        backend.load()
        from edgesea.students.released import load_released

        self.name = path.stem
        self.fingerprint = files.sha256(path)
        self._model, self.frontend = load_released(path)
        self.dimension = self._model.output_shape[-1]
        self.sample_rate, self.samples = self.frontend.sample_rate, self.frontend.samples

    def embed(self, waveforms: np.ndarray) -> np.ndarray:
        return self._model.predict(self.frontend.patch(waveforms), verbose=0)
