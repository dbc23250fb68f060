r"""Is a student that learnt from one place better there than a general one? Writes results/specialisation.*.

    python benchmarks/specialisation.py --teacher ../shared/models/yamnet.tflite \
        --domain ../shared/data/esc50_other_folds_8bit/index.csv --labelled ../shared/data/esc50-fold4 \
        --work work [--seeds 3]

Students of three sizes are distilled, without labels and with one budget, on

- place       all of DOMAIN's clips of the place: the ten urban classes of ESC-50
- everywhere  as many clips of all classes, the same number of each
- elsewhere   as many clips of the other classes, the same number of each

and scored on LABELLED, no recording of which is in DOMAIN: on its clips of the place, and on all others.
Which clips are drawn is another choice for every seed. Labels say what is the place's; no student sees them.

- accuracy: of the head of `edgesea evaluate` on the int8 student's embeddings, folds by recording
- CKA: linear, of the int8 student's embeddings with the teacher's whole ones, frame by frame: what a student
  of another domain, which has a phi of its own, can be compared by

Every cell is kept in WORK, and the same call goes on where it stopped.
"""

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np
from cells import answer, finished, kept, share

import edgesea
from edgesea import datasets, files
from edgesea.datasets import Clip, Manifest, table
from edgesea.distillation import distill
from edgesea.run import Config, Run, absolute, versions

RESULTS = Path(__file__).with_name("results")
# ESC-50's fifth group, exterior and urban noises (Piczak, ACM Multimedia 2015, table 1).
PLACE = (
    *("airplane", "car_horn", "chainsaw", "church_bells", "engine"),
    *("fireworks", "hand_saw", "helicopter", "siren", "train"),
)
DOMAINS = ("place", "everywhere", "elsewhere")
SIZES = {
    "tiny": "separable:stem=8,blocks=[[12,2],[24,2],[32,2],[48,1]]",
    "separable-s": "separable-s",
    "separable-m": "separable-m",
}
# Little is kept aside of what is not scored anyway.
SPLIT = [0.94, 0.03, 0.03]
SCORED = {"the place": True, "outside": False}
FIGURES = ("accuracy", "cka")


def chosen(manifest: Manifest, clips: list[int], path: Path, *, labels: bool) -> Path:
    """Writes a table of some clips of a manifest, with labels and recordings or without, and returns it."""
    some = manifest.select(clips, path.parent.name)
    if not labels:
        some = dataclasses.replace(some, clips=tuple(Clip(clip.path) for clip in some.clips))
    table.write(some, path)
    return path


def drawn(manifest: Manifest, domain: str, seed: int) -> list[int]:
    """The clips of a domain: as many as the place has, of classes as equally often as may be."""
    ours = [index for index, clip in enumerate(manifest.clips) if clip.labels[0] in PLACE]
    if domain == "place":
        return ours
    rng = np.random.default_rng([seed, DOMAINS.index(domain)])
    by_class: dict[str, list[int]] = {}
    for index in rng.permutation(len(manifest)):
        label = manifest.clips[index].labels[0]
        if domain == "everywhere" or label not in PLACE:
            by_class.setdefault(label, []).append(int(index))
    turns = [clips[turn : turn + 1] for turn in range(len(manifest)) for _, clips in sorted(by_class.items())]
    return sorted([clip for turn in turns for clip in turn][: len(ours)])


def cell(options, scored: dict[str, Path], domain: str, size: str, seed: int) -> dict:
    """One student: distilled, exported and scored at the place and outside."""
    heard = datasets.load(options.domain)
    data = chosen(
        heard, drawn(heard, domain, seed), options.work / f"{domain}-{seed}" / "clips.csv", labels=False
    )
    settings = {
        "teacher": options.teacher,
        "data": str(data),
        "student": SIZES[size],
        "frames": options.frames,
        "epochs": options.epochs,
        "split": SPLIT,
        "seed": seed,
    }

    def compute() -> dict:
        print(f"{domain}, {size}, seed {seed}", flush=True)
        out = options.work / f"run-{domain}-{size}-{seed}"
        Run.start(out, Config.from_dict(absolute(settings)))
        # The sizes hear the same frames.
        first = options.work / f"run-{domain}-{next(iter(SIZES))}-{seed}"
        if finished(first):
            for store in ("domain", "examples"):
                share(first / store, out / store)
        run = distill(Run(out).config, out)
        # What int8 loses is in the scores; a student that learnt little is a result too.
        bundle = edgesea.export(
            run, out.with_name(f"bundle{out.name[3:]}"), c_model=False, onnx=False, allow_failed=True
        )
        found = {"weight_bytes": bundle.manifest["int8"]["storage"]["weight_bytes"]}
        for name, file in scored.items():
            evaluation = edgesea.evaluate(run, file)
            task, unheard = evaluation.task, evaluation.fidelity["parts"][-1]["int8"]
            found[name] = {
                "accuracy": task["int8"],
                "interval": task["intervals"]["int8"],
                "teacher": task["teacher"],
                "cka": unheard["cka"],
                "clips": task["clips"],
            }
        return found

    return kept(options.work / "cells" / f"{domain}-{size}-{seed}.json", settings, compute)


def mean(row: list[dict], where: str, key: str) -> float:
    """Over seeds."""
    return float(np.mean([each[where][key] for each in row]))


