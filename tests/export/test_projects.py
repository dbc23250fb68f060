"""Projects: every framework's, in both runtimes, compiled by a real compiler; the CMake one runs in QEMU too.

Where a framework cannot be installed, its headers are the stand-ins beside this file.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import hostile_program
import numpy as np
import pytest
from cached import Missing, cached

from edgesea.errors import EdgeseaError, UsageError
from edgesea.export import c_compiler, export_tflite, load_bundle, project, tflm, write_bundle
from edgesea.export.project import FRAMEWORKS, MARKER, in_bundle, known_boards, write_project
from edgesea.interpreter import open_interpreter
from edgesea.running.emulator import ALONE
from firmware_export import boards

STAND_INS = Path(__file__).parent / "stand_ins"
LIMIT_S = 300
PLATFORMIO = "platformio==6.2.0"
STRICT = ("-Wall", "-Wextra", "-Werror", "-O1", "-c")
CORTEX_M4 = boards.board("nano33ble").toolchain.flags
# `_model` in it would clash with a suffix of ours, quotes and line ends with anything generated.
HOSTILE = 'Rue "Bérard" `2`; $(x) ${y} */ /* \\ %d \n# {{ z }} \\'
IDENTIFIER = "rue_berard_2_x_y_d_z"


def run(*command, folder, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(each) for each in command],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        **options,
    )


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="module")
def bundle(int8_model, frontend, tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects")
    (folder / "model.tflite").write_bytes(int8_model)
    return export_tflite(
        folder / "model.tflite",
        folder / "bundle",
        name=HOSTILE,
        frontend=frontend,
        c_model=c_compiler(),
        command=f"edgesea export {HOSTILE}",
    )


@pytest.fixture(scope="module")
def written(bundle, tmp_path_factory):
    """kind, runtime, board -> the folder of that project; each is written once."""
    made = {}

    def write(kind: str, runtime: str = "c", board: str | None = None) -> Path:
        key = kind, runtime, board
        if key not in made:
            made[key] = tmp_path_factory.mktemp(f"{kind}-{runtime}") / bundle.identifier
            write_project(bundle, kind, made[key], runtime=runtime, board=board)
        return made[key]

    return write


@pytest.fixture(scope="module")
def quiet_bundle(int8_model, tmp_path_factory):
    """Without a frontend."""
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "model.tflite").write_bytes(int8_model)
    return export_tflite(folder / "model.tflite", folder / "bundle", c_model=c_compiler())


# ---------------------------------------------------------------- compiled


def arduino_sources(folder: Path) -> tuple[list[Path], list[Path]]:
    """What the Arduino builder compiles, and the folders of headers that it looks into."""
    sketch = folder / f"{folder.name}.ino"
    assert sketch.is_file()
    # The builder makes a C++ file of the sketch.
    unit = folder / f"{folder.name}.ino.cpp"
    unit.write_text(f"#include <Arduino.h>\nvoid setup();\nvoid loop();\n{sketch.read_text()}")
    return [unit, *sorted((folder / "src").rglob("*.c*"))], []


def platformio_sources(folder: Path) -> tuple[list[Path], list[Path]]:
    library = folder / "lib" / folder.name
    return [*sorted((folder / "src").glob("*.c*")), *sorted(library.glob("*.c*"))], [folder / "src", library]


def esp_idf_sources(folder: Path) -> tuple[list[Path], list[Path]]:
    text = (folder / "main" / "CMakeLists.txt").read_text()
    listed = {
        key: re.findall(r'"([^"]+)"', text.split(key)[1].split("\n")[0])
        for key in ("SRC_DIRS", "INCLUDE_DIRS")
    }
    sources = [file for each in listed["SRC_DIRS"] for file in sorted((folder / "main" / each).glob("*.c*"))]
    return sources, [folder / "main" / each for each in listed["INCLUDE_DIRS"]]


def zephyr_sources(folder: Path) -> tuple[list[Path], list[Path]]:
    text = (folder / "CMakeLists.txt").read_text()
    listed = re.search(r"target_sources\(app PRIVATE\n(.*?)\)", text, re.DOTALL)[1].split()
    assert {folder / each for each in listed} == {
        file for file in folder.rglob("*") if file.suffix in (".c", ".cpp")
    }
    return [folder / each for each in listed], [folder / "src", folder / "src" / "firmware"]


SOURCES = {
    "arduino": arduino_sources,
    "platformio": platformio_sources,
    "esp-idf": esp_idf_sources,
    "zephyr": zephyr_sources,
}
HEADERS = {"arduino": "arduino", "platformio": "arduino", "esp-idf": "esp-idf", "zephyr": "zephyr"}
# What the C library, libgcc and the framework give; all else has to be in the project.
GIVEN = {
    "arduino": r"PDM|Serial|micros|SystemCoreClock|.*(PDMClass|SerialPort|I2SClass|Stream).*",
    "esp-idf": r"i2s_.*|uart_.*|esp_.*|vTaskDelay",
    "zephyr": r"stand_in_.*|dmic_.*|uart_.*|k_.*|timing_.*|sys_clock_.*|device_is_ready",
}
LIBRARY = r"mem(cpy|set|move|cmp)|str(len|n?cmp)|sqrtf?|__.*|_Z.*(6tflite|cxxabi).*"


def compiler_of(kind: str) -> tuple[str, tuple[str, ...]]:
    """A compiler of the board's kind of core, and its flags."""
    if kind == "esp-idf" and shutil.which("xtensa-lx106-elf-gcc"):
        return "xtensa-lx106-elf-", ("-mlongcalls",)
    needs("arm-none-eabi-gcc", "arm-none-eabi-g++")
    return "arm-none-eabi-", CORTEX_M4


