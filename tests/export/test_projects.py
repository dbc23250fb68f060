"""Projects: every framework's, in both runtimes, compiled by a real compiler; the CMake one runs in QEMU too.

Where a framework cannot be installed, its headers are the stand-ins beside this file.
"""

import dataclasses
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
from edgesea.exporting import c_compiler, export_tflite, load_bundle, tflm, write_bundle
from edgesea.exporting.project import MARKER, in_bundle, known_boards, write_project
from edgesea.interpreter import open_interpreter
from edgesea.running.emulator import ALONE
from firmware_export import boards, projects

STAND_INS = Path(__file__).parent / "stand_ins"
LIMIT_S = 300
PLATFORMIO = "platformio==6.2.0"
STRICT = ("-Wall", "-Wextra", "-Werror", "-O1", "-c")
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

# What a framework compiles with which folders of headers; a later part may use the headers of an earlier one.
Parts = list[tuple[list[Path], list[Path]]]


def sources_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix in (".c", ".cpp"))


def sketch(ino: Path) -> Path:
    """The C++ file that the Arduino builder makes of a sketch."""
    assert ino.is_file()
    unit = ino.with_suffix(".ino.cpp")
    unit.write_text(f"#include <Arduino.h>\nvoid setup();\nvoid loop();\n{ino.read_text()}")
    return unit


def arduino_parts(folder: Path) -> Parts:
    own = sources_in(folder / "src")
    return [([sketch(folder / f"{folder.name}.ino"), *own], [])]


def arduino_library_parts(folder: Path) -> Parts:
    properties = dict(line.split("=", 1) for line in (folder / "library.properties").read_text().splitlines())
    assert properties["name"] == folder.name
    assert (folder / "src" / properties["includes"]).is_file()
    examples = sorted((folder / "examples").glob("*/*.ino"))
    assert [file.stem for file in examples] == ["Embed", "Listen"]
    return [(sources_in(folder / "src"), [folder / "src"]), ([sketch(file) for file in examples], [])]


def platformio_parts(folder: Path) -> Parts:
    library = folder / "lib" / folder.name
    assert json.loads((library / "library.json").read_text())["license"] == "Apache-2.0"
    return [(sources_in(library), [library]), (sources_in(folder / "src"), [folder / "src"])]


def esp_idf_parts(folder: Path) -> Parts:
    parts = []
    for component in (folder / "components" / folder.name, folder / "main"):
        text = (component / "CMakeLists.txt").read_text()
        listed = {
            key: re.findall(r'"([^"]+)"', text.split(key)[1].split("\n")[0])
            for key in ("SRC_DIRS", "INCLUDE_DIRS")
        }
        sources = [file for each in listed["SRC_DIRS"] for file in sorted((component / each).glob("*.c*"))]
        parts.append((sources, [component / each for each in listed["INCLUDE_DIRS"]]))
    assert f"PRIV_REQUIRES {folder.name} " in text
    return parts


def listed_in(text: str, command: str, folder: Path) -> list[Path]:
    """The files that a CMake command lists, one a line."""
    files = re.search(rf"{command}\n(.*?)\)", text, re.DOTALL)[1].split()
    return [(folder / each).resolve() for each in files]


def zephyr_parts(folder: Path) -> Parts:
    module = (folder / "zephyr" / "CMakeLists.txt").read_text()
    alone = listed_in(module, r"zephyr_library_sources\(", folder / "zephyr")
    assert "zephyr_include_directories(../src/model)" in module
    text = (folder / "CMakeLists.txt").read_text()
    listed = listed_in(text, r"target_sources\(app PRIVATE", folder)
    assert set(listed) == {file.resolve() for file in sources_in(folder)}
    rest = [file for file in listed if file not in alone]
    return [(alone, [folder / "src" / "model"]), (rest, [folder / "src", folder / "src" / "firmware"])]


def pico_sdk_parts(folder: Path) -> Parts:
    text = (folder / "CMakeLists.txt").read_text()
    model = listed_in(text, rf"add_library\({folder.name}_model STATIC", folder)
    program = listed_in(text, rf"add_executable\({folder.name}", folder)
    assert {*model, *program} == {file.resolve() for file in sources_in(folder)}
    return [(model, [folder / "model"]), (program, [folder, folder / "firmware"])]


