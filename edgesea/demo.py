"""The whole flow on synthesised street sounds, with the teacher that comes with edgesea: offline, in minutes.

Every step is the one that a user's own data goes through; only the sizes are small.
"""

import time
from pathlib import Path
from typing import Any

from edgesea.datasets import street
from edgesea.devices import measure
from edgesea.distillation import distill
from edgesea.evaluation.evaluate import evaluate
from edgesea.exporting import c_compiler
from edgesea.exporting.from_run import export_run
from edgesea.progress import SILENT, Progress
from edgesea.run import Config

CLIPS = 240
CONFIG: dict[str, Any] = {
    "student": "separable-m",
    "objective": "sea",
    "dim": 64,
    "frames": 10_000,
    "epochs": 4,
    "patience": 4,
    "seed": 1,
}


def demo(out: Path | str, *, command: str = "", progress: Progress = SILENT) -> dict:
    """Synthesises sound, distils, evaluates, exports and measures, all in the folder `out`.

    A folder that holds a demo is gone on with. Returns JSON values: paths, seconds of each step, what
    `evaluate` gives, the bundle's manifest and the measurement.
    """
    out = Path(out)
    paths = {"sound": out / "street", "run": out / "run", "bundle": out / "bundle"}
    seconds = {}
    results: dict = {}

    def step(name: str, work):
        progress.say(f"— {name}")
        started = time.monotonic()
        results[name] = work()
        seconds[name] = round(time.monotonic() - started, 1)

    if not (paths["sound"] / "clips.csv").exists():
        step("synthesise", lambda: street.synthesise(paths["sound"], CLIPS, seed=CONFIG["seed"]))
    config = Config(teacher="demo", data=str(paths["sound"].resolve()), **CONFIG)
    step("distill", lambda: distill(config, paths["run"], progress=progress))
    step("evaluate", lambda: evaluate(paths["run"], config.data, progress=progress))
    step(
        "export",
        lambda: export_run(
            paths["run"],
            paths["bundle"],
            name="street sounds",
            c_model=c_compiler(command=command),
            command=command,
        ),
    )
    step("bench", lambda: measure(paths["bundle"], "host"))
    return {
        "paths": {name: str(path) for name, path in paths.items()},
        "seconds": seconds,
        "evaluate": results["evaluate"],
        "manifest": results["export"].manifest,
        "bench": results["bench"],
    }
