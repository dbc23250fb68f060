"""Decide where every value lives and which steps run as a stream.

The steps run in order, cut into groups. The steps of a group that holds more than one run as a stream: the
last one asks for its rows one by one, each row asks for the rows above that it needs, and every feature map
inside the group keeps only as many rows as its readers look back on, in a ring. Each row is made exactly
once, so a stream costs no arithmetic, only a look at the counters for each row; what it saves is whole
feature maps. A pooling whose windows do not overlap takes its rows as they appear and needs one row of its
input.

Where to cut: every group needs, all at once, the whole tensors that it reads and writes, those that live
across it, its rings and its working memory. The cuts are those with the smallest such sum at the worst group
(dynamic programming over the cut points: a group's sum depends on its two ends alone). Under a budget the
fewest steps are streamed that fit.

Where to lay: each buffer has a lifetime in groups; they are packed into the arena by trying several orders,
largest first, longest first and a number of fixed shuffles, each buffer at the lowest free place, until the
sum of what lives at one time, which no packing can beat, is reached.

In which order: that of the file, or one that always runs next what leaves the least memory in use, whichever
needs the smaller arena.

What this does not do: it recomputes nothing (rings make it needless), and does not stream along a row's
width.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from firmware_export.errors import ModelError
from firmware_export.layout import round_up
from firmware_export.program import Program, Step

# Every buffer begins at a word: what double-word loads of the Cortex-M need.
ALIGNMENT = 4
# Stages of one stream: their numbers are 8-bit in the kernels' constants.
LONGEST_STREAM = 60
# Far beyond what fits a microcontroller; it keeps planning within seconds.
MOST_STEPS = 1000
# Bounds on the work: cut points tried, pairs of buffers compared while packing, rows simulated to find the
# rings of branching groups (which are left whole when the rows run out).
_CUTS = 300_000
_COMPARISONS = 4_000_000
_SIMULATED_ROWS = 200_000


@dataclass(frozen=True)
class Buffer:
    """A piece of the arena.

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
        For working memory, the step it belongs to; None for the scratch that a group's steps share.
    offset : int >= 0 [bytes]
        From the beginning of the arena.
    """

    name: str
    bytes: int
    first: int
    last: int
    tensor: int | None = None
    step: int | None = None
    offset: int = 0


@dataclass(frozen=True)
class Group:
    """Steps that run together: one alone, or several as a stream.

    Parameters
    ----------
    first, end : int
        The steps first..end-1.
    rings : dict of int to int
        Rows kept of each tensor that exists only inside the group.
    """

    first: int
    end: int
    rings: dict[int, int]

    @property
    def steps(self) -> range:
        return range(self.first, self.end)

    @property
    def streamed(self) -> bool:
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
    """

    program: Program
    groups: tuple[Group, ...]
    buffers: tuple[Buffer, ...]
    arena_bytes: int

    @cached_property
    def _by_tensor(self) -> dict[int, Buffer]:
        return {buffer.tensor: buffer for buffer in self.buffers if buffer.tensor is not None}

    def tensor_offset(self, tensor: int) -> int:
        """Where ``tensor`` (or its ring) begins in the arena, in bytes."""
        return self._by_tensor[tensor].offset

    def scratch_offset(self, group: int, step: int | None = None) -> int:
        """Where a group's scratch, or the sums of one step, begin in the arena; 0 where there are none."""
        for buffer in self.buffers:
            if buffer.tensor is None and buffer.first == group and buffer.step == step:
                return buffer.offset
        return 0

    def live(self, group: int) -> list[Buffer]:
        """What is in the arena while ``group`` runs, by offset."""
        return sorted((b for b in self.buffers if b.first <= group <= b.last), key=lambda b: b.offset)

    @property
    def peak_group(self) -> int:
        """The group during which the most bytes are in use."""
        return max(range(len(self.groups)), key=lambda g: sum(b.bytes for b in self.live(g)), default=0)

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


