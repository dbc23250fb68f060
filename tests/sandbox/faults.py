"""Functions that misbehave, for the process of a sandbox."""

import os
import time

import numpy as np

from edgesea.errors import UsageError


def nothing() -> str:
    return "held"


def add(held, a, b=0):
    return a + b


def same(held, value):
    return value


def crash(held, number):
    os.kill(os.getpid(), number)


def leave(held):
    os._exit(3)


def spin(held):
    while True:
        pass


def sleep(held, seconds):
    time.sleep(seconds)


def fill(held):
    return len([np.ones(1 << 20) for _ in range(1 << 14)])


def flood(held):
    for _ in range(64):
        os.write(2, b"x" * (1 << 20))


def refuse(held):
    raise UsageError("The shape is wrong: give another.")


def fail(held):
    raise KeyError("a\nb")


def lie(held):
    """What a process whose memory is no longer its own might send."""
    import gc
    import socket

    end = next(each for each in gc.get_objects() if isinstance(each, socket.socket) and each.fileno() >= 0)
    end.sendall(b"\xff" * 4096)
    time.sleep(30)
