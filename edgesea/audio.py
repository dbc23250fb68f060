"""Reads sound: any file that libsndfile or ffmpeg decodes, as mono float32 at the rate that is asked for.

Aim: a bad file never ends a run. A file is used as far as it can be used (truncated, eight-bit, multichannel,
odd rate); what cannot be used raises `BadAudio` with a short reason, and the caller sets it aside in
`skipped.csv` (see `write_skipped`).

Conventions
- waveform (samples,) float32 in [-1, 1]: the mean of the channels, resampled by soxr (quality HQ).
- Decoding and resampling go block by block: `read` holds the stretch that it returns, no more of the file.
- A header may lie. What it says of the length is believed where the file's bytes can hold it, and else found
  out by decoding (`survey`); no file decodes to more than `MOST_PER_BYTE` samples a byte.
- A path may lie behind an address (`edgesea.remote`): it is read from a copy on this machine.
- libsndfile's own MP3 decoder may write warnings about damaged files to the standard error stream.
"""

import contextlib
import csv
import io
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from edgesea import ffmpeg, files, remote, riff
from edgesea.errors import EdgeseaError, UsageError

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff")

# In samples of the file. One FLAC block: where a truncated file ends, the block that fails to decode is lost.
_BLOCK = 4096
# Formats whose seek is exact in libsndfile 1.2.2: in OGG and MP3 it lands some samples aside, so those are
# decoded from their beginning, which makes late stretches of long files slow.
_EXACT_SEEK = frozenset({"WAV", "WAVEX", "RF64", "W64", "FLAC", "AIFF", "AU", "CAF"})
# Rates outside this range are a damaged header, and would blow a small file up to gigabytes.
_LOWEST_RATE, _HIGHEST_RATE = 1_000, 1_536_000
# Float files may exceed full scale a little (they are clipped); more than 24 dB over is another scale.
_HIGHEST_PEAK = 16.0
# Samples (of one channel) that a byte of a file may stand for. Digital silence in a FLAC file of the longest
# blocks, or in OPUS, comes near it; nothing else comes near a hundredth.
MOST_PER_BYTE = 4096
# A header that tells of more than this is believed only once the file was decoded: the thinnest sound that
# people record, OPUS at 6 kbit/s, has 64 samples a byte.
_BELIEVED_PER_BYTE = 64
# Samples in one array that `frames` yields, at most (or one frame, where that is longer).
_BATCH = 1 << 20
SILENCE_DB = -120.0
# A length above this, three years, is a header that does not know.
_UNKNOWN_S = 1e8


class BadAudio(EdgeseaError):
    """A file, or a stretch of one, that cannot be used; `reason` is a phrase such as 'silent'."""

    def __init__(self, reason: str, path: Path | str | None = None):
        self.reason = reason
        self.path = path
        super().__init__(f"Cannot use the audio file {path}: {reason}." if path is not None else reason)


class Ended(BadAudio):
    """A stretch that begins behind the last sample of its file."""


@dataclass(frozen=True)
class Survey:
    """What can be said of a file before it is used: seconds >= 0 of sound, as far as header or decoding tell,
    and a note, or None, on what is not as it should be.
    """

    seconds: float
    note: str | None = None


def readable_suffixes() -> tuple[str, ...]:
    """The endings of names that are taken for sound that can be decoded here."""
    return SUFFIXES + ffmpeg.SUFFIXES if ffmpeg.installed() else SUFFIXES


def survey(path: Path | str, *, decode: bool = False) -> Survey:
    """How long a file is; never more than its bytes can hold.

    decode : bool, counts what it holds even where its header can be believed: it may end earlier

    Raises `BadAudio` for a file that cannot be opened.
    """
    if not decode:
        with _here(path, remote.outline) as outline:
            told = _told(outline)
        if told is not None:
            return told
    with _here(path) as local:
        return _counted(local)


def _told(path: Path) -> Survey | None:
    """What a header says of its file, None where it cannot be believed."""
    with _open(path) as file:
        claimed = file.frames / file.samplerate if isinstance(file, _File) else _claimed(path)
        believed = claimed * file.samplerate <= path.stat().st_size * _BELIEVED_PER_BYTE
        return Survey(claimed, file.note) if believed else None


