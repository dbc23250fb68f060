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
    held = project.find()
    for name, value in (("teacher", held.teacher), ("data", held.data)):
        if value != "demo" and not Path(value).exists():
            click.echo(f"There is nothing at {value} yet: put your {name} there, or edit {path}.", err=True)
    click.echo(f"Wrote {path}: look through it, then call `edgesea distill`.")
