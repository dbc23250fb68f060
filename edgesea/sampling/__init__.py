"""Samplers: which frames of the domain fit the reducer.

The SEA paper (Srivastava et al., ICASSP 2021, section 3.2) fits its reducer on a subset of the domain that is
chosen sensor by sensor and day by day, in one of four ways. Every sampler is one class, `base.Sampler`, and
one entry in `SAMPLERS`.
"""

from edgesea.errors import UsageError
from edgesea.sampling.base import Candidates, Sampler, check_size
from edgesea.sampling.dpp import DPP, DiverseDPP
from edgesea.sampling.random import Random
from edgesea.sampling.spl import SPL

__all__ = ["SAMPLERS", "Candidates", "Sampler", "check_size", "sampler"]

SAMPLERS: dict[str, type[Sampler]] = {kind.name: kind for kind in (Random, SPL, DPP, DiverseDPP)}


def sampler(name: str) -> Sampler:
    """The sampler of that name. Raises `UsageError` for an unknown one."""
    try:
        return SAMPLERS[name]()
    except KeyError:
        raise UsageError(f"Unknown sampler {name!r}: choose one of {', '.join(SAMPLERS)}.") from None