PARTS = {
    "arduino": arduino_parts,
    "arduino-library": arduino_library_parts,
    "platformio": platformio_parts,
    "esp-idf": esp_idf_parts,
    "zephyr": zephyr_parts,
    "pico-sdk": pico_sdk_parts,
}
HEADERS = {kind: kind for kind in PARTS} | {"platformio": "arduino", "arduino-library": "arduino"}
# What the C library, libgcc and the framework give; all else has to be in the project.
GIVEN = {
    "arduino": r"PDM|Serial|micros|millis|delay|SystemCoreClock"
    r"|.*(PDMClass|SerialPort|I2SClass|Stream|Print).*",
    "esp-idf": r"i2s_.*|uart_.*|esp_.*|vTaskDelay",
    "zephyr": r"stand_in_.*|dmic_.*|uart_.*|k_.*|timing_.*|sys_clock_.*|device_is_ready",
    "pico-sdk": r"stdio_.*|getchar_timeout_us|putchar_raw|sleep_ms|time_us_32|clock_get_hz",
}
LIBRARY = (
    r"mem(cpy|set|move|cmp)|str(len|n?cmp)|sqrtf?|__.*|_Z.*(6tflite|cxxabi).*|_ZTVN10__cxxabiv.*|_ZdlPv.*"
)
# What the board's own variant of an Arduino core defines: the Nano has a microphone.
VARIANTS = {"nano33ble": ("-DPIN_PDM_DIN=36",)}
# Of the ESP32's, those whose I2S receives PDM. Source: soc_caps.h of each.
PDM_CHIPS = ("esp32", "esp32-s3")


def compiler_of(board: boards.Board, suffix: str) -> tuple[str, tuple[str, ...]]:
    """A compiler for the board's kind of core, and its flags."""
    if board.core.startswith("riscv"):
        needs("riscv64-unknown-elf-gcc")
        return "riscv64-unknown-elf-", (*board.toolchain.flags, "--specs=picolibc.specs")
    # The least of a C library for another Xtensa has no C++: that is compiled for Arm.
    if board.core.startswith("xtensa") and suffix == ".c" and shutil.which("xtensa-lx106-elf-gcc"):
        return "xtensa-lx106-elf-", board.toolchain.flags
    needs("arm-none-eabi-gcc", "arm-none-eabi-g++")
    arm = board if not board.core.startswith("xtensa") else boards.board("nrf52840")
    return "arm-none-eabi-", arm.toolchain.flags


def configured(kind: str, folder: Path, board: boards.Board, objects: Path) -> tuple[str, ...]:
    """What a framework makes of the project's configuration, as flags."""
    if kind == "zephyr":
        lines = (folder / "prj.conf").read_text().splitlines()
        chosen = [line.removesuffix("=y") for line in lines if re.fullmatch(r"CONFIG_\w+=y", line)]
        return (*(f"-D{each}=1" for each in chosen), '-DCONFIG_BOARD="stand_in"')
    if kind == "esp-idf":
        menu = folder / "main" / "Kconfig.projbuild"
        text = menu.read_text() if menu.is_file() else ""
        options = re.findall(r"^config (\w+)\n.*\n    default (\d+)$", text, re.MULTILINE)
        lines = [f"#define CONFIG_{name} {value}\n" for name, value in options]
        if board.name in PDM_CHIPS:
            lines.append("#define CONFIG_SOC_I2S_SUPPORTS_PDM_RX 1\n")
        (objects / "sdkconfig.h").write_text("".join(lines))
    return VARIANTS.get(board.name, ())


# Kernels, frontend and protocol are the same files in every project.
SAME = re.compile(r"edgesea_\w+\.c")


