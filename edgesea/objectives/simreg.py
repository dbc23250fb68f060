"""The objective `simreg`: networks that guess the teacher's whole embedding from the student's, and go.

L(theta) = L_target(theta)  +  weight * mean over heads h of L_h(h(f_S(x)), f_T(x))

Navaneet et al., "SimReg: Regression as a Simple Yet Effective Tool for Self-supervised Knowledge
Distillation", BMVC 2021: an MLP between student and teacher while they train, left out afterwards, makes a
better student than none. Theirs has the second term alone, with the mean squared error of L2-normalised
embeddings; ours keeps the student at phi(teacher) with the first (`target`, that of `cosine`), since
evaluation and whoever compares embeddings count on that. An ensemble of heads, which differ in how they
begin, averages what a head of its own would make of the student. The teacher's embedding is centred and
scaled by its mean and mean square over the training, remembered batch by batch.
"""

import dataclasses

from edgesea.errors import UsageError
from edgesea.objectives import cosine, sea
from edgesea.objectives.base import Objective

LENGTH = cosine.Cosine.Options().length
# Of the teacher's running mean and scale: some hundred batches.
MOMENTUM = 0.99


class SimReg(Objective):
    """The student's embedding is to hold what the teacher's whole embedding can be guessed from."""

    name = "simreg"
    needs = frozenset({"patch", "target", "embedding"})
    criterion = "cosine"

    @dataclasses.dataclass(frozen=True)
    class Options:
        """heads : how many; hidden : units of the hidden layer of each, 0 is a linear head; loss : cosine or
        mse, of the heads; weight : of the heads; target : of phi(teacher).
        """

        heads: int = 1
        hidden: int = 512
        loss: str = "cosine"
        weight: float = 1.0
        target: float = 1.0

        def __post_init__(self):
            if not (self.heads >= 1 and self.hidden >= 0):
                raise UsageError(
                    f"Received heads = {self.heads} and hidden = {self.hidden} for the objective simreg: "
                    "give at least 1 head, and at least 0 units."
                )
            if self.loss not in ("cosine", "mse"):
                raise UsageError(
                    f"Received loss = {self.loss!r} for the objective simreg: choose cosine or mse."
                )
            if not (0 < self.weight < float("inf") and 0 < self.target < float("inf")):
                raise UsageError(
                    f"Received weight = {self.weight} and target = {self.target} for the objective simreg: "
                    "give numbers above 0."
                )

    def prepare(self, setting):
        import keras

        (dimension,), (wanted,) = setting.student.output_shape[1:], setting.outputs["embedding"]
        self.heads = [
            _head(dimension, self.options.hidden, wanted, setting.seed + k) for k in range(self.options.heads)
        ]
        self._mean = keras.Variable(keras.ops.zeros(wanted), trainable=False, name="teacher_mean")
        self._square = keras.Variable(0.0, trainable=False, name="teacher_mean_square")
        self._seen = keras.Variable(0.0, trainable=False, name="teacher_share_seen")

    @property
    def beside(self):
        return [variable for head in self.heads for variable in head.trainable_variables]

    @property
    def remembered(self):
        heads = [variable for head in self.heads for variable in head.non_trainable_variables]
        return [*heads, self._mean, self._square, self._seen]

    def compare(self, batch, heard):
        import tensorflow as tf

        options, embedding = self.options, heard["embedding"]
        wanted = self._standardised(tf.cast(batch["embedding"], tf.float32))
        one = cosine.loss if options.loss == "cosine" else sea.loss
        guessed = tf.add_n([one(wanted, head(embedding, training=True)) for head in self.heads])
        guessed /= len(self.heads)
        target = cosine.loss(batch["target"], embedding) + LENGTH * sea.loss(batch["target"], embedding)
        return {
            "loss": options.weight * guessed + options.target * target,
            "heads": guessed,
            "target": target,
        }

    def _standardised(self, embedding):
        """(B, n) -> the same, centred and of about unit mean square."""
        import tensorflow as tf

        self._seen.assign(MOMENTUM * self._seen + (1 - MOMENTUM))
        self._mean.assign(MOMENTUM * self._mean + (1 - MOMENTUM) * tf.reduce_mean(embedding, axis=0))
        # What was seen so far stands for all: as Adam corrects its moments (Kingma and Ba, 2015).
        centred = embedding - tf.convert_to_tensor(self._mean) / tf.convert_to_tensor(self._seen)
        square = tf.reduce_mean(tf.square(centred))
        self._square.assign(MOMENTUM * self._square + (1 - MOMENTUM) * square)
        mean_square = tf.convert_to_tensor(self._square) / tf.convert_to_tensor(self._seen)
        return centred * tf.math.rsqrt(mean_square + 1e-12)


def _head(dimension: int, hidden: int, wanted: int, seed: int):
    """(B, dimension) -> (B, wanted), with one hidden layer or none."""
    import keras
    from keras import layers

    begun = keras.initializers.GlorotUniform(seed)
    x = given = keras.Input((dimension,))
    if hidden:
        x = layers.Dense(hidden, use_bias=False, kernel_initializer=begun)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.97)(x))
    return keras.Model(given, layers.Dense(wanted, kernel_initializer=begun)(x))
