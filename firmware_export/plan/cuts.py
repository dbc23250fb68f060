"""Where to cut the steps into groups, and what each group needs while it runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from firmware_export.layout import round_up
from firmware_export.plan.rings import simulate
from firmware_export.plan.value import ALIGNMENT, Group
from firmware_export.program import Program, Step

# Stages of one stream: their numbers are 8-bit in the kernels' constants.
LONGEST_STREAM = 60
# Bounds on the work: cut points tried, rows simulated to find the rings of branching groups (which are left
# whole when the rows run out).
_CUTS = 300_000
_SIMULATED_ROWS = 200_000


class Cuts:
    """One order of the steps and its possible groups."""

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
