"""What a student would cost on a device, before it is trained.

Bytes do not depend on what a student has learnt: it is built with random weights, converted to int8 with
random patches, and the C compiler is asked, which takes about a second and is exact. Instructions are those
of the calibrated table (see `instructions`): a search asks hundreds of times, counting them under the
emulator takes ten times as long, and needs it and a cross compiler on the machine that searches.
"""

from dataclasses import dataclass

import numpy as np

from edgesea import students
from edgesea.errors import EdgeseaError
from edgesea.frontend import Frontend
from edgesea.named import Choice
from edgesea.searching.instructions import instructions
from firmware_export import emit
from firmware_export.errors import ModelError
from firmware_export.graph import read
from firmware_export.passes import check, lower, simplify
from firmware_export.plan import largest, plans

# Patches that stand for sound: ranges of activations move no byte.
_PATCHES = 16


@dataclass(frozen=True)
class Cost:
    """What a student takes.

    Attributes
    ----------
    constant_bytes : dict of str to int
        Weights, multipliers and tables in flash, by path of kernels: plain, dsp, mve.
    arenas : dict of str to int
        Bytes of RAM that the model works in, by path.
    arena_bytes, input_bytes, output_bytes : int
        Of RAM; the arena is that of the path that needs the most.
    steps : int
        Of the C model, each a kernel at work.
    multiply_accumulates : int
    instructions : int
        Of one inference on a Cortex-M4, estimated.
    """

    constant_bytes: dict[str, int]
    arenas: dict[str, int]
    arena_bytes: int
    input_bytes: int
    output_bytes: int
    steps: int
    multiply_accumulates: int
    instructions: int


def cost(student: Choice | str, frontend: Frontend, dimension: int) -> Cost:
    """What a student takes that nobody has trained.

    Raises
    ------
    UsageError
        The student is unknown, or cannot take the frontend's patches.
    EdgeseaError
        It has no int8 model or no C model, or uses a kernel that was not measured.
    """
    return cost_of(untrained(student, frontend, dimension))


def untrained(student: Choice | str, frontend: Frontend, dimension: int) -> bytes:
    """The int8 .tflite of a student with random weights, the same for the same student."""
    from edgesea import backend
    from edgesea.exporting.tflite import convert_int8

    backend.load()
    import keras

    keras.utils.set_random_seed(0)
    try:
        model = students.build(student, frontend.frames, frontend.mels, dimension)
        shape = (_PATCHES, frontend.frames, frontend.mels, 1)
        return convert_int8(model, np.random.default_rng(0).standard_normal(shape, np.float32))
    finally:
        keras.backend.clear_session()


def cost_of(model: bytes) -> Cost:
    """What an int8 .tflite takes; raises `EdgeseaError` where it has no C model."""
    try:
        graph = simplify(read(model))
        check(graph)
        found = plans(lower(graph))
        layout = largest(found)
        sources = emit.emit(found, "candidate", "", "")
    except ModelError as error:
        raise EdgeseaError(f"The student has no C model: {error}") from error
    return Cost(
        sources.constant_bytes,
        {path: each.arena_bytes for path, each in found.items()},
        layout.arena_bytes,
        sum(graph.tensors[i].bytes for i in graph.inputs),
        sum(graph.tensors[i].bytes for i in graph.outputs),
        len(layout.program.steps),
        sum(map(graph.multiply_accumulates, graph.operators)),
        round(instructions(layout)),
    )
