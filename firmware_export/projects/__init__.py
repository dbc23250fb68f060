"""Frameworks by name: how each wants a project laid out, and how its tool builds one.

One folder a framework lies beside this file, with a framework.toml and its templates; putting a folder there
is all that adding a framework takes. `framework("zephyr")` reads and checks one, `names()` lists them.

framework.toml holds the fields of `Framework`. Templates are named from here on ("zephyr/prj.conf" is
zephyr/prj.conf.jinja), so a framework may use another's. In places, commands and texts {name} stands for the
model's identifier and {board} for what the framework calls the board; a template's blanks are those that
`edgesea.exporting.project` fills in.
"""

from dataclasses import dataclass, field
from pathlib import Path

from firmware_export.errors import UserError
from firmware_export.tables import Reader, load

FOLDER = Path(__file__).resolve().parent
# Where frameworks are looked for, and their templates.
FOLDERS = [FOLDER]
FILE = "framework.toml"
LICENSE = FOLDER / "LICENSE.txt"


class FrameworkError(UserError):
    """A framework's file says something that cannot be."""


@dataclass(frozen=True)
class Microphone:
    """A microphone that a framework reads.

    wiring       for people; {clock}, {data}, {select} are the board's pins, {rate} samples a second
    files        template -> its place in the project
    options      lines for the configuration
    least_rate   samples a second below which it does not work: the model's are then made of twice as many
    """

    wiring: str
    files: dict[str, str]
    options: tuple[str, ...] = ()
    least_rate: int = 16000


@dataclass(frozen=True)
class Tflm:
    """What a project needs beside its own files to run TensorFlow Lite Micro.

    needs      for people: where it comes from
    headers    what a C++ file includes before its own headers
    options    lines for the configuration
    packages   lines for the list of dependencies
    files      template -> its place in the project
    """

    needs: str
    headers: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Emulated:
    """Files of firmware_export/emulated that a project for an emulated board takes along, and the folder that
    they get; {startup} and {uart} stand for the board's own.
    """

    folder: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Builder:
    """How `edgesea flash` has a project built: {project} and {build} stand for folders; `images` says where
    each kind of image is then.
    """

    program: str
    install: str
    commands: tuple[tuple[str, ...], ...]
    images: dict[str, str]


@dataclass(frozen=True)
class Framework:
    """How a framework wants a project laid out.

    name          that of its folder
    title         for people
    board         the board of a project that names none
    program       folder of the C that runs the model: golden vectors, serial line, sensor
    model         folder of the C of the model and its frontend
    files         template -> its place
    build         the commands for people that build and flash
    needs         for people: versions, and what else there is to know
    boards_of     a framework whose boards these are; "": those that name this one
    own_folder    whether a project's folder has to be called as the model
    microphones   by name; `microphones_of` another framework's as well
    microphone    that of boards that name none; "": they have none
    emulated      only where its boards are the emulated ones
    builder       only where `edgesea flash` can use it
    options       lines for the configuration
    """

    title: str
    board: str
    program: str
    model: str
    files: dict[str, str]
    build: tuple[str, ...]
    needs: str
    tflm: Tflm
    boards_of: str = ""
    own_folder: bool = False
    microphones: dict[str, Microphone] = field(default_factory=dict, hash=False)
    microphones_of: str = ""
    microphone: str = ""
    emulated: Emulated | None = None
    builder: Builder | None = None
    options: tuple[str, ...] = ()
    name: str = field(default="", init=False)


def names() -> list[str]:
    """The names of all frameworks, sorted."""
    return sorted(path.parent.name for folder in FOLDERS for path in folder.glob(f"*/{FILE}"))


def framework(name: str) -> Framework:
    """Reads and checks the framework called `name`, which is one of `names()`; FrameworkError where its file
    is wrong.
    """
    path = next(folder / name / FILE for folder in FOLDERS if (folder / name / FILE).is_file())
    reader = Reader(path, "Framework", FrameworkError)
    found = reader.table(Framework, load(path, "framework", FrameworkError))
    object.__setattr__(found, "name", name)
    for key in ("boards_of", "microphones_of"):
        if getattr(found, key) not in ("", *names()):
            reader.fail(key, f"one of {', '.join(names())}", getattr(found, key))
    if found.microphones_of:
        found.microphones.update(framework(found.microphones_of).microphones)
    if found.microphone not in ("", *found.microphones):
        reader.fail("microphone", f"one of {', '.join(found.microphones)}", found.microphone)
    return found
