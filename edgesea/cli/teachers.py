"""The command `edgesea teachers`: which there are, how to get them, and what a foreign model is."""

import click

from edgesea.cli.common import as_json, print_json, progress

LINE = "{:<25}{:>5}  {:<21}{:>6}{:>7}  {:<16} {}"


@click.group(invoke_without_command=True)
@as_json
@click.pass_context
def teachers(context, as_json):
    """Lists the published teachers; `get NAME` fetches one, `check FILE` looks at any model."""
    if context.invoked_subcommand is not None:
        return
    from edgesea.teachers.catalogue import catalogue

    rows = catalogue()
    if as_json:
        print_json(rows)
        return
    click.echo(LINE.format("name", "n", "hears", "Hz", "MB", "licence", "weights"))
    for row in rows:
        weights = "here" if row["here"] else "to fetch"
        values = (row[each] for each in ("name", "dimension", "hears", "sample_rate", "megabytes", "licence"))
        click.echo(LINE.format(*values, weights))
    click.echo(
        "Any .keras, .tflite or .onnx file, SavedModel, run, bundle or file of embeddings is one too: "
        "edgesea teachers check FILE"
    )


@teachers.command()
@click.argument("name")
def get(name):
    """Fetches the weights of a published teacher into the cache, once."""
    from edgesea import weights

    click.echo(f"{name} is in {weights.path(name, progress())}")


@teachers.command()
@click.argument("file")
@click.option("--teacher-tensor", "tensor", help="Inner tensor or layer that is the embedding.")
@click.option("--teacher-frontend", "frontend", help="Frontend of a teacher that takes patches.")
@click.option(
    "--teacher-rate", "sample_rate", type=int, help="Sample rate of one that takes waveforms, in Hz."
)
@click.option("--teacher-seconds", "seconds", type=float, help="Length of a frame, where any is taken.")
@click.option("--teacher-pool", "pool", help="mean, max, first or last, of several vectors a frame.")
@click.option("--data", help="Your sound, to ask it about.  [default: synthesised streets]")
@as_json
def check(file, data, frontend, as_json, **options):
    """Says what a model is, what it takes and gives, and whether its answers to real sound are sane."""
    from edgesea.frontend import preset
    from edgesea.teacher import TeacherOptions
    from edgesea.teachers.check import check as checked
    from edgesea.teachers.own import typed

    typed(file)
    chosen = TeacherOptions(frontend=preset(frontend) if frontend else None, **options)
    found = checked(file, chosen, data, progress=progress())
    if as_json:
        print_json(found)
    else:
        for name, value in found.items():
            if name not in ("faults", "notes"):
                click.echo(f"{name.replace('_', ' '):<16} {value}")
        for line in (*found["notes"], *found["faults"]):
            click.echo(line)
        if not found["faults"]:
            click.echo("It can teach: edgesea distill --teacher ... --data YOUR_SOUND --out run")
    if found["faults"]:
        raise SystemExit(1)
