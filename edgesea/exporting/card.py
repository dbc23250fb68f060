"""The model card: what is in a bundle and what it is good for, in Markdown, made from the manifest."""

import functools

import jinja2
import numpy as np

from edgesea.measures.figures import MEASURED, at

# Places in a model's description, of what is computed from its file.
COSTS = (
    "storage.model_bytes",
    "storage.weight_bytes",
    "multiply_accumulates",
    "activation.largest_tensor_bytes",
    "activation.peak_bytes",
)


def model_card(manifest: dict) -> str:
    """The text of MODEL_CARD.md.

    manifest : as in manifest.json, with or without `files`
    """
    kind = "int16x8" if manifest.get("int16x8") else "int8"
    integer = manifest.get(kind)
    models = {each: manifest[each] for each in ("int8", "int16x8", "float") if manifest.get(each)}
    values = {
        **manifest,
        "student": "teacher" in manifest["provenance"],
        "failed": manifest.get("failed"),
        "costs": _costs(models),
        "kind": kind,
        "integer": integer,
        "limits": np.iinfo(integer["input"]["type"]) if integer else None,
        "frontend": _rows(manifest["frontend"] or {}),
        "provenance": _rows(manifest["provenance"]),
        "versions": _rows(manifest["versions"]),
    }
    return _template().render(values)


def _costs(models: dict[str, dict]) -> list[list]:
    """The table of costs, its head and the line below it included."""

    def row(label: str, figure) -> list:
        return [label, *(figure(model) for model in models.values())]

    def form(end: dict) -> str:
        return f"{end['type']} {' x '.join(map(str, end['shape']))}"

    return [
        ["", *models],
        ["---", *("---" for _ in models)],
        row("input", lambda model: form(model["input"])),
        row("output", lambda model: form(model["output"])),
        *(row(str(MEASURED[place]), lambda model, place=place: at(model, place)) for place in COSTS),
    ]


def _rows(value: dict, prefix: str = "") -> list[tuple[str, str]]:
    """Nested dicts as rows of a table: {'a': {'b': 1}} -> [('a.b', '1')]."""
    rows = []
    for key, inner in value.items():
        if isinstance(inner, dict):
            rows += _rows(inner, f"{prefix}{key}.")
        elif isinstance(inner, list | tuple):
            rows.append((f"{prefix}{key}", ", ".join(map(str, inner))))
        else:
            rows.append((f"{prefix}{key}", str(inner)))
    return rows


def cell(value) -> str:
    """One line of Markdown that stays in its cell and is not taken for markup or HTML."""
    text = " ".join(str(value).split())
    for mark in "\\`*_|[]#":
        text = text.replace(mark, f"\\{mark}")
    return text.replace("&", "&amp;").replace("<", "&lt;")


def code(value) -> str:
    """One line for between backticks, or for an indented block."""
    return " ".join(str(value).split()).replace("`", "'")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgesea.exporting"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # Markdown: `cell` and `code` guard what a user named
    )
    environment.filters |= {"cell": cell, "code": code}
    return environment.get_template("MODEL_CARD.md.jinja")
