"""Any objective, whose student hears through int8 in its last epochs: training that knows of quantisation.

Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018, section 3: in the forward pass weights and activations are rounded to what int8 can hold, in the
backward pass the rounding is not there, and what lies outside of a range gets no gradient.

What is rounded is what the exporter rounds: kernels with one scale an output channel, symmetric; the patch,
and the output of everything that TensorFlow Lite makes one operator of, in a range from the least to the
greatest value on the same patches of the domain as the export takes. Ranges are taken anew before every
epoch. A batch normalisation behind a convolution becomes part of its kernel, channel by channel, and rounding
with one scale a channel does not see that, so kernels are rounded as they are. A normalisation with no
convolution before it is two operators of int8, and rounded once here.

Only what the layers' instances call is another, and not for good: a saved student is a plain Keras model.
"""

import types
from collections.abc import Callable

import numpy as np

from edgesea.errors import UsageError
from edgesea.objectives.base import PREDICT, Objective

# What TensorFlow Lite makes one operator of: a layer, and what is taken into it where that alone follows.
_FUSED = {
    "Conv2D": {"BatchNormalization"},
    "DepthwiseConv2D": {"BatchNormalization"},
    "Dense": {"ReLU"},
    "BatchNormalization": {"ReLU"},
    "Add": {"ReLU"},
    "ReLU": set(),
    "AveragePooling2D": set(),
    "GlobalAveragePooling2D": set(),
}
# What gives on values that are rounded already.
_PASSING = {"InputLayer", "MaxPooling2D", "Reshape", "Flatten"}


def check(student) -> None:
    """Raises `UsageError` where a `keras.Model` has a layer whose rounding is not known."""
    for layer in student.layers:
        kind = type(layer).__name__
        if kind not in _FUSED.keys() | _PASSING:
            raise UsageError(
                f"The student has the layer {layer.name} ({kind}), and --qat-epochs does not know how int8 "
                "rounds it: leave --qat-epochs out, or choose a student of convolutions."
            )


class Quantised(Objective):
    """Wraps an objective; what is trained, and how, is the objective's.

    Parameters
    ----------
    inner : Objective
        Before its `begin`.
    epochs : int > 0
        The last ones, in which the student is rounded.
    patches : callable
        Gives those that ranges are taken on, (N, frames, mels, 1) float32.
    """

    def __init__(self, inner: Objective, epochs: int, patches: Callable[[], np.ndarray]):
        super().__init__()
        self._inner, self._epochs, self._patches = inner, epochs, patches
        self.name, self.needs, self.criterion = inner.name, inner.needs, inner.criterion
        self._rounding: _Rounding | None = None

    def begin(self, setting):
        check(setting.student)
        self._inner.begin(setting)
        self.student, self.optimizer = self._inner.student, self._inner.optimizer
        self._first = max(0, setting.epochs - self._epochs)

    @property
    def first(self):
        return self._first

    def turn(self, epoch):
        """Takes the ranges of an epoch, and rounds from the first of the last ones on."""
        if epoch < self.first:
            return False
        new = self._rounding is None
        self._rounding = self._rounding or _Rounding(self.student)
        self._rounding.calibrate(self._patches())
        return new

    def step(self, batch):
        return self._inner.step(batch)

    @property
    def kept(self):
        return self._inner.kept

    @property
    def variables(self):
        return self._inner.variables

    def check_validation(self, validation):
        self._inner.check_validation(validation)

    def score(self, validation):
        return self._inner.score(validation)

    def deploy(self):
        return self._inner.deploy()

    def finish(self):
        """Undoes the rounding: what is deployed is rounded by its exporter."""
        if self._rounding is not None:
            self._rounding.undo()
            self._rounding = None

    def classifier(self):
        return self._inner.classifier()


