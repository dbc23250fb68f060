"""How much memory and time a foreign model may take; more for larger files, and a factor for all of it.

A model's file says little about what it takes to run, so the base is generous and what is added is a
multiple of the file: weights are unpacked, repacked for the kernels, and each is used a few times an
inference. Time is processor time, so a busy machine ends nothing; the wall clock only ends what sleeps for
ever.
"""

import math
import os
from dataclasses import dataclass

from edgesea.errors import UsageError

FACTOR = "EDGESEA_MODEL_LIMITS"


@dataclass(frozen=True)
class Limits:
    """memory_bytes : of the process; cpu_s : s of processor time, for loading and for each example."""

    memory_bytes: int
    cpu_s: float

    @property
    def wall_s(self) -> float:
        """Seconds on the clock, for a machine that is busy with other things too."""
        return 60 + 20 * self.cpu_s


def limits(file_bytes: int, *, base_bytes: int = 768 << 20, base_s: float = 4.0) -> Limits:
    """Limits of a model whose file has `file_bytes`.

    Raises `UsageError` where the environment's factor is not a number above 0.
    """
    text = os.environ.get(FACTOR, "1")
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 0 < factor <= 1000:
        raise UsageError(f"Received {FACTOR}={text!r}: give a number above 0, at most 1000.")
    megabytes = file_bytes / (1 << 20)
    return Limits(int(factor * (base_bytes + 8 * file_bytes)), factor * (base_s + megabytes))
