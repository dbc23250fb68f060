"""Boards: what lies beside the loader is sound, and a wrong file is named with what is wrong in it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from random_graphs import single_operator_model

from firmware_export import boards
from firmware_export.boards.table import renewed
from firmware_export.compile import compile_model
from firmware_export.fit import CORES

EMULATED = ["cortex-m0plus", "cortex-m3", "cortex-m33", "cortex-m4", "cortex-m55", "cortex-m7", "riscv32"]

REAL = {
    # what the makers' manuals say: core, clock in MHz, flash and RAM in KB
    "apollo4": ("cortex-m4", 96, 1952, 2816),
    "esp32": ("xtensa-lx6", 240, 4096, 176.5),
    "esp32-c3": ("riscv32", 160, 4096, 313.765625),
    "esp32-c6": ("riscv32", 160, 8192, 441.515625),
    "esp32-s3": ("xtensa-lx7", 240, 8192, 337.75),
    "microbit-v2": ("cortex-m4", 64, 512, 128),
    "nano33ble": ("cortex-m4", 64, 960, 256),
    "nrf52840": ("cortex-m4", 64, 1024, 256),
    "rp2040": ("cortex-m0plus", 125, 2048, 264),
    "rp2350": ("cortex-m33", 150, 4096, 520),
    "stm32f746": ("cortex-m7", 216, 1024, 320),
    "stm32h743": ("cortex-m7", 480, 2048, 992),
    "stm32l4r5": ("cortex-m4", 120, 2048, 640),
    "stm32u585": ("cortex-m33", 160, 2048, 768),
}

GOOD = """
title = "A board"
core = "cortex-m4"
clock_hz = 120_000_000
flash_bytes = 1024
ram_bytes = 512
standing = "untested"

[toolchain]
prefix = "arm-none-eabi-"
flags = ["-mcpu=cortex-m4"]
link_flags = []
package = "gcc-arm-none-eabi"
"""

EMULATOR = """
[emulator]
program = "qemu-system-arm"
arguments = []
package = "qemu-system-arm"
startup = "cortex_m.c"
instructions_per_tick = 40
uart = "uart_cmsdk.c"
uart_base = 0x40004000

