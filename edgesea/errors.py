"""The two ways in which edgesea says no.

Both carry one sentence that names the file or option and says what to do. The command line prints that
sentence and exits with the class's ``exit_code``; ``--debug`` shows the traceback too.
"""


class EdgeseaError(Exception):
    """The work failed, for a reason that the user can act on."""

    exit_code = 1


class UsageError(EdgeseaError):
    """The call was wrong: an option, a path or a combination that cannot work."""

    exit_code = 2
