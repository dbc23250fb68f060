"""The teacher that comes with edgesea, for the demo and for trying things out.

It was trained on synthesised street sounds by `benchmarks/train_demo_teacher.py`; it knows no real sound.
"""

import dataclasses
from pathlib import Path

from edgesea.frontend import preset
from edgesea.recognise import Found
from edgesea.teacher import Teacher, TeacherOptions
from edgesea.teachers import tflite

DIMENSION = 256
FILE = Path(__file__).with_name("demo_teacher.tflite")


def recognises(found: Found) -> bool:
    """Whether the demo's teacher was asked for."""
    return found.kind == "demo"


def load(path: Path, options: TeacherOptions) -> Teacher:
    """The demo's teacher, which hears synthesised streets; of the options only those of pooling count."""
    return tflite.load(FILE, dataclasses.replace(options, tensor=None, frontend=preset("yamnet-16k")))
