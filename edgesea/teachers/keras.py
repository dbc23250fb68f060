"""Teachers that are Keras 3 models (.keras), with the embedding taken from the output or from a named layer.

Models load in safe mode: a file that carries code is refused.
"""

from pathlib import Path

import numpy as np

from edgesea import backend
from edgesea.errors import EdgeseaError, UsageError
from edgesea.teachers.base import TeacherOptions, ear, fingerprint

_BATCH = 32  # frames


def recognises(path: Path) -> bool:
    return path.suffix == ".keras"


def load(path: Path, options: TeacherOptions) -> "KerasTeacher":
    return KerasTeacher(path, options)


class KerasTeacher:
    """See `edgesea.teachers.base.Teacher`."""

    def __init__(self, path: Path, options: TeacherOptions):
        self.name = path.stem
        model = _read(path, options.tensor)
        if len(model.inputs) != 1 or len(model.outputs) != 1:
            raise UsageError(
                f"The teacher {path} has {len(model.inputs)} inputs and {len(model.outputs)} outputs: it "
                "has to have one input, and one output or a layer named by --teacher-tensor."
            )
        if len(model.output_shape) != 2 or model.output_shape[1] is None:
            raise UsageError(
                f"The teacher {path} gives an output of shape {model.output_shape}, and an embedding has the "
                "shape (batch, n): name the layer that is the embedding with --teacher-tensor."
            )
        self._model = model
        self._ear = ear(path, model.input_shape[1:], options)
        self.fingerprint = fingerprint(path, options)
        self.frontend = self._ear.frontend
        self.sample_rate, self.samples = self._ear.sample_rate, self._ear.samples
        self.dimension = model.output_shape[1]

    def embed(self, waveforms: np.ndarray) -> np.ndarray:
        frames = self._ear.frames(waveforms).reshape(len(waveforms), *self._model.input_shape[1:])
        # Some at a time: the feature maps of ten minutes of sound would fill the memory.
        parts = [frames[start : start + _BATCH] for start in range(0, len(frames), _BATCH)]
        return np.concatenate([self._model.predict_on_batch(part) for part in parts], dtype=np.float32)


def _read(path: Path, layer: str | None):
    backend.load()
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises every kind of exception for a file that is not what it expects.
        raise EdgeseaError(
            f"Cannot load the Keras model {path} ({str(error).splitlines()[0]}): it has to be a .keras file "
            "of Keras 3 without code of its own."
        ) from error
    if not getattr(model, "inputs", None):
        raise UsageError(
            f"The teacher {path} does not say what it takes: give the model a keras.Input and save it again."
        )
    if layer is None:
        return model
    matching = [each for each in model.layers if each.name == layer]
    matching = matching or [each for each in model.layers if each.name.endswith(layer)]
    if len(matching) != 1:
        names = ", ".join(each.name for each in model.layers[-4:])
        raise UsageError(
            f"{len(matching)} layers of {path} have a name that ends in {layer!r}: its last ones are {names}."
        )
    return keras.Model(model.inputs, matching[0].output)
