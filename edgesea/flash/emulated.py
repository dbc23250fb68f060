"""Flashing an emulated board: gdb loads the image into a QEMU that waits, as a probe does into a chip.

QEMU starts with its core halted and nothing in memory; its gdb server is a socket, its UART a
pseudo-terminal. gdb writes the image's sections, sets the registers as a reset would, and lets go; the
firmware then answers on the UART as it does on a real board.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from edgesea.bench.firmware import build_emulated
from edgesea.bench.qemu import command, scratch, tool
from edgesea.errors import EdgeseaError
from edgesea.flash import verdict
from edgesea.flash.verdict import Gone, Verdict
from firmware_export.boards import Board

GDB = "gdb-multiarch"
IMAGE = "image.elf"  # as `qemu.build` calls it
# Relative to the folder in which both run: the name of a socket has at most 107 bytes.
SOCKET = "gdb.socket"
START_LIMIT_S = 60.0
LOAD_LIMIT_S = 300.0
POLL_S = 0.02


def qemu_command(board: Board) -> list[str]:
    """QEMU, waiting for gdb: no image, core halted, UART on a pseudo-terminal."""
    return [
        board.emulator.program,
        *board.emulator.arguments,
        *("-display", "none", "-monitor", "none", "-serial", "pty", "-no-reboot"),
        *("-semihosting-config", "enable=on,target=native"),
        *("-S", "-gdb", f"unix:{SOCKET},server=on,wait=off"),
    ]


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
    return [GDB, "-nx", "--batch", *(part for step in steps for part in ("-ex", step)), IMAGE]


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
    tool(GDB, GDB)
    tool(board.emulator.program, board.emulator.package)
    tool(board.toolchain.prefix + "gcc", board.toolchain.package)
    with scratch() as folder:
        say(f"building with {board.toolchain.prefix}gcc")
        build_emulated(bundle, board.core, folder)
        with waiting(board, folder) as port:
            say(f"loading with {GDB} into {board.emulator.program}")
            load(board, folder)
            return verdict.read(port, sha256, limit_s=limit_s, say=say)


@contextlib.contextmanager
def waiting(board: Board, folder: Path) -> Iterator[Callable[[], str]]:
    """Starts QEMU in `folder` and yields what says the path of its UART's terminal, or raises `Gone` where
    QEMU has ended; ends QEMU with the block."""
    log = folder / "qemu.txt"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            qemu_command(board),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        terminal = _terminal(process, log, folder / SOCKET)

        def port() -> str:
            _said(process, log)
            return terminal

        yield port
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _terminal(process: subprocess.Popen, log: Path, socket: Path) -> str:
    """Waits until QEMU has said which terminal its UART is, and listens for gdb."""
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        match = re.search(r"char device redirected to (\S+) \(label serial0\)", _said(process, log))
        if match and socket.exists():
            return match[1]
        time.sleep(POLL_S)
    raise EdgeseaError(f"{process.args[0]} did not start within {START_LIMIT_S:g} seconds: retry")


def _said(process: subprocess.Popen, log: Path) -> str:
    """What QEMU has said so far; `Gone`, with the last line of it, where it has ended."""
    # First asked, then read: what it said before it ended is there then.
    status = process.poll()
    text = log.read_text(encoding="utf-8", errors="replace")
    if status is not None:
        reason = text.strip().splitlines() or ["no reason"]
        raise Gone(f"{process.args[0]} ended with status {status}: {reason[-1]}")
    return text


def load(board: Board, folder: Path) -> None:
    """Lets gdb load the image of `folder` into the QEMU that waits there."""
    _, text = command(gdb_command(board), folder, LOAD_LIMIT_S)
    # gdb's status says nothing: it goes on after a step that failed, and complains where a program ends at
    # once. Only a whole load tells where the image starts.
    if "Start address" not in text:
        reason = text.strip().splitlines() or ["no reason"]
        raise EdgeseaError(f"{GDB} did not load the image into {board.name}: {reason[0]}")
