"""A run: the folder that holds everything about one distillation.

RUN/config.toml    every choice, resolved; `edgesea distill --config RUN/config.toml` makes the same student
RUN/split.json     which clips are for training, for validation, and held out
RUN/domain/        store: the domain's frames as they are, with the teacher's embeddings
RUN/sample.npz     which of them fit the reducer
RUN/reducer.npz    phi
RUN/soft.npz       where the objective needs them: how the teacher's soft labels are made, see `edgesea.soft`
RUN/balance.npz    where frames are drawn by clusters of the domain: the chance of each stretch, see
                   `edgesea.balance`
RUN/examples/      store: the frames that the student is trained on, augmented, the teacher asked again;
                   of fresh ones a store for each of the last epochs, epoch-0000 and so on
RUN/checkpoints/   the state of the training after the last epoch
RUN/student.keras  the student after its best epoch
RUN/classes.npz    where the objective trains one: the linear head on the student's embedding, for classes
RUN/metrics.json   the course of the training and what came out of it
RUN/skipped.csv    files set aside, with the reason
RUN/tensorboard/   the same course, for TensorBoard
"""

import dataclasses
import difflib
import functools
import math
import platform
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tomli_w

from edgesea import __version__, augment, backend, files, levels, patches, reduction, remote
from edgesea import soft as softlabels
from edgesea.embed import MOST_BAD_FRAMES
from edgesea.errors import EdgeseaError, UsageError, received
from edgesea.examples import Examples, spread
from edgesea.frontend import Frontend, preset
from edgesea.measures.figures import FIDELITY, text
from edgesea.named import Choice
from edgesea.notebook import described, html
from edgesea.objectives import OBJECTIVES, chosen
from edgesea.recognise import whole
from edgesea.reduction import REDUCERS
from edgesea.sampling import SAMPLERS
from edgesea.split import Split
from edgesea.store import Store
from edgesea.students import DEFAULT, STUDENTS
from edgesea.train import OPTIMIZERS

if TYPE_CHECKING:
    from edgesea import answers

PARTS = ("train", "validation", "held-out")
# Frames of one part that are looked at when something is measured on it, at most.
MOST_FRAMES = 20_000
# Frames of the domain that int8 is calibrated on: more change the ranges by less than a step.
CALIBRATION_FRAMES = 500
# Bytes of a config.toml.
LARGEST_CONFIG = 1 << 20

