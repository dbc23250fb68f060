"""The students that a search may draw: families, widths, depths, resolution of the patch, dimension.

Widths are multiples of 8, which kernels of devices like. A stage of a student halves the map and is wider
than the one before it; the resolution in which the patch is heard is the stride of the first convolution.

Whoever draws is asked through two methods, `suggest_int(name, low, high, step=)` and
`suggest_categorical(name, choices)`: a trial of Optuna, or `Random`.
"""

from collections.abc import Callable, Sequence

import numpy as np

from edgesea.named import Choice

# Students made by hand, by family: a search tries them first, and has to find better ones.
KNOWN = {"separable": ("separable-s", "separable-m", "separable-l")}
# What a search's configuration says of its student before there is one.
ANY = Choice("separable")
USUAL = 64  # dimensions
STEP = 8  # of widths
STAGES = 3
# Growth from stage to stage, in quarters: 1 to 2 times.
GROWTH = (4, 8)


class Random:
    """Draws uniformly."""

    def __init__(self, seed: int | Sequence[int]):
        self._rng = np.random.default_rng(seed)

    def suggest_int(self, name: str, low: int, high: int, step: int = 1) -> int:
        """A whole number from low to high, in steps."""
        return int(low + step * self._rng.integers((high - low) // step + 1))

    def suggest_categorical(self, name: str, choices: Sequence):
        """One of some."""
        return choices[int(self._rng.integers(len(choices)))]


class Smallest:
    """Draws the smallest student: the fewest of everything, and the patch in its lowest resolution."""

    def suggest_int(self, name: str, low: int, high: int, step: int = 1) -> int:
        """The number that makes the student small."""
        return high if "shrink" in name else low

    def suggest_categorical(self, name: str, choices: Sequence):
        """The least of some."""
        return min(choices)


def draw(trial, families: Sequence[str], dimensions: Sequence[int]) -> tuple[Choice, int]:
    """A student of one of the families, and the dimension of its embedding.

    families : names out of `FAMILIES`
    dimensions : of which one is chosen
    """
    family = trial.suggest_categorical("family", tuple(families))
    dimension = trial.suggest_categorical("dim", tuple(dimensions))
    return Choice(family, tuple(sorted(FAMILIES[family](trial).items()))), dimension


def known(families: Sequence[str], dimensions: Sequence[int]) -> list[tuple[Choice, int]]:
    """The students made by hand of some families, in the dimension that is nearest to the usual 64."""
    dimension = min(dimensions, key=lambda each: (abs(each - USUAL), each))
    return [(Choice(name), dimension) for family in families for name in KNOWN.get(family, ())]


def _separable(trial) -> dict:
    return {
        "stem": trial.suggest_int("separable stem", 8, 32, step=STEP),
        "blocks": _blocks(trial, "separable", (8, 64), first=1),
        "shrink": _shrink(trial, "separable"),
    }


def _inverted(trial) -> dict:
    return {
        "stem": trial.suggest_int("inverted stem", 8, 24, step=STEP),
        "blocks": _blocks(trial, "inverted", (8, 48), first=2),
        "expansion": trial.suggest_int("inverted expansion", 2, 6),
        "shrink": _shrink(trial, "inverted"),
    }


def _factorised(trial) -> dict:
    return {
        "stem": trial.suggest_int("factorised stem", 8, 32, step=STEP),
        "blocks": _blocks(trial, "factorised", (8, 64), first=1),
        "kernel": trial.suggest_int("factorised kernel", 3, 9, step=2),
        "shrink": _shrink(trial, "factorised"),
    }


def _temporal(trial) -> dict:
    return {
        "stem": trial.suggest_int("temporal stem", 16, 96, step=STEP),
        "blocks": _blocks(trial, "temporal", (24, 128), first=2),
        "kernel": trial.suggest_int("temporal kernel", 5, 13, step=4),
        "shrink": trial.suggest_int("temporal shrink", 1, 2),
    }


FAMILIES: dict[str, Callable[..., dict]] = {
    "separable": _separable,
    "inverted": _inverted,
    "factorised": _factorised,
    "temporal": _temporal,
}


def _blocks(trial, family: str, widths: tuple[int, int], first: int) -> tuple[tuple[int, int], ...]:
    """Filters and stride of every block; `first` is the stride with which the first stage begins."""
    width = trial.suggest_int(f"{family} width", *widths, step=STEP)
    growth = trial.suggest_int(f"{family} growth", *GROWTH) / 4
    found: list[tuple[int, int]] = []
    for stage in range(STAGES):
        filters = STEP * max(1, round(width * growth**stage / STEP))
        depth = trial.suggest_int(f"{family} depth {stage + 1}", 1, 3)
        found += [(filters, first if stage == 0 else 2)] + [(filters, 1)] * (depth - 1)
    return tuple(found)


def _shrink(trial, family: str) -> tuple[int, int]:
    return tuple(2 ** trial.suggest_int(f"{family} shrink {axis}", 1, 2) for axis in ("frames", "mels"))