def compile_all(kind: str, folder: Path, objects: Path, *flags: str) -> set[str]:
    """Compiles a project as its framework would; returns the symbols that it leaves to others."""
    sources, includes = SOURCES[kind](folder)
    prefix, core = compiler_of(kind)
    headers = [STAND_INS / HEADERS[kind], STAND_INS / "tflm", *includes]
    # The least of a C library for the Xtensa has no C++: that one file is compiled for Arm.
    for suffix, language in ((".c", "-std=gnu11"), (".cpp", "-std=c++17")):
        chosen = [file for file in sources if file.suffix == suffix]
        if not chosen:
            continue
        if suffix == ".cpp":
            needs("arm-none-eabi-g++")
            prefix, core = "arm-none-eabi-", CORTEX_M4
        program = prefix + ("gcc" if suffix == ".c" else "g++")
        outcome = run(
            program,
            language,
            *core,
            *STRICT,
            *flags,
            *(f"-I{each}" for each in headers),
            *chosen,
            folder=objects,
        )
        assert outcome.returncode == 0, outcome.stderr
    listing = run("nm", "-P", *sorted(objects.glob("*.o")), folder=objects).stdout
    if not listing.strip():  # binutils of this machine that know no other
        listing = run("arm-none-eabi-nm", "-P", *sorted(objects.glob("*.o")), folder=objects).stdout
    symbols = [
        line.split() for line in listing.splitlines() if len(line.split()) > 1 and not line.endswith(":")
    ]
    defined = {fields[0] for fields in symbols if fields[1] not in "Uw"}
    return {fields[0] for fields in symbols if fields[1] in "U"} - defined


@pytest.mark.parametrize("runtime", ["c", "tflm"])
@pytest.mark.parametrize("kind", list(SOURCES))
def test_a_project_compiles_and_lacks_nothing(kind, runtime, written, tmp_path):
    missing = compile_all(kind, written(kind, runtime), tmp_path)
    given = re.compile(f"{GIVEN[HEADERS[kind]]}|{LIBRARY}")
    assert not [name for name in missing if not given.fullmatch(name)]
    assert missing, "a project asks its framework for something"


@pytest.mark.parametrize(
    ("kind", "board", "flags"),
    [
        ("arduino", "esp32-s3", ()),
        ("platformio", "stm32h743", ("-DF_CPU=480000000L",)),
        ("arduino", "rp2040", ("-mcpu=cortex-m0plus", "-mfloat-abi=soft")),
        ("zephyr", "nrf52840", ("-DNO_DMIC", "-DCONFIG_TIMING_FUNCTIONS")),
    ],
)
def test_other_boards_compile(kind, board, flags, written, tmp_path):
    compile_all(kind, written(kind, "c", board), tmp_path, *flags)


@pytest.mark.parametrize("kind", list(SOURCES))
def test_a_bundle_without_frontend_gives_golden_vectors_and_protocol(kind, quiet_bundle, tmp_path):
    folder = tmp_path / quiet_bundle.identifier
    write_project(quiet_bundle, kind, folder)
    names = {file.name for file in folder.rglob("*")}
    assert not {"sensor.c", "microphone.h", "microphone.c", "microphone.cpp", "edgesea_frontend.c"} & names
    assert "there is none: the model's inputs come over the serial line" in (folder / "README.md").read_text()
    (tmp_path / "objects").mkdir()
    compile_all(kind, folder, tmp_path / "objects")


# ---------------------------------------------------------------- run


