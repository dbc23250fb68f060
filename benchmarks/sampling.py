"""What sampling one large day costs, and measuring levels; writes results/sampling.{json,md}.

    python benchmarks/sampling.py

One sensor, one day, 33,000 frames with random embeddings of 512 dimensions (a spectrum that falls by 1 % from
axis to axis, about a mean) in a store on disk. Every case is a process of its own that opens the store and
draws once; its time is that of the draw with the reading, its memory the most that was resident, mapped files
included. Processor time is summed over threads: it is what remains comparable on a machine that does other
work too.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from edgesea import audio, files, levels, sampling
from edgesea.datasets import Clip, Manifest
from edgesea.devices import conditions
from edgesea.store import Store

RESULTS = Path(__file__).with_name("results")
CLIPS, FRAMES, DIMENSION = 3_300, 10, 512
SIZES = (91, 2560)  # a year's 33,000 a sensor are 91 a day
RUNS = 3
RATES = (16_000, 48_000)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draw", nargs=3, metavar=("STORE", "SAMPLER", "N"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.draw:
        store, name, n = options.draw
        print(json.dumps(draw(Path(store), name, int(n))))
        return
    before = conditions.state()
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder) / "store")
        day = [
            {"sampler": name, "n": n, **measured(Path(folder) / "store", name, n)}
            for name in sampling.SAMPLERS
            for n in SIZES
        ]
    result = {
        "candidates": CLIPS * FRAMES,
        "dimension": DIMENSION,
        "embeddings_bytes": CLIPS * FRAMES * DIMENSION * 4,
        "kernel_bytes": (CLIPS * FRAMES) ** 2 * 8,
        "runs": RUNS,
        "day": day,
        "levels": [level(rate) for rate in RATES],
        "conditions": {"machine": conditions.machine(), "before": before, "after": conditions.state()},
    }
    files.write_json(RESULTS / "sampling.json", result)
    files.write_text(RESULTS / "sampling.md", report(result))


def manifest() -> Manifest:
    """A day of clips of 10 s."""
    start, step = datetime(2024, 5, 1), timedelta(days=1) / CLIPS
    clips = (Clip(Path(f"/day/{k}.wav"), sensor="s", timestamp=start + k * step) for k in range(CLIPS))
    return Manifest(Path("/day"), tuple(clips), "day")


def make(folder: Path) -> None:
    rng, store = np.random.default_rng(0), Store(folder, {})
    mean, spread = rng.standard_normal(DIMENSION), 0.99 ** np.arange(DIMENSION)
    for shard in range(10):
        clip = np.arange(shard * CLIPS // 10, (shard + 1) * CLIPS // 10, dtype=np.int32)
        rows = len(clip) * FRAMES
        columns = {
            "clip": np.repeat(clip, FRAMES),
            "start": np.tile(np.arange(FRAMES), len(clip)).astype(np.float64),
            "level_db": rng.normal(55, 8, rows).astype(np.float32),
            "embedding": (mean + rng.standard_normal((rows, DIMENSION)) * spread).astype(np.float32),
        }
        store.write(shard, columns)


def draw(folder: Path, name: str, n: int) -> dict:
    """One draw in this process: seconds by the clock and of the processor, and resident bytes before it and
    at most."""
    store = Store.open(folder)
    candidates = sampling.Candidates(store, np.arange(len(store)), manifest())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    started, worked = time.perf_counter(), time.process_time()
    chosen = sampling.sampler(name)(candidates, n, 0)
    seconds, processor = time.perf_counter() - started, time.process_time() - worked
    assert len(set(chosen.tolist())) == n
    return {
        "seconds": seconds,
        "processor_seconds": processor,
        "before_bytes": before,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def measured(folder: Path, name: str, n: int) -> dict:
    """The median times of some draws, and the memory of the one that took most."""
    command = [sys.executable, __file__, "--draw", str(folder), name, str(n)]
    runs = [
        json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for _ in range(RUNS)
    ]
    return max(runs, key=lambda run: run["peak_bytes"]) | {
        key: statistics.median(run[key] for run in runs) for key in ("seconds", "processor_seconds")
    }


def level(rate: int) -> dict:
    """Processor time of a frame of one second in ms, A-weighted and, for comparison, unweighted."""
    frames = (np.random.default_rng(0).standard_normal((600, rate)) * 0.1).astype(np.float32)

    def milliseconds(measure) -> float:
        took = []
        for _ in range(5):
            started = time.process_time()
            measure()
            took.append((time.process_time() - started) / len(frames) * 1e3)
        return statistics.median(took)

    return {
        "sample_rate": rate,
        "weighted_ms": milliseconds(lambda: levels.level_dba(frames, rate)),
        "unweighted_ms": milliseconds(lambda: [audio.level_db(frame) for frame in frames]),
    }


def report(result: dict) -> str:
    """The result as Markdown tables."""
    machine, before, after = (result["conditions"][key] for key in ("machine", "before", "after"))
    lines = [
        "# What sampling costs",
        "",
        f"Made by `python benchmarks/sampling.py` on {machine['cpu']}, {machine['cores']} cores, load "
        f"{before['load_average']} before and {after['load_average']} after, numpy {machine['numpy']}, "
        f"{before['time'][:10]}.",
        f"One day of {result['candidates']:,} candidates with random {result['dimension']}-d embeddings "
        f"({result['embeddings_bytes'] / 1e6:.0f} MB in the store; the kernel, which is never formed, would "
        f"be {result['kernel_bytes'] / 1e9:.1f} GB).",
        f"Median times of {result['runs']} draws, each in a process of its own; memory is what the draw "
        "added to the process at most, mapped files included.",
        "",
        "| sampler | frames drawn | seconds | processor, s | memory, MB | to the embeddings |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for row in result["day"]:
        added = row["peak_bytes"] - row["before_bytes"]
        lines.append(
            f"| {row['sampler']} | {row['n']} | {row['seconds']:.2f} | {row['processor_seconds']:.2f} "
            f"| {added / 1e6:.0f} | {added / result['embeddings_bytes']:.1f} |"
        )
    lines += [
        "",
        "| level of a frame of 1 s, processor time | A-weighted, ms | unweighted, ms |",
        "|---|--:|--:|",
    ]
    lines += [
        f"| {row['sample_rate'] / 1000:g} kHz | {row['weighted_ms']:.3f} | {row['unweighted_ms']:.3f} |"
        for row in result["levels"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
