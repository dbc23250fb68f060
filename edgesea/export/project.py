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
from edgesea.export import carray, tflm
from edgesea.export.bundle import Bundle
from edgesea.files import write_bytes, write_json
from edgesea.running.emulator import ALONE
from firmware_export import boards, ctext, emit

TEMPLATES = Path(emit.__file__).resolve().parent / "projects"
EMULATED = TEMPLATES.parent / "emulated"

RUNTIMES = ("c", "tflm")

# What tells an older project, which may be replaced, from a folder that is someone's own.
MARKER = "edgesea-project.json"

# PDM microphones do not work at a clock that gives fewer samples a second.
LEAST_MICROPHONE_RATE = 16000

PDM_WIRING = "a PDM microphone: its clock at GPIO 42, its data at GPIO 41, its channel select at ground"
NO_MICROPHONE = "This core has no library that reads a microphone: the sensor program is left out."


@dataclass(frozen=True)
class Microphone:
    """The microphone that a project reads; `template` is its file under the framework's folder."""

    template: str
    wiring: str


@dataclass(frozen=True)
class Framework:
    """How a framework wants a project laid out.

    title : for people
    board : the board of a project that names none
    firmware : folder of the C that is the same in all projects, for the identifier {name}
    own : folder of the microphone
    files : template -> its place in the project, for the identifier {name}
    build : the commands that build and flash, for {board}, {name}
    tflm_needs : where TensorFlow Lite Micro comes from
    tflm_headers : what a C++ file includes before TensorFlow Lite Micro's own headers
    microphones : board -> its microphone; "" is any other board's, and what is not here has none
    """

    title: str
    board: str
    firmware: str
    own: str
    files: dict[str, str]
    build: tuple[str, ...]
    needs: str
    tflm_needs: str
    microphones: dict[str, Microphone]
    tflm_headers: tuple[str, ...] = ()


_ARDUINO_MICROPHONES = {
    "nano33ble": Microphone("arduino/microphone_pdm/microphone.cpp", "the board's own microphone"),
    "esp32-s3": Microphone("arduino/microphone_esp32/microphone.cpp", PDM_WIRING),
}
_ARDUINO_TFLM = "https://github.com/tensorflow/tflite-micro-arduino-examples"

