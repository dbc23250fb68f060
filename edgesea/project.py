"""A project: a folder with an `edgesea.toml`, in which the bare commands know what to work on.

teacher = "models/yamnet.tflite"    # relative to the file
data = "recordings"
runs = "runs"                       # where runs and bundles go
bundles = "bundles"

[distill]                           # any option of `edgesea distill`, by its name in config.toml
epochs = 30

[bench]
device = "rpi"
host = "pi@kitchen.local"
"""

import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path

from edgesea import files, remote
from edgesea.errors import UsageError, received
from edgesea.formats import door
from edgesea.formats.text import control
from edgesea.recognise import whole

FILE = "edgesea.toml"
LARGEST = 1 << 20  # bytes
_KEYS = ("bench", "bundles", "data", "distill", "runs", "teacher")
_BENCH = ("device", "host", "python")
_REMEDY = "correct it, or write a new one with `edgesea init`"

TEMPLATE = """\
# What edgesea works on in this folder: `edgesea distill`, then `edgesea export --int8`, then `edgesea bench`.
# Paths are relative to this file.

# The model to imitate: a .keras or .tflite file, or "demo" for the small one that comes with edgesea.
teacher = {teacher}

# Sound from the place where the sensor will live: a folder of audio, a folder of class folders, or a CSV
# table with a column `path`. Labels are not needed for distilling, only for `edgesea evaluate`.
data = {data}

# Where runs and bundles go.
runs = "runs"
bundles = "bundles"

[distill]
# Any option of `edgesea distill`; these are the defaults.
student = "separable-m"
# dim = 64
# epochs = 16
# frames = 60000
# Which frames fit the reducer: random, spl (loud for its time of day), dpp-div (diverse) or dpp (both).
# sampler = "random"
# The sound pressure level that an amplitude of 1 stands for in your recordings, in dB.
# calibration_db = 0

[bench]
# The device that a bare `edgesea bench` measures on.
device = "host"
"""


@dataclass(frozen=True)
class Project:
    """The project file's values, paths absolute; `folder` is where it lies."""

    folder: Path
    teacher: str | None = None
    data: str | None = None
    runs: Path = Path("runs")
    bundles: Path = Path("bundles")
    distill: dict = field(default_factory=dict)
    bench: dict = field(default_factory=dict)

    def new_run(self) -> Path:
        """The newest run if it is not finished, so that the same words go on with it; else a new name."""
        newest = self._newest(self.runs, "config.toml")
        if newest and not (newest / "metrics.json").exists():
            return newest
        return self.runs / f"{self._next(self.runs):03d}"

    def newest_run(self) -> Path:
        """The run that was finished last; UsageError where there is none."""
        found = self._newest(self.runs, "metrics.json")
        if found is None:
            raise UsageError(f"There is no finished run in {self.runs}: call `edgesea distill` first.")
        return found

    def newest_bundle(self) -> Path:
        """The bundle that was written last; UsageError where there is none."""
        found = self._newest(self.bundles, "manifest.json")
        if found is None:
            raise UsageError(f"There is no bundle in {self.bundles}: call `edgesea export --int8` first.")
        return found

    def bundle_of(self, run: Path) -> Path:
        """Where the bundle of a run goes."""
        return self.bundles / run.name

    @staticmethod
    def _newest(folder: Path, marker: str) -> Path | None:
        """The folder whose marker was written last."""
        found = [each for each in sorted(folder.glob("*")) if (each / marker).is_file()]
        return max(found, key=lambda each: (each / marker).stat().st_mtime_ns, default=None)

    @staticmethod
    def _next(folder: Path) -> int:
        taken = [int(each.name) for each in folder.glob("*") if each.name.isdecimal()]
        return max(taken, default=0) + 1


def find() -> Project | None:
    """The project of the current folder; None where there is no `edgesea.toml`.

    Raises `UsageError` for a file that cannot be used.
    """
    path = Path.cwd() / FILE
    if not path.is_file():
        return None
    # It is the user's own, who may keep it elsewhere and link it.
    values = door.read_toml(path.resolve(), largest=LARGEST, remedy=_REMEDY, error=UsageError)
    _known(path, values, _KEYS)
    for name in ("distill", "bench"):
        if not isinstance(values.get(name, {}), dict):
            raise UsageError(f"The entry {name} in {path} has to be a table: write [{name}].")
    bench = values.get("bench", {})
    _known(f"{path}, in [bench],", bench, _BENCH)
    folder = path.parent
    for name, value in {**values, **bench}.items():
        if name not in ("distill", "bench") and not (isinstance(value, str) and control(value) is None):
            raise UsageError(f"The entry {name} in {path} has to be a text, received {received(value)}.")
    if "data" in values:
        values["data"] = str(remote.below(folder, str(remote.typed(values["data"]))))
    if "teacher" in values:
        values["teacher"] = whole(values["teacher"], folder)
    for name in ("runs", "bundles"):
        values[name] = folder / files.expanded(values.get(name, name))
    return Project(folder, **values)


def _known(where: Path | str, values: dict, known: tuple[str, ...]) -> None:
    if unknown := sorted(set(values) - set(known)):
        close = difflib.get_close_matches(unknown[0][:100], known, n=1)
        meant = f"did you mean {close[0]}? Known" if close else "known"
        raise UsageError(
            f"{where} has an unknown entry {received(unknown[0])}: {meant} are {', '.join(known)}."
        )


def needed(what: str) -> Project:
    """The project of the current folder, where a command was called without `what`."""
    project = find()
    if project is None:
        raise UsageError(f"There is no {FILE} here and no {what} was given: name it, or call `edgesea init`.")
    return project


def write(path: Path, teacher: str, data: str) -> None:
    """Writes a commented project file. Raises `UsageError` where there is one."""
    if path.exists():
        raise UsageError(f"{path} is there already: edit it, or remove it first.")
    for name, value in (("teacher", teacher), ("data", data)):
        if control(value) or any("\ud800" <= each <= "\udfff" for each in value):
            raise UsageError(
                f"The {name} {received(value)} has a character in it that is no text: rename it."
            )
    # A TOML basic string is a JSON string, but for the characters that neither paths nor names hold.
    text = TEMPLATE.format(
        teacher=json.dumps(teacher, ensure_ascii=False), data=json.dumps(data, ensure_ascii=False)
    )
    files.write_text(path, text)
