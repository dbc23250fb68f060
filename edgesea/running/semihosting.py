"""Semihosting, answered here: all that a program on an emulated core finds of its host.

QEMU's own semihosting opens any file and runs any command with the user's rights. With `target=gdb` it does
none of it: it stops the core and asks the debugger at its gdb port, which is this module. A program finds the
files that it was given, can write those that were named beforehand, and can print; all of them are bytes in
memory, and no name of the program's ever reaches the file system.

    host = Host(given={"inputs.bin": b"..."}, wanted={"outputs.bin": 4096})
    serve(debugger, host, end)      # until the program ends; then host.files(), host.printed

Source: "GDB Remote Serial Protocol" and "File-I/O Remote Protocol Extension", Debugging with GDB, appendix E.
"""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from edgesea.errors import EdgeseaError

# What a program may print, bytes, and how long a name may be that it asks for.
MOST_PRINTED = 1 << 20
LONGEST_NAME = 255
MOST_HANDLES = 64

# Bytes of the core's memory in one packet: QEMU 7.2 takes packets of 4096 characters, two to a byte.
PACKET_BYTES = 1024
LONGEST_PACKET = 1 << 16

# The numbers of the protocol, which are not everywhere those of the host.
ENOENT, EBADF, EFAULT, EMFILE = 2, 9, 14, 24
READ, WRITE = 0x000, 0x601  # O_RDONLY; O_WRONLY | O_CREAT | O_TRUNC
STANDARD_OUTPUTS = (1, 2)
FIRST_HANDLE = 3


class Stopped(Exception):
    """The program has to be stopped; the sentence's end says why: "wrote more than 10 bytes to x"."""


class TookTooLong(Exception):
    """The time is over."""


class Debugger:
    """The gdb port of a QEMU that waits for its debugger."""

    def __init__(self, connection: socket.socket):
        self._connection = connection
        self._received = bytearray()

    def send(self, text: str) -> None:
        """Sends one packet."""
        body = text.encode("ascii")
        self._connection.sendall(b"$%s#%02x" % (body, sum(body) & 0xFF))

    def receive(self, end: float) -> str | None:
        """The next packet, None where QEMU has ended; TookTooLong at the time `end`."""
        while True:
            start = self._received.find(b"$")
            stop = self._received.find(b"#", start + 1)
            if start >= 0 and 0 <= stop < len(self._received) - 2:
                body = bytes(self._received[start + 1 : stop])
                del self._received[: stop + 3]
                self._connection.sendall(b"+")
                return body.decode("ascii", "replace")
            left = end - time.monotonic()
            if left <= 0:
                raise TookTooLong
            self._connection.settimeout(left)
            try:
                part = self._connection.recv(1 << 16)
            except TimeoutError:
                raise TookTooLong from None
            if not part or len(self._received) > LONGEST_PACKET:
                return None
            self._received += part

    def ask(self, text: str, end: float) -> str:
        """Sends one packet and returns the answer; ConnectionResetError where QEMU has ended."""
        self.send(text)
        answer = self.receive(end)
        if answer is None:
            raise ConnectionResetError
        return answer

    def read(self, address: int, size: int, end: float) -> bytes | None:
        """`size` bytes of the core's memory; None where there is none."""
        content = bytearray()
        while len(content) < size:
            part = min(PACKET_BYTES, size - len(content))
            try:
                found = bytes.fromhex(self.ask(f"m{address + len(content):x},{part:x}", end))
            except ValueError:
                return None
            if len(found) != part:
                return None
            content += found
        return bytes(content)

    def write(self, address: int, content: bytes, end: float) -> bool:
        """Writes to the core's memory; False where it takes none."""
        for start in range(0, len(content), PACKET_BYTES):
            part = content[start : start + PACKET_BYTES]
            if self.ask(f"M{address + start:x},{len(part):x}:{part.hex()}", end) != "OK":
                return False
        return True


class Host:
    """The files of one run, and what was printed.

    Parameters
    ----------
    given : name -> content of the files that the program may read
    wanted : name -> size in bytes, at most, of the files that it may write
    most_printed : bytes that it may print
    """

    def __init__(
        self,
        given: Mapping[str, bytes] | None = None,
        wanted: Mapping[str, int] | None = None,
        *,
        most_printed: int = MOST_PRINTED,
    ):
        self._given = {name.encode(): bytes(content) for name, content in (given or {}).items()}
        self._wanted = {name.encode(): size for name, size in (wanted or {}).items()}
        self._written: dict[bytes, bytearray] = {}
        self._readers: dict[int, memoryview] = {}
        self._writers: dict[int, bytes] = {}
        self._most_printed = most_printed
        self._printed = bytearray()

    @property
    def printed(self) -> str:
        """What the program has printed."""
        return self._printed.decode("utf-8", "replace")

    def files(self) -> dict[str, bytes]:
        """What the program has written, by name; a file that it never opened is not there."""
        return {name.decode(): bytes(content) for name, content in self._written.items()}

    def open(self, name: bytes, flags: int) -> int:
        """A handle, or minus an error's number."""
        if len(self._readers) + len(self._writers) >= MOST_HANDLES:
            return -EMFILE
        taken = self._readers.keys() | self._writers.keys()
        handle = next(n for n in range(FIRST_HANDLE, FIRST_HANDLE + MOST_HANDLES) if n not in taken)
        if flags == READ and name in self._given:
            self._readers[handle] = memoryview(self._given[name])
        elif flags == WRITE and name in self._wanted:
            self._writers[handle] = name
            self._written[name] = bytearray()
        else:
            return -ENOENT
        return handle

    def close(self, handle: int) -> int:
        """0, or a negative errno where the handle is not open."""
        known = self._readers.pop(handle, None) is not None or self._writers.pop(handle, None) is not None
        return 0 if known else -EBADF

    def peek(self, handle: int, size: int) -> bytes | None:
        """Up to `size` of the next bytes of a file; None where the handle reads none."""
        return None if handle not in self._readers else bytes(self._readers[handle][:size])

    def skip(self, handle: int, size: int) -> None:
        """Moves a reader's place on."""
        self._readers[handle] = self._readers[handle][size:]

    def room(self, handle: int, size: int) -> bool:
        """Whether a handle can be written to; Stopped where `size` more bytes would be too many."""
        if handle in STANDARD_OUTPUTS:
            if len(self._printed) + size > self._most_printed:
                raise Stopped(f"printed more than {self._most_printed:,} bytes")
            return True
        if handle not in self._writers:
            return False
        name = self._writers[handle]
        if len(self._written[name]) + size > self._wanted[name]:
            raise Stopped(f"wrote more than {self._wanted[name]:,} bytes to {name.decode()}")
        return True

    def write(self, handle: int, content: bytes) -> None:
        """Takes what a program writes; `room` was asked before."""
        target = self._printed if handle in STANDARD_OUTPUTS else self._written[self._writers[handle]]
        target += content


