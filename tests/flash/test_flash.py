"""`edgesea flash` on real boards: the exact commands, and what is said when something is amiss.

No board and no tool is needed: programs on PATH record how they are called. Their options were checked once
against pyOCD 0.46, esptool 5.6, OpenOCD 0.12 and the source of Zephyr's west commands, those of picotool,
arduino-cli and idf.py against their manuals.
"""

import fcntl
import hashlib
import json
import os
import shlex
import signal
import struct
import subprocess
import sys
import termios
import time
import tty
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from random_graphs import single_operator_model

from edgesea.cli.flash import flash as cli
from edgesea.devices.serial import Link
from edgesea.errors import EdgeseaError, UserError
from edgesea.exporting import export_tflite, write_bundle
from edgesea.flash import Verdict, flash, plan, ports, uf2, verdict
from edgesea.running import usb
from firmware_export import boards

SHA256 = hashlib.sha256(single_operator_model("CONV_2D", 3)).hexdigest()
REAL = [name for name in boards.names() if not name.startswith("qemu-")]

ZEPHYR = "west build --pristine auto --board {0} --build-dir B/zephyr/build B/zephyr/street_sounds"
ARDUINO = "arduino-cli compile --fqbn {0} --output-dir B/arduino/build B/arduino/street_sounds"
STLINK = (
    "openocd -f interface/stlink.cfg -f target/{0}.cfg "
    "-c 'program {{B/zephyr/build/zephyr/zephyr.elf}} verify reset exit'"
)
COMMANDS = {
    "apollo4": [ZEPHYR.format("apollo4p_evb"), "west flash --build-dir B/zephyr/build --runner jlink"],
    **{
        name: [
            f"idf.py -C B/esp-idf/street_sounds -B B/esp-idf/build -D IDF_TARGET={chip} build merge-bin",
            f"esptool --chip {chip} --port /dev/ttyX write-flash 0x0 B/esp-idf/build/merged-binary.bin",
        ]
        for name, chip in (
            ("esp32", "esp32"),
            ("esp32-c3", "esp32c3"),
            ("esp32-c6", "esp32c6"),
            ("esp32-s3", "esp32s3"),
        )
    },
    "microbit-v2": [
        ZEPHYR.format("bbc_microbit_v2"),
        "pyocd flash --no-wait --target nrf52833 B/zephyr/build/zephyr/zephyr.elf",
    ],
    "nano33ble": [
        ARDUINO.format("arduino:mbed_nano:nano33ble"),
        "arduino-cli upload --fqbn arduino:mbed_nano:nano33ble --port /dev/ttyX "
        "--input-dir B/arduino/build B/arduino/street_sounds",
    ],
    "nrf52840": [
        ZEPHYR.format("nrf52840dk/nrf52840"),
        "openocd -f interface/jlink.cfg -c 'transport select swd' -f target/nrf52.cfg "
        "-c 'program {B/zephyr/build/zephyr/zephyr.elf} verify reset exit'",
    ],
    "rp2040": [
        ARDUINO.format("arduino:mbed_rp2040:pico"),
        "# copies B/arduino/build/street_sounds.ino.uf2 "
        "to the drive whose INFO_UF2.TXT says Board-ID: RPI-RP2",
    ],
    "rp2350": [
        ARDUINO.format("rp2040:rp2040:rpipico2"),
        "picotool load --verify --execute B/arduino/build/street_sounds.ino.elf",
    ],
    "stm32f746": [ZEPHYR.format("stm32f746g_disco"), STLINK.format("stm32f7x")],
    "stm32h743": [ZEPHYR.format("nucleo_h743zi"), STLINK.format("stm32h7x")],
    "stm32l4r5": [ZEPHYR.format("nucleo_l4r5zi"), STLINK.format("stm32l4x")],
    "stm32u585": [ZEPHYR.format("b_u585i_iot02a"), STLINK.format("stm32u5x")],
}


class Board:
    """A board behind a serial port: answers to `Link`, with one of `answers` after the other."""

    def __init__(self, *answers):
        self.answers = list(answers) or [Verdict(True, "PASS 4 of 4")]
        self.opened = []
        self.sha256 = SHA256

    def open(self, port, *, limit_s):
        assert limit_s > 0
        self.opened.append(port)
        return self

    def hello(self):
        return SimpleNamespace(sha256=self.sha256)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def golden(self):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def board(monkeypatch) -> Board:
    board = Board()
    monkeypatch.setattr(verdict, "Link", board)
    return board