def _counted(path: Path) -> Survey:
    """What a file holds, by decoding it."""
    with _open(path) as file:
        rate, note = file.samplerate, file.note
        claimed = file.frames / rate if isinstance(file, _File) else _claimed(path)
    try:
        held = sum(len(block) for block in _decoded(path, None, None)) / rate
    except BadAudio:
        held = 0.0  # why is said when it is used
    if claimed - held > 0.1 + 0.005 * held:
        told = "no length" if claimed > _UNKNOWN_S else f"{claimed:.6g} s"
        note = f"its header tells of {told}: used to {held:.6g} s, where it ends"
    return Survey(held, note)


def read(
    path: Path | str,
    sample_rate: int,
    *,
    start: float | None = None,
    end: float | None = None,
    silent_ok: bool = False,
) -> np.ndarray:
    """Reads a file, or a stretch of it, as mono.

    sample_rate : int > 0, in Hz, of the waveform returned
    start, end : float >= 0, in seconds of the file; None is its beginning or its end. An `end` behind the end
        of the file is the end of the file.
    silent_ok : bool, returns silence (every sample the same) instead of raising `BadAudio`

    Returns waveform (samples,) float32 in [-1, 1], at least one sample.
    Raises `BadAudio` for a file that is missing, empty, not audio, silent, or holds NaN or infinity;
    `UsageError` for an impossible rate or stretch.
    """
    with _here(path) as local:
        blocks = list(_blocks(local, sample_rate, start, end, silent_ok))
        if not blocks:
            raise BadAudio(f"shorter than one sample at {sample_rate} Hz", local)
    return np.concatenate(blocks)


def blocks(path: Path | str, sample_rate: int, *, silent_ok: bool = False) -> Iterator[np.ndarray]:
    """Reads a file as `read` does, block by block: yields (n,) float32 in [-1, 1]; memory does not grow."""
    with _here(path) as local:
        yield from _blocks(local, sample_rate, None, None, silent_ok)


def count(length: int, samples: int, hop: int) -> int:
    """How many frames `frame` cuts a waveform of `length` samples into."""
    whole = _whole(length, samples, hop)
    return whole + _tail(length, samples, hop, whole)


def frame(waveform: np.ndarray, samples: int, hop: int, pad: bool = True) -> np.ndarray:
    """Cuts a waveform into frames.

    waveform (length,) float32; samples, hop : int > 0, in samples
    pad : bool. What is left behind the last whole frame becomes one more frame, padded with zeros, if at
        least half of that frame is sound; a waveform shorter than one frame always becomes one frame.
        Without `pad` only whole frames are returned.

    Returns (n, samples) float32, n >= 0.
    """
    _check_framing(samples, hop)
    n = _whole(len(waveform), samples, hop)
    cut = list(_batches(waveform, samples, hop, n))
    if pad and _tail(len(waveform), samples, hop, n):
        cut.append(_padded(waveform[n * hop :], samples)[None])
    return np.concatenate(cut) if cut else np.zeros((0, samples), np.float32)


def level_db(waveform: np.ndarray) -> float:
    """The root mean square of a waveform, in dB relative to an amplitude of 1, at least `SILENCE_DB`.

    A full-scale sine has -3.01 dB. Unweighted: nothing here is calibrated to sound pressure.
    """
    power = float(np.mean(np.square(waveform, dtype=np.float64))) if len(waveform) else 0.0
    return max(SILENCE_DB, 10 * math.log10(power)) if power > 0 else SILENCE_DB


def write_skipped(path: Path | str, skipped: Iterable[tuple[Path | str, str]]) -> None:
    """Writes the list of files set aside, or used in part, as CSV with the columns path and reason, whole or
    not at all.
    """
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["path", "reason"])
    writer.writerows([str(name), reason] for name, reason in skipped)
    # File names need not be UTF-8 on Linux; such bytes are shown escaped.
    files.write_bytes(path, table.getvalue().encode("utf-8", "backslashreplace"))


