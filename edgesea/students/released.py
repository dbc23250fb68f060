"""The SEA paper's own weights, `edgel3_sea_ust_audio_emb_64.h5`: its Student 3 for SONYC-UST (MIT).

The file was written by Keras 2.0.9 and kapre 0.1 and no current Keras loads it. Its numbers are read from the
HDF5 groups and put into our Student 3; nothing in the file is executed or unpickled. There, a patch is
(mels, frames); here, (frames, mels): every 3x3 kernel is transposed.
"""

import json
from pathlib import Path

import h5py
import keras
import numpy as np

from edgesea.errors import EdgeseaError, UsageError
from edgesea.frontend import Frontend, preset
from edgesea.students.l3 import FILTERS, l3_student

# Our layer -> the file's. Every batch norm has the number of the convolution before it, plus one.
_CONVOLUTIONS = {f"conv{i}": f"conv2d_{i}" for i in range(1, 8)} | {"conv8": "audio_embedding_layer"}
_NORMS = {f"norm{i}": f"batch_normalization_{i + 1}" for i in range(9)}
_NORM_WEIGHTS = ("gamma", "beta", "moving_mean", "moving_variance")

# What kapre's layer in the file has to say for `sea-8k` to be the same frontend.
_KAPRE = {
    "sr": 8000,
    "n_dft": 1024,
    "n_hop": 160,
    "n_mels": 64,
    "fmin": 0.0,
    "fmax": 4000.0,
    "htk": True,
    "norm": 1,
    "padding": "same",
    "power_spectrogram": 2.0,
    "power_melgram": 1.0,
    "return_decibel_spectrogram": False,
    "return_decibel_melgram": True,
}


def load_released(path: Path | str) -> tuple[keras.Model, Frontend]:
    """The released Student 3 and the frontend it was trained with, `sea-8k`.

    path : the .h5 file.
    Returns the Keras model, patch (B, 50, 64, 1) float32 -> embedding (B, 64) float32, >= 0; the frontend.
    Raises UsageError where there is no such file, EdgeseaError where it is not the released Student 3.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"There is no file {path}: give the path of edgel3_sea_ust_audio_emb_64.h5.")
    frontend = preset("sea-8k")
    model = l3_student(
        frontend.frames, frontend.mels, 64, FILTERS["student3"], ending="relu", name="released-student3"
    )
    try:
        with h5py.File(path, "r") as file:
            _check_frontend(file, path)
            for ours, theirs in _CONVOLUTIONS.items():
                _assign(
                    model, ours, [_weight(file, path, theirs, weight) for weight in ("kernel", "bias")], path
                )
            for ours, theirs in _NORMS.items():
                _assign(model, ours, [_weight(file, path, theirs, weight) for weight in _NORM_WEIGHTS], path)
            known = {*_CONVOLUTIONS.values(), *_NORMS.values(), "melspectrogram_1"}
            unknown = sorted(set(file["model_weights"]) - known)
            extra = [name for name in unknown if len(file["model_weights"][name])]
    except (OSError, RuntimeError) as error:
        raise EdgeseaError(f"{path} cannot be read as HDF5: fetch the released file again.") from error
    if extra:
        raise _not_student3(path, f"it has weights in a further layer `{extra[0]}`")
    return model, frontend


def _not_student3(path: Path, what: str) -> EdgeseaError:
    return EdgeseaError(f"{path} is not the released Student 3: {what}; use edgel3_sea_ust_audio_emb_64.h5.")


def _weight(file: h5py.File, path: Path, layer: str, weight: str) -> np.ndarray:
    """A layer's float32 weight, checked to be a plain dataset."""
    place = f"model_weights/{layer}/{layer}/{weight}:0"
    found = file.get(place)
    if not isinstance(found, h5py.Dataset):
        raise _not_student3(path, f"it has no weight `{place}`")
    if found.dtype != np.float32 or found.size > 1 << 20:
        raise _not_student3(path, f"its `{place}` is {found.dtype} of shape {found.shape}")
    return np.asarray(found[()])


def _assign(model: keras.Model, name: str, weights: list[np.ndarray], path: Path) -> None:
    layer = model.get_layer(name)
    expected = [tuple(weight.shape) for weight in layer.weights]
    received = [weight.shape for weight in weights]
    if received != expected:
        raise _not_student3(
            path, f"the weights for {layer.name} have shapes {received} instead of {expected}"
        )
    if not all(np.isfinite(weight).all() for weight in weights):
        raise _not_student3(path, f"the weights for {layer.name} hold NaN or infinity")
    layer.set_weights([weight.transpose(1, 0, 2, 3) if weight.ndim == 4 else weight for weight in weights])


def _check_frontend(file: h5py.File, path: Path) -> None:
    """Refuses a file whose kapre layer is not what `sea-8k` computes."""
    try:
        layers = json.loads(file.attrs["model_config"])["config"]["layers"]
        config = next(layer["config"] for layer in layers if layer["class_name"] == "Melspectrogram")
    except (KeyError, TypeError, ValueError, RecursionError, StopIteration):
        raise _not_student3(path, "its `model_config` describes no Melspectrogram layer") from None
    for field, expected in _KAPRE.items():
        if (received := config.get(field)) != expected:
            raise _not_student3(path, f"its frontend's `{field}` is {received!r} instead of {expected!r}")
