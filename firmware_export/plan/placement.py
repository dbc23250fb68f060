"""Give every buffer of a grouped program its lifetime and its place."""

from __future__ import annotations

from dataclasses import replace

from firmware_export.layout import round_up
from firmware_export.plan.cuts import Cuts
from firmware_export.plan.packing import pack
from firmware_export.plan.value import ALIGNMENT, Buffer, Group, Plan


def lay_out(cuts: Cuts, groups: list[Group]) -> Plan:
    """Give every buffer its place."""
    group_of = {number: g for g, group in enumerate(groups) for number in group.steps}
    inner = {tensor for group in groups for tensor in group.rings}
    buffers: list[Buffer] = []
    spans: dict[int, list[int]] = {}
    for tensor, number in cuts.made.items():
        if tensor in cuts.outside or tensor in inner:
            continue
        span = [group_of[number], group_of[cuts.last_reader(tensor)]]
        owner = _owner(cuts, tensor, inner, groups, group_of)
        merged = spans.setdefault(owner, span)
        merged[0], merged[1] = min(merged[0], span[0]), max(merged[1], span[1])
    for tensor, (begin, last) in spans.items():
        buffers.append(Buffer(f"tensor {tensor}", cuts.size(tensor), begin, last, tensor=tensor))
    for g, group in enumerate(groups):
        for buffer in cuts.working(group):
            buffers.append(replace(buffer, first=g, last=g))
    placed, arena = pack(buffers)
    for tensor in cuts.made:
        if tensor not in cuts.outside and tensor not in inner:
            owner = _owner(cuts, tensor, inner, groups, group_of)
            if owner != tensor:
                home = next(b for b in placed if b.tensor == owner)
                # The same bytes under another name, with no lifetime of their own.
                placed.append(Buffer(f"tensor {tensor}", 0, home.first, home.last, tensor, None, home.offset))
    states, state_bytes = _states(cuts, len(groups))
    return Plan(cuts.program, tuple(groups), (*placed, *states), arena, state_bytes)


def _states(cuts: Cuts, groups: int) -> tuple[list[Buffer], int]:
    """What lives through all inferences, one after the other: (the buffers, bytes)."""
    found, offset = [], 0
    for number, step in enumerate(cuts.steps):
        if step.state:
            size = round_up(step.state, ALIGNMENT)
            name = f"state of {step.name}"
            found.append(Buffer(name, size, 0, groups - 1, step=number, offset=offset, persistent=True))
            offset += size
    return found, offset


def _owner(cuts: Cuts, tensor: int, inner: set[int], groups: list[Group], group_of: dict[int, int]) -> int:
    """The tensor whose memory ``tensor`` takes, which is itself unless a step works in place."""
    while tensor in cuts.shares:
        source = cuts.shares[tensor]
        if source in inner or groups[group_of[cuts.made[tensor]]].streamed:
            break
        tensor = source
    return tensor
