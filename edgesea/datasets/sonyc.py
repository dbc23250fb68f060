"""SONYC-UST v2 (Cartwright et al., DCASE 2020): annotations.csv beside one or more folders audio*/.

Every line of annotations.csv is one person's view of one clip. Labels are the eight coarse classes of the
taxonomy, by the columns `1_engine_presence` to `8_dog_presence` (1 present, 0 not, -1 not asked), joined as
the challenge's authors join them:
    split train               a class is present where at least one volunteer (annotator_id > 0) heard it
    split validate, test      present where the verified annotation (annotator_id 0) says so
A clip without any class is a clip in which nothing of the eight is heard. A clip of validate or test that
nobody verified belongs to no split.

- fold: 0, 1, 2 for train, validate, test (`SPLITS`), as given; None where a clip belongs to no split.
- sensor: sensor_id, a whole number. timestamp: from year, ISO week, day (0 is Monday) and hour, which is all
  that is published: clips of one sensor are in the order of their hours, and within an hour of their names.
- group: the clip. The authors' split keeps sensors apart, and is not to be reshuffled.
"""

from datetime import datetime
from pathlib import Path

from edgesea.datasets.manifest import Clip, Manifest
from edgesea.datasets.table import rows, shown, with_sound
from edgesea.errors import UsageError

TABLE = "annotations.csv"
SPLITS = ("train", "validate", "test")
CLASSES = (
    "engine",
    "machinery-impact",
    "non-machinery-impact",
    "powered-saw",
    "alert-signal",
    "music",
    "human-voice",
    "dog",
)
_PRESENCE = {f"{number}_{name}_presence": name for number, name in enumerate(CLASSES, 1)}
_NUMBERS = ("sensor_id", "annotator_id", "year", "week", "day", "hour")
_MOST = 10**9  # far above what any of them is
_COLUMNS = ("split", "audio_filename", *_NUMBERS, *_PRESENCE)

Lines = list[tuple[int, dict[str, str]]]


def recognises(path: Path) -> bool:
    """Whether a path is SONYC-UST as it is unpacked."""
    return (path / TABLE).is_file()


def load(path: Path) -> Manifest:
    """Reads a folder; raises `UsageError` naming the first bad line of annotations.csv."""
    table = path / TABLE
    audio = {file.name: file for file in sorted(path.glob("audio*/**/*")) if file.is_file()}
    views: dict[str, Lines] = {}
    for line, row in rows(table, _COLUMNS):
        _check(table, line, row)
        views.setdefault(row["audio_filename"], []).append((line, row))
    found = [(lines[0][0], _clip(table, audio, lines)) for lines in views.values()]
    clips = with_sound(table, found)
    ordered = sorted(clips, key=lambda clip: (clip.sensor, clip.timestamp, clip.path.name))
    return Manifest(path, tuple(ordered), path.resolve().name)


def _check(table: Path, line: int, row: dict[str, str]) -> None:
    def bad(problem: str) -> UsageError:
        return UsageError(f"Received {table} with a bad line {line}: {problem}.")

    if row["split"] not in SPLITS:
        raise bad(f"split must be one of {', '.join(SPLITS)}, received {shown(row['split'])!r}")
    if not row["audio_filename"]:
        raise bad("the audio_filename is empty")
    for column in _NUMBERS:
        try:
            if abs(int(row[column])) > _MOST:
                raise ValueError
        except ValueError:
            raise bad(f"{column} must be a whole number, received {shown(row[column])!r}") from None
    for column in _PRESENCE:
        # The published table has some of these as 1.0, depending on what wrote it.
        if row[column] not in ("1", "0", "-1", "1.0", "0.0", "-1.0"):
            raise bad(f"{column} must be 1, 0 or -1, received {shown(row[column])!r}")


def _clip(table: Path, audio: dict[str, Path], lines: Lines) -> Clip:
    line, row = lines[0]
    name = row["audio_filename"]
    file = audio.get(name) or audio.get(f"{Path(name).stem}.flac") or table.parent / "audio" / name
    for other, view in lines[1:]:
        if any(
            view[column] != row[column] for column in ("split", "sensor_id", "year", "week", "day", "hour")
        ):
            raise UsageError(
                f"Received {table} with a bad line {other}: it says of {name} another split, sensor or time "
                f"than line {line}."
            )
    training = row["split"] == "train"
    counted = [view for _, view in lines if _counts(int(view["annotator_id"]), training)]
    present = (label for column, label in _PRESENCE.items() if any(float(v[column]) == 1 for v in counted))
    return Clip(
        path=file,
        labels=tuple(present),
        timestamp=_timestamp(table, line, row),
        sensor=row["sensor_id"],
        fold=SPLITS.index(row["split"]) if training or counted else None,
    )


def _counts(annotator: int, training: bool) -> bool:
    return annotator > 0 if training else annotator == 0


def _timestamp(table: Path, line: int, row: dict[str, str]) -> datetime:
    year, week, day, hour = (int(row[column]) for column in ("year", "week", "day", "hour"))
    try:
        return datetime.fromisocalendar(year, week, day + 1).replace(hour=hour)
    except (ValueError, OverflowError):
        raise UsageError(
            f"Received {table} with a bad line {line}: "
            f"there is no week {week}, day {day}, hour {hour} in {year}."
        ) from None
