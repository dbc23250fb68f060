"""Writes students as .keras files that are a function of the student alone: equal students, equal bytes.

Keras puts the time of saving and addresses of objects into its archives; both say nothing of the model.
"""

import io
import json
import zipfile
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip archive can say


def save(student, path: Path | str) -> None:
    """Writes a `keras.Model` to `path`, which ends in .keras."""
    student.save(path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in sorted(archive.namelist())}
    for name in ("config.json", "metadata.json"):
        held = json.loads(contents[name])
        held.pop("date_saved", None)
        contents[name] = json.dumps(_numbered(held, {})).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    Path(path).write_bytes(made.getvalue())


def _numbered(value, seen: dict):
    """The same with addresses of shared objects as numbers, in the order in which they come."""
    if isinstance(value, list):
        return [_numbered(each, seen) for each in value]
    if isinstance(value, dict):
        return {
            key: seen.setdefault(held, len(seen)) if key == "shared_object_id" else _numbered(held, seen)
            for key, held in value.items()
        }
    return value
