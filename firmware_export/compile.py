"""Compile a .tflite into plain C99, whole or not at all.

    compiled = compile_model(Path("student_int8.tflite"), Path("out"), "street_sounds")

writes ``street_sounds.c``, ``street_sounds.h`` and the kernels that the model needs.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from firmware_export import __version__
from firmware_export.ctext import identifier
from firmware_export.emit import RUNTIME, emit
from firmware_export.errors import ModelError
from firmware_export.files import write_bytes
from firmware_export.graph import read
from firmware_export.ir import Graph, Quantization
from firmware_export.passes import check, lower, simplify
from firmware_export.plan import Plan, largest, plans

OPTIMIZE = ("speed", "size")
# The header that every kernel reads.
_PATH = "edgesea_path.h"


@dataclass(frozen=True)
class CompiledOperator:
    """One step of a compiled model, as EDGESEA_PROFILE counts it.

    Parameters
    ----------
    number : int
        What EDGESEA_PROFILE is told.
    name : str
        The operators of the .tflite whose work it is: ``CONV_2D``, ``MUL + ADD``.
    indexes : tuple of int
        Their numbers in the .tflite.
    kernel : str
    multiply_accumulates : int
    streamed : bool
        Whether its output exists only as a ring of rows.
    """

    number: int
    name: str
    indexes: tuple[int, ...]
    kernel: str
    multiply_accumulates: int
    streamed: bool


@dataclass(frozen=True, eq=False)
class CompiledModel:
    """What ``compile_model`` made.

    Parameters
    ----------
    name : str
        The C identifier: prefix of files and functions.
    files : tuple of Path
        Everything written; each ``.c`` among them is to be compiled.
    sha256 : str
        Of the .tflite.
    arena_bytes : int
        On the path that needs the most.
    arenas : dict of str to int
        By path.
    state_bytes : int
        What it keeps from one inference to the next.
    constant_bytes : dict of str to int
        Weights, biases, multipliers and tables in flash, by path: ``plain``, ``dsp``, ``mve``.
    operators : tuple of CompiledOperator
    peak : str
        What the arena is largest for.
    inputs, outputs : tuple of (shape, dtype, Quantization or None)
    plan : Plan
        Of the path that needs the most, for ``explain``.
    """

    name: str
    files: tuple[Path, ...]
    sha256: str
    arena_bytes: int
    constant_bytes: dict[str, int]
    operators: tuple[CompiledOperator, ...]
    peak: str
    inputs: tuple[tuple[tuple[int, ...], str, Quantization | None], ...]
    outputs: tuple[tuple[tuple[int, ...], str, Quantization | None], ...]
    plan: Plan
    state_bytes: int = 0
    arenas: dict[str, int] = field(default_factory=dict)


def _planned(graph: Graph, ram_budget: int | None) -> dict[str, Plan]:
    """The plans; maps of width 1 are one row, the fastest, unless only streaming them fits the budget."""
    try:
        return plans(lower(graph), ram_budget)
    except ModelError:
        if ram_budget is None:
            raise
    return plans(lower(graph, turn=False), ram_budget)


def compile_model(
    model: str | os.PathLike | bytes,
    out: str | os.PathLike,
    name: str,
    *,
    ram_budget: int | None = None,
    optimize: str = "speed",
    command: str = "",
) -> CompiledModel:
    """Compile a .tflite into C.

    Parameters
    ----------
    model : path, or bytes of the file
    out : path of a folder
        Made if it does not exist. Nothing is written before everything is checked.
    name : str
        Any text; what C cannot have in an identifier becomes ``_``.
    ram_budget : int > 0 or None [bytes]
        The largest arena; see ``plan.plans``.
    optimize : str
        One of ``OPTIMIZE``: whether the kernels are compiled for speed, or for the least flash.
    command : str
        The command line to name in the header.

    Raises
    ------
    ModelError
        If the file is damaged, holds what the C model cannot do, or does not fit the budget, or the folder
        cannot be written.
    """
    if ram_budget is not None and ram_budget <= 0:
        raise ModelError(f"Received ram_budget = {ram_budget}: give a number of bytes above 0.")
    if optimize not in OPTIMIZE:
        raise ModelError(f"Received optimize = {optimize!r}: give one of {', '.join(OPTIMIZE)}.")
    graph = simplify(read(model))
    check(graph)
    found = _planned(graph, ram_budget)
    layout = largest(found)
    program = layout.program
    name = identifier(name)
    sources = emit(found, name, __version__, command)
    contents = {file: (RUNTIME / file).read_bytes() for file in sources.kernels}
    if optimize == "size":
        contents[_PATH] = contents[_PATH].replace(b"OPTIMIZE_SIZE 0", b"OPTIMIZE_SIZE 1")
    contents[f"{name}.c"] = sources.source.encode("ascii")
    contents[f"{name}.h"] = sources.header.encode("ascii")
    out = Path(out)
    try:
        for file, content in contents.items():
            write_bytes(out / file, content)
    except OSError as error:
        raise ModelError(f"{out} cannot be written: {error.strerror}.") from error
    inner = {tensor for group in layout.groups for tensor in group.rings}
    operators = tuple(
        CompiledOperator(
            number,
            step.name,
            tuple(op.index for op in step.operators),
            step.function,
            sum(graph.multiply_accumulates(op) for op in step.operators),
            step.output in inner,
        )
        for number, step in enumerate(program.steps)
    )
    return CompiledModel(
        name,
        tuple(sorted(out / file for file in contents)),
        graph.sha256,
        layout.arena_bytes,
        sources.constant_bytes,
        operators,
        layout.peak,
        tuple((t.shape, t.dtype, t.quantization) for t in (graph.tensors[i] for i in graph.inputs)),
        tuple((t.shape, t.dtype, t.quantization) for t in (graph.tensors[i] for i in graph.outputs)),
        layout,
        layout.state_bytes,
        {path: each.arena_bytes for path, each in found.items()},
    )
