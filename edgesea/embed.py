"""Embeds a domain: every frame of every clip, with the teacher's embedding, into a store.

Rows of the store, in the order of the manifest:
    clip (int32, index into the manifest), start (float64, s of the file), level_db (float32, A-weighted: see
    `edgesea.levels`), embedding (n,) float32 and whatever else is asked of the teacher, patch
    (frames, mels, 1) float16 where patches are kept, and label (classes,) float32, 0 or 1, where the classes
    are given: every frame of a clip has the clip's label, also where nothing of it is heard just then.
The notes of each shard hold what was set aside or used in part (`Aside`), and how many frames were dropped
because the teacher gave no number for them.

Work is cut into pieces of at most ten minutes of a clip, and pieces into shards, from what can be said of the
files before they are decoded (`audio.survey`): a killed call goes on with the first shard that is missing,
and memory grows neither with files nor with the domain.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesea import audio, levels
from edgesea.datasets import Manifest
from edgesea.errors import EdgeseaError
from edgesea.pairing import Pairing
from edgesea.progress import SILENT, Progress
from edgesea.store import Store

PIECE_SECONDS = 600.0
# Of all frames, those for which a teacher may give NaN or infinity before it is called broken. One that takes
# the logarithm of the sound's power does so in digital silence.
MOST_BAD_FRAMES = 0.05
# A piece shorter than it was said to be by more than this, in seconds and of its own length, was cut off: the
# lengths of lossy formats are rounded to their blocks.
_SHORT_S, _SHORT = 0.1, 0.005


@dataclass(frozen=True)
class Aside:
    """What was not used: whole files or stretches, and files that were used in part, both as (path, reason)
    in order.
    """

    skipped: list[tuple[str, str]]
    in_part: list[tuple[str, str]]

    def write(self, folder: Path | str, progress: Progress = SILENT) -> None:
        """Writes skipped.csv and used_in_part.csv into `folder`, and says in a line that there is something
        to be read in them.
        """
        parts = []
        for name, rows, words in (
            ("skipped.csv", self.skipped, "set aside"),
            ("used_in_part.csv", self.in_part, "used in part"),
        ):
            audio.write_skipped(Path(folder) / name, rows)
            if rows:
                parts.append(f"{len({path for path, _ in rows})} {words}: see {Path(folder) / name}")
        if parts:
            progress.say("files " + "; ".join(parts))


@dataclass(frozen=True)
class Piece:
    """A stretch of a clip; start and end in seconds of its file, None for the file's own."""

    clip: int
    start: float | None
    end: float | None


def pieces(manifest: Manifest, clips: Sequence[int], seconds: float) -> list[tuple[Piece, float]]:
    """Cuts clips into stretches of at most `seconds`, each with its length in seconds as far as can be told.

    A file without a readable header is one piece of length 0: what it holds is found out when it is decoded.
    """
    surveyed = _Surveys(manifest)
    cut = []
    for index in clips:
        clip = manifest.clips[index]
        start, length = clip.start or 0.0, surveyed.seconds(index)
        # Less than a microsecond is rounding: 32.2 - 2.2 is more than 30.
        count = max(1, int(np.ceil((length - 1e-6) / seconds)))
        for k in range(count):
            first = clip.start if k == 0 else start + k * seconds
            last = clip.end if k == count - 1 else start + (k + 1) * seconds
            cut.append((Piece(index, first, last), max(0.0, min(seconds, length - k * seconds))))
    return cut


class _Surveys:
    """`audio.survey` of the clips' files, once for clips of one file that follow each other."""

    def __init__(self, manifest: Manifest):
        self._manifest = manifest
        self._of: tuple[Path | None, audio.Survey] = (None, audio.Survey(0.0))

    def of(self, index: int) -> audio.Survey:
        path = self._manifest.clips[index].path
        if self._of[0] != path:
            try:
                self._of = (path, audio.survey(path))
            except audio.BadAudio:
                self._of = (path, audio.Survey(0.0))
        return self._of[1]

    def seconds(self, index: int) -> float:
        """The clip's length as far as can be told, below 0 where it begins behind its file."""
        clip = self._manifest.clips[index]
        length = self.of(index).seconds - (clip.start or 0.0)
        return length if clip.end is None else min(length, clip.end - (clip.start or 0.0))


