"""The file that runs on a Pi, alone: what it needs, what it reads of the system, and how it leaves."""

import ast
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from sshd import PATIENCE_S, until

from edgesea.devices import agent
from edgesea.devices.rpi import REMOTE

SOURCE = Path(agent.__file__).read_bytes()


def test_it_needs_python_3_9_numpy_and_a_runtime_and_nothing_else():
    tree = ast.parse(SOURCE, feature_version=(3, 9))
    wanted = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            wanted |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            wanted.add(node.module.split(".")[0])
    assert wanted - set(sys.stdlib_module_names) == {"numpy"}
    assert {name.split(".")[0] for name, _ in agent.RUNTIMES} == {"ai_edge_litert", "tflite_runtime"}


def test_it_runs_in_python_3_9(tmp_path):
    python = shutil.which("python3.9")
    if python is None:
        pytest.skip("there is no python3.9 here")
    program = "import agent, json; print(json.dumps([agent.machine(), agent.state()]))"
    (tmp_path / "agent.py").write_bytes(SOURCE)
    done = subprocess.run([python, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    if "pyenv" in done.stderr:
        pytest.skip("there is no python3.9 here")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["python"].startswith("3.9.")


def test_an_older_python_is_refused(monkeypatch):
    monkeypatch.setattr(agent, "OLDEST_PYTHON", (99, 0))
    with pytest.raises(agent.Failure, match=r"Python \d\.\d+ is older than 3\.9") as caught:
        agent.measure({})
    assert caught.value.kind == "python"


# ---------------------------------------------------------------- conditions


def _tree(root: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return f"{root}/"


PI = {
    "proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\nCPU part\t: 0xfff\n",
    "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
    "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "600000\n",
    "sys/class/thermal/thermal_zone0/temp": "48200\n",
    "sys/class/thermal/thermal_zone1/temp": "51700\n",
    "sys/class/thermal/cooling_device0/temp": "99000\n",
    "sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n",
}


def test_conditions_of_a_pi(tmp_path):
    root = _tree(tmp_path, PI)
    machine, state = agent.machine(root), agent.state(root)
    assert machine["board"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine["cpu"] == "implementer 0x41, part 0xd08"
    assert machine["system"] == "Debian GNU/Linux 12 (bookworm)"
    assert machine["bits"] == 64
    assert (state["governor"], state["frequency_mhz"], state["temperature_c"]) == ("ondemand", 600.0, 51.7)
    assert state["throttling"] == "0x50005"


def test_conditions_that_a_system_does_not_tell_are_none(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    root = _tree(tmp_path, {"sys/class/thermal/thermal_zone0/temp": "hot\n"})
    machine, state = agent.machine(root), agent.state(root)
    assert [machine[key] for key in ("board", "cpu", "system", "emulator")] == [None] * 4
    told = ("governor", "frequency_mhz", "temperature_c", "throttling")
    assert [state[key] for key in told] == [None] * 4


@pytest.mark.parametrize(
    ("printed", "flags"),
    [
        ("throttled=0x0", "0x0"),
        ("throttled=0x50005", "0x50005"),
        ("VCHI initialization failed", None),
        ("", None),
    ],
)
def test_throttling_by_vcgencmd(tmp_path, monkeypatch, printed, flags):
    program = tmp_path / "vcgencmd"
    program.write_text(f"#!/bin/sh\necho '{printed}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert agent.state(f"{tmp_path}/")["throttling"] == flags


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, None, []),
        ("0x0", "0x0", []),
        ("0x0", "0x50005", ["under-voltage", "throttled"]),
        ("0x50005", "0x50000", ["under-voltage", "throttled"]),
        ("0x50000", "0x50000", []),  # some time since the start, not now
        ("0x0", "0x80000", ["soft temperature limit"]),  # in between, and over again
        ("0x20000", "0xe0000", ["throttled", "soft temperature limit"]),
        ("0x2", "0x0", ["frequency capped"]),
    ],
)
def test_slowed(before, after, words):
    assert agent.slowed({"throttling": before}, {"throttling": after}) == words


def test_an_emulated_processor_is_seen(tmp_path):
    root = _tree(tmp_path, {"proc/cpuinfo": "vendor_id\t: GenuineIntel\nmodel name\t: Xeon\n"})
    assert agent._foreign_cpu(root, "aarch64") == "an emulator on another processor"
    assert agent._foreign_cpu(root, "x86_64") is None
    assert agent._foreign_cpu(_tree(tmp_path, PI), "aarch64") is None


def test_a_program_in_an_emulator_is_seen(tmp_path):
    emulator = tmp_path / "qemu-aarch64-static"
    shutil.copy(shutil.which("sleep"), emulator)
    process = subprocess.Popen([emulator, "30"])
    try:
        assert agent._emulator(process.pid) == "qemu-aarch64-static"
    finally:
        process.kill()
        process.wait()


# ---------------------------------------------------------------- figures


def test_peak_memory_is_what_came_after_the_start():
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import agent\n"
        "passed = bytearray(b'x') * (60 << 20); del passed\n"  # before: does not count
        "empty = agent._empty_memory()\n"
        "held = bytearray(b'x') * (30 << 20); del held\n"
        "print(empty, agent._peak_memory(empty))"
    )
    folder = Path(agent.__file__).parent
    done = subprocess.run([sys.executable, "-c", program, folder], capture_output=True, text=True, check=True)
    empty, peak = map(int, done.stdout.split())
    assert 2e6 < empty < 60e6
    # A page here or there belonged to the empty process and was given back.
    assert 29 << 20 <= peak < 34 << 20


def test_all_inputs_are_set(tmp_path):
    class Two:
        got = {}  # noqa: RUF012

        def get_input_details(self):
            return [
                {"index": 4, "shape": np.array([1, 3]), "dtype": np.int8},
                {"index": 2, "shape": np.array([2]), "dtype": np.float32},
            ]

        def set_tensor(self, index, values):
            self.got[index] = values

    first, second = np.array([[-128, 0, 127]], np.int8), np.array([0.5, -2], np.float32)
    (tmp_path / "input").write_bytes(first.tobytes() + second.tobytes())
    agent._fill(np, Two(), tmp_path / "input")
    assert np.array_equal(Two.got[4], first)
    assert np.array_equal(Two.got[2], second)


# ---------------------------------------------------------------- leaving


class Served:
    """`serve` as ssh would start it, but on a pipe."""

    def __init__(self, folder: Path, request: dict, python: Path):
        self.folder = folder
        given = {
            "silence_s": 60,
            "setup": False,
            "python": str(python),
            "processes": 1,
            "runs": 1,
            "limit_s": 1,
            "configurations": [{"threads": 1, "xnnpack": True}],
            "model_bytes": 5,
            "input_bytes": 0,
        }
        text = json.dumps({**given, **request}).encode()
        self.process = subprocess.Popen(
            ["sh", "-c", REMOTE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                "HOME": str(folder),
                "TMPDIR": str(folder),
                "PATH": f"{Path(sys.executable).parent}:/bin:/usr/bin",
            },
        )
        self.process.stdin.write(b"%d\n%b%d\n%b" % (len(SOURCE), SOURCE, len(text), text))
        self.process.stdin.flush()

    def send(self, content: bytes) -> None:
        self.process.stdin.write(content)
        self.process.stdin.flush()

    def folders(self) -> list[Path]:
        return list(self.folder.glob("edgesea-*"))

    def wait_for_folder(self) -> Path:
        assert until(lambda: list(self.folder.glob("edgesea-*/model")))
        return self.folders()[0]

    def wait(self) -> int:
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def serve(tmp_path):
    """Starts `serve` with a measurement that never ends."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 1000\n")
    python.chmod(0o755)
    started = []

    def start(**request) -> Served:
        started.append(Served(tmp_path, request, python))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        for stream in (each.process.stdin, each.process.stdout):
            stream.close()
        assert each.folders() == []


def test_the_folder_is_private(serve):
    served = serve()
    served.send(b"model")
    folder = served.wait_for_folder()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in folder.iterdir()} <= {"agent.py", "model", "input"}
    assert (folder / "agent.py").read_bytes() == SOURCE
    served.process.stdin.close()
    served.wait()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_signals_end_it(serve, number):
    served = serve()
    served.send(b"model")
    served.wait_for_folder()
    served.process.send_signal(number)
    assert served.wait() == 0
    assert served.folders() == []


def test_silence_ends_it(serve):
    served = serve(silence_s=3)
    served.send(b"model")
    served.wait_for_folder()
    assert served.wait() == 0


def test_signs_of_life_keep_it(serve):
    served = serve(silence_s=3)
    served.send(b"model")
    served.wait_for_folder()
    for _ in range(16):
        time.sleep(0.25)
        served.send(b"\n")
    assert served.process.poll() is None
    served.process.stdin.close()
    assert served.wait() == 0


def test_silence_in_the_middle_of_the_model_ends_it(serve):
    served = serve(silence_s=3)
    served.send(b"mod")
    served.wait_for_folder()
    assert served.wait() == 0


def test_the_end_in_the_middle_of_the_model_ends_it(serve):
    served = serve()
    served.send(b"mod")
    served.wait_for_folder()
    served.process.stdin.close()
    assert served.wait() == 0


def test_what_it_says_of_an_error(serve, tmp_path):
    served = serve(python=str(tmp_path / "nothing"))
    served.send(b"model")
    out, _ = served.process.communicate(timeout=PATIENCE_S)
    words = [json.loads(line.split(b" ", 1)[1]) for line in out.splitlines()]
    assert [next(iter(word)) for word in words] == ["hello", "error", "end"]
    assert words[1]["error"]["kind"] == "python"
    assert "No such file or directory" in words[1]["error"]["text"]


def test_setup_on_a_debian_without_venv(tmp_path, monkeypatch):
    class Link:
        def run(self, command, **_):
            assert command[1:4] == ["-m", "venv", "--clear"]
            return 1, b"... because ensurepip is not available.\n\nFailing command: /x/bin/python3\n", b""

    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(agent.Failure, match="has no venv: run on it `sudo apt install python3-venv`"):
        agent._setup(Link())
    assert list(tmp_path.iterdir()) == []
