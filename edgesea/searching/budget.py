"""What a board, or what the user grants of it, holds; and what a candidate needs of that.

Flash and RAM are those of the whole sensor program, by the accounts of `edgesea fit`: model, frontend, and
allowances for what a project adds; and a record for every step of the model.
"""

import dataclasses
from collections.abc import Mapping

from edgesea.errors import EdgeseaError, UsageError
from edgesea.formats.search import SearchBudget
from edgesea.frontend import Frontend
from edgesea.searching.cost import Cost
from firmware_export import boards
from firmware_export.errors import UserError
from firmware_export.fit import CORES
from firmware_export.fit import fit as held
from firmware_export.frontend import frontend_sources

# Of flash, for every step of the C model: what tells its kernel of shapes and weights. `fit` takes it into
# its allowance for code, which deep students would outgrow; at most 123 bytes were measured on a Cortex-M4.
RECORD_BYTES = 128

RESOURCES = {"flash": "bytes of flash", "ram": "bytes of RAM", "instructions": "M4 instructions"}


@dataclasses.dataclass(frozen=True)
class Needs:
    """flash, ram : bytes of the sensor program; instructions : of one inference on a Cortex-M4, estimated."""

    flash: int
    ram: int
    instructions: int


@dataclasses.dataclass(frozen=True)
class Budget:
    """The most that a candidate may need.

    board : its name
    flash, ram : bytes
    instructions : of one inference on a Cortex-M4, whatever the board's core; None for any number
    """

    board: str
    flash: int
    ram: int
    instructions: int | None = None

    @classmethod
    def of(
        cls,
        board: str,
        flash: int | None = None,
        ram: int | None = None,
        instructions: int | None = None,
    ) -> "Budget":
        """A budget on a board; what is not given is all that the board has.

        Raises
        ------
        UsageError
            The board is unknown, none that a search can be for, or smaller than the budget.
        """
        try:
            found = boards.board(board)
        except boards.UnknownBoard as error:
            raise UsageError(str(error)) from None
        if found.clock_hz is None or found.core not in CORES:
            real = [each.name for each in boards.readable()[0] if each.clock_hz and each.core in CORES]
            raise UsageError(
                f"The board {board} is emulated and holds anything: choose one of {', '.join(real)}."
            )
        granted = {"flash": flash, "ram": ram, "instructions": instructions}
        for name, value in granted.items():
            if value is not None and value < 1:
                raise UsageError(f"Received --{name} {value}: give a number above 0.")
        for name, has in (("flash", found.flash_bytes), ("ram", found.ram_bytes)):
            if (granted[name] or 0) > has:
                raise UsageError(
                    f"Received --{name} {granted[name]} for the board {board}, which has {has} bytes: give "
                    "at most that, or leave it out."
                )
        return cls(board, flash or found.flash_bytes, ram or found.ram_bytes, instructions)

    def share(self, needs: Needs) -> float:
        """How much of the scarcest resource is needed; above 1 where it does not fit."""
        return max(getattr(needs, name) / limit for name, limit in self.limits.items())

    @property
    def limits(self) -> dict[str, int]:
        """What is limited: a resource's name and how much of it there is."""
        found = {name: getattr(self, name) for name in RESOURCES}
        return {name: limit for name, limit in found.items() if limit is not None}

    def beyond(self, needs: Needs) -> list[str]:
        """The resources of which too much is needed."""
        return [name for name, limit in self.limits.items() if getattr(needs, name) > limit]

    def described(self) -> SearchBudget:
        """As it lies in a search's folder."""
        return SearchBudget(**dataclasses.asdict(self))


class Accounts:
    """What candidates with one frontend need on one board."""

    def __init__(self, board: str, frontend: Frontend):
        self.board, self.frontend = board, frontend
        self._header = _header(frontend)

    def needs(self, cost: Cost) -> Needs:
        """What a student of that cost needs.

        Raises
        ------
        EdgeseaError
            It would fit in bytes, but in no piece of RAM.
        """
        manifest = {
            "int8": {
                "input": {"bytes": cost.input_bytes},
                "output": {"bytes": cost.output_bytes},
                "multiply_accumulates": cost.multiply_accumulates,
            },
            "c_model": {
                "arena_bytes": cost.arena_bytes,
                "arenas": cost.arenas,
                "constant_bytes": cost.constant_bytes,
            },
            "frontend": self.frontend.to_dict(),
        }
        found = next(each for each in held(manifest, self._header)["boards"] if each["board"] == self.board)
        if self._too_long(found):
            raise EdgeseaError(f"No piece of RAM of the board {self.board} is large enough for the model.")
        flash = found["flash"]["needed"] + RECORD_BYTES * cost.steps
        return Needs(flash, found["ram"]["needed"], cost.instructions)

    @staticmethod
    def _too_long(found: Mapping) -> bool:
        """Where there would be enough RAM, but in no piece without a gap."""
        return found["fits"] == "no" and all(found[name]["margin"] >= 0 for name in ("flash", "ram"))


def _header(frontend: Frontend) -> str | None:
    """The frontend's C header, which says what it keeps; None where it has no C."""
    try:
        sources = frontend_sources(frontend, "candidate", scale=1.0, zero_point=0)
    except UserError:
        return None
    return sources["candidate_frontend.h"]
