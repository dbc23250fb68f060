"""Measures a model on a board that runs edgesea's firmware, over a serial line.

The protocol is described in docs/serial-protocol.md: lines of text with sequence numbers and CRCs. What does
not arrive whole is sent again, and the board does nothing twice, so a bad line makes a measurement slow or
ends it in a sentence; it changes no figure.

    with Link.open("/dev/ttyACM0") as link:
        link.hello()
        print(link.golden().text)

Latency is the board's own: cycles of its counter by the clock that it states. Where it states none, as in an
emulator, there are no milliseconds.
"""

import contextlib
import dataclasses
import errno
import fcntl
import re
import struct
import termios
import time
import zlib
from pathlib import Path

import numpy as np

from edgesea.errors import EdgeseaError, UsageError
from edgesea.interpreter import Interpreter, open_interpreter
from edgesea.measures import memory
from edgesea.measures.inputs import random_examples
from edgesea.running import usb
from firmware_export.graph import read

# What follows the colon of the device's name.
TARGET = "PORT"

PROTOCOL = 1
BAUD = 115200

# Without an answer for so long a line is sent again, then after half as long again, and so on.
PATIENCE_S = 0.3
LONGEST_PATIENCE_S = 5.0
# How long one question may stay open; one that runs the model may take longer.
LIMIT_S = 10.0
WORK_LIMIT_S = 120.0
# How long a whole session may take, however well each question is answered.
SESSION_S = 1800.0

# One request to run the model is made to last about so long.
BATCH_S = 1.0

ANSWER = re.compile(rb"<([0-9a-f]{4}) ([ -~]*)\*([0-9a-f]{8})\r?")
LONGEST_LINE = 4096

# What no firmware of edgesea exceeds; more is a lie, and would be asked for piece by piece.
MOST_STEPS = 4096
MOST_RUNS = 4096
MOST_VECTORS = 4096
MOST_MEMORY = 1 << 30
LONGEST_ABOUT = 500
# An inference cannot take longer than the answer to it took, but for how far a board's clock may be off.
CLOCKS, CLOCKS_S = 1.5, 0.1

EXAMPLES = 3
WARM_UP_RUNS = 1


@dataclasses.dataclass(frozen=True)
class Hello:
    """What a firmware says of itself: the model's SHA-256, sizes in bytes, what fits into one line, how many
    steps it can tell apart (0: none), its clock in hertz (0: none to trust).
    """

    sha256: str
    input_bytes: int
    output_bytes: int
    arena_bytes: int
    chunk: int
    runs: int
    steps: int
    clock_hz: int


@dataclasses.dataclass(frozen=True)
class About:
    """What a firmware says of itself for people."""

    model: str
    version: str
    board: str
    compiler: str
    kernels: str


@dataclasses.dataclass(frozen=True)
class Verdict:
    """On the golden vectors: `passed` if every byte of every one was right; `text` says it in a line."""

    passed: bool
    text: str


