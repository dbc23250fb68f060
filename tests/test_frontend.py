"""The frontend against programs that nobody here wrote, against itself in TensorFlow, and against bad input.

Stored patches (tests/golden/frontend) carry the checks where ../shared is absent.
"""

import dataclasses
import importlib.util
import json
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesea.errors import EdgeseaError, UsageError
from edgesea.frontend import PRESETS, Frontend, preset

_SPEC = importlib.util.spec_from_file_location(
    "make_frontend_goldens", Path(__file__).parent / "golden" / "make_frontend_goldens.py"
)
goldens = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(goldens)

SEA, YAMNET, OPENL3 = (PRESETS[name] for name in ("sea-8k", "yamnet-16k", "openl3-48k"))
SIGNALS = sorted(goldens.signals(8000, 8000))
# Under these the released file's own float32 rounding of its DFT kernels shows, up to 0.015 dB at -64 dB.
TONAL = {"tone_440", "tone_1000", "chirp"}
KAPRE_TOLERANCE = {name: 0.03 if name in TONAL else 1e-4 for name in SIGNALS}


def sound(frontend: Frontend, name: str) -> np.ndarray:
    return goldens.signals(frontend.sample_rate, frontend.samples)[name]


def stored(frontend: Frontend, name: str) -> np.ndarray:
    with np.load(goldens.FOLDER / f"{frontend.name}.npz", allow_pickle=False) as file:
        return file[name]


def patch(frontend: Frontend, waveform: np.ndarray) -> np.ndarray:
    return frontend.patch(waveform)[0, :, :, 0]


def yamnet_in_int8(waveform: np.ndarray) -> np.ndarray:
    """The patch of `yamnet-16k` with the roundings of yamnet.tflite: (15600,) -> (96, 64).

    That file keeps the DFT and the mel matrix in int8, and TFLite rounds what goes into them to int8, row by
    row.
    Everything else comes from the frontend. (The file puts the window in the middle of the DFT, 56 zeros on
    either side; only the phase, and so the rounding, can tell.)
    """
    f = YAMNET
    rows = np.lib.stride_tricks.sliding_window_view(waveform, f.window_length)[:: f.hop]
    rows = np.pad(rows * f.window_values().astype(np.float32), ((0, 0), (56, 56)))
    angle = 2 * np.pi * np.outer(np.arange(f.fft_size), np.arange(f.bins)) / f.fft_size
    rows = rounded_to_int8(rows)
    magnitude = np.hypot(rows @ np.round(127 * np.cos(angle)), rows @ np.round(127 * np.sin(angle))) / 127
    step = f.mel_matrix().max() / 127
    mel = rounded_to_int8(magnitude.astype(np.float32)) @ (np.round(f.mel_matrix() / step) * step)
    return np.log(mel + f.offset)


def rounded_to_int8(rows: np.ndarray) -> np.ndarray:
    """TFLite's symmetric rounding of float32 rows to 127 steps of their largest magnitude, as float64."""
    largest = np.abs(rows).max(axis=1, keepdims=True)
    steps = rows * np.divide(np.float32(127), largest, where=largest > 0, out=np.zeros_like(largest))
    return np.copysign(np.floor(np.abs(steps) + np.float32(0.5)), steps) * (largest.astype(np.float64) / 127)


# The three presets against other programs' patches.


@pytest.mark.parametrize("name", SIGNALS)
def test_sea_is_the_released_graph(name):
    np.testing.assert_allclose(
        patch(SEA, sound(SEA, name)), stored(SEA, name), rtol=0, atol=KAPRE_TOLERANCE[name]
    )


@pytest.mark.parametrize("name", SIGNALS)
def test_openl3_is_librosa(name):
    ours = patch(OPENL3, sound(OPENL3, name))[goldens.OPENL3_ROWS]
    np.testing.assert_allclose(ours, stored(OPENL3, name), rtol=0, atol=1e-4)


