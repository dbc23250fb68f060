"""Flashing an emulated board: gdb loads the image into a QEMU that waits, as a probe does into a chip.

QEMU starts with its core halted and nothing in memory; its gdb server is a socket, its UART a
pseudo-terminal. gdb writes the image's sections, sets the registers as a reset would, and lets go; the
firmware then answers on the UART as it does on a real board. The bundle's code has that UART and nothing
else: no semihosting, no network, see `edgesea.running.emulator`.
"""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgesea.devices.serial import Link
from edgesea.errors import EdgeseaError
from edgesea.flash import firmware, verdict
from edgesea.flash.terminal import Terminal
from edgesea.flash.verdict import Gone, Verdict
from edgesea.running.emulator import ALONE, emulator, programs, scratch
from edgesea.running.programs import APT, command, find
from firmware_export.boards import Board

GDB = "gdb-multiarch"
IMAGE = "image.elf"  # as `emulator.build` calls it
# Relative to the folder in which both run: the name of a socket has at most 107 bytes.
SOCKET = "gdb.socket"
START_LIMIT_S = 60.0
LOAD_LIMIT_S = 300.0
MOST_SAID_BY_GDB = 1 << 20
POLL_S = 0.02

# Waiting for gdb: no image, core halted, UART on a pseudo-terminal.
WAITING = ("-serial", "pty", "-S", "-gdb", f"unix:{SOCKET},server=on,wait=off")


def qemu_command(board: Board) -> list[str]:
    """QEMU, as anyone can start it in a shell; edgesea adds QEMU's own sandbox where there is one."""
    return [board.emulator.program, *board.emulator.arguments, *ALONE, *WAITING]


def gdb_command(board: Board) -> list[str]:
    """gdb, which loads the image, sets the registers and lets the core run."""
    steps = [f"target remote {SOCKET}", "load"]
    if board.core.startswith("cortex-m"):
        # A reset takes stack and first instruction from the vectors; all code of a Cortex-M is Thumb.
        vectors = next(each.origin for each in board.memory if each.name == "VECTORS")
        steps += [
            f"set $sp = *(unsigned int *){vectors:#x}",
            "set $xpsr = 0x01000000",
            f"set $pc = *(unsigned int *){vectors + 4:#x}",
        ]
    steps.append("detach")
    # An image may bring scripts for gdb along: none of them is run.
    quiet = ("-nx", "--batch", "-iex", "set auto-load off")
    return [GDB, *quiet, *(part for step in steps for part in ("-ex", step)), IMAGE]


def lines(board: Board) -> list[str]:
    """The commands for a shell, one a line; what edgesea does itself is a comment."""
    return [
        f"# builds {IMAGE} with {board.toolchain.prefix}gcc in a temporary folder, where the rest runs",
        f"{shlex.join(qemu_command(board))} &",
        shlex.join(gdb_command(board)),
        "# reads the golden test's verdict from the pseudo-terminal that QEMU names",
    ]


def flash(
    bundle: Path, board: Board, sha256: str, *, limit_s: float, say: Callable[[str], None] = lambda _: None
) -> Verdict:
    """Builds a bundle's firmware for an emulated board, loads it, and returns the golden test's verdict.

    Raises EdgeseaError where a program is missing or fails, or no verdict comes within `limit_s` seconds.
    """
    find([(GDB, APT + GDB), *programs(board)])
    with scratch() as folder:
        say(f"building with {board.toolchain.prefix}gcc")
        firmware.build_emulated(bundle, board.core, folder)
        with waiting(board, folder) as port:
            say(f"loading with {GDB} into {board.emulator.program}")
            load(board, folder)
            return verdict.read(port, sha256, limit_s=limit_s, say=say, connect=connect)


def connect(name: str, *, limit_s: float) -> Link:
    """The link to a board behind QEMU's terminal; it takes no pyserial."""
    return Link(Terminal(name), name, limit_s=limit_s)


@contextlib.contextmanager
def waiting(board: Board, folder: Path) -> Iterator[Callable[[], str]]:
    """Starts QEMU in `folder` and yields what says the path of its UART's terminal, or raises `Gone` where
    QEMU has ended; ends QEMU with the block.
    """
    log = folder / "qemu.txt"
    with open(log, "wb") as output, emulator(board, WAITING, folder, output=output) as process:
        terminal = _terminal(process, board, log, folder / SOCKET)

        def port() -> str:
            _said(process, board, log)
            return terminal

        yield port


def _terminal(process: subprocess.Popen, board: Board, log: Path, socket: Path) -> str:
    """Waits until QEMU has said which terminal its UART is, and listens for gdb."""
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        terminal = firmware.terminal(_said(process, board, log))
        if terminal and socket.exists():
            return terminal
        time.sleep(POLL_S)
    raise EdgeseaError(f"{board.emulator.program} did not start within {START_LIMIT_S:g} seconds: retry.")


def _said(process: subprocess.Popen, board: Board, log: Path) -> str:
    """What QEMU has said so far; `Gone`, with the last line of it, where it has ended."""
    # First asked, then read: what it said before it ended is there then.
    status = process.poll()
    text = firmware.said(log)
    if status == 0:
        raise Gone(
            f"The program on {board.name} has ended, which firmware never does: export the bundle again."
        )
    if status is not None:
        reason = text.strip().splitlines() or ["no reason"]
        raise Gone(f"{board.emulator.program} ended with status {status}: {reason[-1].removesuffix('.')}.")
    return text


def load(board: Board, folder: Path) -> None:
    """Lets gdb load the image of `folder` into the QEMU that waits there."""
    _, text = command(gdb_command(board), folder, LOAD_LIMIT_S, most_bytes=MOST_SAID_BY_GDB)
    # gdb's status says nothing: it goes on after a step that failed, and complains where a program ends at
    # once. Only a whole load tells where the image starts.
    if "Start address" not in text:
        reason = text.strip().splitlines() or ["no reason"]
        raise EdgeseaError(f"{GDB} did not load the image into {board.name}: {reason[0].removesuffix('.')}.")
