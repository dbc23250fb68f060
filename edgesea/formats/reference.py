"""Writes docs/formats.md out of the schemas: `python -m edgesea.formats.reference > docs/formats.md`."""

from __future__ import annotations

from pydantic import BaseModel

from edgesea.formats import bundle, evaluation, fit, frontend, head, measurement, project, run, search, store

HEAD = """\
# The files that edgesea reads back

This page is made from the schemas in `edgesea/formats/`:
`python -m edgesea.formats.reference > docs/formats.md`.

Every file is read by one door, `edgesea/formats/door.py`: no more bytes than stated here, no more than 32
levels of nesting, no NaN or Infinity, no name twice in one object, no link. Types are strict (1 is no text,
true is no number). Unknown entries are refused where nothing but edgesea writes the file, and kept where it
says so. `?` marks an entry that may be left out.
"""

# file, what it is, version, largest bytes, schema
FILES = (
    (f"BUNDLE/{bundle.FILE}", "a bundle", bundle.VERSION, bundle.LARGEST, bundle.Manifest),
    (f"BUNDLE/{frontend.FILE}", "a frontend", None, frontend.LARGEST, frontend.FrontendFields),
    ("HEAD", "a head", head.VERSION, head.LARGEST, head.Head),
    (f"RUN/{run.METRICS}", "what came out of a run", None, run.LARGEST_METRICS, run.Metrics),
    (f"RUN/{run.SPLIT}", "the parts of a domain", None, run.LARGEST_SPLIT, run.Split),
    (f"RUN/{run.SPLIT}, by time", "the same of few recordings", None, run.LARGEST_SPLIT, run.SplitByTime),
    (f"STORE/{store.FILE}", "a store", store.VERSION, store.LARGEST, store.StoreDescription),
    (
        "BUNDLE/results/bench-DEVICE-ID.json",
        "a measurement, also what `edgesea bench --out` writes",
        measurement.VERSION,
        measurement.LARGEST,
        measurement.Measurement,
    ),
    (
        "RUN/evaluation/DATA-FP.json, BUNDLE/results/evaluation-DATA-FP.json",
        "an evaluation",
        evaluation.VERSION,
        evaluation.LARGEST,
        evaluation.Evaluation,
    ),
    ("BUNDLE/results/fit.json", "which boards hold the model", fit.VERSION, fit.LARGEST, fit.Fit),
    (f"SEARCH/{search.SEARCH}", "what a search looks for", search.VERSION, search.LARGEST, search.Search),
    (
        f"SEARCH/{search.CANDIDATES}/NUMBER.json",
        "what a search tried",
        None,
        search.LARGEST,
        search.Candidate,
    ),
    (f"SEARCH/{search.RESULT}", "what a search found", search.VERSION, search.LARGEST, search.Result),
    (f"PROJECT/{project.FILE}", "the mark of a project", None, project.LARGEST, project.Marker),
)


def page() -> str:
    """The text of docs/formats.md."""
    parts = [HEAD]
    for file, what, version, largest, schema in FILES:
        stated = "no version of its own" if version is None else f"version {version}"
        parts.append(f"## {file}\n\nDescribes {what}; {stated}; at most {largest:,} bytes.\n")
        told: list[type[BaseModel]] = []
        waiting: list[type[BaseModel]] = [schema]
        while waiting:
            each = waiting.pop(0)
            if each not in told:
                told.append(each)
                waiting += _inner(each)
        parts += [_table(each, each is schema) for each in told]
    return "\n".join(parts)


def _inner(schema: type[BaseModel]) -> list[type[BaseModel]]:
    """The schemas that a schema's fields are of, in order."""
    found: list[type[BaseModel]] = []

    def look(kind) -> None:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found.append(kind)
        for each in getattr(kind, "__args__", ()):
            look(each)

    for field in schema.model_fields.values():
        look(field.annotation)
    return found


def _table(schema: type[BaseModel], whole: bool) -> str:
    described = schema.model_json_schema(by_alias=True)
    unknown = "Unknown entries are kept." if schema.model_config.get("extra") == "allow" else ""
    lines = [] if whole else [f"### {schema.__name__}", ""]
    lines += [*([unknown, ""] if unknown else []), "| entry | type | what |", "|---|---|---|"]
    required = described.get("required", [])
    for name, entry in described["properties"].items():
        mark = "" if name in required else "?"
        lines.append(f"| `{name}`{mark} | {_type(entry)} | {entry.get('description', '')} |")
    return "\n".join(lines) + "\n"


def _type(entry: dict) -> str:
    """A JSON Schema type in a few words."""
    if "$ref" in entry:
        return entry["$ref"].rsplit("/", 1)[-1]
    if options := entry.get("anyOf"):
        return " or ".join(_type(each) for each in options)
    if "const" in entry:
        return f"`{entry['const']}`"
    if "enum" in entry:
        return ", ".join(f"`{each}`" for each in entry["enum"])
    kind = entry.get("type")
    if kind == "array":
        return f"list of {_type(entry['items'])}"
    if kind == "object":
        patterns = list(entry.get("patternProperties", {}).values())
        inner = patterns[0] if patterns else entry.get("additionalProperties")
        return f"name -> {_type(inner)}" if isinstance(inner, dict) and inner else "name -> any"
    words = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false"}
    ends = [f"{entry[key]:g}" for key in ("minimum", "maximum") if key in entry]
    bounds = f", {' to '.join(ends)}" if len(ends) == 2 else ""
    return words.get(str(kind), "null" if kind == "null" else "any") + bounds


if __name__ == "__main__":
    print(page(), end="")
