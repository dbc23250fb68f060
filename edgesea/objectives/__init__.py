"""Objectives: what the student is trained on. One file each, one entry here; `base.py` says what one is."""

from collections.abc import Mapping

from edgesea.named import Choice, Registry
from edgesea.objectives.base import Objective
from edgesea.objectives.terms import split

__all__ = ["OBJECTIVES", "Objective", "chosen", "objective"]

OBJECTIVES = Registry(
    "objective",
    {
        "sea": "edgesea.objectives.sea:Sea",
        "cosine": "edgesea.objectives.cosine:Cosine",
        "simreg": "edgesea.objectives.simreg:SimReg",
        "kd": "edgesea.objectives.kd:KD",
        "compress": "edgesea.objectives.compress:CompRess",
        "reaug": "edgesea.objectives.reaug:ReAug",
        "disk": "edgesea.objectives.disk:DiSK",
        "amad": "edgesea.objectives.amad:AMAD",
        "sum": "edgesea.objectives.combination:Sum",
    },
    "edgesea.objectives",
)


def chosen(value: Choice | Mapping | str) -> Choice:
    """The choice of an objective; several with a + between them (see `terms`) are the choice `sum`."""
    if isinstance(value, str) and (terms := split(value)):
        return Choice("sum", (("terms", terms),))
    return Choice.of(value, "objective")


def objective(choice: Choice | str) -> Objective:
    """A new objective.

    Raises
    ------
    UsageError
        The name or an option is unknown, or a value cannot be.
    """
    choice = chosen(choice)
    return OBJECTIVES.get(choice.name)(OBJECTIVES.options(choice))
