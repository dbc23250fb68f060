"""The user's own class as a teacher, written `module:Class`: a subclass of `edgesea.teacher.Teacher`.

The class is made without arguments, or with the options where it takes them (`TeacherOptions`). Its module
has to be importable; Python finds those in the folders of PYTHONPATH.

It is code, so it runs only where this user named it in this call, on the command line or to
`edgesea.distill()`. A run or a configuration, which may be a stranger's, is not enough: then the environment
variable `EDGESEA_TEACHERS` has to name it.
"""

import hashlib
import importlib
import inspect
import os
from pathlib import Path

from edgesea.errors import UsageError
from edgesea.recognise import Found, parts, recognise
from edgesea.teacher import Teacher, TeacherOptions

ALLOWED = "EDGESEA_TEACHERS"

_typed: set[str] = set()


def typed(model: str) -> None:
    """Lets the classes that `model` names run, since the user typed it."""
    found = recognise(model)
    if found.kind == "class":
        _typed.add(model)
    elif found.kind == "several":
        for part in parts(model, found.kind):
            typed(part)


def recognises(found: Found) -> bool:
    """Whether this is the name of a class."""
    return found.kind == "class"


def load(path: Path, options: TeacherOptions) -> Teacher:
    """An instance of the class."""
    name = str(path)
    if name not in _typed and name not in os.environ.get(ALLOWED, "").split(","):
        raise UsageError(
            f"The teacher {name} is code that was not named in this call: set {ALLOWED}={name} to let it run."
        )
    module, _, attribute = name.partition(":")
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # A user's module may raise anything.
        raise UsageError(
            f"The teacher {name} cannot be imported ({type(error).__name__}: {error}): put its folder into "
            "PYTHONPATH, and see to it."
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Teacher)) or inspect.isabstract(kind):
        raise UsageError(
            f"{name} is no class of its own kind of edgesea.teacher.Teacher: derive it from there."
        )
    try:
        given = (options,) if inspect.signature(kind).parameters else ()
        teacher: Teacher = kind(*given)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"The teacher {name} cannot be made ({type(error).__name__}: {error}): see to its __init__."
        ) from error
    return _checked(name, teacher)


def _checked(name: str, teacher: Teacher) -> Teacher:
    """The same teacher, whose attributes are what `Teacher` says; its source is its fingerprint's default."""
    if not hasattr(teacher, "fingerprint"):
        source = inspect.getsource(inspect.getmodule(type(teacher)) or type(teacher))
        teacher.fingerprint = hashlib.sha256(source.encode()).hexdigest()
    if not hasattr(teacher, "name"):
        teacher.name = name
    for attribute, what in (("outputs", "a dict"), ("sample_rate", "in Hz"), ("samples", "of one frame")):
        if not hasattr(teacher, attribute):
            raise UsageError(
                f"The teacher {name} has no `{attribute}` ({what}): see edgesea.teacher.Teacher."
            )
    if len(tuple(teacher.outputs.get("embedding", ()))) != 1:
        raise UsageError(
            f"The teacher {name} has no output 'embedding' of shape (n,): see edgesea.teacher.Teacher."
        )
    return teacher
