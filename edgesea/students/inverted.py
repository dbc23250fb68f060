"""Students of inverted residual blocks: patch -> embedding, for microcontrollers.

A convolution as in `separable`, then blocks that widen, filter and narrow (Sandler et al., "MobileNetV2:
Inverted Residuals and Linear Bottlenecks", CVPR 2018, figure 3b):

    y = W2 relu(norm(dw3x3(relu(norm(W1 x)))));    x <- x + norm(y) where the shapes allow, else norm(y)

then the mean over time and frequency and one linear layer. What lies between the blocks is narrow and linear.
ReLU instead of their ReLU6: batch normalisation bounds it well enough for int8.
"""

from dataclasses import dataclass

from edgesea.students.base import Student
from edgesea.students.parts import Parts, check_blocks, check_pair, check_positive


@dataclass(frozen=True)
class Inverted(Student):
    """A student of the family.

    Attributes
    ----------
    stem : int > 0
        Filters of the first convolution.
    blocks : tuple of (int, int)
        Filters and stride of the blocks, in order.
    expansion : int > 0
        By how much a block widens what it gets.
    shrink : (int, int) > 0
        Strides of the first convolution over frames and mels.
    """

    stem: int = 16
    blocks: tuple = ((24, 2), (24, 1), (40, 2), (40, 1), (64, 2))
    expansion: int = 3
    shrink: tuple = (2, 2)

    def __post_init__(self):
        check_positive("an inverted student", stem=self.stem, expansion=self.expansion)
        check_blocks("an inverted student", self.blocks)
        check_pair("an inverted student", "shrink", self.shrink)

    def build(self, frames, mels, dimension, name="inverted"):
        import keras

        parts = Parts()
        patch = keras.Input((frames, mels, 1), name="patch")
        x = parts.stem(patch, self.stem, self.shrink)
        for filters, stride in self.blocks:
            y = parts.normalised(parts.convolved(x, self.expansion * x.shape[-1], 1))
            y = parts.normalised(parts.depthwise(y, 3, stride))
            y = parts.normed(parts.convolved(y, filters, 1))
            x = parts.added(x, y) if stride == 1 and x.shape[-1] == filters else y
        return parts.ended(patch, x, dimension, name)
