"""Single layers of many sizes in the C model: instructions a multiply-accumulate on emulated cores.

    python benchmarks/layers.py [--as before|after] [--cores CORE...] [--families FAMILY...]

compiles convolutions, depthwise and pointwise ones, dense layers, poolings and pairwise operators, each
alone, over channels 1..256, kernels 1..7, strides, dilations and maps of width 1, compares every output byte
with TFLite's reference kernels, and writes layers.json, layers.md and layers.png into benchmarks/results.
`before` are the figures that a change starts from; they are kept beside those `after` it.

A layer sticks out where the next smaller one of its sweep needs less a multiply-accumulate, or the next
larger one less in all: `sticking`.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from networks import Network

from edgesea.errors import EdgeseaError
from edgesea.files import write_json, write_text
from edgesea.interpreter import open_interpreter
from edgesea.running.emulator import FLAGS, board_of, build, run, scratch
from firmware_export.compile import CompiledModel, compile_model

RESULTS = Path(__file__).resolve().parent / "results"
CORES = ("cortex-m4", "cortex-m55")

CHANNELS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 20, 24, 27, 31, 32, 33, 40, 48, 63, 64, 65, 96)
CHANNELS += (127, 128, 129, 192, 255, 256)
KERNELS = tuple((n, n) for n in range(1, 8))
TALL = tuple((n, 1) for n in range(1, 8))
WIDE = tuple((1, n) for n in range(1, 8))
MAP = (9, 11)  # odd and no multiple of what any kernel takes at once
LONG = 40  # of a map of width or height 1

# A layer is repeated until it has this much work, so that a tick of the counter is nothing beside it.
LEAST_WORK = 20_000
# Constants in one image, bytes: it has to fit the smallest emulated flash.
MOST_CONSTANTS = 2_000_000
# How far a layer may stick out of its neighbourhood.
LARGEST = 1.5


@dataclass(frozen=True)
class Layer:
    """One point of a sweep.

    Parameters
    ----------
    sweep : str, what is varied: "convolution 3x3 over channels"
    size : str, of this one: "17"
    model : bytes, a .tflite with this layer alone
    work : int > 0, its multiply-accumulates; of a pooling its values, of a pairwise operator its elements
    """

    sweep: str
    size: str
    model: bytes
    work: int


def _layer(sweep: str, size, shape: tuple[int, ...], make: Callable[[Network, int], int], each: int) -> Layer:
    """`make` appends the layer to a network with an input of `shape`; `each`: work an output value."""
    net = Network(seed=1)
    y = make(net, net.input(shape))
    return Layer(sweep, str(size), net.finish(y), math.prod(net.shape(y)) * each)


def _convolutions() -> Iterator[Layer]:
    def one(sweep, size, shape, filters, **options):
        kernel = options.setdefault("kernel", (3, 3))
        work = math.prod(kernel) * shape[3]
        return _layer(
            f"convolution {sweep}", size, shape, lambda n, x: n.convolution(x, filters, **options), work
        )

    for n in CHANNELS:
        yield one("3x3, channels in and out", n, (1, *(MAP if n <= 64 else (3, 7)), n), n)
        yield one("3x3 of 1 channel, channels out", n, (1, *MAP, 1), n)
        yield one("3x3, channels in, 8 out", n, (1, *MAP, n), 8)
    for channels in (3, 16):
        for kernel in KERNELS:
            yield one(f"{channels} to 16, kernel", _by(kernel), (1, *MAP, channels), 16, kernel=kernel)
        for s in (1, 2, 3):
            yield one(f"3x3, {channels} to 16, stride", s, (1, 18, 22, channels), 16, stride=(s, s))
            yield one(f"3x3, {channels} to 16, dilation", s, (1, 18, 22, channels), 16, dilation=(s, s))
    for kernel in TALL:
        yield one("16 to 16, width 1, kernel", _by(kernel), (1, LONG, 1, 16), 16, kernel=kernel)
    for kernel in WIDE:
        yield one("16 to 16, height 1, kernel", _by(kernel), (1, 1, LONG, 16), 16, kernel=kernel)


def _depthwise() -> Iterator[Layer]:
    def one(sweep, size, shape, **options):
        kernel = options.setdefault("kernel", (3, 3))
        return _layer(
            f"depthwise {sweep}", size, shape, lambda n, x: n.depthwise(x, **options), math.prod(kernel)
        )

    for n in CHANNELS[1:]:
        yield one("3x3, channels", n, (1, *MAP, n))
        yield one("5x5, channels", n, (1, *MAP, n), kernel=(5, 5))
    for channels in (8, 24):
        for kernel in KERNELS:
            yield one(f"of {channels}, kernel", _by(kernel), (1, *MAP, channels), kernel=kernel)
        for s in (1, 2, 3):
            yield one(f"3x3 of {channels}, stride", s, (1, 18, 22, channels), stride=(s, s))
            yield one(f"3x3 of {channels}, dilation", s, (1, 18, 22, channels), dilation=(s, s))
    for kernel in TALL:
        yield one("of 24, width 1, kernel", _by(kernel), (1, LONG, 1, 24), kernel=kernel)
    for kernel in WIDE:
        yield one("of 24, height 1, kernel", _by(kernel), (1, 1, LONG, 24), kernel=kernel)


def _pointwise() -> Iterator[Layer]:
    def one(sweep, size, shape, filters):
        return _layer(
            f"pointwise {sweep}",
            size,
            shape,
            lambda n, x: n.convolution(x, filters, kernel=(1, 1)),
            shape[3],
        )

    for n in CHANNELS:
        yield one("channels in and out", n, (1, *MAP, n), n)
        yield one("channels in, 16 out", n, (1, *MAP, n), 16)
        yield one("width 1, channels in and out", n, (1, LONG, 1, n), n)


def _dense() -> Iterator[Layer]:
    for n in (*CHANNELS, 512, 640):
        yield _layer("dense to 16, inputs", n, (1, n), lambda net, x: net.dense(x, 16), n)
        yield _layer("dense of 64, outputs", n, (1, 64), lambda net, x, n=n: net.dense(x, n), 64)


def _pooling() -> Iterator[Layer]:
    def one(kind, sweep, size, shape, kernel=(2, 2), stride=(2, 2)):
        def make(net, x):
            return net.pool(x, kind, kernel, stride)

        return _layer(f"{kind} pooling {sweep}", size, shape, make, math.prod(kernel))

    for kind in ("max", "average"):
        for n in CHANNELS:
            yield one(kind, "2x2, channels", n, (1, 10, 12, n))
        for kernel in KERNELS:
            yield one(kind, "of 16, stride 1, kernel", _by(kernel), (1, *MAP, 16), kernel, (1, 1))


def _pairwise() -> Iterator[Layer]:
    for name in ("add", "multiply"):
        for n in CHANNELS:
            yield _layer(
                f"{name}, channels",
                n,
                (1, *MAP, n),
                lambda net, x, name=name: getattr(net, name)(x, net.input(net.shape(x))),
                1,
            )


def _by(kernel: tuple[int, int]) -> str:
    return f"{kernel[0]}x{kernel[1]}"


FAMILIES = {
    "convolution": _convolutions,
    "depthwise": _depthwise,
    "pointwise": _pointwise,
    "dense": _dense,
    "pooling": _pooling,
    "pairwise": _pairwise,
}

_MAIN = """#include "emulated.h"
#include "semihosting.h"
{includes}

