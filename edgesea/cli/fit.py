"""edgesea fit"""

import click

from edgesea import project
from edgesea.cli.common import as_json, print_json, print_table


@click.command()
@click.argument("bundle", required=False)
@as_json
def fit(bundle, as_json):
    """Says which boards hold a bundle's model, with the margin in flash and RAM.

    The time that the model takes on a board is an estimate, with its basis below the table.
    """
    from edgesea.export import load_bundle
    from firmware_export.boards import STANDINGS
    from firmware_export.fit import fit as held

    if bundle is None:
        bundle = project.needed("BUNDLE").newest_bundle()
        click.echo(f"{project.FILE}: {bundle}", err=True)
    loaded = load_bundle(bundle)
    result = held(*_made_again(loaded))
    if as_json:
        print_json({"bundle": str(loaded.path), **result})
        return
    rows = [
        [
            each["board"],
            each["fits"],
            _margin(each["flash"]),
            _margin(each["ram"]),
            *(_range((each["estimate"] or {}).get(key)) for key in ("inference_ms", "duty_cycle_percent")),
        ]
        for each in result["boards"]
    ]
    columns = ["board", "fits", "KB of flash left", "KB of RAM left", "estimated ms", "est. duty, %"]
    print_table(f"{loaded.name}, {result['engine']}", columns, rows)
    for standing in STANDINGS:
        boards = [each["board"] for each in result["boards"] if each["standing"] == standing]
        if boards:
            click.echo(f"{standing}: {', '.join(boards)}")
    for sentence in result["left_out"]:
        click.echo(sentence, err=True)
    for sentence in result["basis"]:
        click.echo(sentence)


def _made_again(bundle) -> tuple[dict, str | None]:
    """The manifest and the frontend's header with the figures that the .tflite itself gives; those in the
    bundle are not believed."""
    from edgesea.bench import memory
    from edgesea.export.firmware import remake
    from firmware_export.graph import read

    if bundle.integer is None or bundle.manifest["c_model"] is None:
        return _measured(bundle, read, memory), None
    made = remake(bundle)
    figures = {"arena_bytes": made.compiled.arena_bytes, "constant_bytes": made.compiled.constant_bytes}
    figures |= {"state_bytes": made.compiled.state_bytes}
    compiled = {**bundle.manifest["c_model"], **figures}
    header = made.contents.get(f"{bundle.identifier}_frontend.h")
    text = None if header is None else header.decode("ascii")
    return {**_measured(bundle, read, memory), "c_model": compiled}, text


def _measured(bundle, read, memory) -> dict:
    if bundle.integer is None:
        return bundle.manifest
    graph = read(bundle.integer)
    figures = {
        "multiply_accumulates": sum(map(graph.multiply_accumulates, graph.operators)),
        "storage": memory.storage(graph),
        "activation": memory.activation(graph),
    }
    kind = "int8" if bundle.int8 else "int16x8"
    return {**bundle.manifest, kind: {**bundle.manifest[kind], **figures}}


def _margin(memory: dict) -> str:
    return f"{memory['margin'] / 1024:,.0f}, {memory['margin_percent']:.0f} %"


def _range(ends) -> str | None:
    """Two figures of an estimate are what it is worth."""
    return None if ends is None else " to ".join(f"{end:,.0f}" if end >= 10 else f"{end:.2g}" for end in ends)
