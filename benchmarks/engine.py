"""The C model beside TensorFlow Lite Micro with CMSIS-NN: instructions, flash and RAM on emulated cores.

    python benchmarks/engine.py [--models FOLDER] [--cores CORE...] [--only MODEL...]

measures the models in FOLDER (the two published ones), the stand-ins of `standins.py` and an untrained
separable-m student with `edgesea.devices.qemu.measure`, and writes benchmarks/results/engine.json, the two
published ones compiled for size too, in optimize.json, and engine.md. The figures of the other side were
measured once, on the same emulator and cores: those of the stand-ins by `tflm.py`, which wrote
results/tflm.json; this file says under which conditions the others.
"""

import argparse
import json
import math
import tempfile
from pathlib import Path

import numpy as np
from standins import STAND_INS, six

from edgesea.devices import qemu
from edgesea.files import write_json, write_text
from edgesea.running.emulator import FLAGS, cores

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"

# TensorFlow Lite Micro 90b983c with CMSIS-NN 4ab83cc (-O2), GCC 12.2, full newlib, QEMU 7.2, -icount shift=0;
# one Invoke(). flash: without the model's array, with a harness of about 3 KB; RAM: .data + .bss with the
# smallest arena that runs. A core that is not named was not measured.
PEER = {
    "kws_ref_model": {
        "multiply_accumulates": 2_656_768,
        "instructions": {"cortex-m4": 7_697_736, "cortex-m7": 7_643_511, "cortex-m55": 1_813_546},
        "flash_bytes": {"cortex-m4": 54_780, "cortex-m55": 46_156},
        "ram_bytes": 23_312,
        "stack_bytes": 916,
    },
    "sea_student3_int8": {
        "multiply_accumulates": 122_425_344,
        "instructions": {"cortex-m4": 228_038_667, "cortex-m7": 228_498_215, "cortex-m55": 30_185_594},
        "flash_bytes": {"cortex-m4": 54_376, "cortex-m55": 47_384},
        "ram_bytes": 213_836,
        "stack_bytes": 1_024,
    },
    # Another depthwise-separable network than ours, of about the same size: compared by multiply-accumulate.
    "separable-m": {
        "multiply_accumulates": 5_180_000,
        "instructions": {"cortex-m4": 18_931_323, "cortex-m55": 5_504_411},
        "flash_bytes": {"cortex-m4": 48_792, "cortex-m55": 38_936},
        "ram_bytes": 86_044,
        "stack_bytes": 916,
    },
}
SEED = 1

# What is compiled for size too: where the flash of the other side is that of a program for one model.
SMALL_MODELS, SMALL_CORES = ("kws_ref_model", "sea_student3_int8"), ("cortex-m4", "cortex-m55")


def _stand_ins() -> dict[str, dict]:
    """The other side's figures of the stand-ins, in the form of `PEER`."""
    path = RESULTS / "tflm.json"
    measured = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {
        name: {
            "instructions": {core: found["instructions"] for core, found in measured[name].items()},
            "flash_bytes": {},  # there with the kernels of all types, which is not the least it takes
            "ram_bytes": measured[name]["cortex-m4"]["ram_bytes"],
        }
        for name in STAND_INS
        if name in measured
    }


PEER |= _stand_ins()
NOT_MEASURED: dict = {"instructions": {}, "flash_bytes": {}, "ram_bytes": None}


def separable(folder: Path) -> Path:
    """An int8 .tflite of the default student for patches of 96 x 64, untrained."""
    import keras

    from edgesea.exporting.tflite import convert_int8
    from edgesea.students import build

    keras.utils.set_random_seed(SEED)
    student = build("separable-m", frames=96, mels=64, dimension=64)
    patches = np.random.default_rng(SEED).normal(-40, 20, (16, 96, 64, 1)).astype(np.float32)
    path = folder / "separable-m.tflite"
    path.write_bytes(convert_int8(student, patches))
    return path


