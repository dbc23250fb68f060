"""The command `edgesea fit`."""

import click

from edgesea import project
from edgesea.cli.common import as_json, print_json, print_table, progress


@click.command()
@click.argument("bundle", required=False)
@as_json
def fit(bundle, as_json):
    """Says which boards hold a bundle's model, with the margin in flash and RAM.

    The time that the model takes on a board is an estimate, with its basis below the table.
    """
    from edgesea.fitting import fit as held
    from firmware_export.boards import STANDINGS

    if bundle is None:
        bundle = project.needed("BUNDLE").newest_bundle()
        click.echo(f"{project.FILE}: {bundle}", err=True)
    result = held(bundle, progress=progress())
    if as_json:
        print_json(result)
        return
    rows = [
        [
            each["board"],
            each["fits"],
            each["optimize"],
            _margin(each["flash"]),
            _margin(each["ram"]),
            *(_range((each["estimate"] or {}).get(key)) for key in ("inference_ms", "duty_cycle_percent")),
        ]
        for each in result["boards"]
    ]
    columns = [
        "board",
        "fits",
        "--optimize",
        "KB of flash left",
        "KB of RAM left",
        "estimated ms",
        "est. duty, %",
    ]
    print_table(f"{result['name']}, {result['engine']}", columns, rows)
    for standing in STANDINGS:
        boards = [each["board"] for each in result["boards"] if each["standing"] == standing]
        if boards:
            click.echo(f"{standing}: {', '.join(boards)}")
    for sentence in result["left_out"]:
        click.echo(sentence, err=True)
    for sentence in result["basis"]:
        click.echo(sentence)


def _margin(memory: dict) -> str:
    return f"{memory['margin'] / 1024:,.0f}, {memory['margin_percent']:.0f} %"


def _range(ends) -> str | None:
    """Two figures of an estimate are what it is worth."""
    return None if ends is None else " to ".join(f"{end:,.0f}" if end >= 10 else f"{end:.2g}" for end in ends)