def cmake(folder: Path, *definitions: str) -> Path:
    """Configures and builds a CMake project; returns the folder of its images."""
    needs("cmake")
    preset = json.loads((folder / "CMakePresets.json").read_text())["configurePresets"][0]["name"]
    board = boards.board(preset)
    needs(board.toolchain.prefix + "gcc", board.emulator.program)
    for step in (("--preset", preset, *definitions), ("--build", "--preset", preset)):
        outcome = run("cmake", *step, folder=folder)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return folder / "build"


def emulate(folder: Path, images: Path) -> tuple[int, list[str]]:
    """Runs a CMake project's test image as ctest does; returns the program's status and what it says."""
    (image,) = images.glob("*_test.elf")
    preset = json.loads((folder / "CMakePresets.json").read_text())["configurePresets"][0]["name"]
    emulator = boards.board(preset).emulator
    outcome = run(
        emulator.program,
        *emulator.arguments,
        *(*ALONE, "-serial", "stdio", "-kernel", image),
        folder=images,
        stdin=subprocess.DEVNULL,
    )
    assert outcome.returncode == 0, outcome.stderr
    *lines, last = outcome.stdout.splitlines()
    return int(last.removeprefix("emulated: ended with status ")), lines


def check_decisions(bundle, frontend, pcm: np.ndarray, lines: list[str]) -> None:
    """Lines of JSON against NumPy and TFLite on the same sound, a decision a patch."""
    assert len(lines) == len(pcm) // frontend.samples
    interpreter = open_interpreter(bundle.int8, resolver="reference")
    for line in map(json.loads, lines):
        heard = pcm[line["samples"] - frontend.samples : line["samples"]]
        patch = interpreter.input.quantise(frontend.patch(heard[None] / 32768))
        expected = interpreter.invoke(patch[0].reshape(interpreter.input.shape)).ravel().astype(int)
        assert np.abs(np.array(line["embedding"]) - expected).max() <= 3, line


def tones(frontend, patches: int, rate: int) -> np.ndarray:
    """`patches` patches of sound at a rate of `rate` Hz, int16: below 0.4 of the model's rate, and noise."""
    generator = np.random.default_rng(5)
    time = np.arange(round(patches * frontend.samples * rate / frontend.sample_rate)) / rate
    sound = sum(0.2 * np.sin(2 * np.pi * pitch * time) for pitch in (310.0, 1250.0, 2900.0))
    return np.round(32768 * (sound + generator.normal(0, 0.003, len(time)))).clip(-32768, 32767).astype("<i2")


def test_the_cmake_project_runs(bundle, frontend, written):
    folder = written("cmake")
    cmake(folder)
    pcm = tones(frontend, 3, frontend.sample_rate)
    (folder / "build" / "sound.pcm").write_bytes(pcm.tobytes())
    images = cmake(folder)
    status, (verdict, *lines) = emulate(folder, images)
    assert status == 0
    assert verdict == f"edgesea golden PASS 4 of 4 {IDENTIFIER} {bundle.manifest['int8']['sha256']}"
    check_decisions(bundle, frontend, pcm, lines)
    (images / "sound.pcm").unlink()
    status, lines = emulate(folder, cmake(folder))
    assert (status, lines[1:]) == (1, ["edgesea: the microphone did not start"])
    needs("ctest")
    outcome = run("ctest", "--preset", "qemu-cortex-m4", folder=folder)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.slow
@pytest.mark.parametrize("board", known_boards("cmake"))
def test_the_cmake_project_runs_on_every_emulated_board(board, quiet_bundle, tmp_path):
    folder = tmp_path / "project"
    write_project(quiet_bundle, "cmake", folder, board=board)
    status, lines = emulate(folder, cmake(folder))
    assert status == 0
    assert len(lines) == 1
    assert lines[0].startswith("edgesea golden PASS 4 of 4 model ")


def with_a_stranger(bundle, board: str, folder: Path, functions: str, statement: str) -> Path:
    """A CMake project whose code has C of a stranger in it, as a bundle's own could hold it."""
    write_project(bundle, "cmake", folder, board=board)
    main = folder / "main.c"
    text = main.read_text()
    assert "    return program_run();" in text
    main.write_text(
        functions + text.replace("    return program_run();", f"    {statement}\n    return program_run();")
    )
    return folder


@pytest.mark.parametrize(
    ("board", "call"),
    [("qemu-cortex-m4", "system"), ("qemu-riscv32", "open")]
    + [
        pytest.param(board, call, marks=pytest.mark.slow)
        for board in known_boards("cmake")
        for call in hostile_program.CALLS
    ],
)
def test_a_hostile_cmake_project_reaches_nothing(board, call, quiet_bundle, tmp_path):
    needs("ctest")
    victim = hostile_program.Victim(tmp_path / "victim")
    functions = hostile_program.function(call, victim.folder)
    folder = with_a_stranger(quiet_bundle, board, tmp_path / "project", functions, "hostile();")
    cmake(folder)
    outcome = run("ctest", "--preset", board, folder=folder)
    assert outcome.returncode != 0
    assert "emulated: ended with status 99" in outcome.stdout
    assert "edgesea golden" not in outcome.stdout.replace("Regex=[edgesea golden", "")
    victim.is_unharmed()


