"""Write what makes events of scores and embeddings as C: the constants for runtime/edgesea_decide.h and,
where there is a memory, for runtime/edgesea_memory.h.

    files = decision_sources(decisions, "street_sounds", zero_point=-3)

gives `street_sounds_decisions.h` and `.c`, to be compiled with the files of runtime/ that `runtime_files`
names.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from firmware_export import ctext
from firmware_export.emit import TEMPLATES

SPARE = 16  # classes that can be added on the device, as EDGESEA_SPARE
ADDED_THRESHOLD = 32768  # of those, and of the unknown, in 1/65536
RECORDS = 16  # prototypes that can be added in the sensor program, and one for reading storage

FILES = ("edgesea_decide.h", "edgesea_decide.c")
MEMORY_FILES = (
    *("edgesea_memory.h", "edgesea_memory.c", "edgesea_memory_records.c"),
    *("edgesea_crc32.h", "edgesea_crc32.c"),
)


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a model's outputs mean; the numbers are those of runtime/edgesea_decide.h and edgesea_memory.h.

    labels : names of the classes, those of the head first
    head : classes that the model has scores of
    every : possible patches from decision to decision
    window, rest : frames
    alpha, thresholds : (classes,)
    memory : k, beta, sharpness and unknown by name; None without a memory
    prototypes, soft_labels : (n, d) int8 and (n, classes) uint8
    """

    labels: tuple[str, ...]
    head: int
    every: int
    window: int
    rest: int
    alpha: tuple[int, ...]
    thresholds: tuple[int, ...]
    memory: dict[str, int] | None = None
    prototypes: np.ndarray | None = None
    soft_labels: np.ndarray | None = None

    @property
    def slots(self) -> int:
        """Scores of a frame: the classes and, with a memory, those that can be added and the unknown."""
        return len(self.labels) + (SPARE + 1 if self.memory else 0)

    @property
    def runtime_files(self) -> tuple[str, ...]:
        """What it takes of runtime/."""
        return (*FILES, *MEMORY_FILES) if self.memory else FILES

    @property
    def program_files(self) -> tuple[str, ...]:
        """What the sensor program is made of besides."""
        return ("sensor_events.c", "sensor_memory.c" if self.memory else "sensor_head.c")

    def flash_bytes(self, dimension: int) -> int:
        """Constants of the memory, for embeddings of that length."""
        return 0 if self.memory is None else len(self.prototypes) * (dimension + len(self.labels) + 4)


def decision_sources(
    decisions: Decisions, name: str, *, dimension: int, zero_point: int, command: str = ""
) -> dict[str, str]:
    """The C files of a model's decisions.

    Parameters
    ----------
    decisions : what its outputs mean
    name : the model's C identifier
    dimension, zero_point : of its embedding; only a memory has use for them
    command : the command line to name in the files

    Returns
    -------
    dict
        {"NAME_decisions.h": text, "NAME_decisions.c": text}
    """
    more = decisions.slots - len(decisions.labels)
    prototypes = decisions.prototypes if decisions.memory else np.zeros((0, dimension), np.int8)
    values = {
        "name": name,
        "NAME": name.upper(),
        "origin": ctext.origin(command),
        "decisions": decisions,
        "slots": decisions.slots,
        "alpha": [*decisions.alpha, *[0] * more],
        "thresholds": [*decisions.thresholds, *[ADDED_THRESHOLD] * more],
        # As they stand between the quotation marks of JSON, in ASCII.
        "labels": [ctext.string(json.dumps(label)[1:-1]) for label in decisions.labels],
        "dimension": dimension,
        "zero_point": zero_point,
        "count": len(prototypes),
        "prototypes": ctext.items(prototypes) if len(prototypes) else ["0"],
        "inverse": [_inverse(each) for each in prototypes] or [0],
        "soft_labels": ctext.items(decisions.soft_labels) if len(prototypes) else ["0"],
    }
    environment = ctext.environment(TEMPLATES)
    return {
        f"{name}_decisions.{kind}": environment.get_template(f"decisions.{kind}.jinja").render(values)
        for kind in "hc"
    }


def _inverse(prototype: np.ndarray) -> int:
    """floor(2^32 / floor(256 * length)); 0 for a prototype of zeros."""
    squares = int(np.square(prototype.astype(np.int64)).sum())
    return (1 << 32) // math.isqrt(squares << 16) if squares else 0
