"""The command `edgesea init`."""

from pathlib import Path

import click

from edgesea import project


@click.command()
@click.option("--teacher", default="demo", show_default=True, help="A .keras or .tflite file, or demo.")
@click.option("--data", default="recordings", show_default=True, help="Folder or table of your sound.")
def init(teacher, data):
    """Writes a commented edgesea.toml for your data and teacher into this folder."""
    path = Path.cwd() / project.FILE
    project.write(path, teacher, data)
    click.echo(f"Wrote {path}: look through it, then call `edgesea distill`.")
