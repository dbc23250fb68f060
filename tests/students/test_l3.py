"""The L3 family against the paper's Table 1, and the released weights against their own graph in NumPy."""

import importlib.util
import itertools
import json
import shutil
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import soundfile
import soxr

from edgesea import students
from edgesea.errors import EdgeseaError, UsageError
from edgesea.frontend import preset
from edgesea.students.l3 import FILTERS, L3, L3_NET, PAPER_TABLE1, figures, l3_student, table1
from edgesea.students.released import load_released

_SPEC = importlib.util.spec_from_file_location(
    "make_frontend_goldens", Path(__file__).parents[1] / "golden" / "make_frontend_goldens.py"
)
goldens = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(goldens)

SIGNALS = goldens.signals(8000, 8000)


# Table 1.


def test_table1_is_the_papers():
    assert table1() == PAPER_TABLE1


def by_hand(filters: tuple[int, ...]) -> tuple[int, int]:
    """(trainable, all) parameters, counted layer by layer from the paper's description."""
    convolutions, norms, before = 0, 1, 1
    for count in [count for block in filters for count in (block, block)]:
        convolutions += (3 * 3 * before + 1) * count
        norms += count
        before = count
    return convolutions + 2 * norms, convolutions + 4 * norms


@pytest.mark.parametrize("name", ["student0", "student1", "student2", "student3"])
def test_students_have_exactly_the_papers_parameters(name):
    filters = FILTERS[name]
    counted = figures(students.build(name, 50, 64, filters[-1]))
    assert (counted["trainable"], counted["parameters"]) == by_hand(filters)
    assert counted["bytes"] == 4 * counted["parameters"]
    assert counted["activation_bytes"] == 50 * 64 * filters[0] * 4


def test_l3_net_is_its_own_topology():
    model = L3_NET.build(199, 256, 512)
    # OpenL3's last convolution has no batch norm: 512 scales and 512 shifts fewer than Student 0.
    assert figures(model) == {
        "trainable": by_hand(FILTERS["l3"])[0] - 1024,
        "parameters": by_hand(FILTERS["l3"])[1] - 2048,
        "bytes": 4 * (by_hand(FILTERS["l3"])[1] - 2048),
        "activation_bytes": 199 * 256 * 64 * 4,
    }
    assert model.get_layer("conv8").output.shape == (None, 24, 32, 512)
    assert [layer.name for layer in model.layers[-3:]] == ["conv8", "pool4", "embedding"]


@pytest.mark.parametrize(("frames", "mels", "dimension"), [(50, 64, 16), (96, 64, 64), (8, 8, 1), (9, 15, 3)])
def test_students_take_any_patch_and_dimension(frames, mels, dimension):
    model = students.build("student3", frames, mels, dimension)
    assert model.input_shape == (None, frames, mels, 1)
    embedding = model(np.random.default_rng(0).uniform(-80, 0, (2, frames, mels, 1)).astype(np.float32))
    assert embedding.shape == (2, dimension)
    assert embedding.dtype == "float32"
    # Only the last convolution and its batch norm know the dimension.
    assert model.get_layer("conv7").filters == FILTERS["student3"][-1]


def test_only_the_released_ending_cannot_be_negative():
    keras.utils.set_random_seed(3)
    patch = np.random.default_rng(3).uniform(-80, 0, (4, 8, 8, 1)).astype(np.float32)
    smallest = {}
    for ending in ("norm", "relu", "none"):
        model = l3_student(8, 8, 64, (4, 4, 4, 4), ending)
        smallest[ending] = np.asarray(model(patch)).min()
    assert smallest["relu"] == 0
    assert smallest["norm"] < 0
    assert smallest["none"] < 0


def test_students_survive_keras_own_format(tmp_path):
    model = students.build("student3", 16, 16, 8)
    model.save(tmp_path / "student.keras")
    again = keras.models.load_model(tmp_path / "student.keras", safe_mode=True)
    patch = np.random.default_rng(1).uniform(-80, 0, (3, 16, 16, 1)).astype(np.float32)
    np.testing.assert_array_equal(again(patch), model(patch))


@pytest.mark.parametrize(("frames", "mels"), [(7, 64), (50, 7)])
def test_a_patch_that_is_too_small_is_refused(frames, mels):
    with pytest.raises(
        UsageError, match=f"at least 8 frames and 8 mels, received {frames} x {mels}: use a front"
    ):
        L3().build(frames, mels, 4)


