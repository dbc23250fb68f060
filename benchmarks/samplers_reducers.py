r"""Samplers and reducers on real sound: the same student and budget, and what can be told apart.

    python benchmarks/samplers_reducers.py --teacher ../shared/models/yamnet.tflite \
        --data ../shared/data/esc50-fold4 --work work

Every cell is a run of `edgesea distill` in WORK/runs and its scores in WORK/cells: the same call goes on
where it stopped, also after SIGKILL. Writes results/samplers_reducers.{json,md,png}.

How it is compared
- All cells of one seed have the same split, teacher's embeddings, training examples and first weights (but
  for identity's last layer); they differ in the sampler and in the reducer alone. Nothing is fitted for
  identity, so there the sampler does not matter, and there is one cell of it. Its student is of the same
  family with as many outputs as the teacher, and so has more parameters.
- The samplers want sensors, days and levels. A dataset without any gets an arrangement that has no meaning
  (`arranged`): recordings are dealt out to sensors and days in the order of their names. Levels are those
  of the frames, A-weighted, measured from the sound.
- accuracy: of a logistic regression on the standardised mean embedding of a clip (C = 0.01), cross-
  validated by recording over all clips, as `edgesea evaluate` has it.
- overlap: share of a held-out frame's 10 nearest neighbours (by cosine, among the held-out frames of its
  seed) that an embedding has in common with the teacher's own n dimensions. It can be compared across
  reducers; R² and cosine, which are to a cell's own phi(teacher), cannot.
- silence: recordings are padded with digital silence, which lies far from all sound. Silence in phi is the
  share of phi's variance between silent frames and all others: so much R² is had by telling the two apart.
- phi is what the student imitates, phi(teacher), scored in the same way: what is lost there, no student
  finds.
- Intervals: 95 %, percentiles over resamples of recordings and of seeds, both with replacement, the same
  for all cells; differences are taken within each resample. Two or three seeds are few: what seeds do is
  understated.
"""

import argparse
import dataclasses
import json
import os
import sys
import textwrap
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from cells import answer, finished, kept, share

from edgesea import datasets, files, reduction
from edgesea.datasets import Manifest, table
from edgesea.distillation import distill
from edgesea.evaluation.heads import Task
from edgesea.examples import Examples
from edgesea.measures.fidelity import NEIGHBOURS, normalised
from edgesea.objectives.base import predict
from edgesea.progress import Progress, TerminalProgress
from edgesea.run import Config, Run, versions
from edgesea.sampling import SAMPLERS
from edgesea.store import Store

RESULTS = Path(__file__).with_name("results")
SENSORS, DAYS, GAP, FIRST = 4, 3, timedelta(minutes=10), datetime(2024, 5, 1, 8)
CELLS = (("identity", "random"), *((reducer, name) for reducer in ("pca", "umap") for name in SAMPLERS))
RESAMPLES = 4000
METRICS = ("accuracy", "overlap")
SILENT_DB = -90.0  # A-weighted, of full scale


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--student", default="separable-s")
    parser.add_argument("--dim", type=int, default=64, help="of pca and umap")
    parser.add_argument("--sample", type=int, default=375, help="frames that the reducer is fitted on")
    parser.add_argument("--frames", type=int, default=6144, help="frames that a student is trained on")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    return answer(lambda: make(options))


def make(options: argparse.Namespace) -> None:
    """Makes what is missing of all cells, and writes the result."""
    result = compare(options, TerminalProgress())
    options.results.mkdir(parents=True, exist_ok=True)
    files.write_json(options.results / "samplers_reducers.json", result)
    files.write_text(options.results / "samplers_reducers.md", report(result))
    plot(result, options.results / "samplers_reducers.png")


