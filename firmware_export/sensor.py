"""Write the sensor program: what a board runs, sound in and one line of JSON an event out.

    compiled = compile_model(model, folder, "street_sounds")
    files = write_sensor(compiled, frontend, folder)

The folder then holds the model and its frontend, a library that links by itself; its folder `sensor` holds
the program that uses them, whole but for the board's own two functions: see runtime/sensor.h.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from firmware_export import ctext
from firmware_export.compile import CompiledModel
from firmware_export.decisions import RECORDS, Decisions, decision_sources
from firmware_export.emit import RUNTIME, TEMPLATES
from firmware_export.files import write_text
from firmware_export.frontend import HEADERS, SOURCES, FrontendError, frontend_sources
from firmware_export.graph import Graph, Quantization

PROGRAM = "sensor"
PROGRAM_FILES = ("sensor.h", "sensor_parts.h", "sensor.c", "sensor_say.c")
SEMIHOSTING = RUNTIME / "sensor_semihosting.c"


@dataclass(frozen=True, eq=False)
class Ends:
    """What the sensor program has to know of a model; a CompiledModel has it too.

    name : str, the C identifier
    inputs, outputs : tuple of (shape, dtype, Quantization or None)
    state_bytes : int, what the compiled model keeps from one inference to the next
    """

    name: str
    inputs: tuple[tuple[tuple[int, ...], str, Quantization | None], ...]
    outputs: tuple[tuple[tuple[int, ...], str, Quantization | None], ...]
    state_bytes: int = 0


def ends_of(graph: Graph, name: str) -> Ends:
    """The inputs and outputs of a model that need not be one that can be compiled."""

    def tensors(numbers) -> tuple:
        return tuple((t.shape, t.dtype, t.quantization) for t in (graph.tensors[each] for each in numbers))

    return Ends(name, tensors(graph.inputs), tensors(graph.outputs))


def hears_int8(ends: CompiledModel | Ends) -> bool:
    """Whether all inputs and outputs are int8, which is what the frontend and the sensor program speak."""
    return all(dtype == "int8" for _, dtype, _ in (*ends.inputs, *ends.outputs))


def write_sensor(
    compiled: CompiledModel | Ends,
    frontend,
    out: str | os.PathLike,
    *,
    decisions: Decisions | None = None,
    every_s: float | None = None,
    command: str = "",
) -> tuple[Path, ...]:
    """Write frontend, decisions and sensor program for a compiled model.

    Parameters
    ----------
    compiled : the model, int8 from one patch to an embedding, to scores, or to both in this order
    frontend : the frontend's value (`edgesea.frontend.Frontend`)
    out : the folder of the compiled model
    decisions : what makes events of what it gives; None for a program that says embeddings
    every_s : without decisions, float > 0, seconds from one decision to the next, rounded to what the
        frontend can do; by
        default a patch's length, so that each sample is heard once. A padded frontend decides once a patch at
        most.
    command : the command line to name in the files

    Returns
    -------
    tuple of Path
        Everything written; `.c` files are to be compiled together with the model's, with `out` among the
        folders of headers.

    Raises
    ------
    FrontendError : a model with other inputs or outputs, or a frontend that does not fit it
    """
    patch = _int8(compiled, "input", compiled.inputs)
    gives = [math.prod(_int8(compiled, "output", (each,))[0]) for each in compiled.outputs]
    embedding = _int8(compiled, "output", compiled.outputs[:1])
    _check(compiled, gives, decisions)
    # The scores are the last output, the embedding is the first, if it is there.
    embeds = decisions is None or decisions.head == 0 or len(gives) == 2
    files = frontend_sources(
        frontend,
        compiled.name,
        scale=patch[1].scale,
        zero_point=patch[1].zero_point,
        input_shape=patch[0],
        # Decisions are the same on every core, so what they are about has to be.
        integer=decisions is not None,
        command=command,
    )
    padded = frontend.left_padding > 0 or frontend.right_padding > 0
    period = frontend.samples if padded else frontend.hop
    wanted = frontend.samples / frontend.sample_rate if every_s is None else every_s
    every = max(1, round(wanted * frontend.sample_rate / period)) if decisions is None else decisions.every
    runtime, program = [*HEADERS, *SOURCES], ["sensor_embedding.c"]
    if decisions is not None:
        runtime += decisions.runtime_files
        program = list(decisions.program_files)
        files |= decision_sources(
            decisions,
            compiled.name,
            dimension=gives[0],
            zero_point=embedding[1].zero_point,
            command=command,
        )
    for name in runtime:
        files[name] = (RUNTIME / name).read_text(encoding="ascii")
    files[f"{PROGRAM}/sensor_model.h"] = (
        ctext.environment(TEMPLATES)
        .get_template("sensor_model.h.jinja")
        .render(
            name=compiled.name,
            NAME=compiled.name.upper(),
            state_bytes=compiled.state_bytes,
            origin=ctext.origin(command),
            decisions=decisions,
            records=RECORDS,
            outputs=len(gives),
            output_bytes=sum(gives),
            embedding_bytes=gives[0] if embeds else 0,
            scale=repr(embedding[1].scale),
            zero_point=embedding[1].zero_point,
            patch_every=f"{period} samples",
            every=every,
        )
    )
    for name in (*PROGRAM_FILES, *program):
        files[f"{PROGRAM}/{name}"] = (RUNTIME / name).read_text(encoding="ascii")
    for name, text in files.items():
        write_text(Path(out) / name, text)
    return tuple(Path(out) / name for name in files)


def _check(ends: CompiledModel | Ends, gives: list[int], decisions: Decisions | None) -> None:
    """FrontendError where the outputs are not what the decisions are about."""
    head = 0 if decisions is None else decisions.head
    wanted = 2 if decisions is not None and decisions.memory and head else 1
    if len(gives) < wanted or len(gives) > (2 if head else 1) or (head and gives[-1] != head):
        told = f"a head of {head} classes" if head else "an embedding alone"
        raise FrontendError(
            f"The model {ends.name} has {len(gives)} outputs of {', '.join(map(str, gives))} values, and its "
            f"decisions are about {told}: export it again."
        )


def _int8(compiled: CompiledModel | Ends, role: str, tensors):
    """The model's one (shape, quantisation) of that role."""
    if len(tensors) != 1 or tensors[0][1] != "int8" or tensors[0][2] is None:
        kinds = ", ".join(dtype for _, dtype, _ in tensors)
        raise FrontendError(
            f"The model {compiled.name} has these {role}s: {kinds}; the sensor program runs a model with one "
            f"int8 {role}: export it with --int8."
        )
    shape, _, quantization = tensors[0]
    return shape, quantization
