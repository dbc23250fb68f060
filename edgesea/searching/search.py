"""Looks for the student that learns most of a teacher within a board's flash, RAM and instructions.

Drawn, costed, trained shortly where it fits, remembered; again until the time is over. What is too large is
known before it is trained (`cost`), what is behind the others ends early (`watch`), what is drawn next learns
from what was tried (`sampler`). All candidates hear the same frames: the teacher is asked once.

DIR/search.json          what is looked for
DIR/candidates/          what was tried, a file each
DIR/runs/                the run of the candidate at work
DIR/store/               sound and embeddings that all share
DIR/result.json, .png    the front and the winner
DIR/winner.toml          everything that the winner's run is asked to do
DIR/winner/              the winner, distilled as any other student
"""

import dataclasses
import math
import shlex
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from edgesea import files
from edgesea.distillation import check, distill
from edgesea.errors import EdgeseaError, UsageError
from edgesea.formats import door
from edgesea.formats import search as formats
from edgesea.formats.search import Candidate, Result, Search
from edgesea.frontend import Frontend
from edgesea.named import Choice
from edgesea.progress import SILENT, Progress
from edgesea.run import Config
from edgesea.searching import candidates, cost, front, sampler, space, watch
from edgesea.searching.budget import RESOURCES, Accounts, Budget, Needs

# Failed one after the other: then it is not the students.
MOST_FAILED = 3
# Draws one after the other that were tried before: then there is nothing new.
MOST_KNOWN = 50


@dataclass(frozen=True)
class Wanted:
    """What is looked for.

    config : of the winner's run; its student and dim are what is looked for
    budget : what a student may need
    families, dimensions : out of which students are drawn
    frames, epochs : of a candidate's training
    """

    config: Config
    budget: Budget
    families: tuple[str, ...] = tuple(space.FAMILIES)
    dimensions: tuple[int, ...] = (32, 64, 128)
    frames: int = 16_000
    epochs: int = 4

    def __post_init__(self):
        for name in self.families:
            if name not in space.FAMILIES:
                raise UsageError(
                    f"Students of the family {name!r} are not searched: choose among "
                    f"{', '.join(space.FAMILIES)}."
                )
        for name in ("frames", "epochs"):
            if getattr(self, name) < 1:
                raise UsageError(f"Received --trial-{name} {getattr(self, name)}: give at least 1.")
        if not self.families or not self.dimensions or min(self.dimensions) < 1:
            raise UsageError(
                "A search draws from families and from dimensions above 0: give --families and --dim."
            )
        object.__setattr__(self, "config", dataclasses.replace(self.config, student=space.ANY, dim=None))

    def description(self) -> Search:
        """As it lies in the search's folder."""
        return Search(
            format=formats.FORMAT,
            format_version=formats.VERSION,
            config=self.config.to_dict(),
            budget=self.budget.described(),
            families=list(self.families),
            dimensions=list(self.dimensions),
            trial_frames=self.frames,
            trial_epochs=self.epochs,
        )

    @classmethod
    def of(cls, description: Search) -> "Wanted":
        """The inverse of `description`."""
        return cls(
            Config.from_dict(description.config),
            Budget(**description.budget.model_dump()),
            tuple(description.families),
            tuple(description.dimensions),
            description.trial_frames,
            description.trial_epochs,
        )

    def candidate(self, student: Choice, dimension: int) -> Config:
        """Of a candidate's short run."""
        return dataclasses.replace(
            self.winner(student, dimension),
            frames=self.frames,
            epochs=self.epochs,
            patience=self.epochs,
            qat_epochs=0,  # candidates are compared as they are in float
        )

    def winner(self, student: Choice, dimension: int) -> Config:
        """Of the winner's run."""
        return dataclasses.replace(self.config, student=student, dim=dimension)


def begun(folder: Path | str) -> Wanted | None:
    """What the search in a folder looks for; None where there is none."""
    file = Path(folder) / formats.SEARCH
    if not file.exists():
        return None
    held = door.read_json(file, Search, largest=formats.LARGEST, remedy="choose another --out")
    return Wanted.of(held)


def search(
    wanted: Wanted,
    out: Path | str,
    hours: float,
    *,
    most: int | None = None,
    winner: bool = True,
    shared: Path | str | None = None,
    accelerator: str = "auto",
    progress: Progress = SILENT,
) -> Result:
    """Searches for `hours` in all, over all calls, and distils the winner.

    most : candidates that are trained, at most; None for any number
    winner : whether the winner is distilled too, in time of its own
    shared : folder of stores; by default the search's own

    Raises
    ------
    UsageError
        The call cannot work: before anything is written.
    EdgeseaError
        Nothing was trained in that time, or the work fails.
    """
    if not (math.isfinite(hours) and hours > 0):
        raise UsageError(f"Received --hours {hours:g}: give a number above 0.")
    if most is not None and most < 1:
        raise UsageError(f"Received --candidates {most}: give at least 1.")
    sampler.require()
    out = Path(out)
    _check_folder(wanted, out)
    accounts = Accounts(wanted.budget.board, _checked(wanted, accelerator, progress))
    _check_budget(wanted, accounts)
    files.write_json(out / formats.SEARCH, wanted.description().model_dump())
    shared = shared or out / "store"
    work = _Work(wanted, out, accounts, shared, accelerator, progress)
    work.until(hours * 3600, most)
    result = work.result()
    files.write_json(out / formats.RESULT, result.model_dump())
    front.draw(result, work.tried, out / "result.png")
    if winner:
        student = Choice.of(result.winner.student, "student")
        config = wanted.winner(student, result.winner.dimension)
        _make_room(out / "winner", config)
        distill(config, out / "winner", shared=shared, accelerator=accelerator, progress=progress)
    return result


