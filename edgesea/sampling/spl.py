"""spl: loud frames are likelier (Srivastava et al., ICASSP 2021, section 3.2).

    relevance_i = rank of frame i by level among the frames at most an hour before or after it,
                  divided by their number
    p_i         = relevance_i / sum over the day of relevance_j

Ranks count from 1, the quietest, and equal levels share their mean rank. Frames are drawn one after the other
by p, without repetition: the first has exactly the distribution p, each further one p over what is left.
"""

from bisect import bisect_left, bisect_right, insort

import numpy as np

from edgesea.sampling.base import Candidates, Sampler

WINDOW = 7200.0  # seconds, centred on the frame


class SPL(Sampler):
    """Frames that are loud for their time of day, one after the other, without repetition."""

    name = "spl"
    by_level = True

    def choose(self, candidates: Candidates, day: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
        # The n largest of log(u) / weight are successive draws without repetition (Efraimidis and Spirakis,
        # 2006, algorithm A).
        keys = np.log(rng.random(len(day))) / day_relevance(candidates, day)
        return day[np.argpartition(keys, len(day) - n)[len(day) - n :]]


def day_relevance(candidates: Candidates, day: np.ndarray) -> np.ndarray:
    """Relevance of the frames of one day, (len(day),) in (0, 1]; without timestamps all day is one window."""
    seconds = candidates.seconds[day]
    return relevance(candidates.levels[day], np.zeros(len(day)) if np.isnan(seconds).any() else seconds)


def relevance(levels: np.ndarray, seconds: np.ndarray, window: float = WINDOW) -> np.ndarray:
    """Each frame's normalised rank among its neighbours in time.

    levels (m,) dB; seconds (m,), in any order; window : seconds, centred on each frame, both ends included
    Returns (m,) float64 in (0, 1].
    """
    order = np.argsort(seconds, kind="stable")
    times, ordered = seconds[order], levels[order]
    first = np.searchsorted(times, times - window / 2, "left")
    last = np.searchsorted(times, times + window / 2, "right")
    if (first == 0).all() and (last == len(times)).all():
        ranked = np.sort(levels)
        below, upto = np.searchsorted(ranked, levels, "left"), np.searchsorted(ranked, levels, "right")
        return (below + upto + 1) / 2 / len(levels)
    ranks = np.empty(len(levels))
    held: list[float] = []  # the levels in the window, ascending
    begin = end = 0
    for k, (low, high, level) in enumerate(zip(first.tolist(), last.tolist(), ordered.tolist(), strict=True)):
        for entering in ordered[end:high].tolist():
            insort(held, entering)
        for leaving in ordered[begin:low].tolist():
            del held[bisect_left(held, leaving)]
        begin, end = low, high
        ranks[k] = (bisect_left(held, level) + bisect_right(held, level) + 1) / 2 / len(held)
    out = np.empty(len(levels))
    out[order] = ranks
    return out