FRAMEWORKS = {
    "arduino": Framework(
        title="Arduino",
        board="nano33ble",
        firmware="src",
        own="src",
        files={"arduino/sketch.ino": "{name}.ino", "arduino/board.cpp": "src/board.cpp"},
        build=("arduino-cli compile --fqbn {board} .", "arduino-cli upload --fqbn {board} --port PORT ."),
        needs="Or open the folder in the Arduino IDE, choose the board, and press Upload.",
        tflm_needs=f"TensorFlow Lite Micro is the library of {_ARDUINO_TFLM}, cloned into Arduino/libraries.",
        microphones=_ARDUINO_MICROPHONES,
        tflm_headers=("<TensorFlowLite.h>",),
    ),
    "platformio": Framework(
        title="PlatformIO",
        board="nano33ble",
        firmware="lib/{name}",
        own="src",
        files={
            "platformio/platformio.ini": "platformio.ini",
            "platformio/library.json": "lib/{name}/library.json",
            "platformio/main.cpp": "src/main.cpp",
            "arduino/board.cpp": "src/board.cpp",
        },
        build=("pio run", "pio run --target upload", "pio device monitor"),
        needs="The project uses PlatformIO's Arduino framework.",
        tflm_needs=f"PlatformIO fetches TensorFlow Lite Micro from {_ARDUINO_TFLM}.",
        microphones=_ARDUINO_MICROPHONES,
        tflm_headers=("<TensorFlowLite.h>",),
    ),
    "esp-idf": Framework(
        title="ESP-IDF",
        board="esp32-s3",
        firmware="main/firmware",
        own="main",
        files={
            "esp-idf/CMakeLists.txt": "CMakeLists.txt",
            "esp-idf/sdkconfig.defaults": "sdkconfig.defaults",
            "esp-idf/main/CMakeLists.txt": "main/CMakeLists.txt",
            "esp-idf/main/idf_component.yml": "main/idf_component.yml",
            "esp-idf/main/main.c": "main/main.c",
            "esp-idf/main/board.c": "main/board.c",
        },
        build=("idf.py set-target {board}", "idf.py build", "idf.py --port PORT flash monitor"),
        needs="ESP-IDF 5.3 or newer.",
        tflm_needs="The component manager fetches TensorFlow Lite Micro, espressif/esp-tflite-micro.",
        microphones={"": Microphone("esp-idf/main/microphone.c", PDM_WIRING)},
    ),
    "zephyr": Framework(
        title="Zephyr",
        board="nrf52840",
        firmware="src/firmware",
        own="src",
        files={
            "zephyr/CMakeLists.txt": "CMakeLists.txt",
            "zephyr/prj.conf": "prj.conf",
            "zephyr/boards/nrf52840dk_nrf52840.overlay": "boards/nrf52840dk_nrf52840.overlay",
            "zephyr/src/main.c": "src/main.c",
            "zephyr/src/board.c": "src/board.c",
        },
        build=("west build --board {board}", "west flash"),
        needs="In a Zephyr workspace, 3.7 or newer; other boards of Zephyr's work as well.",
        tflm_needs="TensorFlow Lite Micro is Zephyr's module tflite-micro:\n"
        "`west config manifest.project-filter -- +tflite-micro` and `west update`.",
        microphones={
            "": Microphone(
                "zephyr/src/microphone.c",
                "what the devicetree's node labelled `dmic_dev` says; a board without that node does not\n"
                "listen. On the nRF52840 DK: a PDM microphone, its clock at P0.30, its data at P0.31, its\n"
                "channel select at ground",
            )
        },
    ),
    "cmake": Framework(
        title="CMake",
        board="qemu-cortex-m4",
        firmware="firmware",
        own="emulated",
        files={
            "cmake/CMakeLists.txt": "CMakeLists.txt",
            "cmake/CMakePresets.json": "CMakePresets.json",
            "cmake/toolchain.cmake": "toolchain.cmake",
            "cmake/memory.ld": "emulated/memory.ld",
            "cmake/main.c": "main.c",
            "cmake/sound.S": "emulated/sound.S",
        },
        build=("cmake --preset {board}", "cmake --build --preset {board}", "ctest --preset {board}"),
        needs="For a board of your own, write the functions of firmware/edgesea_board.h and\n"
        "firmware/microphone.h, and link the target `firmware`.",
        tflm_needs="TensorFlow Lite Micro: `cmake --preset {board} -D TFLM_DIR=FOLDER`, a tree made by its\n"
        "create_tflm_tree.py with libtensorflow-microlite.a built in it.",
        microphones={
            "": Microphone(
                "cmake/microphone.c",
                "none, the board is emulated: it hears build/sound.pcm, which is built into the image,\n"
                "16 bits, little-endian, one channel, {rate} Hz:\n"
                "`sox SOUND.wav -t s16 -r {rate} -c 1 build/sound.pcm`, then build again",
            )
        },
    ),
}

_TFLM_CMAKE = """\

set(TFLM_DIR "" CACHE PATH "TensorFlow Lite Micro: headers and libtensorflow-microlite.a")
if(NOT EXISTS "${TFLM_DIR}/tensorflow/lite/micro/micro_interpreter.h")
  message(FATAL_ERROR "TensorFlow Lite Micro is not in TFLM_DIR, '${TFLM_DIR}': say -D TFLM_DIR=FOLDER")
endif()
find_library(TFLM_LIBRARY tensorflow-microlite PATHS "${TFLM_DIR}" "${TFLM_DIR}/lib" NO_DEFAULT_PATH
             NO_CMAKE_FIND_ROOT_PATH REQUIRED)
target_include_directories(firmware SYSTEM PUBLIC "${TFLM_DIR}" "${TFLM_DIR}/third_party/flatbuffers/include"
                           "${TFLM_DIR}/third_party/gemmlowp" "${TFLM_DIR}/third_party/ruy")
target_compile_definitions(firmware PUBLIC TF_LITE_STATIC_MEMORY)
target_link_libraries(firmware PUBLIC "${TFLM_LIBRARY}")"""


