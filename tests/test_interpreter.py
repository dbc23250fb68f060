"""One place picks the runtime, real numbers go in and out, and every failure is one sentence."""

import logging
import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesea import loaded_model
from edgesea.errors import EdgeseaError, UsageError
from edgesea.interpreter import RUNTIMES, Tensor, find_tensor, open_interpreter, quiet_stderr, runtime

INT8 = Tensor(0, "patch", (1, 3), np.dtype(np.int8), 0.5, 10)


@pytest.fixture(scope="module")
def model() -> bytes:
    """A float .tflite: 6 numbers -> dense 5 with tanh -> dense 4."""
    import tensorflow as tf

    first = tf.random.stateless_normal((6, 5), (1, 2))
    second = tf.random.stateless_normal((5, 4), (3, 4))

    @tf.function(input_signature=[tf.TensorSpec((1, 6), tf.float32, name="patch")])
    def network(patch):
        return tf.matmul(tf.tanh(tf.matmul(patch, first), name="middle"), second)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], network)
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return converter.convert()


@pytest.fixture
def fresh_choice():
    """The choice of a runtime is remembered; these tests make it anew, and so must what comes after them."""
    loaded_model._runtime.cache_clear()
    yield
    loaded_model._runtime.cache_clear()


BATCH = np.random.default_rng(5).normal(size=(9, 6)).astype(np.float32)


def test_takes_the_maintained_runtime_first():
    assert [distribution for _, distribution in RUNTIMES] == [
        "ai-edge-litert",
        "tflite-runtime",
        "tensorflow",
    ]
    name, version = runtime()
    assert name == "ai-edge-litert"
    assert version[0].isdigit()


def test_falls_back_to_the_next_runtime(model, monkeypatch, fresh_choice):
    expected = open_interpreter(model).run(BATCH)
    loaded_model._runtime.cache_clear()
    monkeypatch.setattr(loaded_model, "RUNTIMES", (("no_such_runtime.interpreter", "no-such"), RUNTIMES[2]))
    opened = loaded_model.load(model)
    assert runtime()[0] == "tensorflow"
    np.testing.assert_allclose(opened.run(BATCH, [opened.output.index])[0], expected, rtol=1e-5)


def test_no_runtime_names_the_command(model, monkeypatch, fresh_choice):
    monkeypatch.setattr(loaded_model, "RUNTIMES", (("no_such_runtime.interpreter", "no-such"),))
    with pytest.raises(
        EdgeseaError, match=r"^No TFLite runtime is installed: run `pip install ai-edge-litert`\.$"
    ):
        loaded_model.load(model)


@pytest.mark.parametrize("resolver", ["default", "reference"])
def test_runs_a_batch_as_numpy_does(model, resolver):
    import tensorflow as tf

    first = tf.random.stateless_normal((6, 5), (1, 2)).numpy()
    second = tf.random.stateless_normal((5, 4), (3, 4)).numpy()
    opened = open_interpreter(model, resolver=resolver)
    assert opened.input.shape == (1, 6)
    assert opened.output.shape == (1, 4)
    np.testing.assert_allclose(opened.run(BATCH), np.tanh(BATCH @ first) @ second, rtol=1e-4, atol=1e-6)


def test_takes_a_path_as_well_as_bytes(model, tmp_path):
    path = tmp_path / "a model.tflite"
    path.write_bytes(model)
    np.testing.assert_array_equal(open_interpreter(path).run(BATCH), open_interpreter(str(path)).run(BATCH))


