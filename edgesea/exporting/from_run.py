"""From a finished run to its bundle.

Which patches calibrate int8, which compare it with float, and what the bundle says of its origin.
"""

from pathlib import Path

from edgesea.exporting import export_student
from edgesea.exporting.bundle import Bundle
from edgesea.run import Run

# Held-out patches that int8 is compared with float on: more move the figures in the third digit.
HELD_OUT_FRAMES = 400


def export_run(folder: Path | str, out: Path | str, *, name: str | None = None, **options) -> Bundle:
    """Exports the student of a run.

    name : of the model; the name of its data where there is none
    options : of `edgesea.exporting.export_student`: int8, int16x8, onnx, min_cosine, min_r2, c_model, command

    Raises `UsageError` for a folder that is no finished run, and what `export_student` raises.
    """
    run = Run.open(folder)
    results = run.results()
    provenance = {
        "run": str(run.folder.resolve()),
        "teacher": results["teacher"],
        "data": results["data"],
        "student": {key: results[key] for key in ("student", "parameters", "dimension")},
        "objective": str(run.config.objective),
        "reducer": results["reducer"],
        "fidelity": results["fidelity"]["held-out"],
        "seed": run.config.seed,
        "versions": results["versions"],
    }
    return export_student(
        run.load_student(),
        name=name or results["data"]["name"],
        out=out,
        calibration=run.calibration() if options.get("int8", True) or options.get("int16x8") else None,
        held_out=run.part("held-out", HELD_OUT_FRAMES).patches(),
        frontend=run.frontend(),
        provenance=provenance,
        learnt=provenance["fidelity"]["r2"],
        **options,
    )
