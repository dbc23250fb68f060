"""Sound in three classes that the small student of the export's tests tells apart, and a head for it."""

import csv

import numpy as np
import soundfile

RATE = 8000
PITCHES = {"high": 2600.0, "low": 250.0, "noise": 0.0}


def tones(folder, recordings: int = 8, seconds: float = 2.0, classes=tuple(PITCHES)):
    """A table of clips, one a recording: tones that come and go in silence, and noise."""
    random = np.random.default_rng(11)
    (folder / "audio").mkdir(parents=True)
    rows = []
    for label in classes:
        for number in range(recordings):
            time = np.arange(int(seconds * RATE)) / RATE
            pitch = PITCHES[label] * random.uniform(0.9, 1.1)
            sound = np.sin(2 * np.pi * pitch * time) if pitch else random.normal(0, 0.7, len(time))
            sound = 0.3 * sound * (np.sin(2 * np.pi * 2 * time + number) > -0.5)
            sound += random.normal(0, 0.001, len(time))
            soundfile.write(folder / "audio" / f"{label}-{number}.wav", sound, RATE, subtype="PCM_16")
            rows.append([f"audio/{label}-{number}.wav", label, f"{label}-{number}"])
    with open(folder / "clips.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "label", "group"], *rows])
    return folder


def heard_patches(folder, frontend, every: int = 4) -> np.ndarray:
    """The patches of all clips, (n, frames, mels, 1) float32."""
    from edgesea import datasets
    from edgesea.decisions import heard
    from edgesea.listen import listen

    manifest = datasets.load(folder)
    ears = listen.Frontend(frontend.to_dict())
    held = heard.hear(manifest, range(len(manifest)), ears, every, lambda p: {"p": p.reshape(len(p), -1)})
    return held.outputs["p"].reshape(-1, *frontend.patch_shape)


def exported(student, out, heard, frontend, deciding, **options):
    from edgesea.exporting import export_student

    limits = {"min_cosine": -1, "min_r2": -1e9, "onnx": False}
    return export_student(
        student,
        name="tones",
        out=out,
        calibration=heard[::2],
        held_out=heard[1::2],
        frontend=frontend,
        deciding=deciding,
        **limits | options,
    )
