"""Which serial port a board is: by the USB vendor of the board or of the probe on it.

Where the host does not know a port's vendor, the port has to be named.
"""

from edgesea.errors import EdgeseaError
from edgesea.running import usb
from firmware_export.boards import Board


def find(board: Board) -> str:
    """The path of the board's serial port.

    Raises
    ------
    EdgeseaError : there is none, or several that it may be
    """
    vendors = {*board.flasher.usb_vendors, *board.native_usb}
    found = sorted(port for port, vendor in usb.ports().items() if vendor in vendors)
    if len(found) == 1:
        return found[0]
    if found:
        raise EdgeseaError(
            f"The serial port of {board.name} may be any of {', '.join(found)}: say which with --port."
        )
    raise EdgeseaError(f"No serial port of {board.name} was found: plug it in, or name its port with --port.")
