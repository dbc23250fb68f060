"""YAMNet's other forms, made from the weights of its .tflite: the SavedModel as published, and an ONNX.

The architecture is MobileNet v1 as yamnet.py (TensorFlow model garden) has it, the batch norms folded into
the convolutions, as they are in the .tflite. All numbers are the .tflite's; its integers become the real
numbers that they stand for, so its own arithmetic, rounding activations to 8 bits, is the one that differs.
"""

import warnings
from pathlib import Path

import numpy as np

from edgesea.frontend import preset

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
FRONTEND = preset("yamnet-16k")


def weights(path: Path) -> dict[str, np.ndarray]:
    """name -> real numbers of every constant of the .tflite."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    reader = Interpreter(str(path), experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    reader.allocate_tensors()
    found = {}
    for detail in reader.get_tensor_details():
        if detail["index"] > 74:  # what an inference computes
            continue
        value = reader.get_tensor(detail["index"])
        scale, zero = (detail["quantization_parameters"][key] for key in ("scales", "zero_points"))
        found[detail["name"]] = (value.astype(np.float32) - zero[0]) * scale[0] if len(scale) else value
    return found


def network(path: Path):
    """patch (B, 96, 64, 1) -> [scores (B, 521), embedding (B, 1024)], as a keras.Model."""
    import keras
    from keras import layers

    held = weights(path)
    prefix = "yamnet_frames/layer"

    def weight(number: int, kind: str, *ending: str) -> np.ndarray:
        start = f"{prefix}{number}/{kind}"
        (name,) = [
            each
            for each in held
            if each.startswith(start) and each != f"{start}/bn/FusedBatchNormV3" and each.count("/") >= 3
        ]
        return held[name]

    x = patch = keras.Input((96, 64, 1))
    first = layers.Conv2D(32, 3, strides=2, padding="same", activation="relu")
    x = first(x)
    first.set_weights(
        [held[f"{prefix}1/conv/Conv2D"].transpose(1, 2, 3, 0), held[f"{prefix}1/conv/bn/FusedBatchNormV3"]]
    )
    for number, stride in enumerate(STRIDES, start=2):
        depthwise = layers.DepthwiseConv2D(3, strides=stride, padding="same", activation="relu")
        x = depthwise(x)
        kernel = weight(number, "depthwise_conv")
        depthwise.set_weights(
            [kernel.transpose(1, 2, 3, 0), held[f"{prefix}{number}/depthwise_conv/bn/FusedBatchNormV3"]]
        )
        kernel = held[f"{prefix}{number}/pointwise_conv/Conv2D"]
        pointwise = layers.Conv2D(len(kernel), 1, activation="relu")
        x = pointwise(x)
        pointwise.set_weights(
            [kernel.transpose(1, 2, 3, 0), held[f"{prefix}{number}/pointwise_conv/bn/FusedBatchNormV3"]]
        )
    embedding = layers.GlobalAveragePooling2D(name="embedding")(x)
    dense = layers.Dense(521, activation="sigmoid", name="scores")
    scores = dense(embedding)
    dense.set_weights(
        [held["yamnet_frames/dense/MatMul"].T, held["yamnet_frames/dense/BiasAdd/ReadVariableOp/resource"]]
    )
    return keras.Model(patch, [scores, embedding], name="yamnet")


def saved_model(path: Path, folder: Path) -> None:
    """As export.py publishes it: one signature, a waveform of any length -> output_0, output_1, output_2."""
    import tensorflow as tf

    model = network(path)

    class Yamnet(tf.Module):
        def __init__(self):
            super().__init__(name="yamnet")
            self.network = model

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="waveform")])
        def __call__(self, waveform):
            frames = tf.signal.frame(waveform, FRONTEND.samples, 7680)
            patches = FRONTEND.tensorflow_patch(frames)
            scores, embeddings = self.network(patches, training=False)
            return {"output_0": scores, "output_1": embeddings, "output_2": patches[0, :, :, 0]}

    module = Yamnet()
    tf.saved_model.save(module, str(folder), signatures=module.__call__.get_concrete_function())


def onnx(path: Path, target: Path) -> None:
    """patch (1, 96, 64, 1) -> embedding, in a graph of the name yamnet."""
    import keras
    import tensorflow as tf
    import tf2onnx

    model = network(path)
    one = keras.Model(model.input, model.get_layer("embedding").output)

    @tf.function(input_signature=[tf.TensorSpec((1, 96, 64, 1), tf.float32, name="yamnet_patch")])
    def asked(patch):
        return one(patch, training=False)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made, _ = tf2onnx.convert.from_function(asked, asked.input_signature, opset=15)
    target.write_bytes(made.SerializeToString())
