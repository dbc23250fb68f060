"""edgesea export"""

from pathlib import Path

import click

from edgesea import project
from edgesea.cli.common import as_json, command_line, print_json, print_table
from edgesea.errors import UsageError


@click.command()
@click.argument("target", metavar="[RUN|MODEL.tflite]", required=False)
@click.option("--out", help="Folder of the bundle.")
@click.option("--int8", is_flag=True, help="Full-integer int8, calibrated on the run's own sound; C arrays.")
@click.option("--name", help="Name of the model, also in C.  [default: the name of the run or file]")
@click.option("--frontend", help="Frontend of a MODEL.tflite, if it is one of the presets.")
@click.option(
    "--min-cosine", type=float, help="Fail where int8 is less like float than this.  [default: 0.95]"
)
@click.option("--min-r2", type=float, help="The same for R².  [default: 0.9]")
@click.option(
    "--ram-budget", type=int, help="Bytes that the C model's arena may take up.  [default: the fewest]"
)
@click.option("--explain", is_flag=True, help="Draw the C model's memory plan: as text here, as c/plan.svg.")
@click.option("--no-onnx", is_flag=True, help="Leave the ONNX file out.")
@as_json
def export(target, out, int8, name, frontend, min_cosine, min_r2, ram_budget, explain, no_onnx, as_json):
    """Makes a bundle of a run's student, or of any int8 .tflite: everything that a device needs."""
    from edgesea.export import c_compiler, export_tflite
    from edgesea.export.from_run import export_run
    from edgesea.frontend import preset

    if target is None:
        held = project.needed("RUN")
        target = held.newest_run()
        out = out or str(held.bundle_of(target))
        click.echo(f"{project.FILE}: {target} to {out}", err=True)
    if not out:
        raise UsageError("No folder for the bundle was given: say --out.")
    target = Path(target)
    command = command_line()
    c_model = c_compiler(ram_budget=ram_budget, explain=explain, command=command)
    if target.suffix == ".tflite":
        chosen = preset(frontend) if frontend else None
        bundle = export_tflite(target, out, name=name, frontend=chosen, c_model=c_model, command=command)
    else:
        thresholds = {"min_cosine": min_cosine, "min_r2": min_r2}
        bundle = export_run(
            target,
            out,
            name=name,
            int8=int8,
            onnx=not no_onnx,
            c_model=c_model,
            command=command,
            **{key: value for key, value in thresholds.items() if value is not None},
        )
    if as_json:
        print_json({"bundle": str(bundle.path), **bundle.manifest})
    else:
        _print(bundle)
        if explain and bundle.int8:
            click.echo((bundle.path / "c" / "plan.txt").read_text(encoding="utf-8"))


def _print(bundle) -> None:
    rows = [[name, f"{entry['bytes']:,}"] for name, entry in bundle.manifest["files"].items()]
    print_table(f"{bundle.name} in {bundle.path}", ["file", "bytes"], rows)
    if comparison := bundle.manifest["comparison"]:
        click.echo(
            f"int8 against float on {comparison['n']} held-out patches: cosine {comparison['cosine']:.4f}, "
            f"R² {comparison['r2']:.4f}; worst layer: {comparison['worst_layer']}"
        )
