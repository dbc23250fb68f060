r"""Flash: builds a bundle's firmware, writes it to a board, and reads the golden test's verdict.

    prepared = plan("street", "stm32h743", port="/dev/ttyACM0")
    print(*prepared.lines(), sep="\\n")     # what --dry-run prints
    result = flash(prepared)               # result.passed, result.text

For a real board the bundle becomes a project of the framework that the board's file names, or of another that
knows the board; that framework's tool builds it, see `Builder` in firmware_export/projects, and the board's
own tool writes the image, see `Flasher` in firmware_export/boards. An emulated board is loaded through gdb
while QEMU runs: see `emulated`.

Every program is called with a list of arguments, by no shell, in a process group of its own that is killed
when the caller is interrupted. Nothing is built before all of the programs are found.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting import Bundle, load_bundle
from edgesea.exporting.project import known, write_project
from edgesea.flash import emulated, ports, uf2, verdict
from edgesea.flash.verdict import Verdict
from edgesea.running.programs import command, find
from firmware_export import boards, projects

# A first build of a framework compiles the whole of it.
BUILD_LIMIT_S = 3600.0
FLASH_LIMIT_S = 600.0
VERDICT_LIMIT_S = 60.0

# Lines of a failed program's output that an error repeats.
LAST_LINES = 8


@dataclass(frozen=True)
class Plan:
    """What is going to happen. `build` and `write` are programs with their arguments, `programs` the names
    of these and how each is installed; for an emulated board `kind` is None and all three are empty. `image`
    is None where the writing program finds it by itself; `port` is None where it is looked for after
    writing.
    """

    bundle: Bundle
    board: boards.Board
    kind: str | None = None
    project: Path | None = None
    build: tuple[tuple[str, ...], ...] = ()
    image: Path | None = None
    write: tuple[tuple[str, ...], ...] = ()
    programs: tuple[tuple[str, str], ...] = ()
    port: str | None = None

    @property
    def sha256(self) -> str:
        """Of the model."""
        return self.bundle.manifest["int8"]["sha256"]

    def lines(self) -> list[str]:
        """The commands for a shell, one a line; what edgesea does itself is a comment."""
        if self.board.emulator is not None:
            return emulated.lines(self.board)
        if self.board.flasher.program == "uf2":
            drive = self.board.flasher.arguments[0]
            last = [f"# copies {self.image} to the drive whose {uf2.INFO} says Board-ID: {drive}"]
        else:
            last = [shlex.join(each) for each in self.write]
        return [
            f"# writes the {self.kind} project of {self.bundle.path} to {self.project}",
            *(shlex.join(each) for each in self.build),
            *last,
            f"# reads the golden test's verdict from {self.port or 'the serial port of the board'}",
        ]


def plan(
    bundle: Path | str,
    board: str,
    *,
    port: str | None = None,
    kind: str | None = None,
    folder: Path | str | None = None,
    look: bool = True,
) -> Plan:
    """Says how a bundle gets onto a board; runs and writes nothing.

    Parameters
    ----------
    bundle : folder with the C model in it
    board : a name of `boards.names()`
    port : of the board's serial line; None: looked for by USB vendor
    kind : a framework that knows the board and says how its tool builds; None: the board's own
    folder : for projects and builds; None: beside the bundle, named after it and the board
    look : False leaves a serial port that is not given as the word PORT

    Raises UsageError where the call cannot work, EdgeseaError where the bundle or the port is the reason.
    """
    target = boards.board(board)
    loaded = load_bundle(bundle)
    if loaded.int8 is None:
        raise EdgeseaError(
            f"The bundle {bundle} holds no int8 model, which firmware is made of: export it again with "
            "--int8."
        )
    if target.emulator is not None:
        for option, value in (("port", port), ("project", kind), ("build", folder)):
            if value is not None:
                raise UsageError(
                    f"The option --{option} has no meaning on the emulated board {board!r}: leave it out."
                )
        return Plan(loaded, target)
    flasher = target.flasher
    kind = kind or flasher.project
    builders = buildable(target)
    if kind not in builders:
        raise UsageError(
            f"There is no {kind} project to build for the board {board!r}: choose one of "
            f"{', '.join(builders)}."
        )
    folder = Path(folder) if folder is not None else _beside(Path(bundle), board)
    if any(character in str(folder) for character in "{}\\\n"):
        raise UsageError(
            f"The build's folder {str(folder)!r} has one of {{ }} \\ in it: name another with --build."
        )
    builder = builders[kind]
    words = {
        "board": known(projects.framework(kind), target).name,
        "project": str(folder / kind / loaded.identifier),
        "build": str(folder / kind / "build"),
        "name": loaded.identifier,
    }
    wanted = next((each for each in ("elf", "bin", "uf2") if _takes(flasher, each)), None)
    if wanted and wanted not in builder.images:
        raise UsageError(
            f"The program {flasher.program} writes a .{wanted} to the board {board!r}, which {kind} does not "
            "make: leave --project out."
        )
    if wanted:
        words[wanted] = _fill(builder.images[wanted], words)
    if "{port}" in flasher.arguments and port is None:
        port = ports.find(target) if look else "PORT"
    write = () if flasher.program == "uf2" else ((flasher.program, *_arguments(flasher, words, port)),)
    install = _fill(builder.install, words)
    programs = {builder.program: install, **({flasher.program: flasher.install} if write else {})}
    return Plan(
        bundle=loaded,
        board=target,
        kind=kind,
        project=Path(words["project"]),
        build=tuple((builder.program, *(_fill(each, words) for each in one)) for one in builder.commands),
        image=Path(words[wanted]) if wanted else None,
        write=write,
        programs=tuple(programs.items()),
        port=port,
    )


def flash(
    prepared: Plan, *, limit_s: float = VERDICT_LIMIT_S, say: Callable[[str], None] = lambda _: None
) -> Verdict:
    """Carries out a plan and returns the golden test's verdict; `say` is told what is going on.

    Raises EdgeseaError where a program is missing or fails, no drive or port is there, or no verdict comes
    within `limit_s` seconds.
    """
    board = prepared.board
    if board.emulator is not None:
        return emulated.flash(prepared.bundle.path, board, prepared.sha256, limit_s=limit_s, say=say)
    find(prepared.programs, verdict.missing())
    drive = uf2.find(board.flasher) if board.flasher.program == "uf2" else None
    write_project(prepared.bundle, prepared.kind, prepared.project, board=board.name)
    for each in prepared.build:
        say(f"building with {each[0]}")
        _run(each, BUILD_LIMIT_S, f"did not build the firmware for {board.name}")
    if prepared.image is not None and not prepared.image.is_file():
        raise EdgeseaError(
            f"The program {prepared.build[-1][0]} made no {prepared.image}: see what it made in "
            f"{prepared.image.parent}."
        )
    if drive is not None:
        say(f"copying {prepared.image} to {drive}")
        uf2.copy(prepared.image, drive)
    for each in prepared.write:
        say(f"writing to {board.name} with {each[0]}")
        _run(each, FLASH_LIMIT_S, f"did not write to {board.name}")
    return verdict.read(lambda: prepared.port or ports.find(board), prepared.sha256, limit_s=limit_s, say=say)


def buildable(board: boards.Board) -> dict[str, projects.Builder]:
    """Framework -> how its tool builds a project, of those that know a board; sorted."""
    frameworks = map(projects.framework, projects.names())
    return {each.name: each.builder for each in frameworks if each.builder and known(each, board)}


def _beside(bundle: Path, board: str) -> Path:
    # "." and ".." have no name to put another beside.
    bundle = bundle if bundle.name else bundle.resolve()
    return bundle.with_name(f"{bundle.name}-{board}")


def _takes(flasher: boards.Flasher, image: str) -> bool:
    return flasher.program == image or any(f"{{{image}}}" in each for each in flasher.arguments)


def _arguments(flasher: boards.Flasher, words: dict[str, str], port: str | None) -> list[str]:
    filled = []
    for each in flasher.arguments:
        if each == "{port}":
            filled += ["--port", port] if port else []
        else:
            filled.append(_fill(each, words))
    return filled


def _fill(text: str, words: dict[str, str]) -> str:
    for word, value in words.items():
        text = text.replace(f"{{{word}}}", value)
    return text


def _run(arguments: tuple[str, ...], limit_s: float, failed: str) -> None:
    code, text = command(arguments, Path.cwd(), limit_s)
    if code == 0:
        return
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
    lines = text.strip().splitlines()[-LAST_LINES:] or ["(it said nothing)"]
    raise EdgeseaError("\n  ".join([f"{arguments[0]} {how} and {failed}; the last that it said:", *lines]))
