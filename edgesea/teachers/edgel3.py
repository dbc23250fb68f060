"""EdgeL3's published models (.h5): the SEA paper's students of 64 to 512 dimensions, and sparse L3 networks.

Sources: Srivastava et al., "Specialized Embedding Approximation for Edge Intelligence", ICASSP 2021 (8 kHz,
`edgel3_sea_ust_audio_emb_N.h5`); Kumari et al., "EdgeL3: Compressing L3-Net for Mote-Scale Urban Noise
Monitoring", IPDPSW 2019 (48 kHz, `edgel3_{ft,kd}_audio_sparsity_P.h5`). Both compute mel spectrograms as
kapre 0.1 does.
"""

import dataclasses
from pathlib import Path

from edgesea import files
from edgesea.frontend import Frontend, preset
from edgesea.recognise import Found
from edgesea.teacher import TeacherOptions
from edgesea.teachers.keras import KerasModel
from edgesea.teachers.model import ModelTeacher

SEA = preset("sea-8k")
# The same of a whole L3 network: 256 mels to 24 kHz.
SPARSE = dataclasses.replace(
    SEA,
    name="edgel3-48k",
    sample_rate=48_000,
    samples=48_000,
    fft_size=2048,
    window_length=2048,
    hop=242,
    frames=199,
    mels=256,
    fmax=24_000.0,
)
# The one that is checked to the last constant of its frontend.
STUDENT3 = "edgel3_sea_ust_audio_emb_64.h5"


def recognises(found: Found) -> bool:
    """Whether this is one of EdgeL3's models."""
    return found.kind == "edgel3" or (found.kind == "l3-weights" and found.path.name.startswith("edgel3"))


def load(path: Path, options: TeacherOptions) -> ModelTeacher:
    """The published model as a teacher, with the frontend that it was trained with."""
    frontend = SPARSE if "sparsity" in path.name else SEA
    teacher = ModelTeacher(path, TeacherOptions(frontend=frontend), _model(path, frontend))
    # Its file decides all of it.
    teacher.fingerprint = files.sha256(path)
    return teacher


def _model(path: Path, frontend: Frontend) -> KerasModel:
    others = any(f"emb_{size}" in path.name for size in (128, 256, 512))
    if frontend is SEA and not others:
        return KerasModel(path, "open_released")
    return KerasModel(
        path,
        "open_l3",
        module="edgesea.teachers.loaded_l3",
        frames=frontend.frames,
        mels=frontend.mels,
        pool=None,
    )
