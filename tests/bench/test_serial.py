"""The serial device: the host's firmware and emulated boards at pseudo-terminals, on good and bad lines."""

import dataclasses
import errno
import fcntl
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import termios
import threading
import time
import tty
import zlib

import host_firmware
import numpy as np
import pytest
import serial
from host_firmware import Line, needs, on_a_line

from edgesea.cli import main
from edgesea.devices import measure
from edgesea.devices import serial as device
from edgesea.devices.serial import Link
from edgesea.errors import EdgeseaError, UsageError
from edgesea.flash import firmware
from edgesea.interpreter import open_interpreter
from edgesea.running import emulator, programs

# What a measurement over a line that damages bytes may end in, beside the right figures.
SENTENCES = ("does not answer", "nothing answers at", "is no edgesea firmware, or the line garbles")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return host_firmware.small(tmp_path_factory.mktemp("bundle") / "small")


@pytest.fixture(scope="module")
def program(tmp_path_factory, bundle):
    needs("gcc")
    folder = tmp_path_factory.mktemp("program")
    return host_firmware.build(bundle, folder, flags=["-O1", "-DEDGESEA_PROFILE_HOOK"])


@pytest.fixture
def impatient(monkeypatch):
    """Lines that lose much are asked again soon."""
    monkeypatch.setattr(device, "PATIENCE_S", 0.05)
    monkeypatch.setattr(device, "LONGEST_PATIENCE_S", 0.2)
    monkeypatch.setattr(device, "LIMIT_S", 60.0)