@pytest.fixture
def projects(monkeypatch) -> list:
    """Records the projects that are asked for, and makes their folders."""
    asked = []

    def write_project(bundle, kind, out, *, board):
        out.mkdir(parents=True)
        asked.append((bundle.identifier, kind, out, board))

    monkeypatch.setattr("edgesea.flash.write_project", write_project)
    return asked


@pytest.fixture
def dongle(tmp_path, monkeypatch):
    """Makes serial ports with a USB vendor, as Linux lists them."""
    ttys = tmp_path / "class"
    ttys.mkdir()
    monkeypatch.setattr(usb, "TTYS", ttys)

    def plug(tty: str, vendor: int | None) -> None:
        usb = tmp_path / "devices" / tty
        (usb / "interface" / tty).mkdir(parents=True)
        if vendor is not None:
            (usb / "idVendor").write_text(f"{vendor:04x}\n")
        (ttys / tty).mkdir()
        (ttys / tty / "device").symlink_to(usb / "interface" / tty)

    return plug


@pytest.fixture
def drives(tmp_path, monkeypatch):
    """Mounts drives with a Board-ID."""
    mounts = tmp_path / "mounts"
    mounts.write_text("proc /proc proc rw 0 0\n")
    monkeypatch.setattr(uf2, "MOUNTS", mounts)

    def mount(name: str, identity: str | None, kind: str = "vfat") -> Path:
        folder = tmp_path / "media" / name
        folder.mkdir(parents=True)
        if identity is not None:
            (folder / "INFO_UF2.TXT").write_bytes(
                f"UF2 Bootloader v3.0\r\nModel: Raspberry Pi\r\nBoard-ID: {identity}\r\n".encode()
            )
        with open(mounts, "a") as file:
            file.write(f"/dev/sdz1 {str(folder).replace(' ', chr(92) + '040')} {kind} rw 0 0\n")
        return folder

    return mount


def blocks(n: int = 3) -> bytes:
    """A .uf2 file of n blocks."""
    head = b"UF2\n" + (0x9E5D5157).to_bytes(4, "little")
    return b"".join(head + bytes([i]) * 504 for i in range(n))


def commands(board: str, folder) -> list[list[str]]:
    return [
        shlex.split(line.replace("B/", f"{folder}/")) for line in COMMANDS[board] if not line.startswith("#")
    ]


# ---------------------------------------------------------------- the plan


@pytest.mark.parametrize("name", REAL)
def test_the_commands_of_every_board(bundle, name):
    lines = plan(bundle, name, port="/dev/ttyX", folder="B").lines()
    kind = boards.board(name).flasher.project
    assert lines[0] == f"# writes the {kind} project of {bundle} to B/{kind}/street_sounds"
    assert lines[1:-1] == COMMANDS[name]
    assert lines[-1] == "# reads the golden test's verdict from /dev/ttyX"


def test_every_way_is_the_way_of_some_board():
    ways = {boards.board(name).flasher.program for name in REAL}
    assert ways == {"pyocd", "openocd", "picotool", "esptool", "arduino-cli", "west", "uf2"}


@pytest.mark.parametrize(
    ("name", "kind", "image"),
    [
        ("stm32h743", "arduino", "B/arduino/build/street_sounds.ino.elf"),
        ("stm32h743", "platformio", "B/platformio/street_sounds/.pio/build/nucleo_h743zi/firmware.elf"),
        ("rp2040", "zephyr", "B/zephyr/build/zephyr/zephyr.uf2"),
        ("rp2040", "platformio", "B/platformio/street_sounds/.pio/build/pico/firmware.uf2"),
        ("rp2040", "pico-sdk", "B/pico-sdk/build/street_sounds.uf2"),
        ("rp2350", "pico-sdk", "B/pico-sdk/build/street_sounds.elf"),
        ("esp32-s3", "arduino", "B/arduino/build/street_sounds.ino.merged.bin"),
        ("esp32-s3", "zephyr", "B/zephyr/build/zephyr/zephyr.bin"),
    ],
)
def test_another_framework_builds_the_image(bundle, name, kind, image):
    prepared = plan(bundle, name, kind=kind, port="/dev/ttyX", folder="B")
    assert prepared.kind == kind
    assert prepared.image == Path(image)
    assert boards.board(name).frameworks[kind] in shlex.join(prepared.build[0])


