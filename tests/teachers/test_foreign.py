"""Models from strangers as teachers: state, randomness, sequences, other formats, runs and bundles."""

import dataclasses
import json
import warnings

import numpy as np
import pytest

from edgesea import teachers
from edgesea.errors import EdgeseaError, UsageError
from edgesea.interpreter import open_interpreter, quiet_stderr
from edgesea.teachers import TeacherOptions
from edgesea.teachers.yamnet import EMBEDDING

AT_16K = TeacherOptions(sample_rate=16_000)


def sound(n, samples, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (n, samples)).astype(np.float32)


def assert_order_does_not_matter(teacher):
    frames = sound(6, teacher.samples)
    forwards, backwards = teacher.embed(frames), teacher.embed(frames[::-1])[::-1]
    np.testing.assert_allclose(forwards, backwards, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(forwards[4], teacher.embed(frames[4:5])[0], rtol=1e-5, atol=1e-6)
    assert len(np.unique(forwards.round(6), axis=0)) == 6


def tflite(function, signature) -> bytes:
    import tensorflow as tf

    concrete = tf.function(function, input_signature=[signature]).get_concrete_function()
    with quiet_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert()


class TestState:
    def test_a_resource_variable_starts_anew_for_every_frame(self, shared):
        path = shared / "cases" / "stateful_teacher" / "stateful.tflite"
        assert open_interpreter(path).stateful
        assert_order_does_not_matter(teachers.load(str(path), AT_16K))

    def test_a_stateful_lstm_starts_anew_for_every_frame(self, shared):
        teacher = teachers.load(str(shared / "cases" / "keras_stateful" / "lstm_stateful.keras"), AT_16K)
        assert teacher.dimension == 8
        assert_order_does_not_matter(teacher)

    @pytest.mark.parametrize("batch", [1, 3])
    def test_a_generated_stateful_model_equals_its_stateless_twin(self, tmp_path, batch):
        import keras
        from keras import layers

        keras.utils.set_random_seed(1)

        def model(stateful):
            frame = keras.Input(batch_shape=(batch, 400))
            return keras.Model(frame, layers.GRU(5, stateful=stateful)(layers.Reshape((20, 20))(frame)))

        kept, free = model(True), model(False)
        free.set_weights(kept.get_weights())
        kept.save(tmp_path / "kept.keras")
        teacher = teachers.load(str(tmp_path / "kept.keras"), TeacherOptions(sample_rate=8_000))
        frames = sound(2 * batch, 400)
        expected = np.concatenate([free.predict_on_batch(frames[k : k + batch]) for k in (0, batch)])
        np.testing.assert_allclose(teacher.embed(frames), expected, rtol=1e-5, atol=1e-6)
        assert_order_does_not_matter(teacher)

    def test_randomness_is_refused(self, tmp_path):
        import tensorflow as tf

        def drawn(waveform):
            return waveform[:, :4] + tf.random.uniform((1, 4))

        (tmp_path / "random.tflite").write_bytes(tflite(drawn, tf.TensorSpec((1, 400))))
        with pytest.raises(
            UsageError, match=r"random\.tflite gives two answers for one frame .*: it keeps a st"
        ):
            teachers.load(str(tmp_path / "random.tflite"), AT_16K)

    def test_a_streaming_model_is_told_from_one_that_takes_frames(self, shared):
        with pytest.raises(
            UsageError, match=r"hey_jarvis\.tflite is a streaming model: it takes 1 x 3 x 40 "
        ):
            teachers.load(str(shared / "cases" / "models" / "hey_jarvis.tflite"))


class TestSequences:
    @pytest.fixture(scope="class")
    @staticmethod
    def paths(tmp_path_factory):
        """The same sequence of 10 vectors of 3, as .tflite and as .keras."""
        import keras
        import tensorflow as tf

        folder = tmp_path_factory.mktemp("sequences")

        def rows(waveform):
            return tf.reshape(waveform, (1, 10, 3))

        (folder / "rows.tflite").write_bytes(tflite(rows, tf.TensorSpec((1, 30))))
        frame = keras.Input((30,))
        keras.Model(frame, keras.layers.Reshape((10, 3))(frame)).save(folder / "rows.keras")
        return {kind: str(folder / f"rows.{kind}") for kind in ("tflite", "keras")}

    @pytest.mark.parametrize("kind", ["tflite", "keras"])
    def test_one_is_refused_by_the_name_of_the_option(self, paths, kind):
        with pytest.raises(
            UsageError, match=r"of shape 10 x 3 a frame, .*: join them with --teacher-pool mean"
        ):
            teachers.load(paths[kind], AT_16K)

    @pytest.mark.parametrize("kind", ["tflite", "keras"])
    def test_one_is_pooled_where_asked(self, paths, kind):
        frames = sound(4, 30)
        rows = frames.reshape(4, 10, 3)
        expected = {
            "mean": rows.mean(axis=1),
            "max": rows.max(axis=1),
            "first": rows[:, 0],
            "last": rows[:, -1],
        }
        prints = set()
        for pool, values in expected.items():
            teacher = teachers.load(paths[kind], dataclasses.replace(AT_16K, pool=pool))
            assert teacher.outputs == {"embedding": (3,)}
            np.testing.assert_allclose(teacher.embed(frames), values, rtol=1e-6, atol=1e-7)
            assert teacher.notes == (
                f"The teacher rows gives 10 vectors of 3 a frame; --teacher-pool {pool} makes them one.",
            )
            prints.add(teacher.fingerprint)
        assert len(prints) == 4

    def test_the_case(self, shared):
        path = str(shared / "cases" / "sequence_flattened" / "sequence.tflite")
        with pytest.raises(UsageError, match=r"of shape 1000 x 8 a frame"):
            teachers.load(path, AT_16K)
        assert teachers.load(path, dataclasses.replace(AT_16K, pool="mean")).dimension == 8

    def test_wrong_pools(self):
        with pytest.raises(
            UsageError, match=r"^Received --teacher-pool 'sum': choose one of mean, max, first, l"
        ):
            TeacherOptions(pool="sum")
        with pytest.raises(UsageError, match=r"gives one vector of 256 a frame: leave --teacher-pool out\.$"):
            teachers.load("demo", TeacherOptions(pool="mean"))


class TestOutputs:
    def test_yamnet_gives_embedding_and_scores_in_one_go(self, shared):
        path = shared / "models" / "yamnet.tflite"
        teacher = teachers.load(str(path))
        assert teacher.outputs == {"embedding": (1024,), "scores": (521,)}
        frames = sound(3, 15_600)
        heard = teacher.hear(frames, ("scores", "embedding"))
        np.testing.assert_array_equal(
            heard["embedding"], open_interpreter(path, expose=[EMBEDDING]).run(frames)
        )
        np.testing.assert_array_equal(heard["scores"], open_interpreter(path).run(frames))
        assert 0 <= heard["scores"].min() <= heard["scores"].max() <= 1
        assert list(teacher.hear(frames)) == ["embedding"]


class TestOthers:
    def test_onnx(self, tmp_path):
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        weights = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["inner"]), helper.make_node("Relu", ["inner"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 400])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])],
            [numpy_helper.from_array(weights, "w")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        onnx.save(model, tmp_path / "a.onnx")
        frames = sound(70, 400)
        teacher = teachers.load(str(tmp_path / "a.onnx"), AT_16K)
        np.testing.assert_allclose(
            teacher.embed(frames), np.maximum(frames @ weights, 0), rtol=1e-4, atol=1e-5
        )
        inner = teachers.load(str(tmp_path / "a.onnx"), dataclasses.replace(AT_16K, tensor="inner"))
        np.testing.assert_allclose(inner.embed(frames), frames @ weights, rtol=1e-4, atol=1e-5)
        with pytest.raises(UsageError, match=r"0 values of the teacher have a name that ends in 'nothing'"):
            teachers.load(str(tmp_path / "a.onnx"), dataclasses.replace(AT_16K, tensor="nothing"))
        # Its graph is longer than what is there.
        (tmp_path / "half.onnx").write_bytes(b"\x08\x08\x3a\x04\xff\xff\xff\xff")
        with pytest.raises(EdgeseaError, match=r"Cannot load the ONNX model .*half\.onnx: "):
            teachers.load(str(tmp_path / "half.onnx"), AT_16K)

    def test_a_run_and_its_student_are_the_same_teacher(self, finished_run):
        from edgesea.run import Run

        run = Run(finished_run)
        teacher = teachers.load(str(finished_run))
        assert teacher.frontend == run.frontend()
        frames = sound(4, teacher.samples)
        student = run.load_student().predict(run.frontend().patch(frames), verbose=0)
        np.testing.assert_allclose(teacher.embed(frames), student, rtol=1e-4, atol=1e-5)
        again = teachers.load(str(finished_run / "student.keras"))
        assert again.fingerprint == teacher.fingerprint

    def test_a_bundle_is_a_teacher(self, small_bundle):
        teacher = teachers.load(str(small_bundle))
        assert json.loads((small_bundle / "frontend.json").read_text())["name"] == teacher.frontend.name
        frames = sound(4, teacher.samples)
        expected = open_interpreter(small_bundle / "model_float.tflite").run(teacher.frontend.patch(frames))
        np.testing.assert_array_equal(teacher.embed(frames), expected)

    def test_one_that_ends_its_runtime_is_a_sentence(self, shared):
        path = str(shared / "cases" / "litert_kill" / "abort.tflite")
        with pytest.raises(EdgeseaError, match=r"abort\.tflite ended the process that ran it \(SIGABRT\)"):
            teachers.load(path)

    def test_a_keras_model_that_wants_all_memory_is_a_sentence(self, tmp_path, monkeypatch):
        import keras

        frame = keras.Input((400,))
        keras.Model(frame, keras.layers.UpSampling1D(4_000_000)(keras.layers.Reshape((400, 1))(frame))).save(
            tmp_path / "large.keras"
        )
        with pytest.raises(EdgeseaError, match=r"large\.keras (takes more than|ended the|cannot be run)"):
            teachers.load(str(tmp_path / "large.keras"), dataclasses.replace(AT_16K, pool="mean"))
