"""The objective `compress`: the student is to find the same anchors alike that the teacher finds alike.

    L = mean_i KL(softmax_j(t_i . a^T_j / tau) || softmax_j(s_i . a^S_j / tau))

over a queue of anchors a_j, the frames of earlier batches, all vectors of length 1. Koohpayegani, Tejankar
and Pirsiavash, "CompRess: Self-supervised learning by compressing representations", NeurIPS 2020, section 3.
No factor tau^2, as in the authors' code. Two variants:

2q  a queue of teacher's and one of student's embeddings, the latter made by a copy of the student whose
    weights follow it slowly: theta' <- m theta' + (1 - m) theta. d may be anything.
1q  the teacher's queue for both: a linear layer, which is only there in training, takes the student's
    embedding to the teacher's n dimensions. (In the authors' code that layer stays; on a device n would cost
    more than the student.)

Similarities are taken before the batch joins the queue. Ours differs in how queues begin: theirs with random
vectors, so that a first pass learns noise, ours empty, so that only frames that were heard are anchors; the
first step, which has none, has the loss 0. Their settings: 128,000 anchors, tau 0.04, momentum 0.999.
"""

import dataclasses

import numpy as np

from edgesea.errors import UsageError, received
from edgesea.measures import fidelity, predictions
from edgesea.objectives.base import Objective
from edgesea.objectives.classes import check_above_zero, check_share
from edgesea.students.fused import fuse

USUAL = 4096  # anchors
_JUDGED = 2000  # frames of the validation recordings, each of which is an anchor for all others


class CompRess(Objective):
    """Similarities to a queue of anchors."""

    name = "compress"
    needs = frozenset({"patch", "embedding"})
    criterion = "-kl"

    @dataclasses.dataclass(frozen=True)
    class Options:
        """What can be chosen.

        variant : "2q" or "1q"
        queue : anchors; None is 4096, or as many as the student is trained on where those are fewer
        temperature : tau > 0
        momentum : m of the copy of 2q, in [0, 1]
        """

        variant: str = "2q"
        queue: int | None = None
        temperature: float = 0.04
        momentum: float = 0.999

        def __post_init__(self):
            if self.variant not in ("2q", "1q"):
                raise UsageError(f"Received variant = {received(self.variant)}: choose 2q or 1q.")
            if self.queue is not None and self.queue < 1:
                raise UsageError(f"Received queue = {self.queue}: give a whole number of at least 1.")
            check_above_zero(temperature=self.temperature)
            check_share(momentum=self.momentum)

    def check(self, material):
        super().check(material)
        if self.options.queue is not None and self.options.queue > material.frames:
            raise UsageError(
                f"The objective {self.name} with a queue of {self.options.queue} anchors needs as many "
                f"frames to train on, and there are {material.frames}: choose a smaller queue, or more "
                "--frames."
            )

    def prepare(self, setting):
        import keras
        import tensorflow as tf

        d, n = setting.student.output_shape[-1], setting.outputs["embedding"][0]
        size = min(self.options.queue or USUAL, max(1, setting.frames))
        self.seen = tf.Variable(0, dtype=tf.int64, trainable=False, name="seen")
        self.teacher_queue = tf.Variable(tf.zeros((size, n)), trainable=False, name="teacher_queue")
        if self.options.variant == "1q":
            self.layer = keras.layers.Dense(n, name="to_teacher")
            self.layer.build((None, d))
        else:
            self.student_queue = tf.Variable(tf.zeros((size, d)), trainable=False, name="student_queue")
            self.copy = keras.models.clone_model(setting.student)
            self.copy.set_weights(setting.student.get_weights())
            fuse(self.copy)

    @property
    def beside(self):
        return self.layer.trainable_variables if self.options.variant == "1q" else []

    @property
    def remembered(self):
        own = [] if self.options.variant == "1q" else [self.student_queue, *self.copy.variables]
        return [self.seen, self.teacher_queue, *own]

    def compare(self, batch, heard):
        import tensorflow as tf

        one = self.options.variant == "1q"
        embedding = self.layer(heard["embedding"]) if one else heard["embedding"]
        size = self.teacher_queue.shape[0]
        filled = tf.range(size, dtype=tf.int64) < self.seen
        return {
            "loss": loss(
                tf.math.l2_normalize(batch["embedding"], axis=1),
                tf.math.l2_normalize(embedding, axis=1),
                self.teacher_queue,
                self.teacher_queue if one else self.student_queue,
                filled,
                self.options.temperature,
            )
        }

    def after(self, batch):
        import tensorflow as tf

        count, size = tf.shape(batch["embedding"], tf.int64)[0], self.teacher_queue.shape[0]
        # Of a batch that is larger than the queue its last frames stay.
        first = tf.maximum(count - size, 0)
        slots = (self.seen + tf.range(first, count)) % size
        anchors = tf.math.l2_normalize(batch["embedding"][first:], axis=1)
        self.teacher_queue.scatter_update(tf.IndexedSlices(anchors, slots))
        if self.options.variant == "2q":
            key = self.copy(tf.cast(batch["patch"], tf.float32), training=True)[first:]
            self.student_queue.scatter_update(tf.IndexedSlices(tf.math.l2_normalize(key, axis=1), slots))
            m = self.options.momentum
            for slow, fast in zip(
                self.copy.trainable_variables, self.student.trainable_variables, strict=True
            ):
                slow.assign(m * slow + (1 - m) * fast)
        self.seen.assign_add(count)

    def judge(self, validation, embedding):
        """The same loss, every frame's anchors being the others of the validation recordings."""
        step = -(-len(embedding) // _JUDGED)
        teacher, student = validation.embeddings()[::step], embedding[::step]
        sides = [_similar(each, self.options.temperature) for each in (teacher, student)]
        return {
            "kl": float(predictions.divergence(*sides).mean()),
            "cka": fidelity.cka(teacher, student),
        }


def loss(teacher, student, teacher_anchors, student_anchors, filled, temperature: float):
    """Mean KL between the two softmax distributions of similarities.

    teacher (B, n), student (B, d), teacher_anchors (Q, n), student_anchors (Q, d), all rows of length 1;
    filled (Q,) bool, which anchors there are. Returns a scalar >= 0; 0 where there are none.
    """
    import tensorflow as tf

    def similar(queries, anchors):
        similarity = tf.matmul(queries, anchors, transpose_b=True) / temperature
        return tf.nn.log_softmax(tf.where(filled, similarity, tf.cast(-1e9, similarity.dtype)))

    wanted, said = similar(teacher, teacher_anchors), similar(student, student_anchors)
    apart = tf.where(filled, tf.exp(wanted) * (wanted - said), tf.zeros_like(wanted))
    return tf.reduce_mean(tf.reduce_sum(apart, axis=1))


def _similar(embeddings: np.ndarray, temperature: float) -> np.ndarray:
    """(N, d) -> (N, N) distributions over the others; a frame is no anchor of its own."""
    unit = fidelity.normalised(embeddings)
    similarity = unit @ unit.T / temperature
    np.fill_diagonal(similarity, -1e9)
    return predictions.softmax(similarity)
