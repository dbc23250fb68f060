"""Firmware for emulated boards: what a real board gets, with QEMU's serial line.

image = build_emulated(bundle, "cortex-m4", folder)
with running("cortex-m4", image) as port:
    ...  # Link.open(port), or `edgesea bench --device serial:PORT`
"""

import contextlib
import os
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from edgesea.bench import qemu
from edgesea.errors import EdgeseaError
from edgesea.export.firmware import write_firmware

START_LIMIT_S = 60.0


def build_emulated(bundle: Path | str, core: str, folder: Path | str, *, vectors: int = 4) -> Path:
    """Builds a bundle's firmware for the emulated board qemu-CORE.

    bundle : a bundle with a C model
    core : one of `qemu.cores()`
    folder : made if it is not there; receives the sources, in `firmware/`, and the image
    vectors : int > 0, golden vectors to take along, see `write_firmware`

    Returns the path of the image, an ELF; it tells the model's steps apart.
    Raises UsageError for no such core or bundle, EdgeseaError where a tool is missing or it does not build.
    """
    board = qemu.board_of(core)
    driver, address = board.emulator.uart, board.emulator.uart_base
    folder = Path(folder)
    sources = folder / "firmware"
    written = write_firmware(bundle, sources, vectors=vectors)
    # An emulated board has no microphone: the sensor program stays out.
    programs = [file for file in written if file.suffix == ".c" and file.parent == sources]
    return qemu.build(
        board,
        [*programs, *(qemu.EMULATED / name for name in ("board.c", driver))],
        folder,
        includes=[sources],
        flags=["-DEDGESEA_PROFILE_HOOK", f"-DUART_BASE={address:#x}u", f'-DBOARD_NAME="{board.name}, QEMU"'],
        libraries=["-lm"],
    )


@contextlib.contextmanager
def running(core: str, image: Path) -> Iterator[str]:
    """Runs an image on its emulated board as long as the block does; yields the pseudo-terminal that is the
    board's serial line. QEMU runs as fast as it can: its clock means nothing."""
    board = qemu.board_of(core)
    arguments = [
        qemu.tool(board.emulator.program, board.emulator.package),
        *board.emulator.arguments,
        *("-display", "none", "-monitor", "none", "-serial", "pty", "-no-reboot"),
        *("-semihosting-config", "enable=on,target=native", "-kernel", str(image)),
    ]
    with tempfile.TemporaryDirectory(prefix="edgesea-qemu-") as folder:
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _port(process, board.name)
        finally:
            process.kill()
            process.communicate()


def _port(process: subprocess.Popen, name: str) -> str:
    """The pseudo-terminal that QEMU says it has made."""
    said, end = b"", time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        if not select.select([process.stdout], [], [], 0.1)[0]:
            continue
        part = os.read(process.stdout.fileno(), 4096)
        said += part
        if found := re.search(rb"redirected to (\S+) ", said):
            return found.group(1).decode()
        if not part:
            break
    text = " ".join(said.decode("utf-8", "replace").split())
    raise EdgeseaError(f"{name} did not start: QEMU says {text or 'nothing'}")