def compare(options: argparse.Namespace, progress: Progress) -> dict:
    """Makes what is missing of all cells, and returns all figures as JSON values."""
    manifest = arranged(datasets.load(options.data))
    data = options.work / "arranged.csv"
    table.write(manifest, data)
    manifest = table.load(data)
    common = {
        "teacher": options.teacher,
        "data": str(data),
        "student": options.student,
        "sample": options.sample,
        "frames": options.frames,
        "epochs": options.epochs,
    }
    cells: dict[str, list[dict]] = {}
    silence: dict[str, list[dict]] = {}
    for seed in range(options.seeds):
        for reducer, sampler in CELLS:
            dim = None if reducer == "identity" else options.dim
            config = Config(**common, reducer=reducer, sampler=sampler, dim=dim, seed=seed)
            name = cell_name(reducer, sampler)
            cells.setdefault(name, []).append(_cell(config, f"{name}-{seed}", options.work, progress))
            silence.setdefault(name, []).append(_silence(config, f"{name}-{seed}", options.work))
    first = cells[cell_name(*CELLS[0])]
    recordings = [clip.group for clip in manifest.clips]
    return {
        "teacher": first[0]["run"]["teacher"]["name"],
        "dimension": first[0]["run"]["teacher"]["dimension"],
        "data": {
            "name": Path(options.data).name,
            "clips": len(manifest),
            "recordings": len(set(recordings)),
            "classes": len(manifest.labels),
            "frames": first[0]["run"]["data"]["frames"],
            "arrangement": f"recordings, by name, dealt out to {SENSORS} sensors and {DAYS} days, one every "
            f"{GAP.seconds // 60} minutes from {FIRST:%H:%M} on",
        },
        "choices": {name: common[name] for name in ("student", "sample", "frames", "epochs")}
        | {"dim": options.dim, "seeds": options.seeds, "resamples": RESAMPLES},
        **figures(cells, recordings),
        "silence": silence,
        "minutes": round(sum(each["run"]["seconds"] for row in cells.values() for each in row) / 60, 1),
        "cores": os.cpu_count(),
        "versions": versions(),
    }


