r"""The SEA paper's tables beside ours (Srivastava, Roy, Cartwright, Bello, Arora, ICASSP 2021).

    python benchmarks/paper_tables.py --teacher TEACHER --data DIR --work WORK

DIR holds folders of SONYC-UST v2, UrbanSound8K and ESC-50 as their authors publish them, or some of these,
or is left out. What is missing is synthesised in WORK/street, in the same layouts (`synthesised.py`): figures
from a synthesised street show that the machinery works, not how well anything hears.

Every cell is a run or a score in WORK: the same call goes on where it stopped, also after SIGKILL. Writes
results/paper_tables.{json,md,png}. `--small` is what two cores do in minutes, to try this out: few cells, and
hardly any training.

Which table is which
- Table 1: the models' sizes. Table 2: micro and macro AUPRC on SONYC-UST, in domain. Table 3: accuracy on
  UrbanSound8K and ESC-50, out of domain. Table 4: the samplers, with PCA. Figure 2: UMAP by its neighbours
  and min_dist, against PCA.
- The paper's column "original" (students trained on the teacher's own pretext task, audio-visual
  correspondence) cannot be made without its data: it stands as the paper's alone.

How our figures come about
- Students are distilled on the training split of SONYC-UST alone, without labels, 70 % of its clips for
  training, 10 % for stopping early, 20 % held out. Tables 2 and 3: sampler random; d is the student's last
  filters, at most the teacher's dimensions; reducer pca, or identity where d is all of them. Table 4 and
  Figure 2: the student whose last filters are d.
- SONYC-UST: heads with auto-pool over the frames, their shape chosen on the validation split, scored on the
  verified test split. macro of 5: the five classes with most test clips.
- UrbanSound8K and ESC-50: heads on a clip's mean embedding, folds as given, accuracy over all clips.
- Fidelity: R² to phi(teacher), in domain on the three parts of the training split, out of domain on all
  frames.
- Intervals: 95 %, bootstrap over recordings, of one training each: they do not cover other seeds.
"""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cells import answer, finished, kept, share
from synthesised import synthesise

from edgesea import backend, embed, files, reduction, sampling, teachers
from edgesea.datasets import esc50, sonyc, table, urbansound8k
from edgesea.decisions.mil import SHAPES, Bags
from edgesea.distillation import distill
from edgesea.errors import UsageError
from edgesea.evaluation.heads import SplitTask, given_folds
from edgesea.examples import spread
from edgesea.frontend import preset
from edgesea.measures.fidelity import fidelity
from edgesea.named import Choice
from edgesea.objectives.base import predict
from edgesea.pairing import Pairing
from edgesea.progress import TerminalProgress
from edgesea.run import MOST_FRAMES, Config, Run, versions
from edgesea.store import Store
from edgesea.students.l3 import FILTERS, PAPER_TABLE1, table1
from edgesea.teachers import TeacherOptions

RESULTS = Path(__file__).with_name("results")
ADAPTERS = {"sonyc": sonyc, "urbansound8k": urbansound8k, "esc50": esc50}
SAMPLERS = tuple(sampling.SAMPLERS)
FRONTEND, HOP = "sea-8k", 0.5  # the paper's students; seconds
STREET = "synthesised street: shows that the machinery works, not how well anything hears"

