"""Measures one model on one device.

A device is named `NAME` or `NAME:TARGET` (`host`, `qemu:cortex-m4`). Plugging one in is one file that offers
`measure(model, target) -> dict` and `TARGET`, what follows the colon ("" where nothing does), and one line in
`DEVICES`, or in another package an entry point of the group `edgesea.devices`; the file is imported when its
device is asked for.

A measurement is a dict ready for JSON: `format`, `format_version`, `device`, `engine`, `model`, `storage`,
`activation`, then `latency_ms` on real machines or `emulated` on emulated ones, `conditions`, and `how`,
which says of every figure whether it was measured, computed or emulated (a figure `a.b` not listed there is
what `a` is).
"""

from pathlib import Path

from edgesea import results
from edgesea.errors import UsageError
from edgesea.named import Registry
from edgesea.progress import SILENT, Progress
from edgesea.recognise import advice, recognise

DEVICES = Registry(
    "device",
    {
        "host": "edgesea.devices.host",
        "rpi": "edgesea.devices.rpi",
        "qemu": "edgesea.devices.qemu",
        "serial": "edgesea.devices.serial",
    },
    "edgesea.devices",
)


def names() -> list[str]:
    """The devices as a user writes them: `["host", "qemu:CORE"]`."""
    return [_written(name) for name in DEVICES]


def _written(name: str) -> str:
    target = DEVICES.get(name).TARGET
    return f"{name}:{target}" if target else name


def measure(path: Path | str, device: str = "host", *, progress: Progress = SILENT, **options) -> dict:
    """Measures the integer model of a bundle, which keeps the answer (see `results`), or any .tflite.

    Parameters
    ----------
    path : a bundle's folder or a .tflite file
    device : one of `names()`, with its target filled in
    progress : is told where the bundle cannot keep the answer
    options : passed on to the device: `threads`, `runs` and `limit_s` for host and rpi; `runs` and `limit_s`
        for serial; `host`, `python` and `setup` for the rpi

    Raises
    ------
    UsageError : no such device, a target missing or too many, no model there
    EdgeseaError : the device could not measure it
    """
    name, _, target = device.partition(":")
    if name not in DEVICES:
        raise UsageError(f"There is no device {device!r}: use one of {', '.join(names())}.")
    module = DEVICES.get(name)
    if bool(target) != bool(module.TARGET):
        raise UsageError(f"The device {device!r} is written {_written(name)}.")
    found = module.measure(find_model(path), target, **options)
    found = results.stamped("bench", found)
    if Path(path).is_dir():
        results.keep(
            Path(path), f"{results.FOLDER}/{results.bench_name(found)}.json", "bench", found, progress
        )
    return found


def find_model(path: Path | str) -> Path:
    """The .tflite to measure: `path` itself, or the int8 or int16x8 model of the bundle `path`.

    Raises
    ------
    UsageError : nothing there, a folder that is no bundle, or a bundle without an int8 model
    EdgeseaError : a bundle whose files are not what its manifest says
    """
    path = Path(path)
    found = recognise(path)
    if path.is_dir():
        if found.kind not in ("folder", "bundle"):
            raise UsageError(advice(found, "bench"))
        from edgesea.exporting.bundle import load_bundle

        bundle = load_bundle(path)
        if bundle.integer is None:
            raise UsageError(
                f"The bundle {path} holds no int8 model: export it again with --int8, or name its .tflite."
            )
        return bundle.integer
    if found.kind not in ("tflite", "unknown"):
        raise UsageError(advice(found, "bench"))
    return path
