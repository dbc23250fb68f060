r"""The main job on real recordings: distil, export, bench, evaluate; writes results/real_sound.{json,md}.

    python benchmarks/real_sound.py --teacher ../shared/models/yamnet.tflite \
        --data ../shared/data/esc50-fold4 --compare ../shared/models/edgel3_sea_ust_audio_emb_64.h5 \
        --work work

Runs the very commands that the README shows, and goes on where it stopped.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

RESULTS = Path(__file__).with_name("results")


def edgesea(*arguments) -> dict:
    """Runs a command with --json, shows its progress, returns its result."""
    command = [sys.executable, "-m", "edgesea", *map(str, arguments), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--compare", action="append", default=[])
    parser.add_argument("--work", type=Path, required=True)
    options = parser.parse_args()
    run, bundle = options.work / "run", options.work / "bundle"
    result = {
        "distill": edgesea("distill", "--teacher", options.teacher, "--data", options.data, "--out", run),
        "export": edgesea("export", run, "--int8", "--out", bundle),
        "bench": edgesea("bench", bundle, "--device", "host"),
        "evaluate": edgesea(
            "evaluate",
            run,
            "--data",
            options.data,
            *(word for m in options.compare for word in ("--compare", m)),
        ),
    }
    result["distill"].pop("run")
    course = json.loads((run / "metrics.json").read_text(encoding="utf-8"))["course"]
    # Of all calls that it took.
    result["training_s"] = sum(epoch["seconds"] for epoch in course)
    result["export"] = {key: result["export"][key] for key in ("int8", "float", "c_model", "comparison")}
    result["evaluate"].pop("target")
    result["cores"] = len(os.sched_getaffinity(0))
    (RESULTS / "real_sound.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (RESULTS / "real_sound.md").write_text(report(result), encoding="utf-8")


def report(result: dict) -> str:
    """The result as Markdown tables."""
    distill, bench = result["distill"], result["bench"]
    fidelity, task = result["evaluate"]["fidelity"], result["evaluate"]["task"]
    int8, comparison, c_model = (
        result["export"]["int8"],
        result["export"]["comparison"],
        result["export"]["c_model"],
    )
    sd = task["sd"]

    def scored(name: str, value: float) -> str:
        interval = task["intervals"][name]
        return f"{value:.3f} ± {sd[name]:.3f} | {interval['low']:.3f} to {interval['high']:.3f}"

    compared = "".join(f"| {name} | {scored(name, value)} |\n" for name, value in task["compared"].items())
    latency = bench["latency_ms"]
    return f"""# The main job on real recordings

Made by `python benchmarks/real_sound.py`; versions, conditions and every figure: real_sound.json.
Teacher {distill["teacher"]["name"]} ({distill["teacher"]["dimension"]}-d), data {distill["data"]["name"]}
({distill["data"]["clips"]} clips, {task["recordings"]} recordings), split by recording; student
{distill["student"]}, {distill["parameters"]:,} parameters, {distill["dimension"]}-d. The training took
{result["training_s"] / 60:.1f} minutes on {cores(result)}.

| fidelity to phi(teacher) | student | frames | R² | cosine | overlap of 10 neighbours |
|---|---|--:|--:|--:|--:|
{fidelity_lines(fidelity["parts"])}

In brackets 95 % intervals over recordings. Silent frames, with which ESC-50 pads its clips, are left out.

int8 against float on {comparison["n"]} held-out patches: cosine {comparison["cosine"]:.4f},
R² {comparison["r2"]:.4f}.

| {task["metric"]} of a head ({task["clips"]} clips, {task["classes"]} classes) | mean ± sd | 95 % |
|---|--:|--:|
| teacher | {scored("teacher", task["teacher"])} |
| student, float | {scored("float", task["float"])} |
| student, int8 | {scored("int8", task["int8"])} |
{compared}
Head: {task["head"]}.

| cost | |
|---|--:|
| model file, bytes | {bench["storage"]["model_bytes"]:,} |
| weights and other constants, bytes | {bench["storage"]["weight_bytes"]:,} |
| multiply-accumulates a frame | {int8["multiply_accumulates"]:,} |
| largest tensor, bytes | {bench["activation"]["largest_tensor_bytes"]:,} |
| peak of live activations, bytes | {bench["activation"]["peak_bytes"]:,} |
| arena of the C model, bytes | {c_model["arena_bytes"]:,} |
| latency on the host, ms, median / p95 of {latency["n"]} | {latency["median"]:.3f} / {latency["p95"]:.3f} |

Host: {bench["engine"]}, {bench["conditions"].get("cpu", "unknown processor")}.
"""


def cores(result: dict) -> str:
    """'one core', '4 cores'"""
    return f"{result['cores']} cores" if result["cores"] > 1 else "one core"


def fidelity_lines(parts: list[dict]) -> str:
    """One row a part and kind of student."""

    def shown(figures: dict, key: str) -> str:
        interval = figures.get("intervals", {}).get(key)
        return f"{figures[key]:.3f}" + (
            f" [{interval['low']:.3f}, {interval['high']:.3f}]" if interval else ""
        )

    return "\n".join(
        f"| {part['part']} | {kind} | {part[kind]['frames']} | "
        + " | ".join(shown(part[kind], key) for key in ("r2", "cosine", "knn_overlap"))
        + " |"
        for part in parts
        for kind in ("float", "int8")
    )


if __name__ == "__main__":
    main()
