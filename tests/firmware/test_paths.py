"""The kernels' paths (plain, DSP, MVE) on emulated cores: random graphs, every byte as the reference's."""

import shutil
import struct
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import random_graphs

from edgesea.running import emulator
from firmware_export.compile import compile_model
from firmware_export.emit import CTYPES
from firmware_export.graph import ModelError
from firmware_export.kernels import RUNTIME

# One core of each path in the fast tests; the cores left out share code with one of them.
FAST = ("cortex-m3", "cortex-m4", "cortex-m55")

MAIN = """
#include <stdint.h>
#include <string.h>
#include "semihosting.h"
{includes}

{functions}

static const struct model {{
    int (*run)(void *arena, void **ports);
    uint32_t arena;
    int inputs, ports;
    uint32_t bytes[16];
}} models[] = {{
{rows}
}};

static uint8_t arena[{arena} + 64] __attribute__((aligned(16)));
static uint8_t memory[{ports}] __attribute__((aligned(16)));

int main(void)
{{
    const int in = semihosting_open("inputs.bin", 0), out = semihosting_open("outputs.bin", 1);
    uint32_t number;

    while (semihosting_read(in, &number, sizeof number) == sizeof number) {{
        const struct model *model = &models[number];
        uint8_t *place = memory;
        void *ports[16];
        memset(arena, 0x5a, sizeof arena);
        for (int i = 0; i < model->ports; i++) {{
            ports[i] = place;
            place += (model->bytes[i] + 15u) & ~15u;
            if (i >= model->inputs) continue;
            if (semihosting_read(in, ports[i], model->bytes[i]) != model->bytes[i]) return 2;
        }}
        if (model->run(arena, ports) != 0) return 3;
        for (uint32_t i = model->arena; i < sizeof arena; i++) {{
            if (arena[i] != 0x5a) return 4;
        }}
        for (int i = model->inputs; i < model->ports; i++) {{
            if (semihosting_write(out, ports[i], model->bytes[i]) != model->bytes[i]) return 5;
        }}
    }}
    semihosting_close(out);
    return 0;
}}
"""


