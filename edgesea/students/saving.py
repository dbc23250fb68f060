"""Writes students as .keras files that are a function of the student alone: equal students, equal bytes.

Keras puts the time of saving, addresses of objects, and how many layers the process has made before into its
archives; none of it says anything of the model.
"""

import io
import json
import re
import zipfile
from collections import Counter
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
        contents[name] = json.dumps(_numbered(_renamed(held), {})).encode()
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content)
    Path(path).write_bytes(made.getvalue())


def _renamed(model: dict) -> dict:
    """The same with layers that Keras named itself (add_17) counted from the model's first."""
    made: Counter[str] = Counter()
    names = {}
    for layer in model.get("config", {}).get("layers", []):
        kind = re.sub(r"_\d+$", "", layer["config"]["name"])
        if kind.replace("_", "") == layer["class_name"].lower():
            names[layer["config"]["name"]] = f"{kind}_{made[kind]}" if made[kind] else kind
            made[kind] += 1

    def replaced(value):
        if isinstance(value, list):
            return [replaced(each) for each in value]
        if isinstance(value, dict):
            return {key: replaced(held) for key, held in value.items()}
        return names.get(value, value) if isinstance(value, str) else value

    return replaced(model)


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
