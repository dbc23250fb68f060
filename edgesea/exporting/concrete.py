"""A Keras student as one TensorFlow function of fixed shape, with its weights inside: what converters take.

A batch of 1 is part of the shape, because a free batch dimension leaves SHAPE and PACK operators in the
result. Weights become constants here, because Keras 3 holds them where the converters do not look.
"""

import contextlib
import warnings
from collections.abc import Iterator

import numpy as np

from edgesea.errors import UsageError
from edgesea.interpreter import quiet_stderr

INPUT = "patch"
OUTPUT = "embedding"


def patch_shape(student) -> tuple[int, ...]:
    """The shape of one patch, (frames, mels, 1), as the student's input has it."""
    shape = getattr(student, "input_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:]:
        raise UsageError(
            "A student takes one patch [batch, frames, mels, 1] of known size, "
            f"the one to export takes {shape}: build it with keras.Input((frames, mels, 1))."
        )
    return shape[1:]


def embed(student, patches: np.ndarray) -> np.ndarray:
    """What Keras itself gives: patches (n, frames, mels, 1) float32 -> (n, d) float32."""
    return np.asarray(student.predict(patches, verbose=0), np.float32)


def concrete_function(student):
    """patch (1, frames, mels, 1) float32 -> embedding (1, d) float32, for inference, weights as constants."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = tf.TensorSpec((1, *patch_shape(student)), tf.float32, name=INPUT)
    traced = tf.function(lambda patch: student(patch, training=False)).get_concrete_function(signature)
    return convert_variables_to_constants_v2(traced)


@contextlib.contextmanager
def quiet_converter() -> Iterator[None]:
    """Keeps the converters' remarks to themselves: they go to the log at DEBUG."""
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
