"""The pseudo-terminal of an emulated board as `Link` wants a port: no pyserial, which a real port takes."""

from __future__ import annotations

import os
import select
import time
import tty

READ_LIMIT_S = 0.02
WRITE_LIMIT_S = 1.0


class Terminal:
    """An open terminal; reads what has arrived and waits no longer than READ_LIMIT_S for it."""

    # So many bytes may be asked for at once; how many have arrived is told by `read`.
    in_waiting = 4096

    def __init__(self, name: str):
        """Raises OSError where there is no such terminal."""
        self._file = os.open(name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._file)

    def read(self, count: int) -> bytes:
        """At most `count` bytes; none where nothing came in `READ_LIMIT_S`."""
        if not select.select([self._file], [], [], READ_LIMIT_S)[0]:
            return b""
        return os.read(self._file, count)

    def write(self, content: bytes) -> int:
        """Sends what the terminal takes within WRITE_LIMIT_S; returns how many bytes that was. Where nobody
        takes more nobody answers either, which `Link` tells.
        """
        end = time.monotonic() + WRITE_LIMIT_S
        sent = 0
        while sent < len(content):
            if not select.select([], [self._file], [], max(0.0, end - time.monotonic()))[1]:
                break
            sent += os.write(self._file, content[sent:])
        return sent

    def close(self) -> None:
        """Gives the port back."""
        os.close(self._file)
