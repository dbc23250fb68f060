r"""All objectives on one teacher, sound, student and budget; writes results/objectives.{json,md}.

    python benchmarks/objectives.py --work work
    python benchmarks/objectives.py --work work --real --teacher ../shared/models/yamnet.tflite \
        --data ../shared/data/esc10_other_folds/index.csv --unheard ../shared/data/esc50-fold4

The first distils the demo's teacher on a synthesised street, scored on a street of other recordings; the
second adds real sound. The transformers (`amad`, and `sea` beside it) have their own teacher and student:
`--transformer TEACHER.tflite`, see `train_transformer_teacher.py`. Every cell (sound, objective, seed) is
computed once and kept in the work folder: a killed call goes on, and one with fewer seeds or --only some
objectives leaves the others for later. The tables show what there is, with the number of seeds. What a
student costs on a device does not depend on the objective: it is emulated once.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from cells import answer, finished, kept, share

import edgesea
from edgesea.datasets import street
from edgesea.distillation import distill
from edgesea.run import Config, Run, absolute

RESULTS = Path(__file__).with_name("results")
OBJECTIVES = (
    *("sea", "cosine", "simreg", "kd", "compress:momentum=0.9", "reaug"),
    *("disk:alone=1,period=4,rise=8,budget=[0.6,0.0]", "sea+0.5*compress:momentum=0.9"),
)
TRANSFORMERS = ("sea", "amad")
STUDENT, DIMENSION = "separable-s", 32
# The default of when the first cells were computed, so that all are alike.
LEARNING_RATE = 0.003
# Of the street: clips, takes of a recording, seconds; what is learnt from, and what is not heard.
CLIPS, TAKES, SECONDS, SEEDS = 128, 2, 1.5, (31, 32)
BOARD = "qemu:cortex-m4"


HEADER = (
    "| objective | seeds | accuracy | agreement | KL | R² held out | CKA held out | neighbours held out | "
    "CKA unheard | processor, s |",
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="objectives, as they are listed in the script")
    parser.add_argument("--frames", type=int, default=4096)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--transformer", type=Path, help="teacher of amad")
    parser.add_argument("--real", action="store_true", help="real sound too")
    parser.add_argument("--teacher", help="of the real sound")
    parser.add_argument("--data", help="real labelled sound that is learnt from")
    parser.add_argument("--unheard", help="real labelled sound that is scored")
    call = parser.parse_args()

    folders = [call.work / f"street-{seed}" for seed in SEEDS]
    for folder, seed in zip(folders, SEEDS, strict=True):
        if not (folder / "clips.csv").is_file():
            street.synthesise(folder, CLIPS, seed=seed, seconds=SECONDS, takes=TAKES)
    heard, unheard = map(str, folders)
    tables = [("street", "demo", heard, unheard, STUDENT, OBJECTIVES)]
    if call.real:
        tables.append(("real", call.teacher, call.data, call.unheard, STUDENT, OBJECTIVES))
    if call.transformer:
        tables.append(
            ("street, transformers", str(call.transformer), heard, unheard, "transformer", TRANSFORMERS)
        )
    for seed in range(call.seeds):  # Every table has one seed before any has two.
        for name, teacher, data, scored, student, objectives in tables:
            for objective in objectives:
                if not call.only or objective in call.only:
                    cell(call, name, teacher, data, scored, student, objective, seed)
                    write(call.work)


def cell(call, name, teacher, data, scored, student, objective, seed) -> None:
    """Computes one cell, where it is not there."""
    settings = {
        "sound": name,
        "objective": objective,
        "seed": seed,
        "student": student,
        "dim": DIMENSION,
        "frames": call.frames,
        "epochs": call.epochs,
    }
    slug = "".join(c if c.isalnum() else "-" for c in f"{name}-{objective}-{seed}")
    print(f"{name}: {objective}, seed {seed}", flush=True)

    def compute() -> dict:
        out = call.work / "runs" / slug
        # What needs no label and one output of the teacher learns from the same frames.
        first = call.work / "runs" / "".join(c if c.isalnum() else "-" for c in f"{name}-sea-{seed}")
        config = Config.from_dict(
            absolute(
                {
                    "teacher": teacher,
                    "data": data,
                    "objective": objective,
                    "student": student,
                    "dim": DIMENSION,
                    "frames": call.frames,
                    "epochs": call.epochs,
                    "learning_rate": LEARNING_RATE,
                    "seed": seed,
                }
            )
        )
        Run.start(out, config)
        if finished(first) and not objective.startswith(("disk", "amad")):
            for store in ("domain", "examples"):
                share(first / store, out / store)
        began = time.process_time()
        run = distill(config, out)
        spent = time.process_time() - began
        found = edgesea.evaluate(run, scored)
        return {
            "seconds": sum(each["seconds"] for each in run.results()["course"]),
            "processor_s": spent,
            "parameters": run.results()["parameters"],
            "parts": found.fidelity["parts"],
            "task": {
                key: found.task[key]
                for key in ("metric", "teacher", "float", "int8", "intervals", "predictions", "clips")
            },
        }

    kept(call.work / "cells" / f"{slug}.json", settings, compute)


def on_device(work: Path, student: str) -> dict:
    """Bytes and instructions of a student on `BOARD`, from any run in the work folder; {} without one."""
    runs = filter(None, map(finished, sorted((work / "runs").glob("*"))))
    run = next((each for each in runs if each.config.student.name == student), None)

    def compute() -> dict:
        with tempfile.TemporaryDirectory() as folder:
            bundle = edgesea.export(run, Path(folder) / "bundle", onnx=False, allow_failed=True)
            found = edgesea.bench(bundle, BOARD).values
        return {
            "weight_bytes": found["storage"]["weight_bytes"],
            **{key: found["emulated"][key] for key in ("arena_bytes", "instructions")},
        }

    return kept(work / "device" / f"{student}.json", {"student": student}, compute) if run else {}


def write(work: Path) -> None:
    """results/objectives.{json,md} of all cells that there are."""
    cells = [json.loads(path.read_text()) for path in sorted((work / "cells").glob("*.json"))]
    found = [{**held["made_from"], **held["cell"]} for held in cells]
    slim = [{**each, "task": _slim(each["task"]), "parts": list(map(_part, each["parts"]))} for each in found]
    device = {student: on_device(work, student) for student in sorted({each["student"] for each in found})}
    result = {"device": device, "cells": slim}
    (RESULTS / "objectives.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "objectives.md").write_text(report(result), encoding="utf-8")


def _slim(task: dict) -> dict:
    """Without what a reliability diagram shows, which is thousands of lines."""
    said = task["predictions"] or {}
    figures = {model: {k: v for k, v in held.items() if k != "reliability"} for model, held in said.items()}
    return {**task, "predictions": figures}


def _part(part: dict) -> dict:
    return {key: part[key] for key in ("part", "float", "int8")}


def report(result: dict) -> str:
    """The tables as Markdown."""
    found = result["cells"]
    lines = [
        "# Objectives beside each other",
        "",
        "Made by `python benchmarks/objectives.py`; every figure: objectives.json. int8 students. Accuracy",
        "is of logistic heads on clips of recordings that no student heard, in brackets the 95 % interval",
        "over recordings of the first seed, then the spread over seeds where there are several. Agreement",
        "and KL are those heads' with the teacher's head. Time is the processor's, of all of a distillation",
        "on one thread, on machines that did other things beside.",
    ]
    for sound in sorted({each["sound"] for each in found}):
        here = [each for each in found if each["sound"] == sound]
        lines += ["", f"## {sound}", "", conditions(result, sound), "", *HEADER, *rows(here)]
    return "\n".join(lines) + "\n"


def conditions(result: dict, sound: str) -> str:
    """What all rows of a table have in common."""
    one = next(each for each in result["cells"] if each["sound"] == sound)
    device = result["device"][one["student"]]
    costs = (
        f"; on a Cortex-M4 {device['weight_bytes']:,} bytes of weights, an arena of "
        f"{device['arena_bytes']:,} bytes, {device['instructions']:,} instructions"
        if device
        else ""
    )
    return (
        f"{one['student']}, {one['parameters']:,} parameters, {one['dim']}-d{costs}; {one['frames']:,} "
        f"frames, {one['epochs']} epochs; {one['task']['clips']} clips scored; teacher's own head: "
        f"{one['task']['teacher']:.3f}."
    )


def rows(here: list[dict]) -> list[str]:
    """A line of the table for each objective of one kind of sound."""
    order = [*OBJECTIVES, *TRANSFORMERS]
    names = sorted({each["objective"] for each in here}, key=order.index)
    return [row([each for each in here if each["objective"] == name]) for name in names]


def row(of: list[dict]) -> str:
    """One objective, the mean over its seeds."""
    of = sorted(of, key=lambda each: each["seed"])

    def mean(*places):
        values = [each for each in (at(cell, places) for cell in of) if each is not None]
        return float(np.mean(values)) if values else None

    def shown(*places):
        value = mean(*places)
        return "–" if value is None else f"{value:.3f}"

    accuracy = [each["task"]["int8"] for each in of]
    interval = of[0]["task"]["intervals"]["int8"]
    spread = f" ± {np.std(accuracy):.3f}" if len(of) > 1 else ""
    said = ("task", "predictions", "int8")
    held, unheard = ("parts", -2, "int8"), ("parts", -1, "int8")
    return (
        f"| `{of[0]['objective']}` | {len(of)} | {np.mean(accuracy):.3f} "
        f"[{interval['low']:.3f}, {interval['high']:.3f}]{spread} | {shown(*said, 'agreement', 'value')} | "
        f"{shown(*said, 'predictive_kl', 'value')} | {shown(*held, 'r2')} | {shown(*held, 'cka')} | "
        f"{shown(*held, 'knn_overlap')} | {shown(*unheard, 'cka')} | {mean('processor_s'):.0f} |"
    )


def at(values, places):
    """The value at a path of names and numbers; None where there is none."""
    for place in places:
        try:
            values = values[place]
        except (KeyError, IndexError, TypeError):
            return None
    return values


if __name__ == "__main__":
    raise SystemExit(answer(main))
