"""A plan as a value: groups of steps, and where each buffer of the arena lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from firmware_export.program import Program

# Every buffer begins at a word: what double-word loads of the Cortex-M need.
ALIGNMENT = 4


@dataclass(frozen=True)
class Buffer:
    """A piece of the arena, or, where it is persistent, of the state.

    Parameters
    ----------
    name : str
        What it holds, for people: ``rows of tensor 24``.
    bytes : int > 0
    first, last : int
        The groups during which it is in use.
    tensor : int or None
        The tensor (or the ring of its rows) in it.
    step : int or None
        For working memory, the step it belongs to.
    offset : int >= 0 [bytes]
        From the beginning of the arena, or of the state.
    persistent : bool
        Whether it keeps its value from one inference to the next.
    steps : frozenset of int or None
        The steps of its one group during which alone it is in use; None for all.
    """

    name: str
    bytes: int
    first: int
    last: int
    tensor: int | None = None
    step: int | None = None
    offset: int = 0
    persistent: bool = False
    steps: frozenset[int] | None = None

    def meets(self, other: Buffer) -> bool:
        """Whether both are in use at some time."""
        if self.first > other.last or other.first > self.last:
            return False
        return self.steps is None or other.steps is None or bool(self.steps & other.steps)


def in_use(buffers: Sequence[Buffer], group: int) -> int:
    """The bytes of the arena that are in use at one time while ``group`` runs, at most."""
    live = [b for b in buffers if not b.persistent and b.first <= group <= b.last]
    passing: dict[int, int] = {}
    for buffer in live:
        for step in buffer.steps or ():
            passing[step] = passing.get(step, 0) + buffer.bytes
    return sum(b.bytes for b in live if b.steps is None) + max(passing.values(), default=0)


@dataclass(frozen=True)
class Group:
    """Steps that run together: one alone, or several as a stream.

    Parameters
    ----------
    first, end : int
        The steps first..end-1.
    rings : dict of int to int
        Rows kept of each tensor that exists only inside the group.
    passing : frozenset of int
        Those of which one row is kept, read right after it is made.
    """

    first: int
    end: int
    rings: dict[int, int]
    passing: frozenset[int] = frozenset()

    @property
    def steps(self) -> range:
        """The steps of the group, by number."""
        return range(self.first, self.end)

    @property
    def streamed(self) -> bool:
        """Whether several steps run row by row in turn."""
        return self.end - self.first > 1


@dataclass(frozen=True, eq=False)
class Plan:
    """Where everything lives.

    Parameters
    ----------
    program : Program
    groups : tuple of Group
        In order; together they cover every step.
    buffers : tuple of Buffer
    arena_bytes : int >= 0
    state_bytes : int >= 0
        What the model keeps from one inference to the next.
    """

    program: Program
    groups: tuple[Group, ...]
    buffers: tuple[Buffer, ...]
    arena_bytes: int
    state_bytes: int = 0

    @cached_property
    def _by_tensor(self) -> dict[int, Buffer]:
        return {buffer.tensor: buffer for buffer in self.buffers if buffer.tensor is not None}

    def tensor_offset(self, tensor: int) -> int:
        """Where ``tensor`` (or its ring) begins in the arena, in bytes."""
        return self._by_tensor[tensor].offset

    def scratch_offset(self, step: int) -> int:
        """Where the working memory of a step begins in the arena; 0 where it has none."""
        for buffer in self.buffers:
            if not buffer.persistent and buffer.tensor is None and buffer.step == step:
                return buffer.offset
        return 0

    def state_offset(self, step: int) -> int:
        """Where the state of ``step`` begins in the model's, in bytes."""
        return next(b.offset for b in self.buffers if b.persistent and b.step == step)

    def live(self, group: int) -> list[Buffer]:
        """What is in the arena while ``group`` runs, by offset."""
        return sorted(
            (b for b in self.buffers if not b.persistent and b.first <= group <= b.last),
            key=lambda b: b.offset,
        )

    @property
    def peak_group(self) -> int:
        """The group during which the most bytes are in use."""
        return max(range(len(self.groups)), key=self.in_use, default=0)

    def in_use(self, group: int) -> int:
        """The bytes that are in use at one time while ``group`` runs, at most."""
        return in_use(self.buffers, group)

    @property
    def peak(self) -> str:
        """The steps that the arena is largest for, in words."""
        if not self.groups:
            return "no step"
        worst = self.groups[self.peak_group]
        first, last = (self.program.steps[n].name for n in (worst.first, worst.end - 1))
        if not worst.streamed:
            return f"step {worst.first}, {first}"
        return f"steps {worst.first} to {worst.end - 1}, a stream from {first} to {last}"
