"""How many instructions a model takes on a Cortex-M4, before it runs anywhere: a calibrated table.

A kernel of the C model is loops in loops, so its instructions are a sum of counts (rows, pixels, words of
weights, ...), each times a constant. Which counts matter is read off the kernels' sources; the constants were
fitted, none below 0, to what the emulator counts of the operators of several dozen random students
(`benchmarks/calibrate.py`), and lie in instructions.json.

The table is for `firmware_export/runtime/` as it is, and for the flags in it; it is made again where a kernel
changes. It knows the kernels that students use.
"""

import functools
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path

from edgesea.errors import EdgeseaError
from firmware_export.plan import Plan
from firmware_export.program import Program, Rows, Step

FILE = Path(__file__).with_name("instructions.json")
CORE = "cortex-m4"

# edgesea_kernels.h, edgesea_conv_row_dsp.c, edgesea_depthwise_paired_row_dsp.c
_PIXELS, _CHUNK, _SEGMENT = 5, 400, 32


def instructions(plan: Plan) -> float:
    """What one inference takes, estimated.

    Raises
    ------
    EdgeseaError
        The model uses a kernel that the table does not have.
    """
    table = _table()
    total = 0.0
    for kernel, counts in counted(plan):
        if kernel not in table:
            raise EdgeseaError(
                f"What the kernel {kernel} takes on a {CORE} was not measured: choose another student, or "
                "add it to edgesea/searching/instructions.py and run benchmarks/calibrate.py."
            )
        total += sum(table[kernel].get(name, 0.0) * count for name, count in counts.items())
    return total


@functools.cache
def _table() -> dict[str, dict[str, float]]:
    return json.loads(FILE.read_text(encoding="utf-8"))["kernels"]


def counted(plan: Plan) -> list[tuple[str, dict[str, float]]]:
    """The kernel of every step, and what its loops do, by name."""
    streamed = {number for group in plan.groups if group.streamed for number in group.steps}
    found = []
    for number, step in enumerate(plan.program.steps):
        kernel = "edgesea_conv_row" if step.function == "edgesea_pointwise_row" else step.function
        if step.rows is None:
            counts = _whole(step, plan.program)
        else:
            counts = _row_by_row(step, step.rows, kernel)
            counts["streamed"] = counts["rows"] * (number in streamed)
        found.append((kernel, {name: float(count) for name, count in counts.items() if count}))
    return found


def _row_by_row(step: Step, axis: Rows, kernel: str) -> dict[str, float]:
    """Of a kernel that makes one row after the other, and of the table that may be applied to each."""
    rows = axis.out_rows * step.batch
    table = 0 if step.table is None else rows * axis.out_row_bytes
    fields = step.constant.fields if step.constant else {}
    return {"rows": rows, "table": table, **_ROWS.get(kernel, _elements)(axis, fields, rows)}


def _elements(axis: Rows, fields: Mapping, rows: int) -> dict[str, float]:
    return {"in": rows * axis.in_row_bytes, "out": rows * axis.out_row_bytes}


