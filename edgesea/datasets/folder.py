"""A folder of audio: class folders (street/dog/1.wav is a clip labelled dog), or files without labels.

The label is the first folder below the root; files that lie in the root itself have none. Hidden files and
folders, and files that are not audio by their suffix, are passed over. What has the suffix of audio and is no
file that can be decoded here (a pipe, a link that leads nowhere, a folder without audio, an .m4a where there
is no ffmpeg) is set aside with the reason.
"""

import os
from pathlib import Path

from edgesea import ffmpeg, remote
from edgesea.audio import SUFFIXES, readable_suffixes
from edgesea.datasets.manifest import Clip, Manifest
from edgesea.errors import UsageError


def recognises(path: Path) -> bool:
    """Whether a path is a folder: any is read as sound, a folder in it as a class."""
    return path.is_dir()


def load(path: Path) -> Manifest:
    """Reads a folder; raises `UsageError` where there is no audio in it."""
    found, aside = audio_files(path)
    if not found:
        held = "; ".join(f"{name}: {reason}" for name, reason in aside[:3])
        raise UsageError(
            f"Found no audio in the folder {path}: it needs files named *{', *'.join(SUFFIXES)}"
            f"{f' ({held})' if held else ''}."
        )
    clips = tuple(Clip(file, file.relative_to(path).parts[:-1][:1]) for file in found)
    return Manifest(path, clips, path.resolve().name, tuple(aside))


def audio_files(root: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """Every audio file below `root`, and (path, reason) of what only looks like one, both sorted.

    Links are followed, but no folder is entered twice.
    """
    if isinstance(root, remote.Remote):
        return _remote_files(root)
    found: list[Path] = []
    aside: list[tuple[str, str]] = []
    suffixes = readable_suffixes()
    seen = {root.resolve()}
    named = []  # folders with the name of a file
    for folder, subfolders, names in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(subfolders):
            real = Path(folder, name).resolve()
            if not name.startswith(".") and real not in seen:
                seen.add(real)
                kept.append(name)
                if Path(name).suffix.lower() in SUFFIXES + ffmpeg.SUFFIXES:
                    named.append(Path(folder, name))
        subfolders[:] = kept  # os.walk enters these, in this order
        for name in names:
            file = Path(folder, name)
            suffix = file.suffix.lower()
            if name.startswith(".") or suffix not in SUFFIXES + ffmpeg.SUFFIXES:
                continue
            reason = _why_not(file, suffix, suffixes)
            if reason is None:
                found.append(file)
            else:
                aside.append((file.relative_to(root).as_posix(), reason))
    for likely in named:
        if not any(file.is_relative_to(likely) for file in found):
            aside.append((likely.relative_to(root).as_posix(), "a folder without audio"))
    return sorted(found), sorted(aside)


def _remote_files(root: remote.Remote) -> tuple[list[Path], list[tuple[str, str]]]:
    found: list[Path] = []
    aside = []
    for file in root.files():
        suffix, inside = file.suffix.lower(), file.relative_to(root)
        if suffix not in SUFFIXES + ffmpeg.SUFFIXES or any(part.startswith(".") for part in inside.parts):
            continue
        if suffix in readable_suffixes():
            found.append(file)
        else:
            aside.append((inside.as_posix(), ffmpeg.MISSING))
    return found, aside


def _why_not(file: Path, suffix: str, suffixes: tuple[str, ...]) -> str | None:
    """Why a file with the suffix of audio is none; None where it may be."""
    if not file.exists():
        return "a link that leads nowhere"
    if not file.is_file():
        return "not a file"
    return None if suffix in suffixes else ffmpeg.MISSING