@pytest.mark.parametrize(
    ("functions", "statement"),
    [
        ("", "for (;;) { }"),
        ('#include "emulated.h"\n', 'for (;;) emulated_print("for ever and ever\\n");'),
    ],
)
def test_a_cmake_project_that_never_ends_is_stopped(functions, statement, quiet_bundle, tmp_path):
    needs("ctest")
    folder = with_a_stranger(quiet_bundle, "qemu-cortex-m4", tmp_path / "project", functions, statement)
    lists = folder / "CMakeLists.txt"
    assert "TIMEOUT 600" in lists.read_text()
    lists.write_text(lists.read_text().replace("TIMEOUT 600", "TIMEOUT 2"))
    cmake(folder)
    outcome = run("ctest", "--preset", "qemu-cortex-m4", folder=folder)
    assert outcome.returncode != 0
    assert "***Timeout" in outcome.stdout


@pytest.mark.parametrize("kind", list(FRAMEWORKS))
def test_no_project_asks_for_semihosting(kind, written):
    for path in written(kind).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"semihosting" not in path.name.encode()
            assert b"target=" + b"native" not in content, path
            assert b"-semihosting" not in content, path
            assert b'"semihosting.h"' not in content, path


class StandInTflm:
    """A TFLM_DIR in which the compiled C model does TensorFlow Lite Micro's work."""

    def __init__(self, bundle, folder: Path):
        self.folder = shutil.copytree(STAND_INS / "tflm", folder)
        model, size = bundle.manifest["c_model"], bundle.manifest["int8"]
        name = model["name"]
        for file in model["files"]:
            # The project has files and functions of these names already.
            text = (bundle.path / "c" / file).read_text().replace(f"{name}_invoke", "stand_in_invoke")
            text = text.replace(f'"{name}.h"', '"stand_in_model.h"')
            (folder / file.replace(name, "stand_in_model")).write_text(text)
        (folder / "stand_in.h").write_text(
            f"""#include "stand_in_model.h"
#define STAND_IN_OPERATORS {len(size["operators"])}
#define STAND_IN_INPUT_BYTES {size["input"]["bytes"]}u
#define STAND_IN_OUTPUT_BYTES {size["output"]["bytes"]}u
"""
        )
        self.compile("gcc", "-std=c99", *sorted(folder.glob("*.c")))

    def compile(self, program: str, *arguments) -> None:
        toolchain = boards.board("qemu-cortex-m4").toolchain
        flags = (*toolchain.flags, "-O2", f"-I{self.folder}", "-c")
        outcome = run(toolchain.prefix + program, *flags, *arguments, folder=self.folder)
        assert outcome.returncode == 0, outcome.stderr

    def build(self, *flags: str) -> None:
        """The library, with an interpreter that behaves as the flags say."""
        self.compile("g++", "-std=c++17", "-fno-exceptions", "-fno-rtti", *flags, "interpreter.cpp")
        library = self.folder / "libtensorflow-microlite.a"
        library.unlink(missing_ok=True)
        outcome = run(
            "arm-none-eabi-ar", "rcs", library, *sorted(self.folder.glob("*.o")), folder=self.folder
        )
        assert outcome.returncode == 0, outcome.stderr


@pytest.fixture(scope="module")
def stand_in_tflm(bundle, tmp_path_factory):
    needs("cmake", "arm-none-eabi-g++", "qemu-system-arm")
    return StandInTflm(bundle, tmp_path_factory.mktemp("stand-in") / "tflm")


@pytest.mark.parametrize(
    ("flag", "verdict"),
    [
        ("-DSTAND_IN_OFF=0", "edgesea golden PASS 4 of 4"),
        ("-DSTAND_IN_OFF=1", "edgesea golden PASS 4 of 4"),
        ("-DSTAND_IN_OFF=2", "edgesea golden FAIL 0 of 4"),
        ("-DSTAND_IN_ARENA=1000000", "edgesea golden FAIL 0 of 4"),
    ],
)
def test_the_tflm_project_runs_around_an_interpreter(flag, verdict, bundle, frontend, written, stand_in_tflm):
    """Its verdict allows one step and no more, and an arena that is too small is no PASS."""
    stand_in_tflm.build(flag)
    folder = written("cmake", "tflm")
    pcm = tones(frontend, 2, frontend.sample_rate)
    (folder / "build").mkdir(exist_ok=True)
    (folder / "build" / "sound.pcm").write_bytes(pcm.tobytes())
    images = cmake(folder, f"-DTFLM_DIR={stand_in_tflm.folder}")
    status, lines = emulate(folder, images)
    assert lines[0].startswith(verdict)
    assert status == ("FAIL" in verdict)
    if "ARENA" not in flag:
        check_decisions(bundle, frontend, pcm, lines[1:])


