"""What strangers typed, and the sentence that would have helped: the rows of cases/calls.md, one each."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from small_run import SMALL

from edgesea import progress
from edgesea.cli import main

YAMNET_SHA = "469be6a3421cbc52cf97e9f2f966cba984198e8e7af9854d68b3e3ebb1e04194"


class World:
    """An empty folder to call in, and what takes long to make."""

    def __init__(self, folder: Path, request):
        self.folder = folder
        self._request = request

    def __getattr__(self, name):
        return self._request.getfixturevalue(name)

    def sound(self, name: str = "sound", count: int = 6, seconds: float = 2.0) -> str:
        (self.folder / name).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            wave = np.random.default_rng(k).uniform(-0.1, 0.1, round(16_000 * seconds))
            soundfile.write(self.folder / name / f"{k}.wav", wave, 16_000)
        return name

    def file(self, name: str, content: bytes | str) -> str:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return name

    def measurement(self, name: str, **values) -> str:
        whole = {"device": "host", "engine": "e", "conditions": {"board": "b", "fan": name}, **values}
        return self.file(name, json.dumps(whole))


@dataclass(frozen=True)
class Row:
    """typed : the call, as in calls.md; call : makes what it takes and says its arguments; code : exit code;
    said, unsaid : parts of what is and is not printed, on either stream."""

    typed: str
    call: Callable[[World], list]
    code: int
    said: tuple[str, ...]
    unsaid: tuple[str, ...] = ()
    slow: bool = False


def onnx() -> bytes:
    """The least that is an ONNX model: ir_version, and a graph."""
    return b"\x08\x08\x3a\x00"


def saved_model(world: World) -> list:
    world.file("saved_model_folder/saved_model.pb", b"x")
    return ["distill", "--teacher", "saved_model_folder/", "--data", world.sound(), "--out", "R"]


def teacher(name: str, content: bytes | None = None) -> Callable[[World], list]:
    def call(world: World) -> list:
        if content is not None:
            world.file(name, content)
        return ["distill", "--teacher", name, "--data", world.sound(), "--out", "R"]

    return call


def target(command: str, name: str, content: bytes | str, *more: str) -> Callable[[World], list]:
    return lambda world: [command, world.file(name, content), *more]


def one_night(world: World) -> list:
    """The folder of another run ends it behind what is looked at here."""
    data = world.sound("night", 1, 600.0)
    return ["distill", "--data", f"{data}/0.wav", "--out", world.finished_run, *SMALL]


def over_a_run(world: World) -> list:
    data = ["--data", world.street, "--out", world.finished_run]
    return ["distill", *data, *SMALL, "--epochs", "7", "--seed", "9"]


def unnoticed(world: World) -> list:
    """The least budget: a student that learnt nothing."""
    options = ["--epochs", "1", "--frames", "64", "--batch", "32", "--dim", "16", "--student", "separable-s"]
    data = ["--teacher", "demo", "--data", world.street, "--out", "R"]
    return ["distill", *data, *options, "--learning-rate", "1e-9"]


def toml(content: str) -> Callable[[World], list]:
    def call(world: World) -> list:
        world.file("edgesea.toml", content)
        return ["distill", "--teacher", "demo", "--data", world.sound()]

    return call


def emulated_board(world: World) -> list:
    return ["flash", world.small_bundle, "--board", "qemu-cortex-m4", "--dry-run"]


def without_tools(world: World) -> list:
    """Neither a port nor a program is there."""
    world.monkeypatch.setenv("PATH", str(world.folder))
    world.monkeypatch.setattr("edgesea.running.usb.TTYS", world.folder)
    return ["flash", world.small_bundle, "--board", "nano33ble"]


def sketch(world: World) -> list:
    bundle = shutil.copytree(world.small_bundle, world.folder / "bundle")
    return ["export", bundle, "--project", "arduino", "--out", "p"]


LATENCY = {"latency_ms": {"median": 1.0, "p95": 1.2, "n": 5}}
EMULATED = {"device": "qemu:cortex-m4", "emulated": {"instructions": 1000}}
SIZES = {"storage": {"model_bytes": 1000}, "activation": {"peak_bytes": 10}}


def host_and_qemu(world: World) -> list:
    host = world.measurement("host.json", **LATENCY, **SIZES)
    conditions = {"compiler": "gcc", "flags": ["-O2"]}
    qemu = world.measurement("qemu.json", **EMULATED, **SIZES, conditions=conditions)
    return ["bench", "compare", host, qemu]


def table(content: str) -> Callable[[World], list]:
    def call(world: World) -> list:
        world.sound()
        world.file("d.csv", content)
        return ["distill", "--teacher", "demo", "--data", "d.csv", "--out", "R"]

    return call


def emulated_bench(world: World) -> list:
    if not (shutil.which("qemu-system-arm") and shutil.which("arm-none-eabi-gcc")):
        pytest.skip("qemu-system-arm or arm-none-eabi-gcc is not installed")
    return ["bench", world.small_bundle, "--device", "qemu:cortex-m4"]


# Parts of the row of calls.md, by which the last test finds it.
URL = "edgesea distill --teacher yamnet"
FOLDER = "--teacher saved_model_folder/"
ONNX = "--teacher model.onnx"
RUN = "--teacher RUN"
NIGHT = "distill --data one_night.wav"
BUDGET = "distill --frames 2000 --epochs 1"
INT8 = "export RUN --int8"
EVALUATE = "evaluate RUN"
FINISHED = "distill --out finished_run"
OTHER = "distill --out RUN --epochs 4"
MEANT = "edgesea distil`, `epoch = 3`"
BARE = "| `edgesea` |"
INIT = "init --teacher nope.tflite"
ARDUINO = "export --project arduino"
QEMU = "flash B --board qemu-cortex-m4"
NANO = "flash B --board nano33ble"
ALONE = "bench compare A.json"
APART = "bench compare host.json qemu.json"
POINTER = "export git_lfs_pointer.tflite"
CSV = "a CSV with `;`"
HELP = "distill --help"
NOHUP = "any long command over nohup"
CONDITIONS = "conditions of `bench --device qemu"

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
HTML = "<!DOCTYPE html><html></html>"
DISTIL_IT = "distil from it with `edgesea distill --teacher model.onnx`"

ROWS = [
    # The name alone is fetched today, see tests/cli/test_teachers_command.py.
    Row(
        URL,
        teacher("models/yamnet"),
        2,
        (
            "There is no teacher at models/yamnet",
            "Google",
            YAMNET_SHA,
            "say --teacher yamnet",
            "--teacher PATH",
        ),
    ),
    Row(
        URL,
        teacher("https://tfhub.dev/google/yamnet/1"),
        2,
        ("https://tfhub.dev/google/yamnet/1 is an address on the web: download the file",),
    ),
    Row(FOLDER, saved_model, 1, ("Cannot load the SavedModel", "fetch it again")),
    Row(
        ONNX,
        target("bench", "model.onnx", onnx()),
        2,
        ("is an ONNX model: measurements are of .tflite files: convert it with onnx2tf",),
    ),
    Row(
        ONNX,
        target("export", "model.onnx", onnx(), "--out", "B"),
        2,
        ("is an ONNX model: a bundle is made of a run or an int8 .tflite", DISTIL_IT, "onnx2tf"),
    ),
    Row(
        RUN,
        lambda world: [
            *("embed", "--teacher", world.finished_run, "--data", world.sound(), "--out", "s", "--json")
        ],
        0,
        ('"dimension": 16',),
    ),
    Row(
        RUN,
        lambda world: [
            *("embed", "--teacher", world.finished_run / "student.keras", "--data", world.sound()),
            *("--out", "s", "--json"),
        ],
        0,
        ('"dimension": 16',),
    ),
    Row(
        RUN,
        lambda world: [
            *("embed", "--teacher", world.small_bundle, "--data", world.sound(), "--out", "s", "--json")
        ],
        0,
        ('"dimension": 16',),
    ),
    Row(NIGHT, one_night, 2, ("1 recording is too few to split by recording: split by time, with",)),
    Row(
        BUDGET,
        unnoticed,
        0,
        ("The student learnt next to nothing of its teacher (R²", "--frames 64", "--epochs 1"),
        slow=True,
    ),
    Row(
        INT8,
        # Of whatever keeps a constant, int8 keeps it well: only what cannot be reached fails for certain.
        lambda world: [
            *("export", world.nothing_learnt, "--int8", "--no-onnx", "--no-c", "--out", "B"),
            *("--min-cosine", "1.1"),
        ],
        1,
        ("The float student learnt nothing that int8 could keep", "train longer, or on more frames"),
        ("calibrate on more",),
    ),
    Row(
        EVALUATE,
        lambda world: ["evaluate", world.finished_run],
        0,
        ("No --data: evaluating on what it was distilled on",),
    ),
    Row(
        FINISHED,
        lambda world: ["distill", "--out", world.finished_run],
        0,
        ("is finished: nothing to do.",),
    ),
    Row(
        OTHER,
        over_a_run,
        2,
        ("epochs = 4, seed = 3, and this call says epochs = 7, seed = 9: choose another --out",),
    ),
    Row(MEANT, lambda world: ["distil"], 2, ("There is no command 'distil': did you mean distill?",)),
    Row(
        MEANT,
        toml('[distill]\nepoch = 3\n[bench]\ndevice = "host"\n'),
        2,
        ("Unknown option 'epoch': did you mean epochs?",),
    ),
    Row(
        MEANT,
        toml('[bench]\ndevise = "host"\n'),
        2,
        ("edgesea.toml, in [bench], has an unknown entry 'devise': did you mean device?",),
    ),
    Row(
        MEANT,
        lambda world: ["flash", world.small_bundle, "--board", "nrf52840dk"],
        2,
        ("There is no board called 'nrf52840dk': did you mean nrf52840? Choose one of",),
    ),
    Row(
        MEANT,
        lambda world: ["bench", world.small_bundle, "--device", "qemu:cortex-m44"],
        2,
        ("There is no emulated core 'cortex-m44': did you mean cortex-m4? Choose one of",),
    ),
    Row(
        MEANT,
        lambda world: [
            *("distill", "--student", "seperable-m", "--teacher", "demo", "--data", world.sound()),
            *("--out", "R"),
        ],
        2,
        ("Unknown student 'seperable-m': did you mean separable-m? Choose one of",),
    ),
    Row(
        MEANT,
        lambda world: ["distill", "--epoch", "3"],
        2,
        ("There is no option --epoch: did you mean --epochs?",),
    ),
    Row(BARE, lambda world: [], 0, ("Usage: edgesea", "distill"), ("edgesea: ",)),
    Row(
        INIT,
        lambda world: ["init", "--teacher", "nope.tflite", "--data", "nowhere"],
        0,
        ("nope.tflite yet: put your teacher there", "nowhere yet: put your data there", "Wrote "),
    ),
    Row(ARDUINO, sketch, 0, ("files in p/street", "p/street/README.md says how")),
    Row(QEMU, emulated_board, 0, ("qemu-system-arm",), ("pyserial",)),
    Row(
        NANO,
        without_tools,
        1,
        ("arduino-cli", "`sudo snap install arduino-cli`", "No serial port of nano33ble was found", "--port"),
    ),
    Row(
        ALONE,
        lambda world: ["bench", "compare", "A.json"],
        2,
        ("Two measurements are compared, received 1: write `edgesea bench compare A.json B.json`",),
    ),
    Row(
        ALONE,
        lambda world: ["bench", "compare"],
        2,
        ("Two measurements are compared, received 0: write `edgesea bench compare A.json B.json`",),
    ),
    Row(
        APART,
        host_and_qemu,
        0,
        (
            "host measured time and qemu:cortex-m4 counted instructions, which cannot be compared",
            "compare the size of the model and its memory",
            "storage.model_bytes",
        ),
        ("conditions.flags", "conditions.fan", "–"),
    ),
    Row(
        POINTER, target("export", "p.tflite", LFS, "--out", "B"), 2, ("is a Git-LFS pointer", "git lfs pull")
    ),
    Row(POINTER, target("export", "p.tflite", HTML, "--out", "B"), 2, ("is a web page, not the model",)),
    Row(POINTER, target("bench", "p.tflite", LFS), 2, ("is a Git-LFS pointer", "git lfs pull")),
    Row(CSV, table("path;start\nsound/0.wav;0\n"), 2, ("separated by semicolons in line 1: save it with",)),
    Row(CSV, table("path\nsound\\0.wav\n"), 2, ("backslash",)),
    Row(
        HELP,
        lambda world: ["distill", "--help"],
        0,
        ("sea-8k, yamnet-16k, openl3-48k", "separable-m", "random, spl, dpp, dpp-div", "pca, umap"),
    ),
    Row(
        CONDITIONS,
        emulated_bench,
        0,
        ("emulated by QEMU emulator version", "compiled by arm-none-eabi-gcc", "--verbose"),
        ("['", "-ffunction-sections"),
    ),
]


@pytest.fixture(scope="module")
def nothing_learnt(finished_run, tmp_path_factory) -> Path:
    """A run whose student is said to be no better than a constant."""
    folder = tmp_path_factory.mktemp("nothing") / "run"
    shutil.copytree(finished_run, folder)
    metrics = json.loads((folder / "metrics.json").read_text())
    metrics["fidelity"]["held-out"]["r2"] = -0.456
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return folder


@pytest.fixture
def world(tmp_path, monkeypatch, request) -> World:
    monkeypatch.chdir(tmp_path)
    return World(tmp_path, request)


def called(capsys, arguments) -> tuple[int, str]:
    """Exit code, and both streams with their lines joined."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main([str(each) for each in arguments])
    streams = capsys.readouterr()
    return end.value.code or 0, " ".join((streams.out + streams.err).split())


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.typed, marks=[pytest.mark.slow] if row.slow else []) for row in ROWS],
)
def test_what_was_typed_is_answered(world, capsys, deterministic, row):
    arguments = row.call(world)
    code, said = called(capsys, arguments)
    assert code == row.code, said
    for part in row.said:
        assert part in said
    for part in row.unsaid:
        assert part not in said
    assert "Traceback" not in said


# nohup: where there is no terminal


def test_a_long_stage_says_so_while_nothing_comes(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.05)
    with progress.TerminalProgress().stage("embed", 40) as advance:
        advance(10)
        time.sleep(0.4)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("embed: 10 of 40 after ") for line in lines)


def test_lines_come_every_fifteen_seconds():
    assert progress.EVERY_S < progress.SILENCE_S == 15.0


def test_every_row_is_here(shared):
    """Each row of the table of what strangers typed has a case, or the tests of progress above."""
    listed = [
        line for line in (shared / "cases" / "calls.md").read_text().splitlines() if line.startswith("|")
    ]
    here = {row.typed for row in ROWS} | {NOHUP}
    for line in listed[2:]:
        assert any(typed in line for typed in here), line
    for typed in here:
        assert any(typed in line for line in listed), typed
