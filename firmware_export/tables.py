"""TOML files that describe things, read into dataclasses: one sentence names what in them is wrong.

    reader = Reader(path, "Board", BoardError)
    flasher = reader.table(Flasher, {"program": "pyocd", ...}, "flasher")

Every field of the dataclass must be in the table, unless it has a default, and nothing else may be.
"""

from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

from firmware_export.errors import UserError

KINDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    tuple[str, ...]: "a list of texts",
    tuple[int, ...]: "a list of whole numbers",
    tuple[tuple[str, ...], ...]: "a list of lists of texts",
    dict[str, str]: "a table of texts",
    dict[str, int]: "a table of whole numbers",
}


def load(path: Path, what: str, error: type[UserError]) -> dict:
    """A TOML file's content; `error` where it cannot be read. `what`: "board", for the sentence."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as reason:
        raise error(f"The {what} file {path} cannot be read: {reason}.") from None


class Reader:
    """Takes typed values out of a file's tables.

    Parameters
    ----------
    path : of the file
    what : the file is of, such as "Board"
    error : raised where a value is wrong
    """

    def __init__(self, path: Path, what: str, error: type[UserError]):
        self.path, self.what, self.error = path, what, error

    def fail(self, key: str, expected: str, value) -> None:
        """Raises the error of this kind of file, with what was expected and what was found."""
        raise self.error(f"{self.what} file {self.path}: {key} must be {expected}. Received: {value!r}.")

    def take(self, table: dict, key: str, kind: type, default=None):
        """Removes and returns `table[key]`, or `default`, which has to be of `kind`."""
        return self._value(kind, table.pop(key, default), key)

    def table(self, kind: type, table, where: str = ""):
        """The dataclass `kind` out of a table; `where` is the table's own name."""
        if not isinstance(table, dict):
            self.fail(where, KINDS[dict], table)
        rest, values = dict(table), {}
        for each in fields(kind):
            if not each.init:
                continue
            key = f"{where}.{each.name}" if where else each.name
            if each.name not in rest and (each.default is not MISSING or each.default_factory is not MISSING):
                continue
            values[each.name] = self._value(each.type, rest.pop(each.name, None), key)
        if rest:
            first = sorted(rest)[0]
            self.fail(f"{where}.{first}" if where else first, "no such key", rest[first])
        return kind(**values)

    def _value(self, kind, value, key: str):
        if is_dataclass(kind):
            return self.table(kind, value, key)
        arguments = getattr(kind, "__args__", ())
        if type(None) in arguments:
            return self._value(arguments[0], value, key)
        if len(arguments) == 2 and is_dataclass(arguments[1]) and isinstance(value, dict):
            return {name: self.table(arguments[1], each, f"{key}.{name}") for name, each in value.items()}
        if not _fits(kind, value):
            self.fail(key, KINDS.get(kind, KINDS[dict]), value)
        return _frozen(value) if kind is not float else float(value)


def _fits(kind, value) -> bool:
    # type() and not isinstance(): bool is an int in Python, but true is no number.
    if kind is float:
        return type(value) in (int, float)
    if kind in (str, int, bool, dict):
        return type(value) is kind
    if kind in (dict[str, str], dict[str, int]):
        return isinstance(value, dict) and all(type(each) is kind.__args__[1] for each in value.values())
    if kind in KINDS:
        return isinstance(value, list) and all(_fits(kind.__args__[0], each) for each in value)
    return False


def _frozen(value):
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
