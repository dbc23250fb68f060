"""The same models through bakenn, which compiles ahead of time with CMSIS-NN, on an emulated Cortex-M4.

    pip install "edgesea[peer]"
    python benchmarks/engine.py --peer bakenn

Its importer wants a fixed batch and explicit RESHAPE options, and SOFTMAX is not what is compared: both sides
compile the models as `cut` leaves them. Its fastest setting is used: CMSIS-NN, kernels by priority.
"""

import re
from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from edgesea.devices import qemu
from edgesea.errors import EdgeseaError
from edgesea.interpreter import open_interpreter
from edgesea.measures.inputs import random_examples
from edgesea.running.emulator import EMULATED, FLAGS, SEMIHOSTING, board_of, run, scratch
from edgesea.running.programs import command, tool

CORE = "cortex-m4"  # its adapters are for ARMv7E-M alone

_MAIN = """#include "emulated.h"
#include "semihosting.h"
#include "bknn_peer.h"

static int8_t input[BKNN_PEER_INPUT_BYTES], output[BKNN_PEER_OUTPUT_BYTES];
static uint8_t arena[BKNN_PEER_ARENA_SIZE + 1] __attribute__((aligned(16)));

int main(void) {
    const int inputs = semihosting_open("inputs.bin", 0), outputs = semihosting_open("outputs.bin", 1);
    while (semihosting_read(inputs, input, sizeof input) == sizeof input) {
        uint32_t ticks;
        for (volatile int n = 0; n < 100; n++) {}
        const uint64_t start = emulated_ticks();
        bknn_peer_infer(arena, input, output);
        ticks = (uint32_t)(emulated_ticks() - start);
        semihosting_write(outputs, &ticks, sizeof ticks);
        semihosting_write(outputs, output, sizeof output);
    }
    semihosting_close(outputs);
    return 0;
}
"""


def cut(model: bytes) -> bytes:
    """The model with fixed shapes, explicit RESHAPE options, and without a final SOFTMAX."""
    import flatbuffers

    found = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    graph = found.subgraphs[0]
    for tensor in graph.tensors:
        tensor.shapeSignature = None
    names = {getattr(schema.BuiltinOperator, n): n for n in ("SOFTMAX", "RESHAPE")}
    kept = []
    for op in graph.operators:
        code = found.operatorCodes[op.opcodeIndex]
        name = names.get(max(code.builtinCode, code.deprecatedBuiltinCode))
        if name == "SOFTMAX" and op.outputs[0] in graph.outputs:
            graph.outputs = [op.inputs[0]]
            continue
        if name == "RESHAPE":
            op.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
            op.builtinOptions = schema.ReshapeOptionsT()
            op.builtinOptions.newShape = list(graph.tensors[op.outputs[0]].shape)
        kept.append(op)
    graph.operators = kept
    found.signatureDefs = None
    builder = flatbuffers.Builder(4096)
    builder.Finish(found.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def measure(model: Path) -> dict:
    """Instructions of one inference on both sides, or why the other does not compile the model."""
    import bakenn

    with scratch() as folder:
        path = folder / model.name
        path.write_bytes(cut(model.read_bytes()))
        ours = qemu.measure(path, CORE, profile=False)
        found = {"ours": ours["emulated"]["instructions"], "bit_exact": ours["emulated"]["bit_exact"]}
        options = bakenn.CBackendOptions(
            kernel_policy=bakenn.KernelPolicy.STATIC_PRIORITY,
            enable_cmsis_nn=True,
            target=bakenn.CORTEX_M4,
        )
        try:
            bakenn.compile_tflite(path.read_bytes(), folder / "code", name="peer", backend_options=options)
        except bakenn.BakeNNError as reason:
            return found | {"refused": str(reason)}
        return found | _run(path, folder)


def _run(path: Path, folder: Path) -> dict:
    board = board_of(CORE)
    reference = open_interpreter(path, resolver="reference")
    examples = [tuple(each) for each in random_examples(reference.inputs, 3)]
    expected = [reference.outputs_of(each)[0].tobytes() for each in examples]
    (folder / "main.c").write_text(_MAIN)
    regions = "\n".join(f"  {m.name} : ORIGIN = {m.origin:#x}, LENGTH = {m.length:#x}" for m in board.memory)
    (folder / "memory.ld").write_text(f"MEMORY\n{{\n{regions}\n}}\n")
    code = folder / "code"
    listed = (code / "bakenn_sources.cmake").read_text()
    sources = re.findall(r'\$\{CMAKE_CURRENT_LIST_DIR\}/([^"]+\.c)"', listed)
    definitions = re.search(r"COMPILE_DEFINITIONS\s+([^)]*)\)", listed)
    image = folder / "image.elf"
    status, said = command(
        [
            tool(board.toolchain.prefix + "gcc", board.toolchain.package),
            *board.toolchain.flags,
            *(flag for flag in FLAGS if not flag.startswith("-std")),
            "-std=gnu11",
            *(f"-D{each}" for each in (definitions[1].split() if definitions else ())),
            *(f"-I{each}" for each in (EMULATED, code)),
            *(f"-I{code / 'third_party' / each / 'Include'}" for each in ("cmsis_nn", "cmsis_core")),
            folder / "main.c",
            *(code / each for each in sources),
            *(EMULATED / each for each in (board.emulator.startup, *SEMIHOSTING, "stack.c")),
            *board.toolchain.link_flags,
            "-nostartfiles",
            "-Wl,--gc-sections",
            f"-L{folder}",
            *("-T", EMULATED / "sections.ld", "-o", image, "-lm"),
        ],
        folder,
        600,
    )
    if status != 0:
        raise EdgeseaError(f"What bakenn made of {path.name} does not build: {said[:1000]}")
    size = sum(4 + len(each) for each in expected)
    given = {"inputs.bin": b"".join(each[0].tobytes() for each in examples)}
    answer = run(board, image, given=given, wanted={"outputs.bin": size}, measuring=True).files["outputs.bin"]
    ticks, position, differing = 0, 0, 0
    for wanted in expected:
        ticks = max(ticks, int.from_bytes(answer[position : position + 4], "little"))
        got = answer[position + 4 : position + 4 + len(wanted)]
        differing += sum(a != b for a, b in zip(got, wanted, strict=True))
        position += 4 + len(wanted)
    return {
        "bakenn": round(ticks * board.emulator.instructions_per_tick),
        "bakenn_differing_bytes": differing,
    }


def report(results: dict[str, dict]) -> str:
    """The Markdown page."""
    from importlib.metadata import version

    lines = [
        "# The C model beside bakenn",
        "",
        f"Made by `python benchmarks/engine.py --peer bakenn`: bakenn {version('bakenn')} with CMSIS-NN,",
        f"kernels by priority; instructions of one inference on an emulated {CORE}, the same compiler and",
        "flags. A final SOFTMAX is cut off both, see `benchmarks/bakenn_peer.py`.",
        "",
        "| model | ours | bakenn | bakenn / ours | bakenn's bytes that differ from the reference |",
        "| --- | --: | --: | --: | --: |",
    ]
    for name, found in results.items():
        if "refused" in found:
            lines.append(f"| {name} | {found['ours']:,} | refused: {found['refused']} | | |")
        else:
            ratio = found["bakenn"] / found["ours"]
            lines.append(
                f"| {name} | {found['ours']:,} | {found['bakenn']:,} | {ratio:.2f} "
                f"| {found['bakenn_differing_bytes']} |"
            )
    return "\n".join(lines) + "\n"