# The paper's figures. Micro and macro AUPRC on SONYC-UST, of the model as it was (students: trained on the
# teacher's pretext task) and by SEA; accuracy on UrbanSound8K and ESC-50.
PAPER = {
    "teacher": {"original": (0.810, 0.567), "sea": None, "out": (0.759, 0.737)},
    "student0": {"original": (0.812, 0.591), "sea": (0.823, 0.595), "out": (0.707, 0.613)},
    "student1": {"original": (0.789, 0.562), "sea": (0.793, 0.552), "out": (0.655, 0.512)},
    "student2": {"original": (0.790, 0.552), "sea": (0.797, 0.559), "out": (0.673, 0.498)},
    "student3": {"original": (0.784, 0.543), "sea": (0.784, 0.559), "out": (0.648, 0.440)},
}
# Students of d dimensions by PCA: micro, macro, macro of the five commonest classes.
PAPER_SAMPLING = {
    64: {
        "random": (0.782, 0.574, 0.686),
        "spl": (0.779, 0.560, 0.675),
        "dpp": (0.781, 0.555, 0.674),
        "dpp-div": (0.783, 0.561, 0.685),
    },
    128: {
        "random": (0.793, 0.574, 0.702),
        "spl": (0.795, 0.582, 0.700),
        "dpp": (0.796, 0.578, 0.706),
        "dpp-div": (0.796, 0.575, 0.700),
    },
    256: {
        "random": (0.795, 0.585, 0.699),
        "spl": (0.795, 0.578, 0.697),
        "dpp": (0.796, 0.582, 0.702),
        "dpp-div": (0.795, 0.575, 0.693),
    },
}


@dataclass(frozen=True)
class Scale:
    """How much of it all is done.

    students : of Tables 2 and 3
    by_dimension : d -> the student of Table 4 and Figure 2
    umap : (d, neighbours, min_dist) of Figure 2, whose student is that of Table 4
    budget : what a `Config` takes of the training
    street : size of the synthesised datasets, see `synthesise`
    scoring : options of `SplitTask.score`
    """

    students: tuple[str, ...]
    by_dimension: dict[int, str]
    umap: tuple[tuple[int, int, float], ...]
    budget: dict[str, int]
    street: dict[str, int]
    scoring: dict


def full(options: argparse.Namespace) -> Scale:
    return Scale(
        students=("student0", "student1", "student2", "student3"),
        by_dimension={64: "student3", 128: "student2", 256: "student1"},
        umap=tuple((64, k, far) for k in (50, 100, 150, 200, 250) for far in (0.1, 0.9)),
        budget={name: getattr(options, name) for name in ("sample", "frames", "epochs")},
        street={"sonyc": 200, "urbansound8k": 5, "esc50": 5},
        scoring={},
    )


# The paper's students have batch norms that remember more steps than can be made in minutes.
SMALL = Scale(
    students=("separable-s",),
    by_dimension={16: "separable-s"},
    umap=tuple((16, k, far) for k in (10, 50) for far in (0.1, 0.9)),
    budget={"sample": 96, "frames": 1024, "epochs": 12},
    street={"sonyc": 30, "urbansound8k": 1, "esc50": 1},
    scoring={"shapes": SHAPES[1:2]},
)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", default="demo")
    parser.add_argument("--teacher-tensor")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--small", action="store_true")
    for name in ("sample", "frames", "epochs"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Config, name), help="see edgesea distill")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    return answer(lambda: make(options))


def make(options: argparse.Namespace, scale: Scale | None = None) -> None:
    """Makes what is missing of all cells, and writes the tables."""
    work = Work(options, scale or (SMALL if options.small else full(options)))
    backend.load()
    import tensorflow as tf

    # The same figures in a call that goes on as in one that was never stopped.
    tf.config.experimental.enable_op_determinism()
    result = {
        "command": "python benchmarks/paper_tables.py"
        + (f" --teacher {Path(options.teacher).name}" if options.teacher != "demo" else "")
        + (" --data DIR" if options.data else "")
        + (" --small" if options.small else "")
        + " --work WORK",
        "teacher": {"name": work.teacher.name, "dimension": work.teacher.dimension},
        "data": {
            name: {
                "synthesised": name in work.synthesised,
                "clips": len(each),
                "sensors": len({clip.sensor for clip in each.clips if clip.sensor}),
                "days": len({(clip.sensor, clip.timestamp.date()) for clip in each.clips if clip.timestamp}),
            }
            for name, each in work.data.items()
        },
        "budget": work.scale.budget,
        "table1": table1(),
        "models": work.models(),
        "sampling": work.sampling(),
        "umap": work.umap(),
        "runs": work.runs,
        "cores": os.cpu_count(),
        "versions": versions(),
    }
    options.results.mkdir(parents=True, exist_ok=True)
    files.write_json(options.results / "paper_tables.json", result)
    files.write_text(options.results / "paper_tables.md", report(result))
    plot(result, options.results / "paper_tables.png")


