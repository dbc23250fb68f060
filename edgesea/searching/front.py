"""The front of a search: the candidates that no other beats in everything; as lines, and as a picture."""

from collections.abc import Sequence
from pathlib import Path

from edgesea import files
from edgesea.formats.search import Candidate, Found, Result

KIB = 1024


def front(trained: Sequence[Candidate]) -> list[Found]:
    """Those of some trained candidates that no other equals or beats in score and every need, the best first.

    Pareto's order: one beats another where it is nowhere worse and somewhere better. Of equal ones the first.
    """
    found = [
        _found(each)
        for number, each in enumerate(trained)
        if not any(_beats(other, each, k < number) for k, other in enumerate(trained) if k != number)
    ]
    return sorted(found, key=lambda each: (-each.score, each.needs.instructions, each.number))


def _found(candidate: Candidate) -> Found:
    assert candidate.needs is not None  # it was trained
    assert candidate.score is not None
    return Found(
        number=candidate.number,
        student=candidate.student,
        dimension=candidate.dimension,
        score=candidate.score,
        needs=candidate.needs,
    )


def _beats(one: Candidate, other: Candidate, earlier: bool) -> bool:
    mine, theirs = _figures(one), _figures(other)
    return all(a <= b for a, b in zip(mine, theirs, strict=True)) and (mine != theirs or earlier)


def _figures(candidate: Candidate) -> tuple[float, ...]:
    """What is to be small."""
    found = _found(candidate)
    return -found.score, found.needs.flash, found.needs.ram, found.needs.instructions


def line(candidate: Candidate) -> str:
    """One candidate as a line for people."""
    what = f"{candidate.number}: {candidate.student}, {candidate.dimension}-d"
    if candidate.state == "failed":
        return f"{what}: failed ({candidate.note})"
    needs = candidate.needs
    assert needs is not None  # it did not fail
    said = (
        f"{needs.instructions / 1e6:.2f} M instructions, {needs.flash / KIB:.0f} KB of flash, "
        f"{needs.ram / KIB:.0f} KB of RAM"
    )
    if candidate.state == "too large":
        return f"{what}: too large ({said})"
    after = f"after {len(candidate.curve)} epochs" + " and no more" * (candidate.state == "pruned")
    return f"{what}: {candidate.score:.3f} {after}; {said}; {candidate.seconds:.0f} s"


def rows(result: Result) -> tuple[list[str], list[list[str]]]:
    """The front as a table: names of the columns, and the rows."""
    columns = ["number", "d", "score", "M instructions", "KB of flash", "KB of RAM"]
    held = [
        [
            str(each.number),
            str(each.dimension),
            f"{each.score:.3f}",
            f"{each.needs.instructions / 1e6:.2f}",
            f"{each.needs.flash / KIB:.0f}",
            f"{each.needs.ram / KIB:.0f}",
        ]
        for each in result.front
    ]
    return columns, held


def draw(result: Result, tried: Sequence[Candidate], path: Path) -> None:
    """Score against instructions: all that was trained, the front, and the winner; a .png."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(7, 4.5))
    try:
        kinds = (("pruned", "x", "training ended early"), ("trained", "o", "trained"))
        for state, marker, label in kinds:
            held = [_found(each) for each in tried if each.state == state and each.curve]
            axis.plot(
                [each.needs.instructions / 1e6 for each in held],
                [each.score for each in held],
                marker,
                color="tab:gray",
                alpha=0.6,
                label=label,
            )
        # In this plane; what is on the front for its flash or RAM alone lies below the line.
        line: list[Found] = []
        for each in sorted(result.front, key=lambda found: (found.needs.instructions, -found.score)):
            if not line or each.score > line[-1].score:
                line.append(each)
        axis.step(
            [each.needs.instructions / 1e6 for each in line],
            [each.score for each in line],
            "o-",
            where="post",
            color="tab:blue",
            label="front",
        )
        winner = result.winner
        axis.plot(winner.needs.instructions / 1e6, winner.score, "*", color="tab:red", ms=14, label="winner")
        axis.set_xlabel("M4 instructions of an inference, millions, estimated")
        axis.set_ylabel("R² of the teacher's embedding, guessed linearly")
        axis.legend()
        axis.grid(alpha=0.3)
        figure.tight_layout()
        with files.replacing(path) as temporary:
            figure.savefig(temporary, dpi=120, format="png", metadata={"Software": None})
    finally:
        pyplot.close(figure)