class Link:
    """An open line to a board; `hello` comes first. Every method raises EdgeseaError where the board is gone,
    stays silent, was reset, or answers what it may not.
    """

    def __init__(self, port, name: str, *, patience_s: float | None = None, limit_s: float | None = None):
        """Takes an open port.

        port : of pyserial, or what reads, writes and closes as one does
        name : as the user calls it
        patience_s, limit_s : see PATIENCE_S, LIMIT_S
        """
        self._port = port
        self._name = name
        self._patience_s = patience_s or PATIENCE_S
        self._limit_s = limit_s or LIMIT_S
        # Anything but what an earlier link, whose answers may still be on their way, ended with.
        self._sequence = time.monotonic_ns() // 1_000_000 & 0xFFFF
        self._end = time.monotonic() + SESSION_S
        self._received = b""
        self._heard = False
        self._said_hello: Hello | None = None
        self._input_crc: int | None = None
        self._output_crc: int | None = None
        self.repeated = 0  # requests sent again, lost or because the board was at work

    @classmethod
    def open(cls, port: str, *, patience_s: float | None = None, limit_s: float | None = None) -> "Link":
        """Opens a serial port for nobody else: RTS clear, DTR raised only where the chip itself is the port.

        Raises UsageError where there is no such port, EdgeseaError where it is in use, forbidden, or pyserial
        is missing.
        """
        return cls(_open(port), port, patience_s=patience_s, limit_s=limit_s)

    def __enter__(self) -> "Link":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Gives the port back, also where the board is gone."""
        with contextlib.suppress(OSError, termios.error):
            self._port.close()

    def hello(self) -> Hello:
        """Begins a session."""
        words = self._ask("hello", limit_s=self._limit_s)
        if words[:1] != [f"{PROTOCOL:x}"]:
            raise EdgeseaError(
                f"The firmware at {self._name} speaks version {words[0] if words else '?'} of the protocol, "
                f"this edgesea {PROTOCOL}: write the firmware again with `edgesea flash`."
            )
        if len(words) != 9 or not re.fullmatch("[0-9a-f]{64}", words[1]):
            raise self._nonsense("hello", words)
        hello = Hello(words[1], *self._numbers("hello", words[2:]))
        if not (
            0 < hello.input_bytes <= MOST_MEMORY
            and 0 < hello.output_bytes <= MOST_MEMORY
            and hello.arena_bytes <= MOST_MEMORY
            and 0 < hello.chunk <= LONGEST_LINE
            and 0 < hello.runs <= MOST_RUNS
            and hello.steps <= MOST_STEPS
        ):
            raise self._nonsense("hello", words)
        self._said_hello = hello
        return hello

    def about(self) -> About:
        """Model, version, board, compiler and kernels, as text."""
        return About(*(self._about(number) for number in range(5)))

    def golden(self) -> Verdict:
        """Runs the golden vectors that the firmware holds."""
        words = self._ask("golden", limit_s=WORK_LIMIT_S)
        if len(words) != 2:
            raise self._nonsense("golden", words)
        right, count = self._numbers("golden", words)
        if not right <= count <= MOST_VECTORS:
            raise self._nonsense("golden", words)
        passed = right == count > 0
        return Verdict(passed, f"golden {'PASS' if passed else 'FAIL'} {right} of {count}")

    def load(self, content: bytes) -> None:
        """Sends an input, all of it; `infer` checks that it arrived."""
        hello = self._hello()
        if len(content) != hello.input_bytes:
            raise UsageError(f"An input has {hello.input_bytes} bytes, received {len(content)}.")
        for start in range(0, len(content), hello.chunk):
            part = content[start : start + hello.chunk]
            words = self._ask("load", f"{start:x}", part.hex(), limit_s=self._limit_s)
            if self._numbers("load", words) != [start + len(part)]:
                raise self._nonsense("load", words)
        self._input_crc = zlib.crc32(content)

    def infer(self, n: int = 1) -> list[int]:
        """Runs the model on the loaded input, 1 <= n <= hello().runs times; returns the cycles of each."""
        if self._input_crc is None:
            raise UsageError("An inference needs an input: load one first.")
        words = self._ask("infer", f"{n:x}", limit_s=WORK_LIMIT_S)
        numbers = self._numbers("infer", words)
        if len(numbers) != 2 + n:
            raise self._nonsense("infer", words)
        if numbers[0] != self._input_crc:
            raise EdgeseaError(f"The input at {self._name} is not the one that was sent: measure again.")
        self._output_crc = numbers[1]
        return numbers[2:]

    def output(self) -> bytes:
        """What the last `infer` gave."""
        hello, content = self._hello(), b""
        while len(content) < hello.output_bytes:
            words = self._ask("output", f"{len(content):x}", limit_s=self._limit_s)
            try:
                part = bytes.fromhex(words[0])
            except (IndexError, ValueError):
                raise self._nonsense("output", words) from None
            if not 0 < len(part) <= hello.output_bytes - len(content):
                raise self._nonsense("output", words)
            content += part
        if zlib.crc32(content) != self._output_crc:
            raise EdgeseaError(f"The output at {self._name} changed while it was read: measure again.")
        return content

    def profile(self) -> list[tuple[str, int]]:
        """Runs the model once; returns name and cycles of each step, [] where the firmware cannot tell."""
        hello = self._hello()
        cycles: list[int] = []
        while len(cycles) < hello.steps:
            words = self._ask("profile", f"{len(cycles):x}", limit_s=WORK_LIMIT_S)
            numbers = self._numbers("profile", words)
            if not 0 < len(numbers) <= hello.steps - len(cycles):
                raise self._nonsense("profile", words)
            cycles += numbers
        return [(self._about(5 + step), spent) for step, spent in enumerate(cycles)]

    # ---- lines ----

    def _about(self, number: int) -> str:
        words = self._ask("about", f"{number:x}", limit_s=self._limit_s)
        text = " ".join(words)
        if len(text) > LONGEST_ABOUT:
            raise self._nonsense("about", words)
        return text

    def _hello(self) -> Hello:
        return self._said_hello or self.hello()

    def _ask(self, word: str, *arguments: str, limit_s: float) -> list[str]:
        """Sends a request until its answer is there; returns the words of the answer behind the first."""
        self._sequence = self._sequence + 1 & 0xFFFF
        body = " ".join((f"{self._sequence:04x}", word, *arguments)).encode("ascii")
        line = b"\n>%s*%08x\n" % (body, zlib.crc32(body))
        end = min(time.monotonic() + limit_s, self._end)
        patience = self._patience_s
        while (now := time.monotonic()) < end:
            self._send(line)
            answer = self._answer(min(now + patience, end))
            if answer is not None:
                return self._accepted(word, arguments, answer)
            self.repeated += 1
            patience = min(1.5 * patience, LONGEST_PATIENCE_S)
        if time.monotonic() >= self._end:
            raise EdgeseaError(
                f"The board at {self._name} has not come to an end within {SESSION_S:g} s: measure again on "
                "a better line, or a smaller model."
            )
        raise EdgeseaError(self._silence(word, limit_s))

    def _accepted(self, word: str, arguments: tuple[str, ...], answer: list[str]) -> list[str]:
        if answer[:2] == ["error", "hello"]:
            raise EdgeseaError(
                f"The board at {self._name} was reset in the middle, or another program spoke to it: "
                "measure again."
            )
        if answer[:1] == ["error"]:
            asked = " ".join((word, *arguments))
            raise EdgeseaError(
                f"The board at {self._name} refuses {asked!r} ({_short(answer[1:])}): "
                "write the firmware again with `edgesea flash`."
            )
        if answer[:1] != [word]:
            raise self._nonsense(word, answer)
        return answer[1:]

    def _answer(self, end: float) -> list[str] | None:
        """The words of the answer to the last request, or None if it is not there at the time `end`."""
        while True:
            *lines, self._received = self._received.split(b"\n")
            for line in lines:
                found = ANSWER.fullmatch(line[max(0, line.rfind(b"<")) :])
                if found is None:
                    continue
                sequence, text, crc = found.groups()
                whole = zlib.crc32(sequence + b" " + text) == int(crc, 16)
                if whole and int(sequence, 16) == self._sequence:
                    return text.decode("ascii").split(" ")
            self._received = self._received[-LONGEST_LINE:]
            if time.monotonic() >= end:
                return None
            self._receive()

    def _send(self, line: bytes) -> None:
        try:
            self._port.write(line)
        except (OSError, termios.error) as error:
            raise self._gone() from error

    def _receive(self) -> None:
        try:
            part = self._port.read(max(1, self._port.in_waiting))
        except (OSError, termios.error) as error:
            raise self._gone() from error
        self._heard = self._heard or bool(part)
        self._received += part

    def _gone(self) -> EdgeseaError:
        return EdgeseaError(
            f"{self._name} went away: was the board unplugged or did it reset? measure again."
        )

    def _nonsense(self, word: str, words: list[str]) -> EdgeseaError:
        return EdgeseaError(
            f"The firmware at {self._name} answers {_short(words)!r} to {word!r}, which means nothing to "
            "this edgesea: write the firmware again with `edgesea flash`."
        )

    def _numbers(self, word: str, words: list[str]) -> list[int]:
        if not all(re.fullmatch("[0-9a-f]{1,8}", each) for each in words):
            raise self._nonsense(word, words)
        return [int(each, 16) for each in words]

    def _silence(self, word: str, limit_s: float) -> str:
        if self._said_hello:
            return (
                f"the board at {self._name} does not answer {word!r} within {limit_s:g} s: "
                "look at the cable, reset the board"
            )
        if self._heard:
            return (
                f"what answers at {self._name} is no edgesea firmware, or the line garbles all that it says: "
                "write one to the board with `edgesea flash`"
            )
        return (
            f"nothing answers at {self._name} within {limit_s:g} s: is this the board's port, and an edgesea "
            "firmware on it (`edgesea flash`)?"
        )


def _short(words: list[str]) -> str:
    text = " ".join(words)
    return text if len(text) <= 100 else f"{text[:97]}..."


def measure(model: Path, target: str, *, runs: int = 100, limit_s: float = 10.0) -> dict:
    """Measures a .tflite on the board at a serial port, whose firmware must hold the same model.

    Parameters
    ----------
    model : the .tflite
    target : the port, such as /dev/ttyACM0
    runs : int > 0, timed inferences
    limit_s : float > 0, stop timing after so many seconds though `runs` are not done (one request is always
        timed)

    Returns
    -------
    dict
        A measurement; `latency_ms` from the board's cycle counter and clock, or `emulated`, without any time,
        where the board states no clock.

    Raises
    ------
    UsageError : no such port, or runs below 1
    EdgeseaError : the port cannot be used, or the board does not answer as it must
    """
    if runs < 1:
        raise UsageError(f"Received {runs} runs: give at least 1.")
    graph = read(model)
    reference = open_interpreter(model, resolver="reference")
    with Link.open(target) as link:
        hello = link.hello()
        if hello.sha256 != graph.sha256:
            raise EdgeseaError(
                f"The firmware at {target} holds another model (SHA-256 {hello.sha256[:12]}...) than {model} "
                f"({graph.sha256[:12]}...): write this one with `edgesea flash`, or name the other's bundle."
            )
        sizes = [sum(tensor.bytes for tensor in each) for each in (reference.inputs, reference.outputs)]
        if [hello.input_bytes, hello.output_bytes] != sizes:
            raise EdgeseaError(
                f"The firmware at {target} takes {hello.input_bytes} bytes and gives {hello.output_bytes}, "
                f"where {model} takes {sizes[0]} and gives {sizes[1]}: write it again with `edgesea flash`."
            )
        about = link.about()
        verdict = link.golden()
        differing, compared = _compared(link, reference)
        # Without a clock, cycles say nothing.
        cycles = _timed(link, hello, target, runs, limit_s) if hello.clock_hz else []
        steps = _profile(link, hello, target) if hello.clock_hz else []
        repeated = link.repeated
    exact = differing == 0 and verdict.passed
    return {
        "device": f"serial:{target}",
        "engine": f"{about.version} C model, {about.kernels} kernels",
        "model": {"name": model.name, "sha256": graph.sha256},
        "storage": memory.storage(graph),
        "activation": memory.activation(graph),
        **(_latency(cycles, hello) if hello.clock_hz else _emulated(hello, exact)),
        "arena_bytes": hello.arena_bytes,
        "bit_exact": exact,
        "golden": verdict.text,
        "differing_bytes": differing,
        "compared_bytes": compared,
        "operators": [
            {"number": number, "name": name, "cycles": spent} for number, (name, spent) in enumerate(steps)
        ],
        "conditions": {
            "board": about.board,
            "firmware": f"{about.version}, protocol {PROTOCOL}",
            "clock_hz": hello.clock_hz or None,
            "compiler": about.compiler,
            "profile_hook": bool(hello.steps),
            "input": "random",
            "reference": " ".join(reference.runtime) + " BUILTIN_REF",
            "baud": BAUD,
            "requests_repeated": repeated,
        },
        "how": {
            "storage.model_bytes": "measured",
            "storage.weight_bytes": "computed",
            "activation": "computed",
            "latency_ms": "measured, cycles / clock",
            "emulated": "emulated",
            "emulated.arena_bytes": "computed",
            "arena_bytes": "computed",
        },
    }


def _compared(link: Link, reference: Interpreter) -> tuple[int, int]:
    """Bytes of output that differ from the reference kernels', and all that were compared."""
    differing = compared = 0
    for (example,) in random_examples(reference.inputs, EXAMPLES):
        link.load(example.tobytes())
        link.infer(1)
        expected = np.frombuffer(reference.invoke(example).tobytes(), np.uint8)
        differing += int(np.sum(np.frombuffer(link.output(), np.uint8) != expected))
        compared += expected.size
    return differing, compared


