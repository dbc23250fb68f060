"""A CSV file with one clip a line.

Columns (a header line names them; others are passed over):
    path                        required; from the folder of the CSV file, absolute, or an address as
                                s3://bucket/a.wav (`edgesea.remote`)
    label | labels              one class name | several with ';' between them
    group                       the recording; the path where it is empty
    start, end                  seconds of the file
    level_db                    dB
    timestamp                   ISO 8601, as 2024-05-01T12:00:00, with or without a time zone (all alike)
    sensor                      a name
    fold                        a whole number
An empty field says nothing. A folder that holds `clips.csv`, or one CSV file alone that has a column `path`,
is the same as that file.
"""

import csv
import io
import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from edgesea import files, remote
from edgesea.datasets.manifest import Clip, Manifest
from edgesea.errors import UsageError

NAME = "clips.csv"
LARGEST = 256 << 20  # bytes of a table; some million lines
MOST_COLUMNS = 1000
LONGEST_TEXT = 4096  # characters of a field, as of a path
# Seconds in a year: no recording is longer, and what is says so in another unit.
LATEST_S = 366 * 86_400.0
# dB, of sound pressure or relative to an amplitude of 1.
LEVELS_DB = (-300.0, 300.0)
MOST_FOLDS = 1_000_000
COLUMNS = ("path", "labels", "group", "start", "end", "level_db", "timestamp", "sensor", "fold")


def recognises(path: Path) -> bool:
    """Whether a path is a CSV file, or a folder with one that is meant."""
    return (path.suffix.lower() == ".csv" and path.is_file()) or _of_folder(path) is not None


def _of_folder(folder: Path) -> Path | None:
    """The table that stands for a folder."""
    if (folder / NAME).is_file():
        return folder / NAME
    tables = [each for each in folder.glob("*") if each.suffix.lower() == ".csv" and each.is_file()]
    if len(tables) != 1:
        return None
    try:
        with tables[0].open(encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader([file.readline(LONGEST_TEXT)]), [])
    except (OSError, ValueError, csv.Error):  # It is looked at, not yet asked for.
        return None
    return tables[0] if "path" in (name.strip() for name in header) else None


def load(path: Path) -> Manifest:
    """Reads a table; raises `UsageError` naming the first bad line."""
    name = path.parent.resolve().name if path.name == NAME else path.stem
    if path.is_dir():
        name, path = path.resolve().name, _of_folder(path) or path / NAME
    lines = rows(path, ("path",))
    if lines and "label" in lines[0][1] and "labels" in lines[0][1]:
        raise UsageError(f"Received {path} with both columns label and labels: keep one of them.")
    clips = with_sound(path, [(line, _clip(path, line, row)) for line, row in lines])
    zoned = [clip.timestamp.tzinfo is not None for clip in clips if clip.timestamp]
    if any(zoned) and not all(zoned):
        raise UsageError(f"Received {path} with timestamps both with and without a time zone: use one kind.")
    return Manifest(path.parent, clips, name)


