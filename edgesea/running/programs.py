"""External programs: found before anything is done, called without a shell, stopped as a whole group.

find([("qemu-system-arm", "sudo apt install qemu-system-arm")])
status, text = command(["arm-none-eabi-gcc", "--version"], folder, limit_s=60)
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from edgesea.errors import EdgeseaError

# More than a framework's whole build says; what says more than this never ends.
MOST_BYTES = 64 << 20

APT = "sudo apt install "
PIP = "python3 -m pip install "


def find(programs: Iterable[tuple[str, str]], packages: Iterable[str] = ()) -> list[str]:
    """Finds programs on PATH and Python packages, and names all that are missing at once.

    Parameters
    ----------
    programs : (name, command that installs it) each; a remark in parentheses may follow the command
    packages : names of Python packages that were looked for and are missing

    Returns
    -------
    list of str
        The programs' paths, in the same order.

    Raises
    ------
    EdgeseaError : one or more are missing; the sentence holds the commands that install them
    """
    wanted, packages = dict(programs), list(packages)
    paths = {name: shutil.which(name) for name in wanted}
    missing = [name for name, path in paths.items() if path is None]
    if missing or packages:
        commands = [*(wanted[name] for name in missing), *(PIP + package for package in packages)]
        what = " and ".join(filter(None, (_named("program", missing), _named("Python package", packages))))
        verb = "is" if len(commands) == 1 else "are"
        raise EdgeseaError(f"T{what[1:]} {verb} not installed; run {', '.join(_joined(commands))}.")
    return [path for path in paths.values() if path is not None]


def tool(program: str, package: str) -> str:
    """The path of a program out of a Debian package; where it is missing, EdgeseaError names the command that
    installs it.
    """
    return find([(program, APT + package)])[0]


def _named(kind: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    if len(names) == 1:
        return f"the {kind} {names[0]}"
    return f"the {kind}s {', '.join(names[:-1])} and {names[-1]}"


def _joined(commands: Sequence[str]) -> list[str]:
    """The commands in backticks, those of one installer as one, each with its remark behind it."""
    merged: dict[str, str] = {}
    for each in dict.fromkeys(commands):
        call, _, remark = each.partition(" (")
        installer = next((start for start in (APT, PIP) if call.startswith(start)), None)
        if installer and not remark and "&&" not in call:
            known = merged.setdefault(installer, installer.strip())
            new = [word for word in call.removeprefix(installer).split() if word not in known.split()]
            merged[installer] = " ".join((known, *new))
        else:
            merged[each] = call
    return [f"`{call}`{key[len(call) :] if key.startswith(call) else ''}" for key, call in merged.items()]


@contextlib.contextmanager
def started(
    arguments: Sequence[str | Path],
    folder: Path,
    *,
    output,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> Iterator[subprocess.Popen]:
    """Runs a program in `folder` as long as the block does, in a process group of its own, which is killed as
    a whole with the block.

    Parameters
    ----------
    output : takes standard output and standard error together: an open file or subprocess.PIPE
    environment : the whole of it; None: the caller's
    descriptors : open files that the program inherits
    """
    process = subprocess.Popen(
        [str(argument) for argument in arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=environment,
        pass_fds=descriptors,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def command(
    arguments: Sequence[str | Path],
    folder: Path,
    limit_s: float,
    *,
    most_bytes: int = MOST_BYTES,
    environment: Mapping[str, str] | None = None,
) -> tuple[int, str]:
    """Runs a program to its end, see `started`.

    Parameters
    ----------
    limit_s : float > 0, seconds after which it is stopped
    most_bytes : int > 0, that it may print

    Returns
    -------
    tuple of int, str
        Its exit code, and what it wrote to standard output and standard error together.

    Raises
    ------
    EdgeseaError : it ran for longer or printed more
    """
    name = Path(arguments[0]).name
    end = time.monotonic() + limit_s
    said = bytearray()
    with started(arguments, folder, output=subprocess.PIPE, environment=environment) as process:
        pipe = process.stdout.fileno()
        while len(said) <= most_bytes:
            if not select.select([pipe], [], [], max(0.0, end - time.monotonic()))[0]:
                raise _too_slow(name, limit_s)
            part = os.read(pipe, 1 << 16)
            if not part:
                break
            said += part
        else:
            raise EdgeseaError(f"{name} printed more than {most_bytes:,} bytes and was stopped.")
        try:
            status = process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise _too_slow(name, limit_s) from None
    return status, said.decode("utf-8", "replace")


def _too_slow(name: str, limit_s: float) -> EdgeseaError:
    return EdgeseaError(f"{name} was still running after {limit_s:g} seconds and was stopped.")