def _timed(link: Link, hello: Hello, target: str, runs: int, limit_s: float) -> list[int]:
    """Cycles of up to `runs` inferences; the input is the last that was loaded."""
    cycles: list[int] = []
    start = time.monotonic()
    link.infer(WARM_UP_RUNS)
    each = time.monotonic() - start
    batch = min(hello.runs, max(1, int(BATCH_S / each)))
    end = start + limit_s
    while not cycles or (len(cycles) < runs and time.monotonic() < end):
        asked = time.monotonic()
        found = link.infer(min(batch, runs - len(cycles)))
        _check_possible(sum(found), hello, target, time.monotonic() - asked)
        # The counter has 32 bits. Waiting can only seem longer than the inference was.
        if (time.monotonic() - asked) / len(found) > 2**32 / hello.clock_hz:
            raise EdgeseaError(
                f"An inference at {target} may have taken longer than the board's cycle counter can tell "
                f"({2**32 / hello.clock_hz:.1f} s): measure again on a better line, or a smaller model."
            )
        if 0 in found:
            raise EdgeseaError(
                f"The cycle counter of the board at {target} stands still: mend its edgesea_board_cycles."
            )
        cycles += found
    return cycles


def _profile(link: Link, hello: Hello, target: str) -> list[tuple[str, int]]:
    asked = time.monotonic()
    steps = link.profile()
    _check_possible(sum(spent for _, spent in steps), hello, target, time.monotonic() - asked)
    return steps