def assert_yamnet(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within 1e-4 but for one value in a thousand: between two int8 steps a rounding may go either way."""
    off = np.abs(ours - theirs) > 1e-4
    assert off.mean() <= 0.001, f"{off.sum()} of {off.size} values differ by more than 1e-4"


@pytest.mark.parametrize("name", SIGNALS)
def test_yamnet_is_the_tflite_file_up_to_its_int8(name):
    assert_yamnet(yamnet_in_int8(sound(YAMNET, name)), stored(YAMNET, name))


@pytest.mark.parametrize(
    ("name", "mean"), [("silence", 1e-6), ("clicks", 1e-3), ("noise", 0.01), ("quiet", 0.01)]
)
def test_yamnet_is_the_tflite_file_where_int8_does_not_matter(name, mean):
    assert np.abs(patch(YAMNET, sound(YAMNET, name)) - stored(YAMNET, name)).mean() < mean


def real_frames(shared: Path, frontend: Frontend) -> list[np.ndarray]:
    """A frame out of the middle of five recordings."""
    paths = sorted((shared / "data" / "esc50-fold4" / "audio").glob("*.flac"))[::45]
    frames = []
    for path in paths:
        recording, rate = soundfile.read(path, dtype="float32")
        recording = soxr.resample(recording, rate, frontend.sample_rate)
        frames.append(recording[len(recording) // 2 :][: frontend.samples])
    return frames


def test_sea_is_the_released_graph_on_recordings(shared):
    constants = goldens.kapre_constants(shared / "models" / "edgel3_sea_ust_audio_emb_64.h5")
    frames = [*real_frames(shared, SEA), sound(SEA, "street")]
    for frame in frames:
        np.testing.assert_allclose(
            patch(SEA, frame), goldens.kapre_patch(constants, frame), rtol=0, atol=0.01
        )


def test_yamnet_is_the_tflite_file_on_recordings(shared):
    tflite = shared / "models" / "yamnet.tflite"
    for frame in [*real_frames(shared, YAMNET), sound(YAMNET, "street")]:
        assert_yamnet(yamnet_in_int8(frame), goldens.yamnet_patch(tflite, frame))


def test_openl3_is_librosa_on_recordings(shared):
    for frame in real_frames(shared, OPENL3):
        np.testing.assert_allclose(patch(OPENL3, frame), goldens.openl3_patch(frame), rtol=0, atol=1e-4)


def test_the_released_file_has_the_same_window_dft_and_mel_matrix(shared):
    constants = goldens.kapre_constants(shared / "models" / "edgel3_sea_ust_audio_emb_64.h5")
    angle = 2 * np.pi * np.outer(np.arange(SEA.fft_size), np.arange(SEA.bins)) / SEA.fft_size
    window = SEA.window_values()[:, None]
    np.testing.assert_allclose(constants["real"][:, 0, 0], window * np.cos(angle), rtol=0, atol=1e-7)
    np.testing.assert_allclose(np.abs(constants["imag"][:, 0, 0]), np.abs(window * np.sin(angle)), atol=1e-7)
    np.testing.assert_allclose(constants["mel"], SEA.mel_matrix(), rtol=0, atol=1e-8)


def test_yamnet_tflite_has_the_same_window_and_mel_matrix(shared):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(shared / "models" / "yamnet.tflite"))
    interpreter.allocate_tensors()
    tensors = {detail["name"]: detail for detail in interpreter.get_tensor_details()}
    window = interpreter.get_tensor(tensors["yamnet_frames/tf_op_layer_Mul/Mul/y"]["index"])[0]
    np.testing.assert_allclose(window, YAMNET.window_values(), rtol=0, atol=1e-7)
    mel = tensors["yamnet_frames/tf_op_layer_MatMul_2/MatMul_2"]
    steps = interpreter.get_tensor(mel["index"]).T
    scale = mel["quantization_parameters"]["scales"][0]
    np.testing.assert_array_equal(steps, np.round(YAMNET.mel_matrix() / scale))


# The mel matrix against librosa's and TensorFlow's, beyond the presets.


def log_mel(**changes) -> Frontend:
    """A small frontend to vary."""
    fields = {
        "name": "small", "sample_rate": 16000, "samples": 4000, "fft_size": 512, "window_length": 400,
        "hop": 200, "padding": "valid", "frames": 19, "power": 2, "mels": 20, "mel_scale": "htk",
        "fmin": 60.0, "fmax": 7600.0, "log": "db", "amin": 1e-10,
    }  # fmt: skip
    return Frontend(**{**fields, **changes})


mel_parameters = st.fixed_dictionaries(
    {
        "sample_rate": st.sampled_from([8000, 16000, 22050, 44100, 48000]),
        "mels": st.integers(1, 128),
        "fmin": st.floats(0, 1500),
        "fmax": st.floats(1600, 4000),
    }
)


@settings(deadline=None)
@given(mel_parameters, st.sampled_from(["htk", "slaney"]), st.sampled_from([None, "slaney"]))
@pytest.mark.filterwarnings("ignore:Empty filters")
def test_mel_matrix_is_librosas(parameters, scale, norm):
    ours = log_mel(**parameters, mel_scale=scale, mel_norm=norm).mel_matrix()
    theirs = librosa.filters.mel(
        sr=parameters["sample_rate"], n_fft=512, n_mels=parameters["mels"], fmin=parameters["fmin"],
        fmax=parameters["fmax"], htk=scale == "htk", norm=norm, dtype=np.float64,
    ).T  # fmt: skip
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


@settings(deadline=None, max_examples=30)
@given(mel_parameters)
def test_mel_matrix_with_mel_slopes_is_tensorflows(parameters):
    ours = log_mel(**parameters, mel_slopes="mel").mel_matrix()
    theirs = tf.signal.linear_to_mel_weight_matrix(
        parameters["mels"], 257, parameters["sample_rate"], parameters["fmin"], parameters["fmax"], tf.float64
    )
    # TensorFlow writes the scale as 1127 ln(1 + f / 700), which is 2595 log10 to six digits.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


def test_mel_matrix_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        SEA.mel_matrix()[0, 0] = 1


# TensorFlow against NumPy.


@pytest.mark.parametrize("frontend", PRESETS.values(), ids=PRESETS)
def test_tensorflow_agrees_on_every_signal(frontend):
    waveforms = np.stack(list(goldens.signals(frontend.sample_rate, frontend.samples).values()))
    graph = tf.function(
        frontend.tensorflow_patch, input_signature=[tf.TensorSpec((None, frontend.samples), tf.float32)]
    )
    theirs = graph(waveforms)
    assert theirs.dtype == tf.float32
    np.testing.assert_allclose(theirs, frontend.patch(waveforms), rtol=1e-5, atol=1e-5)


def test_tensorflow_works_in_a_dataset():
    waveforms = np.stack([sound(SEA, "street"), sound(SEA, "noise"), sound(SEA, "clicks")])
    dataset = tf.data.Dataset.from_tensor_slices(waveforms).batch(2).map(SEA.tensorflow_patch)
    assert dataset.element_spec.shape.as_list() == [None, 50, 64, 1]
    np.testing.assert_allclose(
        np.concatenate(list(dataset.as_numpy_iterator())), SEA.patch(waveforms), rtol=1e-5, atol=1e-5
    )


def test_tensorflow_takes_one_waveform():
    np.testing.assert_allclose(
        SEA.tensorflow_patch(tf.constant(sound(SEA, "chirp"))), SEA.patch(sound(SEA, "chirp")), rtol=1e-5
    )


@st.composite
def frontends(draw) -> Frontend:
    """Any frontend of a small size: every choice of every field."""
    window_length = draw(st.integers(8, 128))
    hop = draw(st.integers(1, 150))
    samples = draw(st.integers(window_length, 600))
    padding = draw(st.sampled_from(["valid", "same", "centre"]))
    rows = {
        "valid": 1 + (samples - window_length) // hop,
        "same": int(np.ceil(samples / hop)),
        "centre": 1 + (samples + window_length // 2 * 2 - window_length) // hop,
    }
    reference = draw(st.sampled_from(["one", "max"]))
    return Frontend(
        name="drawn",
        sample_rate=8000,
        samples=samples,
        fft_size=draw(st.sampled_from([128, 256])),
        window_length=window_length,
        hop=hop,
        padding=padding,
        frames=rows[padding],
        power=draw(st.sampled_from([1, 2])),
        mels=draw(st.integers(1, 20)),
        mel_scale=draw(st.sampled_from(["htk", "slaney"])),
        mel_slopes=draw(st.sampled_from(["hz", "mel"])),
        mel_norm=draw(st.sampled_from([None, "slaney"])),
        fmin=draw(st.sampled_from([0.0, 100.0])),
        fmax=draw(st.sampled_from([3000.0, 4000.0])),
        root=draw(st.sampled_from([1, 2])),
        log=draw(st.sampled_from(["db", "ln"])),
        offset=draw(st.sampled_from([0.0, 0.001])),
        amin=draw(st.sampled_from([1e-10, 1e-5])),
        reference=reference,
        floor=draw(st.sampled_from([None, -80.0] if reference == "max" else [None, -3.0, 0.0])),
    )


@settings(deadline=None, max_examples=40)
@given(frontends(), st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_any_frontend_in_both_implementations(frontend, seed, batch):
    waveforms = np.random.default_rng(seed).uniform(-1, 1, (batch, frontend.samples)).astype(np.float32)
    ours = frontend.patch(waveforms)
    assert ours.shape == (batch, *frontend.patch_shape)
    assert ours.dtype == np.float32
    assert np.isfinite(ours).all()
    np.testing.assert_allclose(frontend.tensorflow_patch(waveforms), ours, rtol=1e-5, atol=1e-5)


@settings(deadline=None)
@given(frontends(), st.integers(0, 2**32 - 1))
def test_any_frontend_is_its_definition(frontend, seed):
    """Steps 1 to 6 of the module, written out naively for one row."""
    f = frontend
    x = np.random.default_rng(seed).uniform(-1, 1, f.samples)
    row = seed % f.frames
    first = row * f.hop - f.left_padding
    place = np.arange(first, first + f.window_length)
    cut = np.where((place >= 0) & (place < f.samples), x[np.clip(place, 0, f.samples - 1)], 0)
    phase = np.exp(-2j * np.pi * np.outer(np.arange(f.bins), np.arange(f.window_length)) / f.fft_size)
    mel = np.abs(phase @ (cut * f.window_values())) ** f.power @ f.mel_matrix()
    value = np.log(np.maximum(mel ** (1 / f.root) + f.offset, f.amin))
    value = value * 10 / np.log(10) if f.log == "db" else value
    ours = patch(f, x)[row]
    if f.reference == "max":
        # The reference is another row's, unless this one holds it: compare the row's shape.
        floor = -np.inf if f.floor is None else f.floor
        above = (ours > floor + 1e-3) & (ours[np.argmax(value)] > floor + 1e-3)
        np.testing.assert_allclose(
            (ours - ours[np.argmax(value)])[above], (value - value.max())[above], atol=1e-3
        )
    else:
        np.testing.assert_allclose(
            ours, np.maximum(value, -np.inf if f.floor is None else f.floor), atol=1e-4
        )


# Properties.


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(SIGNALS), st.floats(0.1, 1.0))
def test_gain_does_not_matter_under_the_maximum(name, gain):
    """Down to where `amin` lies 80 dB below the maximum, and lifts the floor: a 30th of these clicks."""
    x = sound(SEA, name).astype(np.float64)
    np.testing.assert_allclose(SEA.patch(gain * x), SEA.patch(x), rtol=0, atol=1e-4)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 1.0))
def test_gain_is_an_offset_in_decibels_without_a_reference(gain):
    frontend = log_mel(amin=1e-30)
    x = goldens.signals(16000, 4000)["noise"].astype(np.float64)
    expected = frontend.patch(x) + np.float32(20 * np.log10(gain))
    np.testing.assert_allclose(frontend.patch(gain * x), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("frontend", PRESETS.values(), ids=PRESETS)
def test_silence_is_finite(frontend):
    expected = {"sea-8k": 0.0, "openl3-48k": 0.0, "yamnet-16k": np.log(0.001)}[frontend.name]
    np.testing.assert_allclose(patch(frontend, np.zeros(frontend.samples, np.float32)), expected, rtol=1e-6)


@pytest.mark.parametrize("frontend", [SEA, OPENL3], ids=["sea-8k", "openl3-48k"])
def test_patches_lie_between_the_floor_and_zero(frontend):
    patches = frontend.patch(np.stack(list(goldens.signals(frontend.sample_rate, frontend.samples).values())))
    assert patches.min() == -80
    assert (patches.max(axis=(1, 2, 3)) == 0).all()


def test_a_patch_does_not_depend_on_its_batch():
    rng = np.random.default_rng(1)
    waveforms = rng.uniform(-1, 1, (23, SEA.samples)).astype(np.float32)
    together = SEA.patch(waveforms)
    alone = np.concatenate([SEA.patch(waveform) for waveform in waveforms])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


def test_an_empty_batch_gives_no_patch():
    assert SEA.patch(np.zeros((0, 8000), np.float32)).shape == (0, 50, 64, 1)


def test_a_tone_lands_in_its_mel_band():
    for frequency in (500, 1000, 3000):
        x = np.sin(2 * np.pi * frequency * np.arange(8000) / 8000)
        centre = SEA.mel_matrix()[frequency * 1024 // 8000].argmax()
        assert patch(SEA, x)[25].argmax() == centre


def test_a_click_lands_in_its_row():
    x = np.zeros(8000, np.float32)
    x[20 * 160 + 1024 // 2 - 432] = 1
    assert patch(SEA, x).sum(axis=1).argmax() == 20


def test_rows_without_padding_are_the_same_wherever_they_are():
    x = np.random.default_rng(2).uniform(-1, 1, YAMNET.samples + 5 * YAMNET.hop)
    early, late = patch(YAMNET, x[: YAMNET.samples]), patch(YAMNET, x[5 * YAMNET.hop :])
    np.testing.assert_allclose(early[5:], late[:-5], rtol=0, atol=1e-6)


def test_padding_is_tensorflows_and_librosas():
    assert (SEA.left_padding, SEA.right_padding) == (432, 432)
    assert (OPENL3.left_padding, OPENL3.right_padding) == (1024, 940)
    odd = log_mel(padding="same", samples=4001, frames=21)
    assert (odd.left_padding, odd.right_padding) == (199, 200)


# As a value.


@pytest.mark.parametrize("frontend", PRESETS.values(), ids=PRESETS)
def test_to_dict_and_back_through_json_and_toml(frontend):
    tomllib = pytest.importorskip("tomllib" if importlib.util.find_spec("tomllib") else "tomli")
    fields = frontend.to_dict()
    assert None not in fields.values()
    assert Frontend.from_dict(json.loads(json.dumps(fields))) == frontend
    assert Frontend.from_dict(tomllib.loads(tomli_w.dumps(fields))) == frontend
    assert hash(Frontend.from_dict(fields)) == hash(frontend)


def test_from_dict_refuses_what_it_does_not_know():
    with pytest.raises(
        UsageError, match=r"unknown field `silence_threshold`: remove it, or use one of name, "
    ):
        Frontend.from_dict({**SEA.to_dict(), "silence_threshold": 0.1})


def test_from_dict_refuses_what_lacks_a_field():
    fields = SEA.to_dict()
    del fields["hop"]
    with pytest.raises(UsageError, match=r"^The frontend lacks the field `hop`: add it\.$"):
        Frontend.from_dict(fields)


def test_a_frontend_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SEA.hop = 80


def test_presets_are_found_by_name():
    assert preset("sea-8k") is SEA
    assert all(name == frontend.name for name, frontend in PRESETS.items())
    with pytest.raises(UsageError, match=r"no frontend 'sea-16k': use one of sea-8k, yamnet-16k, openl3-48k"):
        preset("sea-16k")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "`name` is '': it has to be a text that is not empty."),
        ({"hop": 0}, "`hop` is 0: it has to be a positive integer."),
        ({"hop": 200.0}, "`hop` is 200.0: it has to be a positive integer."),
        ({"mels": True}, "`mels` is True: it has to be a positive integer."),
        ({"window": "hamming"}, "`window` is 'hamming': it has to be one of 'hann'."),
        ({"padding": "center"}, "`padding` is 'center': it has to be one of 'valid', 'same', 'centre'."),
        ({"power": 3}, "`power` is 3: it has to be one of 1, 2."),
        ({"power": True}, "`power` is True: it has to be one of 1, 2."),
        ({"root": 0}, "`root` is 0: it has to be one of 1, 2."),
        ({"mel_scale": "bark"}, "`mel_scale` is 'bark': it has to be one of 'htk', 'slaney'."),
        ({"mel_slopes": "x"}, "`mel_slopes` is 'x': it has to be one of 'hz', 'mel'."),
        ({"mel_norm": 1}, "`mel_norm` is 1: it has to be one of None, 'slaney'."),
        ({"mel_norm": ["slaney"]}, "`mel_norm` is ['slaney']: it has to be one of None, 'slaney'."),
        ({"log": "log2"}, "`log` is 'log2': it has to be one of 'db', 'ln'."),
        ({"reference": "mean"}, "`reference` is 'mean': it has to be one of 'one', 'max'."),
        ({"fft_size": 500}, "`fft_size` is 500: it has to be a power of two, 2 or more."),
        ({"fft_size": 256}, "`window_length` is 400: it has to be at most the fft_size, 256."),
        ({"fmin": -1.0}, "`fmin` is -1.0: it has to be 0 or more."),
        ({"fmax": 60.0}, "`fmax` is 60.0: it has to be above fmin (60) and at most half"),
        ({"fmax": 8001}, "`fmax` is 8001.0: it has to be above fmin (60) and at most half"),
        ({"fmax": float("nan")}, "`fmax` is nan: it has to be a finite number."),
        ({"fmax": "7600"}, "`fmax` is '7600': it has to be a finite number."),
        ({"offset": -0.1}, "`offset` is -0.1: it has to be 0 or more."),
        ({"amin": 0.0}, "`amin` is 0.0: it has to be 0 or more, and above 0 where `offset` is 0"),
        ({"amin": -1e-10, "offset": 0.1}, "`amin` is -1e-10: it has to be 0 or more"),
        ({"floor": 0, "reference": "max"}, "`floor` is 0.0: it has to be below 0 where the reference is"),
        ({"frames": 20}, "`frames` is 20: it has to be 19, as 4000 samples with a window of 400, a hop"),
        ({"samples": 399}, "`samples` is 399: it has to be at least the window_length, 400, without"),
    ],
)  # fmt: skip
def test_bad_fields_are_named(changes, message):
    with pytest.raises(UsageError) as error:
        log_mel(**changes)
    assert str(error.value).startswith(f"The frontend's {message}")


@pytest.mark.parametrize("shape", [(7999,), (8000, 1), (2, 3, 8000), ()])
def test_waveforms_of_another_shape_are_refused(shape):
    with pytest.raises(UsageError) as error:
        SEA.patch(np.zeros(shape, np.float32))
    assert str(error.value) == (
        "The frontend sea-8k takes waveforms of shape (8000,) or (B, 8000), "
        f"received {shape}: cut or pad the sound to 8000."
    )


def test_integer_waveforms_are_refused():
    with pytest.raises(
        UsageError, match=r"takes floating-point waveforms in \[-1, 1\], received int16: divide"
    ):
        SEA.patch(np.zeros(8000, np.int16))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_waveforms_that_are_not_finite_are_refused(value):
    waveforms = np.zeros((2, 8000), np.float32)
    waveforms[1, 17] = value
    with pytest.raises(
        EdgeseaError, match="given to the frontend sea-8k holds NaN or infinity: set such audio aside"
    ):
        SEA.patch(waveforms)