def promised(manifest: Manifest, clips: Sequence[int], pairing: Pairing, hop: float, enough: int) -> int:
    """How many frames clips hold as far as their headers tell, counted until there are `enough`.

    Rounded up: fewer are found where files are damaged or silent, more are not.
    """
    frames = 0
    for index in clips:
        for _, seconds in pieces(manifest, [index], PIECE_SECONDS):
            if seconds:
                length = math.ceil(seconds * pairing.sample_rate) + 1
                frames += audio.count(length, pairing.samples, _hop_samples(pairing, hop))
        if frames >= enough:
            break
    return frames


def embed(
    manifest: Manifest,
    pairing: Pairing,
    store: Store,
    hop: float,
    *,
    patches: bool,
    classes: Sequence[str] = (),
    calibration_db: float = 0.0,
    most_bad_frames: float = MOST_BAD_FRAMES,
    progress: Progress = SILENT,
) -> None:
    """Writes the shards that the store lacks.

    hop : seconds from frame to frame
    patches : whether the student's patches are kept beside the embeddings
    classes : names of the columns of `label`, in order; () keeps none
    calibration_db : see `edgesea.levels`
    most_bad_frames : share of all frames, in [0, 1], for which the teacher may give NaN or infinity; such
        frames are dropped, each with its clip and second in the notes

    Raises `EdgeseaError` where not one clip can be used, and for more bad frames than that.
    """
    cut = pieces(manifest, range(len(manifest)), PIECE_SECONDS)
    expected = sum(seconds for _, seconds in cut) / hop
    work = _Work(manifest, pairing, _hop_samples(pairing, hop), patches, calibration_db, classes)
    with progress.stage("embed", len(manifest)) as advance:
        for number, shard in enumerate(_shards(cut)):
            if not store.has(number):
                columns, notes = work.shard(shard)
                if number == 0:
                    notes["skipped"] = [*map(list, manifest.aside), *notes["skipped"]]
                store.write(number, columns, notes)
                # Hours of a broken teacher are not waited for.
                _check_bad(store, pairing, most_bad_frames, expected)
            advance(len({piece.clip for piece, _ in shard}))
    _check_bad(store, pairing, most_bad_frames, 0)
    if not len(store):
        reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped(store)[:3])
        raise EdgeseaError(f"Nothing in {manifest.root} can be used ({reasons}): give other sound.")


def aside(store: Store) -> Aside:
    """Everything that was set aside or used in part."""
    ended: dict[int, tuple[str, str]] = {}
    in_part: dict[tuple[str, str], None] = {}
    for shard in store.shards:
        for item in shard.notes.get("in_part", []):
            in_part[tuple(item)] = None
        for clip, path, reason in shard.notes.get("ended", []):
            # Where a clip ends is seen by its first piece that is too short; those behind only repeat it.
            if clip not in ended:
                ended[clip] = path, reason
                in_part[path, reason] = None
    return Aside(skipped(store), list(in_part))


def skipped(store: Store) -> list[tuple[str, str]]:
    """(path, reason) of everything that was set aside, in order."""
    return [tuple(item) for shard in store.shards for item in shard.notes.get("skipped", [])]


def _check_bad(store: Store, pairing: Pairing, most: float, expected: float) -> None:
    """Raises `EdgeseaError` where too many frames are bad, of those that there are or will be."""
    bad = [each for shard in store.shards for each in shard.notes.get("bad", [])]
    count = sum(each[2] for each in bad)
    total = max(expected, len(store) + count)
    if count > most * total:
        path, second, _ = bad[0]
        raise EdgeseaError(
            f"The teacher {pairing.teacher.name} gives NaN or infinity for {count} of {total:.0f} frames of "
            f"sound that holds neither, first at {second:g} s of {path}, and {most:.3g} of them "
            "are let pass: mend the teacher, take such sound (digital silence?) out, or raise "
            "--max-bad-frames."
        )


def _hop_samples(pairing: Pairing, hop: float) -> int:
    return max(1, round(hop * pairing.sample_rate))


def _shards(cut: list[tuple[Piece, float]]) -> list[list[tuple[Piece, float]]]:
    """Neighbouring pieces, until they make up PIECE_SECONDS or 256 files: one shard each."""
    shards: list[list[tuple[Piece, float]]] = []
    full = True
    for piece, seconds in cut:
        if full:
            shards.append([])
            total = 0.0
        shards[-1].append((piece, seconds))
        total += seconds
        full = total >= PIECE_SECONDS or len(shards[-1]) >= 256
    return shards


