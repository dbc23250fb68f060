"""edgesea bench"""

from pathlib import Path

import click

from edgesea import project
from edgesea.cli.common import as_json, print_json


@click.command()
@click.argument("target", metavar="[BUNDLE|MODEL.tflite]", required=False)
@click.option("--device", help="host, or qemu:CORE for an emulated one.  [default: host]")
@click.option(
    "--threads", type=click.IntRange(1), help="Threads of the interpreter, on the host.  [default: 1]"
)
@click.option("--runs", type=click.IntRange(1), help="Timed inferences, on the host.")
@click.option("--out", type=click.Path(), help="Write the measurement as JSON to this file too.")
@as_json
def bench(target, device, threads, runs, out, as_json):
    """Measures storage, activation memory and latency of a bundle, or of any .tflite, on a device."""
    from edgesea import files
    from edgesea.bench import measure

    if target is None or device is None:
        held = project.find() if target is not None else project.needed("BUNDLE")
        target = target or held.newest_bundle()
        device = device or (held.bench.get("device", "host") if held else "host")
        click.echo(f"measuring {target} on {device}", err=True)
    options = {name: value for name, value in {"threads": threads, "runs": runs}.items() if value is not None}
    measurement = measure(Path(target), device, **options)
    if out:
        files.write_json(out, measurement)
    if as_json:
        print_json(measurement)
    else:
        from edgesea.bench.table import print_measurement

        print_measurement(measurement)
