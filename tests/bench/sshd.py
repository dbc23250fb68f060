"""A Raspberry Pi for tests: a real sshd on the loopback, with keys, a port, a home and a temporary folder of
its own, run by the current user. Home and temporary folder must be empty after every test.
"""

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

# Where a python3 lies that is no virtual environment's: a Pi's own.
SYSTEM_PATH = f"{Path(sys.executable).resolve().parent}:/usr/bin:/bin"

# No test waits so long unless it fails: a loaded machine is slow, not wrong.
PATIENCE_S = 120


class Far:
    """A machine that is this one, behind a real sshd; `pi` is its name in the ssh configuration."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.home, self.temporary, self.bin = (folder / name for name in ("home", "temporary", "bin"))
        for each in (self.home, self.temporary, self.bin):
            each.mkdir()
        for name in ("host", "user", "other"):
            self.key(name)
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        # Bound as long as the machine is there, so that nobody else takes the port before sshd does: Linux
        # lets two sockets with SO_REUSEADDR share one while at most one listens.
        self.reserved = socket.socket()
        self.reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.reserved.bind(("127.0.0.1", 0))
        self.port = self.reserved.getsockname()[1]
        self.know("host")
        (folder / "config").write_text(
            f"Host pi\n HostName 127.0.0.1\n Port {self.port}\n IdentityFile {folder}/user\n"
            f" IdentitiesOnly yes\n UserKnownHostsFile {folder}/known\n GlobalKnownHostsFile none\n"
        )
        # Nothing but -F makes ssh read another configuration than the user's own.
        (self.bin / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
        (self.bin / "ssh").chmod(0o755)
        self.server = None

    def key(self, name: str) -> None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name]
        subprocess.run(command, check=True)

    def know(self, name: str | None) -> None:
        """Makes ssh know the host by the key of this name, or not at all."""
        public = (self.folder / f"{name}.pub").read_text().split()[:2] if name else []
        line = f"[127.0.0.1]:{self.port} {' '.join(public)}\n" if name else ""
        (self.folder / "known").write_text(line)

    def environment(self) -> dict:
        """Of the sessions."""
        return {"HOME": self.home, "TMPDIR": self.temporary, "PATH": SYSTEM_PATH}

    def command(self) -> list:
        """What starts sshd."""
        return [SSHD, "-D", "-e", "-f", self.folder / "sshd_config"]

    def start(self, *lines: str, environment=(), file_bytes: int | None = None) -> None:
        """Starts sshd; `file_bytes` is the largest file that its sessions may write."""
        given = {**self.environment(), **dict(environment)}
        settings = (
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {self.folder}/host",
            f"AuthorizedKeysFile {self.folder}/authorized",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "PermitRootLogin yes",
            "PidFile none",
            "SetEnv " + " ".join(f'"{name}={value}"' for name, value in given.items()),
            *lines,
        )
        (self.folder / "sshd_config").write_text("\n".join(settings) + "\n")
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        limits = (file_bytes, file_bytes) if file_bytes else None
        with open(self.folder / "log", "wb") as log:
            self.server = subprocess.Popen(
                self.command(),
                stderr=log,
                preexec_fn=lambda: limits and resource.setrlimit(resource.RLIMIT_FSIZE, limits),
            )
        until(lambda: self.listening() or self.server.poll() is not None)
        assert self.listening(), "sshd did not start: " + (self.folder / "log").read_text()

    def listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """Ends sshd and its sessions."""
        if self.server:
            self.cut(signal.SIGKILL)
            self.server.kill()
            self.server.wait()
            self.server = None
        self.reserved.close()

    def left(self) -> list[str]:
        """What lies in the temporary folder and in the home."""
        return [
            os.path.join(place, name)
            for top in (self.temporary, self.home)
            for place, folders, files in os.walk(top)
            for name in (*folders, *files)
        ]

    def empty(self) -> bool:
        """Whether everything is gone, now or soon."""
        return until(lambda: not self.left())

    def working(self) -> bool:
        """Waits until the model is over there and something runs."""
        return until(lambda: any(programs(folder) for folder in self.temporary.glob("edgesea-*")))

    def sessions(self) -> list[int]:
        """The sshd processes below the listening one."""
        found, wanted = [], {self.server.pid}
        while wanted:
            below = [(pid, name) for pid, parent, name in processes() if parent in wanted]
            wanted = {pid for pid, name in below if name.startswith("sshd")}
            found += wanted
        return found

    def cut(self, how: int) -> None:
        """Sends every session the signal; those of connections that are just ending may be gone by then."""
        for session in self.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(session, how)


@contextlib.contextmanager
def reached(machine: Far):
    """Makes ssh find the machine; in the end it is stopped, and nothing may be left there."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{machine.bin}:{before}"
    try:
        yield machine
    finally:
        os.environ["PATH"] = before
        machine.stop()
    assert machine.empty(), machine.left()


def until(condition, seconds: float = PATIENCE_S) -> bool:
    """Whether the condition holds now or within so many seconds."""
    end = time.monotonic() + seconds
    while not (held := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return bool(held)


def processes():
    """Yields (pid, parent's pid, name) of every process."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text()
        except OSError:
            continue
        name = text[text.index("(") + 1 : text.rindex(")")]
        yield int(path.parent.name), int(text[text.rindex(")") :].split()[2]), name


def programs(folder: Path) -> list[int]:
    """The processes that measure in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if os.fsencode(folder / "agent.py") in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found
