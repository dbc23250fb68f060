"""The SEA paper's released Student 3 (edgel3), as an embedding model to compare with or to distil from."""

from pathlib import Path

from edgesea import files
from edgesea.frontend import preset
from edgesea.recognise import Found
from edgesea.teacher import TeacherOptions
from edgesea.teachers.keras import KerasModel
from edgesea.teachers.model import ModelTeacher


def recognises(found: Found) -> bool:
    """Whether this is one of the paper's released students."""
    return found.kind == "edgel3"


def load(path: Path, options: TeacherOptions) -> ModelTeacher:
    """The released student as a teacher, with the frontend that it was trained with."""
    model = KerasModel(path, "open_released")
    teacher = ModelTeacher(path, TeacherOptions(frontend=preset("sea-8k")), model)
    # Its file decides all of it.
    teacher.fingerprint = files.sha256(path)
    return teacher