def test_a_dimension_of_zero_is_refused():
    with pytest.raises(UsageError, match=r"^The embedding's dimension is 0: it has to be 1 or more\.$"):
        L3().build(50, 64, 0)


def test_an_unknown_ending_is_refused():
    with pytest.raises(UsageError, match="ending is 'tanh': it has to be one of norm, relu, none"):
        l3_student(50, 64, 64, FILTERS["student3"], "tanh")


# The released weights.


def released_graph(path: Path, patches: np.ndarray) -> np.ndarray:
    """The file's own graph behind its frontend, in NumPy, float64: (B, 50, 64) -> (B, 64).

    As the file has it: mels before frames, its own layer names and order, kernels not transposed.
    """
    with h5py.File(path, "r") as file:

        def weight(layer, name):
            return file[f"model_weights/{layer}/{layer}/{name}:0"][:].astype(np.float64)

        def norm(number, x):
            gamma, beta, mean, variance = (
                weight(f"batch_normalization_{number}", name)
                for name in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

        def pooled(x, high, wide):
            batch, rows, columns, channels = x.shape
            x = x[:, : rows // high * high, : columns // wide * wide]
            x = x.reshape(batch, rows // high, high, columns // wide, wide, channels)
            return x.max(axis=(2, 4))

        x = norm(1, patches.astype(np.float64).transpose(0, 2, 1)[..., None])
        names = [*(f"conv2d_{i}" for i in range(1, 8)), "audio_embedding_layer"]
        for number, name in enumerate(names, start=1):
            kernel, (_, rows, columns, _) = weight(name, "kernel"), x.shape
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = weight(name, "bias") + sum(
                padded[:, i : i + rows, j : j + columns] @ kernel[i, j] for i in range(3) for j in range(3)
            )
            x = np.maximum(norm(number + 1, x), 0)
            if number in (2, 4, 6):
                x = pooled(x, 2, 2)
    return pooled(x, 8, 6).reshape(len(x), -1)


@pytest.fixture(scope="module")
def released(shared) -> Path:
    return shared / "models" / "edgel3_sea_ust_audio_emb_64.h5"


def waveforms(shared: Path) -> np.ndarray:
    """The synthesised signals and a second from the middle of six recordings, (B, 8000) float32."""
    frames = list(SIGNALS.values())
    for path in sorted((shared / "data" / "esc50-fold4" / "audio").glob("*.flac"))[5::37]:
        recording, rate = soundfile.read(path, dtype="float32")
        recording = soxr.resample(recording, rate, 8000)
        frames.append(recording[len(recording) // 2 :][:8000])
    return np.stack(frames)


def test_released_student_is_its_own_graph(released, shared):
    """From the waveform to the embedding: the file's kapre frontend and convolutions, against ours."""
    sounds = waveforms(shared)
    constants = goldens.kapre_constants(released)
    theirs = released_graph(released, np.stack([goldens.kapre_patch(constants, sound) for sound in sounds]))
    model, frontend = load_released(released)
    ours = model.predict(frontend.patch(sounds), verbose=0)
    assert frontend == preset("sea-8k")
    assert theirs.std(axis=0).max() > 0.1
    # What is left is the float32 of the network and, under pure tones, of the DFT kernels in the file.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-5 * theirs.max())
    np.testing.assert_allclose(
        ours,
        released_graph(released, frontend.patch(sounds)[..., 0]),
        rtol=0,
        atol=2e-6 * theirs.max(),
    )


def test_released_student_has_the_papers_parameters(released):
    model, _ = load_released(released)
    assert figures(model) == figures(students.build("student3", 50, 64, 64))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(
        UsageError, match=r"^There is no file .*none\.h5: give the path of edgel3_sea_ust_audio"
    ):
        load_released(tmp_path / "none.h5")


def test_a_file_that_is_not_hdf5_is_named(tmp_path):
    path = tmp_path / "noise.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(
        EdgeseaError, match=r"noise\.h5 cannot be read as HDF5: fetch the released file again\.$"
    ):
        load_released(path)


def lookalike(path: Path) -> Path:
    """A file with the released one's layout and made-up numbers, for the refusals to be tried anywhere."""
    kapre = {
        "sr": 8000, "n_dft": 1024, "n_hop": 160, "n_mels": 64, "fmin": 0.0, "fmax": 4000.0, "htk": True,
        "norm": 1, "padding": "same", "power_spectrogram": 2.0, "power_melgram": 1.0,
        "return_decibel_spectrogram": False, "return_decibel_melgram": True,
    }  # fmt: skip
    config = {"config": {"layers": [{"class_name": "Melspectrogram", "config": kapre}]}}
    rng = np.random.default_rng(4)
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)

        def put(layer, name, shape):
            values = rng.uniform(0.1, 0.2, shape).astype(np.float32)
            file[f"model_weights/{layer}/{layer}/{name}:0"] = values

        channels = [1, *(count for block in FILTERS["student3"] for count in (block, block))]
        for number, (before, count) in enumerate(itertools.pairwise(channels), start=1):
            layer = "audio_embedding_layer" if number == 8 else f"conv2d_{number}"
            put(layer, "kernel", (3, 3, before, count))
            put(layer, "bias", (count,))
        for number, count in enumerate(channels, start=1):
            for name in ("gamma", "beta", "moving_mean", "moving_variance"):
                put(f"batch_normalization_{number}", name, (count,))
        file.create_group("model_weights/flatten_1")
    return path


def test_any_weights_of_the_layout_give_the_graph_of_the_file(tmp_path):
    path = lookalike(tmp_path / "made_up.h5")
    model, frontend = load_released(path)
    patches = frontend.patch(np.stack([SIGNALS["street"], SIGNALS["chirp"]]))
    theirs = released_graph(path, patches[..., 0])
    np.testing.assert_allclose(model.predict(patches, verbose=0), theirs, rtol=1e-4, atol=1e-4 * theirs.max())


def refusals():
    def changed_frontend(file):
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][0]["config"]["htk"] = False
        file.attrs["model_config"] = json.dumps(config)

    def replaced(name, value):
        def change(file):
            del file[name]
            if value is not None:
                file[name] = value

        return change

    conv = "model_weights/conv2d_3/conv2d_3/kernel:0"
    bias = "model_weights/conv2d_1/conv2d_1/bias:0"
    yield changed_frontend, "its frontend's `htk` is False instead of True"
    yield lambda file: file.attrs.pop("model_config"), "its `model_config` describes no Melspectrogram layer"
    yield (
        lambda file: file.attrs.modify("model_config", "[" * 99999),
        "its `model_config` describes no Melspec",
    )
    yield (
        lambda file: file.attrs.modify("model_config", "[1, 2]"),
        "its `model_config` describes no Melspectro",
    )
    yield replaced(conv, None), f"it has no weight `{conv}`"
    yield replaced(conv, h5py.ExternalLink("nowhere.h5", "/")), f"it has no weight `{conv}`"
    yield (
        replaced(conv, np.zeros((3, 3, 32, 63), np.float32)),
        "the weights for conv3 have shapes [(3, 3, 32, 63)",
    )
    yield replaced(conv, np.zeros((3, 3, 32, 64))), f"its `{conv}` is float64 of shape (3, 3, 32, 64)"
    yield replaced(bias, np.full(32, np.nan, np.float32)), "the weights for conv1 hold NaN or infinity"
    yield replaced(bias, np.float32(1)), "the weights for conv1 have shapes [(3, 3, 1, 32), ()] instead of"
    yield (
        replaced("model_weights/flatten_1", np.zeros(3, np.float32)),
        "it has weights in a further layer `flatten_1`",
    )


@pytest.mark.parametrize(("change", "what"), list(refusals()))
def test_files_that_differ_are_refused(tmp_path, change, what):
    path = lookalike(tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(EdgeseaError) as error:
        load_released(path)
    assert str(error.value).startswith(f"{path} is not the released Student 3: {what}")
    assert str(error.value).endswith("; use edgel3_sea_ust_audio_emb_64.h5.")


def test_a_truncated_file_is_refused(tmp_path):
    whole = lookalike(tmp_path / "whole.h5")
    short = tmp_path / "short.h5"
    shutil.copy(whole, short)
    with open(short, "r+b") as file:
        file.truncate(whole.stat().st_size // 2)
    with pytest.raises(EdgeseaError, match=r"short\.h5 "):
        load_released(short)
