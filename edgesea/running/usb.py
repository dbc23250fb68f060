"""What the host knows of a serial port: the USB vendor of the device that it is.

Linux says so in /sys/class/tty: one of the folders above the port's device is the USB device, which has
idVendor. Elsewhere nothing is known.
"""

from __future__ import annotations

from pathlib import Path

from firmware_export import boards

TTYS = Path("/sys/class/tty")


def ports() -> dict[str, int | None]:
    """Path of every serial port -> the USB vendor of its device; None where it has none."""
    return {f"/dev/{tty.name}": vendor(f"/dev/{tty.name}") for tty in TTYS.glob("tty*")}


def vendor(port: str) -> int | None:
    """The USB vendor of a port, which may be named by a link such as those in /dev/serial/by-id."""
    device = (TTYS / Path(port).resolve().name / "device").resolve()
    for folder in (device, *device.parents):
        if (folder / "idVendor").is_file():
            return int((folder / "idVendor").read_text(), 16)
    return None


def is_native(port: str) -> bool:
    """Whether a port is a chip itself and no UART behind a probe or bridge.

    Such a port is no line before its host has raised DTR: a core drops what is written to it until then.
    A bridge may have the chip's reset and boot pins at these lines.
    """
    found = vendor(port)
    return found is not None and any(found in board.native_usb for board in boards.readable()[0])