def test_the_folder_lies_beside_the_bundle(bundle, monkeypatch):
    assert plan(bundle, "rp2350").project == bundle.with_name("bundle-rp2350") / "arduino" / "street_sounds"
    monkeypatch.chdir(bundle)
    assert plan(".", "rp2350").project == bundle.with_name("bundle-rp2350") / "arduino" / "street_sounds"


def test_a_dry_run_runs_and_writes_nothing(bundle, tmp_path, monkeypatch, programs):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for name in boards.names():
        result = CliRunner().invoke(cli, [str(bundle), "--board", name, "--dry-run"])
        assert result.exit_code == 0, result.output
        assert result.output.splitlines() == plan(bundle, name, look=False).lines()
    assert sorted(tmp_path.rglob("*")) == before
    assert programs.called() == []


def test_a_dry_run_leaves_room_for_a_port_that_is_not_known(bundle):
    result = CliRunner().invoke(cli, [str(bundle), "--board", "esp32-s3", "--dry-run", "--json"])
    assert " --port PORT write-flash " in json.loads(result.output)["commands"][-2]


def test_names_never_become_shell_text(tmp_path, bundle, programs, projects, board):
    nasty = tmp_path / "a b; touch c $(touch d) 'e'"
    elf = nasty / "zephyr" / "build" / "zephyr" / "zephyr.elf"
    programs.add("west", makes={elf: b"elf"})
    programs.add("openocd")
    prepared = plan(bundle, "stm32h743", port="/dev/ttyX", folder=nasty)
    flash(prepared)
    assert programs.called() == [shlex.split(line) for line in prepared.lines()[1:-1]]
    assert programs.called()[1][-1] == f"program {{{elf}}} verify reset exit"


# ---------------------------------------------------------------- calls that cannot work


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("nil", {}, f"There is no board called 'nil': choose one of {', '.join(boards.names())}."),
        (
            "apollo4",
            {"kind": "arduino"},
            "There is no arduino project to build for the board 'apollo4': choose one of zephyr.",
        ),
        (
            "stm32h743",
            {"kind": "cmake"},
            "There is no cmake project to build for the board 'stm32h743': choose one of arduino, "
            "platformio, zephyr.",
        ),
        (
            "esp32-s3",
            {"kind": "platformio"},
            "The program esptool writes a .bin to the board 'esp32-s3', which platformio does not make: "
            "leave --project out.",
        ),
        (
            "qemu-cortex-m4",
            {"port": "/dev/ttyX"},
            "The option --port has no meaning on the emulated board 'qemu-cortex-m4': leave it out.",
        ),
        (
            "qemu-riscv32",
            {"kind": "zephyr"},
            "The option --project has no meaning on the emulated board 'qemu-riscv32': leave it out.",
        ),
        (
            "rp2350",
            {"folder": "a{b}"},
            r"The build's folder 'a{b}' has one of { } \ in it: name another with --build.",
        ),
    ],
)
def test_wrong_calls(bundle, name, options, sentence):
    with pytest.raises(UserError) as error:
        plan(bundle, name, **options)
    assert str(error.value) == sentence
    assert error.value.exit_code == 2


def test_no_int8_model(shared, tmp_path):
    write_bundle(tmp_path / "bundle", name="m", float_=(shared / "models" / "yamnet.tflite").read_bytes())
    with pytest.raises(EdgeseaError) as error:
        plan(tmp_path / "bundle", "rp2040")
    assert str(error.value) == (
        f"The bundle {tmp_path}/bundle holds no int8 model, which firmware is made of: export it again with "
        "--int8."
    )


def test_a_bundle_without_c_gets_its_firmware_from_the_tflite(tmp_path):
    (tmp_path / "m.tflite").write_bytes(single_operator_model("CONV_2D", 3))
    export_tflite(tmp_path / "m.tflite", tmp_path / "bundle")
    assert plan(tmp_path / "bundle", "rp2040", look=False).lines()


# ---------------------------------------------------------------- from the bundle to the verdict


