"""Two functions of float32, as the C library of this machine rounds them.

TensorFlow Lite computes the tables of GELU with them when a model is loaded. C libraries that round them to
the nearest (glibc from 2.41 on) and those that do not differ in the last bit, and a table then by one step
here and there: the C model has what TensorFlow Lite has on the machine where it is exported.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import math
from collections.abc import Callable

import numpy as np


def erfc(x: np.float32) -> np.float32:
    return _function("erfcf", math.erfc)(x)


def tanh(x: np.float32) -> np.float32:
    return _function("tanhf", math.tanh)(x)


@functools.cache
def _function(name: str, exact: Callable[[float], float]) -> Callable[[np.float32], np.float32]:
    """The C library's, or the nearest float32 where there is none to ask."""
    try:
        found = getattr(ctypes.CDLL(ctypes.util.find_library("m")), name)
    except (OSError, AttributeError, TypeError):
        return lambda x: np.float32(exact(float(x)))
    found.restype, found.argtypes = ctypes.c_float, [ctypes.c_float]
    return lambda x: np.float32(found(float(x)))
