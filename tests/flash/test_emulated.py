"""Flashing emulated boards: gdb loads the real firmware into a running QEMU, which says its own verdict."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import hostile_program
import pytest
from click.testing import CliRunner

from edgesea.cli.flash import flash as cli
from edgesea.errors import EdgeseaError
from edgesea.exporting import load_bundle
from edgesea.flash import emulated, firmware, flash, plan, verdict
from edgesea.flash.firmware import build_emulated
from edgesea.running import emulator
from firmware_export import boards

FAST = ("cortex-m3", "cortex-m4", "riscv32")
CORES = [core if core in FAST else pytest.param(core, marks=pytest.mark.slow) for core in emulator.cores()]


@pytest.fixture
def tools():
    for program in (
        "qemu-system-arm",
        "qemu-system-riscv32",
        "arm-none-eabi-gcc",
        "riscv64-unknown-elf-gcc",
        emulated.GDB,
    ):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize("core", CORES)
def test_the_verdict_of_every_core(tools, bundle, core):
    result = CliRunner().invoke(cli, [str(bundle), "--board", f"qemu-{core}"])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == f"qemu-{core}: golden PASS 4 of 4"


def test_nothing_is_in_memory_before_gdb_loads(tools, bundle, tmp_path):
    """QEMU gets no image: without gdb the board stays mute, and after it, it speaks."""
    board = boards.board("qemu-cortex-m4")
    assert not {"-kernel", "-device", "-pflash"} & set(emulated.qemu_command(board))
    build_emulated(bundle, board.core, tmp_path)
    sha256 = load_bundle(bundle).manifest["int8"]["sha256"]
    with emulated.waiting(board, tmp_path) as port:
        with pytest.raises(EdgeseaError, match=r"gave no verdict within 0\.5 seconds"):
            verdict.read(port, sha256, limit_s=0.5)
        emulated.load(board, tmp_path)
        assert verdict.read(port, sha256, limit_s=60).passed


def test_a_model_that_computes_something_else_fails(tools, bundle, tmp_path, monkeypatch):
    """One weight of the C model is changed before the build: the board itself says FAIL."""
    written = firmware.write_firmware

    def damaged(*arguments, **options):
        files = written(*arguments, **options)
        model = next(file for file in files if file.name == "street_sounds_golden.c")
        text = model.read_text()
        start = text.rindex("{") + 1
        end = min(text.index(mark, start) for mark in ",}")
        value = int(text[start:end])
        model.write_text(f"{text[:start]}{value + 1 if value < 127 else value - 1}{text[end:]}")
        return files

    monkeypatch.setattr(firmware, "write_firmware", damaged)
    result = CliRunner().invoke(cli, [str(bundle), "--board", "qemu-cortex-m4"])
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("qemu-cortex-m4: golden FAIL")


def test_the_commands(bundle):
    assert plan(bundle, "qemu-cortex-m55").lines() == [
        "# builds image.elf with arm-none-eabi-gcc in a temporary folder, where the rest runs",
        "qemu-system-arm -machine mps3-an547 -nodefaults -nic none -display none -monitor none -no-reboot "
        "-serial pty -S -gdb unix:gdb.socket,server=on,wait=off &",
        "gdb-multiarch -nx --batch -iex 'set auto-load off' -ex 'target remote gdb.socket' -ex load -ex "
        "'set $sp = *(unsigned int *)0x10000000' -ex 'set $xpsr = 0x01000000' -ex "
        "'set $pc = *(unsigned int *)0x10000004' -ex detach image.elf",
        "# reads the golden test's verdict from the pseudo-terminal that QEMU names",
    ]
    # The first instruction of a RISC-V image is its entry, which gdb sets by itself.
    assert plan(bundle, "qemu-riscv32").lines()[2] == (
        "gdb-multiarch -nx --batch -iex 'set auto-load off' -ex 'target remote gdb.socket' -ex load "
        "-ex detach image.elf"
    )


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        (
            [],
            "The programs gdb-multiarch, qemu-system-riscv32 and riscv64-unknown-elf-gcc are not installed; "
            "run `sudo apt install gdb-multiarch qemu-system-misc gcc-riscv64-unknown-elf "
            "picolibc-riscv64-unknown-elf`.",
        ),
        (
            ["gdb-multiarch"],
            "The programs qemu-system-riscv32 and riscv64-unknown-elf-gcc are not installed; run "
            "`sudo apt install qemu-system-misc gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf`.",
        ),
        (
            ["gdb-multiarch", "qemu-system-riscv32"],
            "The program riscv64-unknown-elf-gcc is not installed; run `sudo apt install "
            "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf`.",
        ),
    ],
)
def test_all_missing_programs_are_named_at_once(bundle, programs, there, sentence):
    for program in there:
        programs.add(program)
    with pytest.raises(EdgeseaError) as error:
        flash(plan(bundle, "qemu-riscv32"))
    assert str(error.value) == sentence
    assert programs.called() == []


def test_qemu_that_does_not_start(tmp_path, programs):
    programs.add("qemu-system-arm", says="qemu: no such machine", then="sys.exit(1)")
    board = boards.board("qemu-cortex-m4")
    with pytest.raises(EdgeseaError) as error, emulated.waiting(board, tmp_path):
        pass
    assert str(error.value) == "qemu-system-arm ended with status 1: qemu: no such machine."
    # Asked for its sandbox first, which it has not got.
    assert programs.called() == [
        ["qemu-system-arm", *emulator.SANDBOX, "-version"],
        shlex.split(shlex.join(emulated.qemu_command(board))),
    ]


def test_qemu_that_says_nothing(tmp_path, programs, monkeypatch):
    monkeypatch.setattr(emulated, "START_LIMIT_S", 0.5)
    programs.add("qemu-system-arm", then="time.sleep(600 if '-version' not in sys.argv else 0)")
    with (
        pytest.raises(EdgeseaError) as error,
        emulated.waiting(boards.board("qemu-cortex-m4"), tmp_path),
    ):
        pass
    assert str(error.value) == "qemu-system-arm did not start within 0.5 seconds: retry."


def test_gdb_that_cannot_load(tmp_path, programs):
    """gdb ends with 0 even then."""
    programs.add("gdb-multiarch", says="image.elf: No such file or directory.")
    with pytest.raises(EdgeseaError) as error:
        emulated.load(boards.board("qemu-cortex-m4"), tmp_path)
    assert str(error.value) == (
        "gdb-multiarch did not load the image into qemu-cortex-m4: image.elf: No such file or directory."
    )


@pytest.fixture
def speaking(tools, bundle, tmp_path):
    """The serial port of a board that runs the bundle's firmware."""
    board = boards.board("qemu-cortex-m4")
    folder = tmp_path / "qemu"
    build_emulated(bundle, board.core, folder)
    with emulated.waiting(board, folder) as port:
        emulated.load(board, folder)
        yield port()


