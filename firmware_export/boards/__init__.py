"""Boards by name: flash, RAM, core, clock, toolchain, and how an emulated one is run.

One TOML a board lies beside this file, named after the board; putting a file there is all that adding a board
takes. `board("qemu-cortex-m4")` reads and checks one, `names()` lists them.

A board's file holds:

    title     str    one line for people
    core      str    "cortex-m4", ...; what -mcpu calls it
    clock_hz  int    of the core, in hertz; or clock = "none": an emulated core has no clock to trust
    flash_bytes, ram_bytes  int > 0
    largest_ram_bytes  int > 0, of the largest piece without a gap; left out where that is all of it
    standing  str    "run here": the project's tests run models on it; "builds": they compile a model for its
                     core with its flags, and no one has run that on the board; "untested": neither
    [toolchain]      compiler prefix, flags of the core, link flags, Debian packages
    native_usb  [int]  USB vendors of the serial port that the chip itself is: its cores send nothing before
                     the host has raised DTR, which a board behind a bridge may take for its boot pin;
                     may be left out
    no_microphone  str  why the board's own microphone cannot be read; left out where it can, or there is none
    [pins]           GPIO numbers that a microphone is wired to: clock, data, and for I2S select
    [flasher]        program, kind of project, arguments, how to install it, USB vendors; only real boards
    [frameworks]     a text or a table for each framework that knows the board, see `Known`; a framework is a
                     folder of firmware_export/projects; only real boards
    [emulator]       program, arguments, Debian package, start-up file, tick, serial line; only emulated
    [[memory]]       the linker's regions: name, origin, length in bytes; only emulated boards
"""

import difflib
from dataclasses import dataclass, field
from pathlib import Path

from firmware_export import projects
from firmware_export.errors import UserError
from firmware_export.tables import Reader, load

FOLDER = Path(__file__).resolve().parent
STANDINGS = ("run here", "builds", "untested")


class BoardError(UserError):
    """A board's file says something that cannot be."""


class UnknownBoard(BoardError):
    """There is no board of that name."""

    exit_code = 2


@dataclass(frozen=True)
class Toolchain:
    """A cross compiler: `prefix` + "gcc" is its program; flags are argument lists, never shell text."""

    prefix: str
    flags: tuple[str, ...]
    link_flags: tuple[str, ...]
    package: str


@dataclass(frozen=True)
class Emulator:
    """How QEMU runs the board. `instructions_per_tick` is how many instructions one tick of its counter lasts
    under `-icount shift=0`, where every instruction takes a nanosecond; `uart` is the driver of its first
    serial line, a file of `emulated/`, and `uart_base` its address: with TrustZone, as the secure state sees
    it.
    """

    program: str
    arguments: tuple[str, ...]
    package: str
    startup: str
    instructions_per_tick: float
    uart: str
    uart_base: int


@dataclass(frozen=True)
class Flasher:
    """How an image gets onto the board: by `program`, or by copying to the drive that the board is ("uf2").

    project      the kind of project that is built unless the user names another
    arguments    a list, never shell text. In it {elf} or {bin} stands for the image, {project} and {build}
                 for the folders of the project and of what was built; "{port}" alone becomes "--port PORT".
                 With "uf2" it is one argument, the drive's Board-ID.
    install      the command that installs the program; with "uf2", what makes the board a drive
    usb_vendors  of the serial port that the board, or the probe on it, is on the host
    """

    program: str
    project: str
    arguments: tuple[str, ...]
    install: str
    usb_vendors: tuple[int, ...]


@dataclass(frozen=True)
class Known:
    """A framework's own view of a board.

    name               what it calls the board: Arduino the FQBN, ESP-IDF the target, Zephyr the board target
    platform           of PlatformIO, with its version
    microphone         one of the framework's own, by its name in framework.toml; "": its ordinary one, if any
    microphone_rates   samples a second that its library takes; none said: any
    options            lines for its configuration
    note               a sentence for the project's README
    """

    name: str
    platform: str = ""
    microphone: str = ""
    microphone_rates: tuple[int, ...] = ()
    options: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Memory:
    """One region of the linker's memory map."""

    name: str
    origin: int
    length: int


