"""What a student that was trained with a head says of classes, beside its teacher: of some frames.

Fidelity to the teacher's soft labels and, where the clips are labelled with the head's classes, calibration
of both; without a memory and, of a student of the objective `reaug`, with memories of several sizes. For the
figures see `measures.predictions`.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from edgesea import soft as softlabels
from edgesea.errors import EdgeseaError
from edgesea.examples import Examples
from edgesea.measures import predictions
from edgesea.retrieval import MOST_FRAMES, SIZES, Memory
from edgesea.run import Run

UNKNOWN = -1  # a class that the head does not have, or no label


class Classes:
    """The head of a run, and the memories that go with it."""

    def __init__(self, run: Run):
        head = run.classifier()
        if head is None:
            raise EdgeseaError(
                f"The run {run.folder} has no head for classes: distil with kd, reaug or disk."
            )
        self._run = run
        self._weight, self._bias, self.names = head

    @property
    def asked(self) -> tuple[str, ...]:
        """What the soft labels need of the teacher beside its embedding."""
        column = softlabels.load(self._run.soft).column
        return () if column == "embedding" else (column,)

    def truth(self, labels: Sequence[tuple[str, ...]]) -> np.ndarray:
        """Of every clip's or frame's class names, the place of its one class; `UNKNOWN` for anything else."""
        place = {name: k for k, name in enumerate(self.names)}
        found = [place.get(names[0], UNKNOWN) if len(names) == 1 else UNKNOWN for names in labels]
        return np.array(found, np.int64)

    def said(self, embeddings: np.ndarray) -> np.ndarray:
        """Student's embeddings (N, d) -> its distributions over the classes (N, C)."""
        return predictions.softmax(embeddings @ self._weight + self._bias)

    def judged(
        self,
        examples: Examples,
        embeddings: dict[str, np.ndarray],
        truth: np.ndarray | None,
        groups: Sequence | None,
    ) -> dict:
        """JSON values of some frames.

        Parameters
        ----------
        examples : the frames, with the teacher's soft labels
        embeddings : of the same frames by the student, by kind of model
        truth : (N,) from `truth`; None where there are no labels
        groups : the recording of every frame; None gives no intervals

        Returns
        -------
        dict
            {'classes', 'frames', 'teacher', KIND: {'agreement', 'predictive_kl', ...}, 'memory'}; where there
            are frames of known classes, every one of them and the teacher has 'accuracy', 'ece', 'brier' and
            'reliability' on those. memory: a list of {'entries', 'beta', KIND: likewise without reliability}.
        """
        wanted = predictions.softmax(examples.logits())
        found = {
            "classes": wanted.shape[1],
            "frames": len(wanted),
            "teacher": _calibrated(truth, wanted, groups),
        }
        own = {kind: self.said(values) for kind, values in embeddings.items()}
        for kind, said in own.items():
            found[kind] = predictions.fidelity(wanted, said, groups) | _calibrated(truth, said, groups)
        found["memory"] = []
        for memory in self._memories:
            entry = {"entries": len(memory.keys), "beta": self._told["beta"]}
            for kind, said in own.items():
                mixed = memory.mixed(said, embeddings[kind], **self._told)
                figures = predictions.fidelity(wanted, mixed, groups) | _calibrated(truth, mixed, groups)
                figures.pop("reliability", None)
                entry[kind] = figures
            found["memory"].append(entry)
        return found

    @cached_property
    def _told(self) -> dict:
        options = dict(self._run.config.objective.options)
        return {name: options[name] for name in ("beta", "neighbours", "temperature")}

    @cached_property
    def _memories(self) -> list[Memory]:
        """Of the training recordings' frames as they are; none but for `reaug`."""
        if self._run.config.objective.name != "reaug":
            return []
        frames = self._run.part("train", MOST_FRAMES)
        targets, values = frames.targets(), predictions.softmax(frames.logits())
        sizes = [size for size in SIZES if size < len(targets)] + [len(targets)]
        return [Memory.of(targets, values, size, self._run.config.seed) for size in sizes]


def of_heads(values: dict[str, np.ndarray], labels: Sequence[tuple[str, ...]], groups: Sequence) -> dict:
    """Model -> what its head says beside the teacher's head, of clips that no head heard.

    values : model -> (clips, classes) probabilities, classes in the order of their names
    labels, groups : the one class, and the recording, of every clip
    """
    names = sorted({name for each in labels for name in each})
    truth = np.array([names.index(each[0]) for each in labels])
    values = {model: said / said.sum(axis=1, keepdims=True) for model, said in values.items()}
    teacher = values.get("teacher")
    found = {}
    for model, said in values.items():
        beside = teacher is not None and model != "teacher"
        found[model] = predictions.fidelity(teacher, said, groups) if beside else {}
        found[model] |= predictions.calibration(truth, said, groups)
    return found


def _calibrated(truth: np.ndarray | None, said: np.ndarray, groups: Sequence | None) -> dict:
    """Calibration on the frames whose class is known; {} where there are none."""
    if truth is None or not (known := truth != UNKNOWN).any():
        return {}
    of = None if groups is None else np.asarray(groups)[known]
    return predictions.calibration(truth[known], said[known], of)
