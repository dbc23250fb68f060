"""Decide where every value lives and which steps run as a stream.

The steps run in order, cut into groups. The steps of a group that holds more than one run as a stream: the
last one asks for its rows one by one, each row asks for the rows above that it needs, and every feature map
inside the group keeps only as many rows as its readers look back on, in a ring. Each row is made exactly
once, so a stream costs no arithmetic, only a look at the counters for each row; what it saves is whole
feature maps. A pooling whose windows do not overlap takes its rows as they appear and needs one row of its
input. A row that is read once, right after it is made, takes memory only while its maker and its reader work,
as the working memory of a kernel does while that works.

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

from collections.abc import Mapping
from dataclasses import replace

from firmware_export.errors import ModelError
from firmware_export.plan.cuts import Cuts
from firmware_export.plan.order import frugal_order
from firmware_export.plan.placement import lay_out
from firmware_export.plan.value import Buffer, Group, Plan
from firmware_export.program import PATHS, Program

__all__ = ["Buffer", "Group", "Plan", "largest", "plan", "plans"]

# Far beyond what fits a microcontroller; it keeps planning within seconds.
MOST_STEPS = 1000


def plans(program: Program, ram_budget: int | None = None) -> dict[str, Plan]:
    """Group the steps of ``program`` and lay out their memory, for each path, whose kernels want their own.

    Parameters
    ----------
    program : Program
    ram_budget : int > 0 or None [bytes]
        The largest arena allowed, on every path. With None arenas are as small as the planner can make them.

    Returns
    -------
    dict of str to Plan
        By path; the order of the steps is the same in all.

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
    frugal = frugal_order(program)
    if frugal != list(program.steps):
        programs.append(replace(program, steps=tuple(frugal)))
    choices = [_on_every_path(candidate, None) for candidate in programs]
    best = min(choices, key=lambda choice: largest(choice).arena_bytes)
    if ram_budget is None:
        return best
    worst = largest(best)
    if worst.arena_bytes > ram_budget:
        raise ModelError(
            f"The model needs an arena of {worst.arena_bytes} bytes, more than the budget of {ram_budget}; "
            f"the most is needed by {worst.peak}. Allow more memory or choose a smaller model."
        )
    relaxed = _on_every_path(worst.program, ram_budget)
    return {path: each if each.arena_bytes <= ram_budget else best[path] for path, each in relaxed.items()}


def largest(found: Mapping[str, Plan]) -> Plan:
    """The plan with the largest arena."""
    return max(found.values(), key=lambda each: each.arena_bytes)


def plan(program: Program, ram_budget: int | None = None) -> Plan:
    """The plan of the path that needs the largest arena, see ``plans``."""
    return largest(plans(program, ram_budget))


def _on_every_path(program: Program, budget: int | None) -> dict[str, Plan]:
    """A plan for each path; paths whose kernels want the same working memory share it."""
    found: dict[tuple, Plan] = {}
    by_path = {}
    for path in PATHS:
        wanted = tuple((s.scratch.get(path, 0), s.in_place_on.get(path, s.in_place)) for s in program.steps)
        if wanted not in found:
            cuts = Cuts(program, path)
            found[wanted] = lay_out(cuts, cuts.groups(budget))
        by_path[path] = found[wanted]
    return by_path
