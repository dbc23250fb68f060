"""Draw a plan: which bytes of the arena hold what, and when.

``as_text`` is for the terminal: each group of steps, what is in the arena meanwhile, and the peak with its
cause. ``draw`` is the same as a picture: time to the right, addresses upwards. Both show the planner's own
numbers; nothing is measured here.
"""

from __future__ import annotations

from pathlib import Path

from firmware_export.files import replacing
from firmware_export.plan import Buffer, Group, Plan

_WIDTH = 60


def as_text(plan: Plan) -> str:
    """The plan as lines of text, at most 110 characters wide."""
    program = plan.program
    streamed = sum(len(group.steps) for group in plan.groups if group.streamed)
    lines = [
        f"{program.graph.name}: {len(program.steps)} steps in {len(plan.groups)} groups, "
        f"{streamed} of them streamed row by row",
        f"arena {plan.arena_bytes} bytes, by the plan; inputs and outputs are apart",
    ]
    if plan.groups:
        lines.append(_cause(plan))
    for number, group in enumerate(plan.groups):
        lines += ["", f"{number}: {_title(plan, group)}"]
        for buffer in plan.live(number):
            if buffer.bytes:
                end = buffer.offset + buffer.bytes
                lines.append(f"    {buffer.offset:>8} .. {end:<8} {_bar(plan, buffer)}  {buffer.name}")
        lines.append(
            f"    {plan.in_use(number)} bytes in use" + (", the peak" if number == plan.peak_group else "")
        )
    return "\n".join(lines) + "\n"


def _cause(plan: Plan) -> str:
    live = plan.live(plan.peak_group)
    used = plan.in_use(plan.peak_group)
    if not used:
        return "nothing is kept in the arena"
    largest = max(live, key=lambda buffer: buffer.bytes)
    return (
        f"peak {used} bytes during group {plan.peak_group}; "
        f"the largest part is {largest.name}, {largest.bytes} bytes; "
        f"{plan.arena_bytes - used} bytes lost to gaps"
    )


def _title(plan: Plan, group: Group) -> str:
    names = [plan.program.steps[number].name for number in group.steps]
    text = f"{'stream of ' if group.streamed else ''}{', '.join(names)}"
    return text if len(text) <= 100 else text[:97] + "..."


def _bar(plan: Plan, buffer: Buffer) -> str:
    """The buffer's place in the arena as a line of `_WIDTH` characters."""
    scale = _WIDTH / plan.arena_bytes
    first = min(int(buffer.offset * scale), _WIDTH - 1)
    end = max(int((buffer.offset + buffer.bytes) * scale), first + 1)
    return "." * first + "#" * (end - first) + "." * (_WIDTH - end)


def draw(plan: Plan, path: str | Path) -> None:
    """Write the plan as a picture.

    Parameters
    ----------
    plan : Plan
    path : path
        Its ending says the format: ``.svg`` or ``.png``.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(max(6, 1.2 * len(plan.groups) + 3), 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    colours = {"tensor": "tab:blue", "rows": "tab:orange", "working memory": "tab:grey"}
    for buffer in plan.buffers:
        if not buffer.bytes or buffer.persistent:
            continue
        kind = "working memory" if buffer.tensor is None else "rows" if "rows of" in buffer.name else "tensor"
        place = (buffer.first, buffer.offset / 1024)
        size = (buffer.last - buffer.first + 1, buffer.bytes / 1024)
        axes.add_patch(Rectangle(place, *size, facecolor=colours[kind], edgecolor="white", linewidth=0.6))
        if buffer.bytes > plan.arena_bytes / 30:
            middle = (place[0] + size[0] / 2, place[1] + size[1] / 2)
            axes.annotate(buffer.name, middle, ha="center", va="center", fontsize=6, color="white")
    axes.axhline(plan.arena_bytes / 1024, color="tab:red", linewidth=1)
    axes.set_xlim(0, max(len(plan.groups), 1))
    axes.set_ylim(0, max(plan.arena_bytes / 1024 * 1.05, 1))
    axes.set_xticks([n + 0.5 for n in range(len(plan.groups))])
    axes.set_xticklabels(
        [_title(plan, group)[:28] for group in plan.groups], rotation=60, ha="right", fontsize=7
    )
    axes.set_ylabel("address in the arena, KiB")
    axes.set_title(
        f"{plan.program.graph.name}: arena {plan.arena_bytes} bytes, peak in group {plan.peak_group}"
    )
    axes.legend(
        handles=[Rectangle((0, 0), 1, 1, facecolor=colour, label=kind) for kind, colour in colours.items()],
        fontsize=7,
        loc="upper right",
    )
    with replacing(path) as temporary:
        # The date would make two pictures of one plan differ.
        figure.savefig(temporary, metadata={"Date": None} if str(path).endswith(".svg") else None)
