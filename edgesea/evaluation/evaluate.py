"""Evaluates a student, float and int8, beside its teacher: fidelity in domain and outside, and a task.

Fidelity is looked at on what the student was distilled on, on the recordings of its domain that were kept
from it, and on the data given, where that is other data: how closely a student can match is decided by what
it was distilled on (Stanton et al., NeurIPS 2021).

The task is a head on frozen embeddings, over all labelled clips. Every clip is framed once and embedded by
everything that is compared. Heads (`HEADS`)
    logistic  logistic regression on the mean embedding of a clip, cross-validated by recording
    mlp       0 to 2 hidden layers on the mean embedding of a clip, on the splits of the dataset's authors
    mil       the same over its frames, joined by auto-pool, for labels that overlap
    auto      logistic where the authors gave no splits, else mil where labels overlap, else mlp
"""

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from edgesea import datasets, embed, levels, results, teachers
from edgesea.configured import load_teacher
from edgesea.datasets import Manifest
from edgesea.decisions.mil import Bags
from edgesea.errors import UsageError
from edgesea.evaluation import classes
from edgesea.evaluation.heads import FOLDS, SEEDS, SplitTask, Task, given_splits
from edgesea.examples import Examples, spread
from edgesea.exporting.bundle import Bundle, load_bundle
from edgesea.frontend import Frontend
from edgesea.interpreter import open_interpreter
from edgesea.measures.fidelity import fidelity
from edgesea.pairing import Pairing
from edgesea.progress import SILENT, Progress
from edgesea.recognise import advice, recognise
from edgesea.run import MOST_FRAMES, Run
from edgesea.store import NoColumn, Store
from edgesea.teachers import Teacher

HEADS = ("auto", "logistic", "mlp", "mil")
# Frames of the distillation set that fidelity is looked at on, at most.
DISTILLED_FRAMES = 5_000
_BATCH = 1024  # frames


@dataclass(frozen=True)
class Subject:
    """What is evaluated: int8 and float models of one student, and where its teacher is."""

    frontend: Frontend
    models: dict[str, bytes]  # 'float' and 'int8' -> .tflite
    run: Run | None
    folder: Path  # of the run or bundle that was named
    bundle: Bundle | None  # where it is one


def evaluate(
    target: Path | str,
    data: str,
    *,
    head: str = "auto",
    compare: Sequence[str] = (),
    progress: Progress = SILENT,
) -> dict:
    """Evaluates a run or a bundle on `data`.

    target : folder of a run or of a bundle
    data : what `edgesea.datasets.load` takes
    head : one of `HEADS`
    compare : further embedding models (what `edgesea.teachers.load` takes), for the task

    Returns JSON values, and keeps them in the run or bundle (see `results`)
        data : {'name', 'fingerprint', 'clips', 'frames'}
        fidelity : {'float', 'int8', 'on', 'parts'}; None for a bundle whose run is gone. Float and int8 are
            of the recordings that were held out where the data is the run's own, else of the data. parts: a
            list of {'part', 'in_domain', 'silent', 'float', 'int8'}, the distillation set first. Silent
            frames (see `edgesea.levels`), counted in 'silent', are left out; of a run that kept them, such a
            part is followed by itself without. See `fidelity.fidelity` for the figures. 'predictions' beside
            them, where the student was trained with a head: see `classes.Classes.judged`.
        decided : only of a bundle with a head or a memory: what the device will say, see
            `decided.score`; a bundle that gives scores alone has neither fidelity nor task.
        task : {'metric', 'teacher', 'float', 'int8', 'compared', 'intervals', 'per_class', 'head', ...}, by
            model; None where the clips have no labels, or too few, and no head was asked for.

    Raises `UsageError` for an unknown head, and for one that the data is not made for.
    """
    if head not in HEADS:
        raise UsageError(f"There is no head {head!r}: choose one of {', '.join(HEADS)}.")
    manifest = datasets.load(data)
    judge = _judge(manifest, head, progress)
    subject = _subject(Path(target))
    others = {Path(name).stem: teachers.load(name) for name in compare}
    held = None if subject.run is None else _writable(subject.run.folder / results.RUN_FOLDER)
    with tempfile.TemporaryDirectory() if held is None else nullcontext(held) as folder:
        folder = Path(folder)
        listening = _Listening(manifest, subject, folder, progress)
        frames = listening.frames()
        embeddings = {kind: _embed(frames, model, kind, progress) for kind, model in subject.models.items()}
        fidelity = _fidelity(listening, frames, embeddings) if embeddings else None
        answer = results.stamped(
            "evaluation",
            {
                "target": str(target),
                "data": {
                    "name": manifest.name,
                    "fingerprint": manifest.fingerprint,
                    "clips": len(manifest),
                    "frames": len(frames),
                },
                "fidelity": fidelity,
                "task": judge(listening, frames, embeddings, others) if judge and embeddings else None,
                **_decided(subject, manifest, progress),
            },
        )
    name = results.evaluation_name(answer["data"])
    place = (
        f"{results.FOLDER}/evaluation-{name}"
        if subject.bundle is not None
        else f"{results.RUN_FOLDER}/{name}"
    )
    results.keep(subject.folder, f"{place}.json", "evaluation", answer, progress)
    return answer


