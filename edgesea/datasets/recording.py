"""One recording, such as a night on one sensor: a file of audio, without labels."""

from pathlib import Path

from edgesea import ffmpeg
from edgesea.audio import SUFFIXES, readable_suffixes
from edgesea.datasets.manifest import Clip, Manifest
from edgesea.errors import UsageError


def recognises(path: Path) -> bool:
    """Whether it is a file with a suffix of audio."""
    return path.is_file() and path.suffix.lower() in SUFFIXES + ffmpeg.SUFFIXES


def load(path: Path) -> Manifest:
    """One clip, as long as its file.

    Raises
    ------
    UsageError
        It takes ffmpeg, which is not installed.
    """
    if path.suffix.lower() not in readable_suffixes():
        raise UsageError(f"Cannot read {path}: {ffmpeg.MISSING}.")
    return Manifest(path.parent, (Clip(path),), path.stem)
