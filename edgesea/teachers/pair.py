"""A pair of models as one teacher: waveform -> a mel model -> spectrogram -> an embedding model -> embedding.

Written `MEL+EMBEDDING`, or as the folder that holds openWakeWord's two files, melspectrogram.tflite and
embedding_model.tflite (Google's speech embedding; Lin et al., "Training keyword spotters with limited and
synthesized speech data", ICASSP 2020). The mel model takes waveforms of any length: a frame is as long as the
embedding model's spectrogram needs.

openWakeWord's two want sound in 16-bit units, and the spectrogram, in dB, divided by 10 and raised by 2; that
is known of them by the embedding model's shapes. Of another pair, the second takes what the first gives.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgesea import files
from edgesea.errors import UsageError
from edgesea.interpreter import Interpreter, open_interpreter
from edgesea.recognise import PAIR, Found, parts
from edgesea.teacher import Ear, TeacherOptions
from edgesea.teachers.model import ModelTeacher, one_of_each

_PROBES = (16_000, 32_000)  # samples


@dataclasses.dataclass(frozen=True)
class Between:
    """What lies around the mel model: its input times `gain`, its output times `slope` plus `offset`."""

    sample_rate: int | None = None
    gain: float = 1.0
    slope: float = 1.0
    offset: float = 0.0


SPEECH = Between(16_000, 32768.0, 0.1, 2.0)
_SPEECH_SHAPES = ((1, 76, 32, 1), (1, 1, 1, 96))


def recognises(found: Found) -> bool:
    """Whether these are two models, one behind the other."""
    return found.kind == "pair"


def load(path: Path, options: TeacherOptions) -> ModelTeacher:
    """The teacher of two .tflite files."""
    first, second = _files(path)
    model = _Pair(first, second, options)
    rate = options.sample_rate or model.between.sample_rate
    if rate is None:
        raise UsageError(
            f"The pair {path} takes waveforms at a rate that its files do not say: give --teacher-rate."
        )
    teacher = ModelTeacher(
        first,
        dataclasses.replace(options, sample_rate=rate),
        model,
        ear=Ear(rate, model.samples, None, takes_patches=False),
        name=path.name if path.is_dir() else second.stem,
    )
    teacher.fingerprint = hashlib.sha256((teacher.fingerprint + _digest(second)).encode()).hexdigest()
    return teacher


def _files(path: Path) -> tuple[Path, Path]:
    if path.is_dir():
        return path / PAIR[0], path / PAIR[1]
    named = [files.expanded(each) for each in parts(str(path), "pair")]
    missing = [each for each in named if not each.is_file()]
    if missing or len(named) != 2:
        what = f"there is no file {missing[0]}" if missing else f"it names {len(named)} files"
        raise UsageError(f"The pair {path} cannot be used: {what}; write it as MEL.tflite+EMBEDDING.tflite.")
    return named[0], named[1]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class _Pair:
    """See `edgesea.teachers.model.Model`; samples : of the waveform that makes one spectrogram."""

    names = ("embedding",)

    def __init__(self, first: Path, second: Path, options: TeacherOptions):
        self._embedding = open_interpreter(second, threads=options.threads)
        one_of_each(second, len(self._embedding.inputs), len(self._embedding.outputs), "tensor")
        wanted = [size for size in self._embedding.input.shape if size != 1]
        if len(wanted) != 2:
            raise UsageError(
                f"The second of the pair, {second}, takes {self._embedding.input.shape}: it has to take one "
                "spectrogram of a fixed size."
            )
        shapes = self._embedding.input.shape, self._embedding.output.shape
        self.between = SPEECH if shapes == _SPEECH_SHAPES else Between()
        self.samples = _length(first, wanted)
        self._mel = _opened(first, self.samples, options.threads)
        self.input_shape = (self.samples,)

    def run(self, frames: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        mel = self._mel.run(frames * np.float32(self.between.gain))
        mel = mel * np.float32(self.between.slope) + np.float32(self.between.offset)
        return dict.fromkeys(names, self._embedding.run(mel))


def _opened(mel: Path, samples: int, threads: int = 1) -> Interpreter:
    return open_interpreter(mel, threads=threads, input_shape=(1, samples))


def _length(mel: Path, wanted: list[int]) -> int:
    """Samples for which the mel model gives a spectrogram of the wanted rows and columns."""
    rows = []
    for samples in _PROBES:
        model = _opened(mel, samples)
        shape = [size for size in model.run(np.zeros((1, samples), np.float32)).shape[1:] if size != 1]
        if len(shape) != 2 or shape[1] != wanted[1]:
            raise UsageError(
                f"The first of the pair, {mel}, gives spectrograms of {shape}, the second takes {wanted}: "
                "they do not belong together."
            )
        rows.append(shape[0])
    if rows[1] <= rows[0]:
        raise UsageError(
            f"The first of the pair, {mel}, gives as many rows for longer sound: it is no mel model."
        )
    hop = round((_PROBES[1] - _PROBES[0]) / (rows[1] - rows[0]))
    samples = _PROBES[0] + (wanted[0] - rows[0]) * hop
    found = [
        size for size in _opened(mel, samples).run(np.zeros((1, samples), np.float32)).shape if size != 1
    ]
    if samples < 1 or found[0] != wanted[0]:
        raise UsageError(f"No waveform makes {wanted[0]} rows with {mel}: the two do not belong together.")
    return samples
