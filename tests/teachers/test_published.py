"""Published teachers whose weights are not to be had here: layouts, counts, frontends, refusals.

The weights are made up, in the published files' layouts; where a real file lies in the cache, it is used too.
"""

import dataclasses

import h5py
import librosa
import numpy as np
import pytest
import tensorflow as tf
from made_up_weights import l3_file

from edgesea import teachers, weights
from edgesea.errors import EdgeseaError, UsageError
from edgesea.frontend import preset
from edgesea.students.l3 import FILTERS
from edgesea.students.l3_weights import load_l3
from edgesea.teacher import TeacherOptions
from edgesea.teachers import loaded_vggish, openl3, vggish
from edgesea.teachers.openl3 import LinearEar

SOUND = np.random.default_rng(3).normal(0, 0.1, (3, 48_000)).astype(np.float32)
SOUND[1] = 0.3 * np.sin(2 * np.pi * np.cumsum(np.linspace(100, 9_000, 48_000)) / 48_000)


@pytest.fixture(scope="module")
def l3(tmp_path_factory):
    return l3_file(tmp_path_factory.mktemp("l3") / "openl3_audio_mel256_music.h5")


class TestOpenL3:
    def test_the_network_has_the_published_parameters(self, l3):
        # models.py of the package: eight 3x3 convolutions, and batch norms before and between them.
        model = load_l3(l3, l3, 199, 256)
        assert model.count_params() == 4_689_860
        shapes = [tuple(layer.output.shape[1:]) for layer in model.layers if "conv" in layer.name]
        assert shapes[0] == (199, 256, 64)
        assert shapes[-1] == (24, 32, 512)

    def test_it_is_the_network_of_the_file(self, l3):
        """Against the file's own orientation, (mels, frames), computed anew."""
        patch = openl3.MEL256.patch(SOUND)
        with h5py.File(l3) as file:
            x, convolutions = patch.transpose(0, 2, 1, 3), 0
            for name in map(text, file.attrs["layer_names"]):
                held = {
                    key.split("/")[-1][:-2]: file[f"{name}/{key}"][()]
                    for key in map(text, file[name].attrs["weight_names"])
                }
                if "kernel" in held:
                    x = tf.nn.conv2d(x, held["kernel"], 1, "SAME") + held["bias"]
                    convolutions += 1
                elif "gamma" in held:
                    x = tf.nn.batch_normalization(
                        x, held["moving_mean"], held["moving_variance"], held["beta"], held["gamma"], 1e-3
                    )
                elif name.startswith("activation") and convolutions < 8:
                    x = tf.nn.relu(x)
                    if convolutions % 2 == 0:
                        x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        small = tf.nn.max_pool2d(x, (32, 24), (32, 24), "SAME").numpy().reshape(3, -1)
        large = tf.nn.max_pool2d(x, (8, 8), (8, 8), "SAME").numpy().reshape(3, -1)
        teacher = teachers.load(str(l3))
        assert (teacher.dimension, teacher.sample_rate, teacher.samples) == (512, 48_000, 48_000)
        np.testing.assert_allclose(teacher.embed(SOUND), small, atol=1e-3 * np.abs(small).max())
        more = teachers.load(str(l3), TeacherOptions(tensor="6144"))
        assert more.dimension == 6144
        assert more.fingerprint != teacher.fingerprint
        np.testing.assert_allclose(more.embed(SOUND), large, atol=1e-3 * np.abs(large).max())

    @pytest.mark.parametrize("mels", [128, 256])
    def test_the_mel_frontends_are_librosas(self, mels):
        frontend = {128: openl3.MEL128, 256: openl3.MEL256}[mels]
        for sound, ours in zip(SOUND, frontend.patch(SOUND), strict=True):
            mel = librosa.feature.melspectrogram(
                y=sound, sr=48_000, n_mels=mels, n_fft=2048, hop_length=242, center=True, power=1.0
            )
            level = librosa.power_to_db(mel, ref=1.0, amin=1e-10, top_db=80.0)
            np.testing.assert_allclose(ours[..., 0].T, level - level.max(), atol=2e-3)

    def test_the_linear_frontend_is_librosas(self):
        for sound, ours in zip(SOUND, LinearEar().frames(SOUND), strict=True):
            magnitude = np.abs(librosa.stft(sound, n_fft=512, hop_length=242, center=False))
            level = librosa.power_to_db(magnitude, ref=1.0, amin=1e-10, top_db=80.0)
            assert ours.shape == (197, 257, 1)
            np.testing.assert_allclose(ours[..., 0].T, level - level.max(), atol=2e-3)

    @pytest.mark.parametrize(
        ("representation", "size"), [("linear", "512"), ("linear", "6144"), ("mel128", "6144")]
    )
    def test_every_representation_and_size(self, tmp_path, representation, size):
        path = l3_file(tmp_path / f"openl3_audio_{representation}_env.h5")
        teacher = teachers.load(str(path), TeacherOptions(tensor=size))
        heard = teacher.embed(SOUND[:2])
        assert heard.shape == (2, int(size))
        assert np.isfinite(heard).all()
        assert not np.allclose(heard[0], heard[1])

    def test_a_file_of_another_name_is_asked_about(self, tmp_path):
        path = l3_file(tmp_path / "weights.h5")
        with pytest.raises(UsageError, match=r"do not say which spectrogram .*: name the file as it was pub"):
            teachers.load(str(path))
        frontend = openl3.MEL256
        assert teachers.load(str(path), TeacherOptions(frontend=frontend)).frontend == frontend
        with pytest.raises(UsageError, match=r"--teacher-frontend sea-8k is not for\."):
            teachers.load(str(path), TeacherOptions(frontend=preset("sea-8k")))

    def test_another_size_is_refused(self, l3):
        with pytest.raises(UsageError, match=r"--teacher-tensor 1024 for OpenL3: .* 512 or 6144 values\."):
            teachers.load(str(l3), TeacherOptions(tensor="1024"))

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (
                lambda file: renamed(file, [b"conv2d_33"]),
                "1 convolutions and 0 batch norms",
            ),
            (lambda file: file.attrs.pop("layer_names"), "cannot be read as Keras weights"),
            (
                lambda file: replaced(file, "conv2d_34/conv2d_34/kernel:0", np.zeros((3, 3, 64, 65), "f")),
                "its conv2 has",
            ),
            (
                lambda file: replaced(file, "conv2d_34/conv2d_34/bias:0", np.full(64, np.nan, "f")),
                "its conv2 holds NaN",
            ),
            (lambda file: replaced(file, "conv2d_34/conv2d_34/bias:0", np.zeros(64)), "no array of float32"),
        ],
    )
    def test_weights_of_another_architecture_are_refused(self, tmp_path, change, reason):
        path = l3_file(tmp_path / "openl3_audio_mel256_env.h5", filters=(64, 64, 64, 64))
        with h5py.File(path, "r+") as file:
            change(file)
        with pytest.raises(
            EdgeseaError, match=rf"does not hold the weights of an L3 network: .*{reason}.*\."
        ):
            load_l3(path, path, 199, 256)


