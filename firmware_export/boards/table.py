"""The boards as a Markdown table, and the page that holds it.

`python3 -m firmware_export.boards.table docs/boards.md` renews the table in that page.
"""

import sys
from pathlib import Path

from firmware_export.boards import Board, readable

BEGIN, END = "<!-- boards: begin -->\n", "<!-- boards: end -->\n"

HEAD = """\
| board | what it is | core | clock, MHz | flash, KB | RAM, KB | tool, project | standing |
|---|---|---|---:|---:|---:|---|---|
"""


def table() -> str:
    """One line a board, the real ones first."""
    boards = sorted(readable()[0], key=lambda each: (each.emulator is not None, each.name))
    return HEAD + "".join(map(_line, boards))


def renewed(page: str) -> str:
    """A page with the table of today between its two marks; ValueError where it lacks one of them."""
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"The page has no {BEGIN.strip()} before a {END.strip()}.")
    return before + BEGIN + table() + END + after


def _line(each: Board) -> str:
    clock = f"{each.clock_hz / 1e6:g}" if each.clock_hz else "none"
    if each.flasher:
        tool = f"{each.flasher.program}, {each.flasher.project}"
    else:
        tool = f"{each.emulator.program} with gdb"
    ram = f"{each.ram_bytes / 1024:,.0f}"
    if each.largest_ram_bytes != each.ram_bytes:
        ram += f" ({each.largest_ram_bytes / 1024:,.0f} in one piece)"
    flash = f"{each.flash_bytes / 1024:,.0f}"
    cells = (f"`{each.name}`", each.title, each.core, clock, flash, ram, tool, each.standing)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(renewed(file.read_text(encoding="utf-8")), encoding="utf-8")
