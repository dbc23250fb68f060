"""TensorFlow Lite Micro with CMSIS-NN on emulated cores: what the C model is compared with.

    python benchmarks/tflm.py SOURCES [--models FOLDER] [--library FOLDER] [--cores CORE...]

measures the six models of `standins.py` and writes benchmarks/results/tflm.json. SOURCES is a folder with
unpacked sources, at versions that fit together:

    tflm         github.com/tensorflow/tflite-micro
    cmsis-nn     github.com/ARM-software/CMSIS-NN, at the commit that tflm's cmsis_nn_download.sh names
    flatbuffers  github.com/google/flatbuffers, at the version that tflm's flatbuffers_download.sh names
    gemmlowp, ruy   github.com/google/..., whose headers alone are used

The library is built once a core, into the folder of `--library`: TFLM's core with -Os, kernels and CMSIS-NN
with -O2, as TFLM's own Makefile does for a release, with error strings stripped.
"""

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from standins import six

from edgesea.errors import EdgeseaError
from edgesea.files import write_json
from edgesea.interpreter import open_interpreter
from edgesea.measures.inputs import random_examples
from edgesea.running.emulator import EMULATED, SEMIHOSTING, board_of, run, scratch
from edgesea.running.image import sections, symbols
from firmware_export.graph import read

# What the resolver calls the operators of the models that are compared.
METHODS = {
    "ADD": "AddAdd",
    "AVERAGE_POOL_2D": "AddAveragePool2D",
    "CONV_2D": "AddConv2D",
    "DEPTHWISE_CONV_2D": "AddDepthwiseConv2D",
    "FULLY_CONNECTED": "AddFullyConnected",
    "MAX_POOL_2D": "AddMaxPool2D",
    "MEAN": "AddMean",
    "MUL": "AddMul",
    "RESHAPE": "AddReshape",
    "SOFTMAX": "AddSoftmax",
}

CORE = (
    "tensorflow/lite/micro/*.cc",
    "tensorflow/lite/micro/arena_allocator/*.cc",
    "tensorflow/lite/micro/memory_planner/*_memory_planner.cc",
    "tensorflow/lite/micro/tflite_bridge/*.cc",
    "tensorflow/lite/core/*/*.cc",
    "tensorflow/lite/kernels/*.cc",
    "tensorflow/lite/kernels/internal/*.cc",
    "tensorflow/compiler/mlir/lite/core/api/*.cc",
    "tensorflow/compiler/mlir/lite/schema/*.cc",
)
KERNELS = (
    "conv",
    "depthwise_conv",
    "fully_connected",
    "pooling",
    "softmax",
    "add",
    "mul",
    "reshape",
    "reduce",
)
LEFT_OUT = ("debug_log.cc", "system_setup.cc", "micro_time.cc")  # of the host
TESTS = re.compile(r"_test\.cc$|_test_|mock_|fake_|recording_|test_help")
# What no kernel above calls.
CMSIS_LEFT_OUT = re.compile(
    "_f16|_f32|SVDF|svdf|LSTM|lstm|Pad|Concat|transpose_conv|batch_matmul|minimum|maximum|Bindings"
)
FLAGS = (
    *("-ffunction-sections", "-fdata-sections", "-fno-common", "-g0", "-w"),
    *("-DTF_LITE_STATIC_MEMORY", "-DTF_LITE_DISABLE_X86_NEON", "-DCMSIS_NN", "-DNDEBUG"),
    "-DTF_LITE_STRIP_ERROR_STRINGS",
)
CXX_FLAGS = (
    "-std=c++17",
    "-fno-rtti",
    "-fno-exceptions",
    "-fno-threadsafe-statics",
    "-fno-unwind-tables",
    "-fno-use-cxa-atexit",
)
INCLUDES = ("tflm", "cmsis-nn", "cmsis-nn/Include", "flatbuffers/include", "gemmlowp", "ruy")

# A generous arena, to learn how much of it is used; and what is given at most beyond that.
LARGEST_ARENA = 1 << 20
ALIGNMENT = 16

