"""The objective `kd`: the teacher's soft labels, the baseline of all.

L = (1 - hard) tau^2 mean_i KL(p^T_i || p^S_i) + hard mean_i CE(y_i, p^S_i at tau = 1)

Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015, section 2: the cross-entropy
with soft targets at temperature tau, times tau^2 so that its gradients do not shrink with tau, beside one
with the labels. Ours takes KL in place of the cross-entropy, which differs by the entropy of the targets: no
gradient changes, and a student that equals the teacher has the loss 0.
"""

import dataclasses

from edgesea.errors import UsageError
from edgesea.objectives.classes import ClassObjective, check_above_zero, check_share, check_source


class KD(ClassObjective):
    """Soft labels."""

    name = "kd"
    divides = True

    @dataclasses.dataclass(frozen=True)
    class Options:
        """temperature : tau > 0; hard : weight of the labels, in [0, 1]; soft : see `ClassObjective`."""

        temperature: float = 4.0
        hard: float = 0.0
        soft: str = "auto"

        def __post_init__(self):
            check_above_zero(temperature=self.temperature)
            check_share(hard=self.hard)
            check_source(self.soft)
            if self.hard and self.soft == "scores":
                raise UsageError(
                    f"Received hard = {self.hard} with soft = scores: labels are of the data's classes and "
                    "scores of the teacher's, so leave one of them out."
                )

    def __init__(self, options=None):
        super().__init__(options)
        self.needs = frozenset({"patch", "logits"} | ({"label"} if self.options.hard else set()))

    def soft(self, material):
        if self.options.hard:
            material.require_labels(f"objective {self.name}")
            return "head"
        return super().soft(material)

    def compare(self, batch, heard):
        logits = self.head(heard["embedding"])
        soft = loss(batch["logits"], logits, self.options.temperature)
        if not self.options.hard:
            return {"loss": soft}
        hard = cross_entropy(batch["label"], logits)
        return {
            "loss": (1 - self.options.hard) * soft + self.options.hard * hard,
            "soft": soft,
            "hard": hard,
        }


def loss(teacher, student, temperature: float):
    """tau^2 times the mean KL(p^T || p^S); logits (B, C) float32 tensors -> scalar >= 0."""
    import tensorflow as tf

    wanted, said = tf.nn.log_softmax(teacher / temperature), tf.nn.log_softmax(student / temperature)
    return temperature**2 * tf.reduce_mean(tf.reduce_sum(tf.exp(wanted) * (wanted - said), axis=1))


def cross_entropy(label, logits):
    """Mean over the batch of -sum_c y_c log p^S_c; label (B, C) shares, logits (B, C) -> scalar >= 0."""
    import tensorflow as tf

    return -tf.reduce_mean(tf.reduce_sum(label * tf.nn.log_softmax(logits), axis=1))
