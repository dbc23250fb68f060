"""random: every subset of a day's frames is equally likely."""

import numpy as np

from edgesea.sampling.base import Candidates, Sampler


class Random(Sampler):
    """Every subset of a day's share is equally likely."""

    name = "random"

    def choose(self, candidates: Candidates, day: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.choice(day, n, replace=False)
