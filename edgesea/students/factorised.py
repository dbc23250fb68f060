"""Students that hear frequency and time apart: patch -> embedding, for microcontrollers.

Kim et al., "Broadcasted Residual Learning for Efficient Keyword Spotting", Interspeech 2021 (BC-ResNet),
equation 2: in a block, a convolution over frequency alone, and one over time alone of what is averaged over
frequency, which is then added back to every frequency:

    y = norm(dw_frequency(x));    x <- relu(x + y + W relu(norm(dw_time(mean_frequency(y)))))

The block with which the filters or the stride change begins with a 1x1 convolution and has no x of its own
(their transition block). Ours differs where devices ask for it: plain batch normalisation instead of their
SubSpectralNorm, ReLU instead of swish, no dilation, averages of frequencies instead of a stride over them,
and a mean at the end instead of one over frequency behind further convolutions.
"""

from dataclasses import dataclass

from edgesea.students.base import Student
from edgesea.students.parts import Parts, check_blocks, check_pair, check_positive


@dataclass(frozen=True)
class Factorised(Student):
    """A student of the family.

    Attributes
    ----------
    stem : int > 0
        Filters of the first convolution.
    blocks : tuple of (int, int)
        Filters, and the stride over frequency, of the blocks, in order.
    kernel : int > 0
        Frames that a convolution over time sees.
    shrink : (int, int) > 0
        Strides of the first convolution over frames and mels.
    """

    stem: int = 16
    blocks: tuple = ((16, 1), (16, 1), (32, 2), (32, 1), (48, 2), (48, 1), (64, 1))
    kernel: int = 3
    shrink: tuple = (2, 2)

    def __post_init__(self):
        check_positive("a factorised student", stem=self.stem, kernel=self.kernel)
        check_blocks("a factorised student", self.blocks)
        check_pair("a factorised student", "shrink", self.shrink)

    def build(self, frames, mels, dimension, name="factorised"):
        import keras
        from keras import layers

        parts = Parts()
        patch = keras.Input((frames, mels, 1), name="patch")
        x = parts.stem(patch, self.stem, self.shrink)
        for filters, stride in self.blocks:
            changes = stride > 1 or x.shape[-1] != filters
            if stride > 1:
                # Keras wants one stride for both axes of a depthwise convolution.
                x = layers.AveragePooling2D((1, stride), padding="same", name=parts.named("pool"))(x)
            y = parts.normalised(parts.convolved(x, filters, 1)) if changes else x
            y = parts.normed(parts.depthwise(y, (1, 3)))
            z = layers.AveragePooling2D((1, y.shape[2]), name=parts.named("pool"))(y)
            z = parts.normalised(parts.depthwise(z, (self.kernel, 1)))
            z = parts.convolved(z, filters, 1)
            z = parts.added(y, z)
            x = layers.ReLU(name=parts.named("re_lu"))(z if changes else parts.added(x, z))
        return parts.ended(patch, x, dimension, name)