{functions}

static const struct {{
    int (*invoke)(void *arena, int8_t *ports);
    int in, out, repeats;
}} layers[] = {{
{rows}
}};

static _Alignas(16) int8_t ports[{ports}];
static _Alignas(16) int8_t arena[{arena}];

int main(void)
{{
    const int inputs = semihosting_open("inputs.bin", 0);
    const int outputs = semihosting_open("outputs.bin", 1);
    for (unsigned i = 0; i < sizeof layers / sizeof *layers; i++) {{
        uint32_t ticks;
        if (semihosting_read(inputs, ports, (size_t)layers[i].in) != (size_t)layers[i].in) return 1;
        /* Reading cleared the counter, which reads 0 until its next tick. */
        for (volatile int n = 0; n < 100; n++) {{}}
        const uint64_t start = emulated_ticks();
        for (int n = 0; n < layers[i].repeats; n++) {{
            if (layers[i].invoke(arena, ports) != 0) return 2;
        }}
        ticks = (uint32_t)(emulated_ticks() - start);
        semihosting_write(outputs, &ticks, sizeof ticks);
        semihosting_write(outputs, ports + layers[i].in, (size_t)layers[i].out);
    }}
    semihosting_close(outputs);
    return 0;
}}
"""


def _padded(count: int) -> int:
    return -(-count // 16) * 16


def measure(layers: list[Layer], core: str) -> list[float]:
    """Instructions of one run of each layer on a core.

    Raises
    ------
    EdgeseaError : an output byte differs from that of TFLite's reference kernels
    """
    found = []
    with scratch() as folder:
        batch: list[tuple[Layer, CompiledModel]] = []
        for number, layer in enumerate(layers):
            batch.append((layer, compile_model(layer.model, folder / "code", f"layer_{number}")))
            full = sum(len(each.model) for each, _ in batch) > MOST_CONSTANTS
            if full or number == len(layers) - 1:
                found += _run(batch, core, folder)
                batch = []
    return found


def _run(batch: list[tuple[Layer, CompiledModel]], core: str, folder: Path) -> list[float]:
    """Builds one image with a few layers and runs it."""
    board = board_of(core)
    functions, rows, given, expected = [], [], b"", []
    repeats = [-(-LEAST_WORK // layer.work) for layer, _ in batch]
    sizes = [1]
    for (layer, compiled), times in zip(batch, repeats, strict=True):
        reference = open_interpreter(layer.model, resolver="reference")
        arrays = [
            np.random.default_rng(i).integers(-128, 128, port.shape, np.int8)
            for i, port in enumerate(reference.inputs)
        ]
        packed = [array.tobytes().ljust(_padded(array.size), b"\0") for array in arrays]
        expected.append(reference.outputs_of(tuple(arrays))[0].tobytes())
        arguments, offset = [], 0
        for each in packed:
            arguments.append(f"ports + {offset}")
            offset += len(each)
        given += b"".join(packed)
        functions.append(
            f"static int run_{compiled.name}(void *memory, int8_t *ports)\n"
            f"{{ return {compiled.name}_invoke_in(memory, {', '.join(arguments)}, ports + {offset}); }}"
        )
        rows.append(f"    {{run_{compiled.name}, {offset}, {len(expected[-1])}, {times}}},")
        sizes.append(offset + len(expected[-1]))
    (folder / "main.c").write_text(
        _MAIN.format(
            includes="\n".join(f'#include "{compiled.name}.h"' for _, compiled in batch),
            functions="\n".join(functions),
            rows="\n".join(rows),
            ports=max(sizes),
            arena=max(compiled.arena_bytes for _, compiled in batch) + 16,
        )
    )
    sources = {path for _, compiled in batch for path in compiled.files if path.suffix == ".c"}
    image = build(
        board, [folder / "main.c", *sorted(sources)], folder, includes=[folder / "code"], libraries=["-lm"]
    )
    size = sum(4 + len(each) for each in expected)
    finished = run(board, image, given={"inputs.bin": given}, wanted={"outputs.bin": size}, measuring=True)
    answer, position, instructions = finished.files["outputs.bin"], 0, []
    for (layer, _), times, wanted in zip(batch, repeats, expected, strict=True):
        ticks = int.from_bytes(answer[position : position + 4], "little")
        if answer[position + 4 : position + 4 + len(wanted)] != wanted:
            raise EdgeseaError(f"{layer.sweep} {layer.size} on {core} differs from the reference.")
        position += 4 + len(wanted)
        instructions.append(ticks * board.emulator.instructions_per_tick / times)
    return instructions


def sticking(points: list[dict], core: str) -> list[float]:
    """How far each point of a sweep sticks out of its neighbourhood, 1 or less where it does not.

    The larger of what a multiply-accumulate costs here over what it costs in the next smaller layer, and of
    what the layer costs over what the next larger one costs in all.

    points : in order of size, each {"work": ..., core: instructions}
    """
    found = []
    for i, point in enumerate(points):
        ratios = [0.0]
        if i > 0:
            before = points[i - 1]
            ratios.append(point[core] / point["work"] / (before[core] / before["work"]))
        if i + 1 < len(points) and points[i + 1]["work"] >= point["work"]:
            ratios.append(point[core] / points[i + 1][core])
        found.append(max(ratios))
    return found


def table(sweep: str, before: list[dict], after: list[dict]) -> str:
    """One sweep as Markdown: instructions a multiply-accumulate, before and after."""
    cores = [core for core in CORES if core in after[0]]
    header = ["", *(f"{core} {when}" for core in cores for when in ("before", "after", "sticks out by"))]
    lines = [header, ["---", *["--:"] * (len(header) - 1)]]
    out = {core: sticking(after, core) for core in cores}
    earlier = {point["size"]: point for point in before}
    for i, point in enumerate(after):
        row = [point["size"]]
        for core in cores:
            was = earlier.get(point["size"], {}).get(core)
            row += [
                "" if was is None else f"{was / point['work']:.3f}",
                f"{point[core] / point['work']:.3f}",
                f"{out[core][i]:.2f}",
            ]
        lines.append(row)
    return f"### {sweep}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def report(results: dict) -> str:
    """The Markdown page."""
    after, before = results["after"]["sweeps"], results["before"]["sweeps"]
    text = [
        "# Single layers in the C model",
        "",
        "Made by `python benchmarks/layers.py`. Emulated: instructions, never milliseconds. Instructions a",
        "multiply-accumulate (of a pooling: a value of a window; of a pairwise operator: an element),",
        "before and after the work on speed;",
        f"{results['after']['compiler']}, {' '.join(FLAGS)};",
        "every output byte equals that of TFLite's reference kernels. A layer sticks out by the larger of",
        "two ratios: what its multiply-accumulate costs over what it costs in the next smaller layer, and",
        f"what it costs in all over what the next larger layer costs; a test holds both below {LARGEST}.",
        "",
        "![instructions a multiply-accumulate against size](layers.png)",
        "",
    ]
    return "\n".join(text) + "\n".join(table(sweep, before.get(sweep, []), after[sweep]) for sweep in after)


def draw(results: dict, path: Path) -> None:
    """Instructions a multiply-accumulate against size, a panel a sweep."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    after = results["after"]["sweeps"]
    columns = 4
    figure, axes = pyplot.subplots(
        -(-len(after) // columns), columns, figsize=(18, 2.6 * -(-len(after) // columns)), squeeze=False
    )
    for axis, sweep in zip(axes.flat, after, strict=False):
        for core, colour in zip(CORES, ("tab:blue", "tab:orange"), strict=True):
            for when, style in (("before", ":"), ("after", "-")):
                points = [p for p in results[when]["sweeps"].get(sweep, []) if core in p]
                axis.plot(
                    [p["size"] for p in points],
                    [p[core] / p["work"] for p in points],
                    style,
                    color=colour,
                    label=f"{core} {when}",
                )
        axis.set_title(sweep, fontsize=8)
        axis.set_yscale("log")
        axis.tick_params(labelsize=5)
    axes.flat[0].legend(fontsize=6)
    for axis in axes.flat[len(after) :]:
        axis.set_axis_off()
    figure.tight_layout()
    figure.savefig(path, dpi=70, metadata={"Software": None})
    pyplot.close(figure)


def compiler() -> str:
    from edgesea.devices.qemu import _first_line
    from edgesea.running.programs import tool

    board = board_of(CORES[0])
    return _first_line(tool(board.toolchain.prefix + "gcc", board.toolchain.package))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--as", dest="when", choices=("before", "after"), default="after")
    parser.add_argument("--cores", nargs="+", default=CORES, choices=CORES, metavar="CORE")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES, metavar="FAMILY")
    arguments = parser.parse_args()
    layers = [layer for family in arguments.families for layer in FAMILIES[family]()]
    sweeps: dict[str, list[dict]] = {}
    points = [{"size": layer.size, "work": layer.work} for layer in layers]
    for core in arguments.cores:
        for point, count in zip(points, measure(layers, core), strict=True):
            point[core] = count
    for layer, point in zip(layers, points, strict=True):
        sweeps.setdefault(layer.sweep, []).append(point)
    for core in arguments.cores:
        for sweep, found in sweeps.items():
            for point, out in zip(found, sticking(found, core), strict=True):
                if out > LARGEST:
                    print(f"{core}: {sweep} {point['size']} sticks out by {out:.2f}", flush=True)
    path = RESULTS / "layers.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept = results.get(arguments.when, {}).get("sweeps", {})
    results[arguments.when] = {"compiler": compiler(), "sweeps": kept | sweeps}
    results = {"before": results.get("before", results[arguments.when]), **results}
    results.setdefault("after", results["before"])
    write_json(path, results)
    write_text(RESULTS / "layers.md", report(results))
    draw(results, RESULTS / "layers.png")


if __name__ == "__main__":
    main()
