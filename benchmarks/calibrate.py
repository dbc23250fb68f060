"""Calibrates the table by which a search knows what a student would cost in instructions.

    python benchmarks/calibrate.py [--students N] [--seed K] [--work FILE]

draws N random students of every family that is searched, a few L3 students and transformers, with random
weights, counts the instructions of each of their operators on an emulated Cortex-M4, fits the constants of
edgesea/searching/instructions.json to them, and says how far the table is off, on these and, with another
seed, on N / 5 that it was not fitted to. What the emulator counted is kept in FILE as it comes; a killed call
goes on.

The constants are least squares without any below 0 (Lawson and Hanson, 1974), relative to what the operator
takes or to a hundredth of its model, whichever is more.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from edgesea import __version__
from edgesea.devices import qemu
from edgesea.files import write_json
from edgesea.frontend import PRESETS, Frontend
from edgesea.interpreter import open_interpreter
from edgesea.measures.inputs import random_examples
from edgesea.named import Choice
from edgesea.running.emulator import FLAGS, TIME_LIMIT_S, board_of, scratch
from edgesea.running.programs import tool
from edgesea.searching import cost, space
from edgesea.searching.instructions import CORE, FILE, counted
from firmware_export.compile import compile_model
from firmware_export.graph import read
from firmware_export.passes import lower, simplify
from firmware_export.plan import plan

FRONTENDS = ("yamnet-16k", "sea-8k")
DIMENSIONS = (16, 24, 32, 48, 64, 96, 128)
# Of a model's instructions; an operator below it is not what the table is for.
FLOOR = 0.01


def drawn(seed: int, number: int) -> tuple[Choice, Frontend, int]:
    """Student `number`, its frontend and dimension; the families come in turn."""
    trial = space.Random([seed, number])
    frontend = PRESETS[trial.suggest_categorical("frontend", FRONTENDS)]
    families = (*space.FAMILIES, *space.FAMILIES, "l3", "transformer")
    family = families[number % len(families)]
    if family in space.FAMILIES:
        student, dimension = space.draw(trial, (family,), DIMENSIONS)
        return student, frontend, dimension
    if family == "l3":
        filters = tuple(trial.suggest_int("filters", 4, 16) for _ in range(4))
        return Choice("student3", (("filters", filters),)), frontend, 16
    options = {
        "width": 16 * trial.suggest_int("width", 1, 4),
        "heads": 2,
        "hidden": 16 * trial.suggest_int("hidden", 2, 8),
        "layers": trial.suggest_int("layers", 1, 2),
    }
    return Choice("transformer", tuple(sorted(options.items()))), frontend, 32


def count(model: bytes) -> list[float]:
    """The instructions that the emulator counts of each step of an int8 .tflite."""
    board, reference = board_of(CORE), open_interpreter(model, resolver="reference")
    with scratch() as folder:
        compiled = compile_model(model, folder / "model", "measured")
        examples = [tuple(example) for example in random_examples(reference.inputs, 1)]
        _, report, _ = qemu._inference(board, compiled, reference, examples, folder, (), True, TIME_LIMIT_S)
    ticks = [values[1] for word, *values in report if word == "operator"]
    return [each * board.emulator.instructions_per_tick for each in ticks]


def steps_of(model: bytes, instructions: list[float]) -> list[dict]:
    """The kernel of each step, what its loops do, and what it takes."""
    return [
        {"kernel": kernel, "counts": counts, "instructions": each}
        for (kernel, counts), each in zip(
            counted(plan(lower(simplify(read(model))))), instructions, strict=True
        )
    ]


def fitted(models: list[dict]) -> dict[str, dict[str, float]]:
    """Kernel -> name of a count -> instructions."""
    steps: dict[str, list[tuple[dict, float, float]]] = {}
    for model in models:
        least = FLOOR * sum(step["instructions"] for step in model["steps"])
        for step in model["steps"]:
            each = (step["counts"], step["instructions"], 1 / max(step["instructions"], least))
            steps.setdefault(step["kernel"], []).append(each)
    table = {}
    for kernel, held in sorted(steps.items()):
        names = sorted({name for counts, _, _ in held for name in counts})
        matrix = np.array([[counts.get(name, 0) * weight for name in names] for counts, _, weight in held])
        size = np.linalg.norm(matrix, axis=0)
        constants, _ = nnls(matrix / size, np.array([taken * weight for _, taken, weight in held]))
        table[kernel] = {
            name: float(f"{value:.6g}") for name, value in zip(names, constants / size, strict=True) if value
        }
    return table


def errors(models: list[dict], table: dict) -> list[float]:
    """How far the table is off, by model: estimated over counted, less 1."""
    found = []
    for model in models:
        estimate = sum(
            table[step["kernel"]].get(name, 0) * value
            for step in model["steps"]
            for name, value in step["counts"].items()
        )
        found.append(estimate / sum(step["instructions"] for step in model["steps"]) - 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--students", type=int, default=80)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, default=Path("calibrate.json"))
    arguments = parser.parse_args()
    held = json.loads(arguments.work.read_text()) if arguments.work.exists() else {}
    wanted = [(arguments.seed, number) for number in range(arguments.students)]
    kept_aside = [(arguments.seed + 1, number) for number in range(arguments.students // 5)]
    models: list[dict] = []
    for seed, number in (*wanted, *kept_aside):
        name, (student, frontend, dimension) = f"{seed}-{number}", drawn(seed, number)
        model = cost.untrained(student, frontend, dimension)
        if name not in held:
            held[name] = count(model)
            write_json(arguments.work, held)
            print(f"{name}: {student} {frontend.name} {dimension}", flush=True)
        models.append({"student": str(student), "steps": steps_of(model, held[name])})
    models, aside = models[: len(wanted)], models[len(wanted) :]
    table = fitted(models)
    board = board_of(CORE)
    of_fitted, of_others = (np.abs(errors(each, table)) for each in (models, aside))
    write_json(
        FILE,
        {
            "core": CORE,
            "made_by": f"edgesea {__version__}, benchmarks/calibrate.py",
            "compiler": qemu._first_line(tool(board.toolchain.prefix + "gcc", board.toolchain.package)),
            "qemu": qemu._first_line(tool(board.emulator.program, board.emulator.package)),
            "flags": [*board.toolchain.flags, *FLAGS],
            "students": {"fitted": len(models), "kept aside": len(aside)},
            "off by": {
                "fitted": {"median": float(np.median(of_fitted)), "most": float(of_fitted.max())},
                "kept aside": {"median": float(np.median(of_others)), "most": float(of_others.max())},
            },
            "kernels": table,
        },
    )
    for name, each in (("fitted", of_fitted), ("kept aside", of_others)):
        print(f"{name}: off by {100 * np.median(each):.2f} % at the median, {100 * each.max():.2f} % at most")


if __name__ == "__main__":
    main()
