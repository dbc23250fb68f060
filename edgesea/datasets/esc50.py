"""ESC-50 (Piczak, 2015), or a part of it: audio/*.wav and meta/esc50.csv, or esc50.csv beside audio/.

The label is the category, the group the recording that the clip was cut from (src_file), the fold as given:
the authors' folds keep recordings together and are not to be reshuffled. Audio may have been turned into
FLAC.
"""

from pathlib import Path

from edgesea.datasets.manifest import Clip, Manifest
from edgesea.datasets.table import or_flac, rows, whole_number, with_sound
from edgesea.errors import UsageError


def recognises(path: Path) -> bool:
    """Whether a path is ESC-50 as it is unpacked."""
    return _table(path).is_file()


def load(path: Path) -> Manifest:
    """Reads a folder; raises `UsageError` naming the first bad line of the table."""
    table = _table(path)
    lines = []
    for line, row in rows(table, ("filename", "fold", "category", "src_file")):
        if not row["filename"]:
            raise UsageError(f"Received {table} with a bad line {line}: the filename is empty.")
        fold = whole_number(table, line, "fold", row["fold"])
        file = or_flac(path / "audio" / row["filename"])
        lines.append((line, Clip(file, (row["category"],), row["src_file"], fold=fold)))
    return Manifest(path, with_sound(table, lines), path.resolve().name)


def _table(path: Path) -> Path:
    beside = path / "esc50.csv"
    return beside if beside.is_file() else path / "meta" / "esc50.csv"
