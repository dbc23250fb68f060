"""The sensor program: a WAV through the C frontend and the C model, against NumPy and TFLite on the host."""

import json
import shutil
import subprocess
import wave

import numpy as np
import pytest
import random_graphs
from frontend_program import STRICT, quantised, signals
from random_graphs import Net, options, schema

from edgesea.errors import EdgeseaError
from edgesea.frontend import preset
from edgesea.interpreter import open_interpreter
from edgesea.running import emulator
from firmware_export.compile import compile_model
from firmware_export.frontend import FrontendError
from firmware_export.sensor import SEMIHOSTING, write_sensor

SEA = preset("sea-8k")
YAMNET = preset("yamnet-16k")


def pooling_model(frontend, scale: float, zero_point: int, height: int, width: int) -> bytes:
    """patch -> the largest of every height x width values; with 1 x 1, the patch itself."""
    net = Net(np.random.default_rng(0))
    frames, mels = frontend.frames, frontend.mels
    patch = net.tensor((1, frames, mels, 1), scale=scale, zero_point=zero_point)
    net.shapes[patch] = (1, frames, mels, 1)
    net.inputs.append(patch)
    pooled = net.tensor((1, frames // height, mels // width, 1), scale=scale, zero_point=zero_point)
    pool = options(
        "Pool2D",
        padding=schema.Padding.VALID,
        strideH=height,
        strideW=width,
        filterHeight=height,
        filterWidth=width,
        fusedActivationFunction=0,
    )
    net.add("MAX_POOL_2D", [patch], [pooled], pool)
    return net.bytes([pooled])


def write_wav(path, pcm, rate, *, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(pcm.astype("<i2").tobytes())


def build_for(core: str, folder):
    """The image of everything in `folder` for an emulated core."""
    board = emulator.board_of(core)
    for program in (board.toolchain.prefix + "gcc", board.emulator.program):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    sources = [*sorted(folder.rglob("*.c")), SEMIHOSTING]
    return board, emulator.build(
        board, sources, folder, includes=[folder, folder / "sensor"], libraries=["-lm"]
    )


def decisions(core: str, folder) -> list[dict]:
    board, image = build_for(core, folder)
    return [json.loads(line) for line in hear(board, image, folder).splitlines()]


def hear(board, image, folder) -> str:
    """What the sensor prints on the folder's sound.wav, where there is one."""
    sound = folder / "sound.wav"
    given = {"sound.wav": sound.read_bytes()} if sound.exists() else {}
    return emulator.run(board, image, given=given).printed


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m3"])
def test_the_patch_on_the_core_is_one_step_off_at_most(core, tmp_path):
    # The model is the identity, so a decision's embedding is the patch that the frontend made.
    compiled = compile_model(pooling_model(SEA, 80 / 255, 127, 1, 1), tmp_path, "identity")
    write_sensor(compiled, SEA, tmp_path)
    hard = signals(SEA)
    pcm = np.stack([hard[label] for label in ("tone in noise", "square 8", "silence", "sweep")])
    write_wav(tmp_path / "sound.wav", pcm, 8000)
    found = decisions(core, tmp_path)
    assert [line["samples"] for line in found] == [8000, 16000, 24000, 32000]
    patches = np.array([line["embedding"] for line in found]).reshape(4, 50, 64)
    assert np.abs(patches - quantised(SEA, np.float32(80 / 255), 127, pcm)).max() <= 1
    assert {line["zero_point"] for line in found} == {127}
    assert {np.float32(line["scale"]) for line in found} == {np.float32(80 / 255)}


@pytest.mark.parametrize("core", ["cortex-m4"])
def test_student_3_from_a_recording(core, tmp_path, shared):
    soundfile, soxr = pytest.importorskip("soundfile"), pytest.importorskip("soxr")
    model = shared / "models" / "sea_student3_int8.tflite"
    sound, rate = soundfile.read(sorted((shared / "data" / "esc50-fold4" / "audio").glob("*.flac"))[5])
    pcm = np.clip(np.round(soxr.resample(sound, rate, 8000) * 32768), -32768, 32767).astype(np.int16)[:16000]
    write_wav(tmp_path / "sound.wav", pcm, 8000)
    write_sensor(compile_model(model, tmp_path, "student 3"), SEA, tmp_path)
    found = decisions(core, tmp_path)
    interpreter = open_interpreter(model, resolver="reference")
    patches = SEA.patch(pcm.reshape(2, 8000) / 32768)
    # The released student takes mels first.
    expected = interpreter.run(patches.transpose(0, 2, 1, 3))
    assert len(found) == 2
    for line, wanted in zip(found, expected, strict=True):
        embedding = line["scale"] * (np.array(line["embedding"]) - line["zero_point"])
        cosine = embedding @ wanted / np.linalg.norm(embedding) / np.linalg.norm(wanted)
        assert cosine >= 0.999


_HOST_PORT = r"""
#include <stdio.h>
#include "sensor.h"
size_t sensor_read(int16_t *pcm, size_t count) { return fread(pcm, 2, count < 77 ? count : 77, stdin); }
void sensor_write(const char *text) { fputs(text, stdout); }
int main(void) { return sensor_run(); }
"""


def host_decisions(folder, pcm, compiler="gcc", flags=()) -> list[dict]:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    (folder / "port.c").write_text(_HOST_PORT)
    sources = sorted(folder.rglob("*.c"))
    command = [
        compiler,
        *(flags or ["-std=c99"]),
        "-O1",
        *STRICT,
        f"-I{folder}",
        f"-I{folder / 'sensor'}",
        *sources,
        "-o",
        folder / "program",
    ]
    built = subprocess.run([*command, "-lm"], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    run = subprocess.run(
        [folder / "program"], input=pcm.astype("<i2").tobytes(), capture_output=True, check=True
    )
    return [json.loads(line) for line in run.stdout.splitlines()]


def _yamnet_sensor(folder, **arguments):
    model = pooling_model(YAMNET, 12 / 255, 18, 8, 8)
    write_sensor(compile_model(model, folder, "m"), YAMNET, folder, **arguments)
    return model


@pytest.mark.parametrize("flags", [("-std=c99",), ("-std=c99", "-fsanitize=address,undefined")])
def test_embeddings_are_those_of_tflite_on_the_same_sound(flags, tmp_path):
    model = _yamnet_sensor(tmp_path)
    pcm = np.random.default_rng(0).normal(0, 2000, 16000 * 3).astype(np.int16)
    found = host_decisions(tmp_path, pcm, flags=flags)
    # 15,600 samples make a patch; 98 hops of 160 come nearest to hearing each sample once.
    assert [line["samples"] for line in found] == [15600, 15600 + 98 * 160, 15600 + 2 * 98 * 160]
    for line in found:
        patch = pcm[line["samples"] - 15600 : line["samples"]]
        expected = quantised(YAMNET, np.float32(12 / 255), 18, patch[None]).astype(np.int8)
        (output,) = random_graphs.reference(model, [expected.reshape(1, 96, 64, 1)])
        assert np.abs(np.array(line["embedding"]) - output.ravel().astype(int)).max() <= 1


def test_it_decides_as_often_as_asked(tmp_path):
    _yamnet_sensor(tmp_path, every_s=0.5)
    found = host_decisions(tmp_path, np.zeros(16000 * 3, np.int16))
    assert [line["samples"] for line in found] == list(range(15600, 48001, 8000))


def test_it_compiles_as_cpp(tmp_path):
    _yamnet_sensor(tmp_path)
    found = host_decisions(tmp_path, np.zeros(15600, np.int16), "g++", ("-x", "c++", "-std=c++11"))
    assert len(found) == 1


@pytest.fixture(scope="module")
def emulated_sensor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emulated")
    _yamnet_sensor(folder)
    return build_for("cortex-m4", folder)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "sound.wav is not there"),
        (lambda path: path.write_bytes(b"OggS" * 20), "sound.wav is not a WAV file"),
        (
            lambda path: write_wav(path, np.zeros(100), 44100),
            "has to be 16-bit PCM, one channel, at the model's",
        ),
        (lambda path: write_wav(path, np.zeros(100), 16000, channels=2), "has to be 16-bit PCM, one channel"),
        (lambda path: write_wav(path, np.zeros(100), 16000, width=1), "has to be 16-bit PCM, one channel"),
        (lambda path: path.write_bytes(b"RIFF\0\0\0\0WAVEfmt \xff\0\0\0ab"), "sound.wav holds no sound"),
        (
            lambda path: path.write_bytes(b"RIFF\0\0\0\0WAVELIST\xff\0\0\0ab"),
            "sound.wav ends before its sound",
        ),
        (lambda path: path.write_bytes(b"RIFF\0\0\0\0WAVE"), "sound.wav holds no sound"),
    ],
)
def test_sound_that_the_emulated_sensor_refuses(make, sentence, tmp_path, emulated_sensor):
    board, image = emulated_sensor
    make(tmp_path / "sound.wav")
    with pytest.raises(EdgeseaError, match=sentence):
        hear(board, image, tmp_path)


def test_models_that_it_does_not_run(tmp_path):
    net = Net(np.random.default_rng(0))
    inputs = [net.input((1, 50, 64, 1)), net.input((1, 50, 64, 1))]
    total = net.value((1, 50, 64, 1), 0.3)
    net.add("ADD", inputs, [total], options("Add", fusedActivationFunction=0))
    compiled = compile_model(net.bytes([total]), tmp_path / "two", "two")
    before = sorted((tmp_path / "two").iterdir())
    with pytest.raises(
        FrontendError, match="has these inputs: int8, int8; the sensor program runs a model with one"
    ):
        write_sensor(compiled, SEA, tmp_path / "two")
    compiled = compile_model(pooling_model(SEA, 0.3, 0, 1, 1), tmp_path / "other", "other")
    with pytest.raises(
        FrontendError, match="shape 1x50x64x1, the frontend yamnet-16k makes patches of 96x64"
    ):
        write_sensor(compiled, YAMNET, tmp_path / "other")
    assert sorted((tmp_path / "two").iterdir()) == before