def _check_possible(cycles: int, hello: Hello, target: str, passed_s: float) -> None:
    """Raises EdgeseaError where a board counts more time than passed."""
    counted_s = cycles / hello.clock_hz
    if counted_s > passed_s * CLOCKS + CLOCKS_S:
        raise EdgeseaError(
            f"The board at {target} counts {counted_s:.6g} s in {passed_s:.3g} s: its clock is not the "
            f"{hello.clock_hz} Hz that it states, or its counter is wrong; mend its edgesea_board files."
        )


def _latency(cycles: list[int], hello: Hello) -> dict:
    times = np.array(cycles) / hello.clock_hz * 1000
    figures = {
        "median": np.median(times),
        "p95": np.percentile(times, 95),
        "p99": np.percentile(times, 99),
        "min": times.min(),
        "max": times.max(),
    }
    return {
        "latency_ms": {
            "threads": 1,
            "warm_up_runs": EXAMPLES + WARM_UP_RUNS,
            "n": len(times),
            **{name: round(float(value), 4) for name, value in figures.items()},
        }
    }


def _emulated(hello: Hello, exact: bool) -> dict:
    """What a line to an emulated board can tell; `--device qemu:CORE` counts the rest."""
    return {
        "emulated": {
            "instructions": None,
            "flash_bytes": None,
            "ram_bytes": None,
            "arena_bytes": hello.arena_bytes,
            "stack_bytes": None,
            "bit_exact": exact,
        }
    }


