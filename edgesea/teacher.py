"""What a teacher is: a frozen function frame -> named outputs, and the frame that it listens to."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesea.errors import UsageError
from edgesea.frontend import Frontend

ACCELERATORS = ("auto", "cpu", "gpu")
POOLS = ("mean", "max", "first", "last")


@dataclass(frozen=True)
class TeacherOptions:
    """What a model file cannot say of itself.

    tensor : name, or end of the name, of the inner tensor (.tflite, .onnx) or layer (.keras) that is the
        embedding; of a SavedModel its signature, an output, or SIGNATURE:OUTPUT; of OpenL3 512 or 6144; None
        is the model's output
    frontend : the frontend of a model that takes patches
    sample_rate : Hz, of a model that takes waveforms
    seconds : of one frame, for a model that takes waveforms of any length
    pool : one of `POOLS`, of a model that gives a sequence of vectors a frame: how they become one
    threads : of a model that the TFLite interpreter runs
    accelerator : one of `ACCELERATORS`: auto is a GPU where its runtime has one, gpu refuses to do without
    """

    tensor: str | None = None
    frontend: Frontend | None = None
    sample_rate: int | None = None
    seconds: float | None = None
    pool: str | None = None
    threads: int = 1
    accelerator: str = "auto"

    def __post_init__(self) -> None:
        if self.pool is not None and self.pool not in POOLS:
            raise UsageError(f"Received --teacher-pool {self.pool!r}: choose one of {', '.join(POOLS)}.")
        if self.accelerator not in ACCELERATORS:
            raise UsageError(
                f"Received --accelerator {self.accelerator!r}: choose one of {', '.join(ACCELERATORS)}."
            )


class Teacher(ABC):
    """A frozen model that is imitated, or what one gave before.

    name : for reports
    fingerprint : hash of everything that its outputs depend on
    outputs : name -> shape for one frame. "embedding" (n,) always; others where it has them: "scores"
        (classes,) of a model that also classifies, "attention" (layers, heads, T, T) of a transformer over T
        patches, rows with the sum 1
    sample_rate, samples : the waveform of one frame, in Hz and in samples
    frontend : its own log-mel frontend, where it is known; None where the model keeps it to itself
    waveforms : whether it can be asked about any sound. A source of embeddings that were made before says
        False: it answers `recall` and not `hear`, and so nothing that varies the sound can use it
    hop : seconds from frame to frame, where only frames at such a distance are there to be had
    notes : sentences for the user on what was chosen in loading it

    What it gives for a frame depends on that frame alone: never on the frames before or beside it.
    """

    name: str
    fingerprint: str
    outputs: Mapping[str, tuple[int, ...]]
    sample_rate: int
    samples: int
    frontend: Frontend | None = None
    waveforms: bool = True
    hop: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def dimension(self) -> int:
        """n of the embedding."""
        return self.outputs["embedding"][0]

    @abstractmethod
    def hear(self, waveforms: np.ndarray, wanted: Sequence[str] = ("embedding",)) -> dict[str, np.ndarray]:
        """waveforms (B, samples) float32 in [-1, 1] -> the wanted outputs, each (B, *shape) float32.

        All in one go, since one inference gives them all. Raises `UsageError` where `waveforms` is False.
        """

    def recall(
        self, path: Path, starts: np.ndarray, wanted: Sequence[str] = ("embedding",)
    ) -> dict[str, np.ndarray]:
        """What it gave for the frames of a file that begin at `starts` (B,), s -> as `hear`.

        For teachers whose `waveforms` is False. Raises `EdgeseaError` for frames that it has nothing for.
        """
        raise NotImplementedError(f"{type(self).__name__} hears waveforms")

    def embed(self, waveforms: np.ndarray) -> np.ndarray:
        """waveforms (B, samples) float32 in [-1, 1] -> embeddings (B, n) float32."""
        return self.hear(waveforms, ("embedding",))["embedding"]


@dataclass(frozen=True)
class Ear:
    """What a model file listens to: its frame, and whether we make the patch or the model does."""

    sample_rate: int
    samples: int
    frontend: Frontend | None
    takes_patches: bool

    def frames(self, waveforms: np.ndarray) -> np.ndarray:
        """waveforms (B, samples) -> what the model takes."""
        return self.frontend.patch(waveforms) if self.takes_patches and self.frontend else waveforms


def ear(path: Path, input_shape: tuple, options: TeacherOptions) -> Ear:
    """Reads off a model's input shape what it listens to: one axis longer than 1 is a waveform, two a patch.

    Raises `UsageError` where the shape is neither, and where an option is needed that is not there.
    """
    shape = tuple(size for size in input_shape if size != 1)
    if shape == (None,):
        shape = (_samples(path, options),)
    if None in shape or len(shape) not in (1, 2):
        raise UsageError(
            f"The teacher {path} takes an input of shape {tuple(input_shape)}: it has to be one waveform or "
            "one log-mel patch, of a fixed size."
        )
    frontend = options.frontend
    if len(shape) == 1:
        if options.sample_rate is None:
            raise UsageError(
                f"The teacher {path} takes waveforms of {shape[0]} samples, at a rate that its file does not "
                "say: give --teacher-rate."
            )
        if options.seconds is not None and round(options.seconds * options.sample_rate) != shape[0]:
            raise UsageError(
                f"The teacher {path} takes waveforms of {shape[0]} samples, which are "
                f"{shape[0] / options.sample_rate:.6g} s at {options.sample_rate} Hz, and --teacher-seconds "
                f"says {options.seconds:g}: leave it out, or give another --teacher-rate."
            )
        return Ear(options.sample_rate, shape[0], frontend, takes_patches=False)
    if frontend is None:
        raise UsageError(
            f"The teacher {path} takes {shape[0]} x {shape[1]} patches, made by a frontend that its file "
            "does not say: give --teacher-frontend."
        )
    if (frontend.frames, frontend.mels) != shape:
        raise UsageError(
            f"The teacher {path} takes {shape[0]} x {shape[1]} patches and the frontend "
            f"{frontend.name} makes {frontend.frames} x {frontend.mels}: choose the frontend that the "
            "teacher was trained with."
        )
    return Ear(frontend.sample_rate, frontend.samples, frontend, takes_patches=True)


def _samples(path: Path, options: TeacherOptions) -> int:
    """Of one frame, for a model that takes waveforms of any length."""
    if options.seconds is None or options.sample_rate is None:
        raise UsageError(
            f"The teacher {path} takes waveforms of any length: say how long a frame is with "
            "--teacher-seconds, and at which rate with --teacher-rate."
        )
    return max(1, round(options.seconds * options.sample_rate))


def fingerprint(path: Path, options: TeacherOptions) -> str:
    """A hash of the file, or of all files of a folder, and of the options that change its embeddings."""
    digest = hashlib.sha256()
    try:
        for file in sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]:
            if path.is_dir():
                digest.update(file.relative_to(path).as_posix().encode("utf-8", "surrogateescape") + b"\n")
            with open(file, "rb") as content:
                while block := content.read(1 << 20):
                    digest.update(block)
    except OSError as error:
        raise UsageError(f"The teacher {path} cannot be read ({error.strerror}): give a file.") from error
    frontend = options.frontend.to_dict() if options.frontend else None
    # What came later is in it only where it is used: stores of before are still of the same teacher.
    later = [value for value in (options.pool, options.seconds) if value is not None]
    digest.update(json.dumps([options.tensor, options.sample_rate, frontend, *later]).encode())
    return digest.hexdigest()
