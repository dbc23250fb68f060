"""Text that a terminal may print: no control characters, and none that turn the direction of writing."""

import re

# Line ends and tabs are text.
_ODD = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")


def control(text: str) -> str | None:
    """The first control character in `text`, as Python writes it; None where there is none."""
    found = _ODD.search(text)
    return ascii(found[0]) if found else None


def without_control(text: str) -> str:
    """`text` with a space in the place of each control character, and of each half of a surrogate pair."""
    return _ODD.sub(" ", text.encode("utf-8", "replace").decode("utf-8"))
