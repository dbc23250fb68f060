"""The student that a head is for: its float .tflite and its frontend, of a run or of a bundle."""

from dataclasses import dataclass
from pathlib import Path

from edgesea.decisions.head import Own
from edgesea.errors import UsageError
from edgesea.exporting.bundle import load_bundle
from edgesea.frontend import Frontend
from edgesea.recognise import advice, recognise
from edgesea.run import Run


@dataclass(frozen=True)
class Student:
    """float_model : .tflite, patch -> embedding; frontend : of its patches; own : the head that it was
    trained with, if any.
    """

    float_model: bytes
    frontend: Frontend
    own: Own | None = None


def student_of(target: Path | str) -> Student:
    """The student of a run or of a bundle without a head.

    Raises
    ------
    UsageError : there is none, or the bundle does not hold what it takes
    """
    target = Path(target)
    if (target / "manifest.json").is_file():
        bundle = load_bundle(target)
        if bundle.float is None or bundle.frontend is None:
            lacks = "float model" if bundle.float is None else "frontend"
            raise UsageError(
                f"The bundle {target} has no {lacks}, which a head is trained with: name its run."
            )
        if bundle.decisions is not None and bundle.decisions["head"]:
            raise UsageError(f"The bundle {target} holds a head already: name the run that it came from.")
        return Student(bundle.float.read_bytes(), bundle.frontend)
    found = recognise(target)
    if found.kind not in ("run", "folder"):
        raise UsageError(advice(found, "evaluate"))
    run = Run.open(target)
    from edgesea.exporting.tflite import convert_float

    return Student(convert_float(run.load_student()), run.frontend(), _own(run))


def _own(run: Run) -> Own | None:
    """The head that the run trained with its student."""
    held = run.classifier()
    if held is None:
        return None
    weights, bias, labels = held
    split = run.kept_split()
    parts = dict(split.parts) if split.frame_s is None else {}
    return Own(weights, bias, labels, run.results()["data"]["fingerprint"], parts)