def _writable(folder: Path) -> Path | None:
    """`folder`, made where it is not there; None where nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError:
        return None


def _subject(target: Path) -> Subject:
    if (target / "manifest.json").is_file():
        bundle = load_bundle(target)
        if bundle.int16x8:
            raise UsageError(
                f"The bundle {target} holds an int16x8 model where float and int8 can be scored: "
                "name its run, or export with --int8."
            )
        files = {"float": bundle.float, "int8": bundle.int8}
        embeds = bundle.outputs[0] == "embedding"
        models = {kind: file.read_bytes() for kind, file in files.items() if file and embeds}
        return Subject(_frontend(bundle), models, _run_of(bundle), target, bundle)
    found = recognise(target)
    if found.kind not in ("run", "folder", "missing"):
        raise UsageError(advice(found, "evaluate"))
    run = Run.open(found.path)
    from edgesea.exporting.tflite import convert_float, convert_int8

    student = run.load_student()
    models = {"float": convert_float(student), "int8": convert_int8(student, run.calibration())}
    return Subject(run.frontend(), models, run, run.folder, None)


def own_data(target: Path | str) -> str:
    """The sound that a run, or the run that a bundle came from, was distilled on.

    Raises
    ------
    UsageError
        It is not known.
    """
    target = Path(target)
    run = _run_of(load_bundle(target)) if (target / "manifest.json").is_file() else Run.open(target)
    if run is None:
        raise UsageError(f"The run that the bundle {target} came from is not here: say --data.")
    return run.config.data


def _frontend(bundle: Bundle) -> Frontend:
    if bundle.frontend is None:
        raise UsageError(
            f"The bundle {bundle.path} does not say which frontend makes its patches: evaluate the "
            "run that it came from."
        )
    return bundle.frontend


def _run_of(bundle: Bundle) -> Run | None:
    """The run that a bundle says it came from; None where there is another, or none, in that place.

    A stranger's bundle may name any folder: it is taken where its results are those that the bundle tells.
    """
    provenance = bundle.manifest["provenance"]
    folder = provenance.get("run")
    if not isinstance(folder, str) or "\0" in folder or not Run(Path(folder)).metrics.is_file():
        return None
    run = Run(Path(folder))
    results = run.results()
    same = all(results[each] == provenance.get(each) for each in ("teacher", "data", "reducer"))
    return run if same and results["fidelity"]["held-out"] == provenance.get("fidelity") else None


class _Listening:
    """The frames of a manifest, as each model hears them: the same stretches of sound for all."""

    def __init__(self, manifest: Manifest, subject: Subject, folder: Path, progress: Progress):
        self.manifest, self.subject, self.progress = manifest, subject, progress
        self._folder = folder / manifest.fingerprint[:16]
        self.run = subject.run
        teacher = load_teacher(self.run.config) if self.run else None
        self.classes = classes.Classes(self.run) if self.run and self.run.classifier() else None
        further = self.classes.asked if self.classes else ()
        self.pairing = Pairing(teacher, subject.frontend, ("embedding", *further)) if teacher else None
        rate, samples = subject.frontend.sample_rate, subject.frontend.samples
        self.hop = self.run.hop() if self.run else samples / rate / 2

    @property
    def own(self) -> bool:
        """Whether the data is what the student was distilled on."""
        return self.run is not None and self.run.results()["data"]["fingerprint"] == self.manifest.fingerprint

    @property
    def keeps_silence(self) -> bool:
        """Whether the student was asked to learn silence too."""
        return self.run is not None and self.run.config.keep_silence

    def sounding(self, store: Store, rows: np.ndarray) -> np.ndarray:
        """Which of some rows are not silent, (N,) bool."""
        try:
            level = store.rows("level_db", rows)
        except NoColumn:  # Augmented frames of before levels were kept with them.
            return np.ones(len(rows), bool)
        # Only the run's own domain is measured with its calibration.
        own = self.run is not None and store.folder == self.run.domain
        return ~levels.silent(level, self.run.config.calibration_db if own else 0.0)

    def counted(self, store: Store) -> np.ndarray:
        """Which of all rows make up their clip's mean, (N,) bool: those that are not silent, unless silence
        is kept; all of a clip that is nothing but silent."""
        sounding = self.sounding(store, np.arange(len(store)))
        clip = store.column("clip")
        return sounding | self.keeps_silence | ~np.isin(clip, clip[sounding])

    def of_domain(self, clip: np.ndarray) -> tuple[list[str], list[tuple[str, ...]] | None]:
        """Of clips of the run's domain their recordings and labels; the clips, where that is not there."""
        try:
            domain = self.manifest if self.own else datasets.load(self.run.config.data)
        except UsageError:
            return list(map(str, clip)), None
        if domain.fingerprint != self.run.results()["data"]["fingerprint"]:
            return list(map(str, clip)), None
        return _known(domain, clip)

    def frames(self) -> Store:
        """Clip, start and patch of every frame; the teacher's embedding too where its teacher is known."""
        if self.own:
            return Store.open(self.run.domain)
        return self._store(self.pairing or Pairing(None, self.subject.frontend), patches=True)

    def heard_by(self, model: Teacher) -> Store:
        """Clip and embedding of every frame, by another model."""
        return self._store(Pairing(model, self.subject.frontend), patches=False)

    def _store(self, pairing: Pairing, *, patches: bool) -> Store:
        model = pairing.teacher.fingerprint if pairing.teacher else "none"
        made_from = {
            "model": model,
            "data": self.manifest.fingerprint,
            "frontend": pairing.frontend.to_dict(),
            "hop": self.hop,
            "patches": patches,
            # What came later is in it only where it is used: stores of before are still of the same making.
            **({"outputs": list(pairing.outputs)} if len(pairing.outputs) > 1 else {}),
        }
        further = "".join(f"-{output}" for output in pairing.outputs if output != "embedding")
        name = f"{model[:16]}-{pairing.frontend.name}{'-patches' if patches else ''}{further}"
        store = Store(self._folder / name, made_from)
        embed.embed(self.manifest, pairing, store, self.hop, patches=patches, progress=self.progress)
        return store


