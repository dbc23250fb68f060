"""Samplers: which frames of the domain fit the reducer.

A sampler is a function (store, rows, n, seed) -> some of `rows`, ascending, without repetition, n of them
at most; `rows` (m,) int64 are the frames of the store to choose from. The SEA paper (section 3.2) fits its
reducer on a subset that is chosen this way.
"""

from collections.abc import Callable

import numpy as np

from edgesea.errors import UsageError
from edgesea.store import Store

Sampler = Callable[[Store, np.ndarray, int, int], np.ndarray]


def random(store: Store, rows: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Every subset of n frames is equally likely."""
    return np.sort(np.random.default_rng(seed).choice(rows, min(n, len(rows)), replace=False))


SAMPLERS: dict[str, Sampler] = {"random": random}


def sampler(name: str) -> Sampler:
    """The sampler of that name. Raises `UsageError` for an unknown one."""
    try:
        return SAMPLERS[name]
    except KeyError:
        raise UsageError(f"Unknown sampler {name!r}: choose one of {', '.join(SAMPLERS)}.") from None
