"""Teachers: one file a kind, and one entry here.

A kind is a module with `recognises(found)`, which says whether what was handed over is its kind, and
`load(path, options) -> Teacher`. A new kind of teacher is one such module and one line in `TEACHERS`, or in
another package an entry point of the group `edgesea.teachers`; what a teacher has to be is in
`edgesea.teacher`.
"""

from edgesea.errors import UsageError
from edgesea.named import Registry
from edgesea.recognise import advice, recognise
from edgesea.teacher import Teacher, TeacherOptions

__all__ = ["TEACHERS", "Teacher", "TeacherOptions", "load"]

# Asked in this order: other packages' first, then the particular before the general.
TEACHERS = Registry(
    "teacher",
    {
        "demo": "edgesea.teachers.demo",
        "run": "edgesea.teachers.run",
        "bundle": "edgesea.teachers.bundle",
        "yamnet": "edgesea.teachers.yamnet",
        "transformer": "edgesea.teachers.transformer",
        "tflite": "edgesea.teachers.tflite",
        "edgel3": "edgesea.teachers.edgel3",
        "keras": "edgesea.teachers.keras",
        "onnx": "edgesea.teachers.onnx",
    },
    "edgesea.teachers",
)


def load(model: str, options: TeacherOptions | None = None) -> Teacher:
    """Loads a teacher.

    model : a path (.keras, .tflite, .onnx, the released .h5 of edgel3, a run, a bundle), or 'demo' for the
        one that comes with edgesea

    Raises `UsageError` for what is no teacher, saying what it is; `EdgeseaError` for one that cannot be
    loaded.
    """
    found = recognise(model)
    faults: list[UsageError] = []
    for module in TEACHERS.every(faults):
        if module.recognises(found):
            return module.load(found.path, options or TeacherOptions())
    if faults:
        # It may be what a package was installed for.
        raise faults[0]
    raise UsageError(advice(found, "teacher"))
