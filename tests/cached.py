"""What takes long to make and is made once: it lies in the user's cache under a name that says what it is."""

import contextlib
import fcntl
import hashlib
import inspect
import os
import shutil
from collections.abc import Callable
from pathlib import Path


class Missing(Exception):
    """It cannot be made on this machine; the text says why."""


def cached(name: str, recipe: object, make: Callable[[Path, int], None]) -> Path:
    """The folder that `make(folder, lock)` filled, now or at an earlier time; whole or not at all.

    recipe : what it depends on, beside the text of `make`; where either is another, it is made anew
    make : is given an empty folder and the number of a file that it hands on to the programs that it starts
        (`pass_fds`): where this process is killed, others wait until those have ended too
    """
    place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgesea"
    place.mkdir(parents=True, exist_ok=True)
    key = hashlib.sha256(repr((recipe, inspect.getsource(make))).encode()).hexdigest()
    whole = place / f"{name}-{key[:12]}"
    lock = os.open(place / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    with contextlib.closing(os.fdopen(lock, "rb")):
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.is_dir():
            part = place / f"{whole.name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            try:
                make(part, lock)
                part.rename(whole)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return whole
