"""One distillation: embed, sample, reduce, augment, train. Each stage leaves its result in the run's folder.

The SEA pipeline (Srivastava et al., ICASSP 2021, section 3), with augmentation added before the training. A
stage whose result is there is not repeated, so a killed call goes on where it stopped.
"""

import dataclasses
import hashlib
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path

import numpy as np

from edgesea import (
    backend,
    balance,
    cluster,
    datasets,
    embed,
    examples,
    files,
    levels,
    reduction,
    sampling,
    students,
    tables,
    teachers,
    team,
)
from edgesea import soft as softlabels
from edgesea.configured import load_teacher, student_frontend
from edgesea.datasets import Clip, Manifest, timesplit
from edgesea.errors import EdgeseaError, UsageError
from edgesea.examples import Examples, Fresh, spread
from edgesea.frontend import Frontend
from edgesea.measures import fidelity
from edgesea.named import Choice
from edgesea.objectives import objective, quantised
from edgesea.objectives.averaged import Averaged
from edgesea.objectives.base import Material, Setting, predict
from edgesea.objectives.quantised import Quantised
from edgesea.pairing import Pairing
from edgesea.progress import SILENT, Progress
from edgesea.run import PARTS, Config, Run, sounding, versions
from edgesea.split import Split
from edgesea.store import Store
from edgesea.students import saving
from edgesea.students.equalise import equalise
from edgesea.students.fused import fuse
from edgesea.train import Schedule, Watcher, train

# A student below this R² on held-out recordings is hardly better than a constant.
LEARNT_NOTHING = 0.05
# What objectives go by whose student is to equal phi(teacher), so that R² says how much it learnt.
ALIGNED = ("r2", "cosine")


def distill(
    config: Config,
    out: Path | str,
    *,
    shared: Path | str | None = None,
    accelerator: str = "auto",
    watch: Callable[[Run], Watcher] | None = None,
    devices: int | None = None,
    progress: Progress = SILENT,
) -> Run:
    """Runs all stages of one distillation and returns the finished run.

    shared : folder of stores that several runs use, see `edgesea.store.Store`: what the teacher gave there
        for the same sound, cut and varied in the same way, is not asked again
    accelerator : see `edgesea.teacher.TeacherOptions`
    watch : makes who looks on while the student is trained, see `edgesea.train.Watcher`; asked for when all
        that comes before the training is done
    devices : that share each batch, see `edgesea.team.gather`; None is one, or the processes of TF_CONFIG

    Raises `UsageError` where the configuration cannot work, before anything is written; `EdgeseaError` where
    the work fails.
    """
    together = team.gather(devices, config.batch)
    stages = _Stages(config, progress, shared, accelerator, together)
    stages.check()
    with stages.in_turn():
        run = Run.start(out, config)
        finished = run.metrics.exists()
    if finished:
        progress.say(f"{run.folder} is finished: nothing to do.")
        return run
    stages.work(run, watch)
    return run


def check(config: Config, *, accelerator: str = "auto", progress: Progress = SILENT) -> Frontend:
    """Refuses what `distill` would refuse before it writes anything, and says which frontend it would take.

    accelerator : see `distill`

    Raises as `distill` does.
    """
    stages = _Stages(config, progress, accelerator=accelerator)
    stages.check()
    return stages.pairing.frontend


def embed_domain(
    config: Config,
    out: Path | str,
    *,
    half: bool = False,
    form: str = "arrow",
    shared: Path | str | None = None,
    accelerator: str = "auto",
    engine: str = "local",
    address: str | None = None,
    progress: Progress = SILENT,
) -> dict:
    """Writes the teacher's embeddings of the whole domain into the store `out`, without patches.

    half : keeps them in half precision
    form : one of `tables.FORMATS`; of another than arrow, a file beside the store's shards holds all rows too
    shared, accelerator : see `distill`
    engine : local, or ray: tasks of a Ray cluster make the shards
    address : of the cluster, HOST:PORT; None is the one that this machine belongs to

    Returns JSON values: clips, frames, dimension, skipped, file. Raises as `distill` does.
    """
    tables.check(form)
    if engine == "local" and address is not None:
        raise UsageError(f"Received --address {address} for the engine local: say --engine ray too.")
    with cluster.connected(address) if engine == "ray" else nullcontext():
        stages = _Stages(config, progress, shared, accelerator)
        made_from = stages.made_from() | {"patches": False} | ({"precision": "half"} if half else {})
        store = Store(out, made_from, shared)
        making = cluster.engine(config, accelerator, progress) if engine == "ray" else None
        stages.fill(store, patches=False, half=half, engine=making)
    file = tables.write(store, form, stages.pairing.samples / stages.pairing.sample_rate)
    aside = embed.skipped(store)
    embed.aside(store).write(out, progress)
    return {
        "clips": len(stages.manifest),
        "frames": len(store),
        "dimension": stages.pairing.teacher.dimension,
        "skipped": len(aside),
        "file": str(file) if file else None,
    }


