"""BirdNET v2.4 as .tflite: 3 s at 48 kHz -> 1024-d embedding and the logits of 6,522 classes.

Source: Kahl et al., "BirdNET: A deep learning solution for avian diversity monitoring", Ecological
Informatics 61 (2021); the file is `BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite`, on Zenodo as
`audio-model.tflite`, CC BY-NC-SA 4.0. Its spectrograms are part of the model. The embedding is what its
classifier looks at, an inner tensor.
"""

import dataclasses
from pathlib import Path

from edgesea.recognise import Found
from edgesea.teacher import Teacher, TeacherOptions
from edgesea.teachers import tflite

SAMPLE_RATE = 48_000
EMBEDDING = "GLOBAL_AVG_POOL/Mean"
SCORES = "Identity"


def recognises(found: Found) -> bool:
    """Whether this is BirdNET, by names that only its file has."""
    if found.kind != "tflite":
        return False
    content = found.path.read_bytes()
    return EMBEDDING.encode() in content and b"MEL_SPEC" in content


def load(path: Path, options: TeacherOptions) -> Teacher:
    """BirdNET as a teacher; another `options.tensor` is taken in place of its embedding."""
    tensor = options.tensor or EMBEDDING
    return tflite.load(
        path,
        dataclasses.replace(options, tensor=tensor, sample_rate=SAMPLE_RATE),
        further={} if tensor == SCORES else {"scores": SCORES},
    )
