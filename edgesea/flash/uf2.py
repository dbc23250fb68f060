"""UF2: a board that is a drive, onto which the image is copied.

The boot loader shows a small FAT drive with INFO_UF2.TXT in it, takes the 512-byte blocks of a .uf2 file as
they are written, and starts the program after the last one; the drive is gone then.

Source: Microsoft, "USB Flashing Format (UF2)".
"""

import errno
import os
import re
import struct
from pathlib import Path

from edgesea.errors import EdgeseaError
from firmware_export.boards import Flasher

MOUNTS = Path("/proc/self/mounts")
INFO = "INFO_UF2.TXT"
FAT = ("vfat", "msdos")

BLOCK = 512
MAGIC = (0x0A324655, 0x9E5D5157)

# What writing or syncing says when the board restarts before the host has finished with the drive.
GONE = (errno.EIO, errno.ENODEV, errno.ENOENT, errno.ENXIO, errno.ENOTCONN)


def find(flasher: Flasher) -> Path:
    """The mounted drive with the flasher's Board-ID; EdgeseaError where there is none or more than one."""
    identity = flasher.arguments[0]
    found = sorted(folder for folder in _mounted() if _board_id(folder) == identity)
    if len(found) == 1:
        return found[0]
    if found:
        raise EdgeseaError(
            f"{len(found)} drives say Board-ID: {identity} ({', '.join(map(str, found))}): "
            "unplug all boards but one."
        )
    raise EdgeseaError(f"No mounted drive says Board-ID: {identity}: {flasher.install}, and mount the drive.")


def copy(image: Path, drive: Path) -> None:
    """Copies a whole .uf2 to a drive, through to the board; EdgeseaError where either says no."""
    content = image.read_bytes()
    whole = len(content) > 0 and len(content) % BLOCK == 0
    if not whole or any(
        struct.unpack_from("<2I", content, start) != MAGIC for start in range(0, len(content), BLOCK)
    ):
        raise EdgeseaError(f"{image} is not a whole .uf2 file: build it again.")
    target = drive / image.name
    written = 0
    try:
        with open(target, "wb", buffering=0) as file:
            while written < len(content):
                written += file.write(content[written : written + 64 * BLOCK])
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno in GONE and written == len(content):
            return
        raise EdgeseaError(
            f"{target} could not be written after {written} of {len(content)} bytes ({error.strerror}): "
            "plug the board in again and retry."
        ) from error


def _mounted() -> list[Path]:
    """Where FAT drives are mounted; others are left alone, a file server may hang."""
    lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    mounts = (line.split(" ") for line in lines)
    # A blank, tab, newline or backslash in a name is written as its octal number.
    return sorted(
        {
            Path(re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), on))
            for _, on, kind, *_ in mounts
            if kind in FAT
        }
    )


def _board_id(folder: Path) -> str | None:
    try:
        text = (folder / INFO).read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    match = re.search(r"^Board-ID:[ \t]*(.*?)[ \t\r]*$", text, re.MULTILINE)
    return match[1] if match else None
