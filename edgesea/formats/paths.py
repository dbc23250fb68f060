"""Paths that a stranger's file may name: inside its own folder, and through no link.

`fault` says of a path as text why it may not be used, `inside` makes a `Path` of it and looks
at what is there.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

LONGEST_PART = 200


def fault(text: str) -> str | None:
    """Why `text` is no path inside a folder; None where it is one. Parts are joined by / in all systems."""
    parts = text.split("/")
    if "\0" in text or "\\" in text or not text.isprintable():
        return "a path inside the folder is wanted, without control characters and backslashes"
    if PurePosixPath(text).is_absolute() or any(part in ("", ".", "..") for part in parts):
        return "a path inside the folder is wanted"
    if any(len(part.encode()) > LONGEST_PART for part in parts):
        return f"names of {LONGEST_PART} bytes at most are allowed"
    return None


def inside(folder: Path, text: str) -> Path:
    """`folder` / `text`; ValueError, with the reason, where it would lead outside or through a link.

    `folder` itself may be a link, since the user named it.
    """
    if reason := fault(text):
        raise ValueError(f"{text!r} is not a path inside the folder: {reason}")
    place = folder
    for part in text.split("/"):
        place = place / part
        if place.is_symlink():
            raise ValueError(f"{place} is a link")
    return place