@contextlib.contextmanager
def _here(path: Path | str, how: Callable = remote.here) -> Iterator[Path]:
    """A path on this machine of what a path leads to; what is said of it names the path that was given."""
    if not isinstance(path, remote.Remote):
        yield Path(path)
        return
    try:
        with how(path) as local:
            yield local
    except BadAudio as error:
        raise type(error)(error.reason, path) from error
    except FileNotFoundError as error:
        raise BadAudio("missing", path) from error
    except PermissionError as error:
        raise BadAudio("not readable: permission denied", path) from error


class _File(soundfile.SoundFile):
    """A file that is only read onwards; `note` says what is not as it should be, or is None.

    After every read soundfile seeks to where the read ended, if the file says that it is seekable. In a VBR
    MP3 that seek lands elsewhere, and every block boundary would be a splice.
    """

    note: str | None = None

    def seekable(self) -> bool:
        return False


def _open(path: Path | str, start: float = 0.0) -> "_File | ffmpeg.Stream":
    """The decoder of a file; where ffmpeg is one, from `start` on."""
    path = Path(path)
    try:
        if not path.exists():
            raise BadAudio("a link that leads nowhere" if path.is_symlink() else "missing", path)
        # A pipe would block for ever, a folder is a wrong manifest.
        if not path.is_file():
            raise BadAudio("not a file", path)
        if path.stat().st_size == 0:
            raise BadAudio("empty", path)
        if not os.access(path, os.R_OK):
            raise BadAudio("not readable: permission denied", path)
        by_ffmpeg = path.suffix.lower() in ffmpeg.SUFFIXES
        file = ffmpeg.Stream(path, start) if by_ffmpeg else _of_libsndfile(path)
    except BadAudio:
        raise
    except ffmpeg.Failure as error:
        raise BadAudio(str(error), path) from error
    except (soundfile.LibsndfileError, OSError, TypeError, ValueError) as error:
        raise BadAudio("not audio that libsndfile can decode", path) from error
    if not _LOWEST_RATE <= file.samplerate <= _HIGHEST_RATE:
        file.close()
        raise BadAudio(f"a sample rate of {file.samplerate} Hz", path)
    return file


def _of_libsndfile(path: Path) -> _File:
    found = riff.samples(path)
    if found is None:
        return _File(os.fsencode(path))
    if found.unfinished:
        file = _File(riff.Completed(path, found))
        file.note = "its recorder never wrote its length: used to the end of the file"
        return file
    file = _File(os.fsencode(path))
    if found.truncated and file.frames:
        told = file.frames / file.samplerate / found.held * found.declared
        file.note = (
            f"its header tells of {told:.6g} s: used to {file.frames / file.samplerate:.6g} s, where it ends"
        )
    return file


def _claimed(path: Path) -> float:
    try:
        return ffmpeg.claimed_seconds(path)
    except ffmpeg.Failure as error:
        raise BadAudio(str(error), path) from error


def _decoded(path: Path | str, start: float | None, end: float | None) -> Iterator[np.ndarray]:
    """Yields (n,) float32 blocks of a file, or of a stretch of it, at its own rate, as far as it decodes."""
    with _open(path, start or 0.0) as file:
        first = round((start or 0.0) * file.samplerate)
        left = None if end is None else round(end * file.samplerate) - first
        if isinstance(file, ffmpeg.Stream):
            yield from _limited(_raw(file, path), left)
            return
        if first >= file.frames:
            return
        try:
            if first and file.format in _EXACT_SEEK:
                file.seek(first)
                blocks = _raw(file, path)
            else:
                blocks = _after(_raw(file, path), first)
        except soundfile.LibsndfileError:
            # A damaged file cannot always be searched, nor used after that; it decodes from its beginning.
            blocks = _after(_decoded(path, None, None), first)
        yield from _limited(blocks, left)


