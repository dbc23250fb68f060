"""The operators, one file a family: options, checks, cost, lowering and evaluation together.

To add an operator is to put a file here that holds ``KINDS``, a tuple of ``ir.Kind``, and its kernels into
``runtime/``; nothing else names it. A kernel that edgesea_kernels.h does not declare has a header of its own
beside it, named after it. Files whose names begin with ``_`` are what several families share.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from firmware_export.ir import Kind

__all__ = ["KINDS", "compiled"]


def _found() -> dict[str, Kind]:
    """Every kind of operator in this folder, by opcode, in alphabetical order."""
    kinds: dict[str, Kind] = {}
    for module in iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        for kind in import_module(f"{__name__}.{module.name}").KINDS:
            if kind.opcode in kinds:
                raise ValueError(f"{kind.opcode} is described twice, once more by ops/{module.name}.py.")
            kinds[kind.opcode] = kind
    return dict(sorted(kinds.items()))


KINDS = _found()


def compiled() -> list[str]:
    """The operators that the C model has, in alphabetical order."""
    return [name for name, kind in KINDS.items() if kind.check]
