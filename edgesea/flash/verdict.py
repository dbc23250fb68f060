"""The golden test's verdict: the firmware's own word on whether it computes what the bundle says."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable

from edgesea.devices.serial import Link, Verdict
from edgesea.errors import EdgeseaError

POLL_S = 0.1


class Gone(EdgeseaError):
    """The board will not come back."""


def missing() -> list[str]:
    """The Python packages that a real board's serial port takes and that are not installed."""
    return [] if importlib.util.find_spec("serial") else ["pyserial"]


def read(
    port: Callable[[], str],
    sha256: str,
    *,
    limit_s: float,
    say: Callable[[str], None] = lambda _: None,
    connect: Callable[..., Link] | None = None,
) -> Verdict:
    """Asks the firmware until it answers: a board that was just written restarts, and its port may go and
    come back under another name.

    Parameters
    ----------
    port : says which serial port to open; raises EdgeseaError where it is not there yet, `Gone` where it will
        never be
    sha256 : of the model that the firmware has to be of
    limit_s : seconds in which it has to answer; the test of its vectors comes on top
    connect : opens the link; called as Link.open is, which is the default

    Returns
    -------
    Verdict

    Raises
    ------
    EdgeseaError : it does not answer, for the last reason, or answers for another model
    """
    connect = connect or Link.open
    say("reading the golden test's verdict")
    end = time.monotonic() + limit_s
    while True:
        try:
            name = port()
            with connect(name, limit_s=max(end - time.monotonic(), POLL_S)) as link:
                found = link.hello().sha256
                if found == sha256:
                    return link.golden()
            raise EdgeseaError(f"The board at {name} runs another model, {found[:12]}…, not {sha256[:12]}….")
        except Gone:
            raise
        except (EdgeseaError, OSError) as error:
            if time.monotonic() >= end:
                raise EdgeseaError(
                    f"The firmware is written, but gave no verdict within {limit_s:g} seconds: "
                    f"{str(error).removesuffix('.')}."
                ) from error
        time.sleep(POLL_S)
