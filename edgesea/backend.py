"""Loads TensorFlow and Keras without their greetings, which are not for users."""

import functools


@functools.cache
def load() -> None:
    """Imports TensorFlow and starts its devices; the messages of its C++ parts go to the log at DEBUG."""
    from edgesea.interpreter import quiet_stderr

    with quiet_stderr():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_logical_devices()
