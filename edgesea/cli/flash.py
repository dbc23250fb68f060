"""The command `edgesea flash`."""

import click

from edgesea import project as settings
from edgesea.cli.common import as_json, print_json
from edgesea.errors import EdgeseaError


@click.command()
@click.argument("bundle", required=False)
@click.option("--board", required=True, help="Name of the board, such as rp2040 or qemu-cortex-m4.")
@click.option("--port", help="Its serial port.  [default: looked for by USB vendor]")
@click.option(
    "--project",
    help="Framework to build with, such as zephyr or pico-sdk.  [default: the board's own]",
)
@click.option("--build", type=click.Path(), help="Folder to build in.  [default: BUNDLE-BOARD]")
@click.option(
    "--wait",
    type=click.FloatRange(0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds in which the board's verdict has to come.",
)
@click.option("--dry-run", is_flag=True, help="Print the commands; run nothing and write nothing.")
@as_json
def flash(bundle, board, port, project, build, wait, dry_run, as_json):
    """Builds a bundle's firmware, writes it to a board, and reads the golden test's verdict.

    The verdict is the board's own: whether its outputs are, to the bit, those of the bundle's golden vectors.
    """
    from edgesea.flash import flash as write
    from edgesea.flash import plan

    if bundle is None:
        bundle = settings.needed("BUNDLE").newest_bundle()
        click.echo(f"{settings.FILE}: {bundle}", err=True)
    options = {"port": port, "kind": project, "folder": build}
    prepared = plan(bundle, board, **options, look=False)
    if not dry_run:
        prepared = _found(lambda: plan(bundle, board, **options), prepared)
    result = {"bundle": str(bundle), "board": board, "project": prepared.kind}
    if dry_run:
        if as_json:
            print_json({**result, "commands": prepared.lines()})
        else:
            click.echo("\n".join(prepared.lines()))
        return
    verdict = write(prepared, limit_s=wait, say=lambda text: click.echo(text, err=True))
    if as_json:
        print_json({**result, "passed": verdict.passed, "verdict": verdict.text})
    else:
        click.echo(f"{board}: {verdict.text}")
    if not verdict.passed:
        raise click.exceptions.Exit(1)


def _found(planned, prepared):
    """The plan with its port; programs and port that are missing are named at once, before anything is
    done.
    """
    from edgesea.flash import verdict
    from edgesea.running.programs import find

    missing = []
    if prepared.board.emulator is None:
        try:
            find(prepared.programs, verdict.missing())
        except EdgeseaError as error:
            missing.append(str(error))
    try:
        prepared = planned()
    except EdgeseaError as error:
        missing.append(str(error))
    if missing:
        raise EdgeseaError(" ".join(missing))
    return prepared
