"""The two ways in which edgesea says no, beside those of the C compiler: all are `UserError`.

Each carries one sentence that names the file or option and says what to do. The command line prints that
sentence and exits with the class's ``exit_code``; ``--debug`` shows the traceback too.
"""

from firmware_export.errors import UserError

__all__ = ["EdgeseaError", "UsageError", "UserError", "received"]


# Characters of a received value in an error.
_SHOWN = 200


class EdgeseaError(UserError):
    """The work failed, for a reason that the user can act on."""


class UsageError(EdgeseaError):
    """The call was wrong: an option, a path or a combination that cannot work."""

    exit_code = 2


def received(value: object) -> str:
    """A received value as Python writes it, printable and short enough for an error."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