def test_cmake_asks_for_tflm(bundle, tmp_path):
    needs("cmake", "arm-none-eabi-g++")
    write_project(bundle, "cmake", tmp_path, runtime="tflm")
    outcome = run("cmake", "--preset", "qemu-cortex-m4", folder=tmp_path)
    assert outcome.returncode != 0
    assert "TensorFlow Lite Micro is not in TFLM_DIR" in outcome.stderr


HOST_BOARD = r"""
#include <stdio.h>
#include "edgesea_board.h"
#include "microphone.h"
#include "program.h"
void edgesea_board_start(void) {}
int edgesea_board_read(void) { return -1; }
void edgesea_board_write(const char *bytes, size_t count) { fwrite(bytes, 1, count, stdout); }
uint32_t edgesea_board_cycles(void) { return 0; }
uint32_t edgesea_board_clock_hz(void) { return 0; }
const char *edgesea_board_name(void) { return "host"; }
int microphone_start(void) { return 0; }
int microphone_read(int16_t *pcm, size_t count)
{
    /* As sound comes: in pieces of any size, now and then none. */
    static unsigned turn;
    const size_t most = turn++ * 37 % 101;
    const size_t got = fread(pcm, 2, count < most ? count : most, stdin);
    return got == 0 && feof(stdin) ? -1 : (int)got;
}
int main(void) { return program_run(); }
"""


