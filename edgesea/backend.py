"""Loads TensorFlow and Keras without their greetings, which are not for users."""

import functools
import os

from edgesea.errors import UsageError


def ask_for_speed() -> None:
    """Has TensorFlow compute with oneDNN, unless the environment says otherwise; before it is loaded.

    Its own choice is oneDNN only on processors with instructions for int8 (VNNI). Training takes half of the
    time with it on the others too: see benchmarks/training.py.
    """
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


@functools.cache
def load() -> None:
    """Imports TensorFlow and starts its devices; the messages of its C++ parts go to the log at DEBUG."""
    from edgesea.interpreter import quiet_stderr

    ask_for_speed()
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