_MAIN = """#include "emulated.h"
#include "semihosting.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "model.h"

static const unsigned char __attribute__((aligned(16))) *const model = model_data;
static unsigned char __attribute__((aligned(16))) arena[ARENA];

extern "C" void DebugLog(const char *, va_list) {{}}
extern "C" int DebugVsnprintf(char *, size_t, const char *, va_list) {{ return 0; }}
/* What the C++ library has in their place can print names of types, which takes 30 KB. */
extern "C" void __cxa_pure_virtual() {{ emulated_exit(98); }}
void operator delete(void *) noexcept {{}}
void operator delete(void *, unsigned) noexcept {{}}
namespace tflite {{ void InitializeTarget() {{}} }}

static void put(int file, uint32_t value) {{ semihosting_write(file, &value, sizeof value); }}

int main() {{
    static tflite::MicroMutableOpResolver<{count}> resolver;
    {adds}
    static tflite::MicroInterpreter interpreter(tflite::GetModel(model), resolver, arena, sizeof arena);
    const int inputs = semihosting_open("inputs.bin", 0), outputs = semihosting_open("outputs.bin", 1);
    if (interpreter.AllocateTensors() != kTfLiteOk) return 3;
    put(outputs, interpreter.arena_used_bytes());
    TfLiteTensor *in = interpreter.input(0), *out = interpreter.output(0);
    while (semihosting_read(inputs, in->data.int8, in->bytes) == in->bytes) {{
        uint32_t *const top = emulated_stack_pointer();
        emulated_paint_stack(top, 65536);
        const uint64_t start = emulated_ticks();
        if (interpreter.Invoke() != kTfLiteOk) return 4;
        const uint32_t ticks = emulated_ticks() - start;
        put(outputs, ticks);
        put(outputs, emulated_stack_used(top, 65536));
        semihosting_write(outputs, out->data.int8, out->bytes);
    }}
    semihosting_close(outputs);
    return 0;
}}
"""


def _call(arguments: list) -> None:
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise EdgeseaError(f"{arguments[0]} failed: {done.stderr[:2000]}")


def library(core: str, sources: Path, folder: Path) -> Path:
    """TFLM and CMSIS-NN as an archive for a core, in `folder`; made where it is not there."""
    archive = folder / f"libtflm-{core}.a"
    if archive.exists():
        return archive
    board = board_of(core)
    includes = [f"-I{sources / each}" for each in INCLUDES]
    tflm = sources / "tflm"
    wanted = [(path, "-Os") for pattern in CORE for path in sorted(tflm.glob(pattern))]
    kernels = tflm / "tensorflow/lite/micro/kernels"
    wanted += [
        (path, "-O2")
        for name in KERNELS
        for path in (
            kernels / "cmsis_nn" / f"{name}.cc"
            if (kernels / "cmsis_nn" / f"{name}.cc").exists()
            else kernels / f"{name}.cc",
            kernels / f"{name}_common.cc",
        )
        if path.exists()
    ]
    wanted += [(kernels / "kernel_util.cc", "-O2"), (kernels / "micro_tensor_utils.cc", "-O2")]
    wanted += [
        (path, "-O2")
        for path in sorted((sources / "cmsis-nn" / "Source").rglob("*.c"))
        if not CMSIS_LEFT_OUT.search(path.relative_to(sources).as_posix())
    ]
    objects = folder / core
    objects.mkdir(parents=True, exist_ok=True)
    made = []
    for path, level in wanted:
        if TESTS.search(path.name) or path.name in LEFT_OUT:
            continue
        target = objects / ("-".join(path.relative_to(sources).parts) + ".o")
        made.append(target)
        if target.exists():
            continue
        compiler = board.toolchain.prefix + ("gcc" if path.suffix == ".c" else "g++")
        language = ("-std=c11",) if path.suffix == ".c" else CXX_FLAGS
        _call(
            [compiler, *board.toolchain.flags, *FLAGS, *language, level, *includes, "-c", path, "-o", target]
        )
    _call([board.toolchain.prefix + "ar", "rcs", archive, *made])
    return archive