@pytest.mark.parametrize("name", [name for name in REAL if name != "rp2040"])
def test_a_board_is_built_written_and_asked(bundle, tmp_path, programs, projects, board, name):
    prepared = plan(bundle, name, port="/dev/ttyX", folder=tmp_path / "B")
    for program, _ in prepared.programs:
        # Each makes the image, so that the one that builds does.
        programs.add(program, makes={prepared.image: b"image"} if prepared.image else {})
    said = []
    assert flash(prepared, say=said.append) == Verdict(True, "PASS 4 of 4")
    assert projects == [
        ("street_sounds", prepared.kind, tmp_path / "B" / prepared.kind / "street_sounds", name)
    ]
    assert programs.called() == commands(name, tmp_path / "B")
    assert board.opened == ["/dev/ttyX"]
    assert said[-1] == "reading the golden test's verdict"


def test_a_drive(bundle, tmp_path, programs, projects, board, dongle, drives):
    prepared = plan(bundle, "rp2040", folder=tmp_path / "B")
    programs.add("arduino-cli", makes={prepared.image: blocks()})
    drives("other", "RP2350")
    drives("no board", None)
    drives("no drive", "RPI-RP2", kind="nfs")
    drive = drives("my pico", "RPI-RP2")
    dongle("ttyACM3", 0x2E8A)
    assert flash(prepared).passed
    assert (drive / "street_sounds.ino.uf2").read_bytes() == blocks()
    assert programs.called() == commands("rp2040", tmp_path / "B")
    assert board.opened == ["/dev/ttyACM3"]


# kind -> a file in the project that the framework looks for, and what is in it
LOOKED_FOR = {
    "arduino": ("street_sounds.ino", "program_run()"),
    "esp-idf": ("sdkconfig.defaults", 'CONFIG_IDF_TARGET="esp32s3"'),
    "pico-sdk": ("CMakeLists.txt", "pico_sdk_init()"),
    "platformio": ("platformio.ini", "[env:nucleo_h743zi]"),
    "zephyr": ("CMakeLists.txt", "find_package(Zephyr"),
}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("rp2350", "arduino"),
        ("rp2350", "pico-sdk"),
        ("esp32-s3", "esp-idf"),
        ("stm32h743", "platformio"),
        ("stm32h743", "zephyr"),
    ],
)
def test_the_project_is_one_that_the_framework_finds(bundle, tmp_path, programs, board, name, kind):
    """Written for real, twice: the second time over the first."""
    prepared = plan(bundle, name, kind=kind, port="/dev/ttyX", folder=tmp_path / "B")
    for program, _ in prepared.programs:
        programs.add(program, makes={prepared.image: b"image"})
    for _ in range(2):
        assert flash(prepared).passed
    file, text = LOOKED_FOR[kind]
    assert text in (prepared.project / file).read_text()
    assert shlex.join(prepared.build[0]).count(str(prepared.project)) == 1


def test_the_command(bundle, tmp_path, programs, projects, board):
    elf = tmp_path / "B" / "arduino" / "build" / "street_sounds.ino.elf"
    programs.add("arduino-cli", makes={elf: b"elf"})
    programs.add("picotool")
    call = [str(bundle), "--board", "rp2350", "--port", "/dev/ttyX", "--build", str(tmp_path / "B")]
    result = CliRunner().invoke(cli, call)
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "rp2350: PASS 4 of 4"
    assert "building with arduino-cli\nwriting to rp2350 with picotool\n" in result.output


def test_fail_is_exit_code_1(bundle, tmp_path, programs, projects, board):
    board.answers = [Verdict(False, "FAIL 3 of 4, first in vector 2")]
    elf = tmp_path / "B" / "arduino" / "build" / "street_sounds.ino.elf"
    programs.add("arduino-cli", makes={elf: b"elf"})
    programs.add("picotool")
    call = [str(bundle), "--board", "rp2350", "--port", "/dev/ttyX", "--build", str(tmp_path / "B")]
    result = (
        CliRunner(mix_stderr=False)
        if "mix_stderr" in CliRunner.__init__.__code__.co_varnames
        else CliRunner()
    )
    answer = result.invoke(cli, [*call, "--json"])
    assert answer.exit_code == 1
    assert json.loads(answer.stdout) == {
        "bundle": str(bundle),
        "board": "rp2350",
        "project": "arduino",
        "passed": False,
        "verdict": "FAIL 3 of 4, first in vector 2",
    }


