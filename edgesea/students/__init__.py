"""Students: small Keras models, patch (frames, mels, 1) -> embedding (d,).

One file a family, one entry a name. A builder is a function (frames, mels, dimension) -> keras.Model.
"""

from collections.abc import Callable
from functools import partial

from edgesea.errors import UsageError
from edgesea.students.l3 import STUDENTS as L3_STUDENTS
from edgesea.students.separable import SIZES, separable

STUDENTS: dict[str, Callable] = {
    **{name: partial(separable, size, name=name) for name, size in SIZES.items()},
    **L3_STUDENTS,
}

DEFAULT = "separable-m"


def builder(name: str) -> Callable:
    """The builder of that name. Raises `UsageError` for an unknown one."""
    if name not in STUDENTS:
        raise UsageError(f"Unknown student {name!r}: choose one of {', '.join(STUDENTS)}.")
    return STUDENTS[name]


def build(name: str, frames: int, mels: int, dimension: int):
    """A new, untrained student. Raises `UsageError` for an unknown name and for a patch that is too small."""
    make = builder(name)
    try:
        return make(frames=frames, mels=mels, dimension=dimension)
    except ValueError as error:
        raise UsageError(
            f"The student {name} cannot take patches of {frames} x {mels} ({str(error).splitlines()[0]}): "
            "choose another --student or --frontend."
        ) from error
