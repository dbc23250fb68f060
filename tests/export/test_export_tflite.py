"""The converted models: int8 from end to end, no operator that a device lacks, the same bytes every time."""

import numpy as np
import pytest

from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting.tflite import convert_float, convert_int8, layer_name
from edgesea.interpreter import open_interpreter
from firmware_export import ops
from firmware_export.graph import read


def opcodes(content: bytes) -> list[str]:
    return [operator.opcode for operator in read(content).operators]


def test_batch_norms_fold_and_nothing_dynamic_is_left(int8_model, float_model):
    expected = ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "AVERAGE_POOL_2D", "RESHAPE", "FULLY_CONNECTED"]
    assert opcodes(int8_model) == expected
    assert opcodes(float_model) == expected
    assert "SHAPE" not in ops.compiled()


def test_int8_from_end_to_end_with_a_batch_of_one(int8_model):
    opened = open_interpreter(int8_model)
    for tensor, shape in ((opened.input, (1, 24, 16, 1)), (opened.output, (1, 8))):
        assert tensor.shape == shape
        assert tensor.dtype == np.int8
        assert tensor.quantised
    graph = read(int8_model)
    for operator in graph.operators:
        for index in operator.outputs:
            assert graph.tensors[index].dtype == "int8"


def test_weights_are_quantised_per_channel(int8_model):
    graph = read(int8_model)
    channels = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
    convolutions = [operator for operator in graph.operators if operator.opcode in channels]
    assert len(convolutions) == 4
    for operator in convolutions:
        weights = graph.input(operator, 1)
        assert weights.dtype == "int8"
        assert weights.quantization.per_channel
        assert weights.quantization.scales.size == weights.shape[channels[operator.opcode]]
        assert not weights.quantization.zero_points.any()


def test_the_range_of_the_input_is_that_of_the_calibration(student, patches):
    # TFLite's own rule: the range from smallest to largest, 0 within, over 255 steps.
    narrow = np.clip(patches[:100], -60, -20)
    tensor = open_interpreter(convert_int8(student, narrow)).input
    assert tensor.scale == pytest.approx(60 / 255, rel=1e-6)
    assert tensor.zero_point == 127


def test_float_is_keras(student, float_model, patches):
    np.testing.assert_allclose(
        open_interpreter(float_model).run(patches), student.predict(patches, verbose=0), atol=1e-5
    )


def test_int8_is_near_float(float_model, int8_model, patches):
    ours = open_interpreter(int8_model, resolver="reference").run(patches[100:])
    theirs = open_interpreter(float_model).run(patches[100:])
    assert np.square(ours - theirs).sum() < 0.05 * np.square(theirs - theirs.mean(axis=0)).sum()


def test_quantise_is_what_the_quantize_operator_does():
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((1, 512), tf.float32)])
    def network(values):
        return tf.nn.relu(values)

    values = np.random.default_rng(0).uniform(-3, 5, (20, 512)).astype(np.float32)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([row[None]] for row in values)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    from edgesea.exporting.concrete import quiet_converter

    with quiet_converter():
        content = converter.convert()
    graph = read(content)
    assert graph.operators[0].opcode == "QUANTIZE"
    opened = open_interpreter(content, resolver="reference", preserve_all=True)
    (quantised,) = (t for t in opened.tensors() if t.index == graph.operators[0].outputs[0])
    # Halves of a step, where rounding rules differ, and far outside, where they saturate.
    halves = (np.arange(-140, 372, dtype=np.float32) - 0.5) * np.float32(quantised.scale)
    for row in (*values, halves):
        opened.run(row[None])
        np.testing.assert_array_equal(opened.value(quantised)[0], quantised.quantise(row))


def test_the_same_student_gives_the_same_bytes(student, patches, float_model, int8_model, tmp_path):
    import keras

    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])  # moves Keras's counters on
    student.save(tmp_path / "student.keras")
    again = keras.saving.load_model(tmp_path / "student.keras")
    assert convert_float(again) == float_model
    assert convert_int8(again, patches[:100]) == int8_model