def compile_all(
    kind: str, folder: Path, objects: Path, *flags: str, board: str | None = None, whole: bool = True
) -> set[str]:
    """Compiles a project as its framework would; returns the symbols that it leaves to others.

    whole : False leaves out what is the same in every project
    """
    chip = boards.board(board or projects.framework(kind).board)
    includes = [objects, STAND_INS / HEADERS[kind], STAND_INS / "tflm"]
    flags = (*configured(kind, folder, chip, objects), *flags)
    for sources, headers in PARTS[kind](folder):
        includes += headers
        for suffix, name, language in ((".c", "gcc", "-std=gnu11"), (".cpp", "g++", "-std=c++17")):
            chosen = [
                file for file in sources if file.suffix == suffix and (whole or not SAME.match(file.name))
            ]
            if not chosen:
                continue
            prefix, core = compiler_of(chip, suffix)
            program = prefix + name
            outcome = run(
                program,
                language,
                *core,
                *STRICT,
                *flags,
                *(f"-I{each}" for each in includes),
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


def lacks_nothing(kind: str, missing: set[str], whole: bool = True) -> None:
    given = re.compile(f"{GIVEN[HEADERS[kind]]}|{LIBRARY}" + ("" if whole else "|edgesea_.*"))
    assert not [name for name in missing if not given.fullmatch(name)]
    assert missing, "a project asks its framework for something"


def test_every_framework_but_cmake_is_compiled_here():
    """CMake's own is built, linked and run below."""
    assert {*PARTS, "cmake"} == {*projects.names()}


# What differs between two frameworks is in one of the runtimes already.
COMPILED = [(kind, "c") for kind in PARTS] + [
    pytest.param(kind, "tflm", marks=() if kind in ("arduino", "esp-idf", "zephyr") else pytest.mark.slow)
    for kind in PARTS
]


@pytest.mark.parametrize(("kind", "runtime"), COMPILED)
def test_a_project_compiles_and_lacks_nothing(kind, runtime, written, tmp_path):
    lacks_nothing(kind, compile_all(kind, written(kind, runtime), tmp_path))


@pytest.mark.parametrize(
    ("kind", "board", "flags"),
    [
        ("arduino", "esp32-s3", ()),
        ("arduino", "esp32-c6", ()),
        ("arduino", "rp2350", ()),
        ("platformio", "esp32", ()),
        ("platformio", "stm32h743", ("-DF_CPU=480000000L",)),
        ("arduino", "rp2040", ()),
        ("esp-idf", "esp32", ()),
        ("esp-idf", "esp32-c3", ()),
        ("esp-idf", "esp32-c6", ()),
        ("pico-sdk", "rp2350", ()),
        ("zephyr", "nano33ble", ()),
        ("zephyr", "microbit-v2", ()),
        ("zephyr", "stm32h743", ("-DNO_DMIC",)),
    ],
)
def test_other_boards_compile(kind, board, flags, written, tmp_path):
    whole = board == "esp32-c3"  # of the RISC-V ones
    missing = compile_all(kind, written(kind, "c", board), tmp_path, *flags, board=board, whole=whole)
    lacks_nothing(kind, missing, whole)


@pytest.mark.parametrize("kind", list(PARTS))
def test_a_bundle_without_frontend_gives_golden_vectors_and_protocol(kind, quiet_bundle, tmp_path):
    folder = tmp_path / quiet_bundle.identifier
    write_project(quiet_bundle, kind, folder)
    names = {file.name for file in folder.rglob("*")}
    assert not {"sensor.c", "microphone.h", "microphone.c", "microphone.cpp", "edgesea_frontend.c"} & names
    assert "there is none: the model's inputs come over the serial line" in (folder / "README.md").read_text()
    (tmp_path / "objects").mkdir()
    lacks_nothing(kind, compile_all(kind, folder, tmp_path / "objects", whole=False), whole=False)


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
    lists = folder / "emulated" / "emulated.cmake"
    assert "TIMEOUT 600" in lists.read_text()
    lists.write_text(lists.read_text().replace("TIMEOUT 600", "TIMEOUT 2"))
    cmake(folder)
    outcome = run("ctest", "--preset", "qemu-cortex-m4", folder=folder)
    assert outcome.returncode != 0
    assert "***Timeout" in outcome.stdout


@pytest.mark.parametrize("kind", projects.names())
def test_no_project_asks_for_semihosting(kind, written):
    for path in written(kind).rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"semihosting" not in path.name.encode()
            assert b"target=" + b"native" not in content, path
            assert b"-semi" + b"hosting" not in content, path
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
    folder = written("zephyr") / "src"
    firmware = folder / "firmware"
    assert f"#define MICROPHONE_RATE {2 * frontend.sample_rate}" in (firmware / "microphone.h").read_text()
    (tmp_path / "host.c").write_text(HOST_BOARD)
    flags = ("-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined")
    sources = [tmp_path / "host.c", *sorted(firmware.glob("*.c")), *sorted((folder / "model").glob("*.c"))]
    outcome = run(
        "gcc",
        *flags,
        f"-I{firmware}",
        f"-I{folder / 'model'}",
        *sources,
        "-lm",
        "-o",
        "program",
        folder=tmp_path,
    )
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
    source = (projects.FOLDER / "program" / "sensor" / "half_band.c").read_text()
    half = [int(value) for value in re.search(r"\] = \{\n(.*),\n\};", source)[1].split(",")]
    taps = np.zeros(63)
    taps[31] = 16384
    taps[32::2], taps[30::-2] = half, half
    return taps / 32768


# ---------------------------------------------------------------- TensorFlow Lite Micro's figures


def test_the_resolver_holds_each_operator_once(bundle, written):
    text = (written("zephyr", "tflm") / "src" / "model" / f"{IDENTIFIER}_tflm.cpp").read_text()
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


def test_operators_of_the_c_model_are_those_of_tflm_or_refused():
    from firmware_export import ops

    lacking = {"GELU", "RELU_N1_TO_1", "TILE"}
    assert set(ops.compiled()) - tflm.OPERATORS == lacking
    for name in lacking:
        with pytest.raises(
            EdgeseaError, match=rf"^TensorFlow Lite Micro has no {name}, which this model uses"
        ):
            tflm.resolver_methods(["CONV_2D", name])


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


def test_the_arena_says_what_it_was_computed_for_and_whether_tflm_ran(int8_model, monkeypatch):
    arena = tflm.arena_of(int8_model, "cortex-m4")
    assert arena.how == "computed"
    assert arena.recommended % 16 == 0
    assert arena.recommended >= arena.bytes + arena.scratch + arena.margin
    if tflm.importlib.util.find_spec("tflite_micro"):
        ran = r"tflite-micro \S+ runs the model on this machine"
        assert re.fullmatch(f"computed for cortex-m4 with CMSIS-NN's kernels; {ran}", arena.kernels)
    monkeypatch.setattr(tflm.importlib.util, "find_spec", lambda name: None)
    other = tflm.arena_of(int8_model, "riscv32")
    assert other.kernels.startswith(
        "computed for riscv32 with the reference kernels; not tried, because no tflite-micro was installed"
    )
    assert (other.scratch, other.bytes) == (0, arena.bytes)


def test_the_arena_of_the_papers_student(shared):
    # Measured on a Cortex-M4 with CMSIS-NN: .data and .bss with the least arena that runs.
    model = (shared / "models" / "sea_student3_int8.tflite").read_bytes()
    assert 213_836 - 3000 <= tflm.arena_of(model, "cortex-m4").recommended <= 1.15 * 213_836


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
@pytest.mark.parametrize("kind", projects.names())
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
    assert "export ZEPHYR_BASE=WORKSPACE/zephyr\n    west build --board nrf52840dk/nrf52840\n" in text
    assert "`west build --board nrf52840dk/nrf52840\n--source-dir` with this folder does the same" in text
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
        boards.board("nano33ble").known["platformio"].platform,
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
    marker = {"edgesea": "1", "kind": "zephyr", "board": "nrf52840"}
    for name in ("../victim", str(victim), ""):
        (folder / MARKER).write_text(json.dumps({**marker, "files": [name]}))
        with pytest.raises(UsageError, match=r"files\[0\] is not valid, .*: name a folder that is new or an"):
            write_project(bundle, "zephyr", folder)
    (folder / MARKER).write_text(json.dumps({**marker, "files": ["link/file", "real"]}))
    write_project(bundle, "zephyr", folder)
    assert victim.read_text() == "mine"
    assert (tmp_path / "elsewhere" / "file").read_text() == "mine"


@pytest.mark.parametrize("marker", ["", "[]", "{}", '{"files": 3}', '{"files": [1]}', "[" * 10000])
def test_a_marker_that_is_none_is_said(marker, bundle, tmp_path):
    (tmp_path / MARKER).write_text(marker)
    with pytest.raises(UsageError, match=r"^The file .*: name a folder that is new or an older project\.$"):
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
            "There is no project for 'keil': choose one of arduino, arduino-library, cmake, esp-idf, "
            "pico-sdk, platformio, zephyr.",
        ),
        (("zephyr", "tvm"), "There is no runtime 'tvm': choose one of c, tflm."),
        (
            ("esp-idf", "c", "rp2040"),
            "ESP-IDF does not know the board 'rp2040': choose one of esp32, esp32-c3, esp32-c6, esp32-s3.",
        ),
        (
            ("pico-sdk", "c", "esp33"),
            "Pico SDK does not know the board 'esp33': choose one of rp2040, rp2350.",
        ),
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
    for kind in projects.names():
        assert projects.framework(kind).board in known_boards(kind)
    assert "qemu-cortex-m4" in known_boards("cmake")
    assert not [name for name in known_boards("zephyr") if boards.board(name).emulator]


