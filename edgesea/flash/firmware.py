"""Firmware for emulated boards: what a real board gets, with QEMU's serial line.

image = build_emulated(bundle, "cortex-m4", folder)
with running("cortex-m4", image) as port:
    ...  # Link.open(port), or `edgesea bench --device serial:PORT`
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from edgesea.errors import EdgeseaError
from edgesea.exporting.firmware import write_firmware
from edgesea.running.emulator import EMULATED, MOST_SAID, board_of, build, emulator, scratch

# The firmware is the bundle's: it gets no semihosting at all, only its serial line.
ENDING = ("ending_uart.c",)

START_LIMIT_S = 60.0
POLL_S = 0.02


def build_emulated(bundle: Path | str, core: str, folder: Path | str, *, vectors: int = 4) -> Path:
    """Builds a bundle's firmware for the emulated board qemu-CORE.

    Parameters
    ----------
    bundle : a bundle with a C model
    core : one of `emulator.cores()`
    folder : made if it is not there; receives the sources, in `firmware/`, and the image
    vectors : int > 0, golden vectors to take along, see `write_firmware`

    Returns
    -------
    Path
        Of the image, an ELF; it tells the model's steps apart.

    Raises
    ------
    UsageError : no such core or bundle
    EdgeseaError : a tool is missing or it does not build
    """
    board = board_of(core)
    driver, address = board.emulator.uart, board.emulator.uart_base
    folder = Path(folder)
    sources = folder / "firmware"
    written = write_firmware(bundle, sources, vectors=vectors)
    # An emulated board has no microphone: the sensor program stays out.
    programs = [file for file in written if file.suffix == ".c" and file.parent == sources]
    return build(
        board,
        [*programs, EMULATED / "board.c"],
        folder,
        includes=[sources],
        flags=["-DEDGESEA_PROFILE_HOOK", f"-DUART_BASE={address:#x}u", f'-DBOARD_NAME="{board.name}, QEMU"'],
        libraries=["-lm"],
        ending=(*ENDING, driver),
    )


@contextlib.contextmanager
def running(core: str, image: Path) -> Iterator[str]:
    """Runs an image on its emulated board as long as the block does; yields the pseudo-terminal that is the
    board's serial line. QEMU runs as fast as it can: its clock means nothing.
    """
    board = board_of(core)
    with scratch() as folder, open(folder / "qemu.txt", "w+b") as output:
        arguments = ("-serial", "pty", "-kernel", str(image.resolve()))
        with emulator(board, arguments, folder, output=output) as process:
            yield _port(process, folder / "qemu.txt", board.name)


def terminal(said: str) -> str | None:
    """The pseudo-terminal that QEMU says it has made, None where it has not said so yet."""
    found = re.search(r"char device redirected to (\S+) \(label serial0\)", said)
    return found[1] if found else None


def said(log: Path) -> str:
    """What QEMU has said so far."""
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read(MOST_SAID)


def _port(process: subprocess.Popen, log: Path, name: str) -> str:
    end = time.monotonic() + START_LIMIT_S
    while True:
        # First asked, then read: what it said before it ended is there then.
        over = process.poll() is not None or time.monotonic() >= end
        text = said(log)
        if port := terminal(text):
            return port
        if over:
            raise EdgeseaError(f"{name} did not start: QEMU says {' '.join(text.split()) or 'nothing'}.")
        time.sleep(POLL_S)
