"""What an objective is: it says what it needs, learns from a batch, and scores what it learnt.

The training loop knows nothing of losses. It hands over batches, keeps what the objective calls its own in
the checkpoint, keeps the best epoch by the objective's own score, and takes the network to deploy from it.
So an objective may train networks beside the student (projections, guides, momentum copies) and remember
more than weights (queues): all of it is in `variables`.

The columns of a batch that an objective may ask for (B examples):

    patch      (B, frames, mels, 1) float16   the student's input
    waveform   (B, samples) float32           what the patch was made of, at the pairing's rate
    embedding  (B, n) float32                 the teacher's
    target     (B, d) float32                 phi(embedding), by the run's reducer
    others     (B, ...)                       any further output of the teacher by its name: scores, attention
    label      (B, classes) float32           where the domain is labelled; shares of classes in a mixture
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesea.errors import EdgeseaError, UsageError
from edgesea.measures import fidelity

if TYPE_CHECKING:
    from edgesea.examples import Examples

PREDICT = 256  # frames a step when nothing is learnt


@dataclasses.dataclass(frozen=True)
class Setting:
    """What an objective is told before training.

    Attributes
    ----------
    student : keras.Model
        Patch to embedding, untrained.
    outputs : mapping of str to tuple
        The shape of every output of the teacher, without the batch.
    optimizer : callable
        Takes a list of variables and returns an optimiser for them, with the run's schedule.
    seed : int
        Of whatever is random beside the student's weights.
    """

    student: Any
    outputs: Mapping[str, tuple]
    optimizer: Callable
    seed: int


class Objective(ABC):
    """One training of one student.

    Attributes
    ----------
    name : str
    needs : frozenset of str
        Columns of a batch that `step` and `score` read; see this module.
    criterion : str
        Which figure of `score` says how good an epoch was: the higher, the better.
    Options : type
        A frozen dataclass of what can be chosen, with defaults.
    """

    name: str
    needs: frozenset
    criterion = "r2"

    @dataclasses.dataclass(frozen=True)
    class Options:
        """An objective without options; others have a class of their own here."""

    def __init__(self, options=None):
        self.options = options or self.Options()

    def check(self, outputs: Iterable[str], labelled: bool) -> None:
        """Whether teacher and data have what is needed, asked before any work is done.

        Parameters
        ----------
        outputs : names of the teacher's outputs
        labelled : whether every clip of the domain has a label

        Raises
        ------
        UsageError
            Something is not there.
        """
        if "label" in self.needs and not labelled:
            raise UsageError(
                f"The objective {self.name} needs labels, and not every clip of the data has one: give a "
                "table with a column `label`, or choose an objective that needs none."
            )
        if missing := self.needs - {*outputs, "patch", "waveform", "target", "label"}:
            raise UsageError(
                f"The objective {self.name} needs the teacher's {', '.join(sorted(missing))}, and it gives "
                f"only {', '.join(outputs)}: choose another teacher or objective."
            )

    def begin(self, setting: Setting) -> None:
        """Makes what is trained and remembered beside the student."""
        self.student = setting.student
        self.optimizer = setting.optimizer(self.trained)

    @property
    def trained(self) -> list:
        """The variables that gradients change."""
        return self.student.trainable_variables

    @property
    def variables(self) -> list:
        """Everything that the rest of the training depends on, always in the same order."""
        return [*self.student.variables, *self.optimizer.variables]

    @abstractmethod
    def losses(self, batch: Mapping) -> dict:
        """What is made smaller, as ``loss``, and the parts that it is the sum of, as scalar tensors."""

    def step(self, batch: Mapping) -> dict:
        """Learns from one batch of tensors; compiled by the loop. Returns `losses`."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            losses = self.losses(batch)
        gradients = tape.gradient(losses["loss"], self.trained)
        self.optimizer.apply_gradients(zip(gradients, self.trained, strict=True))
        return losses

    def check_validation(self, validation: "Examples") -> None:
        """Raises `EdgeseaError` where nothing can be scored on the validation recordings."""
        wanted = validation.targets()
        if not np.isfinite(fidelity.r2(wanted, wanted)):
            raise EdgeseaError(
                "The validation recordings hold no two frames that the teacher tells apart: give more sound, "
                "or another --seed."
            )

    def score(self, validation: "Examples") -> dict[str, float]:
        """How good the network to deploy is, figure by figure; among them `criterion`."""
        wanted, embedding = validation.targets(), predict(self.deploy(), validation.patches())
        return {"r2": fidelity.r2(wanted, embedding), "cosine": fidelity.cosine(wanted, embedding)}

    def deploy(self):
        """The network for the sensor, a `keras.Model`: patch -> embedding."""
        return self.student


def predict(student, patches: np.ndarray) -> np.ndarray:
    """patches (N, frames, mels, 1) float32, N >= 1 -> embeddings (N, d) float32."""
    # Batch by batch, not `predict`: its pipeline of threads costs more than the student where memory is dear.
    parts = range(0, len(patches), PREDICT)
    return np.concatenate([student.predict_on_batch(patches[k : k + PREDICT]) for k in parts])
