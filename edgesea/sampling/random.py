"""random: every subset of a day's frames is equally likely."""

from edgesea.sampling.base import Sampler


class Random(Sampler):
    """Every subset of a day's share is equally likely."""

    name = "random"

    def choose(self, candidates, day, n, rng):
        return rng.choice(day, n, replace=False)