@dataclass(frozen=True)
class Board:
    """One board. `clock_hz` is None where there is no clock to trust (an emulator); `emulator` is None and
    `memory` empty on real boards, `flasher` None on emulated ones. `known` holds what
    the frameworks that know the board have to know of it.
    """

    name: str
    title: str
    core: str
    standing: str
    clock_hz: int | None
    flash_bytes: int
    ram_bytes: int
    toolchain: Toolchain
    emulator: Emulator | None
    memory: tuple[Memory, ...]
    largest_ram_bytes: int
    flasher: Flasher | None
    known: dict[str, Known] = field(default_factory=dict, hash=False)
    native_usb: tuple[int, ...] = ()
    no_microphone: str = ""
    pins: dict[str, int] = field(default_factory=dict, hash=False)

    @property
    def frameworks(self) -> dict[str, str]:
        """A framework's name -> its name for the board, of those that know it."""
        return {kind: known.name for kind, known in self.known.items()}


def names() -> list[str]:
    """The names of all boards, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def board(name: str) -> Board:
    """Reads and checks the board called `name`; BoardError where there is none or its file is wrong."""
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        meant = f"did you mean {close[0]}? Choose" if close else "choose"
        raise UnknownBoard(f"There is no board called {name!r}: {meant} one of {', '.join(names())}.")
    return read(FOLDER / f"{name}.toml")


def readable() -> tuple[list[Board], list[str]]:
    """Every board whose file is sound, by name, and a sentence for each whose file is not."""
    found, faults = [], []
    for name in names():
        try:
            found.append(board(name))
        except BoardError as error:
            faults.append(str(error))
    return found, faults


def read(path: Path) -> Board:
    """Reads one board's TOML file; BoardError says what in it is wrong."""
    table = load(path, "board", BoardError)
    reader = Reader(path, "Board", BoardError)
    clock = table.pop("clock", None)
    if clock is not None and clock != "none":
        reader.fail("clock", 'the word "none" (a real clock is clock_hz)', clock)
    if clock is None:
        table["clock_hz"] = reader.take(table, "clock_hz", int)
    elif "clock_hz" in table:
        reader.fail("clock_hz", 'no value beside clock = "none"', table["clock_hz"])
    table.setdefault("largest_ram_bytes", table.get("ram_bytes"))
    result = Board(
        name=path.stem,
        title=reader.take(table, "title", str),
        core=reader.take(table, "core", str),
        standing=reader.take(table, "standing", str),
        clock_hz=table.pop("clock_hz", None),
        flash_bytes=reader.take(table, "flash_bytes", int),
        ram_bytes=reader.take(table, "ram_bytes", int),
        toolchain=reader.table(Toolchain, reader.take(table, "toolchain", dict), "toolchain"),
        emulator=(
            reader.table(Emulator, reader.take(table, "emulator", dict), "emulator")
            if "emulator" in table
            else None
        ),
        memory=tuple(
            reader.table(Memory, region, f"memory[{i}]") for i, region in enumerate(table.pop("memory", []))
        ),
        largest_ram_bytes=reader.take(table, "largest_ram_bytes", int),
        flasher=(
            reader.table(Flasher, reader.take(table, "flasher", dict), "flasher")
            if "flasher" in table
            else None
        ),
        known={
            kind: _known(reader, kind, entry)
            for kind, entry in reader.take(table, "frameworks", dict, {}).items()
        },
        native_usb=reader.take(table, "native_usb", tuple[int, ...], []),
        no_microphone=reader.take(table, "no_microphone", str, ""),
        pins=reader.take(table, "pins", dict[str, int], {}),
    )
    if table:
        reader.fail(sorted(table)[0], "no such key", table[sorted(table)[0]])
    if result.standing not in STANDINGS:
        reader.fail("standing", f"one of {', '.join(STANDINGS)}", result.standing)
    for key in ("flash_bytes", "ram_bytes"):
        if getattr(result, key) <= 0:
            reader.fail(key, "a number of bytes above 0", getattr(result, key))
    if not 0 < result.largest_ram_bytes <= result.ram_bytes:
        reader.fail("largest_ram_bytes", "above 0 and no more than ram_bytes", result.largest_ram_bytes)
    return result


def _known(reader: Reader, kind: str, entry) -> Known:
    if kind not in projects.names():
        reader.fail(f"frameworks.{kind}", f"one of {', '.join(projects.names())}", kind)
    if isinstance(entry, str):
        return Known(entry)
    if not isinstance(entry, dict):
        reader.fail(f"frameworks.{kind}", "a text or a table", entry)
    return reader.table(Known, entry, f"frameworks.{kind}")
