"""Which serial port a board is: by the USB vendor of the board or of the probe on it.

Linux says so in /sys/class/tty: one of the folders above the port's device is the USB device, which has
idVendor. Elsewhere the port has to be named.
"""

from pathlib import Path

from edgesea.errors import EdgeseaError
from firmware_export.boards import Board

TTYS = Path("/sys/class/tty")


def find(board: Board) -> str:
    """The path of the board's serial port.

    Raises
    ------
    EdgeseaError : there is none, or several that it may be
    """
    found = sorted(
        f"/dev/{tty.name}" for tty in TTYS.glob("tty*") if _vendor(tty) in board.flasher.usb_vendors
    )
    if len(found) == 1:
        return found[0]
    if found:
        raise EdgeseaError(
            f"The serial port of {board.name} may be any of {', '.join(found)}: say which with --port."
        )
    raise EdgeseaError(f"No serial port of {board.name} was found: plug it in, or name its port with --port.")


def _vendor(tty: Path) -> int | None:
    """The USB vendor of a port; None where it has none."""
    device = (tty / "device").resolve()
    for folder in (device, *device.parents):
        if (folder / "idVendor").is_file():
            return int((folder / "idVendor").read_text(), 16)
    return None
