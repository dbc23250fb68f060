"""The objective `reaug`: soft labels, and the teacher's relations within a batch; a memory at inference.

    L = kd(tau_label) + relation * mean_i KL(q_i || q'_i)
    q_ij = softmax_j(t_i . t_j / tau),  q'_ij = softmax_j(t_i . s_j / tau)

over all i, j of the batch, t = phi(teacher) and s the student's embedding, both of length 1. Zhang et al.,
"ReAugKD: Retrieval-augmented knowledge distillation for pre-trained language models", ACL 2023, section 3.1.
kd is the loss of the objective of that name. The teacher's projection is tuned by a supervised contrastive
loss first, as there, where every clip has one label (the reducer `contrastive`); elsewhere it is the run's
own reducer, and the run says so.

At inference (section 3.2) a memory of (phi(teacher embedding), p^T) of training frames helps the student:
p = beta p^S + (1 - beta) p^retrieved. `edgesea evaluate` scores both; see `edgesea.retrieval`, which takes
`beta`, `neighbours` and `temperature` from here.
"""

import dataclasses

from edgesea.errors import UsageError
from edgesea.measures import fidelity
from edgesea.named import Choice
from edgesea.objectives import kd
from edgesea.objectives.classes import ClassObjective, check_above_zero, check_share, check_source


class ReAug(ClassObjective):
    """Soft labels and relations."""

    name = "reaug"
    needs = frozenset({"patch", "target", "logits"})

    @dataclasses.dataclass(frozen=True)
    class Options:
        """What can be chosen.

        temperature : tau > 0 of the relations, and of what is retrieved
        label_temperature : of the soft labels, > 0
        relation : weight of the relations, >= 0
        beta : the student's own share of a prediction, in [0, 1]; 1 is the student alone
        neighbours : entries of the memory that are retrieved, at least 1
        projection : "auto" tunes the teacher's by labels where there are any; "reducer" takes the run's
        soft : see `ClassObjective`
        """

        temperature: float = 0.1
        label_temperature: float = 4.0
        relation: float = 1.0
        beta: float = 0.5
        neighbours: int = 10
        projection: str = "auto"
        soft: str = "auto"

        def __post_init__(self):
            check_above_zero(temperature=self.temperature, label_temperature=self.label_temperature)
            check_share(beta=self.beta)
            check_source(self.soft)
            if self.neighbours < 1 or self.relation < 0:
                raise UsageError(
                    f"Received neighbours = {self.neighbours} and relation = {self.relation}: give at least "
                    "1, and a weight of at least 0."
                )
            if self.projection not in ("auto", "reducer"):
                raise UsageError(f"Received projection = {self.projection!r}: choose auto or reducer.")

    def projection(self, material):
        tuned = self.options.projection == "auto" and len(material.classes) > 1
        return Choice("contrastive") if tuned else None

    def notes(self, material):
        if self.projection(material):
            return ("reaug tunes the teacher's projection by a supervised contrastive loss on the labels",)
        why = "" if self.options.projection == "reducer" else ", since not every clip has one label"
        return (f"reaug takes the run's reducer as the teacher's projection{why}",)

    def compare(self, batch, heard):
        import tensorflow as tf

        soft = kd.loss(batch["logits"], self.head(heard["embedding"]), self.options.label_temperature)
        relation = loss(
            tf.math.l2_normalize(batch["target"], axis=1),
            tf.math.l2_normalize(heard["embedding"], axis=1),
            self.options.temperature,
        )
        return {"loss": soft + self.options.relation * relation, "soft": soft, "relation": relation}

    def judge(self, validation, embedding):
        return {
            **super().judge(validation, embedding),
            "cosine": fidelity.cosine(validation.targets(), embedding),
        }


def loss(teacher, student, temperature: float):
    """mean_i KL(q_i || q'_i); teacher, student (B, d), rows of length 1 -> scalar >= 0."""
    import tensorflow as tf

    wanted = tf.nn.log_softmax(tf.matmul(teacher, teacher, transpose_b=True) / temperature)
    said = tf.nn.log_softmax(tf.matmul(teacher, student, transpose_b=True) / temperature)
    return tf.reduce_mean(tf.reduce_sum(tf.exp(wanted) * (wanted - said), axis=1))
