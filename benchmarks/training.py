r"""Frames a second of augmentation and of training, against another revision; writes results/training.json.

    git worktree add ../before 7f61350
    python benchmarks/training.py --against ../before --teacher ../shared/models/yamnet.tflite \
        --data ../shared/data/esc10_other_folds/index.csv

Both revisions distil with the same teacher, sound, seed and budget, in turns, in processes of their own, each
with its own code alone on the path. What is timed are its two long stages: the frames made (decoded, varied,
heard by teacher and frontend, written) and the training (batches read, learnt from, scored).

- processor: seconds of all processes of the call. What else the machine does hardly moves it.
- wall: seconds by the clock; only where nothing else runs do they say something.

The ratio is of the means over --rounds, in one run. A second pair is of a processor without instructions for
int8 (VNNI): there TensorFlow leaves oneDNN out unless it is asked for it, and oneDNN itself is kept from what
such a processor does not have (ONEDNN_MAX_CPU_ISA=AVX2).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from cells import answer

from edgesea import files
from edgesea.run import versions

RESULTS = Path(__file__).with_name("results")
ROOT = Path(__file__).resolve().parents[1]
STAGES = ("augmentation", "training")
# Run under each revision: wraps what makes the frames and what trains, by the names that they have there.
PROBE = """
import importlib, json, os, sys, time
teacher, data, out, frames, epochs = sys.argv[1:]

def processor():
    # Of this process and of all that descend from it, those included that have ended and been waited for.
    parent, ticks = {}, {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{entry}/stat").read().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        parent[int(entry)], ticks[int(entry)] = int(fields[1]), sum(map(int, fields[11:15]))
    def ours(process):
        while process not in (0, os.getpid()):
            process = parent.get(process, 0)
        return process
    return sum(each for process, each in ticks.items() if ours(process)) / os.sysconf("SC_CLK_TCK")

def timed(module, name, stage):
    inner = getattr(module, name)
    def outer(*args, **kwargs):
        begun, worked = time.monotonic(), processor()
        try:
            return inner(*args, **kwargs)
        finally:
            found[stage] = {"wall_s": time.monotonic() - begun, "processor_s": processor() - worked}
    setattr(module, name, outer)

found = {}
try:
    stages = importlib.import_module("edgesea.distillation")
except ImportError:
    stages = importlib.import_module("edgesea.distill")
from edgesea import examples
from edgesea.run import Config
timed(examples, "make", "augmentation")
timed(stages, "train", "training")
asked = {"teacher": teacher, "data": data, "objective": "sea", "student": "separable-m", "dim": 64}
stages.distill(Config.from_dict(asked | {"frames": int(frames), "epochs": int(epochs)}), out)
print(json.dumps(found))
"""


def timings(checkout: Path, options, environment: dict) -> dict:
    """One distillation by the code of `checkout`, stage by stage."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [options.teacher, options.data, f"{folder}/run", options.frames, options.epochs]
        command = [sys.executable, "-P", "-c", PROBE, *map(str, arguments)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment, "PYTHONPATH": str(checkout)}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def pair(options, before: dict, today: dict) -> dict:
    """Both revisions in turns, each in an environment of its own."""
    runs: dict[str, list[dict]] = {"before": [], "today": []}
    for _ in range(options.rounds):
        runs["before"].append(timings(options.against.resolve(), options, before))
        runs["today"].append(timings(ROOT, options, today))
    return {
        stage: {
            **{name: [each[stage] for each in those] for name, those in runs.items()},
            **{f"ratio_{clock}": ratio(runs, stage, f"{clock}_s") for clock in ("processor", "wall")},
        }
        for stage in STAGES
    }


def ratio(runs: dict, stage: str, clock: str) -> float:
    """How many times as many frames a second there are today as before."""
    before, today = (np.mean([each[stage][clock] for each in runs[name]]) for name in ("before", "today"))
    return float(before / today)


def work(options) -> None:
    revision = subprocess.run(
        ["git", "-C", str(options.against), "rev-parse", "--short", "HEAD"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    slow = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    result = {
        "against": revision,
        "teacher": Path(options.teacher).stem,
        "frames": options.frames,
        "epochs": options.epochs,
        "rounds": options.rounds,
        "here": pair(options, {}, {}),
        "without VNNI": pair(options, slow | {"TF_ENABLE_ONEDNN_OPTS": "0"}, slow),
        "conditions": options.conditions or f"{len(os.sched_getaffinity(0))} cores.",
        "versions": versions(),
    }
    files.write_json(RESULTS / "training.json", result)
    print(json.dumps({name: _ratios(result[name]) for name in ("here", "without VNNI")}, indent=2))


def _ratios(found: dict) -> dict:
    return {
        stage: {key: value for key, value in found[stage].items() if key.startswith("ratio")}
        for stage in STAGES
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", type=Path, required=True, help="a checkout of another revision")
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--frames", type=int, default=4096)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--conditions", help="a sentence on the machine")
    options = parser.parse_args()
    return answer(lambda: work(options))


if __name__ == "__main__":
    sys.exit(main())