def arranged(manifest: Manifest) -> Manifest:
    """The manifest as it is where clips have timestamps, else with the arrangement that stands in for them.

    Recording i, by name, is of sensor i mod 4, day i / 4 mod 3, and begins i / 12 * 10 minutes after 08:00,
    so that a window of two hours holds some others; its clips follow one another every 30 seconds.
    """
    if any(clip.timestamp for clip in manifest.clips):
        return manifest
    order = sorted(range(len(manifest)), key=lambda k: (manifest.clips[k].group, k))
    place = {group: i for i, group in enumerate(dict.fromkeys(manifest.clips[k].group for k in order))}
    taken: dict[str, int] = {}
    clips = []
    for k in order:
        clip = manifest.clips[k]
        i, take = place[clip.group], taken.get(clip.group, 0)
        taken[clip.group] = take + 1
        when = FIRST + timedelta(days=i // SENSORS % DAYS, seconds=30 * take) + i // (SENSORS * DAYS) * GAP
        clips.append(
            dataclasses.replace(clip, path=clip.path.resolve(), sensor=f"s{i % SENSORS}", timestamp=when)
        )
    return dataclasses.replace(manifest, clips=tuple(sorted(clips, key=lambda c: (c.sensor, c.timestamp))))


def cell_name(reducer: str, sampler: str) -> str:
    return "identity" if reducer == "identity" else f"{reducer}, {sampler}"


def _cell(config: Config, name: str, work: Path, progress: Progress) -> dict:
    """One distillation and its scores, clip by clip."""
    name = name.replace(", ", "-")

    def compute() -> dict:
        progress.say(name)
        run = Run.start(work / "runs" / name, config)
        # The embeddings are the same in all runs, the examples in those of one seed.
        first = cell_name(*CELLS[0])
        if donor := finished(work / "runs" / f"{first}-0"):
            share(donor.domain, run.domain)
        if donor := finished(work / "runs" / f"{first}-{config.seed}"):
            share(donor.examples, run.examples)
        run = distill(config, run.folder, progress=progress)
        return {**_scores(run), "run": run.results()}

    return kept(work / "cells" / f"{name}.json", config.to_dict(), compute)


def _silence(config: Config, name: str, work: Path) -> dict:
    """'frames' and 'sample' : share of silent frames of all, and of those that the reducer was fitted on
    (None where nothing was fitted); 'variance' : share of phi's variance between silent frames and others."""
    name = name.replace(", ", "-")

    def compute() -> dict:
        run = Run(work / "runs" / name)
        domain = Store.open(run.domain)
        silent = ~(domain.column("level_db") > SILENT_DB)
        phi = reduction.load(run.reducer).transform(domain.column("embedding"))
        with np.load(run.sample) as sample:
            rows = sample["rows"]
        return {
            "frames": float(silent.mean()),
            "sample": None if config.reducer.name == "identity" else float(silent[rows].mean()),
            "variance": between(phi, silent),
        }

    return kept(work / "cells" / f"{name}-silence.json", config.to_dict(), compute)


def between(values: np.ndarray, member: np.ndarray) -> float:
    """values (N, d), member (N,) bool -> share of the variance that is between the two groups, in [0, 1]."""
    values = np.asarray(values, np.float64) - np.mean(values, axis=0, dtype=np.float64)
    groups = [values[part] for part in (member, ~member) if part.any()]
    return float(sum(len(g) * np.square(g.mean(axis=0)).sum() for g in groups) / np.square(values).sum())


def _scores(run: Run) -> dict:
    """Of the student and of the phi(teacher) that it was trained on, for every clip:

    'accuracy' : share of the head's seeds in which its class was found
    'overlap' : mean over its frames; None for a clip that is not held out
    """
    domain = Store.open(run.domain)
    clip = domain.column("clip")
    examples = Examples(domain, np.arange(len(domain)), reduction.load(run.reducer))
    embeddings = {"student": predict(run.load_student(), examples.patches()), "phi": examples.targets()}
    clips = datasets.load(run.config.data).clips
    held_out = np.isin(clip, json.loads(run.split.read_text(encoding="utf-8"))["held-out"])
    wanted = neighbours(domain.column("embedding")[held_out])
    found = {}
    for name, values in embeddings.items():
        means = np.stack([values[clip == k].mean(axis=0) for k in range(len(clips))])
        near = neighbours(values[held_out])
        share = np.array([len(np.intersect1d(a, b)) / NEIGHBOURS for a, b in zip(near, wanted, strict=True)])
        overlap = [
            float(share[clip[held_out] == k].mean()) if k in clip[held_out] else None
            for k in range(len(clips))
        ]
        found[name] = {
            "accuracy": right(means, [c.labels[0] for c in clips], [c.group for c in clips]).tolist(),
            "overlap": overlap,
        }
    return found


def right(embeddings: np.ndarray, labels: list[str], recordings: list[str]) -> np.ndarray:
    """embeddings (clips, d) -> (clips,), the share of seeds in which a head that never heard the clip's
    recording finds its class."""
    task = Task(tuple((label,) for label in labels), tuple(recordings))
    truth = [task.classes.index(label) for label in labels]
    return (task.values(embeddings)[0].argmax(axis=2) == truth).mean(axis=0)


def neighbours(embeddings: np.ndarray) -> np.ndarray:
    """The `NEIGHBOURS` nearest rows to each row by cosine, (N, NEIGHBOURS)."""
    unit = normalised(embeddings)
    similarity = unit @ unit.T
    np.fill_diagonal(similarity, -np.inf)
    return np.argpartition(-similarity, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]


def figures(cells: dict[str, list[dict]], recordings: list[str]) -> dict:
    """Cell -> its figures, and every difference that is asked for, with intervals.

    cells : cell -> what `_cell` returns, seed by seed; recordings : of every clip
    """
    names = list(cells)
    seeds = len(cells[names[0]])
    weights = draws(recordings, seeds)
    found, drawn = {}, {}
    for name, row in cells.items():
        runs = [each["run"] for each in row]
        found[name] = {
            "parameters": runs[0]["parameters"],
            "dimension": runs[0]["dimension"],
            **{f"own_{key}": [run["fidelity"]["held-out"][key] for run in runs] for key in ("r2", "cosine")},
            "explained_variance": [run["reducer"].get("explained_variance") for run in runs],
        }
        for metric in METRICS:
            for who in ("student", "phi"):
                values = np.array([each[who][metric] for each in row], np.float64)  # (seeds, clips)
                drawn[name, who, metric] = resampled(values, *weights)
                found[name].setdefault(who, {})[metric] = {
                    **interval(mean(values), drawn[name, who, metric]),
                    "seeds": [float(np.nanmean(each)) for each in values],
                }
    differences = []
    for name, other, kind in pairs(names):
        for metric in METRICS:
            for who in ("student", "phi"):
                value = found[name][who][metric]["value"] - found[other][who][metric]["value"]
                spread = drawn[name, who, metric] - drawn[other, who, metric]
                differences.append(
                    {"cell": name, "from": other, "kind": kind, "of": who, "metric": metric}
                    | interval(value, spread)
                )
    return {"cells": found, "differences": differences}


def pairs(names: list[str]) -> list[tuple[str, str, str]]:
    """(cell, what it is compared with, 'sampler' or 'reducer')."""
    found = []
    for name in names:
        reducer, _, sampler = name.partition(", ")
        if sampler and sampler != "random":
            found.append((name, f"{reducer}, random", "sampler"))
        if reducer == "umap":
            found.append((name, f"pca, {sampler}", "reducer"))
        elif reducer == "identity":
            found.append((name, "pca, random", "reducer"))
    return [each for each in found if each[1] in names]


def draws(recordings: list[str], seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """How often each clip (RESAMPLES, clips) and each seed (RESAMPLES, seeds) is in each resample."""
    rng = np.random.default_rng(0)
    place = np.unique(recordings, return_inverse=True)[1]
    count = place.max() + 1
    of_recordings = rng.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    return of_recordings[:, place], rng.multinomial(seeds, np.full(seeds, 1 / seeds), RESAMPLES)


def mean(values: np.ndarray) -> float:
    """values (seeds, clips), NaN for what a seed does not score: the mean over all that is scored."""
    return float(np.nanmean(values))


def resampled(values: np.ndarray, clips: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """`mean` in every resample, (RESAMPLES,); NaN for one that holds nothing that is scored."""
    held = ~np.isnan(values)
    total = np.einsum("rc,sc,rs->r", clips, np.where(held, values, 0), seeds, optimize=True)
    count = np.einsum("rc,sc,rs->r", clips, held.astype(np.float64), seeds, optimize=True)
    return total / np.where(count, count, np.nan)


def interval(value: float, drawn: np.ndarray) -> dict:
    low, high = np.nanquantile(drawn, [0.025, 0.975]).tolist()
    return {"value": value, "low": low, "high": high}


def report(result: dict) -> str:
    """The result as Markdown."""
    data, choices = result["data"], result["choices"]
    seeds = choices["seeds"]
    about = (
        "Made by `python benchmarks/samplers_reducers.py`, which says how it is compared; all figures: "
        f"samplers_reducers.json. Teacher {result['teacher']} ({result['dimension']}-d); {data['name']}, "
        f"{data['clips']} clips, {data['recordings']} recordings in {data['classes']} classes; student "
        f"{choices['student']}, {choices['frames']:,} training frames, {choices['epochs']} epochs, {seeds} "
        f"seed{'s' if seeds > 1 else ''}; reducers to {choices['dim']} dimensions, fitted on "
        f"{choices['sample']} of {data['frames']['train']:,} frames. Sensors and days mean nothing: "
        f"{data['arrangement']}; levels are measured from the sound."
    )
    reading = (
        "In brackets 95 % intervals over recordings"
        + (" and seeds. " if seeds > 1 else "; what another seed gives they do not cover. ")
        + "Accuracy: of a head on the mean embedding of a clip, cross-validated by recording. Overlap: share "
        f"of a held-out frame's 10 nearest neighbours in common with the teacher's own {result['dimension']} "
        "dimensions. phi: what the student imitates, phi(teacher), scored alike. R² is to a cell's own "
        "phi(teacher), and is not to be compared across rows."
    )
    cost = f"The runs took {result['minutes']:.0f} minutes on {result['cores']} cores, not all theirs."
    return "\n".join(
        [
            *("# Samplers and reducers on real sound", "", filled(about), "", *cell_lines(result), ""),
            *(filled(reading), "", "## What it says", "", *map(filled, conclusions(result)), ""),
            *(*difference_lines(result), "", cost, "", "![as a picture](samplers_reducers.png)", ""),
        ]
    )


def filled(text: str) -> str:
    """A paragraph, or an item of a list, in lines."""
    inner = "  " if text.startswith("- ") else ""
    return textwrap.fill(text, 110, subsequent_indent=inner, break_on_hyphens=False)


def cell_lines(result: dict) -> list[str]:
    """The table of all cells."""
    rows = [
        "| reducer, sampler | accuracy | overlap | phi's accuracy | phi's overlap | R² | silence in phi |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, found in result["cells"].items():
        student = [_value(found["student"][metric]) for metric in METRICS]
        phi = [f"{found['phi'][metric]['value']:.3f}" for metric in METRICS]
        own = f"{np.mean(found['own_r2']):.3f}"
        silence = f"{np.mean([each['variance'] for each in result['silence'][name]]):.2f}"
        rows.append(f"| {name} | {' | '.join([*student, *phi, own, silence])} |")
    return rows


def difference_lines(result: dict) -> list[str]:
    """The table of all differences; those that exclude 0 are bold."""
    rows = [
        "| cell | less | accuracy | overlap | phi's accuracy | phi's overlap |",
        "|---|---|--:|--:|--:|--:|",
    ]
    compared: dict[tuple[str, str], dict] = {}
    for each in result["differences"]:
        text = _difference(each)
        figures = compared.setdefault((each["cell"], each["from"]), {})
        figures[each["of"], each["metric"]] = f"**{text}**" if differs(each) else text
    for (cell, other), figures in compared.items():
        texts = [figures[who, metric] for who in ("student", "phi") for metric in METRICS]
        rows.append(f"| {cell} | {other} | {' | '.join(texts)} |")
    return rows


def conclusions(result: dict) -> list[str]:
    """What the differences say, in words: a difference is one whose interval excludes 0."""
    said = []
    for kind, title in (("sampler", "Samplers against random"), ("reducer", "Reducers against pca")):
        for who, subject in (("student", "students"), ("phi", "phi(teacher)")):
            for metric in METRICS:
                rows = [
                    each
                    for each in result["differences"]
                    if (each["kind"], each["of"], each["metric"]) == (kind, who, metric)
                ]
                clear = [each for each in rows if differs(each)]
                if clear:
                    named = "; ".join(f"{each['cell']} {_difference(each)}" for each in clear)
                    text = f"{len(clear)} of {len(rows)} differ: {named}"
                else:
                    low, high = min(each["low"] for each in rows), max(each["high"] for each in rows)
                    text = f"no difference in {len(rows)} comparisons (all within {low:+.3f} to {high:+.3f})"
                said.append(f"- {title}, {metric} of {subject}: {text}.")
    count = len(result["differences"])
    said.append(
        f"- These are {count} intervals of 95 %: if nothing differed at all, about {count / 20:.0f} of them "
        "would exclude 0 all the same."
    )
    if result["choices"]["seeds"] == 1:
        said.append(
            "- Of one seed: a difference between students says that these two trainings differ on other "
            "recordings too. Whether the next two would, only more seeds can say."
        )
    silence = [each for row in result["silence"].values() for each in row]
    if silent := silence[0]["frames"]:
        variances = [each["variance"] for each in silence]
        said.append(
            f"- {silent:.1%} of all frames are silent, below {SILENT_DB:.0f} dB: {min(variances):.0%} to "
            f"{max(variances):.0%} of phi's variance (last column) is that they lie far from all others. A "
            "student has that much of R² for telling silence from sound; where it is most of phi, it learns "
            "little else."
        )
    shares = [
        found["student"]["accuracy"]["value"] / found["phi"]["accuracy"]["value"]
        for found in result["cells"].values()
    ]
    said.append(
        f"- So short a training leaves students with {min(shares):.0%} to {max(shares):.0%} of the accuracy "
        "of the phi that they imitate: what a sampler or a reducer does is clearer in phi's own columns."
    )
    return said


def differs(difference: dict) -> bool:
    """Whether the interval excludes 0."""
    return difference["low"] > 0 or difference["high"] < 0


def _value(figure: dict) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _difference(figure: dict) -> str:
    return f"{figure['value']:+.3f} [{figure['low']:+.3f}, {figure['high']:+.3f}]"


def plot(result: dict, path: Path) -> None:
    """Accuracy and overlap of every cell's student with intervals, and of phi(teacher)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(result["cells"])
    figure, panels = pyplot.subplots(1, len(METRICS), figsize=(8, 3.4), sharey=True)
    for axes, metric in zip(panels, METRICS, strict=True):
        rows = [result["cells"][name]["student"][metric] for name in names]
        values = np.array([[row[key] for key in ("value", "low", "high")] for row in rows])
        reach = np.abs(values[:, 1:] - values[:, :1]).T
        places = np.arange(len(names))
        axes.errorbar(values[:, 0], places, xerr=reach, fmt="o", capsize=3, label="student, 95 %")
        phi = [result["cells"][name]["phi"][metric]["value"] for name in names]
        axes.plot(phi, places, "D", fillstyle="none", label="phi(teacher)")
        axes.set_yticks(places, names)
        axes.set_xlabel(metric)
    panels[0].invert_yaxis()
    panels[0].legend(fontsize=8)
    figure.tight_layout()
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