class _Work:
    """One search: what was tried, and what comes next."""

    def __init__(self, wanted, out, accounts, shared, accelerator, progress):
        self.wanted, self.out, self.accounts = wanted, out, accounts
        self.shared, self.accelerator, self.progress = shared, accelerator, progress
        self.tried: list[Candidate] = candidates.read(out)
        # Of a candidate that was remembered just before the process was killed.
        for folder in (out / "runs").glob("[0-9]*"):
            if int(folder.name) < len(self.tried):
                shutil.rmtree(folder)

    def until(self, seconds: float, most: int | None) -> None:
        """Tries until that much time is spent, `most` are trained, or nothing new is drawn."""
        known = 0
        while sum(each.seconds for each in self.tried) < seconds and known < MOST_KNOWN:
            if most is not None and len(self._in("trained", "pruned")) >= most:
                return
            candidate = self._try()
            new = not any(_same(each, candidate) for each in self.tried)
            known = 0 if new else known + 1
            self.tried.append(candidate)
            candidates.keep(self.out, candidate)
            shutil.rmtree(self._run(candidate.number), ignore_errors=True)
            if new:
                self.progress.say(front.line(candidate))
            last = self.tried[-MOST_FAILED:]
            if len(last) == MOST_FAILED and all(each.state == "failed" for each in last):
                note = (candidate.note or "no reason").removesuffix(".")
                raise EdgeseaError(
                    f"The last {MOST_FAILED} candidates failed ({note}): see to that, and search again."
                )

    def result(self) -> Result:
        """The front, the winner, and how it is made."""
        trained = self._in("trained")
        if not trained:
            share = Counter(each.state for each in self.tried)
            raise EdgeseaError(
                f"No candidate was trained to its end in that time (tried: {dict(share) or 'none'}): give "
                "more --hours, or a larger budget."
            )
        found = front.front(trained)
        best = found[0]
        config = self.wanted.winner(Choice.of(best.student, "student"), best.dimension)
        files.write_text(self.out / "winner.toml", tomli_w.dumps(config.to_dict()))
        return Result(
            format=formats.FORMAT,
            format_version=formats.VERSION,
            budget=self.wanted.budget.described(),
            tried=dict(Counter(each.state for each in self.tried)),
            seconds=sum(each.seconds for each in self.tried),
            front=found,
            winner=best,
            recipe=recipe(config, self.out / "winner"),
        )

    def _in(self, *states: str) -> list[Candidate]:
        """Those in a state; of what was drawn several times, the first."""
        found = {(each.student, each.dimension): each for each in reversed(self.tried)}
        return [each for each in reversed(found.values()) if each.state in states]

    def _run(self, number: int) -> Path:
        return self.out / "runs" / f"{number:04d}"

    def _next(self) -> tuple[Choice, int, dict]:
        """A student, its dimension, and how it was drawn; {} of one made by hand."""
        wanted, number = self.wanted, len(self.tried)
        known = space.known(wanted.families, wanted.dimensions)
        if number < len(known):
            return *known[number], {}
        trial = sampler.ask(self.tried, wanted.budget, wanted.families, wanted.dimensions, wanted.config.seed)
        student, dimension = space.draw(trial, wanted.families, wanted.dimensions)
        return student, dimension, trial.params

    def _try(self) -> Candidate:
        started, number, wanted = time.monotonic(), len(self.tried), self.wanted
        student, dimension, drawn = self._next()
        candidate = Candidate(
            number=number,
            drawn=drawn,
            student=str(student),
            dimension=dimension,
            needs=None,
            state="failed",
            curve=[],
            seconds=0.0,
            note=None,
        )
        if before := next((each for each in self.tried if _same(each, candidate)), None):
            # Two draws may be one student, and a small space is soon known.
            return before.model_copy(update={"number": number, "drawn": drawn, "seconds": 0.0})
        try:
            needs = self.accounts.needs(cost.cost(student, self.accounts.frontend, dimension))
            candidate = candidate.model_copy(
                update={"needs": formats.SearchNeeds(**dataclasses.asdict(needs))}
            )
            if wanted.budget.share(needs) > 1:
                found = {"state": "too large"}
            else:
                found = self._train(student, dimension, number, needs.instructions)
        except EdgeseaError as error:
            found = {"note": str(error)[:2000]}
        return candidate.model_copy(update={**found, "seconds": time.monotonic() - started})

    def _train(self, student: Choice, dimension: int, number: int, instructions: int) -> dict:
        others = watch.rivals(self._in("trained"), instructions)
        run = distill(
            self.wanted.candidate(student, dimension),
            self._run(number),
            shared=self.shared,
            accelerator=self.accelerator,
            watch=lambda run: watch.Watch(run, others),
        )
        scores = watch.curve(run.results()["course"])
        ended = len(scores) < self.wanted.epochs
        import keras

        keras.backend.clear_session()
        return {"state": "pruned" if ended else "trained", "curve": scores}