def _decided(subject: Subject, manifest: Manifest, progress: Progress) -> dict:
    """{'decided': what the device will say}; {} where it says nothing."""
    bundle = subject.bundle
    if bundle is None or bundle.decisions is None or not manifest.labels:
        return {}
    from edgesea.decisions.head import recording
    from edgesea.evaluation.decided import score

    held_out, clips, on = bundle.decisions["held_out"], None, "all clips"
    if held_out is not None and held_out["data"] == manifest.fingerprint:
        unused = set(held_out["recordings"])
        clips = [k for k in range(len(manifest)) if recording(manifest, k) in unused]
        on = "recordings that head and memory were not made from"
    return {"decided": {"on": on, **score(bundle, manifest, clips=clips, progress=progress)}}


def _embed(frames: Store, model: bytes, kind: str, progress: Progress) -> np.ndarray:
    """All frames through one .tflite: (frames, d) float32."""
    with progress.stage(kind, len(frames)) as advance:

        def patches():
            for shard in frames.shards:
                for start in range(0, len(shard), _BATCH):
                    batch = shard["patch"][start : start + _BATCH]
                    yield batch
                    advance(len(batch))

        return _through(model, patches())


def _fidelity(listening: _Listening, frames: Store, embeddings: dict[str, np.ndarray]) -> dict | None:
    run = listening.run
    if run is None:
        return None
    held_out = run.part("held-out")
    parts = []
    if (distilled := run.distilled(DISTILLED_FRAMES)) is not None:
        # An augmented frame is mixed of several recordings: there are no intervals by recording.
        parts += _parts("distillation set", True, listening, distilled)
    clip = held_out.store.rows("clip", held_out.rows)
    known = listening.of_domain(clip)
    if listening.own:
        ours = {kind: values[held_out.rows] for kind, values in embeddings.items()}
        asked = _parts("held-out recordings", True, listening, held_out, *known, ours)
    else:
        parts += _parts("held-out recordings", True, listening, held_out, *known)
        rows = spread(np.arange(len(frames)), MOST_FRAMES)
        examples = Examples(frames, rows, held_out.reducer, held_out.soft)
        known = _known(listening.manifest, frames.rows("clip", rows))
        ours = {kind: values[rows] for kind, values in embeddings.items()}
        asked = _parts("all frames", False, listening, examples, *known, ours)
    return {**{kind: asked[0][kind] for kind in embeddings}, "on": asked[0]["part"], "parts": parts + asked}


