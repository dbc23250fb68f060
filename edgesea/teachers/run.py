"""A finished run as a teacher: its student, on the student's own frontend."""

import dataclasses
from pathlib import Path

from edgesea.recognise import Found
from edgesea.teacher import Teacher, TeacherOptions
from edgesea.teachers import keras


def recognises(found: Found) -> bool:
    """Whether this is a finished run of edgesea."""
    return found.kind == "run"


def load(path: Path, options: TeacherOptions) -> Teacher:
    """A run's student as a teacher, with its frontend."""
    from edgesea.run import Run

    run = Run.open(path)
    return keras.load(run.student_file, dataclasses.replace(options, frontend=run.frontend()), name=path.name)
