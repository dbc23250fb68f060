"""A Pi for deploys: a real sshd on the loopback, and a systemd that only starts and ends processes."""

import contextlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import banded

sys.path.append(str(Path(__file__).resolve().parents[1] / "bench"))

import arm64
from sshd import Far

SYSTEMCTL = r"""#!{python}
import os, re, signal, subprocess, sys
home = os.environ["HOME"]
words = [each for each in sys.argv[1:] if not each.startswith("--")]
pidfile = os.path.join(home, "pid")
def pid():
    try:
        return int(open(pidfile).read())
    except (OSError, ValueError):
        return None
def alive():
    try:
        return pid() and open("/proc/{{}}/stat".format(pid())).read().split()[2] != "Z"
    except OSError:
        return False
if words[0] == "restart" or words[0] == "disable":
    if alive():
        os.killpg(pid(), signal.SIGKILL)
unit_name = words[-1]
if words[0] == "restart":
    if os.path.exists(os.path.join(home, "no-systemd")):
        sys.exit("Failed to connect to bus")
    unit = open(os.path.join(home, ".config/systemd/user", words[1])).read()
    line = re.search(r"^ExecStart=(.*)$", unit, re.M).group(1)
    words = re.findall(r'"((?:[^"\\]|\\.)*)"', line)
    command = [each.replace("%%", "%").replace("$$", "$") for each in words]
    out = open(os.path.join(home, "journal"), "ab")
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=nothing, stdout=out, stderr=out, start_new_session=True)
    open(pidfile, "w").write(str(process.pid))
if words[0] == "is-failed":
    print("active" if alive() else "failed")
    sys.exit(alive())
"""
JOURNALCTL = '#!/bin/sh\ntail -n 1 "$HOME/journal"\n'


class Deployed:
    """What deploys find on a machine of `sshd.py`: the home is left to the test, which looks into it."""

    def __init__(self, folder: Path, *more, python: str = sys.executable):
        super().__init__(folder, *more)
        self.tools = folder / "tools"
        self.tools.mkdir()
        for name, text in (
            ("systemctl", SYSTEMCTL.format(python=python)),
            ("journalctl", JOURNALCTL),
            ("loginctl", "#!/bin/sh\nexit 0\n"),
        ):
            (self.tools / name).write_text(text)
            (self.tools / name).chmod(0o755)
        self.base = self.home / ".local" / "share" / "edgesea" / "bands"
        self.fifo = folder / "microphone"
        os.mkfifo(self.fifo)
        self._ended = threading.Event()
        self._player = threading.Thread(target=self._play, daemon=True)
        self._player.start()

    def environment(self) -> dict:
        given = super().environment()
        return {**given, "PATH": f"{self.tools}:{given['PATH']}"}

    def _play(self):
        """A microphone that is always there, five times as fast as time."""
        pcm = banded.sound(20).astype("<i2").tobytes()
        while not self._ended.is_set():
            with contextlib.suppress(OSError):
                handle = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
                os.set_blocking(handle, True)
                with open(handle, "wb", buffering=0) as file:
                    for start in range(0, len(pcm), 3200):
                        if self._ended.is_set():
                            return
                        file.write(pcm[start : start + 3200])
                        time.sleep(0.04)
            time.sleep(0.05)

    def live(self) -> str | None:
        """The version that is live."""
        link = self.base / "current"
        return os.path.basename(os.readlink(link)) if link.is_symlink() else None

    def pid(self) -> int | None:
        """The process of the service, where it runs."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.home / "pid").read_text())
            if Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
                return pid
        return None

    def versions(self) -> list[str]:
        """What lies among the versions, whole or not."""
        return sorted(each.name for each in (self.base / "versions").glob("*"))

    def close(self):
        self._ended.set()
        if pid := self.pid():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self.stop()


class Pi(Deployed, Far):
    """This machine."""


class Arm64(Deployed, arm64.Pi):
    """Debian for 64-bit ARM, emulated; its processes have numbers of their own."""