class _Rounding:
    """The rounding of one student, from when it is made to `undo`."""

    def __init__(self, student):
        import keras

        self._student = student
        self._rounded = [layer for layer in student.layers if _rounds(layer)]
        self._changed = [layer for layer in student.layers if _rounds(layer) or _weighs(layer)]
        self._before = [layer.__dict__.get("call") for layer in self._changed]
        places = [student.input, *(layer.output for layer in self._rounded)]
        # It looks while nothing is rounded: ranges are the float student's, as the exporter takes them.
        self._look = keras.Model(student.input, places)
        self._ranges = [(_number(), _number()) for _ in places]

    def calibrate(self, patches: np.ndarray) -> None:
        """Takes ranges on patches (N, frames, mels, 1) float32, 0 always within them, and rounds by them."""
        self.undo()
        seen = []
        for k in range(0, len(patches), PREDICT):
            places = self._look.predict_on_batch(patches[k : k + PREDICT])
            seen.append([(float(each.min()), float(each.max())) for each in places])
        for (low, high), found in zip(self._ranges, zip(*seen, strict=True), strict=True):
            low.assign(min(0.0, *(least for least, _ in found)))
            high.assign(max(0.0, 1e-6, *(most for _, most in found)))
        self._change()

    def undo(self) -> None:
        """Lets every layer call what it called before."""
        for layer, before in zip(self._changed, self._before, strict=True):
            layer.__dict__.pop("call", None)
            if before is not None:
                layer.call = before
        self._forget()

    def _change(self) -> None:
        patch, *others = self._ranges
        after = dict(zip(map(id, self._rounded), others, strict=True))
        for layer in self._rounded:
            if type(layer).__name__ == "AveragePooling2D":
                # int8 knows it with one scale only, that of what it gets.
                before = layer.input._keras_history.operation
                after[id(layer)] = after.get(id(before), after[id(layer)])
        first = {id(each) for each in _readers(self._student.input._keras_history.operation)}
        for layer in self._changed:
            before = patch if id(layer) in first else None
            layer.call = types.MethodType(_call(layer, before, after.get(id(layer))), layer)
        self._forget()

    def _forget(self) -> None:
        """What Keras compiled is of the calls before."""
        self._student.predict_function = self._look.predict_function = None


def _rounds(layer) -> bool:
    """Whether what a layer gives is rounded: it is the last of what becomes one operator."""
    kind = type(layer).__name__
    if kind not in _FUSED:
        return False
    readers = {type(each).__name__ for each in _readers(layer)}
    return not readers or not readers <= _FUSED[kind]


def _weighs(layer) -> bool:
    return type(layer).__name__ in ("Conv2D", "DepthwiseConv2D", "Dense")


def _readers(layer) -> list:
    """The layers that read what a layer gives."""
    return [node.operation for node in layer._outbound_nodes]


def _number():
    import tensorflow as tf

    return tf.Variable(0.0, trainable=False, dtype=tf.float32)


def _call(layer, before: tuple | None, after: tuple | None) -> Callable:
    """What a layer calls when it is rounded; before, after : ranges of what it gets and gives, or None."""
    inner = _weighed if _weighs(layer) else getattr(layer.call, "__func__", layer.call)

    def call(self, inputs, *arguments, **options):
        import tensorflow as tf

        if before is not None:
            inputs = tf.quantization.fake_quant_with_min_max_vars(inputs, *before)
        outputs = inner(self, inputs, *arguments, **options)
        return outputs if after is None else tf.quantization.fake_quant_with_min_max_vars(outputs, *after)

    return call


def _weighed(self, inputs, training=None):
    """What a convolution or a dense layer gives with a rounded kernel."""
    from keras import ops

    kernel = _kernel(self.kernel, depthwise=type(self).__name__ == "DepthwiseConv2D")
    if type(self).__name__ == "Dense":
        outputs = ops.matmul(inputs, kernel)
    else:
        convolved = ops.depthwise_conv if type(self).__name__ == "DepthwiseConv2D" else ops.conv
        strides, dilation = tuple(self.strides), self.dilation_rate
        outputs = convolved(inputs, kernel, strides, self.padding, self.data_format, dilation)
    outputs = outputs + self.bias if self.use_bias else outputs
    return outputs if self.activation is None else self.activation(outputs)


def _kernel(kernel, depthwise: bool):
    """A kernel rounded to 255 steps about 0, with one scale an output channel.

    kernel : its last axis is the output channels; depthwise, (height, width, channels, multiplier)
    """
    import tensorflow as tf

    kernel = tf.convert_to_tensor(kernel)
    flat = tf.reshape(kernel, (-1, kernel.shape[-1] * (kernel.shape[-2] if depthwise else 1)))
    most = tf.stop_gradient(tf.maximum(tf.reduce_max(tf.abs(flat), axis=0), 1e-9))
    held = tf.quantization.fake_quant_with_min_max_vars_per_channel(flat, -most, most, narrow_range=True)
    return tf.reshape(held, kernel.shape)