def test_the_verdict_of_a_real_board_s_port(speaking, bundle, tmp_path, programs):
    """Everything is real but the tools, and the board, which is behind its port."""
    elf = tmp_path / "B" / "zephyr" / "build" / "zephyr" / "zephyr.elf"
    programs.add("west", makes={elf: b"elf"})
    programs.add("openocd")
    call = [str(bundle), "--board", "stm32h743", "--port", speaking, "--build", str(tmp_path / "B")]
    result = CliRunner().invoke(cli, call)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1] == "stm32h743: golden PASS 4 of 4"
    assert [call[0] for call in programs.called()] == ["west", "openocd"]


def test_a_program_that_ends(tools, tmp_path):
    """No verdict will come then, and nobody waits for it."""
    board = boards.board("qemu-cortex-m3")
    (tmp_path / "program.c").write_text("int main(void) { return 7; }\n")
    driver, address = board.emulator.uart, board.emulator.uart_base
    flags, ending = [f"-DUART_BASE={address:#x}u"], (*firmware.ENDING, driver)
    emulator.build(board, [tmp_path / "program.c"], tmp_path, flags=flags, ending=ending)
    with emulated.waiting(board, tmp_path) as port:
        emulated.load(board, tmp_path)
        with pytest.raises(verdict.Gone) as error:
            verdict.read(port, "", limit_s=600)
    assert str(error.value) == (
        "The program on qemu-cortex-m3 has ended, which firmware never does: export the bundle again."
    )


# ---------------------------------------------------------------- hostile bundles


def in_main(monkeypatch, functions: str, statement: str) -> None:
    """Puts C of a stranger into the firmware, as a bundle's own could hold it."""
    written = firmware.write_firmware

    def damaged(*arguments, **options):
        files = written(*arguments, **options)
        main = next(file for file in files if file.name == "main.c")
        text = main.read_text()
        assert "edgesea_board_start();" in text
        text = text.replace("edgesea_board_start();", f"edgesea_board_start();\n    {statement}")
        main.write_text(functions + text)
        return files

    monkeypatch.setattr(firmware, "write_firmware", damaged)


HOSTILE = [
    (core, call) if core in FAST and call == "system" else pytest.param(core, call, marks=pytest.mark.slow)
    for core in emulator.cores()
    for call in hostile_program.CALLS
]


@pytest.mark.parametrize(("core", "call"), HOSTILE)
def test_a_hostile_bundle_reaches_nothing(core, call, tools, bundle, tmp_path, monkeypatch):
    victim = hostile_program.Victim(tmp_path / "victim")
    monkeypatch.chdir(victim.folder)
    in_main(monkeypatch, hostile_program.function(call, victim.folder), "hostile();")
    result = CliRunner().invoke(cli, [str(bundle), "--board", f"qemu-{core}"])
    assert isinstance(result.exception, EdgeseaError)
    assert str(result.exception) == (
        f"The program on qemu-{core} has ended, which firmware never does: export the bundle again."
    )
    victim.is_unharmed()


@pytest.mark.parametrize(
    "statement", ["for (;;) { }", 'for (;;) edgesea_board_write("for ever and ever\\n", 18);']
)
def test_firmware_that_never_answers_is_stopped(statement, tools, bundle, monkeypatch):
    in_main(monkeypatch, "", statement)
    started = time.monotonic()
    with pytest.raises(
        EdgeseaError, match=r"^The firmware is written, but gave no verdict within 2 seconds: "
    ):
        flash(plan(bundle, "qemu-cortex-m4"), limit_s=2)
    assert time.monotonic() - started < 60


HELD = """
from pathlib import Path
import sys, time
from edgesea.flash import emulated
from firmware_export import boards
with emulated.waiting(boards.board("qemu-cortex-m3"), Path(sys.argv[1])) as port:
    print(port(), flush=True)
    time.sleep(600)
"""


def test_no_pyserial_is_needed(tools, bundle, monkeypatch):
    """No port of this machine is opened."""
    monkeypatch.setitem(sys.modules, "serial", None)
    monkeypatch.setattr(verdict, "missing", lambda: ["pyserial"])
    assert flash(plan(bundle, "qemu-cortex-m4"), limit_s=60).passed


def test_ctrl_c_ends_qemu(tools, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout.readline().startswith("/dev/")
        assert running(tmp_path)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert running(tmp_path) == []


def running(folder: Path) -> list[int]:
    """The QEMUs that run in a folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(entry / "cwd") == str(folder) and b"qemu" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found
