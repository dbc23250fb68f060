"""Every figure in README.md and docs/ that a results file backs is the one in that file.

`CLAIMS` is the map: a document, and a passage as it must read, made from the results. A figure that changes
in benchmarks/results/*.json, or in a document alone, fails here with the passage that the document should
hold. In the README's results nothing may stand that the map does not know.
"""

import difflib
import json
import re
from pathlib import Path

import engine
import objectives
import paper_tables
import pipeline
import pytest
import quality
import real_sound
import samplers_reducers
import sampling
import specialisation

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def result(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def folded(text: str) -> str:
    """Where lines break and how far cells are padded says nothing."""
    return " ".join(text.split())


# ---------------------------------------------------------------- passages


def interval(figures: dict, key: str) -> str:
    """'0.869 [0.704, 0.926]'"""
    low, high = (figures["intervals"][key][end] for end in ("low", "high"))
    return f"{figures[key]:.3f} [{low:.3f}, {high:.3f}]"


def kilobytes(value: int) -> str:
    return f"{value / 1000:.1f}"


def real_sound_claims() -> list[tuple[str, str]]:
    found = result("real_sound")
    parts = {part["part"]: part for part in found["evaluate"]["fidelity"]["parts"]}
    unheard, learnt = parts["held-out recordings"], parts["distillation set"]
    columns = (unheard["float"], unheard["int8"])
    task, bench = found["evaluate"]["task"], found["bench"]
    weights, live = bench["storage"]["weight_bytes"], bench["activation"]["peak_bytes"]
    arena = found["export"]["c_model"]["arena_bytes"]
    on_m4 = result("engine")["separable-m"]["cortex-m4"]["emulated"]["arena_bytes"]
    compared = task["compared"]["edgel3_sea_ust_audio_emb_64"]
    minutes = f"{found['training_s'] / 60:.0f} minutes on {real_sound.cores(found)}"

    def score(name: str, value: float) -> str:
        return f"{value:.3f} ± {task['sd'][name]:.3f} |"

    return [
        (
            "README.md",
            f"{task['clips']} clips of ESC-50 (fold 4; {task['recordings']} source recordings in "
            f"{task['classes']} classes)",
        ),
        *(
            ("README.md", f"| {title} | " + " | ".join(interval(each, key) for each in columns) + " |")
            for title, key in (("R²", "r2"), ("cosine", "cosine"))
        ),
        (
            "README.md",
            f"{columns[0]['frames']} frames, in brackets 95 % intervals over recordings; {unheard['silent']} "
            "silent ones are left out.",
        ),
        ("README.md", f"| YAMNet, 1024-d, 3.2 M parameters | {score('teacher', task['teacher'])}"),
        ("README.md", f"| `separable-m`, 64-d, float | {score('float', task['float'])}"),
        ("README.md", f"| `separable-m`, 64-d, int8 | {score('int8', task['int8'])}"),
        (
            "README.md",
            "| the paper's released Student 3 (trained on SONYC-UST), 64-d | "
            + score("edgel3_sea_ust_audio_emb_64", compared),
        ),
        (
            "README.md",
            f"{bench['storage']['model_bytes']:,} bytes of .tflite, {weights:,} bytes of weights, {live:,} "
            f"bytes of live activations in a TFLite interpreter or an arena of at most {arena:,} bytes as C; "
            f"{bench['latency_ms']['median']:.2f} ms a frame on one core of the host (XNNPACK).",
        ),
        ("README.md", f"The training took {minutes}"),
        ("docs/quality.md", minutes),
        ("README.md", f"On what it was distilled on, the student's R² is {learnt['float']['r2']:.3f}"),
        (
            "README.md",
            f"{weights / 1000:.0f} KB of int8 weights, "
            f"{found['export']['int8']['multiply_accumulates'] / 1e6:.1f} million multiply-accumulates, "
            f"{live / 1000:.0f} KB of live activations; as C, which streams rows, an arena of {on_m4:,} "
            "bytes on a Cortex-M4.",
        ),
        (
            "docs/evaluation.md",
            f"Fidelity to the teacher in domain, held-out recordings ({columns[0]['frames']} frames)",
        ),
        *(
            (
                "docs/evaluation.md",
                "│ " + " │ ".join([title, *(interval(each, key) for each in columns)]) + " │",
            )
            for title, key in (
                ("R²", "r2"),
                ("cosine", "cosine"),
                ("overlap of 10 neighbours", "knn_overlap"),
            )
        ),
    ]


def samplers_reducers_claims() -> list[tuple[str, str]]:
    found = result("samplers_reducers")
    silent = found["silence"]["identity"][0]["frames"]
    return [
        ("README.md", "\n".join(samplers_reducers.cell_lines(found))),
        ("README.md", f"digital silence ({100 * silent:.1f} % of all frames)"),
        ("README.md", f"teacher's own {found['dimension']:,} dimensions"),
    ]


def paper_tables_claims() -> list[tuple[str, str]]:
    found = result("paper_tables")
    page = paper_tables.report(found)
    tables = re.findall(r"^## Table [123]:.*?\n\n((?:\|.*\n)+)", page, re.MULTILINE)
    assert len(tables) == 3
    parameters = [row[0] for row in found["table1"].values()]
    return [
        *(("README.md", table) for table in tables),
        ("README.md", f"{max(parameters):.2f} M to {min(parameters):.2f} M | reproducing the paper;"),
    ]


def engine_claims() -> list[tuple[str, str]]:
    found = result("engine")
    titles = {
        "kws_ref_model": "MLPerf Tiny keyword spotting | {:.2f} M",
        "sea_student3_int8": "the paper's Student 3 | {:.1f} M",
        "separable-m": "`separable-m` | {:.1f} M",
    }
    claims = []

    def arena(name: str) -> int:
        return found[name]["cortex-m4"]["emulated"]["arena_bytes"]

    for name, title in titles.items():
        peer, cores = engine.PEER[name], found[name]
        same = name != "separable-m"  # the other side measured another network there
        work = cores["cortex-m4"]["model"]["multiply_accumulates"]
        cells = [title.format(work / 1e6)]
        for core in ("cortex-m4", "cortex-m7", "cortex-m55"):
            against = engine.ratio(cores[core], core)
            cells += [
                f"{cores[core]['emulated']['instructions']:,}",
                f"{against:.2f}" if same else "",
            ]
        ram = cores["cortex-m4"]["emulated"]["ram_bytes"]
        cells += [f"{ram:,}", f"{ram / peer['ram_bytes']:.2f}" if same else ""]
        claims.append(("README.md", "| " + " | ".join(cells) + " |"))
    claims.append(
        ("README.md", f"{engine.PEER['sea_student3_int8']['multiply_accumulates'] / 1e6:.0f} M multiply-")
    )

    timed = ("cortex-m4", "cortex-m7", "cortex-m55")
    code = [found[name][core]["emulated"]["flash_bytes"] for name in titles for core in timed]
    beside = [
        found[name][core]["emulated"]["flash_bytes"] / flash
        for name in ("kws_ref_model", "sea_student3_int8")
        for core, flash in engine.PEER[name]["flash_bytes"].items()
    ]
    claims.append(
        (
            "README.md",
            f"Code in flash, without the model's constants, is {kilobytes(min(code))} to "
            f"{kilobytes(max(code))} KB, "
            f"{min(beside):.2f} to {max(beside):.2f} times that of TensorFlow Lite Micro on the same model.",
        )
    )
    claims += [
        ("docs/c-model.md", f"| {title} | {arena(name):,} | {ends:,} | {engine.PEER[name]['ram_bytes']:,} |")
        for name, title, ends in (
            ("kws_ref_model", "kws_ref_model", 49 * 10 + 12),
            ("sea_student3_int8", "the paper's Student 3", 64 * 50 + 64),
        )
    ]
    return claims


def sampling_claims() -> list[tuple[str, str]]:
    found = result("sampling")
    day = {(row["sampler"], row["n"]): row for row in found["day"]}
    few, many = sorted({n for _, n in day})
    most = max(row["peak_bytes"] - row["before_bytes"] for row in found["day"])
    quick = max(day[name, n]["seconds"] for name in ("random", "spl") for n in (few, many))
    assert quick < 0.1

    def seconds(n: int) -> str:
        return " to ".join(
            f"{value:.1f}" for value in sorted(day[name, n]["seconds"] for name in ("dpp", "dpp-div"))
        )

    levels = {row["sample_rate"]: row["weighted_ms"] for row in found["levels"]}
    return [
        (
            "docs/sampling.md",
            f"One sensor's day of {found['candidates']:,} frames with {found['dimension']}-d embeddings",
        ),
        (
            "docs/sampling.md",
            f"`random` and `spl` take less than 0.1 s, `dpp` and `dpp-div` {seconds(few)} s for {few} frames "
            f"and {seconds(many)} s for {many:,}, with at most {most / 1e6:.0f} MB more memory, "
            f"{most / found['embeddings_bytes']:.1f} times the embeddings; the kernel would be "
            f"{found['kernel_bytes'] / 1e9:.1f} GB. Measuring the A-weighted level of a second of sound "
            f"takes {levels[16_000]:.2f} ms at 16 kHz, {levels[48_000]:.2f} ms at 48 kHz.",
        ),
    ]


def quality_claims() -> list[tuple[str, str]]:
    found = result("quality")
    rows, page = found["recipes"], "docs/quality.md"
    best = rows["cosine"][0]
    alone = "alone, learning rate 0.003"
    short = "two epochs"
    less, wide = f"{short}, less augmentation", "half as long, wide kernels, muon"

    def heard(name: str, key: str = "cosine", where: str = "heard") -> str:
        return f"{sum(each[where][key] for each in rows[name]) / len(rows[name]):.3f}"

    def unheard(name: str, key: str = "cosine") -> str:
        return heard(name, key, "unheard")

    def share(name: str) -> str:
        return f"{quality.teachers_share(rows[name]):.1%}"

    def spread(name: str) -> tuple[str, str]:
        shares = [each["accuracy"]["int8"] / each["accuracy"]["teacher"] for each in rows[name]]
        return f"{share(name)} of its teacher's accuracy", f"({min(shares):.1%} to {max(shares):.1%}"

    main = {name: row for name, row in rows.items() if short not in name}
    whole, half = quality.RECIPES["long"], quality.RECIPES[wide]
    spelt_out = (
        f"`long` is {whole['epochs']} epochs of {whole['frames']:,} frames, "
        f"half as long {half['epochs']} of them"
    )
    return [
        *((page, line) for line in quality.lines(found)),
        *(("README.md", line) for line in quality.lines({"recipes": main})),
        ("README.md", f"The teacher itself scores {best['accuracy']['teacher']:.3f}."),
        ("README.md", f"{found['frames']:,} augmented frames"),
        *((document, spelt_out) for document in ("README.md", page)),
        (page, f"YAMNet itself scores {best['accuracy']['teacher']:.3f}"),
        (page, f"{found['frames']:,} augmented frames, {found['epochs']} epochs"),
        (page, spread("cosine")[0]),
        (page, f"{spread('cosine')[1]} by seed), with twelve minutes alone {share(alone)}"),
        (page, f"{spread(alone)[1]})"),
        (page, f"the cosine of the two embeddings on the same recordings is {unheard('cosine')}"),
        *(
            (page, f"{unheard(f'{short}, learning rate {rate}')} at {rate}")
            for rate in ("0.003", "0.006", "0.012", "0.03")
        ),
        (page, f"{unheard(short)} at 0.02"),
        (
            page,
            f"cosine to phi(teacher) on unheard sound {unheard(short)} with `cosine`, "
            f"{unheard(f'{short}, sea')} with `sea`, {unheard(f'{short}, simreg')} with `simreg`; "
            f"R² {unheard(short, 'r2')}, {unheard(f'{short}, sea', 'r2')} and "
            f"{unheard(f'{short}, simreg', 'r2')}; shares of the teacher's accuracy {share(short)}, "
            f"{share(f'{short}, sea')} and {share(f'{short}, simreg')}",
        ),
        (page, f"float {best['accuracy']['float']:.3f}, int8 {best['accuracy']['int8']:.3f}"),
        (
            page,
            f"two epochs, {unheard(f'{short}, less augmentation')} instead of {unheard(short)}, five epochs, "
            f"{unheard('less augmentation')} instead of {unheard('cosine')}; with the twelve minutes alone "
            f"{unheard(f'alone, {short}, less augmentation')} instead of {unheard(f'alone, {short}')}",
        ),
        (page, f"({unheard(f'{short}, little augmentation')})"),
        (
            page,
            f"(`codec_probability = 0.3`) {unheard(f'alone, {short}, codecs')} instead of "
            f"{unheard(f'alone, {short}')}, three clips in a mixture instead of two (`mix_clips = 3`) "
            f"{unheard(f'alone, {short}, three clips')}, means of weights (`--ema 0.999`) "
            f"{unheard(f'alone, {short}, mean of weights')}, Freq-MixStyle (`--mixstyle 0.5`) "
            f"{unheard(f'alone, {short}, mixstyle')}",
        ),
        (
            page,
            f"from a cosine of {unheard('less augmentation')} on unheard sound to {unheard('long')}, R² "
            f"{unheard('less augmentation', 'r2')} to {unheard('long', 'r2')}, "
            f"{share('less augmentation')} to {share('long')} of the teacher's accuracy",
        ),
        (
            page,
            f"Two epochs: {unheard(less)} without either, {unheard(f'{less}, muon')} with muon, "
            f"{unheard(f'{less}, wide kernels, muon')} with wide kernels too",
        ),
        (
            page,
            f"{unheard(wide)} ({rows[wide][0]['weight_bytes']:,} bytes of weights, an arena of "
            f"{rows[wide][0]['arena_bytes']:,}, "
            f"{rows[wide][0]['instructions']:,} instructions on a Cortex-M4)",
        ),
        (
            page,
            f"{best['weight_bytes']:,} bytes of weights, an arena of {best['arena_bytes']:,} bytes and "
            f"{best['instructions']:,} instructions",
        ),
        (
            page,
            f"keeps {share('one epoch, student3')} of what its teacher scores, `separable-m` "
            f"{share('one epoch')}; cosine {unheard('one epoch, student3')} and {unheard('one epoch')} on",
        ),
        (page, f"with a cosine of {heard(alone)}, what it did not with {unheard(alone)}"),
        (page, f"(cosine {heard('cosine')} and {unheard('cosine')})"),
        (
            page,
            f"From two epochs to {found['epochs']} the cosine on unheard sound goes from {unheard(short)} to "
            f"{unheard('cosine')}",
        ),
    ]


def specialisation_claims() -> list[tuple[str, str]]:
    found = result("specialisation")
    page = "docs/quality.md"
    return [
        *((page, line) for line in specialisation.lines(found)),
        (page, specialisation.conclusion(found)),
        (page, f"{found['frames']:,} augmented frames, {found['epochs']} epochs, {found['clips']} clips"),
    ]


def training_claims() -> list[tuple[str, str]]:
    found = result("training")

    def ratio(where: str, stage: str, clock: str) -> str:
        return f"{found[where][stage][f'ratio_{clock}']:.2f}"

    said = "; ".join(
        f"{words} {ratio(where, 'training', 'processor')} times as many frames a second of processor time in "
        f"training, {ratio(where, 'augmentation', 'processor')} in augmentation"
        for where, words in (("here", "on a processor with VNNI"), ("without VNNI", "without"))
    )
    return [("docs/quality.md", said), ("docs/quality.md", f"`{found['against']}`")]


def objectives_claims() -> list[tuple[str, str]]:
    everything = result("objectives")
    found = everything["cells"]
    tables = {
        sound: objectives.rows([each for each in found if each["sound"] == sound])
        for sound in sorted({each["sound"] for each in found})
    }
    return [
        *(("docs/objectives.md", line) for lines in tables.values() for line in lines),
        *(("README.md", line) for line in tables["real"]),
        *(("docs/objectives.md", objectives.conditions(everything, sound)) for sound in tables),
        ("README.md", objectives.conditions(everything, "real")),
    ]


def pipeline_claims() -> list[tuple[str, str]]:
    found = result("pipeline")
    costs = {name: found["speed"][name]["processor_ms_per_frame"] for name in ("embed", "inner", "scores")}
    said = (
        f"{costs['embed']:.2f} ms of processor a frame, where librosa and one `invoke` a frame take "
        f"{costs['inner']:.2f} ms for the embedding and {costs['scores']:.2f} ms for the scores alone"
    )
    return [("docs/scaling.md", said), *(("docs/scaling.md", row) for row in pipeline.upstream(found))]


CLAIMS = [
    *pipeline_claims(),
    *quality_claims(),
    *specialisation_claims(),
    *training_claims(),
    *objectives_claims(),
    *real_sound_claims(),
    *samplers_reducers_claims(),
    *paper_tables_claims(),
    *engine_claims(),
    *sampling_claims(),
]


# ---------------------------------------------------------------- tests


@pytest.mark.parametrize(("document", "passage"), CLAIMS)
def test_a_figure_is_the_one_that_was_measured(document, passage):
    text = (ROOT / document).read_text(encoding="utf-8")
    wanted = folded(passage)
    if wanted not in folded(text):
        near = difflib.get_close_matches(wanted, [folded(line) for line in text.splitlines()], 1, 0.3)
        pytest.fail(f"{document} should say\n    {wanted}\nand comes nearest with\n    {''.join(near)}")


def test_the_readmes_results_hold_no_figure_without_a_source():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rest = folded(text[text.index("## Results") : text.index("## What is where")])
    for document, passage in CLAIMS:
        if document == "README.md":
            rest = rest.replace(folded(passage), " ")
    unknown = re.findall(r"\S*(?:\d\.\d\d|\d,\d{3})\S*", rest)
    assert unknown == [], "add the passage with these to the claims above, with its results file"


@pytest.mark.parametrize(
    "module",
    [objectives, pipeline, quality, real_sound, sampling, specialisation],
    ids=lambda module: module.__name__,
)
def test_the_page_of_results_is_what_the_script_writes(module):
    name = module.__name__
    assert module.report(result(name)) == (RESULTS / f"{name}.md").read_text(encoding="utf-8")


def test_the_page_of_the_engine_is_what_the_script_writes():
    page = engine.report(result("engine"), result("optimize"), "python benchmarks/engine.py")
    assert page == (RESULTS / "engine.md").read_text(encoding="utf-8")
