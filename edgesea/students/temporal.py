"""Students that convolve over time alone, mels being channels: patch -> embedding, for microcontrollers.

Choi et al., "Temporal Convolution for Real-time Keyword Spotting on Mobile Devices", Interspeech 2019
(TC-ResNet): a patch (frames, mels, 1) is a row of frames with a channel a mel, so that the first layer sees
all frequencies at once and maps are small. Then blocks of a depthwise and a 1x1 convolution as in `separable`
(MatchboxNet, Majumdar and Ginsburg, Interspeech 2020), the mean over time and one linear layer.
"""

from dataclasses import dataclass

from edgesea.students.base import Student
from edgesea.students.parts import Parts, check_blocks, check_positive


@dataclass(frozen=True)
class Temporal(Student):
    """A student of the family.

    Attributes
    ----------
    stem : int > 0
        Filters of the first convolution.
    blocks : tuple of (int, int)
        Filters and stride of the blocks, in order.
    kernel : int > 0
        Frames that a block's depthwise convolution sees.
    shrink : int > 0
        Stride of the first convolution over frames.
    """

    stem: int = 64
    blocks: tuple = ((96, 2), (96, 1), (128, 2), (128, 1))
    kernel: int = 9
    shrink: int = 1

    def __post_init__(self):
        check_positive("a temporal student", stem=self.stem, kernel=self.kernel, shrink=self.shrink)
        check_blocks("a temporal student", self.blocks)

    def build(self, frames, mels, dimension, name="temporal"):
        import keras
        from keras import layers

        width = max(3, self.shrink + 1)
        if frames < width:
            raise ValueError(f"the first convolution sees {width} frames")
        parts = Parts()
        patch = keras.Input((frames, mels, 1), name="patch")
        # One row of frames: kernels of devices handle several pixels of a row at a time.
        x = layers.Reshape((1, frames, mels), name="mels_as_channels")(patch)
        x = parts.normalised(parts.convolved(x, self.stem, (1, width), (1, self.shrink), "valid"))
        for filters, stride in self.blocks:
            # Keras wants one stride for both axes; of one row there is nothing to leave out.
            y = parts.normalised(parts.depthwise(x, (1, self.kernel), stride))
            y = parts.normalised(parts.convolved(y, filters, 1))
            x = parts.added(x, y) if stride == 1 and x.shape[-1] == filters else y
        return parts.ended(patch, x, dimension, name)