def _conv(axis: Rows, fields: Mapping, rows: int) -> dict[str, float]:
    """Up to five pixels at a time are gathered, then met with the weights of one channel after another."""
    width, channels, deep = fields["out_width"], fields["out_channels"], fields["in_channels"]
    line = fields["kernel_width"] * deep
    taps = fields["kernel_height"] * line
    words = -(-taps // 4)
    chunks = 1
    if 4 * words > _CHUNK and line % 4 == 0:
        chunks = -(-fields["kernel_height"] // (max(1, _CHUNK // line)))
    groups = -(-width // _PIXELS)
    pixels = rows * width
    gathered = "words" if deep % 4 == 0 else "bytes"
    return {
        "groups": rows * groups * chunks,
        "group channels": rows * groups * chunks * channels,
        "group channel words": rows * groups * channels * words,
        "pixel channels": pixels * channels,
        "pixel channel chunks": pixels * channels * (chunks - 1),
        "pixel channel words": pixels * channels * words,
        "pixels": pixels,
        f"pixel lines, {gathered}": pixels * fields["kernel_height"],
        f"pixel taps, {gathered}": pixels * taps,
        **_clamped(fields, pixels * channels),
    }


def _depthwise_3x3(axis: Rows, fields: Mapping, rows: int) -> dict[str, float]:
    """Four channels at a time: columns are widened, then outputs made two at a time, with stride 2 singly."""
    width, channels = fields["out_width"], fields["in_channels"]
    fours = rows * max(1, -(-channels // 4))
    pairs = width // 2 if fields["stride"] == 1 else 0
    return {
        "fours": fours,
        "four columns": fours * ((width - 1) * fields["stride"] + 3),
        "four pairs": fours * pairs,
        "four singles": fours * (width - 2 * pairs),
        **_clamped(fields, rows * width * channels),
    }


def _depthwise_paired(axis: Rows, fields: Mapping, rows: int) -> dict[str, float]:
    """Four channels at a time, in segments of 32 outputs; four outputs at a time where there are as many."""
    width, channels = fields["out_width"], fields["in_channels"]
    high, wide, stride = fields["kernel_height"], fields["kernel_width"], fields["stride"]
    words = high // 2 * wide + high % 2 * -(-wide // 2)
    segments = -(-width // _SEGMENT)
    fours = rows * max(1, -(-channels // 4))
    columns = (width - 1) * stride + segments * ((wide - 1) * fields["dilation"] + 1)
    blocks = -(-width // 4) if width >= 4 else 0
    kind = "neighbours" if stride == 1 else "apart"
    return {
        "four segments": fours * segments,
        "four columns": fours * columns * -(-high // 2),
        "channel segments": 4 * fours * segments,
        f"blocks, {kind}": 4 * fours * blocks,
        f"block words, {kind}": 4 * fours * blocks * words,
        "singles": 4 * fours * (0 if blocks else width),
        "single words": 4 * fours * (0 if blocks else width) * words,
        **_clamped(fields, rows * width * channels),
    }


def _pool(axis: Rows, fields: Mapping, rows: int) -> dict[str, float]:
    places = rows * fields["out_width"]
    seen = places * fields["kernel_width"] * axis.height
    return {
        "places": places,
        "window places": seen,
        "window values": seen * fields["channels"],
        # The maximum takes four values at a time, and what is left one by one.
        "window rest": seen * (fields["channels"] % 4),
        "values": places * fields["channels"],
    }


def _mean(axis: Rows, fields: Mapping, rows: int) -> dict[str, float]:
    lines = rows * axis.in_rows  # it makes one row of all
    return {
        "lines": lines,
        "places": lines * fields["width"],
        "values": lines * fields["width"] * fields["channels"],
        "channels": rows * fields["channels"],
    }


def _pairwise(axis: Rows, fields: Mapping, rows: int) -> dict[str, float]:
    values = rows * fields["count"]
    runs = rows * -(-fields["count"] // max(1, fields["period"])) if "period" in fields else 0
    return {"values": values, "runs": runs, **_clamped(fields, values)}


def _clamped(fields: Mapping, values: int) -> dict[str, float]:
    """Where the kernel's own saturation is not enough."""
    if (fields.get("low", -128), fields.get("high", 127)) == (-128, 127):
        return {}
    return {"clamped": values}


_ROWS: dict[str, Callable[[Rows, Mapping, int], dict[str, float]]] = {
    "edgesea_conv_row": _conv,
    "edgesea_depthwise_3x3_row": _depthwise_3x3,
    "edgesea_depthwise_paired_row": _depthwise_paired,
    "edgesea_max_pool_row": _pool,
    "edgesea_average_pool_row": _pool,
    "edgesea_mean_row": _mean,
    "edgesea_add_row": _pairwise,
    "edgesea_mul_row": _pairwise,
}


def _whole(step: Step, program: Program) -> dict[str, float]:
    """Of a kernel on whole tensors."""
    sources = [math.prod(program.tensor(each).shape) for each in step.inputs]
    result = math.prod(program.tensor(step.output).shape)
    counts: dict[str, float] = {"calls": len(step.calls), "in": sum(sources), "out": result}
    for fields in (constant.fields for constant in step.constants):
        if step.function == "edgesea_fully_connected":
            outputs, words = fields["rows"] * fields["outputs"], -(-fields["inputs"] // 4)
            fours = fields["rows"] * (fields["outputs"] // 4)
            counts |= {"rows": fields["rows"], "row words": fields["rows"] * words}
            counts |= {"fours": fours, "four words": fours * words}
            counts |= {"ones": outputs - 4 * fours, "one words": (outputs - 4 * fours) * words}
        elif step.function == "edgesea_batch_matmul":
            counts["products"] = result * fields["depth"]
        elif step.function == "edgesea_copy":
            counts |= _copied(fields)
    return counts


def _copied(fields: Mapping) -> dict[str, float]:
    """Runs of bytes at the points of a walk; the C library copies long ones by words."""
    sizes = fields["axes"].values["size"].astype(int)
    runs, run = math.prod(sizes.tolist()), fields["run"]
    kind = "long" if run >= 16 else "short"
    return {
        f"{kind} runs": runs,
        f"{kind} run bytes": runs * run,
        f"{kind} run rest": runs * (run % 4),
        "turns": runs // int(sizes[-1]),
    }