class _Work:
    """Makes shards, one after the other, and remembers where files ended earlier than they said."""

    def __init__(
        self,
        manifest: Manifest,
        pairing: Pairing,
        hop: int,
        patches: bool,
        calibration_db: float,
        classes: Sequence[str],
    ):
        self._manifest, self._pairing, self._hop = manifest, pairing, hop
        self._patches, self._calibration_db = patches, calibration_db
        self._labels = manifest.truth(classes)
        self._surveys = _Surveys(manifest)
        self._ends: dict[int, float] = {}  # clip -> second behind which there is nothing

    def shard(self, shard: list[tuple[Piece, float]]) -> tuple[dict[str, np.ndarray], dict[str, list]]:
        """Columns and notes."""
        rows: dict[str, list] = {name: [] for name in ("clip", "start", "level_db", *self._pairing.outputs)}
        if self._patches:
            rows["patch"] = []
        if self._labels.shape[1]:
            rows["label"] = []
        notes: dict[str, list] = {"skipped": [], "in_part": [], "ended": [], "bad": []}
        for piece, seconds in shard:
            for name, values in self._rows(piece, seconds, notes).items():
                rows[name].append(values)
        empty = {
            "clip": np.zeros(0, np.int32),
            "start": np.zeros(0),
            "level_db": np.zeros(0, np.float32),
            **{name: np.zeros((0, *shape), np.float32) for name, shape in self._pairing.outputs.items()},
            "patch": np.zeros((0, *self._pairing.frontend.patch_shape), np.float16),
            "label": self._labels[:0],
        }
        columns = {name: np.concatenate([empty[name], *parts]) for name, parts in rows.items()}
        return columns, {name: held for name, held in notes.items() if held or name == "skipped"}

    def _rows(self, piece: Piece, seconds: float, notes: dict[str, list]) -> dict[str, np.ndarray]:
        """The rows of one piece; {} where there are none, and why in the notes."""
        clip, rate = self._manifest.clips[piece.clip], self._pairing.sample_rate
        name = self._manifest.relative(Path(clip.path))
        first = piece.start or 0.0
        goes_on = first > (clip.start or 0.0)
        try:
            if goes_on and first >= self._ends.get(piece.clip, math.inf):
                raise audio.Ended("", clip.path)  # known without decoding what lies before it once more
            waveform = audio.read(clip.path, rate, start=piece.start, end=piece.end)
        except audio.BadAudio as error:
            if goes_on and isinstance(error, audio.Ended):
                self._ended(piece.clip, name, first, notes)
            else:
                notes["skipped"].append((name, error.reason + (f" from {first:g} s" if first else "")))
            return {}
        if not goes_on and (note := self._surveys.of(piece.clip).note):
            notes["in_part"].append((name, note))
        if seconds - len(waveform) / rate > _SHORT_S + _SHORT * seconds:
            self._ended(piece.clip, name, first + len(waveform) / rate, notes)
        frames = audio.frame(waveform, self._pairing.samples, self._hop)
        start = first + np.arange(len(frames)) * self._hop / rate
        heard = self._pairing.hear(frames, clip.path, start)
        finite = [np.isfinite(values).all(axis=tuple(range(1, values.ndim))) for values in heard.values()]
        good = np.logical_and.reduce(finite)
        if not good.all():
            bad = np.flatnonzero(~good)
            second = float(start[bad[0]])
            notes["bad"].append((name, second, len(bad)))
            reason = f"the teacher gives NaN or infinity for {len(bad)} of {len(good)} frames"
            place = f"{reason} from {first:g} s on, first at {second:g} s"
            notes["in_part" if good.any() else "skipped"].append((name, place))
            frames, start = frames[good], start[good]
            heard = {output: values[good] for output, values in heard.items()}
        if not len(frames):
            return {}
        rows: dict[str, np.ndarray] = {
            "clip": np.full(len(frames), piece.clip, np.int32),
            "start": start,
            "level_db": levels.level_dba(frames, rate, self._calibration_db),
            **heard,
        }
        if self._patches:
            rows["patch"] = self._pairing.patches(frames).astype(np.float16)
        if self._labels.shape[1]:
            rows["label"] = np.repeat(self._labels[piece.clip : piece.clip + 1], len(frames), axis=0)
        return rows

    def _ended(self, clip: int, name: str, at: float, notes: dict[str, list]) -> None:
        self._ends[clip] = min(at, self._ends.get(clip, math.inf))
        told = (self._manifest.clips[clip].start or 0.0) + self._surveys.seconds(clip)
        reason = f"its header tells of {told:.6g} s: used to {at:.6g} s, where it ends"
        notes["ended"].append((clip, name, reason))
