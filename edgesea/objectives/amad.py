"""The objective `amad`: the student's attention maps are aligned to the teacher's, whatever the heads.

    L = mean squared error to phi(teacher)
        + weight * mean over the batch, layer pairs and queries of sum_h sum_g w_hg KL(A^T_h || A^S_g)
    w_hg = softmax_g cos(A^T_h, A^S_g), the maps of one frame flattened

Zhao et al., "No Head Left Behind: Multi-head alignment distillation for transformers", AAAI 2024: every
teacher's head teaches every student's head, the more the more alike they are, so their numbers may differ.
No gradient goes through w, unless `through` says so (the paper's ablation). A student's layer is paired with
the teacher's at the same height: of L_S layers the l-th with the ceil(l L_T / L_S)-th of L_T. The first part
is `sea`'s loss, since attention alone says nothing of the embedding.
"""

import dataclasses

from edgesea.errors import UsageError, received
from edgesea.objectives import sea
from edgesea.objectives.base import Objective
from edgesea.students import transformer

_LEAST = 1e-8  # of a probability, under a logarithm


class AMAD(Objective):
    """Attention maps beside the embedding, for transformers."""

    name = "amad"
    needs = frozenset({"patch", "target", "attention"})
    attends = True

    @dataclasses.dataclass(frozen=True)
    class Options:
        """weight : of the attention's part, >= 0; through : whether a gradient goes through the weights."""

        weight: float = 1.0
        through: bool = False

        def __post_init__(self):
            if not 0 <= self.weight < float("inf"):
                raise UsageError(f"Received weight = {received(self.weight)}: give a number of at least 0.")

    def check_student(self, student, material):
        maps = transformer.maps(student)
        if not maps:
            raise UsageError(
                f"The objective {self.name} needs a student with attention maps, and {student.name} has "
                "none: choose --student transformer."
            )
        ours, theirs = maps[0].shape[-1], material.outputs["attention"][-1]
        if ours != theirs:
            raise UsageError(
                f"The objective {self.name} needs attention over the same patches, and the teacher has "
                f"{theirs} and the student {ours}: choose another option `patch` of the student, or its "
                "--frontend."
            )

    def prepare(self, setting):
        import keras

        maps = transformer.maps(setting.student)
        self.network = keras.Model(setting.student.input, [setting.student.output, *maps])
        self._pairs = pairs(setting.outputs["attention"][0], len(maps))

    def hear(self, batch):
        import tensorflow as tf

        embedding, *maps = self.network(tf.cast(batch["patch"], tf.float32), training=True)
        return {"embedding": embedding, "attention": maps}

    def compare(self, batch, heard):
        import tensorflow as tf

        near = sea.loss(batch["target"], heard["embedding"])
        each = [
            loss(batch["attention"][:, place], maps, through=self.options.through)
            for place, maps in zip(self._pairs, heard["attention"], strict=True)
        ]
        aligned = tf.reduce_mean(tf.stack(each))
        return {"loss": near + self.options.weight * aligned, "target": near, "attention": aligned}


def pairs(teacher: int, student: int) -> list[int]:
    """Of each of the student's layers, the place of its pair among the teacher's."""
    return [-(-(layer + 1) * teacher // student) - 1 for layer in range(student)]


def loss(teacher, student, *, through: bool = False):
    """Mean over batch and queries of sum_h sum_g w_hg KL(A^T_h || A^S_g).

    teacher (B, H_T, T, T), student (B, H_S, T, T) float tensors, rows with the sum 1 -> scalar >= 0
    """
    import tensorflow as tf

    flat = [
        tf.math.l2_normalize(tf.reshape(maps, (tf.shape(maps)[0], maps.shape[1], -1)), axis=2)
        for maps in (teacher, student)
    ]
    weight = tf.nn.softmax(tf.matmul(flat[0], flat[1], transpose_b=True))
    if not through:
        weight = tf.stop_gradient(weight)
    wanted, said = (tf.maximum(maps, tf.cast(_LEAST, maps.dtype)) for maps in (teacher, student))
    # KL(A^T_h || A^S_g) summed over queries: a constant of h less a product of h and g.
    own = tf.reduce_sum(wanted * tf.math.log(wanted), axis=(2, 3))
    cross = tf.einsum("bhqk,bgqk->bhg", wanted, tf.math.log(said))
    apart = (own[:, :, None] - cross) / tf.cast(teacher.shape[2], teacher.dtype)
    return tf.reduce_mean(tf.reduce_sum(weight * apart, axis=(1, 2)))
