"""YAMNet (AudioSet; TensorFlow model garden) as .tflite: waveform -> 1024-d embedding.

The file takes 15,600 samples at 16 kHz, keeps its frontend inside, and gives 521 scores; the embedding is the
mean over its last feature map, an inner tensor.
"""

import dataclasses
from pathlib import Path

from edgesea.frontend import preset
from edgesea.teachers.base import TeacherOptions
from edgesea.teachers.tflite import TfliteTeacher

EMBEDDING = "global_average_pooling2d/Mean"
SAMPLES = 15_600


def recognises(path: Path) -> bool:
    if path.suffix != ".tflite" or not path.is_file():
        return False
    content = path.read_bytes()
    return EMBEDDING.encode() in content and b"yamnet" in content.lower()


def load(path: Path, options: TeacherOptions) -> TfliteTeacher:
    return TfliteTeacher(
        path,
        dataclasses.replace(
            options, tensor=options.tensor or EMBEDDING, frontend=preset("yamnet-16k"), sample_rate=16_000
        ),
    )
