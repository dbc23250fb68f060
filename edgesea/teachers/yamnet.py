"""YAMNet (AudioSet; TensorFlow model garden) as .tflite: waveform -> 1024-d embedding, 521 class scores.

The file takes 15,600 samples at 16 kHz, keeps its frontend inside, and gives 521 scores; the embedding is the
mean over its last feature map, an inner tensor.
"""

import dataclasses
from pathlib import Path

from edgesea.frontend import preset
from edgesea.recognise import Found
from edgesea.teacher import Teacher, TeacherOptions
from edgesea.teachers import tflite

EMBEDDING = "global_average_pooling2d/Mean"
SCORES = "Identity"


def recognises(found: Found) -> bool:
    """Whether this is YAMNet, by names that only its file has."""
    if found.kind != "tflite":
        return False
    content = found.path.read_bytes()
    return EMBEDDING.encode() in content and b"yamnet" in content.lower()


def load(path: Path, options: TeacherOptions) -> Teacher:
    """YAMNet as a teacher; another `options.tensor` is taken in place of its embedding."""
    tensor = options.tensor or EMBEDDING
    return tflite.load(
        path,
        dataclasses.replace(options, tensor=tensor, frontend=preset("yamnet-16k"), sample_rate=16_000),
        further={} if tensor == SCORES else {"scores": SCORES},
    )
