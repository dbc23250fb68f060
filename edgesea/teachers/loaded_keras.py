"""A Keras model in the process of a sandbox: opened in safe mode, its state set back before every batch."""

import numpy as np

from edgesea import backend
from edgesea.errors import EdgeseaError, UsageError

_BATCH = 32  # frames: the feature maps of ten minutes of sound would fill the memory


class LoadedKeras:
    """A model with one input and one output.

    State is what layers keep by their own word (`stateful`), and every variable that an inference changes.
    With any of it, each frame goes through alone.
    """

    def __init__(self, model):
        self._model = model
        self._fixed = model.input_shape[0]
        self._layers = [layer for layer in model._flatten_layers() if getattr(layer, "stateful", False)]
        self._kept: list[tuple] = []
        self._find_state()
        alone = bool(self._layers or self._kept)
        self._batch = 1 if alone else self._fixed or _BATCH

    def input_shape(self) -> list[int | None]:
        """The shape of one example, None for an axis of any size."""
        return list(self._model.input_shape[1:])

    def run(self, frames: np.ndarray) -> np.ndarray:
        """frames (B, ...) float32 -> (B, ...) float32."""
        frames = frames.reshape(len(frames), *(size or -1 for size in self._model.input_shape[1:]))
        parts = [frames[start : start + self._batch] for start in range(0, len(frames), self._batch)]
        return np.concatenate([self._one(part) for part in parts], dtype=np.float32)

    def _one(self, part: np.ndarray) -> np.ndarray:
        self._reset()
        count = len(part)
        if self._fixed and count < self._fixed:
            part = np.concatenate([part, np.zeros((self._fixed - count, *part.shape[1:]), part.dtype)])
        return np.asarray(self._model.predict_on_batch(part))[:count]

    def _reset(self) -> None:
        for layer in self._layers:
            (getattr(layer, "reset_state", None) or layer.reset_states)()
        for variable, value in self._kept:
            variable.assign(value)

    def _find_state(self) -> None:
        shape = self._model.input_shape[1:]
        if None in shape:
            return  # refused by who asked, since there is no frame of an open size
        variables = self._model.non_trainable_variables
        before = [np.array(variable) for variable in variables]
        noise = np.random.default_rng(0).normal(0, 0.1, (self._fixed or 1, *shape)).astype(np.float32)
        self._model.predict_on_batch(noise)
        self._kept = [
            (variable, value)
            for variable, value in zip(variables, before, strict=True)
            if not np.array_equal(np.array(variable), value, equal_nan=value.dtype.kind == "f")
        ]


def open_keras(path: str, shown: str, layer: str | None, accelerator: str = "auto") -> LoadedKeras:
    """The model in a .keras; `layer` is the name, or its end, of the one whose output is wanted."""
    backend.use(accelerator, shown)
    backend.load()
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except MemoryError:
        raise
    except Exception as error:  # Keras raises every kind of exception for a file that is not what it expects.
        reason = next(iter(str(error).replace(path, shown).splitlines()), type(error).__name__)
        raise EdgeseaError(
            f"Cannot load the Keras model {shown} ({reason}): it has to be a .keras file of Keras 3 without "
            "code of its own."
        ) from error
    if not getattr(model, "inputs", None):
        raise UsageError(
            f"The teacher {shown} does not say what it takes: give the model a keras.Input and save it again."
        )
    if layer is not None:
        model = keras.Model(model.inputs, _layer(model, shown, layer).output)
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise UsageError(
            f"The teacher {shown} has {len(model.inputs)} inputs and {len(model.outputs)} outputs: it "
            "has to have one input, and one output or a layer named by --teacher-tensor."
        )
    return LoadedKeras(model)


def open_released(path: str, shown: str, layer: str | None) -> LoadedKeras:
    """The SEA paper's Student 3."""
    backend.load()
    from edgesea.students.released import load_released

    return LoadedKeras(load_released(path)[0])


def _layer(model, shown: str, name: str):
    matching = [each for each in model.layers if each.name == name]
    matching = matching or [each for each in model.layers if each.name.endswith(name)]
    if len(matching) != 1:
        names = ", ".join(each.name for each in model.layers[-4:])
        raise UsageError(
            f"{len(matching)} layers of {shown} have a name that ends in {name!r}: its last ones are {names}."
        )
    return matching[0]
