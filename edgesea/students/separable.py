"""Depthwise-separable students: patch -> embedding, for microcontrollers.

A 3x3 convolution of stride 2, then blocks of a 3x3 depthwise and a 1x1 convolution (Howard et al.,
MobileNets, 2017), each with batch normalisation and ReLU, the identity added where the shapes allow
(Sandler et al., MobileNetV2, CVPR 2018), then the mean over time and frequency and one linear layer.

Two choices serve the device. The first convolution has no padding, so that the batch normalisation behind it
takes up the patch's offset and scale, and no operator is spent on normalising the input. All activations are
ReLU: they quantise well and cost nothing beside the requantisation that every layer needs anyway.
"""

from dataclasses import dataclass
from typing import ClassVar

from edgesea.students.base import Student
from edgesea.students.parts import Parts, check_blocks, check_pair, check_positive


@dataclass(frozen=True)
class Separable(Student):
    """A student of the family.

    Attributes
    ----------
    stem : int > 0
        Filters of the first convolution.
    blocks : tuple of (int, int) or (int, int, int)
        Filters and stride of the separable blocks, in order, and the side of the depthwise kernel, 3 where
        nothing is said.
    shrink : (int, int) > 0
        Strides of the first convolution over frames and mels: the resolution in which the patch is heard.
    """

    # Batch normalisation behind every convolution bears it; see "learning rate" in benchmarks/quality.py.
    learning_rate: ClassVar[float] = 2e-2

    stem: int = 16
    blocks: tuple = ((24, 1), (48, 2), (48, 1), (80, 2), (80, 1), (80, 1), (112, 2), (112, 1))
    shrink: tuple = (2, 2)

    def __post_init__(self):
        check_positive("a separable student", stem=self.stem)
        check_blocks("a separable student", self.blocks, kernels=True)
        check_pair("a separable student", "shrink", self.shrink)

    def build(self, frames, mels, dimension, name="separable"):
        import keras

        parts = Parts()
        patch = keras.Input((frames, mels, 1), name="patch")
        x = parts.stem(patch, self.stem, self.shrink)
        for filters, stride, *kernel in self.blocks:
            y = parts.normalised(parts.depthwise(x, *(kernel or (3,)), stride))
            y = parts.normalised(parts.convolved(y, filters, 1))
            x = parts.added(x, y) if stride == 1 and x.shape[-1] == filters else y
        return parts.ended(patch, x, dimension, name)


SMALL = Separable(8, ((16, 1), (24, 2), (24, 1), (48, 2), (48, 1), (64, 2)))
MEDIUM = Separable()
# About what MEDIUM costs, spent otherwise: less where the map is large, wide kernels where it is small.
WIDE = Separable(
    12, ((20, 1), (40, 2), (40, 1), (80, 2, 5), (80, 1, 5), (80, 1, 5), (112, 2, 5), (112, 1, 5))
)
LARGE = Separable(24, ((40, 1), (64, 2), (64, 1), (128, 2), (128, 1), (128, 1), (192, 2), (192, 1)))
