"""The C frontend against the NumPy reference: one int8 step at most, everywhere, in every arithmetic."""

import dataclasses
import shutil
import subprocess

import frontend_program
import numpy as np
import pytest
from frontend_program import ARITHMETICS, SANITIZERS, STRICT, FrontendProgram, quantised, signals
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesea.frontend import Frontend, preset
from edgesea.running import emulator
from firmware_export import frontend as c_frontend
from firmware_export.emit import RUNTIME
from firmware_export.frontend import FrontendError, frontend_sources

# (frontend, scale, zero point) as calibration on real sound gives them.
INPUTS = {
    "sea": (preset("sea-8k"), 80 / 255, 127),
    "yamnet": (preset("yamnet-16k"), 12 / 255, 18),
    "openl3": (preset("openl3-48k"), 80 / 255, 127),
}


def _rows(padding: str, samples: int, window: int, hop: int) -> int:
    if padding == "same":
        return -(-samples // hop)
    return 1 + (samples + (2 * (window // 2) if padding == "centre" else 0) - window) // hop


def random_input(seed: int):
    """A frontend of any kind that the value allows, small, with a model's scale and zero point."""
    r = np.random.default_rng(seed)
    size = int(2 ** r.integers(4, 12))
    window = int(r.integers(max(4, size // 2), size + 1))
    hop = int(r.integers(1 + window // 8, window + window // 2))
    padding = str(r.choice(["valid", "same", "centre"]))
    samples = window + int(r.integers(0, 12)) * hop + int(r.integers(0, hop))
    rate = int(r.choice([8000, 16000, 22050]))
    frontend = Frontend(
        name=f"random {seed}",
        sample_rate=rate,
        samples=samples,
        fft_size=size,
        window_length=window,
        hop=hop,
        padding=padding,
        frames=_rows(padding, samples, window, hop),
        power=int(r.integers(1, 3)),
        mels=int(r.integers(1, max(3, size // 8))),
        mel_scale=str(r.choice(["htk", "slaney"])),
        mel_slopes=str(r.choice(["hz", "mel"])),
        mel_norm=[None, "slaney"][r.integers(2)],
        fmin=float(r.choice([0, 0.01])) * rate,
        fmax=float(r.choice([0.4, 0.5])) * rate,
        root=int(r.integers(1, 3)),
        log=str(r.choice(["db", "ln"])),
        offset=float(r.choice([0, 1e-3, 1e-6])),
        amin=float(r.choice([1e-10, 1e-5])),
        reference=str(r.choice(["one", "max"])),
        floor=[None, -60.0][r.integers(2)],
    )
    # A range such as calibration on sound would find: 60 to 100 dB of magnitudes, or as many nepers.
    span = float(r.uniform(60, 100)) / (1 if frontend.log == "db" else 8.7)
    scale = span / 255
    top = 0.0 if frontend.reference == "max" else float(r.uniform(0, 0.4)) * span
    return frontend, scale, int(np.clip(round(127 - top / scale), -128, 127))


RANDOM = {f"random{seed}": random_input(seed) for seed in range(14)}


@pytest.fixture(scope="module", params=list(ARITHMETICS))
def program(request, tmp_path_factory):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    running = FrontendProgram(folder, {**INPUTS, **RANDOM}, ARITHMETICS[request.param])
    running.arithmetic = request.param
    yield running
    running.close()


@pytest.mark.parametrize("name", ["sea", "yamnet"])
def test_hard_signals_are_one_step_off_at_most(program, name):
    equal = []
    for label, pcm in signals(INPUTS[name][0]).items():
        steps = program.steps(name, pcm)
        assert steps.max() <= 1, label
        equal.append(np.mean(steps == 0))
    # One step is for values next to a border between two steps: nearly all are the same.
    assert np.mean(equal) > 0.98


def test_the_largest_preset(program):
    for label in ("silence", "noise", "tone 1", "tone 1023.0", "square 2", "tone in noise", "click at 1024"):
        assert program.steps("openl3", signals(INPUTS["openl3"][0])[label]).max() <= 1, label


@pytest.mark.parametrize("name", list(RANDOM))
def test_any_frontend(program, name):
    for label, pcm in signals(RANDOM[name][0]).items():
        assert program.steps(name, pcm, chunk=37).max() <= 1, (label, RANDOM[name])


@st.composite
def _sounds(draw, frontend):
    """Sums of a few tones, clicks, steps and noises of any level."""
    n = np.arange(frontend.samples)
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sound = np.zeros(n.size)
    for kind in draw(
        st.lists(st.sampled_from(["tone", "exact", "noise", "click", "step", "burst"]), max_size=4)
    ):
        level = 2.0 ** draw(st.floats(-1, 16))
        if kind == "tone":
            sound += level * np.sin(draw(st.floats(0, np.pi)) * n)
        elif kind == "exact":
            sound += level * np.sin(
                2 * np.pi * draw(st.integers(0, frontend.fft_size // 2)) * n / frontend.fft_size
            )
        elif kind == "noise":
            sound += random.normal(0, level, n.size)
        elif kind == "click":
            sound[draw(st.integers(0, n.size - 1))] += level
        elif kind == "step":
            sound[draw(st.integers(0, n.size - 1)) :] += level
        else:
            start = draw(st.integers(0, n.size - 1))
            sound[start : start + draw(st.integers(1, n.size))] *= draw(st.floats(0, 1))
    return np.clip(np.round(sound), -32768, 32767).astype(np.int16)


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_sound_in_any_pieces(program, data):
    name = data.draw(st.sampled_from(["sea", "yamnet", "random3", "random8"]))
    frontend = {**INPUTS, **RANDOM}[name][0]
    pcm = data.draw(_sounds(frontend))
    chunk = data.draw(st.integers(1, frontend.samples))
    first = program.patches(name, pcm, chunk)
    assert np.array_equal(first, program.patches(name, pcm, frontend.samples))
    assert np.abs(first[0].astype(int) - program.expected(name, pcm[None])[0]).max() <= 1


def test_without_padding_there_is_a_patch_after_every_row(program):
    frontend = INPUTS["yamnet"][0]
    pcm = np.random.default_rng(0).normal(0, 3000, frontend.samples + 7 * frontend.hop + 11).astype(np.int16)
    found = program.patches("yamnet", pcm, 111).astype(int)
    starts = [pcm[k * frontend.hop : k * frontend.hop + frontend.samples] for k in range(8)]
    assert len(found) == 8
    assert np.abs(found - program.expected("yamnet", np.stack(starts))).max() <= 1
    # Rows are shared: what one patch says of a moment, the next one says too.
    assert np.array_equal(found[1:, :-1], found[:-1, 1:])


def test_with_padding_there_is_a_patch_every_so_many_samples(program):
    frontend = INPUTS["sea"][0]
    pcm = np.random.default_rng(0).normal(0, 3000, 3 * frontend.samples + 5).astype(np.int16)
    found = program.patches("sea", pcm, 1000).astype(int)
    assert len(found) == 3
    expected = program.expected("sea", pcm[: 3 * frontend.samples].reshape(3, -1))
    assert np.abs(found - expected).max() <= 1


def test_too_little_sound_makes_no_patch(program):
    for name in ("sea", "yamnet"):
        frontend = INPUTS[name][0]
        needed = frontend.samples
        assert len(program.patches(name, np.ones(needed - 1, np.int16))) == 0
        assert len(program.patches(name, np.ones(needed, np.int16))) == 1
        assert len(program.patches(name, np.ones(0, np.int16))) == 0


@pytest.mark.parametrize("size", [16, 32, 512, 1024, 16384])
def test_rounding_errors_stay_below_what_the_constants_say(size, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    frontend = dataclasses.replace(
        INPUTS["sea"][0],
        fft_size=size,
        window_length=size,
        samples=size,
        hop=size,
        padding="valid",
        frames=1,
        mels=2,
    )
    random, n, window = np.random.default_rng(size), np.arange(size), frontend.window_values()
    for arithmetic, flags in ARITHMETICS.items():
        running = FrontendProgram(tmp_path / arithmetic, {"x": (frontend, 0.3, 0)}, flags)
        worst = 0.0
        for case in range(100):
            level = 2 ** random.uniform(3, 15)
            sound = (
                level
                * np.sin(2 * np.pi * random.integers(0, size // 2 + 1) * n / size + random.uniform(0, 6)),
                level * np.sin(2 * np.pi * random.uniform(0, size / 2) * n / size),
                random.normal(0, level, size),
                level + random.integers(-1, 2, size) * random.integers(0, 2),
                np.where(n // random.integers(1, size) % 2, level, -level),
            )[case % 5]
            pcm = np.clip(np.round(sound), -32768, 32767).astype(np.int16)
            _, scale, spectrum, _, _ = running.row("x", pcm)
            truth = np.abs(np.fft.rfft(pcm / 32768 * window))
            if arithmetic == "float":
                unit = np.sqrt(np.sum(truth**2))
                found = np.sqrt(spectrum.view("<f4")[::2].astype(float))
                weak = truth < 1e-4 * unit
            else:
                unit = 2.0 ** (scale / 2)
                found = np.sqrt(spectrum.view("<u8").astype(float)) * unit
                weak = truth < 3000 * unit
            # Strong bins have relative errors of 32 bits, which are nothing; the weak ones show the noise.
            if pcm.any() and weak.any():
                worst = max(worst, np.abs(found - truth)[weak].max() / unit)
        running.close()
        bound = c_frontend.FLOAT_ERROR if arithmetic == "float" else c_frontend.FIXED_ERROR
        assert worst < bound, arithmetic


def test_int64_is_needed_for_pure_tones_and_not_for_sound(program):
    frontend = INPUTS["sea"][0]
    n = np.arange(frontend.fft_size)
    tone = np.round(32767 * np.sin(2 * np.pi * n / 4)).astype(np.int16)
    clear, _, _, fast, wide = program.row("sea", tone)
    assert not clear
    # It makes a difference of more than one step of 53 levels: without it the contract would be broken.
    floor = wide.astype(int).max() - 13600
    assert np.abs(np.maximum(fast, floor) - np.maximum(wide.astype(int), floor)).max() > 53
    random = np.random.default_rng(0)
    noisy = tone // 2 + random.normal(0, 100, n.size)
    clear, _, _, fast, wide = program.row("sea", noisy.astype(np.int16))
    assert clear
    assert np.abs(fast.astype(int) - wide).max() <= 2


def test_real_sound(program, shared):
    soundfile, soxr = pytest.importorskip("soundfile"), pytest.importorskip("soxr")
    rows = again = 0
    for path in sorted((shared / "data" / "esc50-fold4" / "audio").glob("*.flac"))[::12]:
        sound, rate = soundfile.read(path)
        for name in ("sea", "yamnet"):
            frontend = INPUTS[name][0]
            pcm = np.clip(np.round(soxr.resample(sound, rate, frontend.sample_rate) * 32768), -32768, 32767)
            pcm = pcm.astype(np.int16)[: 2 * frontend.samples]
            steps = program.steps(name, pcm)
            assert steps.max() <= 1, path.name
            for start in range(0, pcm.size - frontend.fft_size, 8 * frontend.hop):
                rows += 1
                again += not program.row(name, pcm[start : start + frontend.fft_size])[0]
    assert again < 0.01 * rows


def test_sanitized(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    inputs = {
        "sea": INPUTS["sea"],
        "yamnet": INPUTS["yamnet"],
        **{f"random{k}": RANDOM[f"random{k}"] for k in range(12)},
    }
    for arithmetic, flags in ARITHMETICS.items():
        running = FrontendProgram(tmp_path / arithmetic, inputs, [*flags, *SANITIZERS])
        for name, (frontend, _, _) in inputs.items():
            hard = signals(frontend)
            for label in ("silence", "full scale down", "noise", "click at 1", "square 2", "square 8"):
                assert running.steps(name, hard[label], 333).max() <= 1
            running.row(
                name,
                hard["noise"][: frontend.fft_size]
                if hard["noise"].size >= frontend.fft_size
                else np.zeros(frontend.fft_size, np.int16),
            )
        running.close()


@pytest.mark.parametrize("arithmetic", list(ARITHMETICS))
@pytest.mark.parametrize("compiler", ["gcc", "clang", "g++", "clang++"])
def test_no_compiler_warns(compiler, arithmetic, tmp_path):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    for name, (frontend, scale, zero_point) in INPUTS.items():
        for file, text in frontend_sources(frontend, name, scale=scale, zero_point=zero_point).items():
            (tmp_path / file).write_text(text)
    language = ["-x", "c++", "-std=c++11"] if compiler.endswith("+") else ["-std=c99"]
    for source in [RUNTIME / name for name in c_frontend.SOURCES] + sorted(tmp_path.glob("*.c")):
        flags = [*language, "-O2", *STRICT, *ARITHMETICS[arithmetic], f"-I{RUNTIME}"]
        command = [compiler, *flags, "-c", source, "-o", tmp_path / "object.o"]
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr


def test_a_model_that_takes_mels_first(tmp_path):
    frontend, scale, zero_point = INPUTS["sea"]
    plain = frontend_sources(frontend, "x", scale=scale, zero_point=zero_point, input_shape=(1, 50, 64, 1))[
        "x_frontend.c"
    ]
    turned = frontend_sources(frontend, "x", scale=scale, zero_point=zero_point, input_shape=(1, 64, 50, 1))[
        "x_frontend.c"
    ]
    assert "64, /* row_stride */" in plain
    assert "1, /* mel_stride */" in plain
    assert "1, /* row_stride */" in turned
    assert "50, /* mel_stride */" in turned


def test_the_offset_of_a_loud_enough_frontend_spares_the_int64_tables():
    frontend = dataclasses.replace(INPUTS["yamnet"][0], offset=0.05)
    assert "0, /* wide */" in frontend_sources(frontend, "x", scale=0.05, zero_point=0)["x_frontend.c"]
    assert "1, /* wide */" in frontend_sources(INPUTS["sea"][0], "x", scale=0.3, zero_point=0)["x_frontend.c"]


def test_generated_text_is_safe_whatever_the_names_hold():
    frontend = dataclasses.replace(INPUTS["sea"][0], name='x */ int main(void) {\n} "\\')
    files = frontend_sources(frontend, "Straße 7; rm -rf", scale=0.3, zero_point=0, command="a */ b\nc")
    for name, text in files.items():
        assert name.startswith("strae_7_rm_rf_frontend.")
        assert text.isascii()
        assert "*/ int main" not in text
        assert "a * / b c" in text


@pytest.mark.parametrize(
    ("change", "call", "sentence"),
    [
        ({}, {"scale": 0.0}, "scale 0.0 and zero point 0; the frontend in C writes int8"),
        ({}, {"scale": float("nan")}, "scale nan and zero point 0"),
        ({}, {"zero_point": 200}, "zero point 200"),
        ({}, {"input_shape": (1, 50, 63, 1)}, "shape 1x50x63x1, the frontend sea-8k makes patches of 50x64"),
        ({"fft_size": 8, "window_length": 8}, {}, "has an FFT of 8 points; in C it has to have 16 to 16384"),
        ({"mels": 5000}, {}, "has 5000 mels; in C at most 4096"),
        ({"amin": 1e-45, "reference": "one", "floor": None}, {"scale": 10.0}, "reaches down to 1e-45"),
        ({"fmin": 1.0, "fmax": 2.0, "mels": 1}, {}, "hold no frequency of its FFT"),
    ],
)
def test_what_the_c_frontend_refuses(change, call, sentence):
    frontend = (
        dataclasses.replace(INPUTS["sea"][0], **change)
        if "fft_size" not in change
        else dataclasses.replace(
            INPUTS["sea"][0], **change, samples=8, hop=8, padding="valid", frames=1, mels=2
        )
    )
    with pytest.raises(FrontendError, match=sentence):
        frontend_sources(frontend, "x", **{"scale": 0.3, "zero_point": 0, **call})


_EMULATED = r"""
#include "dut_frontend.h"
#include "emulated.h"
#include "semihosting.h"

static dut_frontend_memory memory;
static uint64_t scratch[DUT_FRONTEND_SCRATCH_BYTES / 8];
static int16_t pcm[DUT_SAMPLES];
static int8_t patch[DUT_PATCH_BYTES];

int main(void)
{
    const int sound = semihosting_open("pcm.bin", 0), patches = semihosting_open("patches.bin", 1);
    const int ticks = semihosting_open("ticks.bin", 1);
    while (semihosting_read(sound, pcm, sizeof pcm) == sizeof pcm) {
        edgesea_frontend_state *state = dut_frontend_start(&memory);
        const uint64_t start = emulated_ticks();
        for (size_t at = 0; !state->ready;) {
            at += edgesea_frontend_push(&dut_frontend, state, pcm + at, DUT_SAMPLES - at, scratch);
        }
        edgesea_frontend_patch(&dut_frontend, state, patch);
        const uint64_t spent = emulated_ticks() - start;
        semihosting_write(patches, patch, sizeof patch);
        semihosting_write(ticks, &spent, sizeof spent);
    }
    semihosting_close(patches);
    semihosting_close(ticks);
    return 0;
}
"""

# Instructions for a second of sound, in millions, measured on noise: a little above what they are now.
LIMITS = {
    ("cortex-m4", "sea"): 2.8,
    ("cortex-m4", "yamnet"): 3.0,
    ("cortex-m3", "sea"): 5.6,
    ("cortex-m3", "yamnet"): 7.4,
    ("cortex-m0plus", "sea"): 21.5,
    ("cortex-m0plus", "yamnet"): 23.9,
}


@pytest.mark.parametrize(("core", "name"), list(LIMITS))
def test_emulated_cores(core, name, tmp_path):
    board = emulator.board_of(core)
    for program in (board.toolchain.prefix + "gcc", board.emulator.program):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    frontend, scale, zero_point = INPUTS[name]
    for file, text in frontend_sources(frontend, "dut", scale=scale, zero_point=zero_point).items():
        (tmp_path / file).write_text(text)
    (tmp_path / "main.c").write_text(_EMULATED)
    hard = signals(frontend)
    labels = ["noise", "silence", "tone 2", "square 2", "square 8", "click at 1", "brown noise", "one step"]
    pcm = np.stack([hard[label] for label in labels])
    sources = [
        tmp_path / "main.c",
        tmp_path / "dut_frontend.c",
        *(RUNTIME / file for file in c_frontend.SOURCES),
    ]
    image = emulator.build(board, sources, tmp_path, includes=[RUNTIME, tmp_path], libraries=["-lm"])
    wanted = {"patches.bin": len(pcm) * frontend.frames * frontend.mels, "ticks.bin": 8 * len(pcm)}
    files = emulator.run(board, image, given={"pcm.bin": pcm.astype("<i2").tobytes()}, wanted=wanted).files
    found = np.frombuffer(files["patches.bin"], np.int8).reshape(-1, frontend.frames, frontend.mels)
    assert np.abs(found.astype(int) - quantised(frontend, scale, zero_point, pcm)).max() <= 1
    ticks = np.frombuffer(files["ticks.bin"], "<u8")
    spent = ticks[0] * board.emulator.instructions_per_tick
    a_second = spent * frontend.sample_rate / (frontend.frames * frontend.hop) / 1e6
    assert 0.5 * LIMITS[core, name] < a_second < LIMITS[core, name]


def test_the_program_names_what_it_is_built_from():
    assert all((RUNTIME / name).is_file() for name in (*c_frontend.HEADERS, *c_frontend.SOURCES))
    assert frontend_program.ARITHMETICS.keys() == {"float", "fixed", "fixed-thumb"}
