"""The ONNX twin: the same embedding as Keras in onnxruntime, plain names, the same bytes every time."""

import numpy as np
import onnx
import pytest

from edgesea.errors import EdgeseaError
from edgesea.exporting.compare import agreement
from edgesea.exporting.onnx import OPSET, convert_onnx, run


@pytest.fixture(scope="module")
def model(student) -> bytes:
    return convert_onnx(student)


def test_is_keras_in_onnxruntime(student, model, patches):
    ours = student.predict(patches, verbose=0)
    assert agreement(ours, run(model, patches), "ONNX") < 1e-4 * np.abs(ours).max()


def test_is_valid_and_says_what_goes_in_and_out(model):
    graph = onnx.load_from_string(model).graph
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    forms = [
        (value.name, [size.dim_value for size in value.type.tensor_type.shape.dim])
        for value in (*graph.input, *graph.output)
    ]
    assert forms == [("patch", [1, 24, 16, 1]), ("embedding", [1, 8])]
    assert {entry.domain: entry.version for entry in onnx.load_from_string(model).opset_import}[""] == OPSET


def test_has_no_transpositions_of_patches(model):
    # One is needed: behind the last feature map, where Keras flattens channels last.
    kinds = [node.op_type for node in onnx.load_from_string(model).graph.node]
    assert kinds.count("Transpose") <= 1
    assert kinds.count("Conv") == 3


def test_the_same_student_gives_the_same_bytes(student, model, tmp_path):
    import keras

    student.save(tmp_path / "student.keras")
    assert convert_onnx(keras.saving.load_model(tmp_path / "student.keras")) == model


def test_several_results_of_one_node_keep_their_own_names(patches):
    import keras

    patch = keras.Input((24, 16, 1))
    left, right = keras.ops.split(keras.layers.Flatten()(patch), 2, axis=1)
    model = keras.Model(patch, left - 2 * right)
    np.testing.assert_allclose(
        run(convert_onnx(model), patches[:3]), model.predict(patches[:3], verbose=0), rtol=1e-6
    )


def test_an_operator_that_onnx_lacks_is_refused(capfd):
    import keras
    import tensorflow as tf

    odd = keras.Sequential(
        [keras.Input((24, 16, 1)), keras.layers.Flatten(), keras.layers.Lambda(tf.math.erfinv)]
    )
    with pytest.raises(
        EdgeseaError,
        match=r"^The converter tf2onnx refused the student \(.*Erfinv.*\): export without ONNX\.$",
    ):
        convert_onnx(odd)
    assert capfd.readouterr().err == ""


def test_a_twin_that_differs_is_refused():
    truth = np.array([[1.0, -2.0]], np.float32)
    with pytest.raises(
        EdgeseaError, match=r"The ONNX model differs from Keras by 0.001 where 0.0002 is allowed"
    ):
        agreement(truth, truth + np.float32(0.001), "ONNX")
    with pytest.raises(EdgeseaError, match="differs from Keras by nan"):
        agreement(truth, truth * np.nan, "ONNX")
