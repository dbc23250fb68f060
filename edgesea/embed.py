"""Embeds a domain: every frame of every clip, with the teacher's embedding, into a store.

Rows of the store, in the order of the manifest:
    clip (int32, index into the manifest), path (text, the file as the dataset's folder sees it), start
    (float64, s of the file), level_db (float32, A-weighted: see `edgesea.levels`), embedding (n,) float32, or
    float16 where that was chosen, and whatever else is asked of the teacher, patch (frames, mels, 1) float16
    where patches are kept, and label (classes,) float32, 0 or 1, where the classes are given: every frame of
    a clip has the clip's label, also where nothing of it is heard just then.
The notes of each shard hold what was set aside or used in part (`Aside`), and how many frames were dropped
because the teacher gave no number for them.

Work is cut into pieces of at most ten minutes of a clip, and pieces into shards, from what can be said of the
files before they are decoded (`audio.survey`): a killed call goes on with the first shard that is missing,
and memory grows neither with files nor with the domain.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesea import audio, levels, remote
from edgesea.datasets import Manifest
from edgesea.errors import EdgeseaError
from edgesea.pairing import Pairing
from edgesea.progress import SILENT, Progress
from edgesea.store import Store

PIECE_SECONDS = 600.0
# Of all frames, those for which a teacher may give NaN or infinity before it is called broken. One that takes
# the logarithm of the sound's power does so in digital silence.
MOST_BAD_FRAMES = 0.05
_BATCH = 64  # frames that the teacher is asked about at least, where there are so many
_BATCHES_AHEAD = 2
_DECODERS, _PIECES_AHEAD = 2, 16
_SURVEYED_AHEAD = 16  # files behind an address, each a question to its server or two
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
    surveyed = _Surveys(manifest, clips)
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
    """`audio.survey` of the clips' files, once for clips of one file that follow each other.

    clips : those that will be asked about, in this order: what lies behind an address is looked at ahead
    """

    def __init__(self, manifest: Manifest, clips: Sequence[int] = ()):
        self._manifest = manifest
        self._coming = (manifest.clips[index].path for index in clips)
        self._of: dict[Path, audio.Survey] = {}

    def of(self, index: int) -> audio.Survey:
        path = self._manifest.clips[index].path
        if path not in self._of:
            if isinstance(path, remote.Remote):
                paths = list(dict.fromkeys([path, *itertools.islice(self._coming, _SURVEYED_AHEAD)]))
                with ThreadPoolExecutor(len(paths)) as pool:
                    self._of = dict(zip(paths, pool.map(_survey, paths), strict=True))
            else:
                self._of = {path: _survey(path)}
        return self._of[path]

    def seconds(self, index: int) -> float:
        """The clip's length as far as can be told, below 0 where it begins behind its file."""
        clip = self._manifest.clips[index]
        length = self.of(index).seconds - (clip.start or 0.0)
        return length if clip.end is None else min(length, clip.end - (clip.start or 0.0))


def _survey(path: Path) -> audio.Survey:
    try:
        return audio.survey(path)
    except audio.BadAudio:
        return audio.Survey(0.0)  # why is said when it is used


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
    half: bool = False,
    classes: Sequence[str] = (),
    calibration_db: float = 0.0,
    most_bad_frames: float = MOST_BAD_FRAMES,
    engine: Callable[["Work", Sequence[tuple[int, "Shard"]]], Iterator["Made"]] | None = None,
    progress: Progress = SILENT,
) -> None:
    """Writes the shards that the store lacks.

    hop : seconds from frame to frame
    patches : whether the student's patches are kept beside the embeddings
    half : whether embeddings are kept in half precision
    classes : names of the columns of `label`, in order; () keeps none
    calibration_db : see `edgesea.levels`
    most_bad_frames : share of all frames, in [0, 1], for which the teacher may give NaN or infinity; such
        frames are dropped, each with its clip and second in the notes
    engine : what makes the shards that are lacking, in any order; None makes one after the other here

    Raises `EdgeseaError` where not one clip can be used, and for more bad frames than that.
    """
    cut = pieces(manifest, range(len(manifest)), PIECE_SECONDS)
    expected = sum(seconds for _, seconds in cut) / hop
    work = Work(
        manifest,
        pairing,
        _hop_samples(pairing, hop),
        patches=patches,
        half=half,
        calibration_db=calibration_db,
        classes=classes,
    )
    shards = dict(enumerate(_shards(cut)))
    lacking = [(number, shard) for number, shard in shards.items() if not store.has(number)]
    frames, bad = 0, []
    with progress.stage("embed", len(manifest)) as advance:
        there = sorted(shards.keys() - dict(lacking).keys())
        for number in itertools.chain(there, _write(store, manifest, (engine or _here)(work, lacking))):
            written = store.shard(number)
            frames += len(written)
            bad += written.notes.get("bad", [])
            # Hours of a broken teacher are not waited for.
            _check_bad(bad, frames, pairing, most_bad_frames, expected)
            advance(len({piece.clip for piece, _ in shards[number]}))
    _check_bad(bad, frames, pairing, most_bad_frames, 0)
    if not len(store):
        reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped(store)[:3])
        raise EdgeseaError(f"Nothing in {manifest.root} can be used ({reasons}): give other sound.")