def _known(manifest: Manifest, clip: np.ndarray) -> tuple[list[str], list[tuple[str, ...]]]:
    """The recordings and the labels of some clips."""
    clips = [manifest.clips[k] for k in clip]
    return [str(each.group) for each in clips], [each.labels for each in clips]


def _parts(
    name: str,
    in_domain: bool,
    listening: _Listening,
    examples: Examples,
    groups: Sequence | None = None,
    labels: Sequence[tuple[str, ...]] | None = None,
    embeddings: dict[str, np.ndarray] | None = None,
) -> list[dict]:
    """Fidelity on some frames without the silent ones; with them, and then without, where the run kept them.

    A teacher's embedding of silence may lie far from that of all sound: then most of R² is to tell the two
    apart.
    """
    target = examples.targets()
    embeddings = embeddings or {
        kind: _through(model, _patches(examples)) for kind, model in listening.subject.models.items()
    }
    recordings = None if groups is None else np.asarray(groups)

    def part(name: str, picked: np.ndarray, silent: int = 0) -> dict:
        of = None if recordings is None else recordings[picked]
        figures = {kind: fidelity(target[picked], values[picked], of) for kind, values in embeddings.items()}
        found = {"part": name, "in_domain": in_domain, "silent": silent, **figures}
        if said := listening.classes:
            truth = None if labels is None else said.truth(labels)[picked]
            heard = dataclasses.replace(examples, rows=examples.rows[picked])
            ours = {kind: values[picked] for kind, values in embeddings.items()}
            found["predictions"] = said.judged(heard, ours, truth, of)
        return found

    sounding = listening.sounding(examples.store, examples.rows)
    whole = np.ones(len(target), bool)
    if not sounding.any():  # There is nothing else to look at.
        sounding = whole
    silent = int((~sounding).sum())
    if not listening.keeps_silence:
        return [part(name, sounding, silent)]
    return [part(name, whole)] + ([part(f"{name} without silence", sounding, silent)] if silent else [])


def _patches(examples: Examples) -> Iterator[np.ndarray]:
    """The patches of some frames, batch by batch."""
    for start in range(0, len(examples), _BATCH):
        yield examples.store.rows("patch", examples.rows[start : start + _BATCH])


def _through(model: bytes, patches: Iterable[np.ndarray]) -> np.ndarray:
    """Batches of patches through one .tflite: (N, d) float32."""
    interpreter = open_interpreter(model)
    return np.concatenate(
        [interpreter.run(batch.astype(np.float32)).reshape(len(batch), -1) for batch in patches]
    )


_Judge = Callable[[_Listening, Store, dict[str, np.ndarray], dict[str, Teacher]], dict | None]


def _judge(manifest: Manifest, head: str, progress: Progress) -> _Judge | None:
    """What scores the task with that head; None where `auto` finds nothing to score.

    Raises `UsageError` where a head was asked for that the data is not made for, before anything is embedded.
    """
    clips = manifest.clips
    if not manifest.labels:
        if head == "auto":
            return None
        raise UsageError(f"--head {head} needs labels, and no clip of {manifest.root} has one: leave it out.")
    # Where labels overlap, a clip with none of them is one in which nothing of them is heard.
    labelled = [k for k, clip in enumerate(clips) if clip.labels or manifest.multilabel]
    given = [k for k in labelled if clips[k].fold is not None]
    if head == "auto":
        enough = len({clips[k].fold for k in given}) >= 3
        head = ("mil" if manifest.multilabel else "mlp") if enough else "logistic"
    if head == "logistic":
        return _cross_validated
    given_splits([clips[k].fold for k in given])
    return partial(_trained, pooling="autopool" if head == "mil" else "mean", of=frozenset(given))


