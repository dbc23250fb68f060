"""The integers of listen.py against the C frontend, to the byte: on this machine and on emulated cores."""

import re
import shutil

import numpy as np
import pytest
from frontend_program import ARITHMETICS, FrontendProgram, signals
from hypothesis import given, settings
from hypothesis import strategies as st
from test_c_frontend import _EMULATED, INPUTS, RANDOM

from edgesea.listen import listen
from edgesea.running import emulator
from firmware_export import frontend as c_frontend
from firmware_export.emit import RUNTIME
from firmware_export.frontend import frontend_sources, integer_tables

ALL = {**INPUTS, **RANDOM}


def ears_of(name: str) -> listen.Ears:
    frontend, scale, zero_point = ALL[name]
    return listen.Ears(frontend.to_dict(), integer_tables(frontend, scale=scale, zero_point=zero_point))


# For integers alone on a machine with an FPU, and where there is none, nor a long product.
@pytest.fixture(scope="module", params=["float", "fixed-thumb"])
def program(request, tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder, integer = tmp_path_factory.mktemp(request.param), request.param == "float"
    running = FrontendProgram(folder, ALL, ARITHMETICS[request.param], integer=integer)
    yield running
    running.close()


@pytest.mark.parametrize("name", list(ALL))
def test_hard_signals(program, name):
    ears = ears_of(name)
    hard = signals(ALL[name][0])
    # The largest is slow to make.
    labels = list(hard)[::8] if name == "openl3" else list(hard)
    for label in labels:
        pcm = hard[label]
        assert np.array_equal(program.patches(name, pcm)[0], ears.patch(pcm[: ears.reach])), label


@st.composite
def sounds(draw, count: int):
    """Tones, noise, clicks and steps of any level, and silence between them."""
    n = np.arange(count)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sound = np.zeros(count)
    for kind in draw(st.lists(st.sampled_from(["tone", "noise", "click", "step", "gap"]), max_size=4)):
        strength = 2.0 ** draw(st.floats(-1, 16))
        at = draw(st.integers(0, count - 1))
        if kind == "tone":
            sound += strength * np.sin(draw(st.floats(0, np.pi)) * n)
        elif kind == "noise":
            sound += random.normal(0, strength, count)
        elif kind == "click":
            sound[at] += strength
        elif kind == "step":
            sound[at:] += strength
        else:
            sound[at : at + count // 3] = 0
    return np.clip(np.round(sound), -32768, 32767).astype(np.int16)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_random_sound(program, data):
    name = data.draw(st.sampled_from([name for name in ALL if name != "openl3"]))
    pcm = data.draw(sounds(ALL[name][0].samples))
    ears = ears_of(name)
    assert np.array_equal(program.patches(name, pcm)[0], ears.patch(pcm[: ears.reach]))


def test_a_stream_is_its_frames(program):
    """Rows of one stream, shared by the patches in C, are those of each frame alone."""
    ears = ears_of("yamnet")
    pcm = np.random.default_rng(0).normal(0, 3000, ears.reach + 5 * ears.hop).astype(np.int16)
    found = program.patches("yamnet", pcm, 111)
    frames = list(listen.Framer(ears, 1).push(pcm))
    assert len(found) == len(frames) == 6
    assert all(np.array_equal(a, ears.patch(b)) for a, (_, b) in zip(found, frames, strict=True))


def test_real_sound(program, shared):
    soundfile, soxr = pytest.importorskip("soundfile"), pytest.importorskip("soxr")
    for path in sorted((shared / "data" / "esc50-fold4" / "audio").glob("*.flac"))[::40]:
        sound, rate = soundfile.read(path)
        for name in ("sea", "yamnet"):
            ears = ears_of(name)
            pcm = np.clip(np.round(soxr.resample(sound, rate, ears.rate) * 32768), -32768, 32767)
            pcm = pcm.astype(np.int16)[: ears.reach]
            assert np.array_equal(program.patches(name, pcm)[0], ears.patch(pcm)), path.name


def test_the_tables_are_those_of_the_c_code():
    text = (RUNTIME / "edgesea_scaled.c").read_text()
    tables = [
        [int(each) for each in re.findall(r"\d+", body)] for body in re.findall(r"\] = \{(.*?)\}", text, re.S)
    ]
    assert tables == [listen.LOGARITHMS.tolist(), listen.ROOTS.tolist()]


def test_one_frontend_of_integers_is_the_same_text_for_every_core():
    frontend, scale, zero_point = INPUTS["sea"]
    text = frontend_sources(frontend, "x", scale=scale, zero_point=zero_point, integer=True)["x_frontend.c"]
    assert "EDGESEA_FRONTEND_FLOAT" not in text


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m0plus"])
def test_emulated_cores(core, tmp_path):
    board = emulator.board_of(core)
    for program in (board.toolchain.prefix + "gcc", board.emulator.program):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    for name in ("sea", "yamnet"):
        frontend, scale, zero_point = INPUTS[name]
        folder = tmp_path / name
        folder.mkdir()
        written = frontend_sources(frontend, "dut", scale=scale, zero_point=zero_point, integer=True)
        for file, text in {**written, "main.c": _EMULATED}.items():
            (folder / file).write_text(text)
        ears, hard = ears_of(name), signals(frontend)
        labels = ["noise", "silence", "tone 2", "square 2", "full scale down", "click at 1", "brown noise"]
        pcm = np.stack([hard[label] for label in labels])
        sources = [*folder.glob("*.c"), *(RUNTIME / file for file in c_frontend.SOURCES)]
        image = emulator.build(board, sources, folder, includes=[RUNTIME, folder], libraries=["-lm"])
        wanted = {"patches.bin": len(pcm) * frontend.frames * frontend.mels, "ticks.bin": 8 * len(pcm)}
        files = emulator.run(
            board, image, given={"pcm.bin": pcm.astype("<i2").tobytes()}, wanted=wanted
        ).files
        found = np.frombuffer(files["patches.bin"], np.int8).reshape(-1, frontend.frames, frontend.mels)
        for label, a, b in zip(labels, found, pcm, strict=True):
            assert np.array_equal(a, ears.patch(b[: ears.reach])), label