def same_score(cells: dict, domain: str, than: str, key: str) -> float | None:
    """Bytes of weights at which `domain` scores at the place what the largest student of `than` does there.

    Linear in the logarithm of bytes between the sizes; None where the largest of `domain` scores less.
    """
    wanted = mean(cells[than][list(SIZES)[-1]], "the place", key)
    size = [np.log(cells[domain][name][0]["weight_bytes"]) for name in SIZES]
    scores = np.maximum.accumulate([mean(cells[domain][name], "the place", key) for name in SIZES])
    if scores[-1] < wanted:
        return None
    at = int(np.searchsorted(scores, wanted))
    if at == 0:
        return float(cells[domain][next(iter(SIZES))][0]["weight_bytes"])
    share_of = (wanted - scores[at - 1]) / (scores[at] - scores[at - 1])
    return float(np.exp(size[at - 1] + share_of * (size[at] - size[at - 1])))


def lines(result: dict) -> list[str]:
    """One row a domain and size."""
    found = []
    for domain, sizes in result["cells"].items():
        for size, row in sizes.items():
            columns = []
            for where in SCORED:
                values = [each[where]["accuracy"] for each in row]
                low, high = (
                    np.mean([each[where]["interval"][end] for each in row]) for end in ("low", "high")
                )
                columns.append(
                    f"{np.mean(values):.3f} [{low:.3f}, {high:.3f}] | {np.ptp(values):.3f} | "
                    f"{mean(row, where, 'cka'):.3f}"
                )
            found.append(
                f"| {domain} | {size} | {row[0]['weight_bytes']:,} | {len(row)} | {' | '.join(columns)} |"
            )
    return found


def report(result: dict) -> str:
    """The result as a Markdown page."""
    first = next(iter(next(iter(result["cells"].values())).values()))[0]
    inside, outside = (f"{first[where]['teacher']:.3f} on {first[where]['clips']} clips" for where in SCORED)
    return f"""# Students of one place, of everywhere, and of everywhere else

Made by `python benchmarks/specialisation.py`; every figure, with versions: specialisation.json.
Teacher {result["teacher"]}, {result["clips"]} clips a domain, {result["frames"]:,} augmented frames,
{result["epochs"]} epochs, int8. The teacher itself scores {inside} of the place, {outside} outside it.

| learnt from | student | weights | seeds | accuracy, place | spread | CKA, place | accuracy, outside | \
spread | CKA, outside |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|
{chr(10).join(lines(result))}

Accuracies are means over seeds, in brackets 95 % intervals over recordings (the means of their ends); the
spread is that of the seeds. {conclusion(result)}

![accuracy and CKA over bytes](specialisation.png)
"""


def conclusion(result: dict) -> str:
    """How much smaller the place's student may be, by each figure."""
    said = []
    for key, name in zip(FIGURES, ("accuracy", "CKA"), strict=True):
        cells = result["cells"]
        largest = cells["everywhere"][list(SIZES)[-1]][0]["weight_bytes"]
        small = same_score(cells, "place", "everywhere", key)
        if small is None:
            said.append(f"by {name}, with none of these sizes")
            continue
        # The smallest may do better than that.
        most = "at most " if small <= cells["place"][next(iter(SIZES))][0]["weight_bytes"] else ""
        said.append(f"by {name}, with {most}{small:,.0f} bytes ({small / largest:.0%})")
    return (
        f"A student of the place scores there what the one of everywhere does with {largest:,} bytes: "
        f"{'; '.join(said)}."
    )


def plot(result: dict, path: Path) -> None:
    """Accuracy and CKA over bytes, at the place and outside."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(len(FIGURES), len(SCORED), figsize=(8, 6), sharex=True, sharey="row")
    for panel, key in zip(panels, FIGURES, strict=True):
        for axes, where in zip(panel, SCORED, strict=True):
            for domain, sizes in result["cells"].items():
                size = [row[0]["weight_bytes"] for row in sizes.values()]
                values = np.array([[each[where][key] for each in row] for row in sizes.values()])
                axes.plot(size, values.mean(axis=1), "o-", label=domain)
                axes.fill_between(size, values.min(axis=1), values.max(axis=1), alpha=0.15)
            axes.set_xscale("log")
            axes.set_xticks(size, [f"{each / 1000:.0f} K" for each in size])
            axes.minorticks_off()
            axes.grid(alpha=0.3)
            axes.set_title(f"{key}, {where}")
    for axes in panels[-1]:
        axes.set_xlabel("bytes of weights, int8")
    panels[0][0].legend(title="learnt from")
    figure.tight_layout()
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
    pyplot.close(figure)


def work(options) -> None:
    labelled = datasets.load(options.labelled)
    scored = {
        where: chosen(
            labelled,
            [index for index, clip in enumerate(labelled.clips) if (clip.labels[0] in PLACE) == inside],
            options.work / where.replace(" ", "-") / "clips.csv",
            labels=True,
        )
        for where, inside in SCORED.items()
    }
    order = [(seed, domain, size) for seed in range(options.seeds) for domain in DOMAINS for size in SIZES]
    cells: dict = {domain: {size: [] for size in SIZES} for domain in DOMAINS}
    for seed, domain, size in order:
        cells[domain][size].append(cell(options, scored, domain, size, seed))
    result = {
        "teacher": Path(options.teacher).stem,
        "clips": len(drawn(datasets.load(options.domain), "place", 0)),
        "frames": options.frames,
        "epochs": options.epochs,
        "cells": cells,
        "conditions": f"{os.cpu_count()} cores.",
        "versions": versions(),
    }
    files.write_json(RESULTS / "specialisation.json", result)
    plot(result, RESULTS / "specialisation.png")
    files.write_text(RESULTS / "specialisation.md", report(result))
    print(json.dumps({"cells": len(order)}))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--domain", required=True, help="labelled, so that places can be told apart")
    parser.add_argument("--labelled", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=8192)
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    # What tables hold is taken from where they lie.
    options.domain, options.labelled = (Path(each).resolve() for each in (options.domain, options.labelled))
    (options.work / "cells").mkdir(parents=True, exist_ok=True)
    return answer(lambda: work(options))


if __name__ == "__main__":
    sys.exit(main())