def plan(program: Program, ram_budget: int | None = None) -> Plan:
    """Group the steps of ``program`` and lay out their memory.

    Parameters
    ----------
    program : Program
    ram_budget : int > 0 or None [bytes]
        The largest arena allowed. With None the arena is as small as the planner can make it.

    Raises
    ------
    ModelError
        If the smallest arena found is larger than the budget.
    """
    if len(program.steps) > MOST_STEPS:
        raise ModelError(
            f"The model has {len(program.steps)} steps, more than {MOST_STEPS}; choose a smaller one."
        )
    programs = [program]
    frugal = _frugal_order(program)
    if frugal != list(program.steps):
        programs.append(replace(program, steps=tuple(frugal)))
    planners = [_Planner(candidate) for candidate in programs]
    planner, best = min(
        ((p, p.lay_out(p.groups(None))) for p in planners), key=lambda choice: choice[1].arena_bytes
    )
    if ram_budget is None:
        return best
    if best.arena_bytes > ram_budget:
        raise ModelError(
            f"The model needs an arena of {best.arena_bytes} bytes, more than the budget of {ram_budget}; "
            f"the most is needed by {best.peak}. Allow more memory or choose a smaller model."
        )
    relaxed = planner.lay_out(planner.groups(ram_budget))
    return relaxed if relaxed.arena_bytes <= ram_budget else best


def _frugal_order(program: Program) -> list[Step]:
    """Run next, of all steps that could, the one that adds the least memory; ties keep their order."""
    steps = program.steps
    kept = {program.root(t) for t in program.graph.outputs}
    made = {step.output for step in steps}
    waiting = {n: {t for t in step.inputs if t in made} for n, step in enumerate(steps)}
    readers: dict[int, set[int]] = {}
    for n, step in enumerate(steps):
        for tensor in step.inputs:
            readers.setdefault(tensor, set()).add(n)
    ready = [n for n, missing in waiting.items() if not missing]
    order: list[Step] = []

    def growth(n: int) -> int:
        step = steps[n]
        freed = sum(
            program.tensor(t).bytes
            for t in set(step.inputs)
            if t in made and t not in kept and readers[t] == {n}
        )
        return program.tensor(step.output).bytes - freed

    while ready:
        n = min(ready, key=lambda n: (growth(n), n))
        ready.remove(n)
        order.append(steps[n])
        for tensor in set(steps[n].inputs):
            readers[tensor].discard(n)
        for reader in sorted(readers.get(steps[n].output, ())):
            waiting[reader].discard(steps[n].output)
            if not waiting[reader]:
                ready.append(reader)
    return order


