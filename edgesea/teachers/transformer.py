"""Audio transformers as .tflite, made by `benchmarks/train_transformer_teacher.py`: also scores and attention.

patch (1, 96, 64, 1) float32 of the frontend yamnet-16k -> embedding (n,), scores (classes,) with the sum 1,
attention (layers, heads, T, T) over T patches of the log-mel. The three are told apart by the names of their
tensors, which no other file has.
"""

import dataclasses
from pathlib import Path

from edgesea.frontend import preset
from edgesea.recognise import Found
from edgesea.teacher import Teacher, TeacherOptions
from edgesea.teachers import tflite

FRONTEND = "yamnet-16k"
EMBEDDING, SCORES, ATTENTION = (
    f"edgesea_transformer_{name}" for name in ("embedding", "scores", "attention")
)


def recognises(found: Found) -> bool:
    """Whether this is such a transformer, by names that only its file has."""
    if found.kind != "tflite":
        return False
    content = found.path.read_bytes()
    return all(name.encode() in content for name in (EMBEDDING, SCORES, ATTENTION))


def load(path: Path, options: TeacherOptions) -> Teacher:
    """The transformer as a teacher; another `options.tensor` is taken in place of its embedding."""
    tensor = options.tensor or EMBEDDING
    return tflite.load(
        path,
        dataclasses.replace(options, tensor=tensor, frontend=preset(FRONTEND)),
        further={"scores": SCORES, "attention": ATTENTION},
    )