def measure(model: Path, core: str, sources: Path, folder: Path) -> dict:
    """Instructions of one Invoke(), flash without the model, RAM with the smallest arena that runs.

    Parameters
    ----------
    model : path of an int8 .tflite with one input and one output
    core : "cortex-m4", ...
    sources, folder : see above; `folder` holds the library

    Returns
    -------
    dict
        instructions, flash_bytes, ram_bytes, arena_bytes, stack_bytes; differing_bytes against TFLite's
        reference kernels, which TFLM follows but for the rounding of dense layers.
    """
    archive = library(core, sources, folder)
    reference = open_interpreter(model, resolver="reference")
    examples = [tuple(example) for example in random_examples(reference.inputs, 3)]
    expected = [reference.outputs_of(example)[0].tobytes() for example in examples]
    with scratch() as build:
        found = _run(model, core, sources, archive, build, examples, expected, LARGEST_ARENA)
        arena = -(-found["arena_bytes"] // ALIGNMENT) * ALIGNMENT
        return _run(model, core, sources, archive, build, examples, expected, arena)


def _run(model, core, sources, archive, build, examples, expected, arena) -> dict:
    board = board_of(core)
    data = Path(model).read_bytes()
    numbers = ",".join(map(str, data))
    (build / "model.h").write_text(
        f"#define ARENA {arena}\nstatic const unsigned char __attribute__((aligned(16))) "
        f"model_data[] = {{{numbers}}};\n"
    )
    names = {op.opcode for op in read(model).operators}
    adds = "\n    ".join(f"resolver.{METHODS[name]}();" for name in sorted(names))
    (build / "main.cc").write_text(_MAIN.format(count=len(names), adds=adds))
    regions = "\n".join(f"  {m.name} : ORIGIN = {m.origin:#x}, LENGTH = {m.length:#x}" for m in board.memory)
    (build / "memory.ld").write_text(f"MEMORY\n{{\n{regions}\n}}\n")
    prefix, flags = board.toolchain.prefix, board.toolchain.flags
    includes = [f"-I{EMULATED}", f"-I{build}", *(f"-I{sources / each}" for each in INCLUDES)]
    objects = []
    for name in (board.emulator.startup, *SEMIHOSTING, "stack.c"):
        objects.append(build / f"{name}.o")
        _call(
            [prefix + "gcc", *flags, "-std=c99", "-O2", *includes, "-c", EMULATED / name, "-o", objects[-1]]
        )
    image = build / "image.elf"
    _call(
        [
            *(
                prefix + "g++",
                *flags,
                *FLAGS,
                *CXX_FLAGS,
                "-O2",
                *includes,
                build / "main.cc",
                *objects,
                archive,
            ),
            *(*board.toolchain.link_flags, "-nostartfiles", "-Wl,--gc-sections", f"-L{build}"),
            *("-T", EMULATED / "sections.ld", "-o", image, "-lm"),
        ]
    )
    size = 4 + sum(8 + len(each) for each in expected)
    given = {"inputs.bin": b"".join(example[0].tobytes() for example in examples)}
    answer = run(board, image, given=given, wanted={"outputs.bin": size}, measuring=True).files["outputs.bin"]
    if len(answer) != size:
        raise EdgeseaError(f"TFLM ended after {len(answer)} of {size} bytes with {Path(model).name}.")
    used, position, ticks, stack, differing = int.from_bytes(answer[:4], "little"), 4, 0, 0, 0
    for wanted in expected:
        ticks = max(ticks, int.from_bytes(answer[position : position + 4], "little"))
        stack = max(stack, int.from_bytes(answer[position + 4 : position + 8], "little"))
        got = np.frombuffer(answer, np.int8, len(wanted), position + 8)
        differing += int((got != np.frombuffer(wanted, np.int8)).sum())
        position += 8 + len(wanted)
    sizes = sections(image)
    constants = sum(s.size for s in symbols(image) if s.name == "model_data" or "model_data" in s.name)
    return {
        "instructions": round(ticks * board.emulator.instructions_per_tick),
        "flash_bytes": sum(n for name, n in sizes.items() if name != ".bss") - constants,
        "ram_bytes": sizes.get(".data", 0) + sizes.get(".bss", 0),
        "arena_bytes": used,
        "stack_bytes": stack,
        "differing_bytes": differing,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    here = Path(__file__).resolve().parent
    parser.add_argument("sources", type=Path, metavar="SOURCES")
    parser.add_argument(
        "--models", type=Path, default=here.parents[1] / "shared" / "models", metavar="FOLDER"
    )
    parser.add_argument("--library", type=Path, metavar="FOLDER")
    parser.add_argument(
        "--cores", nargs="+", default=["cortex-m4", "cortex-m7", "cortex-m55"], metavar="CORE"
    )
    arguments = parser.parse_args()
    out = here / "results" / "tflm.json"
    results = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for model in six(arguments.models, Path(folder)):
            if {op.opcode for op in read(model).operators} - METHODS.keys():
                print(f"{model.stem} has operators that are not compared here.", flush=True)
                continue
            for core in arguments.cores:
                library = arguments.library or arguments.sources / "lib"
                found = measure(model, core, arguments.sources, library)
                results.setdefault(model.stem, {})[core] = found
                print(f"{model.stem} on {core}: {found}", flush=True)
                write_json(out, results)


if __name__ == "__main__":
    main()
