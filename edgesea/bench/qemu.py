"""Building and running programs on emulated cores, and what a compiled model costs there.

QEMU runs every instruction in one nanosecond of its own clock (`-icount shift=0`), so a counter of that clock
counts instructions, the same number in every run. It models no pipeline, cache or memory: instructions and
memory are what it can be asked for, milliseconds never.

Three layers, each usable alone: `build` makes an image for a board, `run` executes it under a time limit,
`measure` does both for a compiled model and compares every output byte with TFLite's reference kernels.
"""

import contextlib
import os
import re
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesea import __version__
from edgesea.bench import memory
from edgesea.errors import EdgeseaError, UsageError
from edgesea.interpreter import Interpreter, open_interpreter
from firmware_export import boards
from firmware_export.compile import CompiledModel, compile_model
from firmware_export.graph import ModelError, read

EMULATED = Path(boards.__file__).resolve().parents[1] / "emulated"

# The paper's Student 3 takes seconds on the plain cores; what takes this long hangs.
TIME_LIMIT_S = 600.0

# -O2 as the least common denominator; what the fast paths gain from more they ask for themselves.
FLAGS = ("-std=c99", "-O2", "-ffunction-sections", "-fdata-sections", "-fno-common", "-g0")


def cores() -> list[str]:
    """The cores that `qemu:CORE` may name."""
    return [name.removeprefix("qemu-") for name in boards.names() if name.startswith("qemu-")]


def board_of(core: str) -> boards.Board:
    """The emulated board of a core; UsageError where there is none."""
    if core not in cores():
        raise UsageError(f"There is no emulated core {core!r}; choose one of: {', '.join(cores())}.")
    return boards.board(f"qemu-{core}")


def tool(program: str, package: str) -> str:
    """The path of a program; where it is missing, EdgeseaError names the command that installs it."""
    path = shutil.which(program)
    if path is None:
        raise EdgeseaError(f"The program {program} is not installed; run: sudo apt install {package}")
    return path


