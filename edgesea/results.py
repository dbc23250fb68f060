"""Results are files: what `evaluate`, `bench` and `fit` answer is kept in the run or bundle it is about.

    RUN/evaluation/DATA-FP.json               FP: the first 8 digits of the data's fingerprint
    BUNDLE/results/evaluation-DATA-FP.json
    BUNDLE/results/bench-DEVICE-ID.json       ID: 8 digits that tell engines, machines and threads apart
    BUNDLE/results/fit.json

The same question asked again replaces its file; another question has another file. Reports, comparisons and
users read these, and nothing is worked out a second time. They are no part of the bundle's manifest: a bundle
is the same bundle whatever was measured with it, and exporting over it drops them.

What cannot be kept, on a disk that is read-only or full, is said in one line; the answer is given all the
same.
"""

import hashlib
import json
import re
import stat
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from edgesea import files
from edgesea.errors import EdgeseaError
from edgesea.progress import SILENT, Progress

FOLDER = "results"
RUN_FOLDER = "evaluation"

# kind -> (the module of its format, the schema in it)
KINDS = {
    "evaluation": ("edgesea.formats.evaluation", "Evaluation"),
    "bench": ("edgesea.formats.measurement", "Measurement"),
    "fit": ("edgesea.formats.fit", "Fit"),
}
_NAME = re.compile(r"(evaluation|bench)-[A-Za-z0-9._-]{1,120}\.json|fit\.json")
_LONGEST = 80
# Of a measurement's conditions, what is another in every call.
_PASSING = ("before", "after", "slowed")

REMEDY = "ask again, with `edgesea evaluate`, `bench` or `fit`"


def stamped(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """An answer of that kind with its format and version in front."""
    module = import_module(KINDS[kind][0])
    return {"format": module.FORMAT, "format_version": module.VERSION, **values}


def evaluation_name(data: Mapping[str, Any]) -> str:
    """DATA-FP of evaluated data, {'name', 'fingerprint'}."""
    return f"{_plain(data['name'])}-{data['fingerprint'][:8]}"


def bench_name(measurement: Mapping[str, Any]) -> str:
    """bench-DEVICE-ID of a measurement."""
    conditions = {key: each for key, each in measurement["conditions"].items() if key not in _PASSING}
    threads = measurement.get("latency_ms", {}).get("threads")
    told = [measurement["device"], measurement["engine"], threads, conditions]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
    return f"bench-{_plain(measurement['device'])}-{digest[:8]}"


def keep(
    folder: Path, name: str, kind: str, values: Mapping[str, Any], progress: Progress = SILENT
) -> Path | None:
    """Writes an answer to `folder` / `name`, whole or not at all.

    Parameters
    ----------
    folder : of the run or bundle
    name : with / between its parts
    kind : one of `KINDS`
    values : the answer, as `stamped` gives it
    progress : told in one line where the answer cannot be kept

    Returns
    -------
    Path or None
        The file; None where it could not be written.
    """
    from edgesea.formats import door, paths

    file = folder / name
    try:
        # In a stranger's bundle the folder of results may be a link to anywhere.
        file = paths.inside(folder, name)
        # What could not be read back is not written.
        _check(kind, json.loads(json.dumps(values)), file)
        if file.is_dir():
            raise ValueError(f"{door.shown(str(file))} is a folder")
        files.write_json(file, values)
    except OSError as error:
        progress.say(f"The answer is not kept in {file} ({error.strerror or error}).")
    except (ValueError, EdgeseaError) as error:
        progress.say(f"The answer is not kept: {error}")
    else:
        return file
    return None


def read(
    path: Path | str, kind: str, *, error: type[EdgeseaError] = EdgeseaError, remedy: str = REMEDY
) -> Any:
    """What a file of that kind holds, checked by its schema.

    Raises
    ------
    EdgeseaError, or what `error` is : one sentence with the file, the entry and the value received
    """
    from edgesea.formats import door

    module = import_module(KINDS[kind][0])
    held = door.read_json(path, largest=module.LARGEST, remedy=remedy, error=error)
    _check(kind, held, path, error=error, remedy=remedy)
    return held


def of_bundle(folder: Path, kind: str) -> list[dict[str, Any]]:
    """The answers of a kind that a bundle holds, by the names of their files.

    Raises
    ------
    EdgeseaError
        A file is damaged.
    """
    return [read(file, kind) for file in _files(folder / FOLDER) if kind_of(file.name) == kind]


def of_run(folder: Path) -> list[dict[str, Any]]:
    """The evaluations that a run holds, by the names of their files; errors as of `of_bundle`."""
    return [read(file, "evaluation") for file in _files(folder / RUN_FOLDER) if file.suffix == ".json"]


def kind_of(name: str) -> str | None:
    """The kind of answer that a file in a bundle's results has by its name; None for a name of none."""
    return name.partition("-")[0].removesuffix(".json") if _NAME.fullmatch(name) else None


def may_be_replaced(file: Path) -> bool:
    """Whether a file in a bundle's results is an answer of edgesea's, of which nothing is lost for good."""
    kind = kind_of(file.name)
    try:
        if kind is not None:
            read(file, kind)
    except EdgeseaError:
        return False
    return kind is not None


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir() or folder.is_symlink():
        return []
    return [each for each in sorted(folder.iterdir()) if stat.S_ISREG(each.lstat().st_mode)]


def _check(
    kind: str,
    values: Any,
    path: Path | str,
    *,
    error: type[EdgeseaError] = EdgeseaError,
    remedy: str = REMEDY,
) -> None:
    from edgesea.formats import door

    module, schema = KINDS[kind]
    door.checked(values, getattr(import_module(module), schema), path, remedy=remedy, error=error)


def _plain(text: str) -> str:
    """A part of a file's name: letters, digits and -._ of it, nothing that hides it."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:_LONGEST] or "unnamed"
