"""Hostile programs on every emulated core: nothing of the host is read, written or run, and they end."""

import shutil
import time
from pathlib import Path

import hostile_program as hostile
import pytest

from edgesea.errors import EdgeseaError
from edgesea.flash.firmware import ENDING
from edgesea.running import emulator, semihosting

FAST = ("cortex-m4", "riscv32")
CORES = emulator.cores()
ALL = [
    (core, call) if core in FAST or call == "system" else pytest.param(core, call, marks=pytest.mark.slow)
    for core in CORES
    for call in hostile.CALLS
]
STOPPED = [each for each in ALL if "open" not in getattr(each, "values", each)]


@pytest.fixture(autouse=True)
def tools():
    for program in ("qemu-system-arm", "qemu-system-riscv32", "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.fixture
def victim(tmp_path):
    return hostile.Victim(tmp_path / "victim")


def run(core: str, source: str, folder, **options) -> emulator.Finished:
    board = emulator.board_of(core)
    (folder / "program.c").write_text(source)
    return emulator.run(board, emulator.build(board, [folder / "program.c"], folder), **options)


MAIN = '#include "emulated.h"\nint main(void) { hostile(); emulated_print("went on"); return 0; }\n'


@pytest.mark.parametrize(("core", "call"), STOPPED)
def test_a_call_that_no_program_gets_ends_it_in_a_sentence(call, core, victim, tmp_path):
    name = {"remove": "unlink"}.get(call, call)
    sentence = (
        f"^The program on qemu-{core} asked its host for '{name}', which no program gets, and was stopped\\.$"
    )
    with pytest.raises(EdgeseaError, match=sentence):
        run(core, hostile.function(call, victim.folder) + MAIN, tmp_path, limit_s=60)
    victim.is_unharmed()


@pytest.mark.parametrize("core", CORES)
def test_no_file_opens_but_by_its_name(core, victim, tmp_path, monkeypatch):
    monkeypatch.chdir(victim.folder)
    found = hostile.function(
        "open", victim.folder, "{ extern void emulated_print(const char *); emulated_print(SECRET); }"
    )
    finished = run(core, found + MAIN, tmp_path, given={"inputs.bin": b"x"}, wanted={"out": 9}, limit_s=60)
    assert (finished.printed, finished.files) == ("went on", {})
    victim.is_unharmed()


@pytest.mark.parametrize("core", ["cortex-m4", "riscv32"])
@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ('for (;;) emulated_print("for ever and ever");', "printed more than 10,000 bytes, and was stopped."),
        (
            'const int file = semihosting_open("out", 1); for (;;) semihosting_write(file, main, 256);',
            "wrote more than 1,000 bytes to out, and was stopped.",
        ),
        (
            'const int file = semihosting_open("out", 1); semihosting_write(file, main, 0xfffffff0u);',
            "wrote more than 1,000 bytes to out, and was stopped.",
        ),
        ("for (;;) { }", "was still running after 2 seconds and was stopped."),
        ('for (;;) semihosting_open("nothing", 0);', "was still running after 2 seconds and was stopped."),
    ],
)
def test_what_never_ends_is_stopped(body, sentence, core, tmp_path):
    source = f'#include "emulated.h"\n#include "semihosting.h"\nint main(void) {{ {body} return 0; }}\n'
    before = time.monotonic()
    with pytest.raises(EdgeseaError) as error:
        run(core, source, tmp_path, wanted={"out": 1000}, limit_s=2, most_printed=10_000)
    assert str(error.value) == f"The program on qemu-{core} {sentence}"
    assert time.monotonic() - before < 30