[[memory]]
name = "RAM"
origin = 0x20000000
length = 512
"""


FLASHER = """
[flasher]
program = "pyocd"
project = "zephyr"
arguments = ["flash", "{elf}"]
install = "pip"
usb_vendors = [0x0d28]
"""


def test_every_emulated_core_is_there_and_has_no_clock():
    assert [name.removeprefix("qemu-") for name in boards.names() if name.startswith("qemu-")] == EMULATED
    for core in EMULATED:
        board = boards.board(f"qemu-{core}")
        assert board.clock_hz is None
        assert board.core == core
        assert board.emulator.instructions_per_tick >= 1
        assert {region.name for region in board.memory} == {"VECTORS", "FLASH", "RAM"}
        assert next(r for r in board.memory if r.name == "RAM").length == board.ram_bytes
        assert (boards.FOLDER.parent / "emulated" / board.emulator.startup).is_file()


def test_every_board_reads():
    for name in boards.names():
        assert boards.board(name).name == name


def test_the_real_boards():
    real = {name: boards.board(name) for name in boards.names() if not name.startswith("qemu-")}
    assert real.keys() == REAL.keys()
    for name, board in real.items():
        figures = (board.clock_hz / 1e6, board.flash_bytes / 1024, board.ram_bytes / 1024)
        assert (board.core, *figures) == REAL[name]
        assert board.emulator is None
        assert board.core in CORES
        # The kind of project that is built by default is one that knows the board.
        assert board.flasher.project in board.frameworks
        assert board.flasher.install
        assert board.flasher.usb_vendors
        # No board was at hand.
        assert board.standing in ("builds", "untested")


def test_the_paper_s_board_has_its_ram_in_pieces():
    board = boards.board("stm32h743")
    assert board.largest_ram_bytes == 512 * 1024 < board.ram_bytes
    assert boards.board("nrf52840").largest_ram_bytes == boards.board("nrf52840").ram_bytes


def _compilers() -> list:
    """Each different compiler call of the boards that are said to build, and one board that has it."""
    found = {}
    for name in REAL:
        board = boards.board(name)
        if board.standing == "builds":
            found.setdefault((board.toolchain.prefix, board.toolchain.flags), name)
    return [pytest.param(*call, id=name) for call, name in found.items()]


@pytest.mark.parametrize(("prefix", "flags"), _compilers())
def test_boards_that_build(tmp_path, prefix, flags):
    """The C model, compiled and linked whole as a library would be, has no name that nothing provides."""
    package, link = "gcc-arm-none-eabi", "--specs=nosys.specs"
    if prefix == "riscv32-esp-elf-":
        # ESP-IDF's own compiler is in no Debian package; another for the same core takes its place.
        prefix, package = "riscv64-unknown-elf-", "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf"
        link = "--specs=picolibc.specs"
    compiler = shutil.which(f"{prefix}gcc")
    if compiler is None:
        pytest.skip(f"{prefix}gcc is missing: install {package}")
    compiled = compile_model(single_operator_model("DEPTHWISE_CONV_2D", 3), tmp_path / "c", "subject")
    main = tmp_path / "main.c"
    arguments = ["(const void *)in"] * len(compiled.inputs) + ["(void *)out"] * len(compiled.outputs)
    main.write_text(
        '#include "subject.h"\nstatic int8_t in[1 << 12], out[1 << 12];\n'
        f"int main(void) {{ return subject_invoke({', '.join(arguments)}); }}\n"
    )
    sources = [path for path in compiled.files if path.suffix == ".c"]
    image = tmp_path / "firmware.elf"
    strict = ("-std=c99", "-O2", "-Wall", "-Werror")
    command = [compiler, *flags, link, *strict, f"-I{tmp_path / 'c'}", main, *sources]
    done = subprocess.run(
        [*command, "-o", image, "-lm"],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    assert image.is_file(), done.stderr


def test_a_board_without_emulator(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    board = boards.read(path)
    assert (board.name, board.clock_hz, board.emulator, board.memory) == ("mine", 120_000_000, None, ())
    assert (board.largest_ram_bytes, board.flasher) == (512, None)


def test_a_flasher(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + FLASHER)
    assert boards.read(path).flasher == boards.Flasher(
        "pyocd", "zephyr", ("flash", "{elf}"), "pip", (0x0D28,)
    )
    for before, after, complaint in (
        ('["flash", "{elf}"]', '"flash"', r"flasher.arguments must be a list of texts. Received: 'flash'"),
        ("[0x0d28]", "[true]", r"flasher.usb_vendors must be a list of whole numbers. Received: \[True\]"),
        ('project = "zephyr"\n', "", "flasher.project must be a text. Received: None"),
    ):
        path.write_text(GOOD + FLASHER.replace(before, after))
        with pytest.raises(boards.BoardError, match=complaint):
            boards.read(path)


def test_frameworks(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD + '[frameworks]\nzephyr = "mine"\n')
    assert boards.read(path).frameworks == {"zephyr": "mine"}
    assert isinstance(hash(boards.read(path)), int)
    for line, complaint in (
        ("zephyr = 1", "frameworks.zephyr must be a text or a table. Received: 1"),
        ("zephyr = {name = 1}", "frameworks.zephyr.name must be a text. Received: 1"),
        ('zephyr = {name = "x", colour = 1}', "frameworks.zephyr.colour must be no such key. Received: 1"),
        ('mbed = "x"', "frameworks.mbed must be one of arduino, .*zephyr. Received: 'mbed'"),
    ):
        path.write_text(GOOD + f"[frameworks]\n{line}\n")
        with pytest.raises(boards.BoardError, match=complaint):
            boards.read(path)


def test_platformio_names_a_board_and_its_platform():
    for name in REAL:
        known = boards.board(name).known.get("platformio")
        assert known is None or (known.name and known.platform)


def test_what_a_board_is_to_a_host_and_to_a_microphone(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('native_usb = [0x2341]\nno_microphone = "It has none"\n' + GOOD + "[pins]\nclock = 4\n")
    board = boards.read(path)
    assert (board.native_usb, board.no_microphone, board.pins) == ((0x2341,), "It has none", {"clock": 4})
    for line, complaint in (
        ("native_usb = 3\n", "native_usb must be a list of whole numbers. Received: 3"),
        ("no_microphone = true\n", "no_microphone must be a text. Received: True"),
        ("pins = 3\n", "pins must be a table of whole numbers. Received: 3"),
    ):
        path.write_text(line + GOOD)
        with pytest.raises(boards.BoardError, match=complaint):
            boards.read(path)


def test_an_emulated_board_counts_fractions_of_a_tick(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("clock_hz = 120_000_000", 'clock = "none"') + EMULATOR)
    board = boards.read(path)
    assert board.clock_hz is None
    assert board.emulator.instructions_per_tick == 40.0
    assert board.memory == (boards.Memory("RAM", 0x20000000, 512),)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(boards.BoardError, match=r"no board called 'nil': choose one of .*qemu-cortex-m4"):
        boards.board("nil")


@pytest.mark.parametrize("name", ["../boards/qemu-cortex-m4", "/etc/passwd", "", "qemu-cortex-m4.toml"])
def test_a_name_is_no_path(name):
    with pytest.raises(boards.BoardError, match="no board called"):
        boards.board(name)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        (
            'standing = "untested"',
            'standing = "fine"',
            "standing must be one of run here, builds, untested.*'fine'",
        ),
        (
            "flash_bytes = 1024",
            "flash_bytes = 0",
            "flash_bytes must be a number of bytes above 0. Received: 0",
        ),
        ("flash_bytes = 1024", "flash_bytes = true", "flash_bytes must be a whole number. Received: True"),
        ("ram_bytes = 512", "", "ram_bytes must be a whole number. Received: None"),
        (
            "ram_bytes = 512",
            "ram_bytes = 512\nlargest_ram_bytes = 513",
            "largest_ram_bytes must be above 0 and no more than ram_bytes. Received: 513",
        ),
        ('core = "cortex-m4"', "core = 4", "core must be a text. Received: 4"),
        ("clock_hz = 120_000_000", 'clock = "fast"', "clock must be the word \"none\".*'fast'"),
        (
            "clock_hz = 120_000_000",
            'clock = "none"\nclock_hz = 1',
            'clock_hz must be no value beside clock = "none"',
        ),
        (
            "link_flags = []",
            "link_flags = [1]",
            r"toolchain.link_flags must be a list of texts. Received: \[1\]",
        ),
        ("link_flags = []", "link_flags = []\nshell = 1", "toolchain.shell must be no such key. Received: 1"),
        ("[toolchain]", 'colour = "red"\n[toolchain]', "colour must be no such key. Received: 'red'"),
        ("flash_bytes = 1024", "flash_bytes = ", "cannot be read: "),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path, before, after, complaint):
    path = tmp_path / "wrong.toml"
    path.write_text(GOOD.replace(before, after))
    with pytest.raises(boards.BoardError, match=complaint) as error:
        boards.read(path)
    assert "wrong.toml" in str(error.value)


def test_a_wrong_region_is_named(tmp_path):
    path = tmp_path / "wrong.toml"
    path.write_text(GOOD + EMULATOR.replace("length = 512", 'length = "512"'))
    with pytest.raises(
        boards.BoardError, match=r"memory\[0\].length must be a whole number. Received: '512'"
    ):
        boards.read(path)


# ---------------------------------------------------------------- the page of boards


PAGE = Path(__file__).resolve().parents[2] / "docs" / "boards.md"


def test_the_page_of_boards_is_current():
    """`python3 -m firmware_export.boards.table docs/boards.md` renews it."""
    page = PAGE.read_text(encoding="utf-8")
    assert renewed(page) == page
    for name in boards.names():
        assert f"| `{name}` | {boards.board(name).title} |" in page


def test_a_stale_page_is_renewed():
    page = PAGE.read_text(encoding="utf-8")
    stale = page.replace("| `rp2040` |", "| `rp2041` |")
    assert stale != page
    assert renewed(stale) == page


def test_a_page_without_its_marks():
    with pytest.raises(
        ValueError, match="The page has no <!-- boards: begin --> before a <!-- boards: end -->"
    ):
        renewed("# Boards\n<!-- boards: end -->\n")