class Work:
    """What is distilled and scored, and the folder where all of it is kept."""

    def __init__(self, options: argparse.Namespace, scale: Scale):
        self.options, self.folder, self.scale = options, options.work, scale
        self.progress = TerminalProgress()
        self.teacher = teachers.load(options.teacher, TeacherOptions(tensor=options.teacher_tensor))
        self.pairing = Pairing(self.teacher, preset(FRONTEND))
        found = _found(options.data)
        self.synthesised = set(ADAPTERS) - set(found)
        self.data = {
            name: adapter.load(found.get(name) or self._street(name)) for name, adapter in ADAPTERS.items()
        }
        self.runs: dict[str, dict] = {}

    def _street(self, name: str) -> Path:
        place = self.folder / "street" / name
        if not ADAPTERS[name].recognises(place):
            self.progress.say(f"synthesising {name}")
            synthesise(name, place, self.scale.street[name])
        return place

    def models(self) -> dict:
        """Model -> dataset -> scores, and of students 'fidelity' {where: figures}."""
        found = {"teacher": {name: self._scored("teacher", name, self._heard) for name in ADAPTERS}}
        for student in self.scale.students:
            d = min(FILTERS.get(student, (64,))[-1], self.teacher.dimension)
            reducer = "identity" if d == self.teacher.dimension else "pca"
            run = self._distilled(student, d, reducer=reducer)
            found[student] = {name: self._student(run, name) for name in ADAPTERS}
            found[student] |= {"dimension": d, "fidelity": self._fidelity(run)}
        return found

    def sampling(self) -> dict:
        """'d' -> sampler -> scores on SONYC-UST of students trained on PCA of what the sampler chose."""
        return {
            str(d): {
                name: self._student(self._distilled(student, d, sampler=name), "sonyc") for name in SAMPLERS
            }
            for d, student in self.scale.by_dimension.items()
            if d < self.teacher.dimension
        }

    def umap(self) -> list[dict]:
        """Scores on SONYC-UST of students trained on UMAP of what the sampler random chose."""
        found = []
        for d, neighbours, min_dist in self.scale.umap:
            run = self._distilled(
                self.scale.by_dimension[d],
                d,
                reducer=f"umap:neighbours={neighbours},min_dist={min_dist}",
            )
            options = {"d": d, "neighbours": neighbours, "min_dist": min_dist}
            found.append({**options, **self._student(run, "sonyc")})
        return found

    def _distilled(self, student: str, d: int, reducer: str = "pca", sampler: str = "random") -> Run:
        """A student of the training split; stores that another run has made already are linked."""
        chosen = Choice.of(reducer, "reducer")
        options = [f"{value:g}" for _, value in chosen.options]
        name = "-".join([student, chosen.name, sampler, str(d), *options])
        domain = self.folder / "domain.csv"
        clips = self.data["sonyc"].clips
        training = [k for k, clip in enumerate(clips) if clip.fold == 0]
        table.write(self.data["sonyc"].select(training, "sonyc"), domain)
        config = Config(
            teacher=self.options.teacher,
            data=str(domain.resolve()),
            teacher_tensor=self.options.teacher_tensor,
            frontend=FRONTEND,
            hop=HOP,
            student=student,
            dim=d,
            reducer=reducer,
            sampler=sampler,
            **self.scale.budget,
        )
        self.progress.say(name)
        run = Run.start(self.folder / "runs" / name, config)
        for donor in filter(None, map(finished, sorted(run.folder.parent.iterdir()))):
            share(donor.domain, run.domain)
            share(donor.examples, run.examples)
        run = distill(config, run.folder, progress=self.progress)
        results = run.results()
        self.runs[name] = {
            "parameters": results["parameters"],
            "frames": results["data"]["frames"],
            "r2": {part: each["r2"] for part, each in results["fidelity"].items()},
            "course": [each["r2"] for each in results["course"]],
            "reducer": results["reducer"],
        }
        return run

    def _student(self, run: Run, dataset: str) -> dict:
        return self._scored(run.folder.name, dataset, lambda store: _embedded(run, store), run.config)

    def _scored(
        self,
        name: str,
        dataset: str,
        embedded: Callable[[Store], np.ndarray],
        config: Config | None = None,
    ) -> dict:
        """Scores of a model's embeddings of a dataset; of a student with its configuration."""

        def compute() -> dict:
            self.progress.say(f"{name} on {dataset}")
            store = self._store(dataset)
            return self._score(embedded(store), store.column("clip"), dataset)

        return self._kept(f"{name}-{dataset}", compute, config)

    def _fidelity(self, run: Run) -> dict:
        """Where -> R², cosine and overlap with phi(teacher): in domain, then on the other datasets."""
        reducer = reduction.load(run.reducer)

        def compute(dataset: str) -> dict:
            store = self._store(dataset)
            rows = spread(np.arange(len(store)), MOST_FRAMES)
            target = reducer.transform(store.rows("embedding", rows))
            return fidelity(target, predict(run.load_student(), store.rows("patch", rows).astype(np.float32)))

        outside = {
            name: self._kept(
                f"{run.folder.name}-{name}-fidelity", lambda name=name: compute(name), run.config
            )
            for name in ADAPTERS
            if name != "sonyc"
        }
        return {**run.results()["fidelity"], **outside}

    def _store(self, dataset: str) -> Store:
        """Clip, the teacher's embedding and the students' patch of every frame."""
        manifest = self.data[dataset]
        made_from = {"model": self.teacher.fingerprint, "data": manifest.fingerprint, "hop": HOP}
        store = Store(self.folder / "frames" / dataset, made_from)
        embed.embed(manifest, self.pairing, store, HOP, patches=True, progress=self.progress)
        return store

    @staticmethod
    def _heard(store: Store) -> np.ndarray:
        return store.column("embedding")

    def _score(self, embeddings: np.ndarray, clip: np.ndarray, dataset: str) -> dict:
        clips = self.data[dataset].clips
        used = [k for k in np.unique(clip).tolist() if clips[k].fold is not None]
        frames = np.flatnonzero(np.isin(clip, used))
        bags = Bags.of(embeddings[frames], clip[frames])
        folds = [clips[k].fold for k in used]
        if dataset == "sonyc":
            pooling, splits = "autopool", (tuple(np.flatnonzero(np.equal(folds, k)) for k in range(3)),)
        else:
            pooling, splits = "mean", given_folds(folds)
        task = SplitTask(tuple(clips[k].labels for k in used), tuple(clips[k].group for k in used), splits)
        return task.score(bags, pooling, **self.scale.scoring)

    def _kept(self, name: str, compute: Callable[[], dict], config: Config | None) -> dict:
        made_from = {
            "teacher": self.teacher.fingerprint,
            "data": {each: manifest.fingerprint for each, manifest in self.data.items()},
            "student": config and config.to_dict(),
            "scoring": self.scale.scoring,
        }
        return kept(self.folder / "cells" / f"{name}.json", made_from, compute)