@pytest.mark.parametrize("kind", ["arduino", "arduino-library"])
def test_a_sketch_lies_in_a_folder_of_its_own_name(kind, bundle, tmp_path):
    write_project(bundle, kind, tmp_path / "other")
    assert [path.name for path in (tmp_path / "other").iterdir()] == [IDENTIFIER]
    assert (tmp_path / "other" / IDENTIFIER / MARKER).is_file()


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
        UsageError, match=r"is not empty and not a project: name a folder that is new or an older project\.$"
    ):
        write_project(bundle, "zephyr", tmp_path)
    with pytest.raises(
        UsageError, match=r"notes is a file: name a folder that is new or an older project\.$"
    ):
        write_project(bundle, "zephyr", tmp_path / "notes")
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


# ---------------------------------------------------------------- what the real frameworks said

# A native USB port, and a clock that only delays move: DTR rises after host_ms, or never if that is negative.
NATIVE_PORT = r"""
#include <Arduino.h>
#include <cstdio>
#include <cstdlib>
#include "edgesea_board.h"
static unsigned long now;
static long host_ms;
unsigned long millis() { return now; }
unsigned long micros() { return 1000 * now; }
void delay(unsigned long ms) { now += ms; }
SerialPort Serial;
SerialPort::operator bool() { return host_ms >= 0 && now >= (unsigned long)host_ms; }
void SerialPort::begin(unsigned long) {}
int SerialPort::available() { return bool(*this); }
int SerialPort::read() { return bool(*this) ? 'x' : -1; }
int SerialPort::peek() { return read(); }
size_t SerialPort::write(uint8_t) { return 0; }
size_t SerialPort::write(const uint8_t *bytes, size_t count)
{
    return bool(*this) ? fwrite(bytes, 1, count, stdout) : 0;
}
int main(int, char **words)
{
    host_ms = atol(words[1]);
    edgesea_board_start();
    edgesea_board_write("verdict", 7);
    printf(" at %lu, read %d\n", now, edgesea_board_read());
}
"""


