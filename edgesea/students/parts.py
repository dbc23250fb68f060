"""The layers that the small convolutional students are made of, named as Keras would in a new process."""

from collections import Counter

from edgesea.errors import UsageError, received

# A short memory: the first epochs' statistics must not outlive them where epochs are few.
MOMENTUM = 0.97


class Parts:
    """Makes the layers of one network; Keras' own count of names would go on from student to student."""

    def __init__(self):
        self._made: Counter[str] = Counter()

    def named(self, kind: str) -> str:
        self._made[kind] += 1
        return f"{kind}_{self._made[kind] - 1}" if self._made[kind] > 1 else kind

    def normed(self, x):
        """Batch normalisation alone."""
        from keras import layers

        return layers.BatchNormalization(momentum=MOMENTUM, name=self.named("batch_normalization"))(x)

    def normalised(self, x):
        """Batch normalisation and ReLU."""
        from keras import layers

        return layers.ReLU(name=self.named("re_lu"))(self.normed(x))

    def convolved(self, x, filters: int, *window):
        """A convolution without bias; window: kernel, strides, padding."""
        from keras import layers

        return layers.Conv2D(filters, *window, use_bias=False, name=self.named("conv2d"))(x)

    def depthwise(self, x, kernel, stride=1, padding: str = "same"):
        """A depthwise convolution without bias."""
        from keras import layers

        named = self.named("depthwise_conv2d")
        return layers.DepthwiseConv2D(kernel, stride, padding, use_bias=False, name=named)(x)

    def added(self, x, y):
        from keras import layers

        return layers.Add(name=self.named("add"))([x, y])

    def stem(self, patch, filters: int, shrink: tuple[int, int]):
        """The first convolution, without padding: the normalisation behind it takes up the patch's offset.

        shrink : its strides over frames and mels. Its kernel is 3 wide, and one more than the stride where
            that is larger, so that no value of the patch is passed over.
        """
        kernel = tuple(max(3, each + 1) for each in shrink)
        if any(have < need for have, need in zip(patch.shape[1:3], kernel, strict=True)):
            raise ValueError(f"the first convolution is {kernel[0]} x {kernel[1]}")
        strides = shrink[0] if shrink[0] == shrink[1] else shrink
        size = kernel[0] if kernel[0] == kernel[1] else kernel
        return self.normalised(self.convolved(patch, filters, size, strides, "valid"))

    def ended(self, patch, x, dimension: int, name: str):
        """The mean over time and frequency, one linear layer, and the `keras.Model` of it all."""
        import keras
        from keras import layers

        x = layers.GlobalAveragePooling2D(name="global_average_pooling2d")(x)
        return keras.Model(patch, layers.Dense(dimension, name="embedding")(x), name=name)


def check_positive(kind: str, **counts: int) -> None:
    """Refuses what is no whole number above 0."""
    for name, value in counts.items():
        if not _positive(value):
            raise UsageError(f"Received {name} = {received(value)} for {kind}: give a whole number above 0.")


def check_pair(kind: str, name: str, value: object) -> None:
    """Refuses what is not two whole numbers above 0."""
    if not (isinstance(value, tuple) and len(value) == 2 and all(map(_positive, value))):
        raise UsageError(f"Received {name} = {received(value)} for {kind}: give two whole numbers above 0.")


def check_blocks(kind: str, blocks: object, *, kernels: bool = False) -> None:
    """Refuses what is not pairs of filters and stride; kernels : with the side of a kernel as a third value
    where somebody gives it.
    """
    lengths = (2, 3) if kernels else (2,)
    if not (
        isinstance(blocks, tuple)
        and all(
            isinstance(block, tuple) and len(block) in lengths and all(map(_positive, block))
            for block in blocks
        )
    ):
        wanted = (
            "its filters, its stride and, if not 3, the side of its kernel"
            if kernels
            else "its filters and its stride"
        )
        example = "[[24, 1], [48, 2, 5]]" if kernels else "[[24, 1], [48, 2]]"
        raise UsageError(
            f"Received blocks = {received(blocks)} for {kind}: give for each block {wanted}, {example}."
        )


def _positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
