"""How fast listen.py makes the patches of the C frontend, in integers by NumPy, on one core.

    python benchmarks/ears.py [--seconds 60] [--out FILE.json]

Frames of noise and of a pure tone, a new one every half frame where they may overlap. Processor time, not the
clock's, so that what else runs matters little; it goes into results/ears.json.
"""

import os

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np

from edgesea import __version__
from edgesea.decisions import heard
from edgesea.frontend import PRESETS
from edgesea.listen import listen
from firmware_export.frontend import integer_tables

RESULTS = Path(__file__).with_name("results") / "ears.json"
SCALES = {"sea-8k": (80 / 255, 127), "yamnet-16k": (12 / 255, 18), "openl3-48k": (80 / 255, 127)}


def sounds(rate: int, seconds: float) -> dict[str, np.ndarray]:
    """Noise, whose rows are made in 32 bits, and a tone, whose rows are made again in 64."""
    time_of = np.arange(int(rate * seconds)) / rate
    noise = np.random.default_rng(0).normal(0, 3000, time_of.size)
    tone = 20000 * np.sin(2 * np.pi * 1000 * time_of)
    return {name: np.round(each).astype(np.int16) for name, each in {"noise": noise, "tone": tone}.items()}


def measured(name: str, seconds: float) -> dict[str, float]:
    """Seconds of sound a second of processor time, by kind of sound."""
    frontend = PRESETS[name]
    scale, zero_point = SCALES[name]
    ears = listen.Ears(frontend.to_dict(), integer_tables(frontend, scale=scale, zero_point=zero_point))
    found = {}
    for kind, pcm in sounds(frontend.sample_rate, seconds).items():
        frames = [frame for _, frame in listen.Framer(ears, heard.pace(frontend)).push(pcm)]
        ears.patch(frames[0])
        began = time.process_time()
        for frame in frames:
            ears.patch(frame)
        found[kind] = round(seconds / (time.process_time() - began), 1)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of sound")
    parser.add_argument("--out", default=str(RESULTS))
    chosen = parser.parse_args()
    answer = {
        "edgesea": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": platform.machine(),
        "seconds": chosen.seconds,
        "times_real_time": {name: measured(name, chosen.seconds) for name in SCALES},
    }
    print(json.dumps(answer, indent=2))
    Path(chosen.out).write_text(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    main()
