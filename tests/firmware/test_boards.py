"""Boards: what lies beside the loader is sound, and a wrong file is named with what is wrong in it."""

import pytest

from firmware_export import boards

EMULATED = ["cortex-m0plus", "cortex-m3", "cortex-m33", "cortex-m4", "cortex-m55", "cortex-m7", "riscv32"]

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

[[memory]]
name = "RAM"
origin = 0x20000000
length = 512
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


def test_a_board_without_emulator(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD)
    board = boards.read(path)
    assert (board.name, board.clock_hz, board.emulator, board.memory) == ("mine", 120_000_000, None, ())


def test_an_emulated_board_counts_fractions_of_a_tick(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("clock_hz = 120_000_000", 'clock = "none"') + EMULATOR)
    board = boards.read(path)
    assert board.clock_hz is None
    assert board.emulator.instructions_per_tick == 40.0
    assert board.memory == (boards.Memory("RAM", 0x20000000, 512),)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(boards.BoardError, match=r"no board called 'nil'; choose one of: .*qemu-cortex-m4"):
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
