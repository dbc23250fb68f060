"""Embeds a domain: every frame of every clip, with the teacher's embedding, into a store.

Rows of the store, in the order of the manifest:
    clip (int32, index into the manifest), start (float64, s of the file), level_db (float32, A-weighted: see
    `edgesea.levels`), embedding (n,) float32, and patch (frames, mels, 1) float16 where patches are kept.
The notes of each shard hold the clips that were set aside: [[path, reason], ...].

Work is cut into pieces of at most ten minutes of a clip, and pieces into shards, from the files' headers
alone: a killed call goes on with the first shard that is missing, and memory grows neither with files nor
with the domain.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from edgesea import audio, levels
from edgesea.datasets import Manifest
from edgesea.errors import EdgeseaError
from edgesea.pairing import Pairing
from edgesea.progress import SILENT, Progress
from edgesea.store import Store

PIECE_SECONDS = 600.0


@dataclass(frozen=True)
class Piece:
    """A stretch of a clip; start and end in seconds of its file, None for the file's own."""

    clip: int
    start: float | None
    end: float | None


def pieces(manifest: Manifest, clips: Sequence[int], seconds: float) -> list[tuple[Piece, float]]:
    """Cuts clips into stretches of at most `seconds`, each with its length in seconds as far as headers tell.

    A file without a readable header is one piece of length 0: what it holds is found out when it is decoded.
    """
    cut = []
    for index in clips:
        clip = manifest.clips[index]
        start = clip.start or 0.0
        try:
            length = soundfile.info(os.fsencode(clip.path)).duration - start
        except (soundfile.LibsndfileError, OSError, TypeError):
            length = 0.0
        if clip.end is not None:
            length = min(length, clip.end - start)
        # Less than a microsecond is rounding: 32.2 - 2.2 is more than 30.
        count = max(1, int(np.ceil((length - 1e-6) / seconds)))
        for k in range(count):
            first = clip.start if k == 0 else start + k * seconds
            last = clip.end if k == count - 1 else start + (k + 1) * seconds
            cut.append((Piece(index, first, last), max(0.0, min(seconds, length - k * seconds))))
    return cut


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
    calibration_db: float = 0.0,
    progress: Progress = SILENT,
) -> None:
    """Writes the shards that the store lacks.

    hop : seconds from frame to frame
    patches : whether the student's patches are kept beside the embeddings
    calibration_db : see `edgesea.levels`

    Raises `EdgeseaError` where not one clip can be used.
    """
    shards = _shards(pieces(manifest, range(len(manifest)), PIECE_SECONDS))
    hop_samples = _hop_samples(pairing, hop)
    with progress.stage("embed", len(manifest)) as advance:
        for number, shard in enumerate(shards):
            if not store.has(number):
                columns, notes = _shard(manifest, pairing, shard, hop_samples, patches, calibration_db)
                store.write(number, columns, notes)
            advance(len({piece.clip for piece in shard}))
    if not len(store):
        reasons = "; ".join(f"{path}: {reason}" for path, reason in skipped(store)[:3])
        raise EdgeseaError(f"Nothing in {manifest.root} can be used ({reasons}): give other sound.")


def skipped(store: Store) -> list[tuple[str, str]]:
    """(path, reason) of everything that was set aside, in order."""
    return [tuple(item) for shard in store.shards for item in shard.notes.get("skipped", [])]


def _hop_samples(pairing: Pairing, hop: float) -> int:
    return max(1, round(hop * pairing.sample_rate))


def _shards(cut: list[tuple[Piece, float]]) -> list[list[Piece]]:
    """Neighbouring pieces, until they make up PIECE_SECONDS or 256 files: one shard each."""
    shards: list[list[Piece]] = []
    full = True
    for piece, seconds in cut:
        if full:
            shards.append([])
            total = 0.0
        shards[-1].append(piece)
        total += seconds
        full = total >= PIECE_SECONDS or len(shards[-1]) >= 256
    return shards


def _shard(
    manifest: Manifest, pairing: Pairing, shard: list[Piece], hop: int, patches: bool, calibration_db: float
):
    rows: dict[str, list] = {name: [] for name in ("clip", "start", "level_db", *pairing.outputs)}
    if patches:
        rows["patch"] = []
    aside = []
    for piece in shard:
        clip = manifest.clips[piece.clip]
        try:
            waveform = audio.read(clip.path, pairing.sample_rate, start=piece.start, end=piece.end)
        except audio.BadAudio as error:
            name = manifest.relative(Path(clip.path))
            where = f" from {piece.start:g} s" if piece.start else ""
            aside.append((name, error.reason + where))
            continue
        frames = audio.frame(waveform, pairing.samples, hop)
        first = piece.start or 0.0
        rows["clip"].append(np.full(len(frames), piece.clip, np.int32))
        starts = first + np.arange(len(frames)) * hop / pairing.sample_rate
        rows["start"].append(starts)
        rows["level_db"].append(levels.level_dba(frames, pairing.sample_rate, calibration_db))
        for name, values in _finite(pairing, frames, clip.path, starts).items():
            rows[name].append(values)
        if patches:
            rows["patch"].append(pairing.patches(frames).astype(np.float16))
    empty = {
        "clip": np.zeros(0, np.int32),
        "start": np.zeros(0),
        "level_db": np.zeros(0, np.float32),
        **{name: np.zeros((0, *shape), np.float32) for name, shape in pairing.outputs.items()},
        "patch": np.zeros((0, *pairing.frontend.patch_shape), np.float16),
    }
    columns = {name: np.concatenate([empty[name], *parts]) for name, parts in rows.items()}
    return columns, {"skipped": aside}


def _finite(pairing: Pairing, frames: np.ndarray, path: str, starts: np.ndarray) -> dict[str, np.ndarray]:
    heard = pairing.hear(frames, path, starts)
    if not all(np.isfinite(values).all() for values in heard.values()):
        raise EdgeseaError(
            f"The teacher {pairing.teacher.name} gives NaN or infinity for sound that holds neither: it "
            "cannot be distilled."
        )
    return heard