def command(arguments: Sequence[str | Path], folder: Path, limit_s: float) -> tuple[int, str]:
    """Runs a program in `folder`, without a shell and as a process group of its own, which is killed as a
    whole when `limit_s` seconds have passed or the caller is interrupted.

    Returns:
        its exit code, and what it wrote to standard output and standard error together.
    """
    process = subprocess.Popen(
        [str(argument) for argument in arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        text, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise EdgeseaError(
            f"{Path(arguments[0]).name} was still running after {limit_s:g} seconds and was stopped."
        ) from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return process.returncode, text.decode("utf-8", "replace")


# ---------------------------------------------------------------- images


def build(
    board: boards.Board,
    sources: Sequence[Path],
    folder: Path,
    *,
    includes: Sequence[Path] = (),
    flags: Sequence[str] = (),
    libraries: Sequence[str] = (),
) -> Path:
    """Compiles and links C sources with the board's start-up code and semihosting.

    Args:
        board: an emulated board.
        sources: C files; one of them holds `int main(void)`, and may include emulated.h and semihosting.h.
        folder: where the linker's memory map and the image go; existing.
        includes: folders with headers.
        flags: compiler flags that follow the board's own and `FLAGS`.
        libraries: linker flags that follow everything, such as "-lm".

    Returns:
        the path of the image, image.elf in `folder`.

    Raises:
        EdgeseaError: the compiler is missing or says no; its message is passed on.
    """
    compiler = tool(board.toolchain.prefix + "gcc", board.toolchain.package)
    regions = "\n".join(f"  {m.name} : ORIGIN = {m.origin:#x}, LENGTH = {m.length:#x}" for m in board.memory)
    (folder / "memory.ld").write_text(f"MEMORY\n{{\n{regions}\n}}\n")
    image = folder / "image.elf"
    code, text = command(
        [
            compiler,
            *board.toolchain.flags,
            *FLAGS,
            *flags,
            f"-I{EMULATED}",
            *(f"-I{include}" for include in includes),
            *sources,
            *(EMULATED / name for name in (board.emulator.startup, "semihosting.c", "stack.c")),
            *board.toolchain.link_flags,
            "-nostartfiles",
            "-Wl,--gc-sections",
            f"-L{folder}",
            "-T",
            EMULATED / "sections.ld",
            "-o",
            image,
            *libraries,
        ],
        folder,
        TIME_LIMIT_S,
    )
    if code != 0:
        # The first complaint is the one to read; what the compiler says before it is where it came from.
        lines = text.strip().splitlines() or ["no reason"]
        words = ("error:", "undefined reference", "overflowed", "will not fit")
        first = next((line for line in lines if any(word in line for word in words)), lines[-1])
        raise EdgeseaError(
            f"The program for {board.name} does not build; {Path(compiler).name} says: {first.strip()}"
        )
    return image


def run(board: boards.Board, image: Path, folder: Path, *, limit_s: float = TIME_LIMIT_S) -> str:
    """Runs an image on its emulated board; semihosting's file names are relative to `folder`.

    Returns:
        what the program printed.

    Raises:
        EdgeseaError: QEMU is missing, the program did not end in `limit_s` seconds or ended with an error.
    """
    emulator = tool(board.emulator.program, board.emulator.package)
    code, text = command(
        [
            emulator,
            *board.emulator.arguments,
            *("-icount", "shift=0", "-display", "none", "-monitor", "none", "-serial", "none", "-no-reboot"),
            *("-semihosting-config", "enable=on,target=native", "-kernel", image),
        ],
        folder,
        limit_s,
    )
    if code != 0:
        raise EdgeseaError(
            f"The program on {board.name} ended with status {code}: {text.strip() or 'no message'}"
        )
    return text


@dataclass(frozen=True)
class Symbol:
    """One symbol of an image: its section, size in bytes, and the C file that a static one comes from."""

    name: str
    section: str
    size: int
    file: str


def sections(image: Path) -> dict[str, int]:
    """The sizes in bytes of an image's sections that take up memory on the device, in the file's order."""
    return {name: size for name, size, flags in _elf(image.read_bytes())[0] if flags & 2 and size}


def symbols(image: Path) -> list[Symbol]:
    """The symbols of an image that have a size."""
    table, entries = _elf(image.read_bytes())
    found, file = [], ""
    for name, size, info, section in entries:
        if info & 15 == 4:  # STT_FILE: the static symbols that follow come from this file
            file = name
        elif size and section < len(table):
            found.append(Symbol(name, table[section][0], size, file if info >> 4 == 0 else ""))
    return found


def _elf(data: bytes) -> tuple[list[tuple[str, int, int]], list[tuple[str, int, int, int]]]:
    """Sections (name, size, flags) and symbols (name, size, info, section index) of a 32-bit ELF."""
    offset, entry_size, count, names_index = struct.unpack_from("<I10xHHH", data, 32)
    headers = [struct.unpack_from("<10I", data, offset + i * entry_size) for i in range(count)]

    def text(table: tuple, position: int) -> str:
        start = table[4] + position
        return data[start : data.index(b"\0", start)].decode()

    table = [(text(headers[names_index], header[0]), header[5], header[2]) for header in headers]
    entries = []
    for header in headers:
        if header[1] == 2:  # SHT_SYMTAB
            for position in range(header[4], header[4] + header[5], 16):
                name, _, size, info, _, section = struct.unpack_from("<IIIBBH", data, position)
                entries.append((text(headers[header[6]], name), size, info, section))
    return table, entries


@contextlib.contextmanager
def scratch():
    """A temporary folder for one build."""
    with tempfile.TemporaryDirectory(prefix="edgesea-qemu-") as name:
        yield Path(name)


# ---------------------------------------------------------------- measuring a model

PATHS = ("plain", "dsp", "mve")  # in the order of EDGESEA_PATH_PLAIN, _DSP, _MVE

# Buffers of the harness start at multiples of this, as a caller's would.
ALIGNMENT = 16


def random_inputs(model: Interpreter, n: int = 3, seed: int = 0) -> list[tuple[np.ndarray, ...]]:
    """n examples of a model's inputs, each a tuple with one array an input, over their types' full range."""
    generator = np.random.default_rng(seed)

    def draw(tensor) -> np.ndarray:
        if tensor.dtype.kind == "f":
            return generator.standard_normal(tensor.shape).astype(tensor.dtype)
        limits = np.iinfo(tensor.dtype)
        return generator.integers(limits.min, limits.max, tensor.shape, tensor.dtype, endpoint=True)

    return [tuple(draw(tensor) for tensor in model.inputs) for _ in range(n)]


def measure(
    model: Path | str,
    core: str,
    *,
    inputs: Sequence[Sequence[np.ndarray] | np.ndarray] | None = None,
    profile: bool = True,
    flags: Sequence[str] = (),
    limit_s: float = TIME_LIMIT_S,
) -> dict:
    """Compiles a .tflite into C, runs it on an emulated core and says what it costs there.

    Args:
        model: path of a .tflite.
        core: "cortex-m4", ...; see `cores`.
        inputs: examples in the model's own integers: an array each, or a tuple of arrays where the model has
            several inputs. Three random ones if None.
        profile: whether to tell the operators apart too, in a second build and run.
        flags: compiler flags that follow the usual ones.
        limit_s: seconds of the host after which one run of the emulator counts as hung.

    Returns:
        a dict for JSON: `emulated` holds instructions of one inference, and flash (without the model's
        constants), static RAM, arena and stack in bytes, and whether every output byte equals TFLite's
        reference kernels; beside it the flash by section, the operators, and the conditions.

    Raises:
        UsageError: there is no such core.
        EdgeseaError: a tool is missing, or the model cannot be compiled, built or run.
    """
    board = board_of(core)
    reference = open_interpreter(model, resolver="reference")
    examples = (
        [_example(reference, example) for example in inputs]
        if inputs is not None
        else random_inputs(reference)
    )
    if not examples:
        raise UsageError("A measurement needs at least one input. Received: none.")
    with scratch() as folder:
        try:
            graph = read(model)
            compiled = compile_model(model, folder / "model", "measured")
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
            "arena_bytes": compiled.arena_bytes,
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

    Returns:
        the image, the harness's report as (word, number, ...), and the output bytes.
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
    (folder / "inputs.bin").write_bytes(b"".join(_pack(example) for example in examples))
    sources = [path for path in compiled.files if path.suffix == ".c"]
    image = build(
        board,
        [EMULATED / "harness.c", *sources],
        folder,
        includes=[folder, sources[0].parent],
        flags=flags,
        libraries=["-lm"],
    )
    run(board, image, folder, limit_s=limit_s)
    report = [
        (word, *map(int, numbers))
        for word, *numbers in map(str.split, (folder / "report.txt").read_text().splitlines())
    ]
    return image, report, (folder / "outputs.bin").read_bytes()


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
