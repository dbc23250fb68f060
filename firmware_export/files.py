"""Files that appear whole or not at all.

Every writer goes to a temporary name in the same folder, is flushed to disk, and is then renamed over the
target, so that a process killed at any moment leaves either the old file or the new one. It may also leave
its temporary file: the next write of the same target removes it. Where the disk is full, or the memory, that
is said of the file that was being written.
"""

import contextlib
import errno
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from firmware_export.errors import UserError

_FULL = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "your share of the disk is used up: free some space",
    errno.EFBIG: "files may not become that large here: lift the limit (`ulimit -f`) or take another disk",
}

# What mkstemp makes of a name: eight letters, digits or underscores between prefix and suffix.
TEMPORARY = re.compile(r"\..+-[a-z0-9_]{8}(\.[^.]+)?")


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yields a temporary path; when the block ends without an error it becomes `path`, durably.

    The temporary name keeps the suffix of `path`, because some writers choose their format by it.
    """
    path = Path(path)
    try:
        with _replacing(path) as temporary:
            yield temporary
    except MemoryError as error:
        raise UserError(
            f"Ran out of memory while {path} was made: end other programs, or use less at a time, and run "
            "again."
        ) from error
    except Exception as error:
        if full := _why_full(error):
            raise UserError(f"Cannot write {path}, {full}, and run again.") from error
        raise


def _why_full(error: BaseException | None) -> str | None:
    """Why there was no room for what was written, where that is what an error says.

    HDF5 and others raise errors of their own, with the system's words in them or behind them.
    """
    for _ in range(5):
        if error is None:
            return None
        number = getattr(error, "errno", None)
        if number in _FULL:
            return _FULL[number]
        text = str(error)
        for number, words in _FULL.items():
            if os.strerror(number) in text:
                return words
        error = error.__cause__ or error.__context__
    return None


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    temporary = Path(name)
    try:
        # Held until the file is in its place: what another process writes is no leftover.
        fcntl.flock(handle, fcntl.LOCK_EX)
        _remove_leftovers(path)
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes files private; a result is as readable as any file its owner makes.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _remove_leftovers(path: Path) -> None:
    """Removes the temporary files of `path` that no process writes any more."""
    for other in path.parent.iterdir():
        if (
            other.name.startswith(f".{path.stem}-")
            and other.suffix == path.suffix
            and len(other.name) == len(f".{path.name}-") + 8
            and TEMPORARY.fullmatch(other.name)
        ):
            with contextlib.suppress(OSError), open(other, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                other.unlink()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Write a file as UTF-8, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))
