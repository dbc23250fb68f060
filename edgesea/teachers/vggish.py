"""VGGish (AudioSet), from its published checkpoint: 0.975 s at 16 kHz -> 128-d.

Source: Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017; the file is
`vggish_model.ckpt` of the TensorFlow model garden, a checkpoint of TensorFlow 1. Its embedding is the last
layer's output as it is: the whitening and the eight bits of AudioSet's released features are left out.
A SavedModel of VGGish is recognised too.
"""

import dataclasses
from pathlib import Path

from edgesea.frontend import preset
from edgesea.recognise import Found
from edgesea.teacher import Teacher, TeacherOptions
from edgesea.teachers import saved_model
from edgesea.teachers.keras import KerasModel
from edgesea.teachers.model import ModelTeacher

# vggish_params.py: YAMNet's frontend but for the offset of the logarithm.
FRONTEND = dataclasses.replace(preset("yamnet-16k"), name="vggish-16k", offset=0.01)


def recognises(found: Found) -> bool:
    """Whether this is VGGish, by names that only its files have."""
    if found.kind == "saved-model":
        return b"vggish" in (found.path / "saved_model.pb").read_bytes().lower()
    return found.kind == "checkpoint"


def load(path: Path, options: TeacherOptions) -> Teacher:
    """VGGish as a teacher, with its own frontend."""
    if path.is_dir():
        hears = dataclasses.replace(
            options, sample_rate=FRONTEND.sample_rate, seconds=FRONTEND.samples / FRONTEND.sample_rate
        )
        return saved_model.load(path, dataclasses.replace(hears, pool=options.pool), name="vggish")
    model = KerasModel(path, "open_vggish", module="edgesea.teachers.loaded_vggish")
    return ModelTeacher(path, dataclasses.replace(options, frontend=FRONTEND, tensor=None), model)