class _Stages:
    """The parts of one distillation; what is expensive to load is loaded when first used."""

    def __init__(
        self,
        config: Config,
        progress: Progress,
        shared: Path | str | None = None,
        accelerator: str = "auto",
        together: team.Team | None = None,
    ):
        self.config, self.progress, self.shared, self.accelerator = config, progress, shared, accelerator
        self.team = together
        self.manifest = datasets.load(config.data)
        self.objective = objective(config.objective)

    def in_turn(self) -> AbstractContextManager:
        """What one process makes and the others read."""
        return self.team.in_turn() if self.team else nullcontext()

    @cached_property
    def teacher(self) -> teachers.Teacher:
        teacher = load_teacher(self.config, self.progress, self.accelerator)
        for note in teacher.notes:
            self.progress.say(note)
        return teacher

    @cached_property
    def pairing(self) -> Pairing:
        """Asks the teacher for its embedding, and for what else the objective needs of it."""
        needed = set(self.objective.needs)
        if self.objective.soft(self.material) == "scores":
            needed.add("scores")
        further = [name for name in self.teacher.outputs if name in needed and name != "embedding"]
        frontend = student_frontend(self.config, self.teacher)
        return Pairing(self.teacher, frontend, ("embedding", *further))

    @cached_property
    def material(self) -> Material:
        labels = tuple(clip.labels for clip in self.manifest.clips)
        return Material(self.teacher.name, self.teacher.outputs, labels, self.config.frames)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Of the column `label`; () where the objective needs none."""
        return self.material.classes if "label" in self.objective.needs else ()

    @cached_property
    def dimension(self) -> int:
        teacher = self.pairing.teacher.dimension
        return self.config.dim or reduction.REDUCERS.get(self.phi.name).usual(teacher)

    @property
    def phi(self) -> Choice:
        """The run's reducer, or the one that the objective brings in its place."""
        return self.objective.projection(self.material) or self.config.reducer

    @property
    def reduced(self) -> int:
        """Dimensions of phi: the student's, unless it is wider than its teacher and asked for no target."""
        if "target" in self.objective.needs:
            return self.dimension
        return min(self.dimension, self.pairing.teacher.dimension)

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
        return reduction.reducer(self.phi, dimension, self.config.seed)

    def check(self) -> None:
        """Everything that can be refused before the work begins."""
        # TensorFlow takes seconds to load: last, what needs it.
        sampling.sampler(self.config.sampler).check(self.manifest)
        reduction.reducer(self.config.reducer, self.config.dim or 1)
        self.objective.check(self.material)
        if self.team:
            self._check_divided()
        if self.reducer(1).labelled:
            self.material.require_labels(f"reducer {self.phi.name}")
        if self.config.fresh and self.config.augmentation is None:
            raise UsageError(
                "--fresh makes new frames of the domain's for every epoch, and --no-augment trains on those "
                "that there are: leave one of them out."
            )
        if self.config.balance and self.config.augmentation is None:
            raise UsageError(
                "--balance draws the sound that is varied, and --no-augment trains on the frames as they "
                "are: leave one of them out."
            )
        if self.config.augmentation is not None and not self.pairing.teacher.waveforms:
            raise UsageError(
                f"The teacher {self.pairing.teacher.name} gives embeddings that were made before and cannot "
                "hear augmented sound: say --no-augment."
            )
        if self.config.augmentation is not None:
            self.config.augmentation.check(self.pairing.sample_rate)
        reducer = self.reducer(self.reduced)
        reducer.check(self.pairing.teacher.dimension)
        # What nobody asked for may be more than there is; what somebody did ask for is refused.
        asked = self.config.sample if self.config.sample != Config.sample else 0
        frames = 0 if self.config.augmentation else self.config.frames
        enough = max(asked, reducer.least, self.config.balance, frames)
        # Where no file has a header that can be read, decoding says what is wrong with each.
        pieces = tuple(piece for _, piece in self.split.pieces("train", self.manifest))
        trained_on = dataclasses.replace(self.manifest, clips=pieces)
        if there := embed.promised(trained_on, range(len(pieces)), self.pairing, self.hop, enough):
            sampling.check_size(asked, there)
            reducer.check_rows(min(there, self.config.sample))
            if there < self.config.balance:
                raise UsageError(
                    f"--balance {self.config.balance} asks for more clusters than there are frames to train "
                    f"on, {there}: ask for fewer, or give more sound."
                )
            if self.config.augmentation is None:
                self.objective.check(
                    dataclasses.replace(self.material, frames=min(there, self.config.frames))
                )
        student = self._build()
        self.objective.check_student(student, self.material)
        if self.config.qat_epochs:
            quantised.check(student)

    def _check_divided(self) -> None:
        """What several devices cannot do together."""
        for asked, words in (
            (not self.objective.divides, f"--objective {self.config.objective}"),
            (self.config.ema, "--ema"),
            (self.config.qat_epochs, "--qat-epochs"),
            (self.config.mixstyle, "--mixstyle"),
            (self.config.fresh, "--fresh"),
        ):
            if asked:
                raise UsageError(
                    f"Received {words} for several devices, each of which sees a part of a batch: leave it "
                    "out, or say --objective sea, cosine or kd."
                )

    def _build(self):
        backend.load()
        import keras

        # One seed for the weights, and arithmetic in a fixed order: the same configuration, the same student.
        keras.utils.set_random_seed(self.config.seed)
        frontend = self.pairing.frontend
        return students.build(self.config.student, frontend.frames, frontend.mels, self.dimension)

    def work(self, run: Run, watch: Callable[[Run], Watcher] | None = None) -> None:
        started = time.monotonic()
        config, progress = self.config, self.progress
        progress.say(
            f"{len(self.manifest)} clips of {self.manifest.name}; teacher {self.pairing.teacher.name} "
            f"({self.pairing.teacher.dimension}-d); student {config.student} ({self.dimension}-d) on "
            f"{self.pairing.frontend.name} patches"
        )
        for note in self.objective.notes(self.material):
            progress.say(note)
        with self.in_turn():
            domain = self._embed(run)
            rows = self._rows(run, domain)
            reducer = self._reduce(run, domain, rows["train"])
            soft = self._soften(run, domain, rows["train"])
            trained_on = self._examples(run, domain, rows["train"], reducer, soft)
            looked_at = {part: run.part(part) for part in PARTS}
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        schedule = Schedule(
            config.epochs,
            config.batch,
            config.learning_rate or students.student(config.student).learning_rate,
            config.weight_decay,
            config.patience,
            config.seed,
            config.mixstyle,
            config.optimizer,
        )
        learner = self.objective
        if config.qat_epochs:
            learner = Quantised(learner, config.qat_epochs, run.calibration)
        if config.ema:
            learner = Averaged(learner, config.ema)
        epoch = max(1, len(trained_on) // config.batch)
        with self.team.together() if self.team else nullcontext():
            student = self._build()
            fuse(student)
            learner.begin(
                Setting(
                    student,
                    self.pairing.teacher.outputs,
                    schedule.optimizer(config.epochs * epoch),
                    config.seed,
                    classes=soft.count if soft else 0,
                    epoch=epoch,
                    epochs=config.epochs,
                    frames=len(trained_on),
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
                watcher=watch(run) if watch else None,
                team=self.team,
                progress=progress,
            )
        if self.team and not self.team.chief:
            self.team.meet()  # when the chief has written the rest
            return
        student = learner.deploy()
        if not config.qat_epochs:  # which has learnt with the ranges as they are
            equalise(student, run.calibration())
        with files.replacing(run.student_file) as temporary:
            saving.save(student, temporary)
        if (head := learner.classifier()) is not None:
            weight, bias = head
            names = soft.classes if soft else ()
            with files.replacing(run.classes) as temporary:
                np.savez(temporary, weight=weight, bias=bias, classes=np.array(names, dtype=str))
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
                **(
                    {"objective": {part: learner.score(each) for part, each in looked_at.items()}}
                    if learner.criterion not in ALIGNED
                    else {}
                ),
                "course": course,
                "seconds": time.monotonic() - started,
                "versions": versions(),
            },
        )
        if self.team:
            self.team.meet()
        # R² is None where the held-out sound is one frame.
        r2, cosine = figures["held-out"]["r2"], figures["held-out"]["cosine"]
        progress.say(
            f"held-out recordings: R² {'–' if r2 is None else f'{r2:.3f}'}, cosine {cosine:.3f}; "
            f"the run is in {run.folder}"
        )
        if learner.criterion in ALIGNED and r2 is not None and r2 < LEARNT_NOTHING:
            progress.say(
                f"The student learnt next to nothing of its teacher (R² {r2:.3f}; a constant has 0): give it "
                f"more than --frames {config.frames} or --epochs {config.epochs}, or more sound."
            )

    def made_from(self) -> dict:
        frontend, outputs = self.pairing.frontend, list(self.pairing.outputs)
        return {
            # What came later is in it only where it is used: stores of before are still of the same making.
            **({"outputs": outputs} if outputs != ["embedding"] else {}),
            **({"classes": list(self.classes)} if self.classes else {}),
            "teacher": self.pairing.teacher.fingerprint,
            "data": self.manifest.fingerprint,
            "frontend": frontend.to_dict(),
            "hop": self.hop,
            "calibration_db": self.config.calibration_db,
        }

    @property
    def hop(self) -> float:
        half = self.pairing.samples / self.pairing.sample_rate / 2
        return self.config.hop or self.pairing.teacher.hop or half

    def fill(self, store: Store, *, patches: bool, half: bool = False, engine=None) -> None:
        """Writes what `store` lacks of the whole domain."""
        embed.embed(
            self.manifest,
            self.pairing,
            store,
            self.hop,
            patches=patches,
            half=half,
            classes=self.classes,
            calibration_db=self.config.calibration_db,
            most_bad_frames=self.config.max_bad_frames,
            engine=engine,
            progress=self.progress,
        )

    def _embed(self, run: Run) -> Store:
        domain = Store(run.domain, self.made_from(), self.shared)
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
            unfitted = self.reducer(self.reduced)
            labels = None
            if unfitted.labelled:
                labels = [self.manifest.clips[k].labels[0] for k in domain.rows("clip", chosen)]
            unfitted.fit(_Batches(domain, batches), labels).save(run.reducer)
        reducer = reduction.load(run.reducer)
        if "explained_variance" in reducer.report():
            self.progress.say(
                f"{reducer.name} to {reducer.dimension} dimensions, fitted on {len(chosen)} frames, keeps "
                f"{reducer.report()['explained_variance']:.1%} of the variance"
            )
        return reducer

    def _soften(self, run: Run, domain: Store, rows: np.ndarray) -> softlabels.SoftLabels | None:
        """The teacher's soft labels, from the training part; None where the objective needs none."""
        source = self.objective.soft(self.material)
        if source is None:
            return None
        if not run.soft.exists():
            seen = spread(rows, softlabels.MOST_FRAMES)
            if source == "scores":
                made = softlabels.of_scores(domain.rows("scores", seen))
            else:
                clips = [self.manifest.clips[k] for k in domain.rows("clip", seen)]
                labels, groups = [clip.labels[0] for clip in clips], [str(clip.group) for clip in clips]
                embeddings = domain.rows("embedding", seen)
                made = softlabels.of_labels(embeddings, labels, groups, self.material.classes)
            made.save(run.soft)
        soft = softlabels.load(run.soft)
        if soft.kind == "head":
            said = f"a head on its embeddings, fitted to the {soft.count} classes of the data"
        else:
            said = f"its own scores of {soft.count} classes, taken as {soft.kind}"
        self.progress.say(f"the teacher's soft labels: {said}")
        return soft

    @staticmethod
    def _sampled(run: Run) -> np.ndarray:
        try:
            return files.read_arrays(run.sample)["rows"]
        except (OSError, ValueError, KeyError) as error:
            raise EdgeseaError(
                f"Cannot read the sample {run.sample} ({error}): delete it and run again."
            ) from error

    def _examples(
        self,
        run: Run,
        domain: Store,
        rows: np.ndarray,
        reducer: reduction.Reducer,
        soft: softlabels.SoftLabels | None,
    ) -> Examples | Fresh:
        config = self.config
        if config.augmentation is None:
            return Examples(domain, spread(rows, config.frames), reducer, soft)
        made_from = {
            **self.made_from(),
            "augmentation": config.augmentation.to_dict(),
            "frames": config.frames,
            "split": list(config.split),
            "seed": config.seed,
            # Stores of before say nothing, and held silence.
            **({} if config.keep_silence else {"keep_silence": False}),
        }
        manifest, piece = self._decodable(domain, rows)
        clips = range(len(manifest.clips))
        chances = None
        if config.balance:
            if not run.balance.exists():
                self._balance(run, Examples(domain, rows, reducer), manifest, piece)
            chances = self._balanced(run)
            # They depend on phi, which nothing else of an example does.
            digest = hashlib.sha256(chances.tobytes()).hexdigest()[:32]
            made_from["balance"] = {"clusters": config.balance, "chances": digest}

        def make(folder: Path, made_from: dict, progress: Progress, **which) -> Examples:
            # What is new in every epoch would fill a shared store.
            store = Store(folder, made_from, None if config.fresh else self.shared)
            examples.make(
                manifest,
                clips,
                self.pairing,
                store,
                config.frames,
                config.augmentation,
                config.seed,
                classes=self.classes,
                keep_silence=config.keep_silence,
                chances=chances,
                most_bad_frames=config.max_bad_frames,
                progress=progress,
                **which,
            )
            return Examples(store, np.arange(len(store)), reducer, soft)

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

    def _balance(self, run: Run, frames: Examples, manifest: Manifest, piece: np.ndarray) -> None:
        """Keeps the chance of each stretch of the manifest; piece (N,) is the clip in it of each frame."""
        frames = dataclasses.replace(frames, rows=frames.rows[piece >= 0])
        cut = examples.stretches(manifest, range(len(manifest.clips)))
        start = frames.store.rows("start", frames.rows)
        made = balance.Balance(
            len(cut),
            balance.places(cut, piece[piece >= 0], start),
            balance.clusters(
                lambda rows: dataclasses.replace(frames, rows=rows).targets(),
                frames.rows,
                # `check` refused what cannot be; what files promised and do not hold ends no run.
                min(self.config.balance, len(frames)),
                self.config.seed,
            ),
        )
        self.progress.say(made.says())
        with files.replacing(run.balance) as temporary:
            np.savez(temporary, chances=made.chances)

    @staticmethod
    def _balanced(run: Run) -> np.ndarray:
        try:
            chances = files.read_arrays(run.balance)["chances"]
            if chances.dtype != np.float64 or chances.ndim != 1 or not (chances >= 0).all():
                raise ValueError("of another kind")
            if not abs(chances.sum() - 1) < 1e-9:
                raise ValueError("of another sum than 1")
        except (OSError, ValueError, KeyError) as error:
            raise EdgeseaError(
                f"Cannot read the chances {run.balance} ({error}): delete it and run again."
            ) from error
        return chances

    def _decodable(self, domain: Store, rows: np.ndarray) -> tuple[Manifest, np.ndarray]:
        """What may be drawn from: the pieces that have frames among `rows`, each ending with its last frame.

        A truncated file says that it is longer than it is: drawn from as it says, it would teach silence.

        Returns them as clips, and for each row which of them it is in, (len(rows),) int64, -1 for none.
        """
        clip, start = domain.rows("clip", rows), domain.rows("start", rows)
        frame = self.hop + self.pairing.samples / self.pairing.sample_rate
        found: list[Clip] = []
        of = np.full(len(rows), -1)
        for index, piece in self.split.pieces("train", self.manifest):
            # Rows are in the order of the clips and of time.
            here = np.arange(*np.searchsorted(clip, [index, index + 1]))
            here = here[start[here] >= (piece.start or 0.0) - 1e-6]
            if piece.end is not None:
                here = here[start[here] < piece.end]
            if len(here):
                end = float(start[here[-1]]) + frame
                of[here] = len(found)
                found.append(
                    dataclasses.replace(piece, end=end if piece.end is None else min(piece.end, end))
                )
        return dataclasses.replace(self.manifest, clips=tuple(found)), of


class _Batches:
    """The embeddings of some rows of a store, batch by batch, as often as they are asked for."""

    def __init__(self, store: Store, batches: list[np.ndarray]):
        self._store, self._batches = store, batches

    def __iter__(self):
        return (self._store.rows("embedding", rows) for rows in self._batches)
