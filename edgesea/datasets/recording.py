"""One recording, a night on one sensor: an audio file in the place of a folder of them."""

from pathlib import Path

from edgesea.audio import readable_suffixes
from edgesea.datasets.manifest import Clip, Manifest


def recognises(path: Path) -> bool:
    """Whether it is a file with a suffix of audio that can be read here."""
    return path.is_file() and path.suffix.lower() in readable_suffixes()


def load(path: Path) -> Manifest:
    """One clip, as long as its file."""
    return Manifest(path.parent, (Clip(path),), path.stem)