def _cross_validated(
    listening: _Listening, frames: Store, embeddings: dict[str, np.ndarray], others: dict[str, Teacher]
) -> dict | None:
    clips = listening.manifest.clips
    used = [k for k in np.unique(frames.column("clip")).tolist() if clips[k].labels]
    try:
        task = Task(tuple(clips[k].labels for k in used), tuple(str(clips[k].group) for k in used))
    except UsageError as error:  # The fidelity is an answer all the same.
        listening.progress.say(str(error))
        return None
    clip, counted = frames.column("clip"), listening.counted(frames)
    scores = {
        kind: task.score(_means([(values, clip)], counted, used)) for kind, values in embeddings.items()
    }
    if listening.run is not None:
        scores["teacher"] = task.score(_means(_embeddings(frames), counted, used))
    for name, model in others.items():
        heard = listening.heard_by(model)
        scores[name] = task.score(_means(_embeddings(heard), listening.counted(heard), used))
    return {
        **_answer(task.metric, {name: score["mean"] for name, score in scores.items()}, others),
        "sd": {name: score["sd"] for name, score in scores.items()},
        "intervals": {name: score["interval"] for name, score in scores.items()},
        "per_class": {name: score["classes"] for name, score in scores.items()},
        "c": {name: score["c"] for name, score in scores.items()},
        "predictions": classes.of_heads(
            {name: score["values"] for name, score in scores.items()}, task.labels, task.groups
        )
        if task.metric == "accuracy"
        else None,
        "head": "logistic regression on the mean embedding of a clip, C chosen by inner cross-validation, "
        f"{FOLDS} folds by recording, {SEEDS} seeds",
        **_size(task, range(len(used))),
    }


def _trained(
    listening: _Listening,
    frames: Store,
    embeddings: dict[str, np.ndarray],
    others: dict[str, Teacher],
    *,
    pooling: str,
    of: frozenset[int],
) -> dict:
    clips = listening.manifest.clips
    used = [k for k in np.unique(frames.column("clip")).tolist() if k in of]
    task = SplitTask(
        tuple(clips[k].labels for k in used),
        tuple(str(clips[k].group) for k in used),
        given_splits([clips[k].fold for k in used]),
    )

    def score(name: str, heard: Store, values: np.ndarray | None = None) -> dict:
        # Heads on large datasets take minutes: say on what.
        listening.progress.say(f"training heads on the embeddings of {name}")
        clip = heard.column("clip")
        rows = np.flatnonzero(np.isin(clip, used))
        embeddings = heard.rows("embedding", rows) if values is None else values[rows]
        return task.score(Bags.of(embeddings, clip[rows]), pooling)

    scores = {kind: score(kind, frames, values) for kind, values in embeddings.items()}
    if listening.run is not None:
        scores["teacher"] = score("teacher", frames)
    for name, model in others.items():
        scores[name] = score(name, listening.heard_by(model))
    figures = [
        each
        for each in ("accuracy", "micro_auprc", "macro_auprc")
        if all(each in found for found in scores.values())
    ]
    metric = figures[0]
    splits = (
        "train, validate and test as given" if len(task.splits) == 1 else f"{len(task.splits)} folds as given"
    )
    over = "mean embedding" if pooling == "mean" else "frames"
    return {
        **_answer(metric, {name: found[metric]["value"] for name, found in scores.items()}, others),
        "intervals": {
            name: {key: found[metric][key] for key in ("low", "high")} for name, found in scores.items()
        },
        "figures": {name: {key: found[key] for key in figures} for name, found in scores.items()},
        "per_class": {name: found["classes"] for name, found in scores.items()},
        "heads": {name: found["heads"] for name, found in scores.items()},
        "head": f"0 to 2 hidden layers on the {over} of a clip"
        f"{', joined by auto-pool' if pooling == 'autopool' else ''}, chosen on validation clips, {splits}",
        **_size(task, np.concatenate([test for *_, test in task.splits])),
    }


def _answer(metric: str, values: dict[str, float], others: dict[str, Teacher]) -> dict:
    return {
        "metric": metric,
        **{name: values.get(name) for name in ("teacher", "float", "int8")},
        "compared": {name: values[name] for name in others},
    }


def _size(task: Task | SplitTask, scored: Sequence[int] | np.ndarray) -> dict:
    recordings = {task.groups[k] for k in scored}
    return {"clips": len(scored), "classes": len(task.classes), "recordings": len(recordings)}


def _embeddings(store: Store) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The embeddings of a store and the clips that they are of, shard by shard."""
    return ((shard["embedding"], shard["clip"]) for shard in store.shards)


def _means(
    parts: Iterable[tuple[np.ndarray, np.ndarray]], counted: np.ndarray, used: Sequence[int]
) -> np.ndarray:
    """The mean embedding of each used clip, (clips, d) float64, over the frames that are `counted`.

    parts : (embeddings, clip of each), of consecutive frames; counted : (frames,) bool, of all of them
    """
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    first = 0
    for values, clip in parts:
        good = counted[first : first + len(clip)]
        first += len(clip)
        for k in np.unique(clip[good]).tolist():
            here = values[good & (clip == k)]
            sums[k] = sums.get(k, 0) + here.sum(axis=0, dtype=np.float64)
            counts[k] = counts.get(k, 0) + len(here)
    return np.stack([sums[k] / counts[k] for k in used])
