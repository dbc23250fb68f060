"""Channels of a student share their layer's range: int8 loses less of it, float stays the same to the bit.

Behind a ReLU, a channel may be divided by s and the kernels that hear it multiplied by s: what the network
computes stays what it was (Nagel et al., "Data-free quantization through weight equalization and bias
correction", ICCV 2019, section 4.1). With powers of two for s, it stays so to the bit. An int8 activation has
one scale for all channels: where training has left one of them with sixty times the range of the others, as
long trainings with a high learning rate do, the others keep next to no steps of the 256.

For a channel of range r, heard by a 1 x 1 convolution with weights up to w beside the largest of their
output, s is sqrt(r / w) beside the other channels' mean: range and weights then share what is uneven about
it. Kernels of depthwise convolutions have a scale a channel, so there s is all of r.
"""

from collections import Counter

import numpy as np

_BATCH = 64


def equalise(model, patches: np.ndarray) -> None:
    """Evens out the ranges of channels between batch normalisation, ReLU and a convolution, in place.

    model : `keras.Model`, patch (B, frames, mels, 1) -> embedding; what hears a ReLU beside others (an
        addition, a branch) is left as it is
    patches : (n, frames, mels, 1) float32, of the domain, n > 0
    """
    found = _places(model)
    ranges = _ranges(model, [relu for _, relu, _ in found], patches)
    for (norm, _, heard), largest in zip(found, ranges, strict=True):
        factor = _factors(largest, heard)
        norm.gamma.assign(norm.gamma.numpy() / factor)
        norm.beta.assign(norm.beta.numpy() / factor)
        heard.kernel.assign(heard.kernel.numpy() * factor[:, None])


def _places(model) -> list[tuple]:
    """(batch normalisation, ReLU, convolution) each of which alone hears the one before."""
    import keras

    heard_by = Counter(id(tensor) for layer in model.layers for tensor in _inputs(layer))
    found = []
    for layer in model.layers:
        if type(layer) not in (keras.layers.Conv2D, keras.layers.DepthwiseConv2D) or not _takes(layer):
            continue
        relu = _before(layer)
        norm = _before(relu) if _plain(relu) else None
        if not isinstance(norm, keras.layers.BatchNormalization) or _before(norm) is None:
            continue
        if not (norm.scale and norm.center):
            continue
        if heard_by[id(relu.output)] == heard_by[id(norm.output)] == 1:
            found.append((norm, relu, layer))
    return found


def _inputs(layer) -> list:
    return [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]


def _before(layer):
    """The layer whose output a layer hears; None where it hears several."""
    tensors = _inputs(layer)
    return tensors[0]._keras_history.operation if len(tensors) == 1 else None


def _plain(layer) -> bool:
    """Whether a layer is a ReLU that passes on multiples as multiples."""
    import keras

    return isinstance(layer, keras.layers.ReLU) and (
        layer.max_value is None and not layer.negative_slope and not layer.threshold
    )


def _takes(layer) -> bool:
    """Whether each channel of the input has rows of the kernel of its own, kernel[..., channel, :]."""
    return getattr(layer, "groups", 1) == 1 and layer.data_format == "channels_last"


def _ranges(model, relus: list, patches: np.ndarray) -> list[np.ndarray]:
    """The largest value of every channel of some layers' outputs."""
    import keras

    if not relus:
        return []
    tapped = keras.Model(model.input, [relu.output for relu in relus])
    largest: list = [0.0] * len(relus)
    for start in range(0, len(patches), _BATCH):
        for place, values in enumerate(tapped(patches[start : start + _BATCH], training=False)):
            largest[place] = np.maximum(largest[place], values.numpy().max(axis=(0, 1, 2)))
    return largest


def _factors(ranges: np.ndarray, heard) -> np.ndarray:
    """s of every channel, powers of two with a mean of about 1; 1 for one that is never heard."""
    import keras

    uneven = np.asarray(ranges, np.float64)
    if not isinstance(heard, keras.layers.DepthwiseConv2D):
        kernel = np.abs(heard.kernel.numpy().astype(np.float64))
        beside = kernel / np.maximum(kernel.max(axis=(0, 1, 2)), np.finfo(np.float32).tiny)
        weight = beside.max(axis=(0, 1, 3))
        uneven = np.sqrt(np.divide(uneven, weight, out=np.zeros_like(uneven), where=weight > 0))
    alive = uneven > 0
    if not alive.any():
        return np.ones(len(uneven), np.float32)
    exponent = np.zeros(len(uneven))
    exponent[alive] = np.round(np.log2(uneven[alive]) - np.log2(uneven[alive]).mean())
    return np.exp2(exponent).astype(np.float32)
