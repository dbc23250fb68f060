"""Datasets: from a path to a list of clips.

Every adapter is one module with two functions, `recognises(path) -> bool` and `load(path) -> Manifest`, and
one entry in `ADAPTERS`; the first that recognises the path loads it.
"""

from pathlib import Path

from edgesea.datasets import esc50, folder, recording, sonyc, table, urbansound8k
from edgesea.datasets.manifest import Clip, Manifest, split_groups
from edgesea.errors import UsageError

__all__ = ["ADAPTERS", "Clip", "Manifest", "load", "split_groups"]

# The folder adapter takes any folder, so it comes last.
ADAPTERS = (esc50, urbansound8k, sonyc, recording, table, folder)


def load(path: Path | str) -> Manifest:
    """Loads a dataset: a folder in a known layout, a folder of class folders or of audio, a CSV table, or one
    recording.

    Raises `UsageError`, one sentence, for a path that is none of these and for what its adapter finds wrong.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise UsageError(f"There is no data at {path}: give a folder of audio, a CSV table or a recording.")
    for adapter in ADAPTERS:
        if adapter.recognises(path):
            return adapter.load(path)
    raise UsageError(f"Received {path} as data: give a folder of audio, a CSV table or a recording.")
