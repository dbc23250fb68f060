"""Objectives: what the student is trained on. One file each, one entry here; `base.py` says what one is."""

from edgesea.named import Choice, Registry
from edgesea.objectives.base import Objective

__all__ = ["OBJECTIVES", "Objective", "objective"]

OBJECTIVES = Registry(
    "objective",
    {
        "sea": "edgesea.objectives.sea:Sea",
        "cosine": "edgesea.objectives.cosine:Cosine",
        "simreg": "edgesea.objectives.simreg:SimReg",
    },
    "edgesea.objectives",
)


def objective(choice: Choice | str) -> Objective:
    """A new objective.

    Raises
    ------
    UsageError
        The name or an option is unknown, or a value cannot be.
    """
    choice = Choice.of(choice, "objective")
    return OBJECTIVES.get(choice.name)(OBJECTIVES.options(choice))