def _found(data: Path | None) -> dict[str, Path]:
    """Dataset -> its folder, of those that `data` is or holds. Raises `UsageError` where there is none."""
    if data is None:
        return {}
    if not data.is_dir():
        raise UsageError(
            f"There is no folder {data}: give --data one that holds the datasets, or leave it out."
        )
    found = {}
    for place in (data, *sorted(each for each in data.iterdir() if each.is_dir())):
        for name, adapter in ADAPTERS.items():
            if adapter.recognises(place):
                found.setdefault(name, place)
    if not found:
        raise UsageError(
            f"The folder {data} holds none of SONYC-UST, UrbanSound8K and ESC-50 as they are unpacked: give "
            "--data the folder that does, or leave it out to use a synthesised street."
        )
    return found


def _embedded(run: Run, store: Store) -> np.ndarray:
    """The student's embeddings of all frames, shard by shard."""
    student = run.load_student()
    shards = (shard for shard in store.shards if len(shard))
    return np.concatenate([predict(student, shard["patch"].astype(np.float32)) for shard in shards])


def report(result: dict) -> str:
    """The result as Markdown tables."""
    street = [name for name, each in result["data"].items() if each["synthesised"]]
    budget = result["budget"]
    real = [name for name in result["data"] if name not in street]
    lines = [
        "# The SEA paper's tables",
        "",
        f"Made by `{result['command']}`; teacher {result['teacher']['name']} "
        f"({result['teacher']['dimension']}-d); students trained on {budget['frames']:,} frames for "
        f"{budget['epochs']} epochs, reducers fitted on {budget['sample']:,} frames at most. How each figure "
        "comes about: see the script; every figure: paper_tables.json.",
        "",
        *([f"**{', '.join(street)}: {STREET}.**", ""] if street else []),
        *([f"Real: {', '.join(real)}.", ""] if real else []),
        "Ours with 95 % intervals over recordings, of one training. *The paper's* are for its own teacher,",
        "data and training (L3-Net; SONYC-UST, UrbanSound8K, ESC-50), and are not to be compared with",
        "figures from other data. –: not made in this call.",
        "",
        "## Table 1: the models",
        "",
        *table1_lines(result["table1"]),
        "",
        "## Table 2: in domain, SONYC-UST, AUPRC",
        "",
        "| model | d | ours: micro | ours: macro | *the paper's SEA: micro / macro* | *its original (AVC)* |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    names = [*PAPER, *(name for name in result["models"] if name not in PAPER)]
    for name in names:
        ours, theirs = result["models"].get(name), PAPER.get(name, {})
        d = (ours or {}).get("dimension", result["teacher"]["dimension"] if name == "teacher" else "–")
        figures = [_value(ours["sonyc"][m]) if ours else "–" for m in ("micro_auprc", "macro_auprc")]
        lines.append(
            f"| {name} | {d} | {' | '.join(figures)} | {_theirs(theirs.get('sea'))} | "
            f"{_theirs(theirs.get('original'))} |"
        )
    lines += [
        "",
        "## Table 3: out of domain, accuracy",
        "",
        "| model | ours: UrbanSound8K | ours: ESC-50 | *the paper's UrbanSound8K / ESC-50* |",
        "|---|--:|--:|--:|",
    ]
    for name in names:
        ours = result["models"].get(name)
        figures = [_value(ours[each]["accuracy"]) if ours else "–" for each in ("urbansound8k", "esc50")]
        lines.append(f"| {name} | {' | '.join(figures)} | {_theirs(PAPER.get(name, {}).get('out'))} |")
    lines += [
        "",
        "Fidelity, R² to phi(teacher): in domain on what the student was distilled on, on what stopped it,",
        "and on what it never heard; out of domain on all frames.",
        "",
        "| student | distilled on | validation | held out | UrbanSound8K | ESC-50 |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name, ours in result["models"].items():
        if "fidelity" in ours:
            parts = ("train", "validation", "held-out", "urbansound8k", "esc50")
            values = [ours["fidelity"][part]["r2"] for part in parts]
            lines.append(f"| {name} | {' | '.join('–' if v is None else f'{v:.3f}' for v in values)} |")
    lines += [
        "",
        "## Table 4: samplers, with PCA, SONYC-UST",
        "",
        "| d | sampler | ours: micro | ours: macro | ours: macro of 5 | *the paper's micro / macro / of 5* |",
        "|--:|---|--:|--:|--:|--:|",
    ]
    for d in sorted({*map(int, result["sampling"]), *PAPER_SAMPLING}):
        for name in SAMPLERS:
            ours = result["sampling"].get(str(d), {}).get(name)
            theirs = _theirs(PAPER_SAMPLING.get(d, {}).get(name))
            lines.append(f"| {d} | {name} | {_figures(ours) if ours else '– | – | –'} | {theirs} |")
    lines += [
        "",
        "## Figure 2: UMAP",
        "",
        "*The paper's* finding, without figures: below PCA throughout, the larger min_dist better.",
        "",
        "| d | neighbours | min_dist | ours: micro | ours: macro | ours: macro of 5 |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {found['d']} | {found['neighbours']} | {found['min_dist']} | {_figures(found)} |"
        for found in result["umap"]
    ]
    return "\n".join([*lines, "", "![as a picture](paper_tables.png)"]) + "\n"


def table1_lines(rows: dict[str, list[float]]) -> list[str]:
    """Table 1 in Markdown: what the models of edgesea count, and what the paper prints."""
    lines = [
        "| model | parameters, M | size, MB (float32) | largest feature map, MB (float32) | *the paper's* |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        theirs = " / ".join(f"{value:.2f}" for value in PAPER_TABLE1[name])
        lines.append(f"| {name} | {' | '.join(f'{value:.2f}' for value in row)} | *{theirs}* |")
    return lines


def commonest(found: dict, count: int = 5) -> float | None:
    """Mean average precision of the classes that most test clips have; None where there are fewer."""
    ranked = sorted(found["classes"].values(), key=lambda each: -each["clips"])[:count]
    values = [each["average_precision"]["value"] for each in ranked]
    return None if None in values or len(values) < count else float(np.mean(values))


def _figures(found: dict) -> str:
    five = commonest(found)
    return " | ".join(
        [
            *(_value(found[metric]) for metric in ("micro_auprc", "macro_auprc")),
            "–" if five is None else f"{five:.3f}",
        ]
    )


def _theirs(values: tuple[float, ...] | None) -> str:
    return f"*{' / '.join(f'{value:.3f}' for value in values)}*" if values else "–"


def _value(figure: dict) -> str:
    value, low, high = (figure[key] for key in ("value", "low", "high"))
    return "–" if value is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def plot(result: dict, path: Path) -> None:
    """Figure 2: micro AUPRC of students trained on UMAP, by neighbours, a line a min_dist, and on PCA."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    d = result["umap"][0]["d"]
    for k, far in enumerate(sorted({found["min_dist"] for found in result["umap"]})):
        line = [found for found in result["umap"] if found["min_dist"] == far]
        values = np.array([[found["micro_auprc"][key] for key in ("value", "low", "high")] for found in line])
        axes.errorbar(
            [found["neighbours"] + 0.5 * k for found in line],
            values[:, 0],
            yerr=np.abs(values[:, 1:] - values[:, :1]).T,
            marker="o",
            capsize=3,
            label=f"UMAP, min_dist {far}",
        )
    pca = result["sampling"].get(str(d), {}).get("random")
    if pca:
        axes.axhline(pca["micro_auprc"]["value"], linestyle="--", label="PCA")
    street = result["data"]["sonyc"]["synthesised"]
    axes.set_title("synthesised street: not how well anything hears" if street else "SONYC-UST", fontsize=10)
    axes.set_xlabel("neighbours")
    axes.set_ylabel(f"micro AUPRC, {d}-d students, 95 %")
    axes.legend()
    figure.tight_layout()
    with files.replacing(path) as temporary:
        figure.savefig(temporary, dpi=100)
    pyplot.close(figure)


if __name__ == "__main__":
    sys.exit(main())
