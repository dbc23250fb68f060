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

from dataclasses import replace

from firmware_export.errors import ModelError
from firmware_export.plan.cuts import Cuts
from firmware_export.plan.order import frugal_order
from firmware_export.plan.placement import lay_out
from firmware_export.plan.value import Buffer, Group, Plan
from firmware_export.program import Program

__all__ = ["Buffer", "Group", "Plan", "plan"]

# Far beyond what fits a microcontroller; it keeps planning within seconds.
MOST_STEPS = 1000


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
    frugal = frugal_order(program)
    if frugal != list(program.steps):
        programs.append(replace(program, steps=tuple(frugal)))
    choices = [Cuts(candidate) for candidate in programs]
    cuts, best = min(
        ((c, lay_out(c, c.groups(None))) for c in choices), key=lambda choice: choice[1].arena_bytes
    )
    if ram_budget is None:
        return best
    if best.arena_bytes > ram_budget:
        raise ModelError(
            f"The model needs an arena of {best.arena_bytes} bytes, more than the budget of {ram_budget}; "
            f"the most is needed by {best.peak}. Allow more memory or choose a smaller model."
        )
    relaxed = lay_out(cuts, cuts.groups(ram_budget))
    return relaxed if relaxed.arena_bytes <= ram_budget else best
