"""Debian 12 for 64-bit ARM, which is the userland of Raspberry Pi OS, behind an sshd of its own.

QEMU translates its programs one by one (`qemu-user-static`, which the kernel calls through binfmt_misc), so
its timings are emulated and its kernel is this machine's. All else is a Pi's: Debian's arm64 packages, its
Python, pip that takes aarch64 wheels, and the runtimes' ARM kernels.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cached import Missing, cached
from runtimes import REQUIREMENTS
from sshd import Far

RELEASE = "bookworm"
PACKAGES = ("openssh-server", "python3", "python3-venv")

# What Debian 12's pip takes there (glibc 2.36).
TAGS = [f"manylinux_2_{minor}_aarch64" for minor in range(36, 16, -1)] + ["manylinux2014_aarch64"]

# A Pi 4's. Left to itself QEMU 7.2 offers all that it knows, SME included, with which XNNPACK's int8 kernels
# come to wrong results there; and XNNPACK does not start where /proc/cpuinfo tells of a PC.
CPU = "cortex-a72"
CPU_INFO = "".join(
    f"processor\t: {number}\n"
    "BogoMIPS\t: 108.00\n"
    "Features\t: fp asimd evtstrm crc32 cpuid\n"
    "CPU implementer\t: 0x41\n"
    "CPU architecture: 8\n"
    "CPU variant\t: 0x0\n"
    "CPU part\t: 0xd08\n"
    "CPU revision\t: 3\n\n"
    for number in range(os.cpu_count() or 1)
)

# Mounts and processes of their own, which end with the one that `unshare` waits for. What is written there
# goes into memory, and only the folder of the test is this machine's.
ISOLATED = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
ENTER = """
set -e
root=$1 folder=$2
shift 2
mount -t tmpfs tmpfs "$folder/system"
cd "$folder/system"
mkdir upper work root
mount -t overlay -o "lowerdir=$root,upperdir=upper,workdir=work" overlay root
cd root
mkdir -p run/sshd ".$folder"
mount --bind "$folder" ".$folder"
mount --rbind /dev dev
mount --rbind /sys sys
mount -t proc proc proc
mount --bind "$folder/cpuinfo" proc/cpuinfo
exec chroot . "$@"
"""


def userland() -> Path:
    """Its root folder, which holds /wheels; made within minutes, once. Missing where it cannot be made."""
    if os.geteuid() != 0:
        raise Missing("only root may make and enter an arm64 system")
    for program in ("debootstrap", "qemu-aarch64-static", "unshare"):
        if not shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            raise Missing(f"{program} is missing: install debootstrap, qemu-user-static and binfmt-support")
    _translated()
    return cached(f"arm64-{RELEASE}", (RELEASE, PACKAGES, REQUIREMENTS, TAGS), _make) / "root"


def _translated() -> None:
    """Missing where the kernel does not know what to run arm64 programs with."""
    entry = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
    if not entry.exists() and shutil.which("update-binfmts"):
        subprocess.run(["update-binfmts", "--enable", "qemu-aarch64"], capture_output=True)
    # F: the emulator is found from within another root too.
    if not entry.exists() or "F" not in entry.read_text().partition("flags:")[2].splitlines()[0]:
        raise Missing("the kernel does not run arm64 programs: install qemu-user-static and binfmt-support")


def wheels(runtime: str) -> str:
    """The folder within that stands for a package index which has this runtime and no other."""
    return "/wheels/" + runtime.partition(" ")[0]


def _make(folder: Path, lock: int) -> None:
    options = ["--arch=arm64", "--variant=minbase", "--include=" + ",".join(PACKAGES)]
    command = [*ISOLATED, "debootstrap", *options, RELEASE, folder / "root", _mirror()]
    _run(command, lock)
    for runtime, wanted in REQUIREMENTS.items():
        tags = [part for tag in TAGS for part in ("--platform", tag)]
        options = ["--quiet", "--only-binary=:all:", "--python-version=3.11", *tags]
        options += ["--dest", f"{folder}/root{wheels(runtime)}"]
        _run([sys.executable, "-m", "pip", "download", *options, *wanted], lock)


def _mirror() -> str:
    """The Debian mirror that this machine's apt uses."""
    form = "$(LABEL) $(REPO_URI)"
    command = ["apt-get", "indextargets", "--format", form, "Created-By: Packages"]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    for line in lines:
        label, _, place = line.rpartition(" ")
        if label == "Debian":
            return place
    raise Missing("apt here knows no Debian mirror: run apt-get update on a Debian system")


def _run(command: list, lock: int) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=1800,
            pass_fds=(lock,),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"the arm64 system cannot be made: {error}") from None
    if done.returncode:
        said = done.stdout.decode("utf-8", "replace").strip().splitlines() or ["no reason given"]
        raise Missing(f"the arm64 system cannot be made: {said[-1]}")


class Pi(Far):
    """That system behind its own sshd. The folder of the test has the same path inside."""

    def __init__(self, folder: Path, root: Path):
        super().__init__(folder)
        self.root = root
        (folder / "cpuinfo").write_text(CPU_INFO)
        (folder / "system").mkdir()

    def environment(self) -> dict:
        return {**super().environment(), "PATH": "/usr/bin:/bin", "QEMU_CPU": CPU}

    def command(self) -> list:
        sshd = ["/usr/sbin/sshd", "-D", "-e", "-f", self.folder / "sshd_config"]
        return [*ISOLATED, "sh", "-c", ENTER, "sh", self.root, self.folder, *sshd]
