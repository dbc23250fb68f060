"""Several teachers beside each other, written `A,B`: their embeddings joined, each as it is.

A frame is as long as the longest needs; each hears its beginning, at its own rate. Nothing is scaled: a
teacher with larger values, or more of them, counts for more in the reducer. Options count for all that need
them.
"""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgesea.errors import UsageError
from edgesea.pairing import heard_at
from edgesea.recognise import Found, parts
from edgesea.teacher import Teacher, TeacherOptions


def recognises(found: Found) -> bool:
    """Whether these are several models."""
    return found.kind == "several"


def load(path: Path, options: TeacherOptions) -> Teacher:
    """The teachers of a list, as one."""
    from edgesea.teachers import load as load_one

    return Several([load_one(name, options) for name in parts(str(path), "several")])


class Several(Teacher):
    """See `edgesea.teacher.Teacher`."""

    def __init__(self, teachers: Sequence[Teacher]):
        deaf = [each.name for each in teachers if not each.waveforms]
        if deaf:
            raise UsageError(f"The teacher {deaf[0]} gives embeddings that were made before: give it alone.")
        self._teachers = tuple(teachers)
        self.name = "+".join(each.name for each in teachers)
        self.fingerprint = hashlib.sha256("".join(each.fingerprint for each in teachers).encode()).hexdigest()
        self.sample_rate = max(each.sample_rate for each in teachers)
        self.samples = max(math.ceil(each.samples * self.sample_rate / each.sample_rate) for each in teachers)
        self.outputs = {"embedding": (sum(each.dimension for each in teachers),)}
        self.notes = tuple(note for each in teachers for note in each.notes)

    def hear(self, waveforms: np.ndarray, wanted: Sequence[str] = ("embedding",)) -> dict[str, np.ndarray]:
        heard = [
            each.embed(heard_at(waveforms, self.sample_rate, each.sample_rate, each.samples))
            for each in self._teachers
        ]
        return {"embedding": np.concatenate(heard, axis=1)}
