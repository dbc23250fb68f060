"""One distillation: embed, sample, reduce, augment, train. Each stage leaves its result in the run's folder.

The SEA pipeline (Srivastava et al., ICASSP 2021, section 3), with augmentation added before the training. A
stage whose result is there is not repeated, so a killed call goes on where it stopped.
"""

import dataclasses
import time
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import numpy as np

from edgesea import (
    backend,
    datasets,
    embed,
    examples,
    files,
    levels,
    reduction,
    sampling,
    students,
    teachers,
)
from edgesea.datasets import Manifest, timesplit
from edgesea.errors import EdgeseaError, UsageError
from edgesea.examples import Examples, Fresh, spread
from edgesea.frontend import Frontend, preset
from edgesea.measures import fidelity
from edgesea.objectives import objective
from edgesea.objectives.base import Setting, predict
from edgesea.pairing import Pairing
from edgesea.progress import SILENT, Progress
from edgesea.run import PARTS, Config, Run, sounding, versions
from edgesea.split import Split
from edgesea.store import Store
from edgesea.students import saving
from edgesea.students.fused import fuse
from edgesea.train import Schedule, train

# A student below this R² on held-out recordings is hardly better than a constant.
LEARNT_NOTHING = 0.05
# Larger patches than this are not for a sensor: such a teacher's frontend is not taken over by default.
SENSOR_PATCH = 96 * 64


def distill(config: Config, out: Path | str, *, progress: Progress = SILENT) -> Run:
    """Runs all stages of one distillation and returns the finished run.

    Raises `UsageError` where the configuration cannot work, before anything is written; `EdgeseaError` where
    the work fails.
    """
    stages = _Stages(config, progress)
    stages.check()
    run = Run.start(out, config)
    if run.metrics.exists():
        progress.say(f"{run.folder} is finished: nothing to do.")
        return run
    stages.work(run)
    return run


def embed_domain(config: Config, out: Path | str, *, progress: Progress = SILENT) -> dict:
    """Writes the teacher's embeddings of the whole domain into the store `out`, without patches.

    Returns JSON values: clips, frames, dimension, skipped. Raises as `distill` does.
    """
    stages = _Stages(config, progress)
    store = Store(out, stages.made_from() | {"patches": False})
    stages.fill(store, patches=False)
    aside = embed.skipped(store)
    embed.aside(store).write(out, progress)
    return {
        "clips": len(stages.manifest),
        "frames": len(store),
        "dimension": stages.pairing.teacher.dimension,
        "skipped": len(aside),
    }


def load_teacher(config: Config):
    options = teachers.TeacherOptions(
        tensor=config.teacher_tensor,
        frontend=preset(config.teacher_frontend) if config.teacher_frontend else None,
        sample_rate=config.teacher_rate,
        pool=config.teacher_pool,
    )
    return teachers.load(config.teacher, options)


def student_frontend(config: Config, teacher: teachers.Teacher) -> Frontend:
    """What was asked for, else what the student was made for, else the teacher's own if it is small."""
    if config.frontend:
        return preset(config.frontend)
    if made_for := students.student(config.student).frontend:
        return preset(made_for)
    theirs = teacher.frontend
    if theirs is not None and theirs.frames * theirs.mels <= SENSOR_PATCH:
        return theirs
    return preset("sea-8k")