# Of a configuration, what `edgesea distill` has an option of the same name for.
OPTIONS = (
    *("teacher", "data", "teacher_tensor", "teacher_frontend", "teacher_rate", "teacher_seconds"),
    *("teacher_pool", "frontend", "student", "dim", "objective", "sampler", "reducer", "hop"),
    *("calibration_db", "max_bad_frames", "keep_silence", "sample", "frames", "fresh", "balance", "epochs"),
    *("batch", "learning_rate", "patience", "optimizer", "ema", "qat_epochs", "mixstyle", "seed"),
)


def recipe(config: Config, out: Path) -> str:
    """The command that distils with a configuration: what is no default, spelt out.

    Where there are choices that the command line has no word for, it names `out`.toml, which holds them all.
    """
    usual = Config(config.teacher, config.data)
    named = {name: getattr(config, name) for name in OPTIONS}
    plain = {**named, "augmentation": config.augmentation and usual.augmentation}
    if dataclasses.replace(usual, **plain) != config:
        return shlex.join(["edgesea", "distill", "--config", f"{out}.toml", "--out", str(out)])
    words = ["edgesea", "distill", "--out", str(out)]
    for name, value in named.items():
        option = f"--{name.replace('_', '-')}"
        if value == getattr(usual, name) and name not in ("teacher", "data", "student"):
            continue
        if isinstance(value, bool):
            words.append(option if value else f"--no-{option[2:]}")
        else:
            words += [option, str(value)]
    return shlex.join([*words, *([] if config.augmentation else ["--no-augment"])])


def smallest(families: Sequence[str], dimensions: Sequence[int]) -> list[tuple[Choice, int]]:
    """The smallest student of each family."""
    return [space.draw(space.Smallest(), (family,), (min(dimensions),)) for family in families]


def _same(one: Candidate, other: Candidate) -> bool:
    return (one.student, one.dimension) == (other.student, other.dimension)


def _checked(wanted: Wanted, accelerator: str, progress: Progress) -> Frontend:
    """The frontend of all candidates, once everything that can be refused has been."""
    student, dimension = smallest(wanted.families, wanted.dimensions)[0]
    check(wanted.candidate(student, max(wanted.dimensions)), accelerator=accelerator)
    return check(wanted.winner(student, dimension), accelerator=accelerator, progress=progress)


def _check_folder(wanted: Wanted, out: Path) -> None:
    held = begun(out)
    if held is None:
        if not files.free(out):
            raise UsageError(f"The folder {out} is not empty and not a search: choose another --out.")
        return
    before, now = (each.description().model_dump() for each in (held, wanted))
    if before != now:
        flat = [{**each.pop("config"), **each} for each in (before, now)]
        name = next(key for key in sorted({*flat[0], *flat[1]}) if flat[0].get(key) != flat[1].get(key))
        raise UsageError(
            f"{out} holds a search with {name} = {flat[0].get(name)!r}, and this call says "
            f"{flat[1].get(name)!r}: choose another --out, or delete that folder."
        )


def _check_budget(wanted: Wanted, accounts: Accounts) -> None:
    """Refuses a budget that not even the smallest student keeps, and says which that is."""
    closest: tuple[float, Choice, Needs] | None = None
    for student, dimension in smallest(wanted.families, wanted.dimensions):
        needs = accounts.needs(cost.cost(student, accounts.frontend, dimension))
        share = wanted.budget.share(needs)
        if share <= 1:
            return
        if closest is None or share < closest[0]:
            closest = share, student, needs
    assert closest is not None
    _, student, needs = closest
    lacking = wanted.budget.beyond(needs)
    said = ", ".join(f"{getattr(needs, name):,} {RESOURCES[name]}" for name in wanted.budget.limits)
    raise UsageError(
        f"Nothing fits: the smallest student, {student}, needs {said}; raise "
        f"{' and '.join(f'--{name}' for name in lacking)}."
    )


def _make_room(folder: Path, config: Config) -> None:
    """Puts a winner of before aside, where it is another."""
    from edgesea.run import read_config

    if not (folder / "config.toml").is_file() or read_config(folder / "config.toml") == config:
        return
    number = next(n for n in range(1, 1_000_000) if not folder.with_name(f"winner-{n}").exists())
    folder.rename(folder.with_name(f"winner-{number}"))
