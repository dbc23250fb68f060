"""The teacher that comes with edgesea, for the demo and for trying things out.

It was trained on synthesised street sounds by `benchmarks/train_demo_teacher.py`; it knows no real sound.
"""

import dataclasses
from pathlib import Path

from edgesea.frontend import preset
from edgesea.teachers.base import TeacherOptions
from edgesea.teachers.tflite import TfliteTeacher

FILE = Path(__file__).with_name("demo_teacher.tflite")


def recognises(path: Path) -> bool:
    return str(path) == "demo"


def load(path: Path, options: TeacherOptions) -> TfliteTeacher:
    return TfliteTeacher(FILE, dataclasses.replace(options, tensor=None, frontend=preset("yamnet-16k")))
