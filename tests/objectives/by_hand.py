"""The formulas of the papers once more, in loops over numbers, and differences in place of gradients."""

import math

import numpy as np


def softmax(values):
    largest = max(values)
    powers = [math.exp(value - largest) for value in values]
    return [power / sum(powers) for power in powers]


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a > 0)


def dot(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def unit(vector):
    length = math.sqrt(dot(vector, vector))
    return [float(x) / length for x in vector]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def gradient(function, at, step=1e-6):
    """Central differences of a scalar function of one array."""
    found = np.zeros_like(at)
    for place in np.ndindex(at.shape):
        moved = [at.copy(), at.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        found[place] = (function(moved[0]) - function(moved[1])) / (2 * step)
    return found


def tape(function, at):
    """TensorFlow's gradient of the same."""
    import tensorflow as tf

    variable = tf.Variable(at)
    with tf.GradientTape() as recorded:
        value = function(variable)
    return np.asarray(tf.convert_to_tensor(recorded.gradient(value, variable)))
