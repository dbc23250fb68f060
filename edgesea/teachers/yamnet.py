"""YAMNet (AudioSet; TensorFlow model garden): waveform -> 1024-d embedding, 521 class scores.

It hears 15,600 samples at 16 kHz. Three forms of it are recognised:
    .tflite       keeps its frontend inside and gives 521 scores; the embedding is the mean over its last
                  feature map, an inner tensor
    SavedModel    as published: waveforms of any length, frame by frame -> scores, embeddings, spectrogram
    .onnx         converted from either; takes the waveform or the patch
"""

import dataclasses
from pathlib import Path

from edgesea.frontend import preset
from edgesea.recognise import Found
from edgesea.teacher import Teacher, TeacherOptions
from edgesea.teachers import onnx, saved_model, tflite

FRONTEND = preset("yamnet-16k")
EMBEDDING = "global_average_pooling2d/Mean"
SCORES = "Identity"
# Of the SavedModel's one signature; export.py (research/audioset/yamnet) gives them in this order.
_PUBLISHED = {"embedding": "output_1", "scores": "output_0"}


def recognises(found: Found) -> bool:
    """Whether this is YAMNet, by names that only its files have."""
    if found.kind == "saved-model":
        return b"yamnet" in (found.path / "saved_model.pb").read_bytes().lower()
    if found.kind not in ("tflite", "onnx"):
        return False
    content = found.path.read_bytes()
    # What was converted to ONNX keeps the name if at all, and its tensors are called otherwise.
    return b"yamnet" in content.lower() and (found.kind == "onnx" or EMBEDDING.encode() in content)


def load(path: Path, options: TeacherOptions) -> Teacher:
    """YAMNet as a teacher; another `options.tensor` is taken in place of its embedding."""
    options = dataclasses.replace(options, frontend=FRONTEND, sample_rate=FRONTEND.sample_rate)
    # What takes waveforms of any length gets YAMNet's own.
    any_length = dataclasses.replace(options, seconds=FRONTEND.samples / FRONTEND.sample_rate)
    if path.is_dir():
        named = None if options.tensor else _PUBLISHED
        return saved_model.load(path, any_length, named=named, name="yamnet")
    if not _is_tflite(path):
        return onnx.load(path, any_length)
    tensor = options.tensor or EMBEDDING
    return tflite.load(
        path,
        dataclasses.replace(options, tensor=tensor),
        further={} if tensor == SCORES else {"scores": SCORES},
    )


def _is_tflite(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(8)[4:] == b"TFL3"