def rows(path: Path, required: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """The lines of a CSV file that has the `required` columns: (line number, column -> stripped text).

    Raises `UsageError`, one sentence, for what is no such table, naming the line and the cause.
    """
    reader = csv.DictReader(io.StringIO(_text(path), newline=""))
    found = []
    try:
        header = reader.fieldnames = [name.strip() for name in reader.fieldnames or []]
        _check_header(path, header, required)
        for row in reader:
            if None in row or None in row.values():
                raise UsageError(
                    f"Received {path} with a wrong number of fields in line {reader.line_num}: "
                    f"the header has {len(header)}."
                )
            stripped = {key: value.strip() for key, value in row.items()}
            for column, value in stripped.items():
                if problem := _unfit(value):
                    raise UsageError(
                        f"Received {path} with a bad line {reader.line_num}: the column {shown(column)} "
                        f"holds {problem}."
                    )
            found.append((reader.line_num, stripped))
    except csv.Error as error:
        raise UsageError(f"Cannot read {path} as CSV, line {reader.line_num}: {error}.") from error
    return found


def shown(text: str) -> str:
    """Text of a table for a message: short, and nothing that a terminal obeys."""
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return "".join(character if character.isprintable() else "?" for character in text)


def whole_number(table: Path, line: int, column: str, text: str, most: int = MOST_FOLDS) -> int:
    """The whole number in [0, most] of a field; `UsageError` for anything else."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 12 and int(text) <= most):
        raise UsageError(
            f"Received {table} with a bad line {line}: {column} must be a whole number, "
            f"received {shown(text)!r}."
        )
    return int(text)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(
                f"Received {path}, a table of more than {LARGEST >> 20} MB: divide it into several."
            )
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"Cannot read {path}: it is not UTF-8 text; save it as UTF-8 CSV.") from error
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error


def _check_header(path: Path, header: list[str], required: tuple[str, ...]) -> None:
    if len(header) > MOST_COLUMNS:
        raise UsageError(
            f"Received {path} with {len(header)} columns: at most {MOST_COLUMNS} are read, is it a table of "
            "clips?"
        )
    missing = [column for column in required if column not in header]
    if not missing:
        return
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and separator in header[0]:
            raise UsageError(
                f"Received {path} with its columns separated by {name} in line 1: save it with commas (and "
                "with points in numbers)."
            )
    names = shown_list(header)
    raise UsageError(f"Received {path} without the column {missing[0]}; its first line names: {names}.")


def shown_list(names: list[str]) -> str:
    """The first 20 names for a message, and how many more there are."""
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(map(shown, names[:20])) + more


def _unfit(text: str) -> str | None:
    """What a field holds that no name, path or number does; None where it holds nothing of that kind."""
    if len(text) > LONGEST_TEXT:
        return f"{len(text)} characters, and at most {LONGEST_TEXT} are read"
    if text.isprintable():
        return None
    bad = next(character for character in text if not character.isprintable())
    return f"the control character U+{ord(bad):04X}, which no name or path has"


def with_sound(table: Path, lines: list[tuple[int, Clip]]) -> tuple[Clip, ...]:
    """The clips of a table's lines, (line number, clip) each.

    Raises `UsageError` where there are none, and where files that they name are not there: a table that names
    them is wrong, or lies in the wrong place. What is there and cannot be used is set aside later.
    """
    if not lines:
        raise UsageError(f"Found no clips in {table}: below the header it needs one line a clip.")
    remote.ask(clip.path for _, clip in lines)
    absent = [(line, clip.path) for line, clip in lines if not _is_file(clip.path)]
    if absent:
        line, path = absent[0]
        if "\\" in str(path) and _is_file(Path(str(path).replace("\\", "/"))):
            raise UsageError(
                f"{table} names paths with backslashes, first {shown(path.name)} in line {line}: write them "
                "with slashes."
            )
        raise UsageError(
            f"{table} names sound that is not there for {len(absent)} of its {len(lines)} clips, first "
            f"{_short(path)} in line {line}: put the files in their place, or take these lines out."
        )
    return tuple(clip for _, clip in lines)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file system takes
        return False


def _short(path: Path) -> str:
    text = str(path)
    return text if len(text) <= 300 else f"...{text[-297:]}"


def or_flac(path: Path) -> Path:
    """`path`, or the FLAC file that it was turned into."""
    flac = path.parent / f"{path.stem}.flac"
    return flac if _is_file(flac) and not _is_file(path) else path


def write(manifest: Manifest, path: Path | str) -> None:
    """Writes a manifest as a table, whole or not at all; paths become relative to it where they can."""
    path = Path(path)
    here = Manifest(path.parent, (), "")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for clip in manifest.clips:
        group = "" if clip.group == str(clip.path) else clip.group
        timestamp = clip.timestamp.isoformat() if clip.timestamp else None
        labels = ";".join(clip.labels)
        times = (clip.start, clip.end, clip.level_db)
        writer.writerow([here.relative(clip.path), labels, group, *times, timestamp, clip.sensor, clip.fold])
    files.write_text(path, table.getvalue())


def _timestamp(text: str | None, bad: Callable[[str], UsageError]) -> datetime | None:
    if not text:
        return None
    try:
        # Python 3.10 does not read the Z of UTC.
        return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)
    except ValueError:
        raise bad(f"timestamp must be like 2024-05-01T12:00:00, received {shown(text)!r}") from None


def _clip(table: Path, line: int, row: dict[str, str]) -> Clip:
    def bad(problem: str) -> UsageError:
        return UsageError(f"Received {table} with a bad line {line}: {problem}.")

    def number(column: str) -> float | None:
        text = row.get(column)
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise bad(f"{column} must be a number, received {shown(text)!r}")
        return value

    def seconds(column: str) -> float | None:
        value = number(column)
        if value is not None and value > LATEST_S:
            raise bad(f"{column} must be at most {LATEST_S:.0f} s, a year, received {value:g}")
        return value

    if not row["path"]:
        raise bad("the path is empty")
    start, end = seconds("start"), seconds("end")
    if start is not None and start < 0:
        raise bad(f"start must be at least 0 s, received {start:g}")
    if end is not None and end <= (start or 0):
        raise bad(f"end must lie behind the start, received start {start or 0:g} s and end {end:g} s")
    fold = number("fold")
    if fold is not None and (fold != int(fold) or abs(fold) > MOST_FOLDS):
        raise bad(f"fold must be a whole number, received {shown(row['fold'])!r}")
    level_db = number("level_db")
    if level_db is not None and not LEVELS_DB[0] <= level_db <= LEVELS_DB[1]:
        raise bad(f"level_db must lie in {LEVELS_DB[0]:g} to {LEVELS_DB[1]:g} dB, received {level_db:g}")
    labels = [row["label"]] if "label" in row else row.get("labels", "").split(";")
    return Clip(
        path=remote.below(table.parent, row["path"]),
        labels=tuple(dict.fromkeys(label.strip() for label in labels if label.strip())),
        group=row.get("group", ""),
        start=start,
        end=end,
        level_db=level_db,
        timestamp=_timestamp(row.get("timestamp"), bad),
        sensor=row.get("sensor") or None,
        fold=None if fold is None else int(fold),
    )
