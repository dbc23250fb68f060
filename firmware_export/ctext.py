r"""Text that becomes C: the one place for identifiers, comments, string and number literals, and templates.

Whatever a user or a stranger named goes through here before it reaches a C file:

    identifier("Rue Bérard 2!")      -> rue_berard_2
    comment("a */ b")                -> a * / b
    string('say "hi"')               -> "say \\"hi\\""
    float32(0.1)                     -> 0.1f

CMake, JSON and file names get an `identifier` and nothing else of a user's.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

import jinja2
import numpy as np

from firmware_export import __version__
from firmware_export.reserved import OWNERS, PREFIXES

LONGEST_IDENTIFIER = 48
# Of a comment: a command line of any length would make a line that no one reads.
LONGEST_COMMENT = 1000

_IDENTIFIER = re.compile(r"[a-z](_?[a-z0-9]+)*")


def identifier(name: str) -> str:
    """The C identifier of any text: lower case, digits and single underscores, 1 to 48 of them.

    Accents go ('Rue Bérard 2!' is 'rue_berard_2'). What `owner` knows to be another's, and what begins with a
    digit, gets `model_` in front.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    safe = _cut(re.sub(r"[^a-z0-9]+", "_", plain).strip("_"))
    if not safe or safe[0].isdigit() or owner(safe):
        safe = _cut(f"model_{safe}")
    return safe


def is_identifier(text: str) -> bool:
    """Whether `text` is what `identifier` makes, and may stand as it is in C, CMake, JSON and file names."""
    return len(text) <= LONGEST_IDENTIFIER and bool(_IDENTIFIER.fullmatch(text)) and owner(text) is None


def owner(word: str) -> str | None:
    """Whose word this is, such as 'a header of C'; None where it is free."""
    word = word.lower()
    if word in OWNERS:
        return OWNERS[word]
    return next((whose for prefix, whose in PREFIXES.items() if word.startswith(prefix)), None)


def renamed(name: str) -> str | None:
    """One sentence that says why a name is another in C; None where it is not another's.

    name : as a user gave it
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    word = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if not word or (whose := owner(_cut(word))) is None:
        return None
    return f"The name {printable(name)!r} is {whose}: in C the model is called {identifier(name)}."


def comment(text: str) -> str:
    """`text` on one line that a C comment of either kind can hold.

    Printable ASCII; neither opens nor ends a comment, holds no trigraph and does not end in a backslash.
    """
    line = printable(text).encode("ascii", "backslashreplace").decode()
    if len(line) > LONGEST_COMMENT:
        line = line[: LONGEST_COMMENT - 4] + " ..."
    line = re.sub(r"\*(?=/)|/(?=\*)|\?(?=\?)", r"\g<0> ", line)
    return line.rstrip("\\ ")


def printable(text: str) -> str:
    """`text` on one line: every run of white space and of what cannot be printed is one space."""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def string(text: str) -> str:
    """A C string literal, quotes included, of the UTF-8 of `text`; ASCII only, and without trigraphs."""
    return '"' + "".join(map(_character, text.encode("utf-8"))) + '"'


def float32(value: float) -> str:
    """A literal of type float that reads back as the same 32 bits, the shortest one; negative in brackets.

    Raises ValueError for what is no finite float32.
    """
    with np.errstate(over="ignore"):
        single = np.float32(value)
    if not np.isfinite(single):
        raise ValueError(f"{value!r} is no finite float32, and C has no literal of it")
    text = str(single)
    text += "f" if "." in text or "e" in text else ".0f"
    return f"({text})" if text.startswith("-") else text


def integer(value: int) -> str:
    """A literal of a signed integer of up to 32 bits; negative in brackets."""
    # -2147483648 is no int in C: the minus is an operator on a number that does not fit.
    text = "-2147483647 - 1" if value == -(2**31) else str(int(value))
    return f"({text})" if value < 0 else text


def number(value: float | int) -> str:
    """A literal of an int or, of a float, of type float."""
    return integer(value) if isinstance(value, int) else float32(value)


def items(values: np.ndarray) -> list[str]:
    """The literals of an array's values, flattened, for an initialiser: no brackets."""
    flat = np.asarray(values).reshape(-1)
    texts = map(float32, flat) if flat.dtype.kind == "f" else map(integer, flat.tolist())
    return [text.strip("()") for text in texts]


def origin(command: str = "") -> str:
    """Where a generated file comes from, as one line of a comment."""
    return f"Made by edgesea {__version__}" + (f" with: {comment(command)}" if command else "")


def environment(folder: Path | str | list[Path]) -> jinja2.Environment:
    """The templates in `folder`, or in several, of C and of what is built beside it.

    Nothing is escaped by itself. Filters: `comment`, `string`, `rows` and `floats` (lines of an initialiser).
    """
    folders = folder if isinstance(folder, list) else [folder]
    return _environment(tuple(map(str, folders)))


@cache
def _environment(folders: tuple[str, ...]) -> jinja2.Environment:
    """Made once for all files of a model: to compile a template takes longer than to fill it."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # C, CMake and Markdown, not HTML
    )
    found.filters |= {
        "comment": comment,
        "string": string,
        "rows": rows,
        "floats": lambda values: rows([float32(value).strip("()") for value in values]),
    }
    return found


def rows(values, suffix: str = "", width: int = 100) -> str:
    """Numbers as lines of a C initialiser."""
    lines, line = [], "   "
    for value in values:
        item = f" {value}{suffix},"
        if len(line) + len(item) > width:
            lines.append(line)
            line = "   "
        line += item
    return "\n".join([*lines, line])


def _cut(text: str) -> str:
    return text[:LONGEST_IDENTIFIER].strip("_")


def _character(byte: int) -> str:
    each = chr(byte)
    if each in '"\\?':
        return f"\\{each}"
    # Three octal digits always: what follows them is never taken for one more.
    return each if 32 <= byte < 127 else f"\\{byte:03o}"
