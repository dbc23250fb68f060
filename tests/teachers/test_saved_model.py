"""SavedModels, and models that take waveforms of any length."""

import numpy as np
import pytest
import tensorflow as tf

from edgesea import teachers
from edgesea.errors import EdgeseaError, UsageError
from edgesea.teacher import TeacherOptions

RATE = TeacherOptions(sample_rate=8_000)


class _Module(tf.Module):
    def __init__(self):
        super().__init__()
        self.weights = tf.Variable(np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None, 4_000), tf.float32, name="sound")])
    def batched(self, sound):
        bands = tf.reduce_mean(tf.abs(tf.reshape(sound, (-1, 40, 100))), axis=1)
        return {"embedding": bands @ self.weights, "mean": bands}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.float32, name="waveform")])
    def any_length(self, waveform):
        bands = tf.abs(tf.signal.frame(waveform, 100, 100))
        return bands @ self.weights

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
    def texts(self, names):
        return tf.strings.length(names)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, module = tmp_path_factory.mktemp("saved"), _Module()
    one, any_length = module.batched.get_concrete_function(), module.any_length.get_concrete_function()
    tf.saved_model.save(module, str(folder / "one"), signatures={"serving_default": any_length})
    both = {"embed": one, "stream": any_length, "texts": module.texts.get_concrete_function()}
    tf.saved_model.save(module, str(folder / "several"), signatures=both)
    tf.saved_model.save(module, str(folder / "none"))
    return folder


def sound(n, samples=4_000):
    return np.random.default_rng(1).normal(0, 0.1, (n, samples)).astype(np.float32)


def test_a_signature_and_an_output_by_name(folder):
    module = tf.saved_model.load(str(folder / "several"))
    for chosen in ("embed:embedding", "embed:mean"):
        teacher = teachers.load(str(folder / "several"), TeacherOptions(sample_rate=8_000, tensor=chosen))
        expected = module.signatures["embed"](tf.constant(sound(40)))[chosen.split(":")[1]]
        assert (teacher.dimension, teacher.samples) == (expected.shape[1], 4_000)
        np.testing.assert_allclose(teacher.embed(sound(40)), expected, rtol=1e-4, atol=1e-5)


def test_waveforms_of_any_length_frame_by_frame(folder):
    options = TeacherOptions(sample_rate=8_000, seconds=0.05, pool="mean")
    teacher = teachers.load(str(folder / "one"), options)
    assert (teacher.samples, teacher.dimension) == (400, 5)
    heard = teacher.embed(sound(3, 400))
    module = tf.saved_model.load(str(folder / "one"))
    (expected,) = module.signatures["serving_default"](tf.constant(sound(3, 400)[2])).values()
    np.testing.assert_allclose(heard[2], np.mean(expected, axis=0), rtol=1e-4)
    longer = teachers.load(str(folder / "one"), TeacherOptions(sample_rate=8_000, seconds=0.1, pool="mean"))
    assert longer.fingerprint != teacher.fingerprint


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        (
            "several",
            {},
            r"has the signatures embed, stream, texts: say which with --teacher-tensor SIGNATURE\.",
        ),
        (
            "several",
            {"tensor": "embed"},
            r"The signature embed of .* gives embedding, mean: say which is the emb",
        ),
        ("several", {"tensor": "embed:x"}, r"has no output x: it has embedding, mean\."),
        ("several", {"tensor": "x:y"}, r"has no signature x: it has embed, stream, texts\."),
        ("several", {"tensor": "texts"}, r"takes 1 inputs \(string\): it has to take one of float32"),
        ("none", {}, r"has no signature: save it again with"),
        ("one", {}, r"takes waveforms of any length: say how long a frame is with --teacher-seconds"),
        ("one", {"seconds": 0.05}, r"gives an output of shape 4 x 5 a frame.*--teacher-pool mean"),
    ],
)
def test_what_is_not_said_is_asked_for(folder, name, options, reason):
    with pytest.raises(UsageError, match=reason):
        teachers.load(str(folder / name), TeacherOptions(sample_rate=8_000, **options))


def test_a_damaged_one_is_a_sentence(folder, tmp_path):
    (tmp_path / "bad").mkdir()
    content = (folder / "one" / "saved_model.pb").read_bytes()
    (tmp_path / "bad" / "saved_model.pb").write_bytes(content[: len(content) // 2])
    with pytest.raises(EdgeseaError, match=r"(Cannot load the SavedModel|ended the process that ran it)"):
        teachers.load(str(tmp_path / "bad"), RATE)


def test_there_is_no_gpu_here(folder):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    options = TeacherOptions(sample_rate=8_000, tensor="embed:mean", accelerator="gpu")
    with pytest.raises(
        UsageError, match=r"no GPU that TensorFlow can run .*several on: .*--accelerator cpu\."
    ):
        teachers.load(str(folder / "several"), options)