def ratio(measured: dict, core: str) -> float | None:
    """Instructions a multiply-accumulate over the other side's: the ratio of whole inferences where both ran
    the same model."""
    peer = PEER.get(Path(measured["model"]["name"]).stem, NOT_MEASURED)
    if core not in peer["instructions"]:
        return None
    work = measured["model"]["multiply_accumulates"]
    ours = measured["emulated"]["instructions"] / work
    return ours / (peer["instructions"][core] / peer.get("multiply_accumulates", work))


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [header, ["---"] + ["--:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def ram_ratio(results: dict[str, dict[str, dict]]) -> float:
    """RAM on a Cortex-M4 over the other side's, the geometric mean over the models that both ran."""
    shares = [
        by_core["cortex-m4"]["emulated"]["ram_bytes"] / PEER[name]["ram_bytes"]
        for name, by_core in results.items()
        if name != "separable-m" and "cortex-m4" in by_core and PEER.get(name, NOT_MEASURED)["ram_bytes"]
    ]
    return geometric_mean(shares)


def flash_ratio(results: dict[str, dict[str, dict]]) -> float:
    """Flash over the other side's, the geometric mean over `SMALL_MODELS` and `SMALL_CORES`."""
    return geometric_mean(
        [
            results[name][core]["emulated"]["flash_bytes"] / PEER[name]["flash_bytes"][core]
            for name in SMALL_MODELS
            for core in SMALL_CORES
        ]
    )


def choices(results: dict[str, dict[str, dict]], small: dict[str, dict[str, dict]]) -> list[str]:
    """The section about --optimize: what speed and size cost."""
    rows = []
    for name in SMALL_MODELS:
        for core in SMALL_CORES:
            fast, slow = (each[name][core]["emulated"] for each in (results, small))
            rows.append(
                [
                    f"{name}, {core}",
                    number(fast["flash_bytes"]),
                    number(slow["flash_bytes"]),
                    number(fast["instructions"]),
                    number(slow["instructions"]),
                    number(slow["instructions"] / fast["instructions"], 3),
                    "yes" if slow["bit_exact"] else "NO",
                ]
            )
    header = ["model, core", "flash, speed", "size", "instructions, speed", "size", "ratio", "bit exact"]
    return [
        "## For speed or for size",
        "",
        "`--optimize`, in bytes of flash as above.",
        "",
        table(header, rows),
        f"Flash to CMSIS-NN, geometric mean over these four: **{flash_ratio(results):.3f}** for speed, "
        f"**{flash_ratio(small):.3f}** for size.\n",
    ]


def report(results: dict[str, dict[str, dict]], small: dict[str, dict[str, dict]], command: str) -> str:
    """The Markdown page: `results` holds a measurement for each model and core, `small` those for size."""
    first = next(iter(next(iter(results.values())).values()))
    arguments = first["conditions"]["qemu_arguments"]
    counting = arguments[arguments.index("-icount") + 1]
    cores = list(dict.fromkeys(core for by_core in results.values() for core in by_core))
    compilers = sorted(
        {m["conditions"]["compiler"] for by_core in results.values() for m in by_core.values()}
    )
    text = [
        "# The C model beside TensorFlow Lite Micro with CMSIS-NN",
        "",
        f"Made by `{command}`. Emulated: instructions and bytes, never milliseconds.",
        f"{first['engine'].split(',')[0]};",
        f"{'; '.join(compilers)}; {' '.join(FLAGS)};",
        f"{first['conditions']['qemu']}, `-icount {counting}`; compared",
        f"byte for byte with {first['conditions']['reference']}. Instructions are those of one inference, to "
        "within one tick of the",
        "board's counter (40 on the M0+, M3, M4 and M7, 50 on the M33, 31.25 on the M55, 1 on RISC-V); the",
        "largest of three random inputs. Flash is vectors, text, rodata and data with the harness, without",
        "the model's constants; RAM is .data + .bss with arena, input and output; stack is the high-water",
        "mark of one inference.",
        "",
        "The other side: TFLM 90b983c, CMSIS-NN 4ab83cc (-O2), GCC 12.2, full newlib, the same emulator and",
        "cores. separable-m is not the depthwise-separable network that was measured there, which has 5.18 M",
        "multiply-accumulates: that row compares instructions a multiply-accumulate, and its flash and RAM",
        "are of two different networks. It is untrained, which changes little: the work does not depend on",
        "the weights. resnet, visual, autoencoder and wake_word are stand-ins, see `benchmarks/standins.py`;",
        "the other side of them is what `benchmarks/tflm.py` measured.",
        "",
        "## Instructions",
        "",
    ]
    rows = []
    for name, by_core in results.items():
        for core, m in by_core.items():
            peer, ours = PEER.get(name, NOT_MEASURED), m["emulated"]["instructions"]
            rows.append(
                [
                    f"{name}, {core}",
                    number(ours),
                    number(peer["instructions"].get(core)),
                    number(ratio(m, core), 3),
                    number(ours / m["model"]["multiply_accumulates"], 3),
                    "yes" if m["emulated"]["bit_exact"] else f"NO, {m['differing_bytes']} bytes",
                ]
            )
    text.append(table(["model, core", "ours", "CMSIS-NN", "ratio", "ours / MAC", "bit exact"], rows))
    for core in cores:
        ratios = [
            r
            for name, by_core in results.items()
            if name != "separable-m" and core in by_core and (r := ratio(by_core[core], core))
        ]
        if ratios:
            text.append(
                f"Geometric mean on {core}: **{geometric_mean(ratios):.3f}** over {len(ratios)} models, "
                f"of which the largest is {max(ratios):.3f}; separable-m is not among them.\n"
            )
    text += ["## Memory, in bytes", ""]
    rows = []
    for name, by_core in results.items():
        for core, m in by_core.items():
            peer, e = PEER.get(name, NOT_MEASURED), m["emulated"]
            flash = peer["flash_bytes"].get(core)
            ram = peer["ram_bytes"] if core == "cortex-m4" else None
            rows.append(
                [
                    f"{name}, {core}",
                    number(e["flash_bytes"]),
                    number(flash),
                    number(e["flash_bytes"] / flash, 3) if flash else "",
                    number(e["ram_bytes"]),
                    number(ram),
                    number(e["ram_bytes"] / ram, 3) if ram else "",
                    number(e["arena_bytes"]),
                    number(e["stack_bytes"]),
                    number(m["model"]["constant_bytes"]),
                ]
            )
    header = [
        "model, core",
        "flash",
        "CMSIS-NN",
        "ratio",
        "RAM",
        "CMSIS-NN",
        "ratio",
        "arena",
        "stack",
        "constants",
    ]
    text.append(table(header, rows))
    text.append(f"RAM on cortex-m4 to CMSIS-NN, geometric mean: **{ram_ratio(results):.3f}**.\n")
    text += choices(results, small)
    text += ["## By operator, instructions a multiply-accumulate (or instructions, where there are none)", ""]
    for name, by_core in results.items():
        shown = [core for core in ("cortex-m3", "cortex-m4", "cortex-m55") if core in by_core]
        if not shown:
            continue
        rows = []
        for position, operator in enumerate(by_core[shown[0]]["operators"]):
            row = [f"{operator['number']} {operator['name']}", number(operator["multiply_accumulates"])]
            for core in shown:
                found = by_core[core]["operators"][position]
                each = found["instructions_per_multiply_accumulate"]
                row.append(number(found["instructions"]) if each is None else number(each, 3))
            rows.append(row)
        text += [f"### {name}", "", table(["operator", "MACs", *shown], rows)]
    return "\n".join(text)


def against_bakenn(published: Path) -> None:
    """Writes results/bakenn.json and bakenn.md."""
    import bakenn_peer

    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in six(published, Path(folder)):
            results[model.stem] = bakenn_peer.measure(model)
            print(f"{model.stem}: {results[model.stem]}", flush=True)
    write_json(RESULTS / "bakenn.json", results)
    write_text(RESULTS / "bakenn.md", bakenn_peer.report(results))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models", type=Path, default=HERE.parents[1] / "shared" / "models", metavar="FOLDER"
    )
    parser.add_argument("--cores", nargs="+", default=cores(), choices=cores(), metavar="CORE")
    parser.add_argument("--only", nargs="+", metavar="MODEL", help="keep the figures of the other models")
    parser.add_argument("--peer", choices=("bakenn",), help="compare with it instead; see bakenn_peer.py")
    arguments = parser.parse_args()
    if arguments.peer:
        against_bakenn(arguments.models)
        return
    path = RESULTS / "engine.json"
    results: dict[str, dict[str, dict]] = {}
    if arguments.only and path.exists():
        results = json.loads(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        models = six(arguments.models, Path(folder))
        if not arguments.only or "separable-m" in arguments.only:
            models.append(separable(Path(folder)))
        for model in models:
            if arguments.only and model.stem not in arguments.only:
                continue
            for core in arguments.cores:
                found = results.setdefault(model.stem, {})[core] = qemu.measure(model, core)
                emulated = found["emulated"]
                print(
                    f"{model.stem} on {core}: {emulated['instructions']:,} instructions, {emulated}",
                    flush=True,
                )
                write_json(path, results)
        small = _for_size(models)
    write_text(RESULTS / "engine.md", report(results, small, "python benchmarks/engine.py"))


def _for_size(models: list[Path]) -> dict[str, dict[str, dict]]:
    """What is compiled for size, into results/optimize.json."""
    small: dict[str, dict[str, dict]] = {}
    for model in models:
        if model.stem in SMALL_MODELS:
            for core in SMALL_CORES:
                small.setdefault(model.stem, {})[core] = qemu.measure(model, core, optimize="size")
                print(f"{model.stem} on {core}, for size: {small[model.stem][core]['emulated']}", flush=True)
    write_json(RESULTS / "optimize.json", small)
    return small


if __name__ == "__main__":
    main()
