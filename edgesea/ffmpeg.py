"""Decodes what libsndfile does not, by the system's ffmpeg where it is there: .m4a, .aac, .wma, films' sound.

ffmpeg runs as a child that reads one local file, in formats that hold sound themselves (no playlists, which
name other files), and writes float32 samples into a pipe. It gets limits of memory and processor time, may
write no file, and is killed where it says nothing for too long.
"""

import json
import os
import resource
import select
import shutil
import struct
import subprocess
import time
from pathlib import Path

import numpy as np

SUFFIXES = (
    *(".m4a", ".m4b", ".mp4", ".mov", ".3gp", ".3g2", ".aac", ".webm", ".mka", ".mkv"),
    *(".wma", ".asf", ".amr", ".ac3", ".eac3", ".ape", ".wv", ".tta", ".dsf", ".mpc"),
)
MISSING = "ffmpeg, which decodes it, is not installed: run `sudo apt install ffmpeg`"
BAD = "not audio that ffmpeg can decode"

# Demuxers that hold the sound themselves; a playlist under a sound's name would open what it likes.
_FORMATS = "mov,matroska,webm,aac,asf,amr,ac3,eac3,ape,wv,tta,dsf,mpc,mpc8,mp3,ogg,flac,wav,caf,mpegts"
_MEMORY = 2 << 30
_PROCESSOR_S = 60  # and one second more for each megabyte of the file
_SILENCE_S = 60.0
_BLOCK = 1 << 16
_LONGEST_HEADER = 4096
_MOST_CHANNELS = 64
_LARGEST_ANSWER = 1 << 16


class Failure(Exception):
    """The file could not be decoded; the text is a phrase."""


def installed() -> bool:
    """Whether ffmpeg and ffprobe are on the path."""
    return shutil.which("ffmpeg") is not None and shutil.which("ffprobe") is not None


def _start(program: str, arguments: list[str], path: Path) -> subprocess.Popen:
    found = shutil.which(program)
    if found is None:
        raise Failure(MISSING)
    process = subprocess.Popen(
        [found, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )
    seconds = _PROCESSOR_S + (path.stat().st_size >> 20)
    for limit, value in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
    ):
        try:
            resource.prlimit(process.pid, limit, (value, value))
        except ProcessLookupError:
            break  # it has ended already
    return process


def _input(path: Path) -> list[str]:
    return ["-protocol_whitelist", "file", "-format_whitelist", _FORMATS, "-i", f"file:{path}"]


class Stream:
    """The sound of a file from `start` on, in seconds: `read` gives it in order.

    samplerate : in Hz, the file's own. Raises `Failure` where there is no sound in the file.
    Where a format has no index, ffmpeg's seek may land some milliseconds aside.
    """

    note = None

    def __init__(self, path: Path, start: float = 0.0):
        before = ["-nostdin", "-hide_banner", "-loglevel", "quiet", "-threads", "1"]
        seek = ["-ss", f"{start:.6f}"] if start else []
        behind = ["-map", "0:a:0", "-map_metadata", "-1", "-bitexact", "-c:a", "pcm_f32le", "-f", "wav", "-"]
        self._process = _start("ffmpeg", [*before, *seek, *_input(path), *behind], path)
        self._pending = b""
        try:
            self.samplerate, self.channels = self._header()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends ffmpeg."""
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()

    def read(self, frames: int, **_) -> np.ndarray:
        """The next samples, (n, channels) float32; n is 0 behind the last."""
        wanted = frames * self.channels * 4
        while len(self._pending) < wanted and self._receive():
            pass
        whole = min(wanted, len(self._pending)) // (4 * self.channels) * 4 * self.channels
        block, self._pending = self._pending[:whole], self._pending[whole:]
        return np.frombuffer(block, "<f4").reshape(-1, self.channels)

    def _receive(self) -> bool:
        if not select.select([self._process.stdout], [], [], _SILENCE_S)[0]:
            raise Failure(f"ffmpeg says nothing for {_SILENCE_S:g} s")
        block = self._process.stdout.read(_BLOCK)
        self._pending += block
        return bool(block)

    def _header(self) -> tuple[int, int]:
        """Sample rate and channels, from the header of the WAV that ffmpeg writes."""
        while True:
            at = self._pending.find(b"data")
            if at >= 0 and len(self._pending) >= at + 8:
                break
            if len(self._pending) > _LONGEST_HEADER or not self._receive():
                raise Failure(BAD)
        form = self._pending.find(b"fmt ", 0, at)
        if form < 0:
            raise Failure(BAD)
        channels, rate = struct.unpack_from("<HI", self._pending, form + 10)
        if not 1 <= channels <= _MOST_CHANNELS:
            raise Failure(f"{channels} channels")
        self._pending = self._pending[at + 8 :]
        return rate, channels


def claimed_seconds(path: Path) -> float:
    """How long a file says that it is; infinity where it does not say. Raises `Failure`."""
    show = ["-hide_banner", "-loglevel", "quiet", "-show_entries", "format=duration", "-of", "json"]
    process = _start("ffprobe", [*show, *_input(path)], path)
    try:
        answer, end = b"", time.monotonic() + _SILENCE_S
        while len(answer) < _LARGEST_ANSWER:
            left = end - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                break
            block = os.read(process.stdout.fileno(), _BLOCK)
            if not block:
                break
            answer += block
        seconds = float(json.loads(answer)["format"]["duration"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return float("inf")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return seconds if seconds >= 0 else float("inf")
