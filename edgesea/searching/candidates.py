"""What a search has tried, a file a candidate: they are all that it remembers.

DIR/candidates/0007.json appears whole or not at all, so a search that is killed has lost the candidate that
it was at, and goes on with that one.
"""

from pathlib import Path

from edgesea import files
from edgesea.errors import EdgeseaError
from edgesea.formats import door
from edgesea.formats import search as formats
from edgesea.formats.search import Candidate

_REMEDY = "delete that file and all with higher numbers, and search again"


def read(folder: Path) -> list[Candidate]:
    """The candidates of a search's folder, in order.

    Raises
    ------
    EdgeseaError
        One is damaged, or missing before another.
    """
    held = sorted((folder / formats.CANDIDATES).glob("[0-9]*.json"))
    found = []
    for number, path in enumerate(held):
        candidate = door.read_json(path, Candidate, largest=formats.LARGEST, remedy=_REMEDY)
        if path != _path(folder, number) or candidate.number != number:
            raise EdgeseaError(f"The search in {folder} lacks {_path(folder, number).name}: {_REMEDY}.")
        found.append(candidate)
    return found


def keep(folder: Path, candidate: Candidate) -> None:
    """Writes one."""
    files.write_json(_path(folder, candidate.number), candidate.model_dump())


def _path(folder: Path, number: int) -> Path:
    return folder / formats.CANDIDATES / f"{number:04d}.json"
