"""The objective `sea`: mean squared error to phi(teacher).

L(theta) = mean over frames and dimensions of (f_S(x) - phi(f_T(x)))^2

Srivastava et al., ICASSP 2021, equation 1; theirs sums over dimensions, ours divides by d, so that the
learning rate does not depend on d.
"""

from edgesea.objectives.base import Objective


class Sea(Objective):
    """Specialized Embedding Approximation: the student's embedding is to equal phi(teacher)."""

    name = "sea"
    divides = True
    needs = frozenset({"patch", "target"})

    def compare(self, batch, heard):
        return {"loss": loss(batch["target"], heard["embedding"])}


def loss(target, embedding):
    """target, embedding (B, d) float32 tensors -> scalar >= 0."""
    import tensorflow as tf

    return tf.reduce_mean(tf.square(embedding - target))