_TEXTS = ("teacher", "data", "teacher_tensor", "teacher_frontend", "teacher_pool", "frontend")
_NAMED = {"student": STUDENTS, "objective": OBJECTIVES, "sampler": SAMPLERS, "reducer": REDUCERS}
STUDENT, COSINE, RANDOM, PCA = map(Choice, (DEFAULT, "cosine", "random", "pca"))
_COUNTS = ("teacher_rate", "dim", "sample", "frames", "epochs", "batch", "patience")
_OPTIONAL = (
    *("teacher_tensor", "teacher_frontend", "teacher_rate", "teacher_seconds", "teacher_pool"),
    *("frontend", "dim", "hop", "learning_rate"),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Every choice of a distillation, with units.

    teacher, data : as given on the command line; paths are stored absolute
    teacher_tensor, teacher_frontend, teacher_rate, teacher_seconds, teacher_pool : see
        `edgesea.teachers.TeacherOptions`
    frontend : name of the student's frontend; None takes the teacher's where the student can take it
    student, objective, sampler, reducer : choices, each a name with options, see `edgesea.named` and the
        modules of those names; held with every option spelt out
    dim : dimensions of the student's embedding; None is 64, or the teacher's own with the reducer identity
    hop : seconds from frame to frame of the domain; None is half a frame
    calibration_db : sound pressure level of an amplitude of 1, in dB, see `edgesea.levels`
    keep_silence : whether silent frames (see `edgesea.levels`) fit the reducer, teach, and are scored too
    max_bad_frames : share of the domain's frames, in [0, 1], that are left out where the teacher gives NaN
        or infinity for them; more end the work
    sample : frames that fit the reducer, at most
    frames : frames that the student is trained on
    fresh : whether the frames of every epoch are new ones, for which the teacher is asked while the student
        learns: frames * epochs questions in all
    balance : of how many clusters of the domain the frames are drawn, as many of each, see
        `edgesea.balance`; 0 draws them as they come
    augmentation : see `edgesea.augment.Augmentation`; None trains on the domain's frames as they are
    epochs, batch, learning_rate, weight_decay, patience : of the training; patience in epochs; learning_rate
        None is what suits the student, see `edgesea.students.base`
    optimizer : adamw, or muon, see `edgesea.muon`
    ema : decay of the mean of the student's weights that is deployed, see `edgesea.objectives.averaged`; 0
        deploys those of the best epoch's last step
    qat_epochs : the last epochs, in which the student is rounded as int8 will be, see
        `edgesea.objectives.quantised`; the training is not ended early before them
    mixstyle : chance that the patches of a batch mix their styles, see `edgesea.mixstyle`
    split : shares of train, validation and held-out audio, by recording
    seed : of every random choice
    """

    teacher: str
    data: str
    teacher_tensor: str | None = None
    teacher_frontend: str | None = None
    teacher_rate: int | None = None
    teacher_seconds: float | None = None
    teacher_pool: str | None = None
    frontend: str | None = None
    student: Choice = STUDENT
    dim: int | None = None
    objective: Choice = COSINE
    sampler: Choice = RANDOM
    reducer: Choice = PCA
    hop: float | None = None
    calibration_db: float = 0.0
    keep_silence: bool = False
    max_bad_frames: float = MOST_BAD_FRAMES
    sample: int = 20_000
    frames: int = 60_000
    fresh: bool = False
    balance: int = 0
    augmentation: augment.Augmentation | None = dataclasses.field(default_factory=augment.Augmentation)
    epochs: int = 16
    batch: int = 64
    learning_rate: float | None = None
    weight_decay: float = 1e-4
    patience: int = 10
    optimizer: str = "adamw"
    ema: float = 0.0
    qat_epochs: int = 0
    mixstyle: float = 0.0
    split: tuple[float, float, float] = (0.7, 0.1, 0.2)
    seed: int = 0

    def __post_init__(self):
        self._check(_TEXTS, lambda value: isinstance(value, str), "a text")
        self._check(_COUNTS, lambda value: _whole(value) and value >= 1, "a whole number of at least 1")
        self._check(
            ("seed",), lambda value: _whole(value) and 0 <= value < 2**32, "a whole number in 0 .. 2^32 - 1"
        )
        self._check(
            ("learning_rate", "hop", "teacher_seconds"),
            lambda value: _real(value) and value > 0,
            "a number above 0",
        )
        self._check(("weight_decay",), lambda value: _real(value) and value >= 0, "a number of at least 0")
        self._check(("calibration_db",), _real, "a finite number of dB")
        self._check(
            ("max_bad_frames",), lambda value: _real(value) and 0 <= value <= 1, "a share from 0 to 1"
        )
        self._check(("optimizer",), lambda value: value in OPTIMIZERS, " or ".join(OPTIMIZERS))
        self._check(
            ("ema",), lambda value: _real(value) and 0 <= value < 1, "a number of at least 0, below 1"
        )
        self._check(
            ("qat_epochs",),
            lambda value: _whole(value) and 0 <= value <= self.epochs,
            f"a whole number from 0 to the {self.epochs} epochs of the training",
        )
        self._check(("mixstyle",), lambda value: _real(value) and 0 <= value <= 1, "a chance from 0 to 1")
        self._check(
            ("balance",),
            lambda value: _whole(value) and (value == 0 or value >= 2),
            "a whole number of clusters, at least 2, or 0 for none",
        )
        self._check(("keep_silence", "fresh"), lambda value: isinstance(value, bool), "true or false")
        self._check(("split",), _shares, "three shares above 0 with the sum 1")
        object.__setattr__(self, "split", tuple(self.split))
        for name, registry in _NAMED.items():
            value = getattr(self, name)
            choice = chosen(value) if name == "objective" else Choice.of(value, name)
            object.__setattr__(self, name, registry.resolved(choice))
        for name in ("frontend", "teacher_frontend"):
            if getattr(self, name) is not None:
                preset(getattr(self, name))

    def _check(self, names: tuple[str, ...], good: Callable[[object], bool], wanted: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not (good(value) or (value is None and name in _OPTIONAL)):
                raise UsageError(f"Received {name} = {received(value)}: give {wanted}.")

    def to_dict(self) -> dict:
        """JSON and TOML values; what is None is left out."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if getattr(self, field.name) is not None and field.name != "augmentation"
        }
        values["split"] = list(self.split)
        values |= {name: values[name].to_toml() for name in _NAMED}
        return {**values, "augmentation": self.augmentation.to_dict() if self.augmentation else False}

    @classmethod
    def from_dict(cls, values: Mapping) -> "Config":
        """The inverse of `to_dict`. Raises `UsageError` for unknown and for missing names."""
        known = {field.name for field in dataclasses.fields(cls)}
        values = _today(values)
        if unknown := sorted(set(values) - known):
            close = difflib.get_close_matches(unknown[0][:100], known, n=1)
            meant = f"did you mean {close[0]}? Known" if close else "known"
            raise UsageError(
                f"Unknown option {received(unknown[0])}: {meant} are {', '.join(sorted(known))}."
            )
        for needed in ("teacher", "data"):
            if needed not in values:
                raise UsageError(f"The configuration does not say which {needed}: add `{needed}`.")
        if "augmentation" in values:
            chosen = values["augmentation"]
            if isinstance(chosen, bool):
                values["augmentation"] = augment.Augmentation() if chosen else None
            elif isinstance(chosen, Mapping):
                values["augmentation"] = augment.Augmentation.from_dict(chosen)
            else:
                raise UsageError(f"Received augmentation = {received(chosen)}: give true, false or a table.")
        return cls(**values)


