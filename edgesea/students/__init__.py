"""Students: small Keras models, patch (frames, mels, 1) -> embedding (d,).

One file a family, one entry a name; `base.py` says what a student is.
"""

from edgesea.errors import UsageError
from edgesea.named import Choice, Registry
from edgesea.students.base import Student

__all__ = ["DEFAULT", "STUDENTS", "Student", "build", "student"]

DEFAULT = "separable-m"

STUDENTS = Registry(
    "student",
    {
        "separable-s": "edgesea.students.separable:SMALL",
        "separable-m": "edgesea.students.separable:MEDIUM",
        "separable-w": "edgesea.students.separable:WIDE",
        "separable-l": "edgesea.students.separable:LARGE",
        "separable": "edgesea.students.separable:Separable",
        "inverted": "edgesea.students.inverted:Inverted",
        "factorised": "edgesea.students.factorised:Factorised",
        "temporal": "edgesea.students.temporal:Temporal",
        "transformer": "edgesea.students.transformer:Transformer",
        "student0": "edgesea.students.l3:STUDENT0",
        "student1": "edgesea.students.l3:STUDENT1",
        "student2": "edgesea.students.l3:STUDENT2",
        "student3": "edgesea.students.l3:STUDENT3",
    },
    "edgesea.students",
)


def student(choice: Choice | str) -> Student:
    """The student of a choice.

    Raises
    ------
    UsageError
        The name or an option is unknown, or a value cannot be.
    """
    return STUDENTS.options(Choice.of(choice, "student"))


def build(choice: Choice | str, frames: int, mels: int, dimension: int):
    """A new, untrained `keras.Model`: patch (B, frames, mels, 1) float32 -> embedding (B, dimension) float32.

    Raises
    ------
    UsageError
        The choice cannot be (see `student`), or the patch is too small for it.
    """
    choice = Choice.of(choice, "student")
    try:
        return student(choice).build(frames, mels, dimension, choice.name)
    except ValueError as error:
        raise UsageError(
            f"The student {choice} cannot take patches of {frames} x {mels} ({str(error).splitlines()[0]}): "
            "choose another --student or --frontend."
        ) from error