@pytest.fixture
def call(capsys):
    """Calls `edgesea ARGUMENTS` in this process; returns its code, output and errors."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(each) for each in arguments])
        return (end.value.code or 0, *capsys.readouterr())

    return run


def reference_output(bundle, content: bytes) -> bytes:
    reference = open_interpreter(bundle / "model_int8.tflite", resolver="reference")
    return reference.invoke(np.frombuffer(content, np.int8).reshape(reference.input.shape)).tobytes()


def is_right(measurement: dict, bundle) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert measurement["model"]["sha256"] == manifest["int8"]["sha256"]
    path = re.search(r"C model, (\w+) kernels", measurement["engine"])[1]
    assert measurement["arena_bytes"] == manifest["c_model"]["arenas"][path]
    assert measurement["bit_exact"] is True
    assert measurement["differing_bytes"] == 0
    assert measurement["compared_bytes"] == 3 * manifest["int8"]["output"]["bytes"]
    assert measurement["golden"].startswith("golden PASS ")


# ---------------------------------------------------------------- one board, a good line


def test_a_session(program, bundle):
    content = np.random.default_rng(1).integers(0, 256, 400, np.uint8).tobytes()
    with on_a_line(program) as line, Link.open(line.port) as link:
        hello = link.hello()
        assert (hello.input_bytes, hello.steps, hello.clock_hz) == (400, 18, 10**9)
        assert link.about().board == "the host, _a_ _b"
        verdict = link.golden()
        assert (verdict.passed, verdict.text) == (True, "golden PASS 4 of 4")
        with pytest.raises(UsageError, match="An inference needs an input: load one first"):
            link.infer()
        with pytest.raises(UsageError, match="An input has 400 bytes, received 3"):
            link.load(b"abc")
        link.load(content)
        cycles = link.infer(16)
        assert len(cycles) == 16
        assert min(cycles) > 0
        assert link.output() == reference_output(bundle, content)
        steps = link.profile()
        assert [name for name, _ in steps] == ["CONV_2D"] * 18
        assert all(spent > 0 for _, spent in steps)


def test_a_measurement_in_milliseconds(program, bundle):
    with on_a_line(program) as line:
        started = time.perf_counter()
        measurement = measure(bundle, f"serial:{line.port}", runs=40)
        wall = time.perf_counter() - started
    is_right(measurement, bundle)
    assert "emulated" not in measurement
    latency = measurement["latency_ms"]
    assert latency["n"] == 40
    assert 0 < latency["min"] <= latency["median"] <= latency["p95"] <= latency["max"]
    # The counter counts nanoseconds, so the sum of all cannot be more than the time that passed.
    assert latency["min"] * 40 < 1000 * wall
    assert measurement["device"] == f"serial:{line.port}"
    assert measurement["engine"].endswith("C model, plain kernels")
    conditions = measurement["conditions"]
    assert conditions["clock_hz"] == 10**9
    assert conditions["board"] == "the host, _a_ _b"
    assert conditions["compiler"].startswith("gcc ")
    assert conditions["firmware"].startswith("edgesea ")
    assert len(measurement["operators"]) == 18
    assert set(measurement) >= {"storage", "activation", "how"}


def test_the_command_prints_json_and_a_table(program, bundle, call):
    with on_a_line(program) as line:
        command = ["bench", bundle, "--device", f"serial:{line.port}"]
        code, output, errors = call(*command, "--runs", 5, "--json")
        assert code == 0, errors
        assert json.loads(output)["latency_ms"]["n"] == 5
        code, output, errors = call(*command, "--runs", 3)
        assert code == 0, errors
        assert "n = 3 after" in output
        assert "golden PASS 4 of 4; 0 of 2400 bytes of output differ" in output
        assert output.count("CONV_2D") >= 18
        code, _, errors = call(*command, "--threads", 2)
        assert code == 2
        assert "--threads has no meaning on the device" in errors


def test_a_wrong_byte_is_told(bundle, tmp_path):
    def damage(folder):
        file = folder / "edgesea_protocol.c"
        text = file.read_text()
        wrong = "        p->output[3] = (int8_t)(p->output[3] ^ 1);\n        cycles[i] ="
        assert text.count("        cycles[i] =") == 1
        file.write_text(text.replace("        cycles[i] =", wrong))

    program = host_firmware.build(bundle, tmp_path, change=damage)
    with on_a_line(program) as line:
        measurement = measure(bundle, f"serial:{line.port}", runs=1)
    assert measurement["bit_exact"] is False
    assert measurement["differing_bytes"] == 3
    assert measurement["operators"] == []


def test_without_a_clock_there_is_no_time(bundle, tmp_path):
    program = host_firmware.build(bundle, tmp_path, flags=["-DHOST_CLOCK_HZ=0u"])
    with on_a_line(program) as line:
        measurement = measure(bundle, f"serial:{line.port}")
    is_right(measurement, bundle)
    assert "latency_ms" not in measurement
    assert measurement["emulated"]["bit_exact"] is True
    assert measurement["emulated"]["instructions"] is None
    assert measurement["emulated"]["arena_bytes"] == measurement["arena_bytes"]
    assert measurement["conditions"]["clock_hz"] is None


# ---------------------------------------------------------------- bad lines


def right_or_told(bundle, port: str, may_fail: bool) -> dict | None:
    """The measurement, checked; None where it ended in a sentence and may."""
    try:
        measurement = measure(bundle, f"serial:{port}")
    except EdgeseaError as error:
        sentence = str(error)
    else:
        is_right(measurement, bundle)
        return measurement
    assert may_fail, sentence
    assert any(each in sentence for each in SENTENCES), sentence
    return None


@pytest.mark.parametrize(
    ("rate", "seed"),
    [(0.001, 0), (0.001, 1), (0.005, 0), *(pytest.param(0.01, n, marks=pytest.mark.slow) for n in range(3))],
)
def test_a_line_that_drops_doubles_and_garbles(program, bundle, impatient, rate, seed):
    with on_a_line(program, rate=rate, seed=seed) as line:
        measurement = right_or_told(bundle, line.port, rate > 0.001)
        assert measurement is None or 1 <= measurement["latency_ms"]["n"] <= 100
        assert line.damaged > 0


def test_a_line_of_noise_ends_in_a_sentence(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(device, "LIMIT_S", 1.5)
    noise = tmp_path / "noise"
    noise.write_text("#!/bin/sh\nwhile head -c 64 /dev/urandom; do sleep 0.01; done\n")
    noise.chmod(0o755)
    with (
        on_a_line(noise) as line,
        pytest.raises(EdgeseaError, match="is no edgesea firmware, or the line garbles all that it says"),
    ):
        measure(bundle, f"serial:{line.port}")


def test_lines_of_the_sensor_in_between_do_no_harm(bundle, tmp_path):
    def chatter(folder):
        file = folder / "main.c"
        text = file.read_text()
        file.write_text(
            text.replace(
                "        edgesea_protocol_poll(",
                '        edgesea_board_write("{\\"samples\\":1}\\n<0001 hello", 26);\n'
                "        edgesea_protocol_poll(",
            )
        )

    program = host_firmware.build(bundle, tmp_path, change=chatter)
    with on_a_line(program) as line:
        is_right(measure(bundle, f"serial:{line.port}", runs=3), bundle)


# ---------------------------------------------------------------- everything that can be in the way


class Scripted:
    """A board that answers what `answer(words)` says: text, or None for silence."""

    def __init__(self, answer):
        self._answer = answer
        self._ours, theirs = os.pipe(), os.pipe()
        self.line = Line(self._ours[1], theirs[0])
        self._read, self._write = self._ours[0], theirs[1]
        self._ends = (*self._ours, *theirs)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.line.__enter__()
        self._thread.start()
        return self.line

    def __exit__(self, *_):
        self.line.unplug()
        os.close(self._ours[1])  # ends the thread
        self._thread.join()
        for end in {*self._ends} - {self._ours[1]}:
            os.close(end)

    def _run(self):
        received = b""
        while part := os.read(self._read, 4096):
            received += part
            *lines, received = received.split(b"\n")
            for line in lines:
                if line.startswith(b">"):
                    sequence, _, words = line[1:].rpartition(b"*")[0].decode().partition(" ")
                    text = self._answer(words)
                    if text is not None:
                        body = f"{sequence} {text}".encode()
                        os.write(self._write, b"<%s*%08x\n" % (body, zlib.crc32(body)))


HELLO = f"hello 1 {'ab' * 32} 190 40 100 40 10 0 3b9aca00"


def begin(port: str) -> None:
    with Link.open(port, limit_s=0.5) as link:
        link.hello()
        link.golden()


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({}, "nothing answers at .* within 0.5 s: is this the board's port"),
        ({"hello": HELLO.replace(" 1 ", " 2 ", 1)}, "speaks version 2 of the protocol, this edgesea 1"),
        ({"hello": "hello"}, r"speaks version \? of the protocol"),
        ({"hello": "hello 1 short"}, "answers '1 short' to 'hello', which means nothing to this edgesea"),
        ({"hello": HELLO.replace(" 190 ", " 0 ")}, "which means nothing to this edgesea"),
        ({"hello": HELLO.replace(" 190 ", " -1 ")}, "which means nothing to this edgesea"),
        ({"hello": "golden 4 4"}, "answers 'golden 4 4' to 'hello'"),
        ({"hello": "error request"}, r"refuses 'hello' \(request\): write the firmware again"),
        (
            {"hello": HELLO, "golden": "error hello"},
            "was reset in the middle, or another program spoke to it",
        ),
        ({"hello": HELLO, "golden": "golden 4"}, "answers '4' to 'golden'"),
        ({"hello": HELLO, "golden": "golden x 4"}, "answers 'x 4' to 'golden'"),
        ({"hello": HELLO, "golden": "error model"}, r"refuses 'golden' \(model\)"),
        ({"hello": HELLO}, "does not answer 'golden' within 0.5 s: look at the cable, reset the board"),
    ],
)
def test_a_board_that_answers_otherwise(answers, sentence, monkeypatch):
    monkeypatch.setattr(device, "WORK_LIMIT_S", 0.5)
    with Scripted(answers.get) as line, pytest.raises(EdgeseaError, match=sentence):
        begin(line.port)


def scripted_model(words: str) -> str | None:
    """A board with a model of 400 bytes in and 64 out that is always zero."""
    word, *arguments = words.split(" ")
    if word == "load":
        return f"load {int(arguments[0], 16) + len(arguments[1]) // 2:x}"
    return {"hello": HELLO, "golden": "golden 4 4", "output": "output " + "00" * 64}.get(word)


def test_what_is_wrong_in_the_data_is_told():
    zeros = f"{zlib.crc32(bytes(400)):08x}"
    answers = {"infer 1": "infer 00000000 00000000 5"}
    with (
        Scripted(lambda words: answers.get(words) or scripted_model(words)) as line,
        Link.open(line.port) as link,
    ):
        link.hello()
        link.load(bytes(400))
        with pytest.raises(EdgeseaError, match=r"The input at .* is not the one that was sent"):
            link.infer(1)
        answers["infer 1"] = f"infer {zeros} 00000000"
        with pytest.raises(EdgeseaError, match="to 'infer', which means nothing"):
            link.infer(1)
        answers["infer 1"] = f"infer {zeros} 00000000 5"
        assert link.infer(1) == [5]
        with pytest.raises(EdgeseaError, match=r"The output at .* changed while it was read"):
            link.output()
        answers["output 0"] = "output xyz"
        with pytest.raises(EdgeseaError, match="to 'output', which means nothing"):
            link.output()
        answers["output 0"] = "output " + "00" * 65
        with pytest.raises(EdgeseaError, match="to 'output', which means nothing"):
            link.output()


def test_another_model(program, bundle, tmp_path):
    other = tmp_path / "other.tflite"
    other.write_bytes(host_firmware.random_graphs.single_operator_model("CONV_2D", 1))
    with on_a_line(program) as line, pytest.raises(EdgeseaError) as told:
        measure(other, f"serial:{line.port}")
    told.match(r"holds another model .* than .*other.tflite .*edgesea flash")


def test_a_counter_that_stands_still(bundle, tmp_path):
    program = host_firmware.build(bundle, tmp_path, flags=["-DHOST_COUNTER_STANDS_STILL"])
    with on_a_line(program) as line, pytest.raises(EdgeseaError) as told:
        measure(bundle, f"serial:{line.port}")
    told.match("stands still: mend its edgesea_board_cycles")


def test_a_counter_that_may_have_wrapped(program):
    with on_a_line(program) as line, Link.open(line.port) as link:
        # At this clock 32 bits of cycles are less than a nanosecond.
        hello = dataclasses.replace(link.hello(), clock_hz=2**62)
        link.load(bytes(400))
        with pytest.raises(
            EdgeseaError, match="may have taken longer than the board's cycle counter can tell"
        ):
            device._timed(link, hello, line.port, 1, 1.0)


def test_a_reset_in_the_middle(program, bundle):
    with on_a_line(program) as first, on_a_line(program) as second, Link.open(first.port) as link:
        link.hello()
        # Another board with the same firmware, just started, is what a board is after a reset.
        with Link.open(second.port) as other:
            link._port, other._port = other._port, link._port
            with pytest.raises(EdgeseaError, match="was reset in the middle, or another program spoke to it"):
                link.golden()
            link._port, other._port = other._port, link._port


def test_unplugged(program, bundle):
    with on_a_line(program) as line, Link.open(line.port) as link:
        link.hello()
        line.unplug()
        with pytest.raises(EdgeseaError, match="went away: was the board unplugged or did it reset"):
            link.golden()


def test_a_board_that_dies_in_the_middle(program, monkeypatch):
    monkeypatch.setattr(device, "WORK_LIMIT_S", 1.0)
    with on_a_line(program) as line, Link.open(line.port) as link:
        link.hello()
        line.board.kill()
        line.board.wait()
        with pytest.raises(EdgeseaError, match="does not answer 'golden' within 1 s"):
            link.golden()


def test_ports_that_are_none(bundle, tmp_path, call):
    with pytest.raises(UsageError, match=r"There is no serial port .*/none: plug the board in"):
        Link.open(str(tmp_path / "none"))
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, tmp_path):
        with pytest.raises(UsageError, match="is no serial port that can be opened"):
            Link.open(str(path))
    code, _, errors = call("bench", bundle, "--device", f"serial:{tmp_path}/none")
    assert (code, errors.count("There is no serial port")) == (2, 1)
    code, _, errors = call("bench", bundle, "--device", "serial")
    assert code == 2
    assert "is written serial:PORT" in errors


def test_a_port_in_use(program, bundle, call):
    with on_a_line(program) as line, Link.open(line.port):
        with pytest.raises(EdgeseaError, match="is in use by another program: close it"):
            Link.open(line.port)
        code, _, errors = call("bench", bundle, "--device", f"serial:{line.port}")
        assert code == 1
        assert "is in use by another program" in errors


def test_a_forbidden_port(monkeypatch):
    def forbidden(self):
        raise serial.SerialException(errno.EACCES, "could not open port")

    monkeypatch.setattr(serial.Serial, "open", forbidden)
    with pytest.raises(EdgeseaError, match="No permission to open /dev/ttyACM0: join the group that owns it"):
        Link.open("/dev/ttyACM0")


def test_without_pyserial(monkeypatch):
    monkeypatch.setitem(sys.modules, "serial", None)
    with pytest.raises(EdgeseaError, match=r"needs pyserial, .*; run: python3 -m pip install pyserial"):
        Link.open("/dev/ttyACM0")


@pytest.mark.parametrize("runs", [0, -1])
def test_runs_below_one(bundle, runs):
    with pytest.raises(UsageError, match=f"Received {runs} runs: give at least 1\\.$"):
        measure(bundle, "serial:/dev/none", runs=runs)


# ---------------------------------------------------------------- DTR and RTS


@pytest.fixture
def terminal():
    master, slave = os.openpty()
    tty.setraw(slave)
    yield os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_dtr_and_rts_are_clear_before_the_port_opens(monkeypatch, terminal):
    states = []
    original = serial.Serial.open

    def open_port(self):
        states.append((self.dtr, self.rts, self.exclusive, self.is_open))
        original(self)

    monkeypatch.setattr(serial.Serial, "open", open_port)
    Link.open(terminal).close()
    assert states == [(False, False, True, False)]


def test_both_lines_fall_in_one_call_and_none_rises(monkeypatch, terminal):
    # A pseudo-terminal has no such lines, so the calls are recorded on their way to it.
    calls = []
    lines = (termios.TIOCMBIC, termios.TIOCMBIS, termios.TIOCMSET)
    original = fcntl.ioctl

    def ioctl(handle, number, *arguments):
        if number in lines:
            calls.append((number, struct.unpack("I", arguments[0])[0]))
            return b""
        return original(handle, number, *arguments)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    Link.open(terminal).close()
    both = termios.TIOCM_DTR | termios.TIOCM_RTS
    assert calls[0] == (termios.TIOCMBIC, both)
    assert all(number == termios.TIOCMBIC for number, _ in calls)


# ---------------------------------------------------------------- emulated boards

FAST = ("cortex-m4",)
CORES = [core if core in FAST else pytest.param(core, marks=pytest.mark.slow) for core in emulator.cores()]


@pytest.fixture
def emulators(monkeypatch):
    # A machine with much to do emulates slowly.
    monkeypatch.setattr(device, "LIMIT_S", 60.0)
    for program in ("qemu-system-arm", "qemu-system-riscv32", "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"):
        needs(program)


@pytest.fixture(scope="module")
def image(tmp_path_factory, bundle):
    """core -> its image of the small bundle, built once."""
    images = {}

    def build(core):
        if core not in images:
            images[core] = firmware.build_emulated(bundle, core, tmp_path_factory.mktemp(core))
        return images[core]

    return build


@pytest.mark.parametrize("core", CORES)
def test_all_golden_vectors_pass_on_the_emulated_board(core, emulators, image, bundle):
    with firmware.running(core, image(core)) as port:
        measurement = measure(bundle, f"serial:{port}")
        with Link.open(port) as link:
            assert link.hello().clock_hz == 0
            link.load(bytes(400))
            link.infer(2)
            assert [name for name, _ in link.profile()] == ["CONV_2D"] * 18
    is_right(measurement, bundle)
    assert "latency_ms" not in measurement
    assert measurement["conditions"]["board"] == f"qemu-{core}, QEMU"
    assert measurement["golden"] == "golden PASS 4 of 4"


@pytest.mark.slow
@pytest.mark.parametrize("core", emulator.cores())
def test_a_trained_student_passes_on_the_emulated_board(core, emulators, small_bundle, tmp_path):
    built = firmware.build_emulated(small_bundle, core, tmp_path)
    with firmware.running(core, built) as port:
        is_right(measure(small_bundle, f"serial:{port}"), small_bundle)


@pytest.mark.parametrize(
    ("core", "rate", "seed"),
    [("cortex-m4", 0.002, 0)]
    + [
        pytest.param(core, rate, seed, marks=pytest.mark.slow)
        for core in ("cortex-m4", "riscv32", "cortex-m55")
        for rate in (0.002, 0.01)
        for seed in (1, 2)
    ],
)
def test_an_emulated_board_on_a_bad_line(core, rate, seed, emulators, image, bundle, impatient):
    with firmware.running(core, image(core)) as port:
        board = os.open(port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(board)
        try:
            with Line(board, board, rate=rate, seed=seed) as line:
                measurement = right_or_told(bundle, line.port, rate > 0.002)
                assert measurement is None or measurement["conditions"]["requests_repeated"] > 0
                assert line.damaged > 0
        finally:
            os.close(board)


def test_an_emulator_that_ends_at_once_is_told(emulators, tmp_path):
    nothing = tmp_path / "nothing.elf"
    nothing.write_bytes(b"")
    # Some versions make the terminal first and end then.
    with pytest.raises(EdgeseaError) as told, firmware.running("cortex-m4", nothing) as port:
        Link.open(port, limit_s=1.0).hello()
    told.match("qemu-cortex-m4 did not start: QEMU says |There is no serial port|went away|nothing answers")


def test_every_emulated_machine_has_a_driver():
    for core in emulator.cores():
        machine = emulator.board_of(core).emulator
        assert (emulator.EMULATED / machine.uart).is_file()
        assert machine.uart_base >= 0x10000000


def test_qemu_is_gone_afterwards(emulators, image, monkeypatch):
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    built = image("cortex-m4")
    emulator._has_sandbox(shutil.which("qemu-system-arm"))  # asked once
    monkeypatch.setattr(programs.subprocess, "Popen", Popen)
    with firmware.running("cortex-m4", built) as port:
        assert os.path.exists(port)
        assert started[0].poll() is None
    assert len(started) == 1
    assert started[0].poll() is not None
