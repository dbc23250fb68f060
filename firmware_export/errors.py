"""What is raised for users: one tree, for this package and for those built on it.

Each error carries one sentence that names the file or option and says what to do. A program that prints that
sentence and exits with ``exit_code`` needs to catch ``UserError`` alone.
"""


class UserError(Exception):
    """Something that the user can act on."""

    exit_code = 1


class ModelError(UserError):
    """A .tflite that cannot be read or compiled: one sentence that names the place and the reason."""
