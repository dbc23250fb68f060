"""Datasets: from a path to a list of clips.

Every adapter is one module with two functions, `recognises(path) -> bool` and `load(path) -> Manifest`, and
one entry in `ADAPTERS`, or in another package an entry point of the group `edgesea.datasets`; the first that
recognises the path loads it.
"""

from pathlib import Path

from edgesea import remote
from edgesea.datasets.manifest import Clip, Manifest, split_groups
from edgesea.errors import UsageError
from edgesea.named import Registry

__all__ = ["ADAPTERS", "Clip", "Manifest", "load", "split_groups"]

# Other packages' are asked first. The folder adapter takes any folder, so it comes last.
ADAPTERS = Registry(
    "dataset layout",
    {
        "esc50": "edgesea.datasets.esc50",
        "urbansound8k": "edgesea.datasets.urbansound8k",
        "sonyc": "edgesea.datasets.sonyc",
        "recording": "edgesea.datasets.recording",
        "table": "edgesea.datasets.table",
        "folder": "edgesea.datasets.folder",
    },
    "edgesea.datasets",
)


def load(path: Path | str) -> Manifest:
    """Loads a dataset: a folder in a known layout, a folder of class folders or of audio, one recording, or
    a CSV table; on this machine, or behind an address (`edgesea.remote`).

    Raises `UsageError`, one sentence, for a path that is none of these and for what its adapter finds wrong.
    """
    path = remote.typed(path)
    if not path.exists():
        raise UsageError(f"There is no data at {path}: give a folder of audio, a recording or a CSV table.")
    faults: list[UsageError] = []
    for adapter in ADAPTERS.every(faults):
        if adapter.recognises(path):
            return adapter.load(path)
    if faults:
        raise faults[0]
    if isinstance(path, remote.Remote) and path.protocol in ("http", "https"):
        raise UsageError(
            f"Received {path} as data: the web has no folders, so give a recording or a CSV table."
        )
    raise UsageError(f"Received {path} as data: give a folder of audio, a recording or a CSV table.")
