"""Tiny audio transformers: patches of the log-mel, a few layers of attention, patch -> embedding.

Gong, Chung and Glass, "AST: Audio Spectrogram Transformer", Interspeech 2021, far smaller: the log-mel is cut
into square patches, each of which becomes a vector with a learnt one of its place added; then layers of

    x <- x + attention(norm(x)),  x <- x + W2 gelu(W1 norm(x))

(Xiong et al., ICML 2020: the norm comes first), and the mean over the patches. Ours differs from AST: patches
do not overlap and there is no class token, the mean is what devices do well; and the patches' vectors go
through a batch normalisation, which takes up the log-mel's offset and scale without an operator more.

The attention maps of layer k are the second output of the Keras layer `attention_k`, (B, heads, T, T), rows
with the sum 1 over T patches; see `maps`.
"""

from dataclasses import dataclass

from edgesea.errors import UsageError
from edgesea.students.base import Student


@dataclass(frozen=True)
class Transformer(Student):
    """A student of the family.

    Attributes
    ----------
    width : int > 0
        Of a patch's vector.
    heads : int > 0
        Of every layer's attention; divides `width`.
    layers : int > 0
    hidden : int > 0
        Of W1.
    patch : int > 0
        Side of a patch, in frames and in mels.
    """

    width: int = 32
    heads: int = 2
    layers: int = 2
    hidden: int = 64
    patch: int = 16

    def __post_init__(self):
        for name in ("width", "heads", "layers", "hidden", "patch"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"Received {name} = {getattr(self, name)} for a transformer: give at least 1."
                )
        if self.width % self.heads:
            raise UsageError(
                f"Received width = {self.width} and heads = {self.heads} for a transformer: the heads have "
                "to divide the width."
            )

    def build(self, frames, mels, dimension, name="transformer"):
        import keras
        from keras import layers

        rows, columns = frames // self.patch, mels // self.patch
        if rows * columns < 2:
            raise ValueError(f"it needs two patches of {self.patch} x {self.patch} at least")
        patch = keras.Input((frames, mels, 1), name="patch")
        x = layers.Conv2D(self.width, self.patch, self.patch, use_bias=False, name="patches")(patch)
        x = layers.BatchNormalization(momentum=0.97, name="patches_norm")(x)
        x = layers.Reshape((rows * columns, self.width), name="sequence")(x)
        # A bias for every place and channel: the places' own vectors.
        x = layers.EinsumDense("btc,cd->btd", (rows * columns, self.width), bias_axes="td", name="places")(x)
        for k in range(1, self.layers + 1):
            y = _norm(f"attention_{k}_norm")(x)
            attention = layers.MultiHeadAttention(self.heads, self.width // self.heads, name=f"attention_{k}")
            y, _ = attention(y, y, return_attention_scores=True)
            x = layers.Add(name=f"attention_{k}_add")([x, y])
            y = layers.Dense(self.hidden, "gelu", name=f"mlp_{k}_in")(_norm(f"mlp_{k}_norm")(x))
            y = layers.Dense(self.width, name=f"mlp_{k}_out")(y)
            x = layers.Add(name=f"mlp_{k}_add")([x, y])
        x = layers.GlobalAveragePooling1D(name="mean")(_norm("norm")(x))
        return keras.Model(patch, layers.Dense(dimension, name="embedding")(x), name=name)


def maps(model) -> list:
    """The attention maps of a `keras.Model`, layer by layer, as its tensors (B, heads, T, T).

    [] where it gives none.
    """
    import keras

    found = [layer for layer in model.layers if isinstance(layer, keras.layers.MultiHeadAttention)]
    outputs = [layer.output for layer in found]
    return [each[1] for each in outputs if isinstance(each, list | tuple) and len(each) == 2]


def _norm(name: str):
    from keras import layers

    return layers.LayerNormalization(epsilon=1e-5, name=name)
