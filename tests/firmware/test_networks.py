"""Whole Keras layers that become many operators: attention, recurrent layers, from Keras to C."""

from __future__ import annotations

import numpy as np
import pytest
import random_graphs
from host_program import HostProgram

from firmware_export.graph import ModelError, read
from firmware_export.passes import check, simplify


def converted(shape: tuple[int, ...], build, kind: str = "int8") -> bytes:
    """The quantised .tflite of what ``build`` makes of a keras.Input of ``shape``, a batch of 1."""
    import keras
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    keras.utils.set_random_seed(1)
    given = keras.Input(shape, batch_size=1)
    model = keras.Model(given, build(keras.layers, given))
    signature = tf.TensorSpec((1, *shape), tf.float32)
    traced = tf.function(lambda x: model(x, training=False)).get_concrete_function(signature)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(traced)])
    operators = tf.lite.OpsSet.TFLITE_BUILTINS_INT8
    if kind == "int16":
        operators = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.target_spec.supported_ops = [operators]
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(20, 1, *shape)).astype(np.float32)
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    return converter.convert()


def attention(layers, x):
    """An encoder block as transformers have it, with its normalisations."""
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 8)(x, x)]))
    wide = layers.Dense(16)(layers.Dense(32, activation="gelu")(x))
    x = layers.LayerNormalization()(layers.Add()([x, wide]))
    return layers.Dense(5)(layers.GlobalAveragePooling1D()(x))


def lstm(layers, x):
    return layers.Dense(3)(layers.LSTM(7, unroll=True)(x))


def gru(layers, x):
    return layers.Dense(3)(layers.GRU(7, unroll=True)(x))


def old_gru(layers, x):
    return layers.Dense(3)(layers.GRU(7, unroll=True, reset_after=False)(x))


def decoder(layers, x):
    """What generators of pictures are made of."""
    x = layers.Conv2D(8, 3, padding="same", groups=4, activation="relu")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.PReLU(shared_axes=[1, 2])(x))
    return layers.Conv2DTranspose(3, 3, strides=2, padding="same")(x)


@pytest.mark.parametrize(
    ("build", "shape", "kind"),
    [
        (attention, (12, 16), "int8"),
        pytest.param(lstm, (6, 5), "int8", marks=pytest.mark.slow),
        pytest.param(lstm, (6, 5), "int16", marks=pytest.mark.slow),
        pytest.param(gru, (6, 5), "int8", marks=pytest.mark.slow),
        pytest.param(gru, (6, 5), "int16", marks=pytest.mark.slow),
        pytest.param(old_gru, (6, 5), "int8", marks=pytest.mark.slow),
        pytest.param(decoder, (6, 6, 8), "int8", marks=pytest.mark.slow),
    ],
)
def test_a_keras_network_is_compiled_and_exact(build, shape, kind, tmp_path):
    model = converted(shape, build, kind)
    program = HostProgram({"network": model}, tmp_path / "c")
    requests = [("network", random_graphs.random_inputs(model, seed)) for seed in range(5)]
    for (_, inputs), (answer,) in zip(requests, program.run(requests), strict=True):
        (expected,) = random_graphs.reference(model, inputs)
        np.testing.assert_array_equal(answer, expected)
    # That anything comes of the input at all.
    assert len({answer[0].tobytes() for answer in program.run(requests)}) > 1


def test_people_s_streaming_models_are_refused_for_all_their_reasons_at_once(shared):
    folder = shared / "cases" / "models"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    models = sorted(folder.glob("*.tflite"))
    assert models
    for path in models:
        with pytest.raises(ModelError) as refusal:
            check(simplify(read(path)))
        message = str(refusal.value)
        for name in ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"):
            assert f"no {name} (" in message, path.name
        assert "make the state an input and an output of the model" in message


def test_a_refusal_names_every_operator_that_is_missing_and_how_often():
    net = random_graphs.Net(np.random.default_rng(0))
    x = net.input((1, 4))
    a, b, c = (net.like(x, (1, 4)) for _ in range(3))
    net.add("FLOOR_MOD", [x, x], [a])
    net.add("ROUND", [a], [b])
    net.add("ROUND", [b], [c])
    with pytest.raises(ModelError) as refusal:
        check(simplify(read(net.bytes([c]))))
    assert str(refusal.value) == (
        "The model cannot be compiled: the C model has no FLOOR_MOD (operator 0), no ROUND (2 of them, "
        "the first operator 1; round outside the model)."
    )
