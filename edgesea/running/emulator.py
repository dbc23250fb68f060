"""Builds a program for an emulated core and runs it there, with nothing of the host but what it is given.

QEMU runs with an empty environment, in an empty folder, without network, without devices of its own choice
and without a right to start programs, for a limited time and a limited output. What the program asks of its
host is answered by `semihosting`.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import os
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgesea.errors import EdgeseaError, UsageError
from edgesea.running import semihosting
from edgesea.running.programs import APT, command, started, tool
from firmware_export import boards

EMULATED = Path(boards.__file__).resolve().parents[1] / "emulated"

# The paper's Student 3 takes seconds on the plain cores; what takes this long hangs.
TIME_LIMIT_S = 600.0

# What QEMU itself may say, bytes: it explains why it ends, and no more.
MOST_SAID = 1 << 16

# -O2 as the least common denominator; what the fast paths gain from more they ask for themselves.
FLAGS = ("-std=c99", "-O2", "-ffunction-sections", "-fdata-sections", "-fno-common", "-g0")

# Without them QEMU adds devices, and a network through which a program reaches the host's own services.
ALONE = ("-nodefaults", "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot")
SANDBOX = ("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny")

# QEMU warns of boards without a network, as intended here.
WARNING = ": warning: "

# What the start-up code is linked with: how a program ends and says its last words.
SEMIHOSTING = ("semihosting.c",)


def cores() -> list[str]:
    """The cores that `qemu:CORE` may name."""
    return [name.removeprefix("qemu-") for name in boards.names() if name.startswith("qemu-")]


def board_of(core: str) -> boards.Board:
    """The emulated board of a core; UsageError where there is none."""
    if core not in cores():
        close = difflib.get_close_matches(core, cores(), n=1)
        meant = f"did you mean {close[0]}? Choose" if close else "choose"
        raise UsageError(f"There is no emulated core {core!r}: {meant} one of {', '.join(cores())}.")
    return boards.board(f"qemu-{core}")


def programs(board: boards.Board) -> tuple[tuple[str, str], ...]:
    """What an emulated board takes, as `programs.find` wants it: its emulator and its compiler."""
    return (
        (board.emulator.program, APT + board.emulator.package),
        (board.toolchain.prefix + "gcc", APT + board.toolchain.package),
    )


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder for one build or run."""
    with tempfile.TemporaryDirectory(prefix="edgesea-qemu-") as name:
        yield Path(name)


def build(
    board: boards.Board,
    sources: Sequence[Path],
    folder: Path,
    *,
    includes: Sequence[Path] = (),
    flags: Sequence[str] = (),
    libraries: Sequence[str] = (),
    ending: Sequence[str] = SEMIHOSTING,
) -> Path:
    """Compiles and links C sources with the board's start-up code.

    Parameters
    ----------
    board : an emulated board
    sources : C files; one of them holds `int main(void)`, and may include emulated.h and semihosting.h
    folder : where the linker's memory map and the image go; existing
    includes : folders with headers
    flags : compiler flags that follow the board's own and `FLAGS`
    libraries : linker flags that follow everything, such as "-lm"
    ending : the files of `EMULATED` with emulated_print and emulated_exit

    Returns
    -------
    Path
        Of the image, image.elf in `folder`.

    Raises
    ------
    EdgeseaError : the compiler is missing or says no; its message is passed on
    """
    compiler = tool(board.toolchain.prefix + "gcc", board.toolchain.package)
    regions = "\n".join(f"  {m.name} : ORIGIN = {m.origin:#x}, LENGTH = {m.length:#x}" for m in board.memory)
    (folder / "memory.ld").write_text(f"MEMORY\n{{\n{regions}\n}}\n")
    image = folder / "image.elf"
    code, text = command(
        [
            compiler,
            *board.toolchain.flags,
            *FLAGS,
            *flags,
            f"-I{EMULATED}",
            *(f"-I{include}" for include in includes),
            *sources,
            *(EMULATED / name for name in (board.emulator.startup, *ending, "stack.c")),
            *board.toolchain.link_flags,
            "-nostartfiles",
            "-Wl,--gc-sections",
            f"-L{folder}",
            "-T",
            EMULATED / "sections.ld",
            "-o",
            image,
            *libraries,
        ],
        folder,
        TIME_LIMIT_S,
    )
    if code != 0:
        # The first complaint is the one to read; what the compiler says before it is where it came from.
        lines = text.strip().splitlines() or ["no reason"]
        words = ("error:", "undefined reference", "overflowed", "will not fit")
        first = next((line for line in lines if any(word in line for word in words)), lines[-1])
        raise EdgeseaError(
            f"The program for {board.name} does not build; {Path(compiler).name} says: "
            f"{first.strip().removesuffix('.')}."
        )
    return image


