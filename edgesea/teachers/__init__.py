"""Teachers: one file a kind, and one entry here.

A kind is a module with `recognises(found)`, which says whether what was handed over is its kind, and
`load(path, options) -> Teacher`. A new kind of teacher is one such module and one line in `KINDS`; what a
teacher has to be is in `edgesea.teacher`.
"""

from importlib import import_module

from edgesea.errors import UsageError
from edgesea.recognise import advice, recognise
from edgesea.teacher import Teacher, TeacherOptions

__all__ = ["KINDS", "Teacher", "TeacherOptions", "load"]

# Asked in this order: the particular before the general.
KINDS = {
    "demo": "edgesea.teachers.demo",
    "run": "edgesea.teachers.run",
    "bundle": "edgesea.teachers.bundle",
    "yamnet": "edgesea.teachers.yamnet",
    "tflite": "edgesea.teachers.tflite",
    "edgel3": "edgesea.teachers.edgel3",
    "keras": "edgesea.teachers.keras",
    "onnx": "edgesea.teachers.onnx",
}


def load(model: str, options: TeacherOptions | None = None) -> Teacher:
    """Loads a teacher.

    model : a path (.keras, .tflite, .onnx, the released .h5 of edgel3, a run, a bundle), or 'demo' for the
        one that comes with edgesea

    Raises `UsageError` for what is no teacher, saying what it is; `EdgeseaError` for one that cannot be
    loaded.
    """
    found = recognise(model)
    for module in map(import_module, KINDS.values()):
        if module.recognises(found):
            return module.load(found.path, options or TeacherOptions())
    raise UsageError(advice(found, "teacher"))