# ---------------------------------------------------------------- programs


@pytest.mark.parametrize(
    ("name", "there", "sentence"),
    [
        ("stm32h743", "openocd", "The program west is not installed; run `python3 -m pip install west`."),
        ("stm32h743", "west", "The program openocd is not installed; run `sudo apt install openocd`."),
        ("microbit-v2", "west", "The program pyocd is not installed; run `python3 -m pip install pyocd`."),
        ("rp2040", "west", "The program arduino-cli is not installed; run `sudo snap install arduino-cli`."),
        (
            "rp2350",
            "arduino-cli",
            "The program picotool is not installed; run `sudo apt install picotool` (Debian 13 or newer).",
        ),
        (
            "esp32-s3",
            "idf.py",
            "The program esptool is not installed; run `python3 -m pip install 'esptool>=5'`.",
        ),
    ],
)
def test_a_missing_program_is_named_before_anything_is_built(
    bundle, tmp_path, programs, projects, name, there, sentence
):
    programs.add(there)
    with pytest.raises(EdgeseaError) as error:
        flash(plan(bundle, name, port="/dev/ttyX", folder=tmp_path / "B"))
    assert str(error.value) == sentence
    assert programs.called() == []
    assert projects == []
    assert not (tmp_path / "B").exists()


def test_all_that_is_missing_is_named_at_once(bundle, tmp_path, programs, projects, monkeypatch):
    monkeypatch.setattr(verdict.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EdgeseaError) as error:
        flash(plan(bundle, "stm32h743", port="/dev/ttyX", folder=tmp_path / "B"))
    assert str(error.value) == (
        "The programs west and openocd and the Python package pyserial are not installed; run "
        "`python3 -m pip install west pyserial`, `sudo apt install openocd`."
    )
    assert projects == []


def test_a_program_that_fails(bundle, tmp_path, programs, projects):
    programs.add("west", says="\n".join(f"line {i}" for i in range(20)), then="sys.exit(3)")
    programs.add("openocd")
    with pytest.raises(EdgeseaError) as error:
        flash(plan(bundle, "stm32h743", port="/dev/ttyX", folder=tmp_path / "B"))
    assert str(error.value).splitlines() == [
        "west ended with status 3 and did not build the firmware for stm32h743; the last that it said:",
        *(f"  line {i}" for i in range(12, 20)),
    ]
    assert [call[0] for call in programs.called()] == ["west"]


def test_a_program_that_is_killed(bundle, tmp_path, programs, projects):
    prepared = plan(bundle, "stm32h743", port="/dev/ttyX", folder=tmp_path / "B")
    programs.add("west", makes={prepared.image: b"elf"})
    programs.add("openocd", then="os.kill(os.getpid(), 9)")
    with pytest.raises(EdgeseaError) as error:
        flash(prepared)
    assert str(error.value) == (
        "openocd was killed by SIGKILL and did not write to stm32h743; the last that it said:\n"
        "  (it said nothing)"
    )


def test_a_program_that_hangs(bundle, tmp_path, programs, projects, monkeypatch):
    monkeypatch.setattr("edgesea.flash.FLASH_LIMIT_S", 0.5)
    prepared = plan(bundle, "stm32h743", port="/dev/ttyX", folder=tmp_path / "B")
    programs.add("west", makes={prepared.image: b"elf"})
    programs.add("openocd", then="time.sleep(600)")
    with pytest.raises(EdgeseaError) as error:
        flash(prepared)
    assert str(error.value) == "openocd was still running after 0.5 seconds and was stopped."


def test_a_build_that_makes_no_image(bundle, tmp_path, programs, projects):
    programs.add("west")
    programs.add("openocd")
    with pytest.raises(EdgeseaError) as error:
        flash(plan(bundle, "stm32h743", port="/dev/ttyX", folder=tmp_path / "B"))
    folder = tmp_path / "B" / "zephyr" / "build" / "zephyr"
    assert str(error.value) == f"The program west made no {folder}/zephyr.elf: see what it made in {folder}."


