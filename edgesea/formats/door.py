"""The door: reads a stranger's JSON, TOML and .npz within limits, and says in one sentence what is wrong.

    manifest = read_json(path, Manifest, largest=16 << 20, remedy="export the bundle again")

No more than `largest` bytes are read. Refused besides: links, what is no regular file, deep nesting, NaN and
Infinity, integers beyond 64 bits, a name twice in one object, half surrogates. What the schema says of values
is pydantic's to check; of its complaints the first is told.

Nothing here imports pydantic: a schema is any type that has `model_validate`.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import zipfile
import zlib
from pathlib import Path
from typing import Any

from edgesea.errors import EdgeseaError

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    import tomli as tomllib

DEPTH = 32
MOST = 2**64
MOST_DIGITS = 40
MOST_PARTS = 32
# It begins where a word does: from every letter of a long one, its time would grow with the square of that.
_DOTTED = re.compile(rf"(?<![\w\"'-])(?:[\w\"'-]+[ \t]*\.[ \t]*){{{MOST_PARTS}}}")
# Of a received value, in an error.
SHOWN = 60

LARGEST_ARRAYS = 1 << 28


def read_json(
    path: Path | str,
    schema: type | None = None,
    *,
    largest: int,
    remedy: str,
    depth: int = DEPTH,
    error: type[EdgeseaError] = EdgeseaError,
) -> Any:
    """Reads a JSON file.

    Parameters
    ----------
    path : the file; a link is not followed
    schema : pydantic model, or None for the bare JSON value
    largest : int > 0, in bytes
    remedy : what to do about a file that is refused, to end the sentence with
    depth : int > 0, of objects and arrays in one another
    error : what to raise

    Returns
    -------
    The model, or the value.

    Raises
    ------
    EdgeseaError, or what `error` is : one sentence with the file, the entry and the value received
    """
    value = _parsed(path, "JSON", _json, largest, depth, remedy, error)
    return value if schema is None else checked(value, schema, path, remedy=remedy, error=error)


def read_toml(
    path: Path | str,
    schema: type | None = None,
    *,
    largest: int,
    remedy: str,
    depth: int = DEPTH,
    error: type[EdgeseaError] = EdgeseaError,
) -> Any:
    """Reads a TOML file; parameters, result and errors are those of `read_json`."""
    value = _parsed(path, "TOML", _toml, largest, depth, remedy, error)
    return value if schema is None else checked(value, schema, path, remedy=remedy, error=error)


def checked(
    value: Any, schema: type, name: Path | str, *, remedy: str, error: type[EdgeseaError] = EdgeseaError
) -> Any:
    """`value` as the pydantic model `schema`; what `read_json` raises where it is none.

    name : of the file, or of whatever the value came from
    """
    from pydantic import ValidationError

    try:
        return schema.model_validate(value)
    except ValidationError as wrong:
        raise error(f"The file {name} is not as it should be: {complaint(wrong)}: {remedy}.") from None
    except RecursionError:
        raise error(f"The file {name} nests too deep to be read: {remedy}.") from None


def complaint(wrong) -> str:
    """The first thing that a pydantic ValidationError complains of, with the value received."""
    first = wrong.errors(include_url=False, include_context=False)[0]
    entry = ""
    for part in first["loc"]:
        # Names that are no plain words are shown as they were written, between brackets.
        plain = isinstance(part, str) and part.replace("_", "").isalnum() and part.isascii()
        entry += (f".{part}" if entry else part) if plain else f"[{shown(part)}]"
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    message = message[:1].lower() + message[1:]
    others = wrong.error_count() - 1
    more = f" (and {others} more)" if others else ""
    if first["type"] == "missing":
        return f"the entry {entry} is missing{more}"
    if first["type"] == "extra_forbidden":
        return f"the entry {entry} is unknown{more}"
    return f"{entry or 'the whole'} is not valid, {message}, received {shown(first['input'])}{more}"


def shown(value: Any) -> str:
    """A received value, short and printable, for an error."""
    # What is large is not turned into text first.
    if isinstance(value, dict | list | tuple):
        kind = "an object" if isinstance(value, dict) else "a list"
        return f"{kind} of {len(value)}"
    text = ascii(value[: 2 * SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def read_text(
    path: Path | str, *, largest: int, remedy: str, error: type[EdgeseaError] = EdgeseaError
) -> str:
    """A file of UTF-8 of at most `largest` bytes; neither a link nor a device is opened for reading."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise error(f"The file {path} is no regular file: {remedy}.")
            content = file.read(largest + 1)
    except OSError as problem:
        if Path(path).is_symlink():
            raise error(f"The file {path} is a link, which is not followed: {remedy}.") from None
        raise error(f"The file {path} cannot be read ({problem.strerror}): {remedy}.") from problem
    if len(content) > largest:
        raise error(f"The file {path} has more than {largest:,} bytes, too many for such a file: {remedy}.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise error(f"The file {path} is not UTF-8 at byte {problem.start}: {remedy}.") from None


def read_arrays(
    path: Path | str,
    *,
    remedy: str,
    largest: int = LARGEST_ARRAYS,
    error: type[EdgeseaError] = EdgeseaError,
) -> dict:
    """name -> array, of an .npz file whose arrays take up at most `largest` bytes; nothing is unpickled.

    An array's header may claim any size: it has to be what the archive says that the entry unpacks to, and
    no more than that is ever unpacked.
    """
    import numpy as np

    found, left = {}, largest
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                left -= entry.file_size
                if left < 0:
                    raise error(f"The file {path} unpacks to more than {largest:,} bytes: {remedy}.")
                with archive.open(entry) as file:
                    version = np.lib.format.read_magic(file)
                    if version not in ((1, 0), (2, 0)):
                        raise ValueError(f"version {version} of an array")
                    header = (
                        np.lib.format.read_array_header_1_0
                        if version == (1, 0)
                        else np.lib.format.read_array_header_2_0
                    )
                    shape, fortran, kind = header(file)
                    if kind.hasobject:
                        raise ValueError("it holds Python objects")
                    size = math.prod(shape) * kind.itemsize
                    content = file.read(size + 1) if size <= entry.file_size else b""
                    if len(content) != size:
                        raise ValueError(f"{entry.filename} is not as long as it says")
                name = entry.filename.removesuffix(".npy")
                flat = np.frombuffer(content, kind)
                found[name] = flat.reshape(shape, order="F" if fortran else "C")
    except OSError as problem:
        raise error(f"The file {path} cannot be read ({problem.strerror or problem}): {remedy}.") from problem
    except (
        *(ValueError, TypeError, KeyError, EOFError, AttributeError, NotImplementedError, RuntimeError),
        *(SyntaxError, MemoryError, RecursionError, zipfile.BadZipFile, zlib.error),
    ) as problem:
        raise error(f"The file {path} is not a whole .npz file ({_line(problem)}): {remedy}.") from problem
    return found


def _parsed(path, language: str, parse, largest: int, depth: int, remedy: str, error) -> Any:
    text = read_text(path, largest=largest, remedy=remedy, error=error)
    try:
        value = parse(text)
        fault = _fault(value, depth)
    except (ValueError, RecursionError) as problem:
        reason = "it nests too deep" if isinstance(problem, RecursionError) else _line(problem)
        raise error(f"The file {path} is not readable as {language} ({reason}): {remedy}.") from None
    if fault:
        raise error(f"The file {path} {fault}: {remedy}.")
    return value


def _fault(value: Any, depth: int) -> str | None:
    """What no schema needs to know of: how deep a value nests, and what is no number or no text in it."""
    waiting = [(value, 0)]
    while waiting:
        each, level = waiting.pop()
        if isinstance(each, dict | list):
            if level == depth:
                return f"nests deeper than {depth} levels"
            inner = [*each.keys(), *each.values()] if isinstance(each, dict) else each
            waiting += [(one, level + 1) for one in inner]
        elif isinstance(each, float) and not math.isfinite(each):
            return f"holds {each}, which is no finite number"
        elif isinstance(each, int) and abs(each) >= MOST:
            return f"holds {shown(each)}, which is out of range"
        elif isinstance(each, str) and not each.isascii() and any(map(_half, each)):
            return f"holds {shown(each)}, which is no text"
    return None


def _half(character: str) -> bool:
    """Whether this is half of a surrogate pair: no text, nothing could print or write it."""
    return "\ud800" <= character <= "\udfff"


def _json(text: str) -> Any:
    return json.loads(
        text, parse_constant=_no_constant, parse_int=_integer, parse_float=_real, object_pairs_hook=_object
    )


def _toml(text: str) -> Any:
    # Python's parser takes time with the cube of a dotted key's parts.
    if _DOTTED.search(text):
        raise ValueError(f"a key of more than {MOST_PARTS} parts")
    return tomllib.loads(text)


def _no_constant(text: str):
    raise ValueError(f"{text} is no finite number")


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:SHOWN]} is no finite number")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen = set()
        name = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the name {shown(name)} is there twice")
    return found


def _line(problem: Exception) -> str:
    """The first line of what an exception says."""
    text = " ".join(str(problem).split()) or type(problem).__name__
    return text if len(text) <= 2 * SHOWN else f"{text[: 2 * SHOWN]}..."
