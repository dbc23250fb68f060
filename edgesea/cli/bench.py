"""The command `edgesea bench`."""

from pathlib import Path

import click

from edgesea import project
from edgesea.cli.common import as_json, print_json, print_table, progress
from edgesea.errors import UsageError


@click.command()
@click.argument("arguments", metavar="[BUNDLE|MODEL.tflite | compare A.json B.json]", nargs=-1)
@click.option("--device", help="host, rpi, qemu:CORE for an emulated one, or serial:PORT.  [default: host]")
@click.option("--host", help="The rpi, as ssh takes it: a name of your ssh configuration or user@address.")
@click.option("--python", help="Path of the Python on the rpi.  [default: that of --setup, else python3]")
@click.option("--setup", is_flag=True, help="Make a virtual environment with what it takes on the rpi first.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    multiple=True,
    help="Threads of the interpreter, on host and rpi; on the rpi several times for several.  [default: 1]",
)
@click.option(
    "--runs",
    type=click.IntRange(1),
    help="Timed inferences, on host, rpi and serial.  [default: 200; serial: 100]",
)
@click.option(
    "--input-shape",
    metavar="1x16000",
    help="Shape of the input on host, where the model's file leaves its length open.",
)
@click.option("--out", type=click.Path(), help="Write the measurement as JSON to this file too.")
@click.option("--verbose", is_flag=True, help="Show every condition of the measurement.")
@as_json
def bench(arguments, device, host, python, setup, threads, runs, input_shape, out, verbose, as_json):
    """Measures storage, activation memory and latency of a bundle, or of any .tflite, on a device.

    `edgesea bench compare A.json B.json` says what differs between two measurements, and whether the
    difference in latency is larger than their noise.
    """
    from edgesea import files

    if arguments[:1] == ("compare",) and not Path("compare").exists() and len(arguments) != 3:
        given = arguments[1] if len(arguments) == 2 else "A.json"
        raise UsageError(
            f"Two measurements are compared, received {len(arguments) - 1}: write `edgesea bench compare "
            f"{given} B.json`, with files that `edgesea bench --out` wrote."
        )
    if arguments[:1] == ("compare",) and len(arguments) == 3:
        result = _compare(*arguments[1:], as_json)
        if out:
            files.write_json(out, result)
        return
    if len(arguments) > 1:
        raise UsageError(
            f"One bundle or model is measured at a time, received {len(arguments)}: name one, "
            "or write `compare A.json B.json`."
        )
    measurement = _measure(
        arguments[0] if arguments else None,
        device,
        {
            "host": host,
            "python": python,
            "setup": setup or None,
            "threads": threads or None,
            "runs": runs,
            "input_shape": _shape(input_shape),
        },
    )
    if out:
        files.write_json(out, measurement)
    if as_json:
        print_json(measurement)
    else:
        _print(measurement, verbose)


def _shape(text: str | None) -> tuple[int, ...] | None:
    """`1x16000` -> (1, 16000)."""
    if text is None:
        return None
    sizes = text.lower().replace(",", "x").split("x")
    if not all(size.strip().isascii() and size.strip().isdigit() and 0 < int(size) < 2**31 for size in sizes):
        raise UsageError(f"Received --input-shape {text!r}: give whole numbers above 0, as in 1x16000.")
    return tuple(map(int, sizes))


def _measure(target, device, wanted: dict) -> dict:
    from edgesea.devices import measure

    options = {name: value for name, value in wanted.items() if value is not None}
    if target is None or device is None or (device == "rpi" and wanted["host"] is None):
        held = project.find() if target is not None else project.needed("BUNDLE")
        settings = held.bench if held else {}
        target = target or held.newest_bundle()
        device = device or settings.get("device", "host")
        if device == "rpi":
            options = {name: settings[name] for name in ("host", "python") if name in settings} | options
        click.echo(f"measuring {target} on {device}", err=True)
    kind = device.partition(":")[0]
    taken = {
        "rpi": set(wanted) - {"input_shape"},
        "host": {"threads", "runs", "input_shape"},
        "serial": {"runs"},
    }.get(kind, set())
    if others := sorted(set(options) - taken):
        option = others[0].replace("_", "-")
        raise UsageError(f"--{option} has no meaning on the device {device!r}: leave it out.")
    if device == "host" and "threads" in options:
        if len(options["threads"]) > 1:
            raise UsageError("Several --threads are measured on the rpi alone: give one.")
        options["threads"] = options["threads"][0]
    return measure(Path(target), device, progress=progress(), **options)


def _print(measurement: dict, verbose: bool) -> None:
    from edgesea.devices.table import print_measurement

    print_measurement(measurement, verbose=verbose)
    rows = [
        [
            each["threads"],
            ("yes" if each["engine"].endswith("XNNPACK") else "not used") if each["xnnpack"] else "no",
            *(f"{each['latency_ms'][key]:,.3f}" for key in ("cold_load", "median", "p95", "p99")),
            _bytes(each["memory"]["peak_above_empty_bytes"]),
        ]
        for each in measurement.get("configurations", [])
    ]
    if rows:
        columns = ["threads", "XNNPACK", "load ms", "median", "p95", "p99", "peak bytes"]
        print_table("all configurations, each in processes of its own", columns, rows)
    if agreement := measurement.get("agreement"):
        click.echo(
            f"reference kernels here ({agreement['here']}) and there ({agreement['there']}): "
            f"{agreement['differing']} of {agreement['values']} values differ, "
            f"by {agreement['largest_difference']} at most"
        )
    if "golden" in measurement:
        click.echo(
            f"{measurement['golden']}; {measurement['differing_bytes']} of {measurement['compared_bytes']} "
            "bytes of output differ from TFLite's reference kernels"
        )
        if steps := [
            [each[key] for key in ("number", "name", "cycles")] for each in measurement["operators"]
        ]:
            print_table("one inference, step by step", ["step", "operator", "cycles"], steps)
    if missing := measurement.get("activation", {}).get("not_counted"):
        click.echo(missing)
    if slowed := measurement["conditions"].get("slowed"):
        click.echo(f"slower than it can be, because of: {slowed}; cool or feed the machine better", err=True)


def _compare(a: str, b: str, as_json: bool) -> dict:
    from edgesea.devices import comparable
    from edgesea.devices.compare import compare, load

    held = load(a), load(b)
    result = compare(*held)
    if reason := comparable.why_not(*held):
        result = comparable.in_common(result) | {"warnings": [reason, *result["warnings"]]}
    if as_json:
        print_json(result)
        return result
    if result["same_model"] is False:
        click.echo("The two measured different models.")
    rows = [[_cell(each[key]) for key in ("what", "a", "b")] for each in result["differences"]]
    print_table("what differs", ["what", "A", "B"], rows)
    rows = [
        [f"{e['figure']}, {e['unit']}", _plain(e["a"]), _plain(e["b"]), e["ratio"]] for e in result["figures"]
    ]
    print_table("figures", ["figure", "A", "B", "B / A"], rows)
    for each in result["latency"]:
        verdict = "more than the noise" if each["differs"] else "within the noise"
        click.echo(
            f"threads {each['threads']}, XNNPACK {'allowed' if each['xnnpack'] else 'off'}: "
            f"median {each['a']} ms and {each['b']} ms, {verdict} of {each['noise_ms']} ms"
        )
    for warning in result["warnings"]:
        click.echo(warning)
    return result


def _cell(value) -> str | None:
    """A value for a table: its brackets are text, no markup."""
    from rich.markup import escape

    return None if value is None else escape(str(value))


def _plain(value) -> str:
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"


def _bytes(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"
