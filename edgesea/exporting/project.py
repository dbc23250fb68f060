"""Projects: what a user of a framework opens and builds, made of a bundle.

    write_project(bundle, "zephyr", "out", board="nrf52840")

A project holds the C model, made again from the bundle's .tflite, or, with runtime "tflm", its array and what
TensorFlow Lite Micro needs around it; the frontend and the sensor program where the frontend is known; golden
vectors, which it runs when it starts; the serial protocol; and the framework's own files, among them main,
board and microphone. Their templates lie in firmware_export/projects, one folder a framework.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgesea import __version__
from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting import carray, tflm
from edgesea.exporting.bundle import Bundle
from edgesea.files import write_bytes, write_json
from edgesea.running.emulator import ALONE
from firmware_export import boards, ctext, emit, projects
from firmware_export.projects import Framework

PROGRAM = projects.FOLDER / "program"
EMULATED = Path(emit.__file__).resolve().parent / "emulated"

RUNTIMES = ("c", "tflm")

# What tells an older project, which may be replaced, from a folder that is someone's own.
MARKER = "edgesea-project.json"

NO_LIBRARY = "This core has no library that reads a microphone"


@dataclass(frozen=True)
class Listening:
    """The microphone of one project.

    microphone : of the framework
    rate : samples a second that it gives
    decimate : how many of them make one of the model's
    wiring : for people
    """

    microphone: projects.Microphone
    rate: int
    decimate: int
    wiring: str


def check(kind: str, runtime: str = "c", board: str | None = None) -> boards.Board:
    """The board of a project; UsageError where there is no such project, runtime or board."""
    if kind not in projects.names():
        raise UsageError(f"There is no project for {kind!r}: choose one of {', '.join(projects.names())}.")
    if runtime not in RUNTIMES:
        raise UsageError(f"There is no runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}.")
    framework, known = projects.framework(kind), known_boards(kind)
    name = framework.board if board is None else board
    if name not in known:
        raise UsageError(
            f"{framework.title} does not know the board {name!r}: choose one of {', '.join(known)}."
        )
    return boards.board(name)


def known_boards(kind: str) -> list[str]:
    """The boards that a project of this kind can be for, sorted."""
    framework = projects.framework(kind)
    return [each.name for each in boards.readable()[0] if known(framework, each)]


def known(framework: Framework, board: boards.Board) -> boards.Known | None:
    """What a framework has to know of a board; None where it does not know it."""
    if framework.emulated:
        return boards.Known(board.name) if board.emulator else None
    return board.known.get(framework.boards_of or framework.name)


def write_project(
    bundle: Bundle,
    kind: str,
    out: Path | str,
    *,
    runtime: str = "c",
    board: str | None = None,
    command: str = "",
) -> tuple[Path, ...]:
    """Writes a project made of a bundle.

    Parameters
    ----------
    bundle : with an int8 model
    kind : one of `projects.names()`
    out : a new or empty folder, or an older project, whose files are replaced; of Arduino, whose sketches
        lie in a folder of their own name, OUT/IDENTIFIER where OUT is not called so already
    runtime : "c", the compiled model, or "tflm", TensorFlow Lite Micro
    board : a name of `known_boards(kind)`; the framework's own choice by default
    command : that made the project, for its files' headers

    Returns
    -------
    tuple of Path
        Everything written.

    Raises
    ------
    UsageError : no such project, runtime or board, or `out` is something else
    EdgeseaError : the bundle has no int8 model, TFLM lacks an operator of it, or `out` can not be written
    """
    return _Project(bundle, kind, Path(out), runtime, check(kind, runtime, board), command).write()


def in_bundle(
    kind: str, *, runtime: str = "c", board: str | None = None, command: str = ""
) -> Callable[[Bundle], dict]:
    """A `project` for `write_bundle`: it writes BUNDLE/project-KIND/IDENTIFIER, see `write_project`."""
    target = check(kind, runtime, board)

    def write(bundle: Bundle) -> dict:
        folder = f"project-{kind}/{bundle.identifier}"
        project = _Project(bundle, kind, bundle.path / folder, runtime, target, command)
        project.write()
        return {
            "kind": kind,
            "board": target.name,
            "runtime": runtime,
            "folder": folder,
            "sensor": project.listening is not None,
            "tflm": project.tflm
            and {**project.tflm["arena"].to_dict(), "resolver": list(project.tflm["methods"])},
        }

    return write


class _Project:
    """One project while it is made: what its templates' blanks are, and its files."""

    def __init__(self, bundle: Bundle, kind: str, out: Path, runtime: str, board: boards.Board, command: str):
        self.bundle, self.kind, self.out, self.board = bundle, kind, out, board
        self.framework = projects.framework(kind)
        self.known = known(self.framework, board)
        self.command = ctext.comment(command or bundle.manifest.get("command", ""))
        self.name = bundle.identifier
        if bundle.int8 is None:
            raise EdgeseaError(
                f"The bundle {bundle.path} holds no int8 model, which a project is made of: export it again "
                "with --int8."
            )
        if self.framework.own_folder and out.name != self.name:
            self.out = out / self.name
        self.tflm = self._tflm() if runtime == "tflm" else None
        self.listening, self.deaf = self._listening()
        # Known when the firmware is there.
        self.vectors = 0
        self.model: list[str] = []
        self.program: list[str] = []

    def write(self) -> tuple[Path, ...]:
        contents = self._firmware()
        texts = {self._place(place): self._render(template) for template, place in self._templates().items()}
        texts["README.md"] = self._render("README.md")
        contents |= {file: text.encode("utf-8") for file, text in texts.items()}
        contents["LICENSE"] = projects.LICENSE.read_bytes()
        contents = dict(sorted(contents.items()))
        try:
            _clear(self.out)
            marker = {"edgesea": __version__, "kind": self.kind, "board": self.board.name}
            write_json(self.out / MARKER, {**marker, "files": list(contents)})
            for file, content in contents.items():
                write_bytes(_unlinked(self.out, file), content)
        except OSError as error:
            raise EdgeseaError(
                f"The folder {self.out} cannot be written ({error.strerror}): choose another folder."
            ) from error
        return tuple(self.out / file for file in (MARKER, *contents))

    def _place(self, place: str) -> str:
        return place.format(name=self.name)

    def _templates(self) -> dict[str, str]:
        """Template -> place of the framework's own files."""
        files = dict(self.framework.files)
        if self.tflm is not None:
            files |= self.framework.tflm.files
        if self.listening is not None:
            files |= self.listening.microphone.files
        return files

    def _firmware(self) -> dict[str, bytes]:
        """The C that is the same in all projects, by its place."""
        from edgesea.exporting import firmware

        with tempfile.TemporaryDirectory(prefix="edgesea-project-") as folder:
            root = Path(folder)
            made = firmware.write_firmware(
                self.bundle.path, root, model=self.tflm is None, command=self.command
            )
            files = {path.relative_to(root).as_posix(): path.read_bytes() for path in made}
        del files[firmware.MAIN]
        if self.listening is None:
            sensor = firmware.remake(self.bundle, model=False).sensor - {*firmware.SHARED}
            files = {file: content for file, content in files.items() if file not in sensor}
        kept_apart = {*firmware.FILES, "firmware_model.h", f"{self.name}_golden.h", f"{self.name}_golden.c"}
        # Builders differ in which folders of a folder they look for headers in: these have none.
        program = {
            PurePosixPath(file).name: content
            for file, content in files.items()
            if file in kept_apart or file.startswith("sensor/")
        }
        model = {
            file: content
            for file, content in files.items()
            if file not in kept_apart and not file.startswith("sensor/")
        }
        variant = "quiet" if self.listening is None else "sensor"
        for path in (PROGRAM / "program.h", *(PROGRAM / variant).glob("*.[ch]")):
            program[path.name] = path.read_bytes()
        if self.listening is not None:
            program["microphone.h"] = self._render("program/sensor/microphone.h").encode()
            if self.listening.decimate == 1:
                del program["half_band.c"], program["half_band.h"]
        if self.tflm is not None:
            model = self._with_tflm(model, program)
        self.vectors = int(re.search(rb"_GOLDEN_COUNT (\d+)", program[f"{self.name}_golden.h"])[1])
        placed = {f"{self._place(self.framework.model)}/{file}": each for file, each in model.items()}
        self.model = _sources(placed)
        around = {f"{self._place(self.framework.program)}/{file}": each for file, each in program.items()}
        self.program = _sources(around)
        return placed | around | self._emulated()

    def _with_tflm(self, model: dict[str, bytes], program: dict[str, bytes]) -> dict[str, bytes]:
        """The model's files with TensorFlow Lite Micro in the place of the C model."""
        kept = dict(model)
        kept[f"{self.name}.h"] = self._render("tflm/model.h").encode()
        kept[f"{self.name}_tflm.cpp"] = self._render("tflm/model.cpp").encode()
        array = carray.render(
            self.bundle.int8.read_bytes(),
            name=self.bundle.name,
            prefix=self.name,
            frontend=self.bundle.frontend,
            student="teacher" in self.bundle.manifest["provenance"],
            command=self.command,
        )
        kept |= {file: text.encode("ascii") for file, text in array.items()}
        # Headers of the kernels that other files include too.
        while missing := {
            file
            for file in _included(kept | program) - kept.keys() - program.keys()
            if (emit.RUNTIME / file).is_file()
        }:
            kept |= {file: (emit.RUNTIME / file).read_bytes() for file in missing}
        return kept

    def _emulated(self) -> dict[str, bytes]:
        """Start-up code and serial line of an emulated board, by their place."""
        if self.framework.emulated is None:
            return {}
        emulator, wanted = self.board.emulator, self.framework.emulated
        names = [each.format(startup=emulator.startup, uart=emulator.uart) for each in wanted.files]
        return {f"{wanted.folder}/{name}": (EMULATED / name).read_bytes() for name in names}

    def _render(self, template: str) -> str:
        return ctext.environment(projects.FOLDERS).get_template(f"{template}.jinja").render(self._blanks())

    def _blanks(self) -> dict:
        board = self.known.name
        own = [self._place(place) for place in self._templates().values()]
        blanks = {
            "identifier": self.name,
            "name": self.name,
            "NAME": self.name.upper(),
            "output_names": [name for name, _ in self._outputs()],
            "title": _plain(self.bundle.name),
            "version": __version__,
            "origin": ctext.origin(self.command),
            "framework": self.framework.title,
            "board": board,
            "board_title": self.board.title,
            "chip": self.board,
            "pins": self.board.pins,
            "platform": self.known.platform,
            "options": self._options(),
            "packages": list(self.framework.tflm.packages) if self.tflm else [],
            "model_sources": self.model,
            "program_sources": self.program,
            "own_sources": _sources([*own, *self._emulated()]),
            "sound": self.listening is not None,
            "on_tflm": self.tflm is not None,
            "qemu_alone": " ".join(ALONE),
            "sha256": self.bundle.manifest["int8"]["sha256"],
        }
        blanks |= self._readme(board)
        if self.listening is not None:
            blanks |= {
                "sample_rate": self.bundle.frontend.sample_rate,
                "microphone_rate": self.listening.rate,
                "decimate": self.listening.decimate,
                "wiring": " ".join(self.listening.wiring.split()),
            }
        return blanks | (self.tflm or {})

    def _options(self) -> list[str]:
        """Lines of the framework's configuration: its own, the board's, the runtime's, the microphone's."""
        return [
            *self.framework.options,
            *self.known.options,
            *(self.framework.tflm.options if self.tflm else ()),
            *(self.listening.microphone.options if self.listening else ()),
        ]

    def _readme(self, board: str) -> dict:
        words = {"board": board, "name": self.name, "NAME": self.name.upper()}
        needs = self.framework.needs.format(**words)
        engine = "the C model, compiled ahead of time"
        if self.tflm is not None:
            arena = self.tflm["arena"]
            engine = (
                f"TensorFlow Lite Micro, {len(self.tflm['methods'])} operators, "
                f"an arena of {arena.recommended:,} bytes ({arena.bytes + arena.scratch:,} {arena.how})"
            )
            needs += "\n" + self.framework.tflm.needs.format(**words)
        if self.known.note:
            needs += "\n" + self.known.note
        if self.listening is not None:
            what = "event" if self.bundle.decisions else "decision"
            prints = f"then a line of JSON for every {what}, as sensor.h describes it.\n"
            microphone = self.listening.wiring[0].upper() + self.listening.wiring[1:] + "."
        else:
            prints = "No sensor program runs: see below.\n"
            microphone = self.deaf
        return {
            "engine": engine,
            "build": [line.format(**words) for line in self.framework.build],
            "needs": needs,
            "vectors": self.vectors,
            "tolerance": "to the bit" if self.tflm is None else "each byte at most one step off",
            "prints": prints,
            "microphone": microphone,
        }

    def _listening(self) -> tuple[Listening | None, str]:
        """The project's microphone; None, and a sentence why, where it has none."""
        frontend, left_out = self.bundle.frontend, "the sensor program is left out"
        still = "Golden vectors and the serial line work."
        if frontend is None:
            return None, (
                "The bundle has no frontend, so there is none: the model's inputs come over the serial line."
            )
        if self.board.no_microphone and not self.known.microphone:
            return None, f"{self.board.no_microphone}: {left_out}.\n{still}"
        name = self.known.microphone or self.framework.microphone
        if not name:
            return None, f"{NO_LIBRARY}: {left_out}.\n{still}"
        microphone = self.framework.microphones[name]
        decimate = 2 if frontend.sample_rate < microphone.least_rate else 1
        rate = decimate * frontend.sample_rate
        rates = self.known.microphone_rates
        if rate < microphone.least_rate or (rates and rate not in rates):
            takes = " or ".join(f"{each:,}" for each in rates) or f"{microphone.least_rate:,} or more"
            return None, (
                f"The microphone gives {takes} samples a second, and this model wants {rate:,}: "
                f"{left_out}.\n{still}"
            )
        wiring = microphone.wiring.format(rate=rate, **self.board.pins)
        return Listening(microphone, rate, decimate, wiring), ""

    def _outputs(self) -> list[tuple[str, dict]]:
        """The model's outputs, each with its name in C."""
        model = self.bundle.manifest["int8"]
        outputs = [model["output"], model["scores"]] if model.get("scores") else [model["output"]]
        return [("output" if len(outputs) == 1 else f"output{k}", end) for k, end in enumerate(outputs)]

    def _tflm(self) -> dict:
        model = self.bundle.manifest["int8"]
        ends = [
            {
                "role": role,
                "macro": f"{self.name.upper()}_{role.upper()}",
                "shape": "x".join(map(str, end["shape"])),
                "bytes": end["bytes"],
                "scale": ctext.number(end["scale"]),
                "zero_point": end["zero_point"],
            }
            for role, end in [("input", model["input"]), *self._outputs()]
        ]
        methods = tflm.resolver_methods(model["operators"])
        return {
            "methods": methods,
            "arena": tflm.arena_of(self.bundle.int8.read_bytes(), self.board.core),
            "ends": ends,
            "outputs": ends[1:],
            "headers": self.framework.tflm.headers,
        }


