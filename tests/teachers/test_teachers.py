"""Teachers: which file is whose, what each hears, and what is refused in which words."""

import dataclasses

import numpy as np
import pytest

from edgesea import teachers
from edgesea.errors import EdgeseaError, UsageError
from edgesea.frontend import preset
from edgesea.interpreter import open_interpreter
from edgesea.sandbox import Sandbox
from edgesea.teacher import ear, fingerprint
from edgesea.teachers import TEACHERS, TeacherOptions
from firmware_export.graph import read

YAMNET = preset("yamnet-16k")


def sound(n, samples, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (n, samples)).astype(np.float32)


def assert_is_a_teacher(teacher):
    """The protocol, and that a frame's embedding does not depend on the frames beside it."""
    frames = sound(5, teacher.samples)
    embeddings = teacher.embed(frames)
    assert embeddings.shape == (5, teacher.dimension)
    assert embeddings.dtype == np.float32
    assert np.isfinite(embeddings).all()
    np.testing.assert_allclose(teacher.embed(frames[3:4])[0], embeddings[3], rtol=1e-4, atol=1e-5)
    assert len(np.unique(embeddings.round(6), axis=0)) == 5
    assert len(teacher.fingerprint) == 64
    assert teacher.sample_rate > 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Keras models by name, saved as .keras and, two of them, as .tflite."""
    import keras
    from keras import layers

    from edgesea.exporting.tflite import convert_float

    folder = tmp_path_factory.mktemp("teachers")
    keras.utils.set_random_seed(0)

    patch = keras.Input((96, 64, 1))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(6, 5, 4, activation="relu", name="features")(patch))
    x = layers.Dense(7, name="embedding")(x)
    scores = layers.Dense(3, activation="softmax", name="scores")(x)
    model = keras.Model(patch, scores, name="patches")
    model.save(folder / "patches.keras")
    (folder / "patches.tflite").write_bytes(convert_float(model))
    keras.Model(patch, [x, scores]).save(folder / "two.keras")
    keras.Model(patch, model.get_layer("features").output).save(folder / "map.keras")

    wave = keras.Input((4_000, 1))
    y = layers.Conv1D(5, 64, 32, activation="relu")(wave)
    keras.Model(wave, layers.Dense(4)(layers.GlobalAveragePooling1D()(y))).save(folder / "waveform.keras")
    flat = keras.Input((4_000,))
    keras.Model(flat, layers.Dense(4, name="my_dense")(layers.Dense(3, name="dense")(flat))).save(
        folder / "flat.keras"
    )
    anything = keras.Input((None, 1))
    keras.Model(anything, layers.GlobalAveragePooling1D()(anything)).save(folder / "anylength.keras")
    cube = keras.Input((4, 5, 6))
    keras.Model(cube, layers.Flatten()(cube)).save(folder / "cube.keras")
    x = keras.Input((4,))
    keras.Sequential([layers.Dense(3)]).save(folder / "unbuilt.keras")
    keras.Model(x, layers.Lambda(lambda value: value * 2)(x)).save(folder / "lambda.keras")
    return folder


PATCHES = TeacherOptions(frontend=YAMNET)


class TestKeras:
    def test_a_model_that_takes_patches(self, folder):
        import keras

        teacher = teachers.load(str(folder / "patches.keras"), PATCHES)
        assert (teacher.dimension, teacher.sample_rate, teacher.samples) == (3, 16_000, 15_600)
        assert teacher.frontend == YAMNET
        assert teacher.name == "patches"
        assert_is_a_teacher(teacher)
        frames = sound(4, 15_600)
        model = keras.saving.load_model(folder / "patches.keras")
        np.testing.assert_allclose(
            teacher.embed(frames), model.predict(YAMNET.patch(frames), verbose=0), rtol=1e-4, atol=1e-6
        )

    @pytest.mark.parametrize("name", ["embedding", "mbedding"])
    def test_a_named_layer_is_the_embedding(self, folder, name):
        teacher = teachers.load(str(folder / "patches.keras"), dataclasses.replace(PATCHES, tensor=name))
        assert teacher.dimension == 7
        assert_is_a_teacher(teacher)

    def test_a_layers_whole_name_wins_over_the_end_of_anothers(self, folder):
        options = TeacherOptions(tensor="dense", sample_rate=8_000)
        assert teachers.load(str(folder / "flat.keras"), options).dimension == 3

    @pytest.mark.parametrize("name", ["waveform", "flat"])
    def test_a_model_that_takes_waveforms(self, folder, name):
        teacher = teachers.load(str(folder / f"{name}.keras"), TeacherOptions(sample_rate=8_000))
        assert (teacher.dimension, teacher.sample_rate, teacher.samples) == (4, 8_000, 4_000)
        assert teacher.frontend is None
        assert_is_a_teacher(teacher)

    def test_many_frames_go_through_a_few_at_a_time(self, folder, monkeypatch):
        teacher = teachers.load(str(folder / "flat.keras"), TeacherOptions(sample_rate=8_000))
        frames = sound(100, 4_000)
        expected = np.concatenate([teacher.embed(part) for part in np.array_split(frames, 10)])
        sent, call = [], Sandbox.call
        monkeypatch.setattr(
            Sandbox,
            "call",
            lambda self, to, part, **how: sent.append(len(part)) or call(self, to, part, **how),
        )
        np.testing.assert_allclose(teacher.embed(frames), expected, rtol=1e-4, atol=1e-5)
        assert sent == [64, 36]

    @pytest.mark.parametrize(
        ("name", "options", "kind", "reason"),
        [
            ("patches", TeacherOptions(), UsageError, r"takes 96 x 64 patches, .*: give --teacher-frontend"),
            (
                "patches",
                TeacherOptions(frontend=preset("sea-8k")),
                UsageError,
                r"takes 96 x 64 patches and the frontend sea-8k makes .*: choose the frontend",
            ),
            (
                "waveform",
                TeacherOptions(),
                UsageError,
                r"takes waveforms of 4000 samples.*give --teacher-rate",
            ),
            (
                "two",
                PATCHES,
                UsageError,
                r"has 1 inputs and 2 outputs: it has to have one input, and one output",
            ),
            (
                "map",
                PATCHES,
                UsageError,
                r"gives an output of shape 23 x 15 x 6 a frame.*: join them with --teacher-pool .*layer",
            ),
            (
                "anylength",
                TeacherOptions(sample_rate=8_000),
                UsageError,
                r"takes waveforms of any length: say how long a frame is with --teacher-seconds",
            ),
            (
                "cube",
                PATCHES,
                UsageError,
                r"shape \(4, 5, 6\): it has to be one waveform or one log-mel patch",
            ),
            (
                "patches",
                dataclasses.replace(PATCHES, tensor="embedings"),
                UsageError,
                r"0 layers of .* have a name that ends in 'embedings': its last ones are .*embedding, scores",
            ),
            (
                "lambda",
                TeacherOptions(sample_rate=8_000),
                EdgeseaError,
                r"Cannot load the Keras model .*lambda",
            ),
        ],
    )
    def test_what_is_refused(self, folder, name, options, kind, reason):
        with pytest.raises(EdgeseaError, match=reason) as error:
            teachers.load(str(folder / f"{name}.keras"), options)
        assert type(error.value) is kind
        assert "\n" not in str(error.value)

    def test_code_in_a_model_is_not_run(self, folder):
        with pytest.raises(EdgeseaError, match=r"Lambda.*without code of its own"):
            teachers.load(str(folder / "lambda.keras"), TeacherOptions(sample_rate=8_000))

    @pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04"])
    def test_a_file_that_is_no_model(self, tmp_path, content):
        (tmp_path / "a.keras").write_bytes(content)
        with pytest.raises(EdgeseaError, match=r"Cannot load the Keras model .*a\.keras"):
            teachers.load(str(tmp_path / "a.keras"), TeacherOptions(sample_rate=8_000))


class TestTflite:
    def test_the_output_is_the_embedding(self, folder):
        teacher = teachers.load(str(folder / "patches.tflite"), PATCHES)
        assert (teacher.dimension, teacher.samples) == (3, 15_600)
        assert_is_a_teacher(teacher)
        frames = sound(3, 15_600)
        theirs = teachers.load(str(folder / "patches.keras"), PATCHES).embed(frames)
        np.testing.assert_allclose(teacher.embed(frames), theirs, rtol=1e-3, atol=1e-5)

    def test_an_inner_tensor_is_the_embedding(self, folder):
        path = folder / "patches.tflite"
        kept = open_interpreter(path, preserve_all=True)
        inner = [tensor.name for tensor in kept.tensors() if tensor.shape == (1, 7)]
        teacher = teachers.load(str(path), dataclasses.replace(PATCHES, tensor=inner[0]))
        assert teacher.dimension == 7
        assert_is_a_teacher(teacher)
        frames = sound(3, 15_600)
        expected = kept.run(YAMNET.patch(frames), [kept.find(inner[0])])[0]
        np.testing.assert_allclose(teacher.embed(frames), expected.reshape(3, 7), rtol=1e-4, atol=1e-6)

    def test_several_outputs_have_to_be_chosen_from(self, folder, tmp_path):
        import tensorflow as tf

        @tf.function(input_signature=[tf.TensorSpec((1, 8_000))])
        def two(waveform):
            return {"a": waveform[:, :2], "b": waveform[:, 2:5] * 2}

        content = tf.lite.TFLiteConverter.from_concrete_functions([two.get_concrete_function()]).convert()
        (tmp_path / "two.tflite").write_bytes(content)
        options = TeacherOptions(sample_rate=8_000)
        with pytest.raises(
            UsageError, match=r"has 1 inputs and 2 outputs: .* a tensor named by --teacher-tensor"
        ):
            teachers.load(str(tmp_path / "two.tflite"), options)
        names = [tensor.name for tensor in open_interpreter(content).outputs if tensor.shape == (1, 3)]
        chosen = teachers.load(str(tmp_path / "two.tflite"), dataclasses.replace(options, tensor=names[0]))
        np.testing.assert_allclose(chosen.embed(sound(2, 8_000)), sound(2, 8_000)[:, 2:5] * 2, rtol=1e-6)

    def test_what_is_refused(self, folder, tmp_path):
        with pytest.raises(UsageError, match=r"give --teacher-frontend"):
            teachers.load(str(folder / "patches.tflite"))
        with pytest.raises(UsageError, match=r"No tensor of the model has a name that ends in 'nothing'"):
            teachers.load(str(folder / "patches.tflite"), dataclasses.replace(PATCHES, tensor="nothing"))
        (tmp_path / "noise.tflite").write_bytes(np.random.default_rng(0).bytes(999))
        with pytest.raises(EdgeseaError, match=r"noise\.tflite is not a \.tflite that this runtime can load"):
            teachers.load(str(tmp_path / "noise.tflite"), PATCHES)
        (tmp_path / "folder.tflite").mkdir()
        with pytest.raises(
            UsageError, match=r"folder\.tflite is a folder that is neither a run nor a bundle"
        ):
            teachers.load(str(tmp_path / "folder.tflite"), PATCHES)


class TestDemo:
    def test_it_comes_with_edgesea(self):
        teacher = teachers.load("demo")
        assert teacher.frontend == YAMNET
        assert_is_a_teacher(teacher)

    def test_it_is_small(self):
        from edgesea.teachers.demo import FILE

        assert FILE.stat().st_size <= 3 << 20

    def test_it_tells_the_streets_classes_apart(self, tmp_path):
        """Clips of one recording are nearer to each other than to another class's."""
        from edgesea.datasets import street

        teacher = teachers.load("demo")
        frames = np.stack(
            [street.waveform(7, recording, take)[16_000:31_600] for recording in range(8) for take in (0, 1)]
        ).astype(np.float32)
        unit = teacher.embed(frames)
        unit = (unit - unit.mean(axis=0)) / np.linalg.norm(unit - unit.mean(axis=0), axis=1, keepdims=True)
        similarity = (unit @ unit.T) - 2 * np.eye(16)
        nearest = similarity.argmax(axis=1)
        assert (nearest // 2 == np.arange(16) // 2).mean() >= 0.6


class TestYamnet:
    def test_it_is_recognised_and_needs_no_options(self, shared):
        teacher = teachers.load(str(shared / "models" / "yamnet.tflite"))
        assert (teacher.dimension, teacher.sample_rate, teacher.samples) == (1024, 16_000, 15_600)
        assert teacher.frontend == YAMNET
        assert_is_a_teacher(teacher)

    def test_the_embedding_is_the_mean_of_its_last_feature_map(self, shared):
        """The mean worked out here, by the same kernels.

        The file's weights are int8 and its activations are quantised as it runs: by other kernels in
        another way.
        """
        path = shared / "models" / "yamnet.tflite"
        frames = sound(2, 15_600)
        graph = read(path.read_bytes())
        (mean,) = (op for op in graph.operators if op.opcode == "MEAN")
        inner = open_interpreter(path, expose=[graph.tensors[mean.inputs[0]].name])
        assert inner.output.shape == (1, 3, 2, 1024)
        expected = inner.run(frames).reshape(2, 6, 1024).mean(axis=1)
        assert expected.max() > 0.5
        np.testing.assert_allclose(teachers.load(str(path)).embed(frames), expected, rtol=1e-5, atol=1e-6)

    def test_another_tensor_of_it_can_be_asked_for(self, shared):
        path = str(shared / "models" / "yamnet.tflite")
        scores = [
            t.name for t in open_interpreter(shared / "models" / "yamnet.tflite").outputs if 521 in t.shape
        ]
        teacher = teachers.load(path, TeacherOptions(tensor=scores[0]))
        assert teacher.dimension == 521
        assert teacher.fingerprint != teachers.load(path).fingerprint


class TestEdgel3:
    def test_the_released_student_is_a_teacher(self, shared):
        teacher = teachers.load(str(shared / "models" / "edgel3_sea_ust_audio_emb_64.h5"))
        assert (teacher.dimension, teacher.sample_rate, teacher.samples) == (64, 8_000, 8_000)
        assert_is_a_teacher(teacher)

    def test_another_h5_is_refused_in_one_sentence(self, tmp_path):
        (tmp_path / "a.h5").write_bytes(b"not HDF5")
        with pytest.raises(UsageError, match=r"a\.h5 is no model that edgesea knows: give a ") as error:
            teachers.load(str(tmp_path / "a.h5"))
        assert "\n" not in str(error.value)


def test_what_is_no_teacher(tmp_path):
    with pytest.raises(
        UsageError, match=r"^There is no teacher at absent\.keras: give a \.keras, \.tflite or \.onnx file, a"
    ):
        teachers.load("absent.keras")
    (tmp_path / "a.onnx").write_text("")
    with pytest.raises(UsageError, match=r"a\.onnx is an empty file: fetch it again\.$"):
        teachers.load(str(tmp_path / "a.onnx"))
    assert {"demo", "yamnet", "tflite", "keras", "edgel3", "run", "bundle", "onnx"} <= set(TEACHERS)


def test_a_fingerprint_changes_with_the_file_and_with_what_changes_the_embedding(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    base = TeacherOptions()
    prints = {
        fingerprint(path, options)
        for options in (
            base,
            TeacherOptions(tensor="x"),
            TeacherOptions(sample_rate=8_000),
            TeacherOptions(frontend=YAMNET),
            TeacherOptions(frontend=dataclasses.replace(YAMNET, fmin=100.0)),
            TeacherOptions(pool="mean"),
            TeacherOptions(pool="max"),
        )
    }
    assert len(prints) == 7
    assert fingerprint(path, TeacherOptions(threads=4)) == fingerprint(path, base)
    path.write_bytes(b"2")
    assert fingerprint(path, base) not in prints


@pytest.mark.parametrize("shape", [(1, 96, 64, 1), (96, 64), (96, 64, 1), (1, 1, 96, 64)])
def test_a_patch_is_known_by_two_axes_and_a_waveform_by_one(tmp_path, shape):
    heard = ear(tmp_path / "t", shape, PATCHES)
    assert heard.takes_patches
    assert heard.frames(sound(2, 15_600)).shape == (2, 96, 64, 1)
    wave = ear(tmp_path / "t", (1, 400, 1), TeacherOptions(sample_rate=100))
    assert (wave.samples, wave.sample_rate, wave.takes_patches) == (400, 100, False)
    with pytest.raises(UsageError, match=r"takes an input of shape \(1,\)"):
        ear(tmp_path / "t", (1,), TeacherOptions(sample_rate=100))