@pytest.mark.parametrize(
    ("host_ms", "said"),
    [
        (0, "verdict at 0, read 120\n"),  # a UART, which is always there
        (1500, "verdict at 1500, read 120\n"),
        (-1, " at 3000, read -1\n"),  # nobody opens it: the program goes on
    ],
)
def test_the_verdict_waits_for_a_native_usb_port(host_ms, said, written, tmp_path):
    needs("g++")
    (tmp_path / "port.cpp").write_text(NATIVE_PORT)
    source = written("arduino") / "src"
    headers = (f"-I{STAND_INS / 'arduino'}", f"-I{source}")
    outcome = run("g++", *headers, "port.cpp", source / "board.cpp", "-o", "port", folder=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    assert run("./port", host_ms, folder=tmp_path).stdout == said


# A microphone that waits until all of it is there, as an ESP32's, and a board that counts looks at its line.
WAITING_BOARD = r"""
#include <stdio.h>
#include "edgesea_board.h"
#include "microphone.h"
#include "program.h"
static unsigned long looks, asked;
void edgesea_board_start(void) {}
int edgesea_board_read(void) { looks++; return -1; }
void edgesea_board_write(const char *bytes, size_t count) { (void)bytes; (void)count; }
uint32_t edgesea_board_cycles(void) { return 0; }
uint32_t edgesea_board_clock_hz(void) { return 0; }
const char *edgesea_board_name(void) { return "host"; }
int microphone_start(void) { return 0; }
int microphone_read(int16_t *pcm, size_t count)
{
    if (asked >= 2 * MICROPHONE_RATE) return -1;
    for (size_t i = 0; i < count; i++) pcm[i] = (int16_t)(i * 37);
    asked += count;
    return (int)count;
}
int main(void)
{
    program_run();
    printf("%lu looks, %lu samples\n", looks, asked);
    return 0;
}
"""


def test_the_line_is_looked_at_once_a_hop_whatever_the_microphone_does(frontend, written, tmp_path):
    needs("gcc")
    component = written("esp-idf") / "components" / IDENTIFIER
    firmware = written("esp-idf") / "main" / "firmware"
    (tmp_path / "board.c").write_text(WAITING_BOARD)
    sources = [*component.glob("*.c"), *firmware.glob("*.c"), tmp_path / "board.c"]
    headers = (f"-I{component}", f"-I{firmware}")
    outcome = run("gcc", "-O1", *headers, *sources, "-lm", "-o", "program", folder=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    looks, samples = map(int, re.findall(r"\d+", run("./program", folder=tmp_path).stdout))
    assert samples >= 2 * 2 * frontend.sample_rate
    assert looks >= samples // 2 // frontend.hop


# Zephyr's kernel with a clock that waiting moves; the microphone has a block every 100 ms.
SLEEPING_KERNEL = r"""
#include <stdio.h>
#include <string.h>
#include <zephyr/audio/dmic.h>
#include "microphone.h"
const struct device stand_in_dmic_dev;
static unsigned now, ready = 100, looks;
static int16_t sound[MICROPHONE_RATE / 10];
bool device_is_ready(const struct device *device) { (void)device; return true; }
int dmic_configure(const struct device *d, struct dmic_cfg *config) { (void)d; (void)config; return 0; }
int dmic_trigger(const struct device *d, enum dmic_trigger command) { (void)d; (void)command; return 0; }
uint32_t k_uptime_get_32(void) { return now; }
void k_mem_slab_free(struct k_mem_slab *slab, void *block) { (void)slab; (void)block; }
int dmic_read(const struct device *device, uint8_t stream, void **buffer, size_t *size, int32_t timeout)
{
    (void)device; (void)stream;
    looks++;
    if (looks > 100000) { now = 10000; }
    if (now + (unsigned)timeout < ready) { now += (unsigned)timeout; return -11; }
    now = ready > now ? ready : now;
    ready += 100;
    *buffer = sound;
    *size = sizeof sound;
    return 0;
}
int main(void)
{
    int16_t pcm[64];
    microphone_start();
    while (now < 10000) microphone_read(pcm, 64);
    printf("%u\n", looks);
    return 0;
}
"""


def test_zephyr_sleeps_between_blocks(written, tmp_path):
    needs("gcc")
    folder = written("zephyr") / "src"
    (tmp_path / "kernel.c").write_text(SLEEPING_KERNEL)
    flags = (
        "-DCONFIG_AUDIO=1",
        "-DCONFIG_AUDIO_DMIC=1",
        f"-I{STAND_INS / 'zephyr'}",
        f"-I{folder / 'firmware'}",
    )
    outcome = run("gcc", *flags, "kernel.c", folder / "microphone.c", "-o", "kernel", folder=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    # In ten seconds: a few looks a block, not as many as the core can.
    assert 100 <= int(run("./kernel", folder=tmp_path).stdout) <= 1000


def test_zephyr_has_nothing_of_another_board_or_of_a_microphone_that_is_not_there(
    written, quiet_bundle, tmp_path
):
    overlay = "boards/nrf52840dk_nrf52840.overlay"
    assert (written("zephyr") / overlay).is_file()
    assert "CONFIG_AUDIO_DMIC=y" in (written("zephyr") / "prj.conf").read_text()
    assert "return CONFIG_BOARD;" in (written("zephyr") / "src" / "board.c").read_text()
    assert not (written("zephyr", "c", "nano33ble") / overlay).exists()
    write_project(quiet_bundle, "zephyr", tmp_path)
    assert "CONFIG_AUDIO" not in (tmp_path / "prj.conf").read_text()
    assert not (tmp_path / overlay).exists()


def test_a_microphone_that_cannot_be_read_is_said(written):
    folder = written("zephyr", "c", "microbit-v2")
    assert "The board's microphone is analogue" in (folder / "README.md").read_text()
    assert not [*folder.rglob("microphone.*"), *folder.rglob("sensor.c")]
    assert "CONFIG_AUDIO" not in (folder / "prj.conf").read_text()
    # The Nano's can, by Zephyr too; and the Pico 2 has a library for one that is wired to it.
    assert (written("zephyr", "c", "nano33ble") / "src" / "microphone.c").is_file()
    assert "its clock at GP3" in (written("arduino", "c", "rp2350") / "README.md").read_text()


@pytest.mark.parametrize(
    ("kind", "board", "says"),
    [
        ("arduino", "nano33ble", "The microphone gives 16,000 or 41,667 samples a second"),
        ("platformio", "nano33ble", "The microphone gives 16,000 or 41,667 samples a second"),
        ("zephyr", "nrf52840", "The microphone gives 16,000 samples a second"),
        ("esp-idf", "esp32-s3", None),
    ],
)
def test_a_rate_that_a_microphone_does_not_take_leaves_the_sensor_out(
    kind, board, says, int8_model, frontend, tmp_path
):
    fast = dataclasses.replace(frontend, sample_rate=48000)
    (tmp_path / "model.tflite").write_bytes(int8_model)
    made = export_tflite(tmp_path / "model.tflite", tmp_path / "bundle", frontend=fast)
    write_project(made, kind, tmp_path / "model", board=board)
    text = " ".join((tmp_path / "model" / "README.md").read_text().split())
    sensor = [*(tmp_path / "model").rglob("sensor.c"), *(tmp_path / "model").rglob("microphone.c*")]
    if says is None:
        assert len(sensor) == 2
    else:
        assert f"{says}, and this model wants 48,000: the sensor program is left out." in text
        assert not sensor


def test_every_platform_of_platformio_is_pinned_and_has_what_the_microphone_needs():
    for name in known_boards("platformio"):
        board = boards.board(name)
        platform = board.known["platformio"].platform
        assert re.fullmatch(r"\w+@\d+\.\d+\.\d+|https://\S+/releases/download/[\d.]+/\S+\.zip", platform), (
            name
        )
        if name.startswith("esp32"):
            # ESP_I2S.h came with core 3; the platform that PlatformIO itself has brings core 2.
            assert int(platform.split("/download/")[1].split(".")[0]) >= 53, name
        ini = boards.board(name).frameworks["platformio"]
        assert ini == ini.strip()


def test_the_platform_is_in_the_project(written):
    text = (written("platformio", "c", "esp32") / "platformio.ini").read_text()
    assert f"platform = {boards.board('esp32').known['platformio'].platform}\n" in text


def test_the_pico_waits_for_its_usb_port(written):
    text = (written("pico-sdk") / "CMakeLists.txt").read_text()
    assert "PICO_STDIO_USB_CONNECT_WAIT_TIMEOUT_MS=3000" in text
    assert "pico_enable_stdio_usb(" in text


# ---------------------------------------------------------------- into a project that is there already

PARENT = """\
cmake_minimum_required(VERSION 3.20)
project(parent LANGUAGES C)
enable_testing()
add_subdirectory(NAME)
add_executable(mine main.c)
target_link_libraries(mine PRIVATE NAME)
"""


def test_cmake_takes_the_project_as_a_subdirectory(bundle, written, tmp_path):
    """By the host's compiler: no board, no test and no target but the model's two."""
    needs("cmake", "gcc")
    shutil.copytree(written("cmake"), tmp_path / IDENTIFIER, ignore=shutil.ignore_patterns("build"))
    (tmp_path / "CMakeLists.txt").write_text(PARENT.replace("NAME", IDENTIFIER))
    golden = bundle.golden()
    given, wanted = (", ".join(map(str, golden[key][0].ravel())) for key in ("inputs", "outputs"))
    (tmp_path / "main.c").write_text(
        f"""#include "{IDENTIFIER}.h"
#include <string.h>
static const int8_t given[] = {{{given}}}, wanted[] = {{{wanted}}};
static int8_t found[sizeof wanted];
int main(void) {{
    if ({IDENTIFIER}_invoke((const void *)given, (void *)found) != 0) return 1;
    return memcmp(found, wanted, sizeof wanted) != 0;
}}
"""
    )
    for step in (("-S", ".", "-B", "build"), ("--build", "build")):
        outcome = run("cmake", *step, folder=tmp_path)
        assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert run("build/mine", folder=tmp_path).returncode == 0
    assert "No tests were found" in run("ctest", "--test-dir", "build", folder=tmp_path).stderr
    assert not [*(tmp_path / "build").rglob("*.elf")]


def test_zephyr_takes_the_model_as_a_module(written):
    """That its list of files compiles alone is part of the tests above."""
    folder = written("zephyr") / "zephyr"
    assert f"name: {IDENTIFIER}\n" in (folder / "module.yml").read_text()
    option = re.search(r"^config (\w+)$", (folder / "Kconfig").read_text(), re.MULTILINE)[1]
    assert f"if(CONFIG_{option})" in (folder / "CMakeLists.txt").read_text()
    assert f"`CONFIG_{option}=y`" in (written("zephyr") / "README.md").read_text()


def test_esp_idf_s_pins_are_in_its_menu(written):
    text = (written("esp-idf", "c", "esp32-c3") / "main" / "Kconfig.projbuild").read_text()
    pins = re.findall(r"config MICROPHONE_(\w+)_PIN\n.*\n    default (\d+)", text)
    assert {name.lower(): int(pin) for name, pin in pins} == boards.board("esp32-c3").pins


@pytest.mark.parametrize("kind", projects.names())
def test_every_project_has_the_licence(kind, written):
    licence = (Path(__file__).resolve().parents[2] / "LICENSE").read_bytes()
    assert projects.LICENSE.read_bytes() == licence
    assert (written(kind) / "LICENSE").read_bytes() == licence


DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_the_board_file_of_the_documentation_compiles_and_is_whole(written, tmp_path):
    needs("arm-none-eabi-gcc")
    page = (DOCS / "existing-project.md").read_text()
    (block,) = [each for each in re.findall(r"```c\n(.*?)```", page, re.DOTALL) if "HAL_UART" in each]
    (tmp_path / "board.c").write_text(block)
    headers = (f"-I{STAND_INS / 'stm32'}", f"-I{written('cmake') / 'firmware'}")
    core = boards.board("stm32h743").toolchain.flags
    outcome = run("arm-none-eabi-gcc", "-std=c99", *core, *STRICT, *headers, "board.c", folder=tmp_path)
    assert outcome.returncode == 0, outcome.stderr
    defined = run("arm-none-eabi-nm", "--defined-only", "-P", "board.o", folder=tmp_path).stdout
    wanted = re.findall(
        r"(edgesea_board_\w+)\(", (written("cmake") / "firmware" / "edgesea_board.h").read_text()
    )
    assert set(wanted) <= {line.split()[0] for line in defined.splitlines()}
    assert len(set(wanted)) == 6


def test_the_documentation_names_every_framework():
    page = (DOCS / "projects.md").read_text()
    assert [kind for kind in projects.names() if f"| `{kind}` |" not in page] == []


# ---------------------------------------------------------------- a new framework is a folder

BARE = """\
title = "Bare metal"
board = "nrf52840"
program = "around"
model = "net"
boards_of = "zephyr"
build = ["make BOARD={board} {name}.elf"]
needs = "GNU make."
options = ["-O2"]

[files]
"bare/Makefile" = "Makefile"
"zephyr/src/main.c" = "main.c"

[tflm]
needs = "No one has tried."
"""


@pytest.fixture
def bare(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "frameworks" / "bare"
    folder.mkdir(parents=True)
    (folder / "framework.toml").write_text(BARE)
    (folder / "Makefile.jinja").write_text(
        "CFLAGS = {{ options | join(' ') }}\n{{ name }}.elf: {{ model_sources[0] }}\n"
    )
    monkeypatch.setattr(projects, "FOLDERS", [*projects.FOLDERS, folder.parent])
    return folder / "framework.toml"


def test_a_framework_from_another_folder(bare, bundle, tmp_path):
    write_project(bundle, "bare", tmp_path / "out", board="stm32h743")
    assert f"make BOARD=nucleo_h743zi {IDENTIFIER}.elf" in (tmp_path / "out" / "README.md").read_text()
    make, first = (tmp_path / "out" / "Makefile").read_text().splitlines()
    assert make == "CFLAGS = -O2 CONFIG_TIMING_FUNCTIONS=y"
    assert (tmp_path / "out" / first.split(": ")[1]).is_file()
    assert {"main.c", "net", "around"} <= {path.name for path in (tmp_path / "out").iterdir()}
    assert known_boards("bare") == known_boards("zephyr")
    with pytest.raises(UsageError, match=r"choose one of arduino, arduino-library, bare, cmake"):
        write_project(bundle, "keil", tmp_path / "none")


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ('title = "Bare metal"\n', "", "title must be a text. Received: None."),
        ('program = "around"', "program = 3", "program must be a text. Received: 3."),
        ('options = ["-O2"]', 'options = "-O2"', "options must be a list of texts. Received: '-O2'."),
        ('options = ["-O2"]', 'colour = "red"', "colour must be no such key. Received: 'red'."),
        ("[tflm]\nneeds", "[tflm]\nfloor", "tflm.needs must be a text. Received: None."),
        ('boards_of = "zephyr"', 'boards_of = "nuttx"', "boards_of must be one of arduino, .*'nuttx'."),
        ('"GNU make."', '"GNU make."\nmicrophone = "pdm"', "microphone must be one of .*'pdm'."),
        ('"GNU make."', '"GNU make', "cannot be read: "),
    ],
)
def test_a_wrong_framework_says_what_is_wrong(before, after, complaint, bare):
    assert before in BARE
    bare.write_text(BARE.replace(before, after))
    with pytest.raises(projects.FrameworkError, match=complaint) as raised:
        projects.framework("bare")
    assert str(bare) in str(raised.value)


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
