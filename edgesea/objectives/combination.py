"""The objective `sum`: several objectives train one student, each with its weight.

    L = sum_k w_k L_k

Written with a + between them, see `edgesea.objectives.terms`. The student is heard once for all of them; what
each trains or remembers beside it is its own. The best epoch is chosen by the first one's criterion.
"""

import dataclasses

import numpy as np

from edgesea import objectives
from edgesea.errors import UsageError, received
from edgesea.objectives.base import Objective
from edgesea.objectives.terms import weighted


class Sum(Objective):
    """Two objectives or more."""

    name = "sum"
    combines = False

    @dataclasses.dataclass(frozen=True)
    class Options:
        """terms : tuple of str, each as `edgesea.objectives.terms` says; held with every option spelt out."""

        terms: tuple = ()

        def __post_init__(self):
            if len(self.terms) < 2 or not all(isinstance(term, str) for term in self.terms):
                raise UsageError(
                    f"Received {received('+'.join(map(str, self.terms)))} as a sum of objectives: write two "
                    "or more with a + between them, sea+0.5*compress."
                )
            object.__setattr__(self, "terms", tuple(map(_spelt_out, self.terms)))

    def __init__(self, options=None):
        super().__init__(options)
        weights, texts = zip(*map(weighted, self.options.terms), strict=True)
        self.weights, self.parts = weights, [objectives.objective(text) for text in texts]
        self.needs = frozenset().union(*(part.needs for part in self.parts))
        self.criterion = self.parts[0].criterion
        self._hearing = max(self.parts, key=lambda part: part.attends)

    def check(self, material):
        for part in self.parts:
            if not part.combines:
                raise UsageError(
                    f"The objective {part.name} cannot be one of several, since it has a course of steps of "
                    "its own: choose it alone, or leave it out of the sum."
                )
            part.check(material)
        self.soft(material)
        self.projection(material)

    def check_student(self, student, material):
        for part in self.parts:
            part.check_student(student, material)

    def soft(self, material):
        return self._one("soft labels", [part.soft(material) for part in self.parts])

    def projection(self, material):
        return self._one("reducers", [part.projection(material) for part in self.parts])

    def _one(self, what, asked):
        """The one thing that all of them agree on; those that ask for nothing take any."""
        wanted = [each for each in zip(self._names(), asked, strict=True) if each[1] is not None]
        if len({value for _, value in wanted}) > 1:
            said = " and ".join(f"{name} needs {value}" for name, value in wanted)
            raise UsageError(
                f"The objectives of this sum need different {what} ({said}): give them the same, or train "
                "one of them alone."
            )
        return wanted[0][1] if wanted else None

    def notes(self, material):
        return tuple(note for part in self.parts for note in part.notes(material))

    def prepare(self, setting):
        for part in self.parts:
            part.student = setting.student
            part.prepare(setting)

    @property
    def beside(self):
        return [variable for part in self.parts for variable in part.beside]

    @property
    def remembered(self):
        return [variable for part in self.parts for variable in part.remembered]

    def hear(self, batch):
        return self._hearing.hear(batch)

    def compare(self, batch, heard):
        each = [part.compare(batch, heard)["loss"] for part in self.parts]
        total = sum(weight * loss for weight, loss in zip(self.weights, each, strict=True))
        return {"loss": total, **dict(zip(self._names(), each, strict=True))}

    def after(self, batch):
        for part in self.parts:
            part.after(batch)

    def check_validation(self, validation):
        for part in self.parts:
            part.check_validation(validation)

    def judge(self, validation, embedding):
        """The first one's figures under their own names, the others' behind the objective's."""
        found = self.parts[0].judge(validation, embedding)
        for name, part in zip(self._names()[1:], self.parts[1:], strict=True):
            found |= {f"{name}.{key}": value for key, value in part.judge(validation, embedding).items()}
        return found

    def classifier(self):
        return next((head for part in self.parts if (head := part.classifier()) is not None), None)

    def _names(self) -> list[str]:
        """Of the parts, told apart by their place where one is there twice."""
        names = [part.name for part in self.parts]
        return [name if names.count(name) == 1 else f"{name}{k + 1}" for k, name in enumerate(names)]


def _spelt_out(term: str) -> str:
    try:
        weight, text = weighted(term)
    except ValueError:
        weight, text = np.nan, term
    if not 0 < weight < np.inf:
        raise UsageError(f"Received the objective {received(term)}: its weight has to be a number above 0.")
    choice = objectives.OBJECTIVES.resolved(objectives.chosen(text))
    if choice.name == "sum":
        raise UsageError(f"Received {received(term)} within a sum of objectives: write its terms out.")
    return (f"{weight!r}*" if weight != 1 else "") + str(choice)