def text(name):
    return name.decode() if isinstance(name, bytes) else str(name)


def renamed(file, names):
    del file.attrs["layer_names"]
    file.attrs["layer_names"] = names


def replaced(file, name, value):
    del file[name]
    file[name] = value


class TestEdgeL3:
    @pytest.mark.parametrize(("dimension", "student"), [(128, 2), (256, 1)])
    def test_seas_other_dimensions(self, tmp_path, dimension, student):
        filters = FILTERS[f"student{student}"]
        path = l3_file(
            tmp_path / f"edgel3_sea_ust_audio_emb_{dimension}.h5", filters, dimension, ending=True, whole=True
        )
        teacher = teachers.load(str(path))
        assert (teacher.dimension, teacher.frontend.name) == (dimension, "sea-8k")
        heard = teacher.embed(SOUND[:, :8_000])
        assert (heard >= 0).all()
        assert heard.any()

    def test_the_sparse_networks_hear_48_khz(self, tmp_path):
        path = l3_file(tmp_path / "edgel3_ft_audio_sparsity_87.0.h5")
        teacher = teachers.load(str(path))
        assert (teacher.dimension, teacher.sample_rate) == (512, 48_000)
        assert (teacher.frontend.mel_scale, teacher.frontend.root, teacher.frontend.frames) == ("htk", 2, 199)