def test_exposes_inner_tensors_in_the_order_asked_for(model):
    kept = open_interpreter(model, preserve_all=True)
    middle = kept.find("middle")
    expected = kept.run(BATCH, [kept.output, middle])
    opened = open_interpreter(model, expose=[kept.output.name, "middle"])
    assert [tensor.shape for tensor in opened.outputs] == [(1, 4), (1, 5)]
    for ours, theirs in zip(opened.run(BATCH, opened.outputs), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    alone = open_interpreter(model, expose=["middle"], resolver="reference")
    np.testing.assert_allclose(alone.run(BATCH), expected[1], rtol=1e-5, atol=1e-6)


def test_exposes_the_embedding_of_yamnet(shared):
    name = "global_average_pooling2d/Mean"
    path = shared / "models" / "yamnet.tflite"
    waveform = np.random.default_rng(0).normal(0, 0.1, (2, 15600)).astype(np.float32)
    kept = open_interpreter(path, resolver="reference", preserve_all=True)
    (expected,) = kept.run(waveform, [kept.find(name)])
    exposed = open_interpreter(path, resolver="reference", expose=[name])
    np.testing.assert_array_equal(exposed.run(waveform), expected)
    assert expected.shape == (2, 1024)


def test_an_inner_tensor_that_was_not_kept_says_how_to_keep_it(model):
    opened = open_interpreter(model)
    opened.run(BATCH)
    with pytest.raises(UsageError, match=r"'middle' was not kept: open the model with preserve_all=True\."):
        opened.value(opened.find("middle"))


def test_an_input_of_another_size_is_refused(model):
    with pytest.raises(UsageError, match=r"takes 1x6 values an example, received \(7,\): make the patches"):
        open_interpreter(model).run(np.zeros((2, 7)))


def test_find_names_what_there_is():
    tensors = [
        Tensor(number, name, (1,), np.dtype(np.float32)) for number, name in enumerate(["a/x", "b/x", "x"])
    ]
    assert find_tensor(tensors, "x").index == 2, "an exact name goes before an ending"
    assert find_tensor(tensors, "b/x").index == 1
    with pytest.raises(
        UsageError, match=r"2 tensors have names that end in '/x' \(a/x, b/x\): give more of it"
    ):
        find_tensor(tensors, "/x")
    with pytest.raises(UsageError, match="No tensor of the model has a name that ends in 'y'"):
        find_tensor(tensors, "y")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "The model is empty: give a .tflite file"),
        (b"not a model" * 20, "The model is not a .tflite that this runtime can load: "),
        (b"\x1c\0\0\0TFL3" + bytes(200), "The model is not a .tflite that this runtime can load: "),
    ],
)
def test_content_that_is_no_model(content, message):
    with pytest.raises(EdgeseaError) as caught:
        open_interpreter(content)
    assert str(caught.value).startswith(message)


def test_a_truncated_model_is_refused_by_path(model, tmp_path):
    path = tmp_path / "half.tflite"
    path.write_bytes(model[: len(model) // 2])
    with pytest.raises(EdgeseaError, match=r"half\.tflite is not a \.tflite that this runtime can load"):
        open_interpreter(path)


def test_a_model_without_an_output_is_refused(model):
    from edgesea.exporting.flatbuffer import pack, unpack

    emptied = unpack(model)
    emptied.subgraphs[0].outputs = []
    with pytest.raises(EdgeseaError, match="The model has no input or no output: there is nothing to run"):
        open_interpreter(pack(emptied))


def test_paths_that_cannot_be_read(tmp_path):
    with pytest.raises(
        UsageError, match=r"none\.tflite cannot be read \(No such file or directory\): give the"
    ):
        open_interpreter(tmp_path / "none.tflite")
    with pytest.raises(UsageError, match=r"cannot be read \(Is a directory\)"):
        open_interpreter(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolver": "fast"}, "The resolver must be one of default, reference, received 'fast'"),
        ({"threads": 0}, "The threads must be a whole number of at least 1, received 0"),
        ({"threads": 1.5}, "The threads must be a whole number of at least 1, received 1.5"),
        ({"expose": ["nowhere"]}, "No tensor of the model has a name that ends in 'nowhere'"),
    ],
)
def test_wrong_calls(model, options, message):
    with pytest.raises(UsageError) as caught:
        open_interpreter(model, **options)
    assert str(caught.value).startswith(message)


def test_quantise_rounds_halves_away_from_zero_and_saturates():
    values = np.array([0.25, -0.25, 0.24, 0.75, 1000.0, -1000.0], np.float32)
    np.testing.assert_array_equal(INT8.quantise(values), np.array([11, 9, 10, 12, 127, -128], np.int8))


@given(st.lists(st.floats(-69, 58.5, width=32, allow_subnormal=False), min_size=1, max_size=20))
def test_quantised_values_come_back_within_half_a_step(values):
    back = INT8.dequantise(INT8.quantise(np.array(values, np.float32)))
    assert np.abs(back - values).max() <= 0.25 + 1e-5


def test_tensors_without_quantisation_only_change_type():
    plain = Tensor(0, "patch", (1, 2), np.dtype(np.float32))
    assert plain.quantise(np.array([1.5, 2.5])).dtype == np.float32
    np.testing.assert_array_equal(plain.dequantise(np.array([1.5], np.float32)), [1.5])
    assert plain.bytes == 8
    assert not plain.quantised


def test_chatter_goes_to_the_log(capfd, caplog):
    with caplog.at_level(logging.DEBUG, logger="edgesea.loaded_model"), quiet_stderr():
        os.write(2, b"INFO: hello from below\n")
    assert capfd.readouterr().err == ""
    assert caplog.messages == ["INFO: hello from below"]


def test_stderr_is_back_after_an_error(capfd):
    with pytest.raises(KeyError), quiet_stderr():
        raise KeyError
    os.write(2, b"visible\n")
    assert capfd.readouterr().err == "visible\n"


def test_opening_a_model_prints_nothing_and_needs_no_tensorflow(model, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(model)
    program = (
        "import sys; from edgesea.interpreter import open_interpreter;"
        "import numpy; open_interpreter(sys.argv[1]).run(numpy.ones((2, 6)));"
        "open_interpreter(sys.argv[1], preserve_all=True); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