def check(kind: str, runtime: str = "c", board: str | None = None) -> boards.Board:
    """The board of a project; UsageError where there is no such project, runtime or board."""
    if kind not in FRAMEWORKS:
        raise UsageError(f"There is no project for {kind!r}: choose one of {', '.join(FRAMEWORKS)}.")
    if runtime not in RUNTIMES:
        raise UsageError(f"There is no runtime {runtime!r}: choose one of {', '.join(RUNTIMES)}.")
    known = known_boards(kind)
    name = FRAMEWORKS[kind].board if board is None else board
    if name not in known:
        raise UsageError(
            f"{FRAMEWORKS[kind].title} does not know the board {name!r}: choose one of {', '.join(known)}."
        )
    return boards.board(name)


def known_boards(kind: str) -> list[str]:
    """The boards that a project of this kind can be for, sorted."""
    if kind == "cmake":
        return [name for name in boards.names() if boards.board(name).emulator is not None]
    return [name for name in boards.names() if kind in boards.board(name).frameworks]


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
    kind : one of FRAMEWORKS
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
            "sensor": project.microphone is not None,
            "tflm": project.tflm
            and {**project.tflm["arena"].to_dict(), "resolver": list(project.tflm["methods"])},
        }

    return write


class _Project:
    """One project while it is made: what its templates' blanks are, and its files."""

    def __init__(self, bundle: Bundle, kind: str, out: Path, runtime: str, board: boards.Board, command: str):
        self.bundle, self.kind, self.out, self.board = bundle, kind, out, board
        self.framework = FRAMEWORKS[kind]
        self.command = ctext.comment(command or bundle.manifest.get("command", ""))
        self.name = bundle.identifier
        if bundle.int8 is None:
            raise EdgeseaError(
                f"The bundle {bundle.path} holds no int8 model, which a project is made of: export it again "
                "with --int8."
            )
        if kind == "arduino" and out.name != self.name:
            # An Arduino sketch lies in a folder of its own name.
            self.out = out / self.name
        self.tflm = self._tflm() if runtime == "tflm" else None
        self.microphone = self._microphone()
        self.vectors, self.sources = 0, []  # known when the firmware is there

    def write(self) -> tuple[Path, ...]:
        contents = self._firmware()
        texts = {
            place.format(name=self.name): self._render(template)
            for template, place in self._templates().items()
        }
        texts["README.md"] = self._render("README.md")
        contents |= {file: text.encode("utf-8") for file, text in texts.items()}
        contents = dict(sorted(contents.items()))
        try:
            _clear(self.out)
            marker = {"edgesea": __version__, "kind": self.kind, "board": self.board.name}
            write_json(self.out / MARKER, {**marker, "files": list(contents)})
            for file, content in contents.items():
                write_bytes(_unlinked(self.out, file), content)
        except OSError as error:
            raise EdgeseaError(
                f"{self.out} cannot be written ({error.strerror}): choose another folder."
            ) from error
        return tuple(self.out / file for file in (MARKER, *contents))

    def _templates(self) -> dict[str, str]:
        """Template -> place of the framework's own files."""
        files = dict(self.framework.files)
        if self.microphone is not None:
            name = self.microphone.template
            files[name] = f"{self.framework.own}/{PurePosixPath(name).name}"
        else:
            files = {
                each: place for each, place in files.items() if not each.endswith((".overlay", "sound.S"))
            }
        return files

    def _firmware(self) -> dict[str, bytes]:
        """The C that is the same in all projects, by its place."""
        from edgesea.export.firmware import MAIN, remake, write_firmware

        with tempfile.TemporaryDirectory(prefix="edgesea-project-") as folder:
            root = Path(folder)
            written = write_firmware(self.bundle.path, root, model=self.tflm is None, command=self.command)
            files = {path.relative_to(root).as_posix(): path.read_bytes() for path in written}
        del files[MAIN]
        if self.microphone is None:
            sensor = remake(self.bundle, model=False).sensor
            files = {file: content for file, content in files.items() if file not in sensor}
        # Frameworks differ in which folders of a source folder they look for headers in: there is only one.
        files = {PurePosixPath(file).name: content for file, content in files.items()}
        variant = "quiet" if self.microphone is None else "sensor"
        for path in (TEMPLATES / "program" / "program.h", *(TEMPLATES / "program" / variant).glob("*.[ch]")):
            files[path.name] = path.read_bytes()
        if self.microphone is not None:
            files["microphone.h"] = self._render("program/sensor/microphone.h").encode()
            if self._decimate() == 1:
                del files["half_band.c"], files["half_band.h"]
        if self.tflm is not None:
            files = self._with_tflm(files)
        self.vectors = int(re.search(rb"_GOLDEN_COUNT (\d+)", files[f"{self.name}_golden.h"])[1])
        folder = self.framework.firmware.format(name=self.name)
        placed = {f"{folder}/{file}": content for file, content in files.items()}
        self.sources = sorted(file for file in placed if file.endswith((".c", ".cpp")))
        if self.kind == "cmake":
            placed |= {f"emulated/{path.name}": path.read_bytes() for path in self._emulated()}
        return placed

    def _with_tflm(self, files: dict[str, bytes]) -> dict[str, bytes]:
        """The same files with TensorFlow Lite Micro in the place of the C model."""
        kept = dict(files)
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
        while missing := {file for file in _included(kept) - kept.keys() if (emit.RUNTIME / file).is_file()}:
            kept |= {file: (emit.RUNTIME / file).read_bytes() for file in missing}
        return kept

    def _render(self, template: str) -> str:
        return ctext.environment(TEMPLATES).get_template(f"{template}.jinja").render(self._blanks())

    def _blanks(self) -> dict:
        frameworks = self.board.frameworks
        board = frameworks.get(self.kind, self.board.name)
        blanks = {
            "identifier": self.name,
            "name": self.name,
            "NAME": self.name.upper(),
            "title": _plain(self.bundle.name),
            "version": __version__,
            "origin": ctext.origin(self.command),
            "framework": self.framework.title,
            "board": board,
            "board_title": self.board.title,
            "platform": frameworks.get("platformio-platform", ""),
            "sources": self.sources,
            "sha256": self.bundle.manifest["int8"]["sha256"],
        }
        blanks |= self._readme(board)
        own = {
            "platformio": self._platformio,
            "esp-idf": self._esp_idf,
            "zephyr": self._zephyr,
            "cmake": self._cmake,
        }
        blanks |= own.get(self.kind, dict)()
        if self.microphone is not None:
            rate = self.bundle.frontend.sample_rate
            blanks |= {
                "sample_rate": rate,
                "microphone_rate": rate * self._decimate(),
                "decimate": self._decimate(),
                "wiring": " ".join(self._wiring().split()),
            }
        return blanks | (self.tflm or {})

    def _readme(self, board: str) -> dict:
        needs = self.framework.needs
        engine = "the C model, compiled ahead of time"
        if self.tflm is not None:
            arena = self.tflm["arena"]
            engine = (
                f"TensorFlow Lite Micro, {len(self.tflm['methods'])} operators, "
                f"an arena of {arena.recommended:,} bytes ({arena.bytes:,} {arena.how})"
            )
            needs = self.framework.tflm_needs.replace("{board}", board)
        if self.microphone is None:
            prints = "No sensor program runs: see below.\n"
            microphone = (
                "The bundle has no frontend, so there is none: the model's inputs come over the serial line."
                if self.bundle.frontend is None
                else f"{NO_MICROPHONE}\nGolden vectors and the serial line work."
            )
        else:
            prints = "then a line of JSON for every decision, as sensor.h describes it.\n"
            microphone = self._wiring()[0].upper() + self._wiring()[1:] + "."
        return {
            "engine": engine,
            "build": [line.format(board=board, name=self.name) for line in self.framework.build],
            "needs": needs,
            "vectors": self.vectors,
            "tolerance": "to the bit" if self.tflm is None else "each byte at most one step off",
            "prints": prints,
            "microphone": microphone,
        }

    def _platformio(self) -> dict:
        return {"libraries": "" if self.tflm is None else f"lib_deps = {_ARDUINO_TFLM}.git"}

    def _esp_idf(self) -> dict:
        return {"packages": [] if self.tflm is None else ['espressif/esp-tflite-micro: "^1.3"']}

    def _zephyr(self) -> dict:
        own = ["board.c", "main.c", *(["microphone.c"] if self.microphone else [])]
        options = []
        # Cores with a cycle counter; elsewhere the kernel's clock has to do.
        if self.board.core.startswith("cortex-m") and self.board.core not in ("cortex-m0", "cortex-m0plus"):
            options.append("CONFIG_TIMING_FUNCTIONS=y")
        if self.board.name == "nano33ble":
            options.append("CONFIG_REGULATOR=y")
        if self.tflm is not None:
            options += [
                "CONFIG_CPP=y",
                "CONFIG_STD_CPP17=y",
                "CONFIG_REQUIRES_FULL_LIBCPP=y",
                "CONFIG_TENSORFLOW_LITE_MICRO=y",
            ]
        return {
            "options": options,
            "sources": [*(f"src/{file}" for file in own), *self.sources],
        }

    def _cmake(self) -> dict:
        toolchain = self.board.toolchain
        emulated = [f"emulated/{path.name}" for path in self._emulated() if path.suffix == ".c"]
        return {
            "languages": " ".join(
                ("C", *(["CXX"] if self.tflm else []), *(["ASM"] if self.microphone else []))
            ),
            "board_sources": [*emulated, *(["emulated/microphone.c"] if self.microphone else [])],
            "sound": self.microphone is not None,
            "uart_base": f"{self._uart()[1]:#x}",
            "qemu": self.board.emulator.program,
            "qemu_arguments": " ".join(self.board.emulator.arguments),
            "qemu_alone": " ".join(ALONE),
            "prefix": toolchain.prefix,
            # A C library that is chosen when linking has headers of its own.
            "flags": " ".join((*toolchain.flags, *toolchain.link_flags)),
            "memory": [
                f"{each.name} : ORIGIN = {each.origin:#x}, LENGTH = {each.length:#x}"
                for each in self.board.memory
            ],
            "runtime_lines": "" if self.tflm is None else _TFLM_CMAKE,
        }

    def _uart(self) -> tuple[str, int]:
        """Driver and address of an emulated board's serial line."""
        return self.board.emulator.uart, self.board.emulator.uart_base

    def _emulated(self) -> list[Path]:
        names = (self.board.emulator.startup, "board.c", self._uart()[0], "ending_uart.c")
        return [EMULATED / name for name in (*names, "emulated.h", "uart.h", "sections.ld")]

    def _microphone(self) -> Microphone | None:
        if self.bundle.frontend is None:
            return None
        known = self.framework.microphones
        return known.get(self.board.name, known.get(""))

    def _wiring(self) -> str:
        return self.microphone.wiring.format(rate=self.bundle.frontend.sample_rate * self._decimate())

    def _decimate(self) -> int:
        """How many of the microphone's samples make one of the model's."""
        below = self.bundle.frontend.sample_rate < LEAST_MICROPHONE_RATE
        return 2 if below and self.kind != "cmake" else 1

    def _tflm(self) -> dict:
        model = self.bundle.manifest["int8"]
        ends = [
            {
                "role": end,
                "macro": f"{self.name.upper()}_{end.upper()}",
                "shape": "x".join(map(str, model[end]["shape"])),
                "bytes": model[end]["bytes"],
                "scale": ctext.number(model[end]["scale"]),
                "zero_point": model[end]["zero_point"],
            }
            for end in ("input", "output")
        ]
        methods = tflm.resolver_methods(model["operators"])
        return {
            "methods": methods,
            "arena": tflm.arena_of(self.bundle.int8.read_bytes()),
            "ends": ends,
            "headers": self.framework.tflm_headers,
        }


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
        raise UsageError(f"{out} is a file: name a folder that is new or an older project.")
    marker = out / MARKER
    if not marker.is_file() or marker.is_symlink():
        if any(out.iterdir()):
            raise UsageError(
                f"{out} is not empty and not a project: name a folder that is new or an older project."
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
