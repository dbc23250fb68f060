"""Files that appear whole or not at all.

Every writer goes to a temporary name in the same folder, is flushed to disk, and is then renamed over the
target, so that a process killed at any moment leaves either the old file or the new one. It may also leave
its temporary file: the next write of the same target removes it. Where the disk is full, or the memory, that
is said of the file that was being written.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import math
import os
import re
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from edgesea.errors import EdgeseaError

# Bytes that the arrays of an .npz may take in memory where the file itself is smaller: what is compressed may
# claim any size.
LARGEST_ARRAYS = 1 << 30
_MOST_ARRAYS = 10_000
_FULL = {
    errno.ENOSPC: "the disk is full: free some space",
    errno.EDQUOT: "your share of the disk is used up: free some space",
    errno.EFBIG: "files may not become that large here: lift the limit (`ulimit -f`) or take another disk",
}

# What mkstemp makes of a name: eight letters, digits or underscores between prefix and suffix.
_TEMPORARY = re.compile(r"\..+-[a-z0-9_]{8}(\.[^.]+)?")


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
        raise EdgeseaError(
            f"Ran out of memory while {path} was made: end other programs, or use less at a time, and run "
            "again."
        ) from error
    except Exception as error:
        if full := _why_full(error):
            raise EdgeseaError(f"Cannot write {path}, {full}, and run again.") from error
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


def free(folder: Path | str) -> bool:
    """True where `folder` is not there, or is a folder with nothing in it but what killed writes left."""
    folder = Path(folder)
    if not folder.is_dir():
        return not folder.exists()
    return all(_TEMPORARY.fullmatch(each.name) for each in folder.iterdir())


def _remove_leftovers(path: Path) -> None:
    """Removes the temporary files of `path` that no process writes any more."""
    for other in path.parent.iterdir():
        if (
            other.name.startswith(f".{path.stem}-")
            and other.suffix == path.suffix
            and len(other.name) == len(f".{path.name}-") + 8
            and _TEMPORARY.fullmatch(other.name)
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
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path | str, value) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=False, allow_nan=False) + "\n")


def read_arrays(path: Path | str, most_bytes: int = LARGEST_ARRAYS) -> dict:
    """name -> array, of an .npz file; nothing is unpickled.

    most_bytes : what all arrays together may take in memory, where the file is not larger itself

    Raises `OSError`, or `ValueError` for damage and for more than that; before memory is taken.
    """
    import numpy as np

    most = max(most_bytes, 2 * os.path.getsize(path))
    try:
        with zipfile.ZipFile(path) as archive:
            _check_arrays(archive, most)
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except MemoryError as error:
        raise ValueError("its arrays do not fit into memory") from error
    except (
        *(EOFError, KeyError, TypeError, AttributeError, NotImplementedError, RuntimeError, OverflowError),
        *(SyntaxError, RecursionError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
    ) as error:
        raise ValueError(f"not a whole .npz file: {error}") from error


def _check_arrays(archive: zipfile.ZipFile, most_bytes: int) -> None:
    """Compares what the archive and each array's header claim with what may be and what is there."""
    from numpy.lib import format as npy

    members = archive.infolist()
    if len(members) > _MOST_ARRAYS:
        raise ValueError(f"it holds {len(members)} arrays, and at most {_MOST_ARRAYS} are read")
    claimed = sum(member.file_size for member in members)
    if claimed > most_bytes:
        raise ValueError(f"it claims {claimed} bytes of arrays, and at most {most_bytes} are read")
    for member in members:
        with archive.open(member) as file:
            version = npy.read_magic(file)
            header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, _, dtype = header(file)
            # In Python's own integers, which do not wrap around.
            size = dtype.itemsize * math.prod(int(side) for side in shape)
            if min(shape, default=0) < 0 or size != member.file_size - file.tell():
                raise ValueError(f"its array {member.filename!r} says that it has another size than is there")


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
