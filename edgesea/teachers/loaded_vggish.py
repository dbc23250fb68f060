"""VGGish in the process of a sandbox: its network, with the weights of the published checkpoint.

Layers as in vggish_slim.py (TensorFlow model garden): 3x3 convolutions with ReLU of 64, 128, 256, 256, 512
and 512 filters, 2x2 max pooling after the first, second, fourth and sixth, then 4096, 4096 and 128 units
with ReLU between them.
"""

import numpy as np

from edgesea import backend
from edgesea.errors import EdgeseaError
from edgesea.teachers.loaded_keras import LoadedKeras

# Layer of the checkpoint -> filters, and whether a pooling follows.
_CONVOLUTIONS = {
    "conv1": (64, True),
    "conv2": (128, True),
    "conv3/conv3_1": (256, False),
    "conv3/conv3_2": (256, True),
    "conv4/conv4_1": (512, False),
    "conv4/conv4_2": (512, True),
}
_DENSE = {"fc1/fc1_1": (4096, "relu"), "fc1/fc1_2": (4096, "relu"), "fc2": (128, None)}


def network():
    """The network without weights: patch (B, 96, 64, 1) -> (B, 128)."""
    import keras
    from keras import layers

    x = patch = keras.Input((96, 64, 1))
    for name, (filters, pooled) in _CONVOLUTIONS.items():
        x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name.replace("/", "_"))(x)
        x = layers.MaxPooling2D(2, padding="same")(x) if pooled else x
    x = layers.Flatten()(x)
    for name, (units, activation) in _DENSE.items():
        x = layers.Dense(units, activation=activation, name=name.replace("/", "_"))(x)
    return keras.Model(patch, x, name="vggish")


def open_vggish(path: str, shown: str, layer: None) -> LoadedKeras:
    """The network with the weights of a checkpoint.

    Raises `EdgeseaError` where a weight is missing or of another shape.
    """
    backend.load()
    import tensorflow as tf

    model = network()
    try:
        reader = tf.train.load_checkpoint(path)
        for name in (*_CONVOLUTIONS, *_DENSE):
            found = model.get_layer(name.replace("/", "_"))
            weights = [reader.get_tensor(f"vggish/{name}/{kind}") for kind in ("weights", "biases")]
            if [each.shape for each in weights] != [tuple(each.shape) for each in found.weights]:
                raise ValueError(f"the weights of {name} have another shape")
            if not all(np.isfinite(each).all() for each in weights):
                raise ValueError(f"the weights of {name} hold NaN or infinity")
            found.set_weights(weights)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).replace(path, shown).split())[:200].rstrip(".")
        raise EdgeseaError(f"{shown} is not the checkpoint of VGGish ({reason}): fetch it again.") from error
    return LoadedKeras(model)
