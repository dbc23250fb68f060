"""The hand-written kernels: which files a program needs, and how their constants are laid out.

A kernel is the file in ``runtime/`` that bears its name, with ``_dsp`` and ``_mve`` variants beside it. It is
declared in edgesea_kernels.h, or in a header of its own that bears its name too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

RUNTIME = Path(__file__).parent / "runtime"


def files(functions: Iterable[str]) -> tuple[str, ...]:
    """The runtime files of some kernels: their own, those of the kernels that they call, on every path."""
    found = {"edgesea_kernels.h", "edgesea_path.h"}
    waiting = sorted(functions)
    while waiting:
        function = waiting.pop()
        for path in sorted(RUNTIME.glob(f"{function}*.c")):
            if path.name in found or not re.fullmatch(rf"{function}(_dsp|_mve)?\.c", path.name):
                continue
            found.add(path.name)
            waiting += _uses(path.read_text(encoding="utf-8"), found)
    return tuple(sorted(found))


def headers(functions: Iterable[str]) -> list[str]:
    """The headers that declare some kernels beside edgesea_kernels.h."""
    return [f"{function}.h" for function in sorted(functions) if (RUNTIME / f"{function}.h").is_file()]


def _uses(text: str, found: set[str]) -> list[str]:
    """The kernels that a file calls; the headers that it includes join ``found``."""
    for header in re.findall(r'#include "(edgesea_\w+\.h)"', text):
        if header not in found:
            found.add(header)
            _uses((RUNTIME / header).read_text(encoding="utf-8"), found)
    return sorted(
        {name for name in re.findall(r"\b(edgesea_\w+)\(", text) if (RUNTIME / f"{name}.c").exists()}
    )


@cache
def _structs() -> dict[str, tuple[str, ...]]:
    """The fields of every struct that a header of ``runtime/`` declares, in their order."""
    found = {}
    for path in sorted(RUNTIME.glob("edgesea_*.h")):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for body, name in re.findall(r"typedef struct \w+ \{([^{}]*)\} (\w+);", text):
            found[name] = tuple(re.findall(r"(\w+)(?:\[\w+\])?;", body))
    return found


def in_order(ctype: str, fields: dict) -> dict:
    """``fields`` in the order in which the struct ``ctype`` declares them.

    C++ and C99 agree on initialisers by position only, so the order is taken from the declaration.

    Raises
    ------
    ValueError
        If the struct is not declared, or has other fields.
    """
    declared = _structs().get(ctype)
    if declared is None:
        raise ValueError(f"No header in {RUNTIME} declares the struct {ctype}.")
    if set(declared) != fields.keys():
        odd = ", ".join(sorted(set(declared) ^ fields.keys()))
        raise ValueError(f"The fields of a constant and of the struct {ctype} differ: {odd}.")
    return {name: fields[name] for name in declared}