def test_a_microphone_at_twice_the_rate_is_brought_down(bundle, frontend, written, tmp_path):
    needs("gcc")
    firmware = written("zephyr") / "src" / "firmware"
    assert f"#define MICROPHONE_RATE {2 * frontend.sample_rate}" in (firmware / "microphone.h").read_text()
    (tmp_path / "host.c").write_text(HOST_BOARD)
    flags = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined")
    sources = [tmp_path / "host.c", *sorted(firmware.glob("*.c"))]
    outcome = run("gcc", *flags, f"-I{firmware}", *sources, "-lm", "-o", "program", folder=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    twice = tones(frontend, 3, 2 * frontend.sample_rate)
    outcome = subprocess.run(
        [tmp_path / "program"], input=twice.tobytes(), capture_output=True, timeout=LIMIT_S, check=True
    )
    verdict, *lines = outcome.stdout.decode().splitlines()
    assert verdict.startswith("edgesea golden PASS")
    check_decisions(bundle, frontend, half_band(twice), lines)


def half_band(twice: np.ndarray) -> np.ndarray:
    """The filter of half_band.c from its description, in float64."""
    k = np.arange(-31, 32)
    taps = 0.5 * np.sinc(k / 2) * np.kaiser(63, 6.2)
    padded = np.concatenate([np.zeros(62), twice])
    # The first output has seen the first two samples.
    return np.round(np.convolve(padded, taps / taps.sum(), "valid")[1::2])


def test_the_half_band_filter_keeps_what_it_says():
    response = np.abs(np.fft.rfft(half_band_taps(), 1 << 14))
    frequency = np.linspace(0, 1, len(response))  # of the lower rate
    decibel = 20 * np.log10(response + 1e-12)
    assert np.abs(decibel[frequency <= 0.44]).max() < 0.03
    assert decibel[frequency >= 0.563].max() < -60


def half_band_taps() -> np.ndarray:
    source = (project.TEMPLATES / "program" / "sensor" / "half_band.c").read_text()
    half = [int(value) for value in re.search(r"\] = \{\n(.*),\n\};", source)[1].split(",")]
    taps = np.zeros(63)
    taps[31] = 16384
    taps[32::2], taps[30::-2] = half, half
    return taps / 32768


# ---------------------------------------------------------------- TensorFlow Lite Micro's figures


def test_the_resolver_holds_each_operator_once(bundle, written):
    text = (written("zephyr", "tflm") / "src" / "firmware" / f"{IDENTIFIER}_tflm.cpp").read_text()
    operators = bundle.manifest["int8"]["operators"]
    assert f"MicroMutableOpResolver<{len(operators)}>;" in text
    assert sorted(re.findall(r"resolver\.(\w+)\(\)", text)) == sorted(set(tflm.resolver_methods(operators)))
    assert {"AddConv2D", "AddDepthwiseConv2D", "AddFullyConnected"} <= set(tflm.resolver_methods(operators))


def test_methods_are_called_as_tflm_calls_them():
    names = [
        "ADD_N",
        "AVERAGE_POOL_2D",
        "CUMSUM",
        "L2_POOL_2D",
        "PADV2",
        "RELU6",
        "SPACE_TO_BATCH_ND",
        "SPLIT_V",
    ]
    assert tflm.resolver_methods([*names, "PADV2"]) == (
        *("AddAddN", "AddAveragePool2D", "AddCumSum", "AddL2Pool2D", "AddPadV2", "AddRelu6"),
        *("AddSpaceToBatchNd", "AddSplitV"),
    )


def test_every_operator_of_the_c_model_is_one_of_tflm():
    from firmware_export.ops import KINDS

    assert {name for name, kind in KINDS.items() if kind.check} <= tflm.OPERATORS


def test_an_operator_that_tflm_lacks_is_named(bundle, tmp_path):
    manifest = json.loads(json.dumps(bundle.manifest))
    manifest["int8"]["operators"] |= {"GELU": 1, "CONV_3D": 2}
    altered = type(bundle)(bundle.path, manifest)
    with pytest.raises(
        EdgeseaError,
        match=r"^TensorFlow Lite Micro has no CONV_3D, GELU, which this model uses: take --runtime c\.$",
    ):
        write_project(altered, "zephyr", tmp_path / "out", runtime="tflm")
    assert not (tmp_path / "out").exists()


def test_the_arena_is_measured_with_tflm(int8_model):
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    arena = tflm.arena_of(int8_model)
    assert arena.how == "measured"
    assert re.fullmatch(r"tflite-micro \S+, reference kernels, on a 64-bit machine", arena.kernels)
    assert arena.recommended % 16 == 0
    assert arena.recommended >= arena.bytes + arena.scratch + arena.margin
    # It is the least, give or take the alignment: TFLM does not start in less.
    from tflite_micro import runtime

    runtime.Interpreter.from_bytes(int8_model, arena_size=arena.bytes)
    with pytest.raises(RuntimeError):
        runtime.Interpreter.from_bytes(int8_model, arena_size=arena.bytes - 256)


def test_a_computed_arena_says_so_and_holds_the_measured_one(int8_model, monkeypatch):
    measured = None
    if tflm.importlib.util.find_spec("tflite_micro"):
        measured = tflm.arena_of(int8_model)
    monkeypatch.setattr(tflm.importlib.util, "find_spec", lambda name: None)
    arena = tflm.arena_of(int8_model)
    assert arena.how == "computed"
    assert arena.kernels.startswith(
        "computed, not measured: no tflite-micro was installed (python3 -m pip install"
    )
    assert measured is None or arena.recommended >= measured.bytes


@pytest.mark.parametrize("name", ["kws_ref_model", "sea_student3_int8"])
def test_arenas_of_published_models(name, shared):
    # Measured on a Cortex-M4 with CMSIS-NN: .data and .bss with the least arena that runs.
    on_target = {"kws_ref_model": 23312, "sea_student3_int8": 213836}
    model = (shared / "models" / f"{name}.tflite").read_bytes()
    assert on_target[name] <= tflm.compute_arena(model).recommended <= 2 * on_target[name]
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    assert on_target[name] <= tflm.measure_arena(model).recommended <= 1.3 * on_target[name]


def test_tflm_agrees_within_the_step_that_the_verdict_allows(bundle):
    runtime = pytest.importorskip("tflite_micro", reason="tflite-micro is not installed").runtime
    golden = bundle.golden()
    interpreter = runtime.Interpreter.from_file(str(bundle.int8))
    for given, wanted in zip(golden["inputs"], golden["outputs"], strict=True):
        interpreter.set_input(given.reshape(bundle.manifest["int8"]["input"]["shape"]), 0)
        interpreter.invoke()
        assert np.abs(interpreter.get_output(0).ravel().astype(int) - wanted).max() <= 1


def test_what_tflm_does_not_run_is_an_error():
    pytest.importorskip("tflite_micro", reason="tflite-micro is not installed")
    with pytest.raises(EdgeseaError, match=r"^TensorFlow Lite Micro does not run this model; it says: "):
        tflm._run(Path("nowhere.tflite"), 1000)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("runtime", ["c", "tflm"])
@pytest.mark.parametrize("kind", list(FRAMEWORKS))
def test_a_name_never_breaks_the_text(kind, runtime, written):
    folder = written(kind, runtime)
    for file in folder.rglob("*"):
        if file.is_file() and "build" not in file.relative_to(folder).parts:
            text = file.read_text()
            assert '"Bérard' not in text or file.name == "README.md"
            for name in re.findall(r"^project\((\S+?)\)|^project\((\S+) LANG", text, re.MULTILINE):
                assert IDENTIFIER in name


def test_the_readme_says_what_to_do(bundle, written):
    text = (written("zephyr") / "README.md").read_text()
    assert "west build --board nrf52840dk/nrf52840\n" in text
    assert f"edgesea golden PASS 4 of 4 {IDENTIFIER} {bundle.manifest['int8']['sha256']}\n" in text
    assert "P0.30" in text
    assert "sound.pcm" in (written("cmake") / "README.md").read_text()
    assert "one step off" in (written("zephyr", "tflm") / "README.md").read_text()
    assert (
        "no library that reads a microphone" in (written("arduino", "c", "rp2040") / "README.md").read_text()
    )


@pytest.fixture(scope="module")
def platformio() -> Path:
    """The Python of an environment that has PlatformIO, which is made once."""

    def make(folder: Path, lock: int) -> None:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, pass_fds=(lock,))
        pip = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", PLATFORMIO]
        if subprocess.run(pip, pass_fds=(lock,)).returncode:
            raise Missing(f"{PLATFORMIO} cannot be installed")

    try:
        return cached("platformio", (PLATFORMIO, sys.version), make) / "bin" / "python"
    except Missing as reason:
        pytest.skip(str(reason))


