r"""How good a student is on sound that it never heard, recipe by recipe; writes results/quality.{json,md}.

    python benchmarks/quality.py --teacher ../shared/models/yamnet.tflite --domain SOUND \
        --labelled ../shared/data/esc50-fold4 --work work [--recipe NAME ...] [--seeds 3]

SOUND is unlabelled, LABELLED has no recording in common with it. Every cell, a recipe with a seed, is
distilled, exported, emulated and evaluated by the very commands of the README in WORK, and kept there: the
same call goes on where it stopped, and one for other recipes adds its rows to the table.

A recipe is one change to the first one, all with one budget (--frames, --epochs) unless the name says so;
`default` has that of `edgesea distill`. Those that begin with `alone` have LABELLED itself as their domain;
`through` has a student as its teacher, `two teachers` has --second too.

- share: accuracy of a head on the int8 student's embeddings of LABELLED, as a share of the teacher's. The
  head is the one of `edgesea evaluate`: C chosen for each embedding, folds by recording.
- R², cosine: to phi(teacher) of the recipe's own teacher, of the int8 student, without silence; heard, on the
  frames that it was trained on, and unheard, on all of LABELLED. `alone` has heard LABELLED's training
  recordings; its unheard ones are those that were held out.
- minutes: of the training alone, on a machine that does nothing else only where the conditions say so.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import tomli_w
from cells import answer, finished, kept, share

from edgesea import datasets, files, students
from edgesea.datasets import street, table
from edgesea.run import Run, read_config, versions

RESULTS = Path(__file__).with_name("results")
# Half of the chances of every effect, and a quarter.
LESS = {
    "speed_probability": 0.25,
    "equaliser_probability": 0.25,
    "mix_probability": 0.3,
    "noise_probability": 0.15,
}
LITTLE = {name: chance / 2 for name, chance in LESS.items()}
RECIPES = {
    "cosine": {},
    "default": {"frames": 60_000, "epochs": 16},
    "direction alone": {"objective": {"name": "cosine", "length": 0.0}},
    "sea": {"objective": "sea"},
    "simreg": {"objective": "simreg"},
    "simreg, 4 linear heads": {"objective": {"name": "simreg", "heads": 4, "hidden": 0}},
    "whitened": {"reducer": {"name": "pca", "whiten": True}},
    "less augmentation": {"augmentation": LESS},
    "no augmentation": {"augmentation": False},
    "dim 128": {"dim": 128},
    "separable-s": {"student": "separable-s"},
    "student3": {"student": "student3"},
    # Ten times as many steps: an hour of one core.
    "long": {"frames": 128_000, "epochs": 24, "augmentation": LESS},
    "half as long, wide kernels, muon": {
        "frames": 128_000,
        "epochs": 12,
        "augmentation": LESS,
        "student": "separable-w",
        "optimizer": "muon",
    },
    "alone": {},
    "alone, learning rate 0.003": {"learning_rate": 0.003},
    # The paper's largest saving, which takes ten times as long to train, and the default beside it.
    "one epoch": {"epochs": 1},
    "one epoch, student3": {"epochs": 1, "student": "student3"},
    # Short trainings, to tell apart what a long one need not be spent on.
    "two epochs": {"epochs": 2},
    "two epochs, learning rate 0.003": {"epochs": 2, "learning_rate": 0.003},
    "two epochs, learning rate 0.006": {"epochs": 2, "learning_rate": 0.006},
    "two epochs, learning rate 0.012": {"epochs": 2, "learning_rate": 0.012},
    "two epochs, learning rate 0.03": {"epochs": 2, "learning_rate": 0.03},
    "two epochs, weight decay 0.02": {"epochs": 2, "weight_decay": 0.02},
    "two epochs, sea": {"epochs": 2, "objective": "sea"},
    "two epochs, simreg": {"epochs": 2, "objective": "simreg"},
    "two epochs, whitened": {"epochs": 2, "reducer": {"name": "pca", "whiten": True}},
    "two epochs, less augmentation": {"epochs": 2, "augmentation": LESS},
    "two epochs, little augmentation": {"epochs": 2, "augmentation": LITTLE},
    # Beside "two epochs, less augmentation".
    "two epochs, less augmentation, muon": {"epochs": 2, "augmentation": LESS, "optimizer": "muon"},
    "two epochs, less augmentation, wide kernels, muon": {
        "epochs": 2,
        "augmentation": LESS,
        "student": "separable-w",
        "optimizer": "muon",
    },
    "two epochs, separable-l": {"epochs": 2, "student": "separable-l"},
    # Of the student of another recipe: phi was applied by the first step.
    "two epochs, through separable-l": {
        "epochs": 2,
        "teacher": "two epochs, separable-l",
        "reducer": "identity",
    },
    "two epochs, two teachers": {"epochs": 2, "teacher": "both"},
    "two epochs, streets beside": {"epochs": 2, "data": "streets beside"},
    # Twelve minutes of sound are heard again and again: what may help is whatever makes more of them.
    "alone, two epochs": {"epochs": 2},
    "alone, two epochs, mean of weights": {"epochs": 2, "ema": 0.999},
    "alone, two epochs, mixstyle": {"epochs": 2, "mixstyle": 0.5},
    "alone, two epochs, three clips": {"epochs": 2, "augmentation": {"mix_clips": 3}},
    "alone, two epochs, rooms": {"epochs": 2, "augmentation": {"reverberation_probability": 0.3}},
    "alone, two epochs, few bits": {"epochs": 2, "augmentation": {"bits_probability": 0.3}},
    "alone, two epochs, codecs": {"epochs": 2, "augmentation": {"codec_probability": 0.3}},
    "alone, two epochs, textures": {"epochs": 2, "augmentation": {"texture_probability": 0.3}},
    "alone, two epochs, balanced": {"epochs": 2, "balance": 32},
    "alone, two epochs, rounded": {"epochs": 2, "qat_epochs": 1},
    "alone, two epochs, less augmentation": {"epochs": 2, "augmentation": LESS},
}
# Recordings are many and their classes unknown: little is kept aside of what is not scored anyway.
SPLIT = [0.94, 0.03, 0.03]
# What decides, with the student's frontend, the store of a domain, and beyond it the examples drawn from it.
DOMAIN = ("teacher", "data", "keep_silence")
EXAMPLES = (*DOMAIN, "frames", "augmentation", "seed", "split", "balance")
BOARD = "qemu:cortex-m4"


def edgesea(*arguments) -> dict:
    """Runs a command with --json, shows its progress, returns its result."""
    command = [sys.executable, "-m", "edgesea", *map(str, arguments), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def configuration(options, recipe: str, seed: int) -> dict:
    """What `edgesea distill --config` is given."""
    alone = recipe.startswith("alone")
    config = {
        "teacher": str(Path(options.teacher).resolve()),
        "data": str(Path(options.labelled if alone else options.domain).resolve()),
        "objective": "cosine",
        "frames": options.frames,
        "epochs": options.epochs,
        "seed": seed,
        **({} if alone else {"split": SPLIT}),
        **RECIPES[recipe],
    }
    if config["teacher"] == "both":
        config["teacher"] = ",".join(str(Path(each).resolve()) for each in (options.teacher, options.second))
    elif config["teacher"] in RECIPES:
        config["teacher"] = str((options.work / f"run-{slug(config['teacher'])}-{seed}").resolve())
    if config["data"] == "streets beside":
        config["data"] = str((options.work / "streets-beside.csv").resolve())
    return config


def slug(recipe: str) -> str:
    """A recipe's name as a part of a file's."""
    return recipe.replace(", ", "-").replace(" ", "-")


def streets_beside(options) -> None:
    """Writes a table of the domain's clips and of a quarter as many synthesised ones, of eight seconds."""
    file = options.work / "streets-beside.csv"
    if file.exists():
        return
    ours = datasets.load(Path(options.domain).resolve())
    synthesised = street.synthesise(options.work.resolve() / "streets", len(ours) // 4, seed=1, seconds=8.0)
    table.write(dataclasses.replace(ours, clips=ours.clips + synthesised.clips), file)


def cell(options, recipe: str, seed: int) -> dict:
    """One recipe with one seed: distilled, exported, emulated, evaluated."""
    name = f"{slug(recipe)}-{seed}"
    config = configuration(options, recipe, seed)
    if (first := RECIPES[recipe].get("teacher")) in RECIPES:
        cell(options, first, seed)
    if recipe == "two epochs, streets beside":
        streets_beside(options)

    def compute() -> dict:
        file = options.work / f"{name}.toml"
        files.write_text(file, tomli_w.dumps(config))
        run, bundle = options.work / f"run-{name}", options.work / f"bundle-{name}"
        borrow(Run.start(run, read_config(file)), options.work)
        edgesea("distill", "--config", file, "--out", run)
        exported = edgesea("export", run, "--int8", "--out", bundle)
        emulated = edgesea("bench", bundle, "--device", BOARD)["emulated"]
        evaluated = edgesea("evaluate", run, "--data", options.labelled)
        course = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["course"]
        return summary(exported, emulated, evaluated, course)

    return kept(options.work / "cells" / f"{name}.json", config, compute)


def borrow(run: Run, work: Path) -> None:
    """Links what a finished run in WORK has already made that this one would make too."""
    ours = run.config
    for donor in filter(None, map(finished, sorted(work.glob("run-*")))):
        theirs = donor.config
        if students.student(ours.student).frontend != students.student(theirs.student).frontend:
            continue
        if all(getattr(ours, name) == getattr(theirs, name) for name in DOMAIN):
            share(donor.domain, run.domain)
        # What is balanced depends on phi too.
        drawn = ours.augmentation and not ours.balance
        if drawn and all(getattr(ours, name) == getattr(theirs, name) for name in EXAMPLES):
            share(donor.examples, run.examples)


def summary(exported: dict, emulated: dict, evaluated: dict, course: list[dict]) -> dict:
    """The figures of one cell, from what the commands answered."""
    task, parts = evaluated["task"], evaluated["fidelity"]["parts"]
    heard, unheard = parts[0], parts[-1]
    return {
        "accuracy": {name: task[name] for name in ("teacher", "float", "int8")},
        "intervals": {name: task["intervals"][name] for name in ("teacher", "float", "int8")},
        "heard": {key: heard["int8"][key] for key in ("r2", "cosine", "frames")},
        "unheard": {key: unheard["int8"][key] for key in ("r2", "cosine", "frames", "intervals")},
        "unheard_part": unheard["part"],
        "weight_bytes": exported["int8"]["storage"]["weight_bytes"],
        "arena_bytes": emulated["arena_bytes"],
        "instructions": emulated["instructions"],
        "epochs": len(course),
        "minutes": sum(epoch["seconds"] for epoch in course) / 60,
    }


def report(result: dict) -> str:
    """The result as a Markdown table."""
    teacher = next(iter(result["recipes"].values()))[0]["accuracy"]["teacher"]
    return f"""# Students on sound that they never heard

Made by `python benchmarks/quality.py`; every figure, with intervals and versions: quality.json.
Teacher {result["teacher"]}, domain {result["domain"]}, scored on {result["labelled"]}; {result["frames"]:,}
augmented frames, {result["epochs"]} epochs at most. {result["conditions"]}

Accuracy of the teacher: {teacher:.3f}.

| recipe | seeds | accuracy, int8 | share of the teacher's | R², heard | R², unheard | cosine, heard | \
cosine, unheard | weights | arena | M4 instructions | minutes |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
{chr(10).join(lines(result))}

In brackets 95 % intervals over recordings, of the first seed. Bytes; instructions of one inference, emulated.
"""


def lines(result: dict) -> list[str]:
    """One row a recipe; means over seeds."""
    found = []
    for name, row in result["recipes"].items():

        def mean(*place, row=row) -> float:
            values = row
            for key in place:
                values = [each[key] for each in values]
            return sum(values) / len(values)

        interval, first = row[0]["intervals"]["int8"], row[0]
        found.append(
            f"| {name} | {len(row)} | {mean('accuracy', 'int8'):.3f} "
            f"[{interval['low']:.3f}, {interval['high']:.3f}] | {teachers_share(row):.1%} | "
            f"{mean('heard', 'r2'):.3f} | {mean('unheard', 'r2'):.3f} | {mean('heard', 'cosine'):.3f} | "
            f"{mean('unheard', 'cosine'):.3f} | {first['weight_bytes']:,} | {first['arena_bytes']:,} | "
            f"{first['instructions']:,} | {mean('minutes'):.1f} |"
        )
    return found


def teachers_share(row: list[dict]) -> float:
    """The int8 student's accuracy as a share of the teacher's, mean over seeds."""
    return sum(each["accuracy"]["int8"] / each["accuracy"]["teacher"] for each in row) / len(row)


def work(options) -> None:
    result = {
        "teacher": Path(options.teacher).stem,
        "domain": Path(options.domain).name if options.name is None else options.name,
        "labelled": Path(options.labelled).name,
        "frames": options.frames,
        "epochs": options.epochs,
    }
    recipes = before(result) | {
        recipe: [cell(options, recipe, seed) for seed in range(options.seeds)]
        for recipe in options.recipe or RECIPES
    }
    result |= {
        "recipes": {recipe: recipes[recipe] for recipe in RECIPES if recipe in recipes},
        "conditions": options.conditions or f"{os.cpu_count()} cores.",
        "versions": versions(),
    }
    files.write_json(RESULTS / "quality.json", result)
    files.write_text(RESULTS / "quality.md", report(result))


def before(budget: dict) -> dict:
    """The rows that calls for other recipes have left, of the same budget."""
    file = RESULTS / "quality.json"
    held = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return held["recipes"] if held.items() >= budget.items() else {}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--second", help="another teacher, of the recipe with two")
    parser.add_argument("--domain", required=True)
    parser.add_argument("--name", help="what the domain is called")
    parser.add_argument("--labelled", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--recipe", action="append", choices=list(RECIPES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--frames", type=int, default=64_000)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--conditions", help="a sentence on the machine")
    options = parser.parse_args()
    (options.work / "cells").mkdir(parents=True, exist_ok=True)
    return answer(lambda: work(options))


if __name__ == "__main__":
    sys.exit(main())