# Where everything lies in a run's folder.
_PLACES = {
    "config_file": "config.toml",
    "split": "split.json",
    "domain": "domain",
    "sample": "sample.npz",
    "reducer": "reducer.npz",
    "soft": "soft.npz",
    "balance": "balance.npz",
    "examples": "examples",
    "checkpoints": "checkpoints",
    "student_file": "student.keras",
    "classes": "classes.npz",
    "metrics": "metrics.json",
    "skipped": "skipped.csv",
    "tensorboard": "tensorboard",
}


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
    """One distillation: its folder, and what came out of it.

    Parameters
    ----------
    folder : Path
        Of the run; the other attributes are the paths in it, see the module.

    See Also
    --------
    edgesea.distill() : makes one. `Run.open` opens one that is finished.

    Examples
    --------
    >>> run = edgesea.Run.open("run")
    >>> run.embed("clip.wav").shape
    (4, 16)
    """

    folder: Path
    config_file: Path = dataclasses.field(init=False, compare=False)
    split: Path = dataclasses.field(init=False, compare=False)
    domain: Path = dataclasses.field(init=False, compare=False)
    sample: Path = dataclasses.field(init=False, compare=False)
    reducer: Path = dataclasses.field(init=False, compare=False)
    soft: Path = dataclasses.field(init=False, compare=False)
    balance: Path = dataclasses.field(init=False, compare=False)
    examples: Path = dataclasses.field(init=False, compare=False)
    checkpoints: Path = dataclasses.field(init=False, compare=False)
    student_file: Path = dataclasses.field(init=False, compare=False)
    classes: Path = dataclasses.field(init=False, compare=False)
    metrics: Path = dataclasses.field(init=False, compare=False)
    skipped: Path = dataclasses.field(init=False, compare=False)
    tensorboard: Path = dataclasses.field(init=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "folder", Path(self.folder))
        for name, place in _PLACES.items():
            object.__setattr__(self, name, self.folder / place)

    @classmethod
    def start(cls, folder: Path | str, config: Config) -> "Run":
        """A new run, or the one in `folder` if it was started with the same configuration.

        `max_bad_frames` may differ: a run that it ended goes on with another.

        Raises `UsageError` where the folder holds a run of another configuration, or no run.
        """
        run = cls(Path(folder))
        if run.config_file.exists():
            held = run.config
            if run.metrics.exists():
                config = dataclasses.replace(config, max_bad_frames=held.max_bad_frames)
            if dataclasses.replace(held, max_bad_frames=config.max_bad_frames) != config:
                before, now = held.to_dict(), config.to_dict()
                names = [key for key in sorted({*before, *now}) if before.get(key) != now.get(key)]
                there = ", ".join(f"{name} = {before.get(name)!r}" for name in names)
                here = ", ".join(f"{name} = {now.get(name)!r}" for name in names)
                raise UsageError(
                    f"{folder} holds a run with {there}, and this call says {here}: choose another --out, or "
                    "delete that folder."
                )
            if held != config:
                run._write(config)
        elif not files.free(run.folder):
            raise UsageError(f"The folder {folder} is not empty and not a run: choose another --out.")
        else:
            run._write(config)
        return run

    def _write(self, config: Config) -> None:
        header = f"# edgesea {__version__}: everything that this run was asked to do.\n"
        files.write_text(self.config_file, header + tomli_w.dumps(config.to_dict()))

    @classmethod
    def open(cls, folder: Path | str) -> "Run":
        """A finished run.

        Raises `UsageError` for a folder that is none, and for one whose student is not trained yet.
        """
        run = cls(Path(folder))
        if not run.config_file.is_file():
            raise UsageError(f"{folder} is not a run: make one with `edgesea distill`.")
        if not run.metrics.is_file():
            raise UsageError(
                f"The run {folder} is not finished: call `edgesea distill --out {folder}` as before; it "
                "goes on where it stopped."
            )
        return run

    @property
    def config(self) -> Config:
        return read_config(self.config_file)

    def hop(self) -> float:
        """Seconds from frame to frame of the domain's store."""
        return Store.open(self.domain).made_from["hop"]

    def part(self, part: str, most: int = MOST_FRAMES) -> Examples:
        """The domain's frames, as they are, of one of `PARTS`; at most `most`, evenly spread over it."""
        domain = Store.open(self.domain)
        rows = sounding(domain, self.kept_split().rows(part, domain), self.config)
        return self._examples(domain, spread(rows, most))

    def _examples(self, store: Store, rows: np.ndarray) -> Examples:
        soft = softlabels.load(self.soft) if self.soft.is_file() else None
        return Examples(store, rows, reduction.load(self.reducer), soft)

    def kept_split(self) -> Split:
        """What of the data is for training, for validation, and held out."""
        from edgesea.formats import door
        from edgesea.formats import run as formats

        remedy = "run `edgesea distill` again"
        held = door.read_json(self.split, largest=formats.LARGEST_SPLIT, remedy=remedy)
        by_time = isinstance(held, dict) and "by" in held
        door.checked(held, formats.SplitByTime if by_time else formats.Split, self.split, remedy=remedy)
        return Split.from_json(held)

    def distilled(self, most: int) -> Examples | None:
        """What the student was trained on, augmented where it was; at most `most` frames, evenly spread.

        None where the augmented frames were deleted.
        """
        if self.config.augmentation is None:
            return self.part("train", most)
        if not self.examples.is_dir() or (self.config.fresh and not self.epochs()):
            return None
        folder = self.examples
        if self.config.fresh:  # The oldest: the newest may not be whole.
            folder = self.epochs()[0]
        store = Store.open(folder)
        return self._examples(store, spread(np.arange(len(store)), most))

    def classifier(self) -> "tuple[np.ndarray, np.ndarray, tuple[str, ...]] | None":
        """Weights (d, C), biases (C,) and class names (() where only the teacher knows them) of the head that
        was trained with the student; None where none was.
        """
        if not self.classes.is_file():
            return None
        try:
            held = files.read_arrays(self.classes)
            weight, bias = held["weight"].astype(np.float32), held["bias"].astype(np.float32)
            names = tuple(map(str, held.get("classes", ())))
            if weight.ndim != 2 or weight.shape[1:] != bias.shape or len(names) not in (0, len(bias)):
                raise ValueError("of other shapes")
        except (OSError, ValueError, KeyError) as error:
            raise EdgeseaError(
                f"Cannot read the head {self.classes} ({error}): delete {self.metrics.name} beside it and "
                "call `edgesea distill` again."
            ) from error
        return weight, bias, names

    def epochs(self) -> list[Path]:
        """The stores of fresh examples that there are, in order."""
        return sorted(self.examples.glob("epoch-*/"))

    def calibration(self) -> np.ndarray:
        """The patches that int8 is calibrated on: (n, frames, mels, 1) float32, of the training audio."""
        return self.part("train", CALIBRATION_FRAMES).patches()

    def results(self) -> dict:
        """What `metrics.json` holds."""
        from edgesea.formats import door
        from edgesea.formats.run import LARGEST_METRICS, Metrics

        remedy = "run `edgesea distill` again"
        held = door.read_json(self.metrics, largest=LARGEST_METRICS, remedy=remedy)
        door.checked(held, Metrics, self.metrics, remedy=remedy)
        return held

    def load_student(self):
        """The trained student, a `keras.Model`."""
        backend.load()
        import keras

        try:
            return keras.saving.load_model(self.student_file, compile=False, safe_mode=True)
        except Exception as error:  # Keras raises every kind of exception for a damaged file.
            raise EdgeseaError(
                f"Cannot load the student {self.student_file} "
                f"({next(iter(str(error).splitlines()), '')}): delete {self.metrics.name} beside it and call "
                "`edgesea distill` again."
            ) from error

    def frontend(self) -> Frontend:
        """The student's frontend."""
        return Frontend.from_dict(self.results()["frontend"])

    @functools.cached_property
    def student(self):
        """The trained student, a `keras.Model`: patch (B, frames, mels, 1) dB -> embedding (B, d) float32."""
        return self.load_student()

    def embed(
        self, sound: Path | str | np.ndarray, rate: int | None = None, *, hop: float | None = None
    ) -> np.ndarray:
        """Embeds sound with the student, frame by frame.

        Parameters
        ----------
        sound : path or np.ndarray [shape=(samples,)]
            A file of audio, or a waveform in [-1, 1].
        rate : int > 0
            Sample rate of a waveform in Hz; a file says it itself.
        hop : float > 0
            Seconds from frame to frame. Default: as in the run, half a frame where nothing was said.

        Returns
        -------
        np.ndarray [shape=(frames, d)]
            float32. A last frame that is at least half sound is padded with silence.

        Raises
        ------
        UsageError
            A waveform without its rate, of another shape, or with NaN in it.
        BadAudio
            A file that cannot be used.
        """
        heard = patches.of_sound(sound, rate, self.frontend(), self.hop() if hop is None else hop)
        return np.concatenate([self.student(batch, training=False).numpy() for batch in heard])

    @property
    def fidelity(self) -> dict:
        """How well the student matches phi(teacher) on held-out sound: r2, cosine, knn_overlap, frames."""
        return self.results()["fidelity"]["held-out"]

    @property
    def evaluations(self) -> "tuple[answers.Evaluation, ...]":
        """What `edgesea.evaluate` answered about this run, as it is kept in it."""
        from edgesea import answers, results

        return tuple(map(answers.Evaluation, results.of_run(self.folder)))

    def _rows(self) -> list[tuple[str, str]]:
        if not self.metrics.is_file():
            return [("state", "not finished: `edgesea.distill` goes on with it")]
        found = self.results()
        return [
            ("teacher", f"{found['teacher']['name']} ({found['teacher']['dimension']}-d)"),
            ("student", f"{found['student']} ({found['dimension']}-d, {found['parameters']:,} parameters)"),
            ("frontend", found["frontend"]["name"]),
            ("data", f"{found['data']['name']} ({found['data']['clips']} clips)"),
            *(
                (f"held-out {FIDELITY[key]}", text(found["fidelity"]["held-out"].get(key)))
                for key in FIDELITY
            ),
        ]

    def __repr__(self) -> str:
        """Its folder, student and fidelity."""
        return described(f"Run {self.folder}", self._rows())

    def _repr_html_(self) -> str:
        return html(f"Run {self.folder}", (), self._rows())


