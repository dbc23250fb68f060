"""Teachers: one file a kind, and one entry here.

A kind is a module with `recognises(found)`, which says whether what was handed over is its kind, and
`load(path, options) -> Teacher`. A new kind of teacher is one such module and one line in `TEACHERS`, or in
another package an entry point of the group `edgesea.teachers`; what a teacher has to be is in
`edgesea.teacher`.
"""

import dataclasses

from edgesea import weights
from edgesea.errors import UsageError
from edgesea.named import Registry
from edgesea.progress import SILENT, Progress
from edgesea.recognise import advice, recognise
from edgesea.teacher import Teacher, TeacherOptions

__all__ = ["TEACHERS", "Teacher", "TeacherOptions", "load"]

# Asked in this order: other packages' first, then the particular before the general.
TEACHERS = Registry(
    "teacher",
    {
        "demo": "edgesea.teachers.demo",
        "several": "edgesea.teachers.several",
        "pair": "edgesea.teachers.pair",
        "own": "edgesea.teachers.own",
        "run": "edgesea.teachers.run",
        "bundle": "edgesea.teachers.bundle",
        "yamnet": "edgesea.teachers.yamnet",
        "vggish": "edgesea.teachers.vggish",
        "birdnet": "edgesea.teachers.birdnet",
        "openl3": "edgesea.teachers.openl3",
        "transformer": "edgesea.teachers.transformer",
        "tflite": "edgesea.teachers.tflite",
        "edgel3": "edgesea.teachers.edgel3",
        "keras": "edgesea.teachers.keras",
        "onnx": "edgesea.teachers.onnx",
        "saved-model": "edgesea.teachers.saved_model",
        "ready": "edgesea.teachers.ready",
    },
    "edgesea.teachers",
)


def load(model: str, options: TeacherOptions | None = None, progress: Progress = SILENT) -> Teacher:
    """Loads a teacher.

    model : a path (a model file, a SavedModel, a run, a bundle, a file of embeddings), the name of a
        published one (`edgesea.weights`), 'demo' for the one that comes with edgesea, `module:Class`;
        `A,B` for several beside each other, `MEL+EMBEDDING` for a pair one behind the other
    progress : says how far a download is

    Raises `UsageError` for what is no teacher, saying what it is; `EdgeseaError` for one that cannot be
    loaded.
    """
    options = options or TeacherOptions()
    found = recognise(model)
    if found.kind == "named":
        published = weights.PUBLISHED[model]
        options = dataclasses.replace(options, tensor=options.tensor or published.tensor)
        found = recognise(weights.path(model, progress))
    faults: list[UsageError] = []
    for module in TEACHERS.every(faults):
        if module.recognises(found):
            return module.load(found.path, options)
    if faults:
        # It may be what a package was installed for.
        raise faults[0]
    raise UsageError(advice(found, "teacher"))
