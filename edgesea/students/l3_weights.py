"""Weights of the L3 family as others publish them in HDF5: OpenL3's, EdgeL3's and SEA's of every dimension.

The files were written by Keras 2, as weights alone or as whole models. Layers are taken in the file's order,
as Keras itself does where it loads by order; what they hold has to be the layers of an L3 network: batch
norm, seven times convolution and batch norm, a last convolution, and, in SEA's, one more batch norm. Nothing
in the file is executed or unpickled.

There, a patch is (mels, frames); here, (frames, mels): every 3x3 kernel is transposed.
"""

from pathlib import Path

import h5py
import keras
import numpy as np

from edgesea.errors import EdgeseaError
from edgesea.students.l3 import l3_student

# Values of a weight; the largest that there is has 3 x 3 x 512 x 512.
_LARGEST = 1 << 23
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def load_l3(path: Path | str, shown: Path | str, frames: int, mels: int) -> keras.Model:
    """The network whose weights are in a file.

    shown : what the file is called in errors
    frames, mels : of the patch, which the weights do not say

    Returns a `keras.Model`, patch (B, frames, mels, 1) -> embedding (B, d); its layer `conv8`, or `relu8`
    in SEA's, gives the map before the pooling.
    Raises `EdgeseaError` for a file that is not of this layout.
    """
    try:
        with h5py.File(path, "r") as file:
            layers = _layers(file)
    except (OSError, RuntimeError, KeyError, ValueError, AttributeError, TypeError) as error:
        raise _other(
            shown, f"it cannot be read as Keras weights ({' '.join(str(error).split())[:100]})"
        ) from error
    kernels = [weights[0] for weights in layers if len(weights) == 2]
    norms = [weights for weights in layers if len(weights) == 4]
    if len(kernels) != 8 or len(norms) not in (8, 9) or len(layers) != len(kernels) + len(norms):
        raise _other(shown, f"it has {len(kernels)} convolutions and {len(norms)} batch norms")
    if not all(kernel.ndim == 4 and kernel.shape[:2] == (3, 3) for kernel in kernels):
        raise _other(shown, "its convolutions are not 3 x 3")
    filters = tuple(kernel.shape[3] for kernel in kernels)
    ending = "relu" if len(norms) == 9 else "none"
    model = l3_student(frames, mels, filters[7], filters[::2], ending=ending, name="l3")
    own = [layer for layer in model.layers if layer.weights]
    for layer, weights in zip(own, layers, strict=True):
        weights = [each.transpose(1, 0, 2, 3) if each.ndim == 4 else each for each in weights]
        expected = [tuple(each.shape) for each in layer.weights]
        if [each.shape for each in weights] != expected:
            raise _other(
                shown, f"its {layer.name} has shapes {[each.shape for each in weights]}, not {expected}"
            )
        if not all(np.isfinite(each).all() for each in weights):
            raise _other(shown, f"its {layer.name} holds NaN or infinity")
        layer.set_weights(weights)
    return model


def _layers(file: h5py.File) -> list[list[np.ndarray]]:
    """The weights of each layer that has some, in order, but for the constants of spectrograms."""
    root = file.get("model_weights", file)
    names = [_text(name) for name in root.attrs["layer_names"]]
    layers = []
    for name in names:
        group = root[name]
        weights = [_text(each) for each in group.attrs["weight_names"]]
        if weights and "spectrogram" not in name:
            layers.append([_weight(group, each) for each in _ordered(weights)])
    return layers


def _ordered(names: list[str]) -> list[str]:
    """Keras's own order, which files keep."""
    plain = [name.rsplit("/", 1)[-1].partition(":")[0] for name in names]
    wanted = _NORM if set(plain) == set(_NORM) else ("kernel", "bias")
    return [names[plain.index(each)] for each in wanted] if set(plain) == set(wanted) else names


def _weight(group: h5py.Group, name: str) -> np.ndarray:
    found = group[name]
    if not isinstance(found, h5py.Dataset) or found.dtype != np.float32 or found.size > _LARGEST:
        raise ValueError(f"{name} is no array of float32")
    return np.asarray(found[()])


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _other(shown: Path | str, what: str) -> EdgeseaError:
    return EdgeseaError(
        f"{shown} does not hold the weights of an L3 network: {what}; give the published file."
    )
