"""The depthwise-separable students: their shape, and the budgets that the default one has to keep."""

import numpy as np
import pytest

from edgesea import students
from edgesea.errors import UsageError
from edgesea.exporting.tflite import convert_int8
from edgesea.frontend import preset
from edgesea.measures import memory
from firmware_export.graph import read

KILOBYTES = 1 << 10
NAMES = ["separable-s", "separable-m", "separable-l"]


def multiply_accumulates(graph):
    """Of the convolutions and dense layers, from the tensors' shapes alone."""
    total = 0
    for op in graph.operators:
        if op.opcode in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            weights = graph.tensors[op.inputs[1]].shape
            places = np.prod(graph.tensors[op.outputs[0]].shape[:-1])
            each = np.prod(weights)  # (filters, kernel...): every weight once a place
            total += int(places * each)
    return total


@pytest.fixture(scope="module")
def measured():
    """Name -> (model, int8 graph), on YAMNet's 96 x 64 patches and 64 dimensions."""
    import keras

    found = {}
    for name in NAMES:
        keras.utils.set_random_seed(0)
        model = students.build(name, 96, 64, 64)
        patches = np.random.default_rng(0).normal(-4, 3, (32, 96, 64, 1)).astype(np.float32)
        found[name] = model, read(convert_int8(model, patches))
    return found


def test_the_default_student_fits_a_microcontroller(measured):
    assert students.DEFAULT == "separable-m"
    _, graph = measured["separable-m"]
    weights = sum(tensor.bytes for tensor in graph.tensors if tensor.constant and tensor.dtype == "int8")
    assert 32 * KILOBYTES < weights <= 64 * KILOBYTES
    assert 1_000_000 < multiply_accumulates(graph) <= 6_000_000
    assert memory.activation(graph)["peak_bytes"] <= 64 * KILOBYTES


def test_the_sizes_are_three_and_in_order(measured):
    named = [name for name in students.STUDENTS if name.startswith("separable-")]
    assert [name for name in named if name != "separable-w"] == NAMES
    parameters = [model.count_params() for model, _ in measured.values()]
    work = [multiply_accumulates(graph) for _, graph in measured.values()]
    assert parameters == sorted(parameters)
    assert work == sorted(work)
    assert parameters[0] * 2 < parameters[1]
    assert parameters[1] * 2 < parameters[2]


def test_work_counted_layer_by_layer_is_kerass(measured):
    """The same figure from the Keras layers: output places x kernel x channels."""
    import keras

    for model, graph in measured.values():
        total = 0
        for layer in model.layers:
            if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
                total += int(np.prod(layer.output.shape[1:3])) * int(np.prod(layer.kernel.shape))
            elif isinstance(layer, keras.layers.Dense):
                total += int(np.prod(layer.kernel.shape))
        assert multiply_accumulates(graph) == total


def test_int8_holds_nothing_but_int8_and_a_few_operators(measured):
    for _, graph in measured.values():
        kinds = {op.opcode for op in graph.operators}
        assert kinds <= {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MEAN", "FULLY_CONNECTED", "RESHAPE"}
        flowing = [t for op in graph.operators for t in (*op.inputs[:1], *op.outputs)]
        assert {graph.tensors[index].dtype for index in flowing} == {"int8"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("frontend", ["yamnet-16k", "sea-8k", "openl3-48k"])
def test_every_size_takes_every_frontends_patch(name, frontend):
    frames, mels, _ = preset(frontend).patch_shape
    model = students.build(name, frames, mels, 10)
    assert model.name == name
    assert model.input_shape == (None, frames, mels, 1)
    assert model.output_shape == (None, 10)
    assert model.predict(np.zeros((2, frames, mels, 1)), verbose=0).shape == (2, 10)


def test_an_offset_of_the_patch_is_taken_up_by_the_first_normalisation():
    """The first convolution has no padding: a constant added to a patch adds one to every feature map."""
    import keras

    model = students.build("separable-s", 96, 64, 8)
    first = next(layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D))
    assert first.padding == "valid"
    features = keras.Model(model.input, first.output)
    patches = np.random.default_rng(0).normal(size=(1, 96, 64, 1)).astype(np.float32)
    step = features(patches + 10) - features(patches)
    assert np.ptp(np.asarray(step), axis=(0, 1, 2)).max() < 1e-4


def test_the_same_seed_builds_the_same_student():
    import keras

    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        weights.append(students.build("separable-s", 96, 64, 8).get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, two)


def test_what_cannot_be_built_is_said():
    with pytest.raises(
        UsageError,
        match=r"Unknown student 'separable-xl': did you mean separable-l\? Choose one of separable-s, ",
    ):
        students.build("separable-xl", 96, 64, 8)
    with pytest.raises(
        UsageError, match=r"The student separable-m cannot take patches of 2 x 64 \(.*\): choose"
    ):
        students.build("separable-m", 2, 64, 8)