class _Stages:
    """The parts of one distillation; what is expensive to load is loaded when first used."""

    def __init__(self, config: Config, progress: Progress):
        self.config, self.progress = config, progress
        self.manifest = datasets.load(config.data)

    @cached_property
    def pairing(self) -> Pairing:
        teacher = load_teacher(self.config)
        for note in teacher.notes:
            self.progress.say(note)
        return Pairing(teacher, student_frontend(self.config, teacher))

    @cached_property
    def dimension(self) -> int:
        teacher = self.pairing.teacher.dimension
        return self.config.dim or reduction.REDUCERS.get(self.config.reducer.name).usual(teacher)

    @cached_property
    def split(self) -> Split:
        """No recording is in two parts, unless there are so few that time has to be split."""
        shares = dict(zip(PARTS, self.config.split, strict=True))
        frame_s = self.pairing.samples / self.pairing.sample_rate
        split = Split.of(self.manifest, shares, frame_s, self.config.seed)
        if split.frame_s is not None:
            held = timesplit.recordings(self.manifest)
            self.progress.say(
                f"{held} recording{'s are' if held > 1 else ' is'} too few to split by recording: split by "
                f"time, with {timesplit.gap(frame_s):.3g} s left out between parts"
            )
        return split

    def reducer(self, dimension: int) -> reduction.Reducer:
        """An unfitted one."""
        return reduction.reducer(self.config.reducer, dimension, self.config.seed)

    def check(self) -> None:
        """Everything that can be refused before the work begins."""
        # TensorFlow takes seconds to load: last, what needs it.
        wanted = objective(self.config.objective)
        sampling.sampler(self.config.sampler).check(self.manifest)
        self.reducer(self.config.dim or 1)
        labelled = all(clip.labels for clip in self.manifest.clips)
        wanted.check(self.pairing.teacher.outputs, labelled)
        if self.config.fresh and self.config.augmentation is None:
            raise UsageError(
                "--fresh makes new frames of the domain's for every epoch, and --no-augment trains on those "
                "that there are: leave one of them out."
            )
        if self.config.augmentation is not None and not self.pairing.teacher.waveforms:
            raise UsageError(
                f"The teacher {self.pairing.teacher.name} gives embeddings that were made before and cannot "
                "hear augmented sound: say --no-augment."
            )
        reducer = self.reducer(self.dimension)
        reducer.check(self.pairing.teacher.dimension)
        # What nobody asked for may be more than there is; what somebody did ask for is refused.
        asked = self.config.sample if self.config.sample != Config.sample else 0
        enough = max(asked, reducer.least)
        # Where no file has a header that can be read, decoding says what is wrong with each.
        pieces = tuple(piece for _, piece in self.split.pieces("train", self.manifest))
        trained_on = dataclasses.replace(self.manifest, clips=pieces)
        if there := embed.promised(trained_on, range(len(pieces)), self.pairing, self.hop, enough):
            sampling.check_size(asked, there)
            reducer.check_rows(min(there, self.config.sample))
        self._build()

    def _build(self):
        backend.load()
        import keras

        # One seed for the weights, and arithmetic in a fixed order: the same configuration, the same student.
        keras.utils.set_random_seed(self.config.seed)
        frontend = self.pairing.frontend
        return students.build(self.config.student, frontend.frames, frontend.mels, self.dimension)

    def work(self, run: Run) -> None:
        started = time.monotonic()
        config, progress = self.config, self.progress
        progress.say(
            f"{len(self.manifest)} clips of {self.manifest.name}; teacher {self.pairing.teacher.name} "
            f"({self.pairing.teacher.dimension}-d); student {config.student} ({self.dimension}-d) on "
            f"{self.pairing.frontend.name} patches"
        )
        domain = self._embed(run)
        rows = self._rows(run, domain)
        reducer = self._reduce(run, domain, rows["train"])
        trained_on = self._examples(run, domain, rows["train"], reducer)
        looked_at = {part: run.part(part) for part in PARTS}
        student = self._build()
        fuse(student)
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        schedule = Schedule(
            config.epochs,
            config.batch,
            config.learning_rate,
            config.weight_decay,
            config.patience,
            config.seed,
        )
        learner = objective(config.objective)
        steps = config.epochs * max(1, len(trained_on) // config.batch)
        learner.begin(
            Setting(
                student,
                self.pairing.teacher.outputs,
                schedule.optimizer(steps),
                config.seed,
            )
        )
        with trained_on if isinstance(trained_on, Fresh) else nullcontext():
            course = train(
                learner,
                trained_on,
                looked_at["validation"],
                schedule,
                run.checkpoints,
                run.tensorboard,
                progress=progress,
            )
        student = learner.deploy()
        with files.replacing(run.student_file) as temporary:
            saving.save(student, temporary)
        figures = {
            part: fidelity.fidelity(each.targets(), predict(student, each.patches()))
            for part, each in looked_at.items()
        }
        files.write_json(
            run.metrics,
            {
                "student": str(config.student),
                "parameters": student.count_params(),
                "dimension": self.dimension,
                "frontend": self.pairing.frontend.to_dict(),
                "teacher": {
                    "name": self.pairing.teacher.name,
                    "dimension": self.pairing.teacher.dimension,
                    "fingerprint": self.pairing.teacher.fingerprint,
                },
                "data": {
                    "name": self.manifest.name,
                    "fingerprint": self.manifest.fingerprint,
                    "clips": len(self.manifest),
                    "skipped": len(embed.skipped(domain)),
                    "frames": {part: len(rows[part]) for part in PARTS},
                    "silent": self.silent,
                },
                "reducer": reducer.report(),
                "fidelity": figures,
                "course": course,
                "seconds": time.monotonic() - started,
                "versions": versions(),
            },
        )
        # R² is None where the held-out sound is one frame.
        r2, cosine = figures["held-out"]["r2"], figures["held-out"]["cosine"]
        progress.say(
            f"held-out recordings: R² {'–' if r2 is None else f'{r2:.3f}'}, cosine {cosine:.3f}; "
            f"the run is in {run.folder}"
        )
        if r2 is not None and r2 < LEARNT_NOTHING:
            progress.say(
                f"The student learnt next to nothing of its teacher (R² {r2:.3f}; a constant has 0): give it "
                f"more than --frames {config.frames} or --epochs {config.epochs}, or more sound."
            )

    def made_from(self) -> dict:
        frontend = self.pairing.frontend
        return {
            "teacher": self.pairing.teacher.fingerprint,
            "data": self.manifest.fingerprint,
            "frontend": frontend.to_dict(),
            "hop": self.hop,
            "calibration_db": self.config.calibration_db,
        }

    @property
    def hop(self) -> float:
        return self.config.hop or self.pairing.samples / self.pairing.sample_rate / 2

    def fill(self, store: Store, *, patches: bool) -> None:
        """Writes what `store` lacks of the whole domain."""
        embed.embed(
            self.manifest,
            self.pairing,
            store,
            self.hop,
            patches=patches,
            calibration_db=self.config.calibration_db,
            most_bad_frames=self.config.max_bad_frames,
            progress=self.progress,
        )

    def _embed(self, run: Run) -> Store:
        domain = Store(run.domain, self.made_from())
        self.fill(domain, patches=True)
        embed.aside(domain).write(run.folder, self.progress)
        return domain

    def _rows(self, run: Run, domain: Store) -> dict[str, np.ndarray]:
        """Part -> rows of the domain's store."""
        files.write_json(run.split, self.split.to_json())
        every = {part: self.split.rows(part, domain) for part in PARTS}
        rows = {part: sounding(domain, found, self.config) for part, found in every.items()}
        for part, found in rows.items():
            if not len(found):
                why = "all is silent" if len(every[part]) else "see skipped.csv"
                raise EdgeseaError(
                    f"No clip of the {part} part of {self.manifest.root} can be used ({why}): give more "
                    f"sound, or another --seed{', or say --keep-silence' if len(every[part]) else ''}."
                )
        self._count_silence({part: len(every[part]) - len(rows[part]) for part in PARTS}, domain)
        return rows

    def _count_silence(self, silent: dict[str, int], domain: Store) -> None:
        """Keeps how many frames of each part are left out as silent, and says it."""
        self.silent = silent
        if left_out := sum(silent.values()):
            self.progress.say(
                f"{left_out} of {len(domain)} frames are silent, below {levels.SILENT_DB:g} dB full scale: "
                "left out; --keep-silence keeps them"
            )

    def _reduce(self, run: Run, domain: Store, rows: np.ndarray) -> reduction.Reducer:
        if not run.sample.exists():
            candidates = sampling.Candidates(domain, rows, self.manifest)
            # `check` refused what cannot be; what files promised and do not hold ends no run.
            n = min(self.config.sample, len(rows))
            chosen = sampling.sampler(self.config.sampler)(candidates, n, self.config.seed)
            with files.replacing(run.sample) as temporary:
                np.savez(temporary, rows=chosen)
        chosen = self._sampled(run)
        if not run.reducer.exists():
            batches = [part for part in np.array_split(chosen, max(1, len(chosen) // 4096)) if len(part)]
            self.reducer(self.dimension).fit(_Batches(domain, batches)).save(run.reducer)
        reducer = reduction.load(run.reducer)
        if "explained_variance" in reducer.report():
            self.progress.say(
                f"{reducer.name} to {reducer.dimension} dimensions, fitted on {len(chosen)} frames, keeps "
                f"{reducer.report()['explained_variance']:.1%} of the variance"
            )
        return reducer

    @staticmethod
    def _sampled(run: Run) -> np.ndarray:
        try:
            return files.read_arrays(run.sample)["rows"]
        except (OSError, ValueError, KeyError) as error:
            raise EdgeseaError(
                f"Cannot read the sample {run.sample} ({error}): delete it and run again."
            ) from error

    def _examples(
        self, run: Run, domain: Store, rows: np.ndarray, reducer: reduction.Reducer
    ) -> Examples | Fresh:
        config = self.config
        if config.augmentation is None:
            return Examples(domain, spread(rows, config.frames), reducer)
        made_from = {
            **self.made_from(),
            "augmentation": config.augmentation.to_dict(),
            "frames": config.frames,
            "split": list(config.split),
            "seed": config.seed,
            # Stores of before say nothing, and held silence.
            **({} if config.keep_silence else {"keep_silence": False}),
        }
        manifest, clips = self._decodable(domain, rows)

        def make(folder: Path, made_from: dict, progress: Progress, **which) -> Examples:
            store = Store(folder, made_from)
            examples.make(
                manifest,
                clips,
                self.pairing,
                store,
                config.frames,
                config.augmentation,
                config.seed,
                keep_silence=config.keep_silence,
                most_bad_frames=config.max_bad_frames,
                progress=progress,
                **which,
            )
            return Examples(store, np.arange(len(store)), reducer)

        if not config.fresh:
            return make(run.examples, made_from, self.progress)
        shards = -(-config.frames // examples.SHARD)

        def folder(epoch: int) -> Path:
            return run.examples / f"epoch-{epoch:04d}"

        def of_epoch(epoch: int, wanted=lambda: True, progress: Progress = SILENT) -> Examples:
            return make(
                folder(epoch),
                {**made_from, "epoch": epoch},
                progress,
                first_shard=epoch * shards,
                wanted=wanted,
            )

        self.progress.say(
            f"new frames in every epoch: the teacher is asked {config.frames * config.epochs:,} times in all"
        )
        # What is needed first is waited for here, where its progress is seen.
        begun = run.epochs()
        of_epoch(int(begun[0].name.removeprefix("epoch-")) if begun else 0, progress=self.progress)
        return Fresh(of_epoch, folder, config.frames, config.epochs)

    def _decodable(self, domain: Store, rows: np.ndarray) -> tuple[Manifest, list[int]]:
        """What may be drawn from: the pieces that have frames among `rows`, each ending with its last frame.

        A truncated file says that it is longer than it is: drawn from as it says, it would teach silence.
        """
        clip, start = domain.rows("clip", rows), domain.rows("start", rows)
        frame = self.hop + self.pairing.samples / self.pairing.sample_rate
        found = []
        for index, piece in self.split.pieces("train", self.manifest):
            # Rows are in the order of the clips and of time.
            first, last = np.searchsorted(clip, [index, index + 1])
            here = start[first:last]
            here = here[here >= (piece.start or 0.0) - 1e-6]
            if piece.end is not None:
                here = here[here < piece.end]
            if len(here):
                end = float(here[-1]) + frame
                found.append(
                    dataclasses.replace(piece, end=end if piece.end is None else min(piece.end, end))
                )
        return dataclasses.replace(self.manifest, clips=tuple(found)), list(range(len(found)))


class _Batches:
    """The embeddings of some rows of a store, batch by batch, as often as they are asked for."""

    def __init__(self, store: Store, batches: list[np.ndarray]):
        self._store, self._batches = store, batches

    def __iter__(self):
        return (self._store.rows("embedding", rows) for rows in self._batches)
