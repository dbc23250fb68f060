"""UrbanSound8K (Salamon et al., ACM Multimedia 2014): metadata/UrbanSound8K.csv and audio/fold1 to fold10.

The label is the class, the group the Freesound recording that the clip was cut from (fsID), the fold as
given: the authors' ten folds keep recordings together, and results on reshuffled ones are not comparable.
`start` and `end` of the table are seconds of the original recording, not of the clip's file, so they are
passed over. Audio may have been turned into FLAC.
"""

from pathlib import Path

from edgesea.datasets.manifest import Clip, Manifest
from edgesea.datasets.table import or_flac, rows, whole_number, with_sound
from edgesea.errors import UsageError


def recognises(path: Path) -> bool:
    """Whether a path is UrbanSound8K as it is unpacked."""
    return _table(path).is_file()


def load(path: Path) -> Manifest:
    """Reads a folder; raises `UsageError` naming the first bad line of the table."""
    table = _table(path)
    lines = []
    for line, row in rows(table, ("slice_file_name", "fsID", "fold", "class")):
        fold = whole_number(table, line, "fold", row["fold"])
        for column in ("slice_file_name", "fsID", "class"):
            if not row[column]:
                raise UsageError(f"Received {table} with a bad line {line}: the {column} is empty.")
        file = or_flac(path / "audio" / f"fold{row['fold']}" / row["slice_file_name"])
        lines.append((line, Clip(file, (row["class"],), row["fsID"], fold=fold)))
    return Manifest(path, with_sound(table, lines), path.resolve().name)


def _table(path: Path) -> Path:
    return path / "metadata" / "UrbanSound8K.csv"
