"""Student and head as one network: patch -> scores, and the embedding before them where it is kept."""

import numpy as np

from edgesea.decisions.head import Head
from edgesea.errors import EdgeseaError

SCORES = "scores"


def fold(student, head: Head, *, embedding: bool):
    """The student with the head behind it.

    student : keras.Model, patch (B, frames, mels, 1) -> embedding (B, d)
    embedding : whether the embedding stays an output, the first of two

    Raises
    ------
    EdgeseaError : the head takes embeddings of another length
    """
    import keras

    dimension = student.output_shape[-1]
    if dimension != len(head.layers[0][0]):
        raise EdgeseaError(
            f"The head takes embeddings of {len(head.layers[0][0])} numbers and the student makes "
            f"{dimension}: train a head for this student with `edgesea head`."
        )
    x = student.output
    for place, (weights, bias) in enumerate(head.layers):
        last = place == len(head.layers) - 1
        layer = keras.layers.Dense(
            len(bias),
            activation=head.activation if last else "relu",
            name=SCORES if last else f"head_{place}",
        )
        x = layer(x)
        layer.set_weights([np.asarray(weights, np.float32), np.asarray(bias, np.float32)])
    return keras.Model(student.input, [student.output, x] if embedding else x)
