"""The command `edgesea search`."""

import re
from pathlib import Path

import click

from edgesea.cli.common import accelerator, as_json, print_json, print_table, progress, shared_store
from edgesea.errors import UsageError, received

UNITS = {"bytes": {"": 1, "K": 1 << 10, "M": 1 << 20}, "instructions": {"": 1, "K": 10**3, "M": 10**6}}
FAMILIES = "separable, inverted, factorised, temporal"


class Size(click.ParamType):
    """A count with a K or an M behind it, which are powers of 1,024 of bytes, and of 1,000 else."""

    name = "size"

    def __init__(self, unit: str):
        self._unit = unit

    def convert(self, value, parameter, context):
        """256K -> 262144 bytes, or 256000."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)([KM]?)B?", value.strip(), re.IGNORECASE)
        if not found:
            self.fail(f"Received {received(value)}: give a number of {self._unit}, such as 256K", parameter)
        return round(float(found[1]) * UNITS[self._unit][found[2].upper()])


@click.command()
@click.option("--board", help="Name of the board, as `edgesea fit` lists them.")
@click.option("--flash", type=Size("bytes"), help="Bytes of flash, 256K.  [default: the board's]")
@click.option("--ram", type=Size("bytes"), help="Bytes of RAM, 64K.  [default: the board's]")
@click.option(
    "--instructions", type=Size("instructions"), help="Of one inference on a Cortex-M4, 10M.  [default: any]"
)
@click.option("--hours", type=float, default=8.0, show_default=True, help="In all, over all calls.")
@click.option("--candidates", type=int, help="Students that are trained, at most.  [default: any]")
@click.option("--teacher", help="A .keras, .tflite or .onnx file, a run, a bundle, or demo.")
@click.option("--data", help="Folder of audio, of class folders, or a CSV table.")
@click.option("--out", help="Folder of the search: new, or one to go on with, which needs nothing else.")
@click.option(
    "--config", "config_file", type=click.Path(), help="A config.toml, or a run: of the winner's run."
)
@click.option("--families", help=f"Out of {FAMILIES}, with commas between.  [default: all]")
@click.option("--dim", help="Dimensions of the embedding to choose from.  [default: 32,64,128]")
@click.option("--frontend", help="Student's frontend.  [default: as `edgesea distill`]")
@click.option("--objective", help="What students are trained on.  [default: cosine]")
@click.option("--hop", type=float, help="Seconds from frame to frame.  [default: half a frame]")
@click.option("--frames", type=int, help="Frames that the winner is trained on.  [default: 60000]")
@click.option("--epochs", type=int, help="Passes over the winner's frames.  [default: 16]")
@click.option("--trial-frames", type=int, help="Frames that a candidate is trained on.  [default: 16000]")
@click.option("--trial-epochs", type=int, help="Passes over a candidate's frames.  [default: 4]")
@click.option("--augment/--no-augment", default=None, help="As in `edgesea distill`.  [default: on]")
@click.option(
    "--winner/--no-winner", default=True, help="Distil the winner, in time of its own.  [default: winner]"
)
@shared_store
@accelerator
@click.option("--seed", type=int, help="Of every random choice.  [default: 0]")
@as_json
def search(hours, candidates, out, winner, shared, accelerator, as_json, **options):
    """Searches for the student that learns most within a board's flash, RAM and instructions.

    Students are drawn, their costs known before they are trained; those that fit are trained shortly, and
    the best is distilled. Stopped or killed, the same call goes on. docs/search.md says more.
    """
    from edgesea.searching.search import search as run_search

    given = {name: value for name, value in options.items() if value is not None}
    result = run_search(
        _wanted(given, out),
        out,
        hours,
        most=candidates,
        winner=winner,
        shared=shared,
        accelerator=accelerator,
        progress=progress(),
    )
    if as_json:
        print_json(result.model_dump())
    else:
        _print(result, Path(out))


def _wanted(given: dict, out: str | None):
    """What is looked for: what the options say, or, where they say nothing, what the folder does."""
    from edgesea.cli.distill import _choose
    from edgesea.searching.budget import Budget
    from edgesea.searching.search import Wanted, begun

    if not out:
        raise UsageError("No folder for the search was given: say --out.")
    if not given and (held := begun(out)):
        return held
    if "board" not in given:
        raise UsageError("No board was given: say --board; `edgesea fit` lists them.")
    budget = Budget.of(*(given.pop(name, None) for name in ("board", "flash", "ram", "instructions")))
    trial = {name: given.pop(f"trial_{name}") for name in ("frames", "epochs") if f"trial_{name}" in given}
    if "families" in given:
        trial["families"] = tuple(each.strip() for each in given.pop("families").split(","))
    if "dim" in given:
        trial["dimensions"] = _dimensions(given.pop("dim"))
    config, _ = _choose(out, given.pop("config_file", None), given.pop("augment", None), given)
    return Wanted(config, budget, **trial)


def _dimensions(text: str) -> tuple[int, ...]:
    parts = [each.strip() for each in text.split(",")]
    if not all(re.fullmatch(r"\d{1,6}", each) for each in parts):
        raise UsageError(f"Received --dim {received(text)}: give whole numbers above 0, such as 32,64.")
    return tuple(map(int, parts))


def _print(result, out: Path) -> None:
    from edgesea.searching import front

    tried = ", ".join(f"{count} {state}" for state, count in sorted(result.tried.items()))
    for each in result.front:
        click.echo(f"{each.number}: {each.student}")
    print_table(f"The front ({tried}; {result.seconds / 3600:.2f} hours)", *front.rows(result))
    click.echo("score: R² of the teacher's embedding, guessed linearly, on validation recordings")
    click.echo("instructions: of one inference on a Cortex-M4, estimated by a calibrated table")
    click.echo(f"picture: {out / 'result.png'}")
    click.echo(f"the winner's recipe: {result.recipe}")
