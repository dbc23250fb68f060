"""What several commands share: options, and how a result is printed."""

import json
import shlex
import sys

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
max_bad_frames = click.option(
    "--max-bad-frames",
    type=float,
    help="Share of frames, 0 to 1, for which the teacher may give no number.  [default: 0.05]",
)

shared_store = click.option(
    "--store",
    "shared",
    help="Folder of embeddings that several runs share: the teacher is not asked again for what it holds.",
)

accelerator = click.option(
    "--accelerator",
    default="auto",
    show_default=True,
    help="auto, cpu or gpu: where the teacher runs.",
)


def command_line() -> str:
    """The call as a user would type it again, for provenance."""
    return shlex.join(["edgesea", *sys.argv[1:]])


def print_json(value) -> None:
    """Prints a value as JSON on standard output; NaN and infinity are refused."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def print_table(title: str, columns: list[str], rows: list[list]) -> None:
    """A table on standard output; numbers align to the right, None is a dash."""
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*("–" if cell is None else str(cell) for cell in row))
    # Not as the table's own title, which would be folded where the table is narrower.
    print(title)
    Console(highlight=False).print(table)


def progress():
    """The bars of long work, on standard error."""
    from edgesea.progress import TerminalProgress

    return TerminalProgress()