def sounding(domain: Store, rows: np.ndarray, config: Config) -> np.ndarray:
    """Those rows of a domain's store that count: not the silent ones, unless the configuration keeps them."""
    if config.keep_silence or not len(rows):
        return rows
    return rows[~levels.silent(domain.rows("level_db", rows), config.calibration_db)]


def absolute(values: Mapping) -> dict:
    """The same configuration with the paths of data and teacher whole, so that it means the same anywhere."""
    return {
        **values,
        "data": str(remote.typed(values["data"]).resolve()),
        "teacher": whole(values["teacher"]),
    }


_SPELT_OUT = {
    *("student", "objective", "sampler", "reducer", "calibration_db", "sample", "frames", "epochs", "batch"),
    *("learning_rate", "weight_decay", "patience", "split", "seed", "augmentation"),
}


def _today(values: Mapping) -> dict:
    """The same configuration as it is written today; format 1 had the options of umap on its first level."""
    values = dict(values)
    old = {
        name: values.pop(f"umap_{name}") for name in ("neighbours", "min_dist") if f"umap_{name}" in values
    }
    if values.get("reducer") == "umap":
        values["reducer"] = {"name": "umap", **old}
    # A run of before silence was left out spelt out all the rest; who writes a few by hand means today's.
    if values.keys() >= _SPELT_OUT:
        values.setdefault("keep_silence", True)
    return values


def _whole(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _real(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _shares(value) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 3
        and all(_real(share) and share > 0 for share in value)
        and abs(sum(value) - 1) <= 1e-6
    )


def read_config(path: Path | str) -> Config:
    """The configuration in a TOML file. Raises `UsageError` for one that cannot be read."""
    from edgesea.formats import door

    remedy = "give the config.toml of a run, or a run"
    values = door.read_toml(path, largest=LARGEST_CONFIG, remedy=remedy, error=UsageError)
    try:
        return Config.from_dict(values)
    except UsageError as error:
        raise UsageError(f"The configuration {path} cannot be used. {error}") from error


def versions() -> dict[str, str]:
    """The versions that a result may depend on."""
    names = ("tensorflow", "keras", "numpy", "librosa", "soxr", "soundfile", "scikit-learn", "ai-edge-litert")
    found = {"edgesea": __version__, "python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