@pytest.fixture(autouse=True)
def tools():
    for program in ("qemu-system-arm", "arm-none-eabi-gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@cache
def kernel(core: str, name: str) -> Path:
    """One of the kernels as an object for a core, compiled once and used by all batches."""
    board = emulator.board_of(core)
    target = Path(kernels_folder().name) / f"{core}-{name}.o"
    compiler = board.toolchain.prefix + "gcc"
    # What links says where a core's C library has its headers too.
    flags = [*board.toolchain.flags, *board.toolchain.link_flags, *emulator.FLAGS]
    command = [compiler, *flags, "-c", RUNTIME / name, "-o", target]
    subprocess.run(command, check=True)
    return target


@cache
def kernels_folder() -> tempfile.TemporaryDirectory:
    """Where they are, until the tests end."""
    return tempfile.TemporaryDirectory(prefix="kernels-")


class Batch:
    """Models in C with inputs and what the reference answers, for running on several cores."""

    def __init__(self, models: dict[str, bytes], folder, inputs_each: int, optimize: str = "speed"):
        self.folder, self.optimize = folder, optimize
        self.requests, self.expected, self.labels = [], [], []
        includes, functions, rows, arenas, ports = [], [], [], [1], [1]
        for name, model in models.items():
            try:
                compiled = compile_model(model, folder / "code", name, optimize=optimize)
            except ModelError:
                continue
            sides = [*compiled.inputs, *compiled.outputs]
            sizes = [
                int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize for shape, dtype, _ in sides
            ]
            pointers = ", ".join(f"({CTYPES[dtype]} *)ports[{i}]" for i, (_, dtype, _) in enumerate(sides))
            includes.append(f'#include "{name}.h"')
            functions.append(
                f"static int run_{name}(void *memory, void **ports)\n"
                f"{{ return {name}_invoke_in(memory, {pointers}); }}"
            )
            rows.append(
                f"    {{run_{name}, {name.upper()}_ARENA_BYTES, {len(compiled.inputs)}, {len(sides)}, "
                f"{{{', '.join(map(str, sizes))}}}}},"
            )
            arenas.append(compiled.arena_bytes)
            ports.append(sum(-(-size // 16) * 16 for size in sizes))
            for seed in range(inputs_each):
                inputs = random_graphs.random_inputs(model, seed)
                question = struct.pack("<I", len(rows) - 1) + b"".join(
                    np.ascontiguousarray(x).tobytes() for x in inputs
                )
                self.requests.append(question)
                self.expected.append(
                    b"".join(
                        np.ascontiguousarray(y).tobytes() for y in random_graphs.reference(model, inputs)
                    )
                )
                self.labels.append(f"{name}, inputs {seed}")
        self.models = len(rows)
        (folder / "main.c").write_text(
            MAIN.format(
                includes="\n".join(includes),
                functions="\n".join(functions),
                rows="\n".join(rows),
                arena=max(arenas),
                ports=max(ports),
            )
        )

    def check(self, core: str) -> None:
        board = emulator.board_of(core)
        sources = [self.folder / "main.c"]
        for source in sorted((self.folder / "code").glob("*.c")):
            shared = self.optimize == "speed" and (RUNTIME / source.name).exists()
            sources.append(kernel(core, source.name) if shared else source)
        image = emulator.build(
            board, sources, self.folder, includes=[self.folder / "code"], libraries=["-lm"]
        )
        size = sum(map(len, self.expected))
        given, wanted = {"inputs.bin": b"".join(self.requests)}, {"outputs.bin": size}
        answer = emulator.run(board, image, given=given, wanted=wanted, limit_s=300).files["outputs.bin"]
        position = 0
        assert len(answer) == size
        for label, wanted in zip(self.labels, self.expected, strict=True):
            got = answer[position : position + len(wanted)]
            different = sum(a != b for a, b in zip(got, wanted, strict=True))
            assert different == 0, f"{core}: {label}: {different} of {len(wanted)} bytes differ"
            position += len(wanted)


def operators(opcodes, dtype: str, seeds: range) -> dict[str, bytes]:
    return {
        f"{opcode.lower()}_{seed}": random_graphs.single_operator_model(opcode, seed, dtype)
        for opcode in opcodes
        if random_graphs.supports(opcode, dtype)
        for seed in seeds
    }


@pytest.fixture(scope="module")
def convolutions(tmp_path_factory):
    """What the fast paths reimplement, in many shapes."""
    opcodes = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB")
    return Batch(operators(opcodes, "int8", range(20)), tmp_path_factory.mktemp("convolutions"), 2)


@pytest.mark.parametrize(
    "core",
    [core if core in FAST else pytest.param(core, marks=pytest.mark.slow) for core in emulator.cores()],
)
def test_convolutions_of_many_shapes(core, convolutions):
    assert convolutions.models >= 90
    convolutions.check(core)


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_compiled_for_size(core, tmp_path):
    # With -Os functions begin at halves of words, which those in assembly must not.
    models = operators(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), "int8", range(6))
    batch = Batch(models, tmp_path, 2, "size")
    assert "#define EDGESEA_OPTIMIZE_SIZE 1" in (tmp_path / "code" / "edgesea_path.h").read_text()
    batch.check(core)


@pytest.mark.slow
@pytest.mark.parametrize("core", emulator.cores())
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_every_operator(core, dtype, tmp_path):
    batch = Batch(operators(random_graphs.MAKERS, dtype, range(4)), tmp_path, 2)
    assert batch.models >= 90
    batch.check(core)


@pytest.fixture(scope="module")
def five_hundred(tmp_path_factory):
    """Random graphs over all operators, in images that fit the smallest code memory."""
    return [
        Batch(
            {f"graph_{seed}": random_graphs.random_model(seed) for seed in range(first, first + 55)},
            tmp_path_factory.mktemp("graphs"),
            2,
        )
        for first in range(1000, 1550, 55)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("core", emulator.cores())
def test_five_hundred_random_graphs(core, five_hundred):
    assert sum(batch.models for batch in five_hundred) >= 500
    for batch in five_hundred:
        batch.check(core)