class _Planner:
    """One order of the steps, its possible groups and their layout."""

    def __init__(self, program: Program):
        self.program = program
        self.steps = program.steps
        graph = program.graph
        self.outputs = {program.root(t) for t in graph.outputs}
        self.outside = self.outputs | set(graph.inputs)
        self.made = {step.output: number for number, step in enumerate(self.steps)}
        self.readers: dict[int, list[int]] = {}
        for number, step in enumerate(self.steps):
            for tensor in dict.fromkeys(step.inputs):
                self.readers.setdefault(tensor, []).append(number)
        self.shares = self._sharing()
        self.longest = max(2, min(LONGEST_STREAM, math.isqrt(_CUTS // max(len(self.steps), 1))))
        self.simulated_rows = _SIMULATED_ROWS
        self._whole = self._whole_tensors()
        self._costs: dict[tuple[int, int], tuple[int, dict[int, int]] | None] = {}

    def size(self, tensor: int) -> int:
        return round_up(self.program.tensor(tensor).bytes, ALIGNMENT)

    def last_reader(self, tensor: int) -> int:
        return max(self.readers.get(tensor, [self.made[tensor]]))

    def _sharing(self) -> dict[int, int]:
        """Tensors that can take the memory of the input that they replace: the tensor and that input."""
        shares: dict[int, int] = {}
        for number, step in enumerate(self.steps):
            if step.output in self.outside:
                continue
            for position in step.in_place:
                tensor = step.inputs[position]
                if (
                    tensor not in self.outside
                    and self.last_reader(tensor) == number
                    and self.size(tensor) == self.size(step.output)
                ):
                    shares[step.output] = tensor
                    break
        return shares

    def _whole_tensors(self) -> tuple[list[int], list[int]]:
        """Bytes of the arena's tensors made before each step, and of those no longer needed by it."""
        made, dead = ([0] * (len(self.steps) + 1) for _ in range(2))
        for tensor, number in self.made.items():
            if tensor not in self.outside:
                made[number + 1] += self.size(tensor)
                dead[self.last_reader(tensor) + 1] += self.size(tensor)
        return list(itertools.accumulate(made)), list(itertools.accumulate(dead))

    # ---- groups ----

    def groups(self, budget: int | None) -> list[Group]:
        """Cut the steps into groups.

        First the smallest possible sum at the worst group; then, among the cuts that stay within it (or
        within the budget), those with the fewest streamed steps.
        """
        count = len(self.steps)
        worst = [0] + [0] * count
        for end in range(1, count + 1):
            worst[end] = min(
                max(worst[first], cost[0])
                for first in range(max(0, end - self.longest), end)
                if (cost := self.cost(first, end)) is not None
            )
        target = max(worst[count], budget or 0)
        fewest: list[tuple[int, int] | None] = [(0, 0)] + [None] * count
        for end in range(1, count + 1):
            choices = [
                (fewest[first][0] + (end - first if end - first > 1 else 0), first)
                for first in range(max(0, end - self.longest), end)
                if fewest[first] is not None
                and (cost := self.cost(first, end)) is not None
                and cost[0] <= target
            ]
            fewest[end] = min(choices, default=None)
        groups = []
        end = count
        while end > 0:
            first = fewest[end][1]
            groups.append(Group(first, end, self.cost(first, end)[1]))
            end = first
        return groups[::-1]

    def cost(self, first: int, end: int) -> tuple[int, dict[int, int]] | None:
        """(bytes in use while steps first..end-1 run as one group, rows kept of each inner tensor).

        None where they cannot run as one group.
        """
        key = first, end
        if key not in self._costs:
            self._costs[key] = self._cost(first, end)
        return self._costs[key]

    def _cost(self, first: int, end: int) -> tuple[int, dict[int, int]] | None:
        group = self.steps[first:end]
        rings: dict[int, int] | None = {}
        if end - first > 1:
            rings = self._rings(first, end)
            if rings is None:
                return None
        memory = sum(bytes_ for _, bytes_, _ in self.working(group, rings))
        made, dead = self._whole
        memory += made[end] - dead[first] - sum(self.size(tensor) for tensor in rings)
        if end - first == 1 and group[0].output in self.shares:
            memory -= self.size(group[0].output)
        return memory, rings

    def working(self, group: Sequence[Step], rings: dict[int, int]) -> Iterable[tuple[str, int, dict]]:
        """The memory that a group needs for itself: (name, bytes, further fields of its Buffer)."""
        for number, step in enumerate(group):
            if step.output in rings:
                rows = rings[step.output]
                name = f"{rows} of {step.rows.out_rows} rows of tensor {step.output}"
                yield name, round_up(rows * step.rows.out_row_bytes, ALIGNMENT), {"tensor": step.output}
            if step.sums:
                yield f"sums of {step.name}", round_up(step.sums, ALIGNMENT), {"step": number}
        scratch = max(step.scratch for step in group)
        if scratch:
            yield "scratch", round_up(scratch, ALIGNMENT), {}

    def _rings(self, first: int, end: int) -> dict[int, int] | None:
        """Rows kept of each tensor inside a stream; None where the steps cannot be one."""
        step, before = self.steps[end - 1], self.steps[end - 2]
        if step.rows is None or step.batch > 1 or before.rows is None or before.batch > 1:
            return None
        inner = {self.steps[n].output: n for n in range(first, end - 1)}
        if [t for t in step.inputs if t in inner] == [before.output] and self._is_inside(before.output, end):
            # A stage that reads only the one before asks for its rows in order, as if it were the last: what
            # that one keeps of its own inputs does not change.
            shorter = self.cost(first, end - 1)
            if shorter is not None:
                fits = self._fits(before.output, step)
                return {**shorter[1], before.output: self._kept(step)} if fits else None
        for tensor, number in inner.items():
            maker = self.steps[number]
            if maker.rows is None or maker.batch > 1 or not self._is_inside(tensor, end):
                return None
            if not all(self._fits(tensor, self.steps[reader]) for reader in self.readers[tensor]):
                return None
        self.simulated_rows -= sum(self.steps[n].rows.out_rows for n in range(first, end))
        return simulate(self.steps[first:end]) if self.simulated_rows >= 0 else None

    def _is_inside(self, tensor: int, end: int) -> bool:
        """Whether nothing needs ``tensor`` from step ``end`` on, and something does before."""
        readers = self.readers.get(tensor, [])
        return tensor not in self.outside and bool(readers) and max(readers) < end

    def _fits(self, tensor: int, reader: Step) -> bool:
        """Whether ``reader`` sees the same rows that the maker of ``tensor`` makes."""
        maker = self.steps[self.made[tensor]].rows
        return reader.rows is not None and (maker.out_rows, maker.out_row_bytes) == (
            reader.rows.in_rows,
            reader.rows.in_row_bytes,
        )

    @staticmethod
    def _kept(reader: Step) -> int:
        return 1 if reader.rows.singly else min(reader.rows.extent, reader.rows.in_rows)

    # ---- layout ----

    def lay_out(self, groups: list[Group]) -> Plan:
        """Give every buffer its place."""
        group_of = {number: g for g, group in enumerate(groups) for number in group.steps}
        inner = {tensor for group in groups for tensor in group.rings}
        buffers: list[Buffer] = []
        spans: dict[int, list[int]] = {}
        for tensor, number in self.made.items():
            if tensor in self.outside or tensor in inner:
                continue
            span = [group_of[number], group_of[self.last_reader(tensor)]]
            owner = self._owner(tensor, inner, groups, group_of)
            merged = spans.setdefault(owner, span)
            merged[0], merged[1] = min(merged[0], span[0]), max(merged[1], span[1])
        for tensor, (begin, last) in spans.items():
            buffers.append(Buffer(f"tensor {tensor}", self.size(tensor), begin, last, tensor=tensor))
        for g, group in enumerate(groups):
            for name, size, fields in self.working([self.steps[n] for n in group.steps], group.rings):
                step = fields.get("step")
                fields = fields if step is None else {"step": group.first + step}
                buffers.append(Buffer(name, size, g, g, **fields))
        placed, arena = pack(buffers)
        for tensor in self.made:
            if tensor not in self.outside and tensor not in inner:
                owner = self._owner(tensor, inner, groups, group_of)
                if owner != tensor:
                    home = next(b for b in placed if b.tensor == owner)
                    # The same bytes under another name, with no lifetime of their own.
                    placed.append(
                        Buffer(f"tensor {tensor}", 0, home.first, home.last, tensor, None, home.offset)
                    )
        return Plan(self.program, tuple(groups), tuple(placed), arena)

    def _owner(self, tensor: int, inner: set[int], groups: list[Group], group_of: dict[int, int]) -> int:
        """The tensor whose memory ``tensor`` takes, which is itself unless a step works in place."""
        while tensor in self.shares:
            source = self.shares[tensor]
            if source in inner or groups[group_of[self.made[tensor]]].streamed:
                break
            tensor = source
        return tensor


def simulate(group: Sequence[Step]) -> dict[int, int]:
    """Count as edgesea_stream does; returns how many rows of each inner tensor it has to keep."""
    number = {step.output: n for n, step in enumerate(group)}
    makers = [[number[t] for t in step.inputs if number.get(t, n) < n] for n, step in enumerate(group)]
    readers = [[m for m, step in enumerate(group) if made_by.output in step.inputs] for made_by in group]
    rows = [step.rows for step in group]
    last = len(group) - 1
    made, taken, kept = ([0] * len(group) for _ in range(3))
    # The rows of its inputs that each stage reads next: first, end.
    reads = [(0, 0)] * len(group)

    def look_ahead(n: int) -> None:
        geometry = rows[n]
        top = made[n] * geometry.stride - geometry.pad
        first = max(top, 0) + taken[n]
        end = first + 1 if geometry.singly else min(top + geometry.extent, geometry.in_rows)
        # A stage that has made all its rows needs nothing any more.
        reads[n] = (first, end) if made[n] < geometry.out_rows else (geometry.in_rows, 0)

    for n in range(len(group)):
        look_ahead(n)
    while made[last] < rows[last].out_rows:
        n = last
        while lacking := [m for m in makers[n] if made[m] < reads[n][1]]:
            n = lacking[0]
        if n != last:
            # Its new row joins those that some reader has not finished with.
            kept[n] = max(kept[n], made[n] + 1 - min(reads[m][0] for m in readers[n]))
        taken[n] += 1
        top = made[n] * rows[n].stride - rows[n].pad
        if not rows[n].singly or reads[n][1] >= min(top + rows[n].extent, rows[n].in_rows):
            made[n] += 1
            taken[n] = 0
        look_ahead(n)
    return {step.output: max(kept[n], 1) for n, step in enumerate(group[:-1])}


def pack(buffers: Sequence[Buffer]) -> tuple[list[Buffer], int]:
    """Place buffers so that no two that live at the same time overlap: (the buffers with offsets, arena
    bytes).
    """
    if not buffers:
        return [], 0
    moments = range(max(b.last for b in buffers) + 1)
    bound = max(sum(b.bytes for b in buffers if b.first <= m <= b.last) for m in moments)
    orders = [
        sorted(range(len(buffers)), key=lambda i: -buffers[i].bytes),
        sorted(range(len(buffers)), key=lambda i: (buffers[i].first - buffers[i].last, -buffers[i].bytes)),
        sorted(range(len(buffers)), key=lambda i: (buffers[i].first, -buffers[i].bytes)),
        sorted(
            range(len(buffers)), key=lambda i: -buffers[i].bytes * (1 + buffers[i].last - buffers[i].first)
        ),
    ]
    shuffler = random.Random(0)
    best: tuple[int, list[int]] | None = None
    for attempt in range(max(len(orders), min(200, _COMPARISONS // len(buffers) ** 2))):
        order = orders[attempt] if attempt < len(orders) else shuffler.sample(orders[0], len(orders[0]))
        offsets = _first_fit(buffers, order)
        arena = max(offset + b.bytes for offset, b in zip(offsets, buffers, strict=True))
        if best is None or arena < best[0]:
            best = arena, offsets
        if best[0] == bound:
            break
    arena, offsets = best
    placed = [
        Buffer(b.name, b.bytes, b.first, b.last, b.tensor, b.step, offset)
        for b, offset in zip(buffers, offsets, strict=True)
    ]
    return placed, arena


def _first_fit(buffers: Sequence[Buffer], order: Sequence[int]) -> list[int]:
    """The lowest free offset for each buffer, taken in ``order``."""
    offsets = [0] * len(buffers)
    done: list[int] = []
    for i in order:
        buffer = buffers[i]
        neighbours = sorted(
            (offsets[j], offsets[j] + buffers[j].bytes)
            for j in done
            if buffers[j].first <= buffer.last and buffer.first <= buffers[j].last
        )
        offset = 0
        for begin, end in neighbours:
            if offset + buffer.bytes <= begin:
                break
            offset = max(offset, end)
        offsets[i] = offset
        done.append(i)
    return offsets