class TestVggish:
    def test_the_network_has_the_published_parameters(self):
        assert loaded_vggish.network().count_params() == 72_141_184

    def test_the_frontend_is_tensorflows_own_mel_matrix(self):
        """vggish_input.py's steps, by TensorFlow's signal functions."""
        sound = SOUND[:, :15_600]
        frames = tf.signal.frame(sound, 400, 160)
        spectrum = tf.abs(tf.signal.rfft(frames * tf.signal.hann_window(400, periodic=True), [512]))
        mel = spectrum @ tf.signal.linear_to_mel_weight_matrix(64, 257, 16_000, 125.0, 7_500.0)
        theirs = tf.math.log(mel + 0.01).numpy()
        np.testing.assert_allclose(vggish.FRONTEND.patch(sound)[..., 0], theirs, atol=2e-3)

    @pytest.mark.slow
    def test_a_checkpoint_of_the_published_layout(self, tmp_path):
        """72 million made-up weights, as TensorFlow 1 writes them."""
        rng = np.random.default_rng(0)
        model = loaded_vggish.network()
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            held = {}
            for name in (*loaded_vggish._CONVOLUTIONS, *loaded_vggish._DENSE):
                layer = model.get_layer(name.replace("/", "_"))
                for kind, weight in zip(("weights", "biases"), layer.weights, strict=True):
                    value = rng.normal(0, 0.02, weight.shape).astype(np.float32)
                    held[f"vggish/{name}/{kind}"] = tf.compat.v1.Variable(value)
            session.run(tf.compat.v1.global_variables_initializer())
            saver = tf.compat.v1.train.Saver(held, write_version=1)
            saver.save(session, str(tmp_path / "vggish_model.ckpt"), write_meta_graph=False)
        (path,) = tmp_path.glob("vggish_model.ckpt*")
        teacher = teachers.load(str(path))
        assert (teacher.dimension, teacher.sample_rate, teacher.samples) == (128, 16_000, 15_600)
        heard = teacher.embed(SOUND[:, :15_600])
        assert np.isfinite(heard).all()
        assert not np.allclose(heard[0], heard[1])


def birdnet_lookalike(path):
    """A .tflite with BirdNET's ends, 144,000 samples -> 1024-d -> 6,522 classes, and its names."""
    rng = np.random.default_rng(0)
    first = rng.normal(0, 0.05, (512, 1, 1024)).astype(np.float32)
    last = rng.normal(0, 0.1, (1024, 6_522)).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec((1, 144_000), tf.float32, name="INPUT")])
    def model(sound):
        with tf.name_scope("model/MEL_SPEC1"):
            bands = tf.nn.relu(tf.nn.conv1d(sound[:, :, None], first, 4_096, "VALID"))
        with tf.name_scope("model/GLOBAL_AVG_POOL"):
            embedding = tf.reduce_mean(bands, axis=1, name="Mean")
        return tf.matmul(embedding, last, name="CLASS_DENSE_LAYER")

    made = tf.lite.TFLiteConverter.from_concrete_functions([model.get_concrete_function()])
    path.write_bytes(made.convert())


@pytest.fixture(scope="module")
def birdnet(tmp_path_factory):
    path = tmp_path_factory.mktemp("birdnet") / "audio-model.tflite"
    birdnet_lookalike(path)
    return path


def test_birdnet_is_recognised_and_gives_its_inner_tensor(birdnet):
    teacher = teachers.load(str(birdnet))
    assert (teacher.dimension, teacher.sample_rate, teacher.samples) == (1024, 48_000, 144_000)
    sound = np.random.default_rng(0).normal(0, 0.1, (2, 144_000)).astype(np.float32)
    heard = teacher.hear(sound, ("embedding", "scores"))
    assert (heard["embedding"] >= 0).all()
    assert not np.allclose(*heard["embedding"])
    assert heard["scores"].shape == (2, 6_522)


@pytest.mark.parametrize("name", sorted(weights.PUBLISHED))
def test_the_real_weights_where_they_are_here(name):
    """Golden: the table says what the published file gives."""
    if not weights.place(name).is_file():
        pytest.skip(f"the weights of {name} are not in {weights.folder()}: `edgesea teachers get {name}`")
    teacher = teachers.load(name)
    published = weights.PUBLISHED[name]
    assert (teacher.dimension, teacher.sample_rate) == (published.dimension, published.rate)
    noise = np.random.default_rng(0).normal(0, 0.1, (2, teacher.samples)).astype(np.float32)
    assert np.isfinite(teacher.embed(noise)).all()
    assert dataclasses.is_dataclass(published)
