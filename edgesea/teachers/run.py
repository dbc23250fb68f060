"""A finished run as a teacher: its student, on the student's own frontend."""

import dataclasses
from pathlib import Path

from edgesea.recognise import Found
from edgesea.teacher import TeacherOptions
from edgesea.teachers import keras


def recognises(found: Found) -> bool:
    return found.kind == "run"


def load(path: Path, options: TeacherOptions):
    from edgesea.run import Run

    run = Run.open(path)
    return keras.load(run.student_file, dataclasses.replace(options, frontend=run.frontend()), name=path.name)
