"""Samplers: which frames of the domain fit the reducer.

The SEA paper (Srivastava et al., ICASSP 2021, section 3.2) fits its reducer on a subset of the domain that is
chosen sensor by sensor and day by day, in one of four ways. Every sampler is one class, `base.Sampler`, and
one entry in `SAMPLERS`.
"""

from edgesea.named import Choice, Registry
from edgesea.sampling.base import Candidates, Sampler, check_size

__all__ = ["SAMPLERS", "Candidates", "Sampler", "check_size", "sampler"]

SAMPLERS = Registry(
    "sampler",
    {
        "random": "edgesea.sampling.random:Random",
        "spl": "edgesea.sampling.spl:SPL",
        "dpp": "edgesea.sampling.dpp:DPP",
        "dpp-div": "edgesea.sampling.dpp:DiverseDPP",
    },
    "edgesea.samplers",
)


def sampler(choice: Choice | str) -> Sampler:
    """The sampler of a choice.

    Raises
    ------
    UsageError
        The name or an option is unknown, or a value cannot be.
    """
    choice = Choice.of(choice, "sampler")
    return SAMPLERS.get(choice.name)(SAMPLERS.options(choice))