def _raw(file: "_File | ffmpeg.Stream", path: Path | str) -> Iterator[np.ndarray]:
    left = os.path.getsize(path) * MOST_PER_BYTE
    while True:
        try:
            block = file.read(_BLOCK, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, ffmpeg.Failure):
            return  # Truncated or damaged here: what came before is used.
        if not len(block):
            return
        left -= len(block)
        if left < 0:
            raise BadAudio(f"it decodes to more than {MOST_PER_BYTE} samples a byte", path)
        if not np.isfinite(block).all():
            raise BadAudio("holds NaN or infinity", path)
        if np.abs(block).max() > _HIGHEST_PEAK:
            raise BadAudio(f"a peak of {np.abs(block).max():.4g}, where full scale is 1", path)
        yield block.mean(axis=1)


def _after(blocks: Iterator[np.ndarray], skip: int) -> Iterator[np.ndarray]:
    for block in blocks:
        if skip < len(block):
            yield block[skip:]
        skip = max(0, skip - len(block))


def _limited(blocks: Iterator[np.ndarray], left: int | None) -> Iterator[np.ndarray]:
    for block in blocks:
        if left is None:
            yield block
        elif left > len(block):
            left -= len(block)
            yield block
        else:
            if left:
                yield block[:left]
            return


def _blocks(
    path: Path | str, sample_rate: int, start: float | None, end: float | None, silent_ok: bool
) -> Iterator[np.ndarray]:
    """Yields (n,) float32 blocks in [-1, 1] at `sample_rate`: the one place that says what is bad."""
    if not (isinstance(sample_rate, int | np.integer) and _LOWEST_RATE <= sample_rate <= _HIGHEST_RATE):
        raise UsageError(
            f"Received an invalid sample rate, {sample_rate!r}: give a whole number of Hz "
            f"from {_LOWEST_RATE} to {_HIGHEST_RATE}."
        )
    for name, value in (("start", start), ("end", end)):
        if value is not None and not (math.isfinite(value) and value >= 0):
            raise UsageError(f"Received an invalid {name} for {path}, {value}: give seconds, at least 0.")
    if end is not None and end <= (start or 0.0):
        raise UsageError(
            f"Received an empty stretch of {path}, start {start or 0.0} s and end {end} s: "
            "the end must lie behind the start."
        )
    with _open(path) as file:
        rate = file.samplerate
    resampler = None
    if rate != sample_rate:
        resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
    low, high, total = math.inf, -math.inf, 0
    for block in _decoded(path, start, end):
        low, high = min(low, float(block.min())), max(high, float(block.max()))
        total += len(block)
        if resampler:
            block = resampler.resample_chunk(block)
        if len(block):
            yield np.clip(block, -1.0, 1.0)
    if not total:
        raise Ended(f"nothing to decode at {start:g} s", path) if start else BadAudio("empty", path)
    if low == high and not silent_ok:
        raise BadAudio("silent", path)
    if resampler:
        block = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        if len(block):
            yield np.clip(block, -1.0, 1.0)


def _check_framing(samples: int, hop: int) -> None:
    if samples < 1 or hop < 1:
        raise UsageError(
            f"Received frames of {samples} samples every {hop} samples: both must be at least 1."
        )


def _whole(length: int, samples: int, hop: int) -> int:
    return 0 if length < samples else 1 + (length - samples) // hop


def _tail(length: int, samples: int, hop: int, whole: int) -> bool:
    """True where a padded frame follows the whole ones: see `frame`."""
    if not whole:
        return length > 0
    covered = (whole - 1) * hop + samples
    return length > covered and 2 * (length - whole * hop) >= samples


def _batches(waveform: np.ndarray, samples: int, hop: int, n: int) -> Iterator[np.ndarray]:
    if not n:
        return
    windows = np.lib.stride_tricks.sliding_window_view(waveform, samples)[: (n - 1) * hop + 1 : hop]
    size = max(1, _BATCH // samples)
    for first in range(0, n, size):
        yield windows[first : first + size].astype(np.float32)


def _padded(waveform: np.ndarray, samples: int) -> np.ndarray:
    out = np.zeros(samples, np.float32)
    out[: len(waveform)] = waveform
    return out
