"""Networks of the kinds that microcontrollers run, with random weights: what speed is measured on.

They stand in for image models, an autoencoder and streaming wake words that people bring, whose files
are not ours to hand on. Sizes are those of the tinyML benchmarks (MLPerf Tiny, arXiv:2106.07597); weights are
random, which the work does not depend on, except for dead channels: training leaves some in deep separable
networks, so `visual` has some.
"""

from pathlib import Path

from networks import Network


def resnet() -> bytes:
    """An image ResNet: 32 x 32 x 3, three stacks of 16, 32 and 64 filters."""
    net = Network(seed=1)
    x = net.input((1, 32, 32, 3))
    y = net.convolution(x, 16)
    for filters, step in ((16, 1), (32, 2), (64, 2)):
        inner = net.convolution(y, filters, stride=(step, step))
        inner = net.convolution(inner, filters, relu=False)
        side = y if step == 1 else net.convolution(y, filters, (1, 1), (step, step), relu=False)
        y = net.add(inner, side, relu=True)
    y = net.pool(y, "average", (8, 8), (8, 8))
    return net.finish(net.dense(net.reshape(y, (1, 64)), 10))


def visual() -> bytes:
    """A MobileNet of a quarter of the width for images of 96 x 96 x 3; some depthwise channels are dead."""
    net = Network(seed=2)
    y = net.convolution(net.input((1, 96, 96, 3)), 8, stride=(2, 2))
    blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
    for number, (filters, step) in enumerate(blocks):
        y = net.depthwise(y, stride=(step, step), dead=2 if number % 3 == 1 else 0)
        y = net.convolution(y, filters, (1, 1))
    y = net.pool(y, "average", (3, 3), (3, 3))
    return net.finish(net.dense(net.reshape(y, (1, 256)), 2))


def autoencoder() -> bytes:
    """A dense autoencoder of spectrograms: 640 values through eight."""
    net = Network(seed=3)
    y = net.input((1, 640))
    for units in (128, 128, 128, 128, 8, 128, 128, 128, 128):
        y = net.dense(y, units, relu=True)
    return net.finish(net.dense(y, 640))


def wake_word() -> bytes:
    """A network over time on a map of width 1: depthwise over ever more frames, then pointwise."""
    net = Network(seed=4)
    y = net.convolution(net.input((1, 98, 1, 40)), 32, (5, 1), (3, 1), same=False)
    for taps in (5, 7, 9, 13):
        y = net.convolution(net.depthwise(y, (taps, 1), same=False, relu=False), 48, (1, 1))
    y = net.pool(y, "average", (2, 1), (2, 1))
    return net.finish(net.dense(net.reshape(y, (1, 48)), 2))


STAND_INS = {"resnet": resnet, "visual": visual, "autoencoder": autoencoder, "wake_word": wake_word}

# Two that are published.
PUBLISHED = ("kws_ref_model", "sea_student3_int8")


def six(published: Path, folder: Path) -> list[Path]:
    """The six models that speed is judged on: two in `published`, the stand-ins, written into `folder`."""
    for name, make in STAND_INS.items():
        (folder / f"{name}.tflite").write_bytes(make())
    return [
        *(published / f"{name}.tflite" for name in PUBLISHED),
        *(folder / f"{name}.tflite" for name in STAND_INS),
    ]
