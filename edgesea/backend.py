"""Loads TensorFlow and Keras without their greetings, which are not for users."""

import functools

from edgesea.errors import UsageError


@functools.cache
def load() -> None:
    """Imports TensorFlow and starts its devices; the messages of its C++ parts go to the log at DEBUG."""
    from edgesea.interpreter import quiet_stderr

    with quiet_stderr():
        import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_logical_devices()


def use(accelerator: str, what: str) -> None:
    """Makes TensorFlow run on a processor or on a GPU from here on; before it has run anything.

    accelerator : 'auto', 'cpu' or 'gpu'
    what : for the error where there is no GPU

    Raises `UsageError` for gpu where TensorFlow sees none.
    """
    import tensorflow as tf

    there = tf.config.list_physical_devices("GPU")
    if accelerator == "gpu" and not there:
        raise UsageError(
            f"There is no GPU that TensorFlow can run {what} on: see its page on GPUs, or "
            "say --accelerator cpu."
        )
    if accelerator == "cpu" and there:
        tf.config.set_visible_devices([], "GPU")
