"""Teachers: one file a kind, and one entry here.

An opener is a function (path, options) -> Teacher; `recognises(path)` says whether the file is its kind. A
new kind of teacher is one module with these two functions and one line in `KINDS`.
"""

from importlib import import_module
from pathlib import Path

from edgesea.errors import UsageError
from edgesea.teachers.base import Teacher, TeacherOptions

__all__ = ["KINDS", "Teacher", "TeacherOptions", "load"]

# Asked in this order: the particular before the general.
KINDS = {
    "demo": "edgesea.teachers.demo",
    "yamnet": "edgesea.teachers.yamnet",
    "tflite": "edgesea.teachers.tflite",
    "edgel3": "edgesea.teachers.edgel3",
    "keras": "edgesea.teachers.keras",
}


def load(model: str, options: TeacherOptions | None = None) -> Teacher:
    """Loads a teacher.

    model : a path (.keras, .tflite, the released .h5 of edgel3), or 'demo' for the one that comes with
    edgesea Raises `UsageError` for a path that is no teacher, `EdgeseaError` for one that cannot be loaded.
    """
    path = Path(model).expanduser()
    if model != "demo" and not path.exists():
        raise UsageError(f"There is no teacher at {model}: give a .keras or .tflite file, or `demo`.")
    for module in map(import_module, KINDS.values()):
        if module.recognises(path):
            return module.load(path, options or TeacherOptions())
    raise UsageError(f"Received {model} as teacher: give a .keras or .tflite file, or `demo`.")
