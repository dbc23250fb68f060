"""Batch normalisation in one kernel while a student is trained.

Keras writes the normalisation of a batch as a chain of small operators, each of which reads or writes the
whole activation: half of a small student's training. TensorFlow has one kernel for all of it. The layers
stay Keras' own, so that a saved student is a plain Keras model; only what their instances call is another.
"""

import types


def fuse(model) -> None:
    """Makes the 4-D batch normalisations of a `keras.Model` train with TensorFlow's fused kernel.

    Ioffe and Szegedy, ICML 2015, algorithm 1. Equal to Keras' to rounding; inference is not touched.
    """
    import keras

    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization) and _fits(layer):
            layer.call = types.MethodType(_call, layer)


def _fits(layer) -> bool:
    plain = layer.scale and layer.center and not layer.renorm and not layer.synchronized
    return plain and layer.input_spec.ndim == 4 and layer.axis in (-1, 3) and layer.compute_dtype == "float32"


def _call(self, inputs, training=None, mask=None):
    if not training or not self.trainable or mask is not None:
        return type(self).call(self, inputs, training=training, mask=mask)
    import tensorflow as tf

    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        inputs, self.gamma, self.beta, epsilon=self.epsilon, is_training=True
    )
    # The kernel's variance is of the population (divided by count - 1), Keras remembers the batch's own.
    count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
    variance *= (count - 1) / count
    for held, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
        held.assign(held * self.momentum + new * (1.0 - self.momentum))
    return outputs