def _here(work: "Work", lacking: Sequence[tuple[int, "Shard"]]) -> Iterator["Made"]:
    """Shards one after the other, by this process."""
    for number, shard in lacking:
        yield number, *work.shard(shard)


def _write(store: Store, manifest: Manifest, made: Iterator["Made"]) -> Iterator[int]:
    """Writes what is made, and yields its numbers."""
    for number, columns, notes in made:
        if number == 0:
            notes["skipped"] = [*map(list, manifest.aside), *notes["skipped"]]
        store.write(number, columns, notes)
        yield number


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


def _check_bad(bad: list, frames: int, pairing: Pairing, most: float, expected: float) -> None:
    """Raises `EdgeseaError` where too many frames are bad, of those that there are or will be.

    bad : rows of the notes, as far as the shards were looked at; frames : in those shards
    """
    count = sum(each[2] for each in bad)
    total = max(expected, frames + count)
    if count > most * total:
        path, second, _ = bad[0]
        raise EdgeseaError(
            f"The teacher {pairing.teacher.name} gives NaN or infinity for {count} of {total:.0f} frames of "
            f"sound that holds neither, first at {second:g} s of {path}, and {most:.3g} of them "
            "are let pass: mend the teacher, take such sound (digital silence?) out, or raise "
            "--max-bad-frames."
        )


def _halved(values: np.ndarray) -> np.ndarray:
    """In half precision; what is too large for it becomes the largest number that it has."""
    largest = np.finfo(np.float16).max
    return np.clip(values, -largest, largest).astype(np.float16)


def _hop_samples(pairing: Pairing, hop: float) -> int:
    return max(1, round(hop * pairing.sample_rate))


# Pieces, each with its length in seconds as far as that can be told.
Shard = list[tuple[Piece, float]]
# Of one shard: its number, columns and notes.
Made = tuple[int, dict[str, np.ndarray], dict[str, list]]


def _shards(cut: Shard) -> list[Shard]:
    """Neighbouring pieces, until they make up PIECE_SECONDS or 256 files: one shard each."""
    shards: list[Shard] = []
    full = True
    for piece, seconds in cut:
        if full:
            shards.append([])
            total = 0.0
        shards[-1].append((piece, seconds))
        total += seconds
        full = total >= PIECE_SECONDS or len(shards[-1]) >= 256
    return shards


@dataclass
class _Part:
    """The frames of one piece on their way: name of the file, frames (B, samples), start (B,), s."""

    piece: Piece
    name: str
    frames: np.ndarray
    start: np.ndarray
    notes: dict[str, list]