# ---------------------------------------------------------------- the port


def _open(name: str):
    """An open port of pyserial; see `Link.open`."""
    try:
        import serial
    except ImportError:
        raise EdgeseaError(
            "A board on a serial port needs pyserial, which is not installed; "
            "run: python3 -m pip install pyserial."
        ) from None
    port = _quiet(serial)()
    port.port = name
    port.baudrate = BAUD
    port.timeout = 0.02
    port.write_timeout = 1.0
    port.exclusive = True
    # A board may take these lines as its reset and boot pins; one that is the port itself waits for DTR.
    port.dtr = usb.is_native(name)
    port.rts = False
    try:
        port.open()
    except (OSError, ValueError, termios.error) as error:
        raise _refused(name, error) from error
    return port


def _quiet(serial):
    """pyserial's Serial, clearing DTR and RTS in one call: Linux raises both when a port is opened, and
    cleared one after the other they pass through the state that resets an ESP32.
    """

    class Quiet(serial.Serial):
        def write(self, content):
            # Where nobody takes what was sent, nobody answers either: that is told in its place.
            with contextlib.suppress(serial.SerialTimeoutException):
                return super().write(content)
            return 0

        def _update_dtr_state(self):
            if self._dtr_state or self._rts_state:
                super()._update_dtr_state()
            else:
                both = struct.pack("I", termios.TIOCM_DTR | termios.TIOCM_RTS)
                fcntl.ioctl(self.fd, termios.TIOCMBIC, both)

    return Quiet


def _refused(name: str, error: Exception) -> EdgeseaError:
    number = getattr(error, "errno", None)
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return UsageError(
            f"There is no serial port {name}: plug the board in and look which port it has (`ls /dev/tty*`)."
        )
    if number in (errno.EACCES, errno.EPERM):
        return EdgeseaError(
            f"No permission to open {name}: join the group that owns it "
            "(`sudo usermod -a -G dialout $USER`) and log in again."
        )
    if number in (errno.EAGAIN, errno.EBUSY):
        return EdgeseaError(
            f"{name} is in use by another program: close it (a serial monitor?) and try again."
        )
    return UsageError(
        f"{name} is no serial port that can be opened ({error}): name one such as /dev/ttyACM0."
    )