@pytest.mark.parametrize(("core", "call"), ALL)
def test_an_image_with_nothing_but_its_board_faults(call, core, victim, tmp_path):
    """What flash and the users' projects run: no semihosting at all, so the first call is an exception."""
    board = emulator.board_of(core)
    driver, address = board.emulator.uart, board.emulator.uart_base
    (tmp_path / "program.c").write_text(hostile.function(call, victim.folder) + MAIN)
    image = emulator.build(
        board,
        [tmp_path / "program.c"],
        tmp_path,
        flags=[f"-DUART_BASE={address:#x}u"],
        ending=(*ENDING, driver),
    )
    folder, serial = tmp_path / "run", tmp_path / "serial.txt"
    folder.mkdir()
    with open(folder / "qemu.txt", "w+b") as output:
        arguments = ("-serial", f"file:{serial}", "-kernel", str(image))
        with emulator.emulator(board, arguments, folder, output=output) as process:
            assert process.wait(60) == 0
    *_, last = serial.read_text().splitlines()
    assert last == "emulated: ended with status 99"
    assert "went on" not in serial.read_text()
    victim.is_unharmed()


def test_a_status_is_said_where_qemu_cannot(tmp_path):
    for core, status in (("cortex-m55", 0), ("cortex-m33", 7), ("riscv32", -3)):
        board = emulator.board_of(core)
        driver, address = board.emulator.uart, board.emulator.uart_base
        (tmp_path / "program.c").write_text(f"int main(void) {{ return {status}; }}\n")
        flags, ending = [f"-DUART_BASE={address:#x}u"], (*ENDING, driver)
        image = emulator.build(board, [tmp_path / "program.c"], tmp_path, flags=flags, ending=ending)
        serial = tmp_path / f"{core}.txt"
        with open(tmp_path / "qemu.txt", "w+b") as output:
            arguments = ("-serial", f"file:{serial}", "-kernel", str(image))
            with emulator.emulator(board, arguments, tmp_path, output=output) as process:
                assert process.wait(60) == 0
        assert serial.read_text() == f"emulated: ended with status {status}\n"


def test_qemu_gets_no_environment_but_path(tmp_path, monkeypatch):
    monkeypatch.setenv("A_SECRET", "x")
    board = emulator.board_of("cortex-m4")
    with (
        open(tmp_path / "qemu.txt", "w+b") as output,
        emulator.emulator(board, ("-serial", "none", "-S"), tmp_path, output=output) as process,
    ):
        with open(f"/proc/{process.pid}/environ", "rb") as file:
            names = {each.split(b"=")[0] for each in file.read().split(b"\0") if each}
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:
            arguments = file.read().split(b"\0")
    assert names <= {b"PATH"}
    assert b"-nic" in arguments
    assert b"-nodefaults" in arguments


def test_the_host_knows_its_files_only():
    host = semihosting.Host({"in": b"abc"}, {"out": 4})
    assert host.open(b"in", semihosting.WRITE) == -semihosting.ENOENT
    assert host.open(b"out", semihosting.READ) == -semihosting.ENOENT
    assert host.open(b"in", 2) == -semihosting.ENOENT
    first, second = host.open(b"in", semihosting.READ), host.open(b"out", semihosting.WRITE)
    assert host.peek(first, 2) == b"ab"
    assert host.peek(second, 2) is None
    assert not host.room(first, 1)
    assert host.close(first) == 0
    assert host.close(first) == -semihosting.EBADF
    assert host.peek(first, 2) is None
    for _ in range(semihosting.MOST_HANDLES - 1):
        assert host.open(b"in", semihosting.READ) > 0
    assert host.open(b"in", semihosting.READ) == -semihosting.EMFILE


def test_nothing_starts_qemu_with_its_own_semihosting():
    """Not in the package, the templates of projects, the tests or the documentation."""
    root = Path(__file__).resolve().parents[2]
    forbidden = ("target=" + "native", "-semi" + "hosting ", "-semi" + 'hosting"', "target=" + "auto")
    read = 0
    for folder in ("edgesea", "firmware_export", "benchmarks", "tests", "docs"):
        for path in (root / folder).rglob("*"):
            if path.suffix in (".py", ".c", ".h", ".md", ".toml", ".txt", ".jinja", ".json", ".ini"):
                text = path.read_text(encoding="utf-8", errors="replace")
                assert not [each for each in forbidden if each in text], path
                read += 1
    assert read > 200