class Work:
    """Makes shards, one after the other, and remembers where files ended earlier than they said.

    Another process makes the same of `settings`, a manifest and a pairing.

    Decoding, the teacher, and patches and levels each have a thread of their own, and what they do is done
    outside Python's lock: while one batch is asked about, the next is decoded. Batches go over clips, and
    never over shards, so that a shard does not depend on which came before it in this call.
    """

    def __init__(
        self,
        manifest: Manifest,
        pairing: Pairing,
        hop: int,
        *,
        patches: bool,
        half: bool,
        calibration_db: float,
        classes: Sequence[str],
    ):
        self.manifest, self.pairing = manifest, pairing
        self.settings = {
            "hop": hop,
            "patches": patches,
            "half": half,
            "calibration_db": calibration_db,
            "classes": classes,
        }
        self._hop = hop
        self._patches, self._half, self._calibration_db = patches, half, calibration_db
        self._labels = manifest.truth(classes)
        self._surveys = _Surveys(manifest)
        self._ends: dict[int, float] = {}  # clip -> second behind which there is nothing

    def shard(self, shard: Shard) -> tuple[dict[str, np.ndarray], dict[str, list]]:
        """Columns and notes."""
        told: list[dict[str, list]] = [{"skipped": [], "in_part": [], "ended": [], "bad": []} for _ in shard]
        rows: list[dict[str, np.ndarray]] = [self._empty()]
        asked: deque = deque()
        with ThreadPoolExecutor(1) as teacher, ThreadPoolExecutor(1) as beside:
            for batch in self._batches(shard, told):
                frames = np.concatenate([part.frames for part in batch])
                asked.append(
                    (batch, teacher.submit(self._hear, batch, frames), beside.submit(self._beside, frames))
                )
                while len(asked) > _BATCHES_AHEAD:
                    rows += self._rows(*asked.popleft())
            while asked:
                rows += self._rows(*asked.popleft())
        columns = {name: np.concatenate([each[name] for each in rows]) for name in rows[0]}
        notes = {name: [item for each in told for item in each[name]] for name in told[0]} if told else {}
        return columns, {name: held for name, held in notes.items() if held or name == "skipped"}

    def _empty(self) -> dict[str, np.ndarray]:
        """No rows, of all columns."""
        kind = np.float16 if self._half else np.float32
        empty = {
            "clip": np.zeros(0, np.int32),
            "path": np.zeros(0, str),
            "start": np.zeros(0),
            "level_db": np.zeros(0, np.float32),
            **{
                name: np.zeros((0, *shape), kind if name == "embedding" else np.float32)
                for name, shape in self.pairing.outputs.items()
            },
        }
        if self._patches:
            empty["patch"] = np.zeros((0, *self.pairing.frontend.patch_shape), np.float16)
        if self._labels.shape[1]:
            empty["label"] = self._labels[:0]
        return empty

    def _batches(
        self, shard: list[tuple[Piece, float]], told: list[dict[str, list]]
    ) -> Iterator[list[_Part]]:
        """The frames of a shard, of neighbouring pieces together as long as they are fewer than `_BATCH`."""
        batch: list[_Part] = []
        for (piece, seconds), sound, notes in zip(shard, self._sounds(shard), told, strict=True):
            part = self._framed(piece, seconds, sound, notes)
            if part is not None:
                batch.append(part)
            if sum(len(each.frames) for each in batch) >= _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _sounds(self, shard: list[tuple[Piece, float]]) -> Iterator[np.ndarray | audio.BadAudio]:
        """What each piece holds, decoded ahead of who asks: by more where pieces are short."""
        longest = max((seconds for _, seconds in shard), default=0.0)
        ahead = max(1, min(_PIECES_AHEAD, int(PIECE_SECONDS / max(longest, 1.0))))
        waiting: deque = deque()
        with ThreadPoolExecutor(_DECODERS) as pool:
            for piece, _ in shard:
                waiting.append(pool.submit(self._decoded, piece))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _decoded(self, piece: Piece) -> np.ndarray | audio.BadAudio:
        clip = self.manifest.clips[piece.clip]
        if self._goes_on(piece) and (piece.start or 0.0) >= self._ends.get(piece.clip, math.inf):
            return audio.Ended("", clip.path)  # known without decoding what lies before it once more
        try:
            return audio.read(clip.path, self.pairing.sample_rate, start=piece.start, end=piece.end)
        except audio.BadAudio as error:
            return error

    def _goes_on(self, piece: Piece) -> bool:
        return (piece.start or 0.0) > (self.manifest.clips[piece.clip].start or 0.0)

    def _framed(
        self, piece: Piece, seconds: float, sound: np.ndarray | audio.BadAudio, notes: dict[str, list]
    ) -> _Part | None:
        """The frames of one piece; None where there are none, and why in the notes."""
        rate, first, goes_on = self.pairing.sample_rate, piece.start or 0.0, self._goes_on(piece)
        name = self.manifest.relative(self.manifest.clips[piece.clip].path)
        if isinstance(sound, audio.BadAudio):
            if goes_on and isinstance(sound, audio.Ended):
                self._ended(piece.clip, name, first, notes)
            else:
                notes["skipped"].append((name, sound.reason + (f" from {first:g} s" if first else "")))
            return None
        if not goes_on and (note := self._surveys.of(piece.clip).note):
            notes["in_part"].append((name, note))
        if seconds - len(sound) / rate > _SHORT_S + _SHORT * seconds:
            self._ended(piece.clip, name, first + len(sound) / rate, notes)
        # What was made before has no frame behind the last whole one.
        frames = audio.frame(sound, self.pairing.samples, self._hop, pad=self.pairing.hears)
        if not len(frames):
            notes["skipped"].append((name, "shorter than one frame"))
            return None
        return _Part(piece, name, frames, first + np.arange(len(frames)) * self._hop / rate, notes)

    def _hear(self, batch: list[_Part], frames: np.ndarray) -> dict[str, np.ndarray] | list:
        """What the teacher gives for a batch; of one that recalls, a list with an answer for each part."""
        if self.pairing.hears:
            return self.pairing.hear(frames, Path(), np.zeros(0))
        heard: list[dict[str, np.ndarray] | audio.BadAudio] = []
        for part in batch:
            try:
                path = self.manifest.clips[part.piece.clip].path
                heard.append(self.pairing.hear(part.frames, path, part.start))
            except audio.BadAudio as error:
                heard.append(error)
        return heard

    def _beside(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """Columns that no teacher is needed for."""
        levelled = levels.level_dba(frames, self.pairing.sample_rate, self._calibration_db)
        patches = {"patch": self.pairing.patches(frames).astype(np.float16)} if self._patches else {}
        return {"level_db": levelled, **patches}

    def _rows(self, batch: list[_Part], hearing: Future, beside: Future) -> list[dict[str, np.ndarray]]:
        """The rows of every part of a batch that has some."""
        heard, others, rows, at = hearing.result(), beside.result(), [], 0
        for k, part in enumerate(batch):
            here = slice(at, at + len(part.frames))
            at = here.stop
            if isinstance(heard, dict):
                given = {name: values[here] for name, values in heard.items()}
            elif isinstance(heard[k], audio.BadAudio):
                part.notes["skipped"].append((part.name, heard[k].reason))
                continue
            else:
                given = heard[k]
            rows.append(self._kept(part, given, {name: values[here] for name, values in others.items()}))
        return rows

    def _kept(
        self, part: _Part, heard: dict[str, np.ndarray], others: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """The rows for which the teacher gave numbers; on the others there are notes."""
        finite = [np.isfinite(values).all(axis=tuple(range(1, values.ndim))) for values in heard.values()]
        good = np.logical_and.reduce([np.ones(len(part.frames), bool), *finite])
        if not good.all():
            bad = np.flatnonzero(~good)
            second = float(part.start[bad[0]])
            part.notes["bad"].append((part.name, second, len(bad)))
            reason = f"the teacher gives NaN or infinity for {len(bad)} of {len(good)} frames"
            place = f"{reason} from {part.piece.start or 0.0:g} s on, first at {second:g} s"
            part.notes["in_part" if good.any() else "skipped"].append((part.name, place))
        if self._half:
            heard = {**heard, "embedding": _halved(heard["embedding"])}
        columns = {
            "clip": np.full(len(good), part.piece.clip, np.int32),
            # Names of files need not be UTF-8 on Linux; such bytes are shown escaped.
            "path": np.full(len(good), part.name.encode("utf-8", "backslashreplace").decode()),
            "start": part.start,
            **others,
            **heard,
        }
        if self._labels.shape[1]:
            columns["label"] = np.repeat(
                self._labels[part.piece.clip : part.piece.clip + 1], len(good), axis=0
            )
        return {name: values[good] for name, values in columns.items()}

    def _ended(self, clip: int, name: str, at: float, notes: dict[str, list]) -> None:
        self._ends[clip] = min(at, self._ends.get(clip, math.inf))
        told = (self.manifest.clips[clip].start or 0.0) + self._surveys.seconds(clip)
        reason = f"its header tells of {told:.6g} s: used to {at:.6g} s, where it ends"
        notes["ended"].append((clip, name, reason))
