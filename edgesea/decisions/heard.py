"""Labelled clips as the device hears them: 16-bit samples, a frame wherever the sensor program decides, and
of an int8 model the patches in the device's own integers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgesea import audio, levels
from edgesea.datasets import Manifest
from edgesea.frontend import Frontend
from edgesea.interpreter import open_interpreter
from edgesea.listen import listen
from edgesea.progress import SILENT, Progress
from firmware_export.frontend import integer_tables

_BATCH = 64  # frames


@dataclass(frozen=True)
class Heard:
    """The frames of some clips, clip after clip.

    clip (N,) int : index into the manifest
    samples (N,) int : from the clip's beginning to the frame's end
    silent (N,) bool : see `edgesea.levels`
    outputs : name -> (N, n), of every function that was asked
    seconds : clip -> its length
    """

    clip: np.ndarray
    samples: np.ndarray
    silent: np.ndarray
    outputs: dict[str, np.ndarray]
    seconds: dict[int, float]

    @property
    def clips(self) -> list[int]:
        """Those of which there are frames, ascending."""
        return sorted(set(self.clip.tolist()))

    def rows(self, clips: Sequence[int], *, sounding: bool = False) -> np.ndarray:
        """The frames of some clips; with `sounding` without silent ones, but of clips that hold nothing
        else.
        """
        there = np.isin(self.clip, list(clips))
        if sounding:
            heard = there & ~self.silent
            there = heard | (there & ~np.isin(self.clip, self.clip[heard]))
        return np.flatnonzero(there)


def pcm(sound: np.ndarray) -> np.ndarray:
    """Sound in [-1, 1] -> 16-bit samples."""
    return np.clip(np.round(np.asarray(sound, np.float64) * 32768), -32768, 32767).astype(np.int16)


def asks(model: bytes | str, names: Sequence[str]) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """What `hear` asks of a .tflite: its outputs in order, under these names, dequantised."""
    interpreter = open_interpreter(model)

    def ask(patches: np.ndarray) -> dict[str, np.ndarray]:
        found = interpreter.run(patches, interpreter.outputs[: len(names)])
        return {name: values.reshape(len(patches), -1) for name, values in zip(names, found, strict=True)}

    return ask


def integer_ears(model: bytes | str, frontend: Frontend) -> listen.Ears:
    """What hears for an int8 .tflite.

    Raises `FrontendError` for a frontend that devices cannot compute.
    """
    patch = open_interpreter(model).input
    tables = integer_tables(frontend, scale=patch.scale, zero_point=patch.zero_point)
    return listen.Ears(frontend.to_dict(), tables)


def integers(model: bytes | str, names: Sequence[str]) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """The same of an int8 .tflite and int8 patches, by TFLite's reference kernels, as `listen.Decider` takes
    it.

    Scores are 0..255, an embedding is the integers that it is in the model.
    """
    interpreter = open_interpreter(model, resolver="reference")
    tensors = dict(zip(names, interpreter.outputs, strict=True))

    def ask(patches: np.ndarray) -> dict[str, np.ndarray]:
        values = interpreter.run(interpreter.input.dequantise(patches), list(tensors.values()))
        exact = {
            name: tensor.quantise(found).reshape(len(patches), -1).astype(np.int64)
            for (name, tensor), found in zip(tensors.items(), values, strict=True)
        }
        if "scores" in exact:
            exact["scores"] += 128
        return exact

    return ask


def zero_point(model: bytes) -> int:
    """Of the first output of an int8 .tflite."""
    return open_interpreter(model).output.zero_point


def pace(frontend: Frontend, hop: float | None = None) -> int:
    """How many possible patches lie between two decisions that are about `hop` seconds apart.

    hop : float > 0 [s]; half a patch by default. A padded frontend decides once a patch at most.
    """
    wanted = frontend.samples / 2 if hop is None else hop * frontend.sample_rate
    return max(1, round(wanted / listen.Frontend(frontend.to_dict()).period))


def hear(
    manifest: Manifest,
    clips: Sequence[int],
    ears: listen.Frontend,
    every: int,
    ask: Callable[[np.ndarray], dict[str, np.ndarray]],
    progress: Progress = SILENT,
) -> Heard:
    """Hears clips, each as a stream that begins with it; one shorter than a frame is followed by silence.

    clips : ascending indices into the manifest; those that cannot be read are left out, and said
    ears : make the patches that `ask` takes: `listen.Frontend`, or `integer_ears`
    every : see `pace`
    ask : patches (B, frames, mels, 1) -> name -> (B, n)
    """
    seconds: dict[int, float] = {}
    clip: list[int] = []
    samples: list[int] = []
    silent: list[bool] = []
    parts: list[dict[str, np.ndarray]] = []
    waiting: list[np.ndarray] = []

    def flush() -> None:
        if waiting:
            parts.append(ask(np.stack(waiting)[..., None]))
            waiting.clear()

    with progress.stage("hear", len(clips)) as advance:
        for index in clips:
            for end, frame in _frames(manifest, index, ears, every, seconds, progress):
                clip.append(index)
                samples.append(end)
                loudness = levels.level_dba(frame[None].astype(np.float32) / 32768, ears.rate)
                silent.append(bool(levels.silent(loudness)[0]))
                waiting.append(ears.patch(frame))
                if len(waiting) == _BATCH:
                    flush()
            advance()
    flush()
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
    return Heard(np.array(clip, int), np.array(samples, int), np.array(silent, bool), outputs, seconds)


def _frames(manifest, index, ears, every, seconds, progress) -> Iterator[tuple[int, np.ndarray]]:
    clip = manifest.clips[index]
    try:
        sound = audio.read(clip.path, ears.rate, start=clip.start, end=clip.end, silent_ok=True)
    except audio.BadAudio as error:
        progress.say(f"{manifest.relative(clip.path)} is left out: {error.reason}")
        return
    seconds[index] = len(sound) / ears.rate
    heard = pcm(sound)
    yield from listen.Framer(ears, every).push(np.pad(heard, (0, max(0, ears.reach - len(heard)))))
