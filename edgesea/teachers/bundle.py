"""A bundle as a teacher: its float model, or the integer one where it has no other, on its own frontend."""

import dataclasses
from pathlib import Path

from edgesea.errors import UsageError
from edgesea.recognise import Found
from edgesea.teacher import Teacher, TeacherOptions
from edgesea.teachers import tflite


def recognises(found: Found) -> bool:
    """Whether this is a bundle of edgesea."""
    return found.kind == "bundle"


def load(path: Path, options: TeacherOptions) -> Teacher:
    """The teacher in a bundle: its float model, else its integer model, with its frontend."""
    from edgesea.exporting.bundle import load_bundle

    bundle = load_bundle(path)
    file = bundle.float or bundle.integer
    if file is None:
        raise UsageError(f"The bundle {path} holds no .tflite: export it again.")
    return tflite.load(
        file, dataclasses.replace(options, frontend=bundle.frontend or options.frontend), name=bundle.name
    )
