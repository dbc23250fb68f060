"""Where to cut the steps into groups, and what each group needs while it runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from firmware_export.layout import round_up
from firmware_export.plan.rings import passes, simulate
from firmware_export.plan.value import ALIGNMENT, Buffer, Group, in_use
from firmware_export.program import Program, Step

# Stages of one stream: their numbers are 8-bit in the kernels' constants.
LONGEST_STREAM = 60
# Bounds on the work: cut points tried, rows simulated to find the rings of branching groups (which are left
# whole when the rows run out).
_CUTS = 300_000
_SIMULATED_ROWS = 200_000


class Cuts:
    """One order of the steps and its possible groups, with the working memory of one path."""

    def __init__(self, program: Program, path: str):
        self.program, self.path = program, path
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
        self._costs: dict[tuple[int, int], tuple[int, Group] | None] = {}

    def size(self, tensor: int) -> int:
        """Bytes of a tensor in the arena."""
        return round_up(self.program.tensor(tensor).bytes, ALIGNMENT)

    def last_reader(self, tensor: int) -> int:
        """The step after which a tensor is not needed."""
        return max(self.readers.get(tensor, [self.made[tensor]]))

    def _sharing(self) -> dict[int, int]:
        """Tensors that can take the memory of the input that they replace: the tensor and that input."""
        shares: dict[int, int] = {}
        for number, step in enumerate(self.steps):
            if step.output in self.outside:
                continue
            for position in step.in_place_on.get(self.path, step.in_place):
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
            groups.append(self.cost(first, end)[1])
            end = first
        return groups[::-1]

    def cost(self, first: int, end: int) -> tuple[int, Group] | None:
        """(bytes in use while steps first..end-1 run as one group, that group).

        None where they cannot run as one group.
        """
        key = first, end
        if key not in self._costs:
            self._costs[key] = self._cost(first, end)
        return self._costs[key]

    def _cost(self, first: int, end: int) -> tuple[int, Group] | None:
        group: Group | None = Group(first, end, {})
        if end - first > 1:
            group = self._stream(first, end)
            if group is None:
                return None
        memory = in_use(list(self.working(group)), 0)
        made, dead = self._whole
        memory += made[end] - dead[first] - sum(self.size(tensor) for tensor in group.rings)
        output = self.steps[first].output
        if end - first == 1 and output in self.shares:
            memory -= self.size(output)
        return memory, group

    def working(self, group: Group) -> Iterable[Buffer]:
        """The memory that a group needs for itself, as buffers of a group 0."""
        for number in group.steps:
            step = self.steps[number]
            tensor = step.output
            if tensor in group.rings:
                rows = group.rings[tensor]
                name = f"{rows} of {step.rows.out_rows} rows of tensor {tensor}"
                size = round_up(rows * step.rows.out_row_bytes, ALIGNMENT)
                passing = frozenset((number, *self.readers[tensor])) if tensor in group.passing else None
                yield Buffer(name, size, 0, 0, tensor=tensor, steps=passing)
            if step.sums:
                yield Buffer(f"sums of {step.name}", round_up(step.sums, ALIGNMENT), 0, 0, step=number)
            if scratch := step.scratch.get(self.path, 0):
                name, size = f"scratch of {step.name}", round_up(scratch, ALIGNMENT)
                yield Buffer(name, size, 0, 0, step=number, steps=frozenset((number,)))

    def _stream(self, first: int, end: int) -> Group | None:
        """The steps as a stream, with the rows kept of each tensor inside; None where they cannot be one."""
        step, before = self.steps[end - 1], self.steps[end - 2]
        if step.rows is None or step.batch > 1 or before.rows is None or before.batch > 1:
            return None
        inner = {self.steps[n].output: n for n in range(first, end - 1)}
        if [t for t in step.inputs if t in inner] == [before.output] and self._is_inside(before.output, end):
            # A stage that reads only the one before asks for its rows in order, as if it were the last: what
            # that one keeps of its own inputs does not change.
            shorter = self.cost(first, end - 1)
            if shorter is not None:
                return self._longer(shorter[1], step, before.output)
        for tensor, number in inner.items():
            maker = self.steps[number]
            if maker.rows is None or maker.batch > 1 or not self._is_inside(tensor, end):
                return None
            if not all(self._fits(tensor, self.steps[reader]) for reader in self.readers[tensor]):
                return None
        self.simulated_rows -= sum(self.steps[n].rows.out_rows for n in range(first, end))
        if self.simulated_rows < 0:
            return None
        return Group(first, end, *simulate(self.steps[first:end]))

    def _longer(self, group: Group, step: Step, tensor: int) -> Group | None:
        """A stream with one more step at its end, which reads ``tensor`` of it; None where it cannot."""
        if not self._fits(tensor, step):
            return None
        # It asks for a row where it lacks no other, and goes on as soon as it has it.
        passing = {tensor} if passes(self.steps[group.end - 1], step) else set()
        rings = {**group.rings, tensor: self._kept(step)}
        return Group(group.first, group.end + 1, rings, group.passing | passing)

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
