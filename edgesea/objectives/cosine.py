"""The objective `cosine`: the direction of phi(teacher), and its length as far as that is wanted.

L(theta) = mean over frames of 1 - cos(f_S(x), phi(f_T(x)))  +  length * L_sea(theta)

The first term is the squared distance of the two embeddings on the unit sphere, halved: mean squared error on
L2-normalised embeddings, as S-SONDO (ICASSP 2026) finds it far better than mean squared error on
environmental sound. Frames whose embeddings are long do not outweigh the others then. Alone it leaves the
student's lengths to chance, and with them R² and every distance; a little of `sea` beside it settles them.
Much of it takes the first term's advantage away: after 64,000 augmented frames of ESC-50 the cosine on
recordings that were never heard was 0.55 with a length of 0.5, and 0.59 with none.
"""

import dataclasses

from edgesea.errors import UsageError
from edgesea.objectives import sea
from edgesea.objectives.base import Objective


class Cosine(Objective):
    """The student's embedding is to point where phi(teacher) does."""

    name = "cosine"
    divides = True
    needs = frozenset({"patch", "target"})
    criterion = "cosine"

    @dataclasses.dataclass(frozen=True)
    class Options:
        """length : float >= 0, weight of the mean squared error beside the cosine."""

        length: float = 0.05

        def __post_init__(self):
            if not 0 <= self.length < float("inf"):
                raise UsageError(
                    f"Received length = {self.length} for the objective cosine: give a number of at least 0."
                )

    def compare(self, batch, heard):
        embedding = heard["embedding"]
        turned = loss(batch["target"], embedding)
        if not self.options.length:
            return {"loss": turned}
        length = sea.loss(batch["target"], embedding)
        return {"loss": turned + self.options.length * length, "direction": turned, "length": length}


def loss(target, embedding):
    """target, embedding (B, d) float32 tensors -> scalar in [0, 2]; an embedding of zeros counts as 1."""
    import tensorflow as tf

    target, embedding = (tf.math.l2_normalize(each, axis=1) for each in (target, embedding))
    return 1 - tf.reduce_mean(tf.reduce_sum(target * embedding, axis=1))
