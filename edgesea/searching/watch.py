"""Looks at a candidate's training: scores it after every epoch, and ends it where it is behind.

A candidate ends where its best score so far is below the median of what the trained ones had after as many
epochs (the median stopping rule of Golovin et al., "Google Vizier", KDD 2017, section 3.2.2). Those count
that take no more instructions: against larger ones the small end of the front would never be trained.
"""

import statistics
from collections.abc import Sequence
from functools import cached_property

from edgesea.formats.search import Candidate
from edgesea.measures.linear import explained
from edgesea.objectives.base import predict
from edgesea.run import Run

SCORE = "linear_r2"
# Trained candidates below which nothing is ended: a median of fewer says little.
ENOUGH = 4
# Frames that the linear map is fitted to, and as many that it is tried on, at most.
FRAMES = 1500


class Watch:
    """Of one run; `others` are the curves of the candidates that were trained to their end."""

    def __init__(self, run: Run, others: Sequence[Sequence[float]]):
        self._run, self._others = run, others

    @cached_property
    def _parts(self) -> tuple:
        """Patches and the teacher's embeddings of training and of validation recordings, not augmented."""
        parts = (self._run.part(name, FRAMES) for name in ("train", "validation"))
        return tuple((part.patches(), part.embeddings()) for part in parts)

    def score(self, student) -> dict[str, float]:
        """What is added to the course of the training after an epoch."""
        learnt, asked = ((predict(student, patches), teacher) for patches, teacher in self._parts)
        return {SCORE: explained(learnt, asked)}

    def enough(self, course: Sequence[dict]) -> bool:
        """Whether the training may end after the epochs of `course`."""
        return behind(curve(course), self._others)


def rivals(trained: Sequence[Candidate], instructions: int) -> list[list[float]]:
    """The curves of those trained candidates that take no more than so many instructions."""
    return [each.curve for each in trained if each.needs and each.needs.instructions <= instructions]


def curve(course: Sequence[dict]) -> list[float]:
    """The score after each epoch."""
    return [each[SCORE] for each in course]


def behind(scores: Sequence[float], others: Sequence[Sequence[float]]) -> bool:
    """The median stopping rule: scores so far, and the whole curves of others, higher being better."""
    if not scores:
        return False
    reached = [max(each[: len(scores)]) for each in others if len(each) >= len(scores)]
    return len(reached) >= ENOUGH and max(scores) < statistics.median(reached)
