"""One recording, a night on one sensor: an audio file in the place of a folder of them."""

from pathlib import Path

from edgesea.audio import readable_suffixes
from edgesea.datasets.manifest import Clip, Manifest


def recognises(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in readable_suffixes()


def load(path: Path) -> Manifest:
    return Manifest(path.parent, (Clip(path),), path.stem)
