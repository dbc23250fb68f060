"""Tables that take hours: every cell is computed once and kept, whole or not at all."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from edgesea import files
from edgesea.errors import EdgeseaError
from edgesea.run import Run


def kept(path: Path, made_from: dict, compute: Callable[[], dict]) -> dict:
    """What `path` holds, if it was made from the same, else what `compute` returns, which is written there.

    made_from : JSON values that the cell depends on
    """
    made_from = json.loads(json.dumps(made_from))
    if path.exists():
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["made_from"] == made_from:
            return held["cell"]
    cell = compute()
    files.write_json(path, {"made_from": made_from, "cell": cell})
    return cell


def share(source: Path, target: Path) -> None:
    """Links a finished store into the folder of a run that would make the same; nothing where it has one.

    The link appears whole or not at all.
    """
    if source == target or target.exists():
        return
    linking = target.with_name(f".{target.name}-linking")
    shutil.rmtree(linking, ignore_errors=True)
    shutil.copytree(source, linking, copy_function=os.link)
    linking.rename(target)


def finished(folder: Path) -> Run | None:
    """The run in `folder`, None where it is not finished."""
    run = Run(folder)
    return run if run.metrics.is_file() else None


def answer(work: Callable[[], None]) -> int:
    """Does the work and returns the exit code; what goes wrong is one sentence on standard error."""
    try:
        work()
    except EdgeseaError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0