@contextlib.contextmanager
def emulator(
    board: boards.Board, arguments: Sequence[str], folder: Path, *, output, descriptors: Sequence[int] = ()
) -> Iterator[subprocess.Popen]:
    """Runs the board's QEMU, see `ALONE` and `programs.started`, in `folder` as long as the block does.

    Parameters
    ----------
    arguments : that follow the board's own
    output : an open file for what QEMU says
    """
    path = tool(board.emulator.program, board.emulator.package)
    call = [path, *(SANDBOX if _has_sandbox(path) else ()), *board.emulator.arguments, *ALONE, *arguments]
    with started(call, folder, output=output, environment=_environment(), descriptors=descriptors) as process:
        _limit(process)
        yield process


def _environment() -> dict[str, str]:
    """The whole environment of QEMU."""
    return {"PATH": os.environ.get("PATH", os.defpath)}


def _limit(process: subprocess.Popen) -> None:
    """Bounds every file that QEMU writes, and lets none of its ends leave a core dump."""
    if not hasattr(resource, "prlimit"):  # Linux
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (MOST_SAID, MOST_SAID))
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))


@functools.cache
def _has_sandbox(path: str) -> bool:
    """Whether this QEMU was built with seccomp."""
    with scratch() as folder:
        status, _ = command([path, *SANDBOX, "-version"], folder, 60, environment=_environment())
    return status == 0


@dataclass(frozen=True)
class Finished:
    """A program that ended well: what it printed, and the files that it wrote, by name."""

    printed: str
    files: dict[str, bytes] = field(default_factory=dict)


def run(
    board: boards.Board,
    image: Path,
    *,
    given: Mapping[str, bytes] | None = None,
    wanted: Mapping[str, int] | None = None,
    limit_s: float = TIME_LIMIT_S,
    most_printed: int = semihosting.MOST_PRINTED,
    measuring: bool = False,
) -> Finished:
    """Runs an image on its emulated board to its end, each instruction in one nanosecond of QEMU's clock.

    Parameters
    ----------
    board : an emulated board
    image : as `build` makes it
    given : name -> content of the files that the program may read
    wanted : name -> size in bytes, at most, of the files that it may write
    limit_s : float > 0, seconds in which it has to end
    most_printed : int, bytes that it may print
    measuring : whether the counter has to be the same to the tick in every run: each read from a file clears
        it then, see `semihosting.Counter`

    Returns
    -------
    Finished

    Raises
    ------
    EdgeseaError : QEMU is missing, or the program ended with an error, took longer, printed or wrote more, or
        asked its host for anything else; it has been stopped then
    """
    host = semihosting.Host(given, wanted, most_printed=most_printed)
    counter = None
    if measuring and board.core.startswith("cortex-m"):  # RISC-V counts instructions themselves
        vectors = next(each for each in board.memory if each.name == "VECTORS")
        counter = semihosting.Counter(vectors.origin + vectors.length // 2)
    ours, theirs = socket.socketpair()
    with scratch() as folder, open(folder / "qemu.txt", "w+b") as output, ours, theirs:
        arguments = (
            *("-icount", "shift=0", "-serial", "none", "-S"),
            *("-semihosting-config", "enable=on,target=gdb,arg=program"),
            *("-chardev", f"socket,id=debugger,fd={theirs.fileno()}", "-gdb", "chardev:debugger"),
            *("-kernel", str(image.resolve())),
        )
        with emulator(board, arguments, folder, output=output, descriptors=[theirs.fileno()]) as process:
            theirs.close()
            end = time.monotonic() + limit_s
            try:
                semihosting.serve(semihosting.Debugger(ours), host, end, counter)
                status = process.wait(max(0.1, end - time.monotonic()))
            except semihosting.Stopped as reason:
                raise EdgeseaError(f"The program on {board.name} {reason}, and was stopped.") from None
            except (semihosting.TookTooLong, subprocess.TimeoutExpired):
                raise EdgeseaError(
                    f"The program on {board.name} was still running after {limit_s:g} seconds "
                    "and was stopped."
                ) from None
        output.seek(0)
        said = output.read(MOST_SAID).decode("utf-8", "replace").splitlines()
    if status != 0:
        words = " ".join([*host.printed.split(), *(line for line in said if WARNING not in line)])
        raise EdgeseaError(
            f"The program on {board.name} ended with status {status}: {words[:1000] or 'no message'}."
        )
    return Finished(host.printed, host.files())
