"""How many rows of each feature map a stream has to keep, counted by running it without data."""

from __future__ import annotations

from collections.abc import Sequence

from firmware_export.program import Step


def passes(maker: Step, reader: Step) -> bool:
    """Whether a row is whole as soon as it is begun, and read but once."""
    return not maker.rows.singly and (reader.rows.singly or reader.rows.extent == 1)


def simulate(group: Sequence[Step]) -> tuple[dict[int, int], frozenset[int]]:
    """Count as edgesea_stream does.

    Returns
    -------
    kept : dict of int to int
        How many rows of each inner tensor it has to keep.
    passing : frozenset of int
        Those of which it keeps one, read right after it is made.
    """
    number = {step.output: n for n, step in enumerate(group)}
    makers = [[number[t] for t in step.inputs if number.get(t, n) < n] for n, step in enumerate(group)]
    readers = [[m for m, step in enumerate(group) if made_by.output in step.inputs] for made_by in group]
    rows = [step.rows for step in group]
    last = len(group) - 1
    made, taken, kept = ([0] * len(group) for _ in range(3))
    # Whose row is read once, by the stage that works next.
    passing = [len(readers[n]) == 1 and passes(step, group[readers[n][0]]) for n, step in enumerate(group)]
    previous = last
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
        if n not in readers[previous]:
            passing[previous] = False
        previous = n
        if n != last:
            # Its new row joins those that some reader has not finished with.
            kept[n] = max(kept[n], made[n] + 1 - min(reads[m][0] for m in readers[n]))
        taken[n] += 1
        top = made[n] * rows[n].stride - rows[n].pad
        if not rows[n].singly or reads[n][1] >= min(top + rows[n].extent, rows[n].in_rows):
            made[n] += 1
            taken[n] = 0
        look_ahead(n)
    inner = group[:-1]
    return (
        {step.output: max(kept[n], 1) for n, step in enumerate(inner)},
        frozenset(step.output for n, step in enumerate(inner) if passing[n] and kept[n] <= 1),
    )
