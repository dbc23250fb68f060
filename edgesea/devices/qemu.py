"""What a compiled model costs on an emulated core.

QEMU runs every instruction in one nanosecond of its own clock (`-icount shift=0`), so a counter of that clock
counts instructions, the same number in every run. It models no pipeline, cache or memory: instructions and
memory are what it can be asked for, milliseconds never. `measure` also compares every output byte with
TFLite's reference kernels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgesea import __version__
from edgesea.errors import EdgeseaError, UsageError
from edgesea.interpreter import Interpreter, open_interpreter
from edgesea.measures import memory
from edgesea.measures.inputs import random_examples
from edgesea.running.emulator import (
    EMULATED,
    FLAGS,
    TIME_LIMIT_S,
    board_of,
    build,
    programs,
    run,
    scratch,
)
from edgesea.running.image import sections, symbols
from edgesea.running.programs import command, find, tool
from firmware_export import boards
from firmware_export.compile import CompiledModel, compile_model
from firmware_export.graph import ModelError, read

# What follows the colon of the device's name.
TARGET = "CORE"

PATHS = ("plain", "dsp", "mve")  # in the order of EDGESEA_PATH_PLAIN, _DSP, _MVE

# Buffers of the harness start at multiples of this, as a caller's would.
ALIGNMENT = 16

# Random inputs where none are given.
EXAMPLES = 3

# The longest line of the harness's report: LINE in harness.c.
LINE_BYTES = 64


def measure(
    model: Path | str,
    core: str,
    *,
    inputs: Sequence[Sequence[np.ndarray] | np.ndarray] | None = None,
    profile: bool = True,
    flags: Sequence[str] = (),
    optimize: str = "speed",
    limit_s: float = TIME_LIMIT_S,
) -> dict:
    """Compiles a .tflite into C, runs it on an emulated core and says what it costs there.

    Parameters
    ----------
    model : path of a .tflite
    core : "cortex-m4", ...; see `emulator.cores`
    inputs : examples in the model's own integers: an array each, or a tuple of arrays where the model has
        several inputs. Three random ones if None
    profile : whether to tell the operators apart too, in a second build and run
    flags : compiler flags that follow the usual ones
    optimize : "speed" or "size", see `firmware_export.compile.compile_model`
    limit_s : float > 0, seconds of the host after which one run of the emulator counts as hung

    Returns
    -------
    dict
        For JSON: `emulated` holds instructions of one inference, and flash (without the model's constants),
        static RAM, arena and stack in bytes, and whether every output byte equals TFLite's reference kernels;
        beside it the flash by section, the operators, and the conditions.

    Raises
    ------
    UsageError : there is no such core
    EdgeseaError : a tool is missing, or the model cannot be compiled, built or run
    """
    board = board_of(core)
    find(programs(board))
    reference = open_interpreter(model, resolver="reference")
    examples = (
        [_example(reference, example) for example in inputs]
        if inputs is not None
        else [tuple(example) for example in random_examples(reference.inputs, EXAMPLES)]
    )
    if not examples:
        raise UsageError("A measurement needs at least one input. Received: none.")
    with scratch() as folder:
        try:
            graph = read(model)
            compiled = compile_model(model, folder / "model", "measured", optimize=optimize)
        except ModelError as error:
            raise EdgeseaError(f"{model} has no C model: {error}") from error
        image, report, outputs = _inference(
            board, compiled, reference, examples, folder, flags, False, limit_s
        )
        expected = b"".join(_pack(reference.outputs_of(example)) for example in examples)
        differing = sum(a != b for a, b in zip(outputs, expected, strict=True))
        sizes = sections(image)
        constants = sum(s.size for s in symbols(image) if s.file == "measured.c" and s.section == ".rodata")
        flash = sum(size for name, size in sizes.items() if name != ".bss") - constants
        invokes = [values for word, *values in report if word == "invoke"]
        instructions = [round(ticks * board.emulator.instructions_per_tick) for ticks, _ in invokes]
        operators = []
        if profile:
            _, profiled, _ = _inference(
                board, compiled, reference, examples[:1], folder, flags, True, limit_s
            )
            operators = _operators(
                board, compiled, [values for word, *values in profiled if word == "operator"]
            )
        path = next(values[0] for word, *values in report if word == "path")
    return {
        "device": f"qemu:{core}",
        "engine": f"edgesea {__version__} C model, {PATHS[path]} kernels",
        "model": {
            "name": Path(model).name,
            "sha256": compiled.sha256,
            "multiply_accumulates": sum(operator.multiply_accumulates for operator in compiled.operators),
            "constant_bytes": constants,
        },
        "storage": memory.storage(graph),
        "activation": memory.activation(graph),
        "emulated": {
            "instructions": max(instructions),
            "flash_bytes": flash,
            "ram_bytes": sizes.get(".data", 0) + sizes.get(".bss", 0),
            "arena_bytes": compiled.arenas[PATHS[path]],
            "stack_bytes": max(stack for _, stack in invokes),
            "bit_exact": differing == 0,
        },
        "differing_bytes": differing,
        "compared_bytes": len(expected),
        "instructions_of_each_input": instructions,
        "instructions_resolution": board.emulator.instructions_per_tick,
        "flash_sections": {name: size for name, size in sizes.items() if name != ".bss"},
        "operators": operators,
        "conditions": {
            "board": board.title,
            "qemu": _first_line(tool(board.emulator.program, board.emulator.package)),
            "qemu_arguments": [*board.emulator.arguments, "-icount", "shift=0"],
            "compiler": _first_line(tool(board.toolchain.prefix + "gcc", board.toolchain.package)),
            "flags": [*board.toolchain.flags, *FLAGS, *flags],
            "reference": " ".join(reference.runtime) + " BUILTIN_REF",
            "flash_is": "vectors, text, rodata, data with a harness of 2 KB, without the model's constants",
            "ram_is": ".data + .bss: arena, input and output of the model, 8 bytes of the start-up; no stack",
        },
        "how": {
            "storage.model_bytes": "measured",
            "storage.weight_bytes": "computed",
            "activation": "computed",
            "emulated": "emulated",
            "emulated.flash_bytes": "measured in the image",
            "emulated.ram_bytes": "measured in the image",
            "emulated.arena_bytes": "computed",
        },
    }


def _example(model: Interpreter, example) -> tuple[np.ndarray, ...]:
    """One example as a tuple of arrays in the types and shapes of the model's inputs."""
    arrays = (example,) if isinstance(example, np.ndarray) else tuple(example)
    wanted = [f"{tensor.dtype} {tensor.shape}" for tensor in model.inputs]
    if len(arrays) != len(model.inputs) or any(
        array.dtype != tensor.dtype or array.size != np.prod(tensor.shape)
        for array, tensor in zip(arrays, model.inputs, strict=False)
    ):
        received = [f"{array.dtype} {array.shape}" for array in arrays]
        raise UsageError(f"An input of this model is {', '.join(wanted)}. Received: {', '.join(received)}.")
    return tuple(array.reshape(tensor.shape) for array, tensor in zip(arrays, model.inputs, strict=True))


def _offsets(sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where buffers of these sizes in bytes lie one after the other, and how long they are together."""
    offsets, end = [], 0
    for size in sizes:
        offsets.append(end)
        end += -(-size // ALIGNMENT) * ALIGNMENT
    return offsets, end


def _pack(arrays: Sequence[np.ndarray]) -> bytes:
    offsets, end = _offsets([array.nbytes for array in arrays])
    packed = bytearray(end)
    for offset, array in zip(offsets, arrays, strict=True):
        packed[offset : offset + array.nbytes] = np.ascontiguousarray(array).tobytes()
    return bytes(packed)


def _inference(
    board: boards.Board,
    compiled: CompiledModel,
    model: Interpreter,
    examples: Sequence[tuple[np.ndarray, ...]],
    folder: Path,
    flags: Sequence[str],
    profile: bool,
    limit_s: float,
) -> tuple[Path, list[tuple], bytes]:
    """Builds the harness around a compiled model and runs the examples.

    Returns the image, the harness's report as (word, number, ...), and the output bytes.
    """
    ins, in_bytes = _offsets([tensor.bytes for tensor in model.inputs])
    outs, out_bytes = _offsets([tensor.bytes for tensor in model.outputs])
    # void * because the parameters' types differ from model to model; C converts it to any of them.
    arguments = [f"(const void *)((in) + {offset})" for offset in ins]
    arguments += [f"(void *)((out) + {offset})" for offset in outs]
    lines = [
        f'#include "{compiled.name}.h"',
        '#include "edgesea_path.h"',
        f"#define SUBJECT_INPUT_BYTES {in_bytes}",
        f"#define SUBJECT_OUTPUT_BYTES {out_bytes}",
        f"#define SUBJECT_INVOKE(in, out) {compiled.name}_invoke({', '.join(arguments)})",
    ]
    if profile:
        lines.append(f"#define SUBJECT_PROFILE {len(compiled.operators)}")
        flags = [*flags, "-DEDGESEA_PROFILE_HOOK"]
    (folder / "subject.h").write_text("\n".join(lines) + "\n")
    sources = [path for path in compiled.files if path.suffix == ".c"]
    image = build(
        board,
        [EMULATED / "harness.c", *sources],
        folder,
        includes=[folder, sources[0].parent],
        flags=flags,
        libraries=["-lm"],
    )
    expected_bytes = out_bytes * len(examples)
    expected_lines = 1 + len(examples) * (1 + (len(compiled.operators) if profile else 0))
    finished = run(
        board,
        image,
        given={"inputs.bin": b"".join(_pack(example) for example in examples)},
        wanted={"outputs.bin": expected_bytes, "report.txt": expected_lines * LINE_BYTES},
        limit_s=limit_s,
        measuring=True,
    )
    outputs = finished.files.get("outputs.bin", b"")
    report = _report(finished.files.get("report.txt", b""))
    if len(outputs) != expected_bytes or len(report) != expected_lines:
        raise EdgeseaError(
            f"The program on {board.name} ended after {len(outputs)} of {expected_bytes} bytes of output and "
            f"{len(report)} of {expected_lines} lines of its report: measure again."
        )
    return image, report, outputs


def _report(text: bytes) -> list[tuple]:
    """The harness's report as (word, number, ...), a line each."""
    return [
        (word, *map(int, numbers))
        for word, *numbers in map(str.split, text.decode("ascii", "replace").splitlines())
    ]


def _operators(board: boards.Board, compiled: CompiledModel, ticks: Sequence[Sequence[int]]) -> list[dict]:
    found = []
    for operator, (_, count) in zip(compiled.operators, ticks, strict=True):
        instructions = round(count * board.emulator.instructions_per_tick)
        macs = operator.multiply_accumulates
        found.append(
            {
                "number": operator.number,
                "name": operator.name,
                "kernel": operator.kernel,
                "instructions": instructions,
                "multiply_accumulates": macs,
                "instructions_per_multiply_accumulate": round(instructions / macs, 3) if macs else None,
            }
        )
    return found


def _first_line(program: str) -> str:
    """The first line of what a tool says of its version."""
    _, text = command([program, "--version"], Path.cwd(), 60)
    return re.sub(r"\s+", " ", text.splitlines()[0]) if text else "unknown"