@pytest.mark.slow
def test_platformio_itself_reads_the_project(written, platformio, tmp_path):
    own = {"PLATFORMIO_CORE_DIR": str(tmp_path), "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no"}
    command = (platformio, "-m", "platformio", "project", "config", "--json-output")
    outcome = run(*command, folder=written("platformio"), env={**os.environ, **own})
    assert outcome.returncode == 0, outcome.stderr
    sections = dict(json.loads(outcome.stdout))
    options = dict(sections["env:nano33ble"])
    assert (options["platform"], options["board"], options["framework"]) == (
        "nordicnrf52",
        "nano33ble",
        ["arduino"],
    )


def test_an_older_project_is_replaced_and_nothing_else(bundle, written, tmp_path):
    folder = tmp_path / IDENTIFIER
    write_project(bundle, "arduino", folder)
    (folder / "build").mkdir()
    (folder / "build" / "image.elf").write_text("built")
    files = write_project(bundle, "arduino", folder, runtime="tflm")
    left = {path for path in folder.rglob("*") if path.is_file()}
    assert left == {*files, folder / "build" / "image.elf"}
    assert not (folder / "src" / f"{IDENTIFIER}.c").exists()


def test_a_marker_can_not_reach_out_of_its_folder(bundle, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "project"
    (folder / "real").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("mine")
    (folder / "link").symlink_to(tmp_path / "elsewhere")
    names = ["../victim", str(victim), "link/file", "", "real"]
    (folder / MARKER).write_text(json.dumps({"files": names}))
    write_project(bundle, "zephyr", folder)
    assert victim.read_text() == "mine"
    assert (tmp_path / "elsewhere" / "file").read_text() == "mine"


@pytest.mark.parametrize("marker", ["", "[]", "{}", '{"files": 3}', '{"files": [1]}', "[" * 10000])
def test_a_marker_that_is_none_is_said(marker, bundle, tmp_path):
    (tmp_path / MARKER).write_text(marker)
    with pytest.raises(UsageError, match=r"is not readable: name a folder that is new or an older project$"):
        write_project(bundle, "zephyr", tmp_path)


def test_the_bundle_holds_the_project(int8_model, frontend, tmp_path):
    (tmp_path / "model.tflite").write_bytes(int8_model)
    made = export_tflite(
        tmp_path / "model.tflite",
        tmp_path / "bundle",
        frontend=frontend,
        c_model=c_compiler(),
        project=in_bundle("esp-idf", runtime="tflm"),
    )
    loaded = load_bundle(tmp_path / "bundle")
    assert loaded.manifest == made.manifest
    entry = loaded.manifest["project"]
    assert (entry["kind"], entry["board"], entry["runtime"], entry["sensor"]) == (
        "esp-idf",
        "esp32-s3",
        "tflm",
        True,
    )
    assert entry["folder"] == "project-esp-idf/model"
    assert entry["tflm"]["recommended_bytes"] > entry["tflm"]["bytes"] > 0
    assert "AddConv2D" in entry["tflm"]["resolver"]
    readme = loaded.path / entry["folder"] / "README.md"
    assert f"{entry['folder']}/README.md" in loaded.manifest["files"]
    readme.write_text("altered")
    with pytest.raises(EdgeseaError, match=r"README\.md is not the file that manifest\.json describes"):
        load_bundle(loaded.path)


# ---------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ("keil",),
            "There is no project for 'keil': choose one of arduino, platformio, esp-idf, zephyr, cmake.",
        ),
        (("zephyr", "tvm"), "There is no runtime 'tvm': choose one of c, tflm."),
        (("esp-idf", "c", "rp2040"), "ESP-IDF does not know the board 'rp2040': choose one of esp32-s3."),
        (("esp-idf", "c", "esp33"), "ESP-IDF does not know the board 'esp33': choose one of esp32-s3."),
    ],
)
def test_a_wrong_call_is_one_sentence(arguments, sentence, bundle, tmp_path):
    kind, runtime, board = (*arguments, "c", None)[:3] if len(arguments) > 1 else (*arguments, "c", None)
    board = arguments[2] if len(arguments) > 2 else None
    with pytest.raises(UsageError) as raised:
        write_project(bundle, kind, tmp_path / "out", runtime=runtime, board=board)
    assert str(raised.value) == sentence
    assert not (tmp_path / "out").exists()


