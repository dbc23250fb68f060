"""What objectives share whose student also says classes: a linear head beside it, and soft labels.

The head, embedding (d,) -> logits (C,), is trained with the student and kept with it in the run; the network
to deploy is the student alone, and student and head are one model where a head is exported with it.

Convention: p^T and p^S are softmax distributions of logits divided by a temperature.
"""

import numpy as np

from edgesea.errors import EdgeseaError, UsageError, received
from edgesea.measures import predictions
from edgesea.objectives.base import Objective
from edgesea.soft import SOURCES


class ClassObjective(Objective):
    """An objective that trains a head with the student, on the column `logits`.

    Its options have `soft`: "auto" is "head" where every clip has one label, else "scores".
    """

    criterion = "-kl"

    def soft(self, material):
        wanted = self.options.soft
        if wanted == "auto":
            wanted = "head" if material.classes else "scores"
        if wanted == "head":
            material.require_labels(f"objective {self.name}")
        elif "scores" not in material.outputs:
            raise UsageError(
                f"The objective {self.name} needs class outputs of the teacher, and {material.teacher} gives "
                f"only {', '.join(material.outputs)}: choose a teacher that classifies, or give data with "
                "one label a clip, to which a head on its embeddings is fitted."
            )
        return wanted

    def check(self, material):
        self.soft(material)
        super().check(material)

    def prepare(self, setting):
        import keras

        self.head = keras.layers.Dense(setting.classes, name="classes")
        self.head.build((None, setting.student.output_shape[-1]))

    @property
    def beside(self):
        return self.head.trainable_variables

    def check_validation(self, validation):
        super().check_validation(validation)
        if len(np.unique(validation.logits().argmax(axis=1))) < 2:
            raise EdgeseaError(
                "The teacher takes all validation recordings to be of one class: give more sound, or another "
                "--seed."
            )

    def judge(self, validation, embedding):
        weight, bias = self.classifier()
        wanted = predictions.softmax(validation.logits())
        said = predictions.softmax(embedding @ weight + bias)
        return {
            "agreement": predictions.agreement(wanted, said),
            "kl": float(predictions.divergence(wanted, said).mean()),
        }

    def classifier(self):
        return tuple(variable.numpy() for variable in (self.head.kernel, self.head.bias))


def check_source(soft: str) -> None:
    """Raises `UsageError` for an option `soft` that is none."""
    if soft not in ("auto", *SOURCES):
        raise UsageError(f"Received soft = {received(soft)}: choose one of auto, {', '.join(SOURCES)}.")


def check_above_zero(**values: float) -> None:
    """Raises `UsageError` for an option that is not a finite number above 0."""
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise UsageError(f"Received {name} = {received(value)}: give a number above 0.")


def check_share(**values: float) -> None:
    """Raises `UsageError` for an option outside 0 .. 1."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise UsageError(f"Received {name} = {received(value)}: it must lie in 0 .. 1.")
