"""A bundle as a teacher: its float model, or the int8 one where it has no other, on its own frontend."""

import dataclasses
from pathlib import Path

from edgesea.errors import UsageError
from edgesea.recognise import Found
from edgesea.teachers import tflite
from edgesea.teachers.base import Teacher, TeacherOptions


def recognises(found: Found) -> bool:
    """Whether this is a bundle of edgesea."""
    return found.kind == "bundle"


def load(path: Path, options: TeacherOptions) -> Teacher:
    """The teacher in a bundle: its float model, else its int8 model, with its frontend."""
    from edgesea.export.bundle import load_bundle

    bundle = load_bundle(path)
    file = bundle.float or bundle.int8
    if file is None:
        raise UsageError(f"The bundle {path} holds no .tflite: export it again.")
    return tflite.load(
        file, dataclasses.replace(options, frontend=bundle.frontend or options.frontend), name=bundle.name
    )
