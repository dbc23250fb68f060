"""What every fuzzing target holds its subject to, for one input: time, memory, and where it writes.

with fuzzing.held(folder):
    subject(mutant)
"""

import contextlib
import os
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

CPU_S = 5.0
MEMORY_BYTES = 1 << 30

# Python's own events for what changes a file system -> which arguments are paths, and descriptors of the
# folders that these are relative to, -1 for none.
_CHANGES = {
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.link": ((0, 2), (1, 3)),
    "os.mkdir": ((0, 2),),
    "os.remove": ((0, 1),),
    "os.rename": ((0, 2), (1, 3)),
    "os.rmdir": ((0, 1),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.utime": ((0, 3),),
    "shutil.rmtree": ((0, 1),),
}
_scratch: Path | None = None
_outside: list[str] = []


def _watch(event: str, arguments: tuple) -> None:
    if _scratch is None:
        return
    if event == "open":
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        paths = [(path, None)] if writes else []
    else:
        paths = [
            (arguments[path], arguments[folder] if folder is not None and folder < len(arguments) else None)
            for path, folder in _CHANGES.get(event, ())
        ]
    for path, folder in paths:
        # Descriptors are of files that were opened by a path; what Python compiles goes beside its modules.
        if isinstance(path, str | bytes | os.PathLike):
            place = os.path.abspath(os.path.join(_folder(folder), os.fsdecode(path)))
            if "__pycache__" not in place and place != os.devnull and not _inside(place):
                _outside.append(f"{event} {place}")


def _folder(descriptor: int | None) -> str:
    """The folder that a descriptor is of; the current one without."""
    if descriptor is None or descriptor < 0:
        return ""
    return os.readlink(f"/proc/self/fd/{descriptor}")


def _inside(place: str) -> bool:
    return place == str(_scratch) or place.startswith(f"{_scratch}{os.sep}")


sys.addaudithook(_watch)


@contextlib.contextmanager
def held(scratch: Path, *, cpu_s: float = CPU_S, memory_bytes: int = MEMORY_BYTES) -> Iterator[None]:
    """Raises AssertionError where the block takes more processor time, with its children, or more memory than
    it may, or opens for writing, moves or removes what is outside `scratch`."""
    global _scratch
    began, memory = _cpu_s(), _memory(reset=True)
    _outside.clear()
    _scratch = Path(os.path.abspath(scratch))
    try:
        yield
    finally:
        _scratch = None
    took, more = _cpu_s() - began, _memory() - memory
    assert not _outside, f"writes outside of its folder: {_outside}"
    assert took < cpu_s, f"takes {took:.1f} s of processor time"
    assert more < memory_bytes, f"takes {more >> 20} MB of memory"


def is_a_sentence(error: Exception, *parts: str) -> None:
    """Holds an error to the style of all: one printable sentence, not too long, with these parts in it."""
    text = str(error)
    assert text.isprintable(), repr(text)
    assert text.endswith((".", "?")), text
    assert len(text) < 2000, text
    for part in parts:
        assert part in text


def is_printable(text: str) -> None:
    assert text.isprintable(), repr(text)


def _cpu_s() -> float:
    """Of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _memory(*, reset: bool = False) -> int:
    """Bytes: the most that this process held since the last reset, and its largest child ever.

    Linux lets a process reset its own high-water mark; elsewhere it only rises, and less is seen.
    """
    try:
        if reset:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text()
        own = int(status.split("VmHWM:")[1].split()[0]) << 10
    except OSError:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    # Their sum: growth of one shows, however large the other was before.
    return own + (resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10)
