"""Looks at a model as a teacher: what it is, what it takes and gives, and whether its answers make sense.

The first thing to do with a foreign model. It is asked about sound (yours, or synthesised streets), about the
same sound at half the amplitude, and about silence; what is odd in the answers is said in a sentence.
"""

import tempfile
import time
from pathlib import Path

import numpy as np

from edgesea import audio, datasets
from edgesea.datasets import Manifest, street
from edgesea.errors import UsageError
from edgesea.progress import SILENT, Progress
from edgesea.recognise import recognise
from edgesea.teacher import Teacher, TeacherOptions
from edgesea.teachers import load

FRAMES = 32  # of sound that it is asked about
_CLIPS = 16
# Of the dimensions; of YAMNet's, which end with a ReLU, 0.58 are zero on synthesised streets.
MOST_DEAD = 0.9


def check(
    model: str, options: TeacherOptions, data: str | None = None, *, progress: Progress = SILENT
) -> dict:
    """Answers to sound, as JSON values.

    model : what `edgesea.teachers.load` takes
    data : what `edgesea.datasets.load` takes; None asks about synthesised streets

    Returns kind, name, sample_rate, frame_seconds, frontend, outputs, dimension, milliseconds (a frame); of
    the embeddings the range of their values, constant_dimensions, silence_is_finite, and median cosines to
    those of the same sound at half the amplitude and of other sound; notes; faults, each a sentence on what
    makes it a bad teacher.
    """
    teacher = load(model, options, progress)
    seconds = round(teacher.samples / teacher.sample_rate, 6)
    found = {
        "kind": recognise(model).kind,
        "name": teacher.name,
        "sample_rate": teacher.sample_rate,
        "frame_seconds": seconds,
        "frontend": teacher.frontend.name if teacher.frontend else None,
        "outputs": {name: list(shape) for name, shape in teacher.outputs.items()},
        "dimension": teacher.dimension,
    }
    if not teacher.waveforms:
        return {**found, "hop": teacher.hop, "notes": list(teacher.notes), "faults": []}
    with tempfile.TemporaryDirectory() as folder:
        if data is None:
            street.synthesise(Path(folder) / "street", _CLIPS, seed=1, seconds=2 * seconds)
            data = str(Path(folder) / "street")
        frames = _frames(datasets.load(data), teacher)
    started = time.perf_counter()
    heard = teacher.embed(frames)
    milliseconds = 1000 * (time.perf_counter() - started) / len(frames)
    told = _judged(teacher, frames, heard)
    return {**found, "milliseconds": round(milliseconds, 2), **told, "notes": list(teacher.notes)}


def _frames(manifest: Manifest, teacher: Teacher) -> np.ndarray:
    """At most `FRAMES` frames of different clips, (B, samples)."""
    frames: list[np.ndarray] = []
    for clip in manifest.clips:
        try:
            end = (clip.start or 0.0) + 4 * teacher.samples / teacher.sample_rate
            waveform = audio.read(
                clip.path, teacher.sample_rate, start=clip.start, end=min(end, clip.end or end)
            )
        except audio.BadAudio:
            continue
        frames += list(audio.frame(waveform, teacher.samples, teacher.samples)[:2])
        if len(frames) >= FRAMES:
            break
    if len(frames) < 2:
        raise UsageError(f"Nothing in {manifest.root} can be used: give other sound with --data.")
    return np.stack(frames[:FRAMES])


def _judged(teacher: Teacher, frames: np.ndarray, heard: np.ndarray) -> dict:
    """Figures of the embeddings, and what is wrong with them."""
    silent = teacher.embed(np.zeros((1, teacher.samples), np.float32))[0]
    softer = teacher.embed(frames * np.float32(0.5))
    faults = []
    finite = np.isfinite(heard)
    if not finite.all():
        faults.append(
            f"It gives NaN or infinity for {(~finite.all(axis=1)).sum()} of {len(heard)} frames of sound."
        )
    values = np.where(finite, heard, 0.0)
    spread = values.std(axis=0)
    dead = int((spread <= 1e-6 * max(1e-12, np.abs(values).max())).sum())
    if dead == heard.shape[1]:
        faults.append("It gives the same embedding for every sound: it does not hear, or wants another rate.")
    elif dead > MOST_DEAD * heard.shape[1]:
        faults.append(
            f"{dead} of its {heard.shape[1]} dimensions never change: is another tensor the embedding "
            "(--teacher-tensor), or the frontend another one?"
        )
    return {
        "values": [round(float(values.min()), 6), round(float(values.max()), 6)],
        "constant_dimensions": dead,
        "silence_is_finite": bool(np.isfinite(silent).all()),
        "softer_cosine": _cosine(values, softer),
        "others_cosine": _cosine(values, np.roll(values, 1, axis=0)),
        "faults": faults,
    }


def _cosine(a: np.ndarray, b: np.ndarray) -> float | None:
    """Median over the rows; None where none has a direction."""
    scale = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    good = np.isfinite(scale) & (scale > 0)
    return round(float(np.median((a * b).sum(axis=1)[good] / scale[good])), 4) if good.any() else None
