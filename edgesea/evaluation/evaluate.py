"""Evaluates a student, float and int8, beside its teacher: fidelity on audio it never heard, and a task.

Every clip is framed once and embedded by everything that is compared. Where the data is the run's own,
fidelity is looked at on the recordings that were held out of it, on any other data on all frames. The task
is a head on the mean embedding of each clip, over all labelled clips, cross-validated by recording.
"""

import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesea import datasets, embed, teachers
from edgesea.datasets import Manifest
from edgesea.distill import load_teacher
from edgesea.errors import UsageError
from edgesea.evaluation.fidelity import fidelity
from edgesea.evaluation.heads import FOLDS, SEEDS, Task
from edgesea.examples import Examples, spread
from edgesea.export.bundle import Bundle, load_bundle
from edgesea.frontend import Frontend
from edgesea.interpreter import open_interpreter
from edgesea.pairing import Pairing
from edgesea.progress import SILENT, Progress
from edgesea.run import MOST_FRAMES, Run
from edgesea.store import Store
from edgesea.teachers import Teacher

_BATCH = 1024  # frames


@dataclass(frozen=True)
class Subject:
    """What is evaluated: int8 and float models of one student, and where its teacher is."""

    frontend: Frontend
    models: dict[str, bytes]  # 'float' and 'int8' -> .tflite
    run: Run | None


def evaluate(
    target: Path | str, data: str, *, compare: Sequence[str] = (), progress: Progress = SILENT
) -> dict:
    """Evaluates a run or a bundle on `data`.

    target : folder of a run or of a bundle
    data : what `edgesea.datasets.load` takes
    compare : further embedding models (what `edgesea.teachers.load` takes), for the task

    Returns JSON values: 'fidelity' {'float', 'int8', 'on'} (None for a bundle whose run is gone), 'task'
    {'metric', 'teacher', 'float', 'int8', 'compared', 'sd', ...} (None where the clips have no labels, or too
    few).
    """
    manifest = datasets.load(data)
    subject = _subject(Path(target))
    others = {Path(name).stem: teachers.load(name) for name in compare}
    with tempfile.TemporaryDirectory() if subject.run is None else nullcontext() as scratch:
        folder = Path(scratch) if scratch else subject.run.folder / "evaluation"
        listening = _Listening(manifest, subject, folder, progress)
        frames = listening.frames()
        embeddings = {kind: _embed(frames, model, kind, progress) for kind, model in subject.models.items()}
        return {
            "target": str(target),
            "data": {"name": manifest.name, "clips": len(manifest), "frames": len(frames)},
            "fidelity": _fidelity(listening, frames, embeddings),
            "task": _task(listening, frames, embeddings, others),
        }


def _subject(target: Path) -> Subject:
    if (target / "manifest.json").is_file():
        bundle = load_bundle(target)
        files = {"float": bundle.float, "int8": bundle.int8}
        models = {kind: file.read_bytes() for kind, file in files.items() if file}
        return Subject(_frontend(bundle), models, _run_of(bundle))
    run = Run.open(target)
    from edgesea.export.tflite import convert_float, convert_int8

    student = run.load_student()
    models = {"float": convert_float(student), "int8": convert_int8(student, run.calibration())}
    return Subject(run.frontend(), models, run)


def _frontend(bundle: Bundle) -> Frontend:
    if bundle.frontend is None:
        raise UsageError(
            f"The bundle {bundle.path} does not say which frontend makes its patches: evaluate the "
            "run that it came from."
        )
    return bundle.frontend


def _run_of(bundle: Bundle) -> Run | None:
    folder = (bundle.manifest.get("provenance") or {}).get("run")
    return Run(folder) if folder and Run(folder).metrics.is_file() else None


