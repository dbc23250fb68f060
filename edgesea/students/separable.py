"""Depthwise-separable students: patch -> embedding, for microcontrollers.

A 3x3 convolution of stride 2, then blocks of a 3x3 depthwise and a 1x1 convolution (Howard et al.,
MobileNets, 2017), each with batch normalisation and ReLU, the identity added where the shapes allow
(Sandler et al., MobileNetV2, CVPR 2018), then the mean over time and frequency and one linear layer.

Two choices serve the device. The first convolution has no padding, so that the batch normalisation behind it
takes up the patch's offset and scale, and no operator is spent on normalising the input. All activations are
ReLU: they quantise well and cost nothing beside the requantisation that every layer needs anyway.
"""

from collections import Counter
from dataclasses import dataclass

from edgesea.errors import UsageError
from edgesea.students.base import Student


@dataclass(frozen=True)
class Separable(Student):
    """A student of the family.

    Attributes
    ----------
    stem : int > 0
        Filters of the first convolution.
    blocks : tuple of (int, int)
        Filters and stride of the separable blocks, in order.
    """

    stem: int = 16
    blocks: tuple = ((24, 1), (48, 2), (48, 1), (80, 2), (80, 1), (80, 1), (112, 2), (112, 1))

    def __post_init__(self):
        good = self.stem > 0 and all(
            isinstance(block, tuple)
            and len(block) == 2
            and all(isinstance(each, int) and each > 0 for each in block)
            for block in self.blocks
        )
        if not good:
            raise UsageError(
                f"Received stem = {self.stem} and blocks = {self.blocks} for a separable student: give "
                "filters above 0, and for each block its filters and its stride, [[24, 1], [48, 2]]."
            )

    def build(self, frames, mels, dimension, name="separable"):
        import keras
        from keras import layers

        if min(frames, mels) < 3:
            raise ValueError("the first convolution is 3 x 3")

        made: Counter[str] = Counter()

        def named(kind: str) -> str:
            # What Keras would call it in a new process: its own count goes on from student to student.
            made[kind] += 1
            return f"{kind}_{made[kind] - 1}" if made[kind] > 1 else kind

        def normalised(x):
            # A short memory: the first epochs' statistics must not outlive them where epochs are few.
            x = layers.BatchNormalization(momentum=0.97, name=named("batch_normalization"))(x)
            return layers.ReLU(name=named("re_lu"))(x)

        def convolved(x, filters, *window):
            return layers.Conv2D(filters, *window, use_bias=False, name=named("conv2d"))(x)

        patch = keras.Input((frames, mels, 1), name="patch")
        x = normalised(convolved(patch, self.stem, 3, 2, "valid"))
        for filters, stride in self.blocks:
            depthwise = layers.DepthwiseConv2D(
                3, stride, "same", use_bias=False, name=named("depthwise_conv2d")
            )
            y = normalised(convolved(normalised(depthwise(x)), filters, 1))
            x = layers.Add(name=named("add"))([x, y]) if stride == 1 and x.shape[-1] == filters else y
        x = layers.GlobalAveragePooling2D(name="global_average_pooling2d")(x)
        return keras.Model(patch, layers.Dense(dimension, name="embedding")(x), name=name)


SMALL = Separable(8, ((16, 1), (24, 2), (24, 1), (48, 2), (48, 1), (64, 2)))
MEDIUM = Separable()
LARGE = Separable(24, ((40, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (192, 2), (192, 1)))