@dataclass(frozen=True)
class Counter:
    """A Cortex-M's counter, SysTick, that starts anew whenever the program has read from a file.

    When a core stops for its debugger QEMU's clock runs on for some microseconds of the host's time, so where
    in a tick a measurement begins would be chance, and two of them a tick apart. A debugger reaches no
    register of SysTick in QEMU: the core clears it itself, in a few instructions on its way back from the
    call.

    scratch : an address in code memory where nothing lies, for these instructions
    """

    scratch: int

    # push {r0-r2}; ldr r1, =SYST_CVR; str r1, [r1]; ldr r0, =BACK; str r0, [sp, #8]; pop {r0, r1, pc}; 2 nops
    CODE: ClassVar[bytes] = struct.pack(
        "<8HI", 0xB407, 0x4903, 0x6009, 0x4803, 0x9002, 0xBD03, 0xBF00, 0xBF00, 0xE000E018
    )

    def restart(self, debugger: Debugger, end: float) -> None:
        """For a core that is stopped on its way back from a call."""
        # r0 to r15; the last is where the core goes on.
        registers = bytes.fromhex(debugger.ask("g", end))[:64]
        back = struct.unpack("<I", registers[60:])[0] | 1
        done = debugger.write(self.scratch, self.CODE + struct.pack("<I", back), end)
        registers = registers[:60] + struct.pack("<I", self.scratch)
        if not done or debugger.ask(f"G{registers.hex()}", end) != "OK":
            raise EdgeseaError("QEMU does not let its debugger in: install QEMU 7.2 or newer.")


def serve(debugger: Debugger, host: Host, end: float, counter: Counter | None = None) -> None:
    """Lets the core run and answers it until QEMU has ended.

    Parameters
    ----------
    counter : of the core, where what follows each read is to be measured

    Raises
    ------
    Stopped : the program did what it may not, and still runs
    TookTooLong : so does it at the time `end`, of `time.monotonic`
    """
    try:
        debugger.ask("?", end)
        debugger.send("c")
        while (packet := debugger.receive(end)) is not None:
            if packet[:1] == "F":
                answer = _answer(debugger, host, packet, end)
                if counter is not None and packet.startswith("Fread,"):
                    counter.restart(debugger, end)
                debugger.send(answer)
            elif packet[:1] in ("W", "X"):
                # QEMU says so on its way out.
                continue
            elif packet[:1] != "O":
                raise Stopped("stopped for a debugger")
    except (ConnectionResetError, BrokenPipeError):
        return


def _answer(debugger: Debugger, host: Host, packet: str, end: float) -> str:
    """What to say to one call: F with its result, and the error's number where that is -1."""
    name, *words = packet[1:].split(",")
    if name not in ("open", "close", "read", "write"):
        raise Stopped(f"asked its host for {re.sub('[^ -~]', '?', name[:20])!r}, which no program gets")
    call = _CALLS[name]
    try:
        numbers = [int(number, 16) for word in words for number in word.split("/")]
        result = call(debugger, host, *numbers, end)
    except (ValueError, TypeError):
        raise EdgeseaError(
            f"QEMU asks {packet[:60]!r}, which means nothing to this edgesea: install QEMU 7.2 or newer."
        ) from None
    return f"F{result:x}" if result >= 0 else f"F-1,{-result:x}"


def _open(debugger: Debugger, host: Host, address: int, size: int, flags: int, mode: int, end: float) -> int:
    if size - 1 > LONGEST_NAME:
        return -ENOENT
    name = debugger.read(address, size, end)
    return -EFAULT if name is None else host.open(name[:-1], flags)


def _close(debugger: Debugger, host: Host, handle: int, end: float) -> int:
    return host.close(handle)


def _read(debugger: Debugger, host: Host, handle: int, address: int, size: int, end: float) -> int:
    content = host.peek(handle, size)
    if content is None:
        return -EBADF
    if not debugger.write(address, content, end):
        return -EFAULT
    host.skip(handle, len(content))
    return len(content)


def _write(debugger: Debugger, host: Host, handle: int, address: int, size: int, end: float) -> int:
    if not host.room(handle, size):
        return -EBADF
    content = debugger.read(address, size, end)
    if content is None:
        return -EFAULT
    host.write(handle, content)
    return size


_CALLS: dict[str, Callable[..., int]] = {"open": _open, "close": _close, "read": _read, "write": _write}
