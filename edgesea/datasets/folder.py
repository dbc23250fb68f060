"""A folder of audio: class folders (street/dog/1.wav is a clip labelled dog), or files without labels.

The label is the first folder below the root; files that lie in the root itself have none. Hidden files and
folders, and files that are not audio by their suffix, are passed over.
"""

import os
from pathlib import Path

from edgesea.audio import SUFFIXES
from edgesea.datasets.manifest import Clip, Manifest
from edgesea.errors import UsageError


def recognises(path: Path) -> bool:
    return path.is_dir()


def load(path: Path) -> Manifest:
    found = audio_files(path)
    if not found:
        raise UsageError(
            f"Found no audio in the folder {path}: it needs files named *{', *'.join(SUFFIXES)}."
        )
    clips = tuple(Clip(file, file.relative_to(path).parts[:-1][:1]) for file in found)
    return Manifest(path, clips, path.resolve().name)


def audio_files(root: Path) -> list[Path]:
    """Every audio file below `root`, sorted; links are followed, but no folder is entered twice."""
    found = []
    seen = {root.resolve()}
    for folder, subfolders, names in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(subfolders):
            real = Path(folder, name).resolve()
            if not name.startswith(".") and real not in seen:
                seen.add(real)
                kept.append(name)
        subfolders[:] = kept  # os.walk enters these, in this order
        for name in names:
            file = Path(folder, name)
            if not name.startswith(".") and file.suffix.lower() in SUFFIXES and file.is_file():
                found.append(file)
    return sorted(found)
