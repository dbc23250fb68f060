"""Place buffers in the arena: several orders, each buffer at the lowest free place."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from firmware_export.plan.value import Buffer, in_use

# Pairs of buffers compared while packing.
_COMPARISONS = 4_000_000


def pack(buffers: Sequence[Buffer]) -> tuple[list[Buffer], int]:
    """Place buffers so that no two that live at the same time overlap: (the buffers with offsets, arena
    bytes).
    """
    if not buffers:
        return [], 0
    moments = range(max(b.last for b in buffers) + 1)
    bound = max(in_use(buffers, m) for m in moments)
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
    placed = [replace(buffer, offset=offset) for buffer, offset in zip(buffers, offsets, strict=True)]
    return placed, arena


def _first_fit(buffers: Sequence[Buffer], order: Sequence[int]) -> list[int]:
    """The lowest free offset for each buffer, taken in ``order``."""
    offsets = [0] * len(buffers)
    done: list[int] = []
    for i in order:
        buffer = buffers[i]
        neighbours = sorted(
            (offsets[j], offsets[j] + buffers[j].bytes) for j in done if buffers[j].meets(buffer)
        )
        offset = 0
        for begin, end in neighbours:
            if offset + buffer.bytes <= begin:
                break
            offset = max(offset, end)
        offsets[i] = offset
        done.append(i)
    return offsets
