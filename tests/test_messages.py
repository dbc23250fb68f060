"""Every error that users see is a sentence: a capital letter or an option as it is typed, and a full stop."""

import ast
import re
from pathlib import Path

import pytest

import edgesea
import firmware_export

PACKAGES = [Path(package.__file__).parent for package in (edgesea, firmware_export)]
# What is caught on the way and told in another sentence.
INNER = {
    *("ValueError", "TypeError", "RuntimeError", "KeyError", "OSError", "MemoryError", "IndexError"),
    *("EOFError", "NotImplementedError", "AttributeError", "ImportError", "ModuleNotFoundError"),
}
OWN = {"Gone", "UnknownBoard"}


def ends(node: ast.expr) -> tuple[str | None, str | None]:
    """The first and the last text of a message; None where a value stands there."""
    if isinstance(node, ast.Constant):
        return (node.value, node.value) if isinstance(node.value, str) else (None, None)
    if isinstance(node, ast.JoinedStr) and node.values:
        first, last = (
            part.value if isinstance(part, ast.Constant) else None
            for part in (node.values[0], node.values[-1])
        )
        return first, last
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return ends(node.left)[0], ends(node.right)[1]
    return None, None


def faults(source: str) -> list[tuple[int, str]]:
    """(line, what is wrong) of every message in a module."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if not (name in OWN or (name.endswith("Error") and name not in INNER)):
            continue
        first, last = ends(node.args[0])
        if first and not re.match(r"[A-Z]|--[a-z]*", first):
            found.append((node.lineno, f"begins {first[:40]!r}"))
        if last and not last.endswith((".", "?")):
            found.append((node.lineno, f"ends {last[-40:]!r}"))
        if last is None and isinstance(node.args[0], ast.JoinedStr) and not _nested(node.args[0].values[-1]):
            found.append((node.lineno, "ends with a value"))
    return found


def _nested(value: ast.expr) -> bool:
    """Whether a value at the end may be a sentence itself: an error, or a list of lines."""
    text = ast.unparse(value)
    return bool(re.search(r"error|wrong|_too_|sentence|reason", text))


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_errors_are_sentences(package):
    wrong = {
        f"{path.relative_to(package)}:{line}": what
        for path in sorted(package.rglob("*.py"))
        for line, what in faults(path.read_text(encoding="utf-8"))
    }
    assert not wrong


def test_what_is_no_sentence_is_found():
    source = 'raise UsageError(f"there is none, {x}")\nraise ModelError("It is bad")\nraise Gone(f"A {b}")\n'
    assert [what.split()[0] for _, what in faults(source)] == ["begins", "ends", "ends", "ends"]
    assert not faults('raise UsageError("--dim 3 is more.")\nraise ValueError("a phrase")\n')