def _sources(files) -> list[str]:
    return sorted(file for file in files if file.endswith((".c", ".cpp")))


def _included(files: dict[str, bytes]) -> set[str]:
    found = set()
    for content in files.values():
        found |= set(re.findall(r'#include "([\w.]+)"', content.decode("utf-8")))
    return found


def _plain(text: str) -> str:
    """One line of text in which Markdown finds none of its marks."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", ctext.printable(text))


def _unlinked(out: Path, file: str) -> Path:
    """Where a project's file goes; EdgeseaError where a link would lead elsewhere."""
    from edgesea.formats import paths

    try:
        return paths.inside(out, file)
    except ValueError as error:
        raise EdgeseaError(f"The path {error}, which is not followed: choose another folder.") from None


def _clear(out: Path) -> None:
    """Removes an older project's files; UsageError where the folder holds something else and no project."""
    from edgesea.formats import door
    from edgesea.formats.project import LARGEST, Marker

    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"The folder {out} is a file: name a folder that is new or an older project.")
    marker = out / MARKER
    if not marker.is_file() or marker.is_symlink():
        if any(out.iterdir()):
            raise UsageError(
                f"The folder {out} is not empty and not a project: name a folder that is new or an older "
                "project."
            )
        return
    remedy = "name a folder that is new or an older project"
    held = door.read_json(marker, Marker, largest=LARGEST, remedy=remedy, error=UsageError)
    paths = [PurePosixPath(file) for file in held.files]
    inside = out.resolve()
    for path in paths:
        file = out.joinpath(*path.parts)
        # What a marker names outside its folder, or behind a link, is none of ours.
        if path.is_absolute() or ".." in path.parts or file.parent.resolve() != (inside / path).parent:
            continue
        if file.is_file():
            file.unlink()
