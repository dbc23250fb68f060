"""Audio transformers as .tflite of `benchmarks/train_transformer_teacher.py`: also scores and attention.

patch (1, 96, 64, 1) float32 of the frontend yamnet-16k -> embedding (n,), scores (classes,) with the sum 1,
attention (layers, heads, T, T) over T patches of the log-mel.
"""

import dataclasses
from pathlib import Path

from edgesea.frontend import preset
from edgesea.recognise import Found
from edgesea.teacher import Teacher, TeacherOptions
from edgesea.teachers import tflite

FRONTEND = "yamnet-16k"
# TFLite calls outputs so, in the order of their names.
ATTENTION, EMBEDDING, SCORES = "Identity", "Identity_1", "Identity_2"
MARK = "edgesea_transformer_attention"  # an inner tensor that no other file has


def recognises(found: Found) -> bool:
    """Whether this is such a transformer, by a name that only its file has."""
    return found.kind == "tflite" and MARK.encode() in found.path.read_bytes()


def load(path: Path, options: TeacherOptions) -> Teacher:
    """The transformer as a teacher; another `options.tensor` is taken in place of its embedding."""
    tensor = options.tensor or EMBEDDING
    return tflite.load(
        path,
        dataclasses.replace(options, tensor=tensor, frontend=preset(FRONTEND)),
        further={"scores": SCORES, "attention": ATTENTION},
    )