def test_ctrl_c_ends_the_program_and_what_it_started(bundle, tmp_path, programs):
    """The program starts another; after Ctrl-C on edgesea neither lives."""
    pids = tmp_path / "pids"
    programs.add(
        "west",
        then=f"child = os.fork()\nif child: open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child}}\\n')\n"
        "time.sleep(600)",
    )
    programs.add("openocd")
    call = ["flash", str(bundle), "--board", "stm32h743", "--port", "x", "--build", str(tmp_path / "B")]
    process = subprocess.Popen([sys.executable, "-m", "edgesea", *call], stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 60
        while not (pids.exists() and pids.read_text().endswith("\n")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
    assert process.returncode == 1
    assert text.splitlines()[-1] == "edgesea: Stopped: call the same again to go on."
    for pid in map(int, pids.read_text().split()):
        end = time.monotonic() + 60
        while alive(pid):
            assert time.monotonic() < end
            time.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


# ---------------------------------------------------------------- drives


@pytest.fixture
def pico(bundle, tmp_path, programs, projects):
    prepared = plan(bundle, "rp2040", port="/dev/ttyX", folder=tmp_path / "B")
    programs.add("arduino-cli", makes={prepared.image: blocks()})
    return prepared


def test_no_drive(pico, drives, programs):
    drives("other", "RP2350")
    with pytest.raises(EdgeseaError) as error:
        flash(pico)
    assert str(error.value) == (
        "No mounted drive says Board-ID: RPI-RP2: hold BOOTSEL while plugging the board in, "
        "and mount the drive."
    )
    assert programs.called() == []


def test_two_drives(pico, drives, programs):
    first, second = drives("a", "RPI-RP2"), drives("b", "RPI-RP2")
    with pytest.raises(EdgeseaError) as error:
        flash(pico)
    assert str(error.value) == (
        f"2 drives say Board-ID: RPI-RP2 ({first}, {second}): unplug all boards but one."
    )
    assert programs.called() == []


def test_a_full_drive(pico, drives, monkeypatch):
    """/dev/full says that it has no room."""
    drive = drives("a", "RPI-RP2")
    (drive / "street_sounds.ino.uf2").symlink_to("/dev/full")
    with pytest.raises(EdgeseaError) as error:
        flash(pico)
    assert str(error.value) == (
        f"{drive}/street_sounds.ino.uf2 could not be written after 0 of 1536 bytes "
        "(No space left on device): plug the board in again and retry."
    )


def test_a_drive_that_is_gone_after_the_last_block(pico, drives, board, monkeypatch):
    """The board restarts by itself: that the host cannot finish with the drive is no error."""
    drives("a", "RPI-RP2")

    def gone(_):
        raise OSError(5, os.strerror(5))

    monkeypatch.setattr(uf2.os, "fsync", gone)
    assert flash(pico).passed


@pytest.mark.parametrize("content", [b"", blocks()[:-1], b"x" * 512, blocks(1) + b"x" * 512])
def test_an_image_that_is_no_whole_uf2(tmp_path, content):
    image = tmp_path / "image.uf2"
    image.write_bytes(content)
    with pytest.raises(EdgeseaError) as error:
        uf2.copy(image, tmp_path / "drive")
    assert str(error.value) == f"{image} is not a whole .uf2 file: build it again."


# ---------------------------------------------------------------- ports and verdicts


def test_a_port_is_found_by_its_vendor(dongle):
    dongle("ttyS0", None)
    dongle("ttyACM0", 0x0D28)
    dongle("ttyUSB0", 0x10C4)
    assert ports.find(boards.board("microbit-v2")) == "/dev/ttyACM0"
    assert ports.find(boards.board("esp32-s3")) == "/dev/ttyUSB0"


def test_a_port_that_is_the_chip_itself_is_known_by_its_vendor(dongle, tmp_path):
    dongle("ttyACM0", 0x2341)
    dongle("ttyACM1", 0x2E8A)
    dongle("ttyACM2", 0x0483)
    dongle("ttyUSB0", 0x10C4)
    dongle("ttyS0", None)
    assert [usb.is_native(f"/dev/ttyACM{n}") for n in range(3)] == [True, True, False]
    assert not usb.is_native("/dev/ttyUSB0")
    assert not usb.is_native("/dev/ttyS0")
    assert not usb.is_native("/dev/nothing")
    (tmp_path / "usb-Arduino-if00").symlink_to("/dev/ttyACM0")
    assert usb.is_native(str(tmp_path / "usb-Arduino-if00"))


def test_a_board_whose_core_has_a_port_of_its_own_is_found_by_either(dongle):
    dongle("ttyACM0", 0x239A)
    assert ports.find(boards.board("nrf52840")) == "/dev/ttyACM0"


@pytest.mark.parametrize(("native", "raised"), [(True, True), (False, False)])
def test_dtr_is_raised_where_the_chip_is_the_port_and_nowhere_else(native, raised, monkeypatch):
    """A pseudo-terminal has no such lines, so what is done to them is recorded on its way there."""
    pytest.importorskip("serial", reason="pyserial is not installed")
    master, slave = os.openpty()
    tty.setraw(slave)
    name, original, now = os.ttyname(slave), fcntl.ioctl, {}

    def ioctl(handle, number, *arguments):
        if number not in (termios.TIOCMBIC, termios.TIOCMBIS):
            return original(handle, number, *arguments)
        lines = struct.unpack("I", arguments[0])[0]
        for line in (termios.TIOCM_DTR, termios.TIOCM_RTS):
            if lines & line:
                now[line] = number == termios.TIOCMBIS
        return b""

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(usb, "is_native", lambda port: {name: native}[port])
    try:
        with Link.open(name):
            assert now == {termios.TIOCM_DTR: raised, termios.TIOCM_RTS: False}
    finally:
        os.close(master)
        os.close(slave)


def test_no_port_before_one_is_needed(bundle, dongle):
    with pytest.raises(EdgeseaError) as error:
        plan(bundle, "nano33ble")
    assert str(error.value) == (
        "No serial port of nano33ble was found: plug it in, or name its port with --port."
    )


def test_several_ports(bundle, dongle):
    dongle("ttyACM1", 0x2341)
    dongle("ttyACM0", 0x2341)
    with pytest.raises(EdgeseaError) as error:
        plan(bundle, "nano33ble")
    assert str(error.value) == (
        "The serial port of nano33ble may be any of /dev/ttyACM0, /dev/ttyACM1: say which with --port."
    )


def test_a_port_that_is_not_there_yet(dongle, board):
    """The board restarts: it is looked for until it is there."""

    def plugged_in_late():
        if len(board.opened) == 0:
            board.opened.append("nothing")
            return ports.find(boards.board("rp2040"))
        if len(board.opened) == 1:
            dongle("ttyACM7", 0x2E8A)
        return ports.find(boards.board("rp2040"))

    assert verdict.read(plugged_in_late, SHA256, limit_s=60).passed
    assert board.opened == ["nothing", "/dev/ttyACM7"]


def test_no_pyserial(bundle, tmp_path, programs, projects, monkeypatch):
    monkeypatch.setattr(verdict.importlib.util, "find_spec", lambda name: None)
    for name in ("west", "openocd"):
        programs.add(name)
    with pytest.raises(EdgeseaError) as error:
        flash(plan(bundle, "stm32h743", port="/dev/ttyX", folder=tmp_path / "B"))
    assert str(error.value) == (
        "The Python package pyserial is not installed; run `python3 -m pip install pyserial`."
    )
    assert projects == []


def test_a_firmware_that_answers_late(board):
    board.answers = [EdgeseaError("no answer"), OSError(5, "gone"), Verdict(True, "PASS 4 of 4")]
    assert verdict.read(lambda: "/dev/ttyX", SHA256, limit_s=60).passed
    assert len(board.opened) == 3


def test_another_model_on_the_board(board):
    board.sha256 = "0" * 64
    with pytest.raises(EdgeseaError) as error:
        verdict.read(lambda: "/dev/ttyX", SHA256, limit_s=0.3)
    assert str(error.value) == (
        "The firmware is written, but gave no verdict within 0.3 seconds: "
        f"The board at /dev/ttyX runs another model, 000000000000…, not {SHA256[:12]}…."
    )


def test_no_verdict_in_time(board):
    board.answers = [EdgeseaError("/dev/ttyX does not answer")]
    with pytest.raises(EdgeseaError) as error:
        verdict.read(lambda: "/dev/ttyX", SHA256, limit_s=0.3)
    assert str(error.value) == (
        "The firmware is written, but gave no verdict within 0.3 seconds: /dev/ttyX does not answer."
    )
