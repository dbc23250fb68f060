"""Objectives: what the student is trained on. One file each, with one function `loss(target, embedding)`."""

from collections.abc import Callable
from importlib import import_module

from edgesea.errors import UsageError

OBJECTIVES = {"sea": "edgesea.objectives.sea"}


def objective(name: str) -> Callable:
    """The loss of that name. Raises `UsageError` for an unknown one."""
    if name not in OBJECTIVES:
        raise UsageError(f"Unknown objective {name!r}: choose one of {', '.join(OBJECTIVES)}.")
    return import_module(OBJECTIVES[name]).loss
