"""Files that appear whole or not at all, and what is read back from them.

How a file is written whole is in `firmware_export.files`, which writes the C.
"""

import hashlib
import json
import zipfile
import zlib
from pathlib import Path

from firmware_export.files import TEMPORARY, replacing, write_bytes, write_text

__all__ = ["free", "read_arrays", "replacing", "sha256", "write_bytes", "write_json", "write_text"]


def free(folder: Path | str) -> bool:
    """True where `folder` is not there, or is a folder with nothing in it but what killed writes left."""
    folder = Path(folder)
    if not folder.is_dir():
        return not folder.exists()
    return all(TEMPORARY.fullmatch(each.name) for each in folder.iterdir())


def write_json(path: Path | str, value) -> None:
    write_text(path, json.dumps(value, indent=2, sort_keys=False, allow_nan=False) + "\n")


def read_arrays(path: Path | str) -> dict:
    """name -> array, of an .npz file; nothing is unpickled. Raises `OSError`, or `ValueError` for damage."""
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (EOFError, KeyError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"not a whole .npz file: {error}") from error


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