def test_the_converter_is_quiet(student, patches, capfd):
    convert_int8(student, patches[:16])
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "")


def model_with(function):
    import keras

    return keras.Sequential(
        [keras.Input((24, 16, 1)), keras.layers.Flatten(), keras.layers.Lambda(function, name="odd")]
    )


def test_an_operator_that_tflite_lacks_is_named(patches):
    import tensorflow as tf

    odd = model_with(tf.math.erfinv)
    for convert in (convert_float, lambda model: convert_int8(model, patches[:16])):
        with pytest.raises(
            EdgeseaError, match=r"^The student uses Erfinv, which TFLite has no operator for: "
        ):
            convert(odd)


def test_an_operator_that_the_devices_lack_is_named():
    import tensorflow as tf

    with pytest.raises(EdgeseaError) as caught:
        convert_float(model_with(tf.math.ceil))
    message = str(caught.value)
    assert message.startswith(
        "The model has the operator CEIL (number 0), which no device here runs: build the"
    )
    assert "DEPTHWISE_CONV_2D" in message


def test_a_student_of_unknown_size_is_refused():
    import keras

    patch = keras.Input((None, 16, 1))
    free = keras.Model(patch, keras.layers.GlobalAveragePooling2D()(patch))
    with pytest.raises(UsageError, match=r"takes \(None, None, 16, 1\): build it with keras.Input"):
        convert_float(free)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: p[:15],
            "The int8 model needs at least 16 calibration patches of the domain, received 15: give more",
        ),
        (
            lambda p: p[:0],
            "The calibration patches must have the shape (n, 24, 16, 1) with n >= 1, received (0,",
        ),
        (
            lambda p: p[..., 0],
            "The calibration patches must have the shape (n, 24, 16, 1) with n >= 1, received",
        ),
        (
            lambda p: np.where(np.arange(len(p))[:, None, None, None] == 5, np.nan, p),
            "The calibration patch 5 holds NaN or infinity: leave such frames out.",
        ),
    ],
)
def test_patches_that_cannot_calibrate(student, patches, change, message):
    with pytest.raises(UsageError) as caught:
        convert_int8(student, change(patches))
    assert str(caught.value).startswith(message)


def test_results_are_named_by_layer_and_constants_cost_nothing(int8_model, float_model):
    for content in (int8_model, float_model):
        graph = read(content)
        names = [graph.output(operator).name.removesuffix("_1") for operator in graph.operators]
        assert names == ["stem", "depthwise", "pointwise", "pool", "flat", "embedding"]
        assert graph.tensors[graph.inputs[0]].name == "patch"
        assert {tensor.name for tensor in graph.tensors if tensor.constant} == {""}


def test_constants_are_aligned_in_the_file(int8_model, float_model):
    for content in (int8_model, float_model):
        start = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
        places = [t.data.__array_interface__["data"][0] - start for t in read(content).tensors if t.constant]
        assert len(places) >= 8
        assert all(0 < place < len(content) and place % 16 == 0 for place in places)


@pytest.mark.parametrize(
    ("tensor", "name"),
    [
        ("net_1/relu/Relu;net_1/norm/add;net_1/norm/mul;net_1/conv/convolution2;net_1/norm/sub", "conv"),
        ("StatefulPartitionedCall_1:0", "StatefulPartitionedCall_1:0"),
        ("net/pool", "net"),
        ("net/add/Add", "add"),
    ],
)
def test_layer_name(tensor, name):
    assert layer_name(tensor) == name


@pytest.mark.parametrize("name", ["hey_jarvis", "mww_v2_vad", "mww_int8out"])
def test_a_streaming_model_is_told_what_it_is(shared, tmp_path, name):
    from edgesea.errors import UsageError
    from edgesea.exporting import export_tflite

    with pytest.raises(UsageError, match=rf"{name}\.tflite is a streaming model, int8 already: it keeps "):
        export_tflite(shared / "cases" / "models" / f"{name}.tflite", tmp_path / "b")