def test_every_framework_knows_its_own_board():
    for kind, framework in FRAMEWORKS.items():
        assert framework.board in known_boards(kind)
    assert "qemu-cortex-m4" in known_boards("cmake")
    assert not [name for name in known_boards("zephyr") if boards.board(name).emulator]


def test_a_sketch_in_a_folder_of_another_name_is_refused(bundle, tmp_path):
    with pytest.raises(UsageError) as raised:
        write_project(bundle, "arduino", tmp_path / "other")
    assert str(raised.value) == (
        f"an Arduino sketch lies in a folder of its own name: call it {IDENTIFIER}, not 'other'"
    )


def test_a_bundle_without_int8_model_is_refused(float_model, tmp_path):
    bare = write_bundle(tmp_path / "bare", name="bare", float_=float_model)
    with pytest.raises(EdgeseaError) as raised:
        write_project(bare, "zephyr", tmp_path / "out")
    assert str(raised.value) == (
        f"The bundle {bare.path} holds no int8 model, which a project is made of: export it again "
        "with --int8."
    )


def test_a_folder_of_someone_s_own_is_left_alone(bundle, tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(
        UsageError, match="is not empty and not a project: name a folder that is new or an older"
    ):
        write_project(bundle, "zephyr", tmp_path)
    with pytest.raises(
        UsageError, match=r"notes is a file: name a folder that is new or an older project\.$"
    ):
        write_project(bundle, "zephyr", tmp_path / "notes")
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


# ---------------------------------------------------------------- the command


def edgesea(*arguments):
    from click.testing import CliRunner

    from edgesea.cli import edgesea as command

    return CliRunner().invoke(command, [str(each) for each in arguments])


def test_the_command_makes_a_bundle_with_a_project(int8_model, tmp_path):
    (tmp_path / "kws.tflite").write_bytes(int8_model)
    result = edgesea("export", tmp_path / "kws.tflite", "--out", tmp_path / "b", "--project", "platformio")
    assert result.exit_code == 0, result.output
    assert "platformio project for nano33ble: " in result.output
    assert (tmp_path / "b" / "project-platformio" / "kws" / "platformio.ini").is_file()
    result = edgesea(
        "export", tmp_path / "b", "--project", "cmake", "--board", "qemu-riscv32", "--out", tmp_path / "p"
    )
    assert result.exit_code == 0, result.output
    assert "riscv64-unknown-elf-gcc" in (tmp_path / "p" / "toolchain.cmake").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["RUN", "--runtime", "tflm"], "--runtime is for a project: say --project too."),
        (["RUN", "--board", "rp2040"], "--board is for a project: say --project too."),
        (
            ["RUN", "--out", "b", "--project", "zephyr"],
            "A project is made of the int8 model: say --int8 too.",
        ),
        (["BUNDLE", "--out", "b"], "BUNDLE is a bundle already: say which --project to make of it."),
        (["BUNDLE", "--project", "zephyr"], "No folder for the project was given: say --out."),
        (
            ["BUNDLE", "--project", "zephyr", "--out", "b", "--ram-budget", "3"],
            "--ram-budget is for making a bundle, and BUNDLE is one already: leave it out.",
        ),
    ],
)
def test_a_wrong_command_is_one_sentence(arguments, sentence, bundle):
    given = [str(bundle.path) if each == "BUNDLE" else each for each in arguments]
    result = edgesea("export", *given)
    assert isinstance(result.exception, UsageError)
    assert str(result.exception) == sentence.replace("BUNDLE", str(bundle.path))
