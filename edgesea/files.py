"""Files that appear whole or not at all, and what is read back from them.

How a file is written whole is in `firmware_export.files`, which writes the C.
"""

import hashlib
import json
import math
import os
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

from edgesea.errors import UsageError
from firmware_export.files import TEMPORARY, replacing, write_bytes, write_text

__all__ = [
    "expanded",
    "free",
    "read_arrays",
    "replacing",
    "sha256",
    "write_bytes",
    "write_json",
    "write_text",
]

# Bytes that the arrays of an .npz may take in memory where the file itself is smaller: what is compressed may
# claim any size.
LARGEST_ARRAYS = 1 << 30
_MOST_ARRAYS = 10_000


def expanded(path: Path | str) -> Path:
    """A path as users type it, with the home folder for `~`.

    Raises
    ------
    UsageError : `~name` of a user that there is not
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"There is no home folder for {path}: give the whole path.") from None


def free(folder: Path | str) -> bool:
    """True where `folder` is not there, or is a folder with nothing in it but what killed writes left."""
    folder = Path(folder)
    if not folder.is_dir():
        return not folder.exists()
    return all(TEMPORARY.fullmatch(each.name) for each in folder.iterdir())


def write_json(path: Path | str, value: Any) -> None:
    """Writes a value as JSON, whole or not at all; NaN and infinity are refused."""
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