class _Listening:
    """The frames of a manifest, as each model hears them: the same stretches of sound for all."""

    def __init__(self, manifest: Manifest, subject: Subject, folder: Path, progress: Progress):
        self.manifest, self.subject, self.progress = manifest, subject, progress
        self._folder = folder / manifest.fingerprint[:16]
        self.run = subject.run
        teacher = load_teacher(self.run.config) if self.run else None
        self.pairing = Pairing(teacher, subject.frontend) if teacher else None
        rate, samples = subject.frontend.sample_rate, subject.frontend.samples
        self.hop = self.run.hop() if self.run else samples / rate / 2

    @property
    def own(self) -> bool:
        """Whether the data is what the student was distilled on."""
        return self.run is not None and self.run.results()["data"]["fingerprint"] == self.manifest.fingerprint

    def frames(self) -> Store:
        """Clip, start and patch of every frame, and the teacher's embedding where there is a teacher."""
        if self.own:
            return Store.open(self.run.domain)
        listener = self.pairing or Pairing(_Deaf(self.subject.frontend), self.subject.frontend)
        return self._store(listener, patches=True)

    def heard_by(self, model: Teacher) -> Store:
        """Clip and embedding of every frame, by another model."""
        return self._store(Pairing(model, self.subject.frontend), patches=False)

    def _store(self, pairing: Pairing, *, patches: bool) -> Store:
        made_from = {
            "model": pairing.teacher.fingerprint,
            "data": self.manifest.fingerprint,
            "frontend": pairing.frontend.to_dict(),
            "hop": self.hop,
            "patches": patches,
        }
        name = f"{pairing.teacher.fingerprint[:16]}-{pairing.frontend.name}{'-patches' if patches else ''}"
        store = Store(self._folder / name, made_from)
        embed.embed(self.manifest, pairing, store, self.hop, patches=patches, progress=self.progress)
        return store


class _Deaf:
    """Stands where a bundle's teacher is not known: every embedding is one zero."""

    name, fingerprint, dimension = "none", "none", 1

    def __init__(self, frontend: Frontend):
        self.frontend, self.sample_rate, self.samples = frontend, frontend.sample_rate, frontend.samples

    def embed(self, waveforms: np.ndarray) -> np.ndarray:
        return np.zeros((len(waveforms), 1), np.float32)


def _embed(frames: Store, model: bytes, kind: str, progress: Progress) -> np.ndarray:
    """All frames through one .tflite: (frames, d) float32."""
    interpreter = open_interpreter(model)
    parts = []
    with progress.stage(kind, len(frames)) as advance:
        for shard in frames.shards:
            for start in range(0, len(shard), _BATCH):
                patches = shard["patch"][start : start + _BATCH].astype(np.float32)
                parts.append(interpreter.run(patches).reshape(len(patches), -1))
                advance(len(patches))
    return np.concatenate(parts)


def _fidelity(listening: _Listening, frames: Store, embeddings: dict[str, np.ndarray]) -> dict | None:
    if listening.run is None:
        return None
    held_out = listening.run.part("held-out")
    if listening.own:
        rows, where = held_out.rows, "held-out recordings"
    else:
        rows, where = spread(np.arange(len(frames)), MOST_FRAMES), "all frames"
    target = Examples(frames, rows, held_out.reducer).targets()
    figures = {kind: fidelity(target, values[rows]) for kind, values in embeddings.items()}
    return {**figures, "on": where}


def _task(
    listening: _Listening, frames: Store, embeddings: dict[str, np.ndarray], others: dict[str, Teacher]
) -> dict | None:
    clips = listening.manifest.clips
    used = [k for k in np.unique(frames.column("clip")).tolist() if clips[k].labels]
    if not used:
        return None
    try:
        task = Task(tuple(clips[k].labels for k in used), tuple(str(clips[k].group) for k in used))
    except UsageError as error:  # The fidelity is an answer all the same.
        listening.progress.say(str(error))
        return None
    clip = frames.column("clip")
    scores = {kind: task.score(_clip_means(values, clip, used)) for kind, values in embeddings.items()}
    if listening.run is not None:
        scores["teacher"] = task.score(_store_means(frames, used))
    compared = {
        name: task.score(_store_means(listening.heard_by(model), used)) for name, model in others.items()
    }
    return {
        "metric": task.metric,
        **{name: scores[name]["mean"] if name in scores else None for name in ("teacher", "float", "int8")},
        "compared": {name: score["mean"] for name, score in compared.items()},
        "sd": {name: score["sd"] for name, score in {**scores, **compared}.items()},
        "head": "logistic regression on the mean embedding of a clip, "
        f"{FOLDS} folds by recording, {SEEDS} seeds",
        "clips": len(used),
        "classes": len({label for labels in task.labels for label in labels}),
        "recordings": len(set(task.groups)),
    }


def _clip_means(values: np.ndarray, clip: np.ndarray, used: Sequence[int]) -> np.ndarray:
    return np.stack([values[clip == k].mean(axis=0) for k in used])


def _store_means(store: Store, used: Sequence[int]) -> np.ndarray:
    """The mean embedding of each clip, shard by shard."""
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    for shard in store.shards:
        clip = shard["clip"]
        for k in np.unique(clip).tolist():
            here = shard["embedding"][clip == k]
            sums[k] = sums.get(k, 0) + here.sum(axis=0, dtype=np.float64)
            counts[k] = counts.get(k, 0) + len(here)
    return np.stack([sums[k] / counts[k] for k in used])
