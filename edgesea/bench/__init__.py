"""Measures one model on one device.

A device is named `NAME` or `NAME:TARGET` (`host`, `qemu:cortex-m4`). Plugging one in is one file that offers
`measure(model, target) -> dict` and one line in `DEVICES`; the file is imported when its device is asked for.

A measurement is a dict ready for JSON: `device`, `engine`, `model`, `storage`, `activation`, then
`latency_ms` on real machines or `emulated` on emulated ones, `conditions`, and `how`, which says of every
figure whether it was measured, computed or emulated (a figure `a.b` not listed there is what `a` is).
"""

import importlib
from pathlib import Path

from edgesea.errors import UsageError
from edgesea.recognise import advice, recognise

DEVICES = {
    # name: (module, what follows the colon, or "" where nothing does)
    "host": ("edgesea.bench.host", ""),
    "rpi": ("edgesea.bench.rpi", ""),
    "qemu": ("edgesea.bench.qemu", "CORE"),
    "serial": ("edgesea.bench.serial", "PORT"),
}


def names() -> list[str]:
    """The devices as a user writes them: `["host", "qemu:CORE"]`."""
    return [f"{name}:{target}" if target else name for name, (_, target) in DEVICES.items()]


def measure(path: Path | str, device: str = "host", **options) -> dict:
    """Measures a bundle's int8 model, or any .tflite, on `device`.

    Parameters
    ----------
    path : a bundle's folder or a .tflite file
    device : one of `names()`, with its target filled in
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
    module, wanted = DEVICES[name]
    if bool(target) != bool(wanted):
        usage = f"{name}:{wanted}" if wanted else name
        raise UsageError(f"The device {device!r} is written {usage}.")
    return importlib.import_module(module).measure(find_model(path), target, **options)


def find_model(path: Path | str) -> Path:
    """The .tflite to measure: `path` itself, or the int8 model of the bundle that `path` is.

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
        from edgesea.export.bundle import load_bundle

        bundle = load_bundle(path)
        if bundle.int8 is None:
            raise UsageError(
                f"The bundle {path} holds no int8 model: export it again with --int8, or name its .tflite."
            )
        return bundle.int8
    if found.kind not in ("tflite", "unknown"):
        raise UsageError(advice(found, "bench"))
    return path
