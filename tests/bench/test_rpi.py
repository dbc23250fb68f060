"""The way to a Raspberry Pi and back, over a real sshd on the loopback (`sshd.py`) and over an ssh that
misbehaves."""

import base64
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sshd import PATIENCE_S, SYSTEM_PATH, processes, programs, until

from edgesea import devices as bench
from edgesea.devices import rpi
from edgesea.errors import EdgeseaError, UsageError
from edgesea.measures.inputs import random_inputs

pytestmark = pytest.mark.usefixtures("once")

NASTY = "we ird'\"; $(touch pwned) `touch pwned` & \n-o x"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small int8 .tflite, one convolution, under a name that a shell would take apart."""
    path = Path(__file__).parents[1] / "firmware" / "random_graphs.py"
    spec = importlib.util.spec_from_file_location("rpi_random_graphs", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    file = tmp_path_factory.mktemp("model") / f"{NASTY}.tflite"
    file.write_bytes(module.single_operator_model("CONV_2D", 3))
    return file


def measure(model, **options):
    given = {"host": "pi", "python": sys.executable, "runs": 20, "limit_s": 5.0}
    return bench.measure(model, "rpi", **{**given, **options})


def sentence(caught) -> str:
    text = str(caught.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


@pytest.fixture
def cut(far, model):
    """A measurement without end, in a thread; yields what it raised, which is there after `join`."""
    caught = []

    def work():
        try:
            measure(model, runs=10**9, limit_s=1e6)
        except EdgeseaError as error:
            caught.append(error)

    far.start()
    thread = threading.Thread(target=work)
    thread.start()
    assert far.working()
    yield thread, caught
    far.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


# ---------------------------------------------------------------- the whole way


def test_the_whole_way(far, model, monkeypatch):
    monkeypatch.setattr(rpi, "PROCESSES", 2)
    far.start()
    found = measure(model, threads=[1, 2], runs=21)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["device"] == "rpi"
    assert found["engine"].startswith("ai-edge-litert ")
    assert found["model"]["name"] == model.name
    assert {"model_bytes", "weight_bytes"} <= found["storage"].keys()
    assert {"largest_tensor_bytes", "peak_bytes", "peak_operator"} <= found["activation"].keys()
    kinds = [(each["threads"], each["xnnpack"]) for each in found["configurations"]]
    assert kinds == [(1, True), (1, False), (2, True), (2, False)]
    for each in found["configurations"]:
        latency = each["latency_ms"]
        assert 0 < latency["min"] <= latency["median"] <= latency["p95"] <= latency["p99"] <= latency["max"]
        assert latency["n"] == 22  # 11 in each of two processes
        assert len(latency["process_medians"]) == 2
        assert min(latency["cold_load"], latency["first_inference"], latency["import"]) > 0
        # NumPy and a runtime alone are megabytes; a model of a few kilobytes adds less than they take.
        assert each["memory"]["empty_interpreter_bytes"] > 10e6
        assert 0 <= each["memory"]["peak_above_empty_bytes"] < each["memory"]["empty_interpreter_bytes"]
        assert each["agreement"]["values"] == found["agreement"]["values"]
        assert each["agreement"]["largest_difference"] <= 1
    assert found["configurations"][1]["engine"].endswith("default kernels, no delegate")
    assert found["latency_ms"] == {"threads": 1, **found["configurations"][0]["latency_ms"]}
    agreement = found["agreement"]
    assert (agreement["differing"], agreement["largest_difference"]) == (0, 0)
    assert agreement["values"] > 0
    assert re.fullmatch("[0-9a-f]{64}", agreement["sha256"])
    conditions = found["conditions"]
    assert conditions["host"] == "pi"
    assert conditions["bits"] == 64
    assert {"board", "kernel", "runtime", "numpy", "python", "before", "after"} <= conditions.keys()
    assert {"governor", "frequency_mhz", "temperature_c", "throttling", "load_average"} <= conditions[
        "before"
    ].keys()
    assert found["how"]["latency_ms"] == "measured"
    assert far.left() == []


def test_a_login_shell_that_talks(far, model):
    far.start('ForceCommand echo edgesea hello; echo "edgesea {"; eval "$SSH_ORIGINAL_COMMAND"')
    assert measure(model)["latency_ms"]["n"] == 20


def test_paths_are_never_shell_text(far, model, tmp_path):
    far.start()
    python = tmp_path / NASTY
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert measure(model, python=str(python))["latency_ms"]["n"] == 20
    assert not list(tmp_path.rglob("pwned"))
    assert not Path("pwned").exists()


def test_a_throttled_run_is_marked(far, model):
    tools = far.folder / "tools"
    tools.mkdir()
    program = tools / "vcgencmd"
    program.write_text("#!/bin/sh\necho throttled=0x50005\n")
    program.chmod(0o755)
    far.start(environment={"PATH": f"{tools}:{SYSTEM_PATH}"})
    found = measure(model)
    assert found["conditions"]["slowed"] == "under-voltage, throttled"
    assert found["conditions"]["before"]["throttling"] == "0x50005"
    assert found["how"]["latency_ms"] == "measured, throttled"
    assert found["configurations"][0]["slowed"] == ["throttled", "under-voltage"]


def test_the_command_line(far, model, tmp_path, edgesea_process):
    far.start()
    out = tmp_path / "found.json"
    process = edgesea_process(
        *("bench", model, "--device", "rpi", "--host", "pi", "--python", sys.executable, "--runs", "10"),
        *("--threads", "1", "--threads", "2", "--out", out),
        before="import edgesea.devices.rpi; edgesea.devices.rpi.PROCESSES = 1",
    )
    text, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert "inference, median" in text
    assert "0 of " in text
    assert len(json.loads(out.read_text())["configurations"]) == 4


# ---------------------------------------------------------------- not let in, not there


def test_a_wrong_host_key_is_refused(far, model):
    far.know("other")
    far.start()
    with pytest.raises(EdgeseaError) as caught:
        measure(model)
    assert sentence(caught) == (
        "pi shows a host key that your ssh does not know or that has changed: "
        "check it, and call `ssh pi` once"
    )
    assert "Accepted" not in (far.folder / "log").read_text()


@pytest.mark.parametrize("setting", ["no", "accept-new", "ask"])
def test_an_unknown_host_key_is_refused_whatever_the_configuration_says(far, model, setting):
    far.know(None)
    with open(far.folder / "config", "a") as config:
        config.write(f" StrictHostKeyChecking {setting}\n")
    far.start()
    with pytest.raises(EdgeseaError, match="shows a host key that your ssh does not know"):
        measure(model)
    assert (far.folder / "known").read_text() == ""


def test_a_key_that_is_not_authorised(far, model):
    (far.folder / "authorized").write_text((far.folder / "other.pub").read_text())
    far.start()
    with pytest.raises(EdgeseaError) as caught:
        measure(model)
    assert sentence(caught).startswith("pi does not let you in with a key (")
    assert sentence(caught).endswith("call `ssh-copy-id pi` once")


def test_a_host_that_cannot_be_reached(far, model):
    with pytest.raises(EdgeseaError) as caught:
        measure(model)
    assert sentence(caught).startswith("pi cannot be reached (")
    assert "refused" in sentence(caught)
    assert sentence(caught).endswith("see whether `ssh pi` works")


@pytest.mark.parametrize(
    "host",
    [
        "-oProxyCommand=touch pwned",
        "pi; touch pwned",
        "$(touch pwned)",
        "`touch pwned`",
        "pi\n",
        "p i",
        "'pi'",
        'p"i',
        "pi|x",
        "ssh://",
        "pi\0",
        "ssh://-x",
        "x" * 300,
    ],
)
def test_a_host_that_is_no_name_never_reaches_ssh(model, tmp_path, monkeypatch, host):
    _fake_ssh(tmp_path, monkeypatch, "touch " + str(tmp_path / "called"))
    with pytest.raises(UsageError) as caught:
        measure(model, host=host)
    assert sentence(caught).startswith(f"{host!r} is no host: give a name of your ssh configuration")
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    "host", ["pi", "pi@kitchen.local", "ssh://pi@10.0.0.7:2222", "fe80::1%eth0", "[::1]", "a_b-c.d"]
)
def test_hosts_that_are_names(host):
    assert rpi.checked_host(host) == host


def test_no_host(model):
    with pytest.raises(UsageError, match="No machine was named: say --host, or write host under"):
        measure(model, host=None)


def test_wrong_options(model):
    with pytest.raises(UsageError, match="Received 0 threads and 20 runs: give at least 1 of each"):
        measure(model, threads=0)
    with pytest.raises(UsageError, match="give one of them"):
        measure(model, setup=True)


# ---------------------------------------------------------------- it cannot measure there


def _python(folder: Path, arguments: str) -> str:
    """A Python that is called with these arguments first."""
    program = folder / "python-of-its-own"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {arguments} "$@"\n')
    program.chmod(0o755)
    return str(program)


def test_a_missing_runtime_names_the_command(far, model, tmp_path):
    far.start()
    hidden = tmp_path / "hidden"
    for name in ("ai_edge_litert", "tflite_runtime"):
        (hidden / name).mkdir(parents=True)
        (hidden / name / "__init__.py").write_text(f"raise ModuleNotFoundError('{name}')")
    python = _python(tmp_path, "")
    Path(python).write_text(f'#!/bin/sh\nPYTHONPATH={hidden} exec {sys.executable} "$@"\n')
    with pytest.raises(EdgeseaError) as caught:
        measure(model, python=python)
    assert sentence(caught) == (
        "pi lacks what it takes (ai-edge-litert is not installed, tflite-runtime is not installed): "
        "call again with --setup, which makes a virtual environment there, or run on it: "
        "python3 -m pip install ai-edge-litert numpy"
    )


def test_a_runtime_that_does_not_load_says_why(far, model, tmp_path):
    far.start()
    hidden = tmp_path / "hidden"
    (hidden / "ai_edge_litert").mkdir(parents=True)
    (hidden / "ai_edge_litert" / "__init__.py").write_text("raise ImportError('GLIBC_2.99 not found')")
    (hidden / "tflite_runtime").mkdir(parents=True)
    (hidden / "tflite_runtime" / "__init__.py").write_text("raise ModuleNotFoundError('no')")
    python = _python(tmp_path, "")
    Path(python).write_text(f'#!/bin/sh\nPYTHONPATH={hidden} exec {sys.executable} "$@"\n')
    with pytest.raises(EdgeseaError, match=r"ai-edge-litert cannot be loaded \(GLIBC_2\.99 not found\)"):
        measure(model, python=python)


def test_missing_numpy(far, model, tmp_path):
    far.start()
    with pytest.raises(EdgeseaError, match=r"pi lacks what it takes \(NumPy: No module named 'numpy'\)"):
        measure(model, python=_python(tmp_path, "-S"))


@pytest.mark.parametrize("python", ["/nowhere/python3", "/etc", NASTY, "a\0b"])
def test_no_such_python(far, model, python):
    far.start()
    with pytest.raises(EdgeseaError) as caught:
        measure(model, python=python)
    assert sentence(caught).startswith("pi has no usable Python there (")
    assert sentence(caught).endswith("name one of 3.9 or newer with --python")


def test_no_python3_at_all(far, model, tmp_path):
    far.start(environment={"PATH": str(tmp_path / "home")})
    with pytest.raises(EdgeseaError) as caught:
        measure(model)
    assert sentence(caught).startswith("pi has no python3 (")


def test_a_full_disk(far, model):
    far.start(file_bytes=1024)
    with pytest.raises(EdgeseaError) as caught:
        measure(model)
    assert sentence(caught).startswith(f"pi cannot write what is to be measured ({far.temporary}/edgesea-")
    assert "File too large" in sentence(caught)
    assert sentence(caught).endswith("free some space or set TMPDIR there")


def test_a_full_file_system(far, model):
    # 32 KB hold neither this file of Python nor the model.
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", far.temporary], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a tmpfs")
    try:
        far.start()
        big = far.folder / "big.tflite"
        big.write_bytes(model.read_bytes() + bytes(1 << 20))
        with pytest.raises(EdgeseaError, match="No space left on device"):
            measure(big)
        assert far.left() == []
    finally:
        subprocess.run(["umount", far.temporary], check=True)


def test_a_model_that_does_not_run_there(far, model, tmp_path):
    # A runtime of its own, which is there and says no.
    far.start()
    package = tmp_path / "ours" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "interpreter.py").write_text(
        "class OpResolverType:\n    AUTO = BUILTIN_REF = BUILTIN_WITHOUT_DEFAULT_DELEGATES = 0\n"
        "def Interpreter(**_):\n    raise RuntimeError('Op builtin_code out of range: 250')\n"
    )
    python = _python(tmp_path, "")
    Path(python).write_text(f'#!/bin/sh\nPYTHONPATH={package.parent} exec {sys.executable} "$@"\n')
    with pytest.raises(EdgeseaError) as caught:
        measure(model, python=python)
    assert sentence(caught) == "the runtime on pi cannot run this model: Op builtin_code out of range: 250"


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("import os; os.kill(os.getpid(), 9)", "was killed, as a machine without enough memory does"),
        ("import os; os.abort()", "the measuring process ended by signal 6"),
        ("raise SystemExit('out of \x1b[31m luck')", "ended with status 1: out of ?[31m luck"),
    ],
)
def test_a_measurement_that_dies(far, model, tmp_path, statement, words):
    far.start()
    package = tmp_path / "ours" / "ai_edge_litert"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(statement)
    python = _python(tmp_path, "")
    Path(python).write_text(f'#!/bin/sh\nPYTHONPATH={package.parent} exec {sys.executable} "$@"\n')
    with pytest.raises(EdgeseaError) as caught:
        measure(model, python=python)
    assert sentence(caught).startswith("the measurement on pi failed: ")
    assert words in sentence(caught)


# ---------------------------------------------------------------- cut in the middle


def test_the_connection_is_cut(cut, far):
    thread, caught = cut
    far.cut(signal.SIGKILL)
    thread.join(PATIENCE_S)
    assert str(caught[0]).startswith("the connection to pi broke (")
    assert far.empty()


def test_the_supervisor_is_killed(cut, far):
    thread, caught = cut
    folder = next(far.temporary.iterdir())
    workers = programs(folder)
    parents = {parent for pid, parent, _ in processes() if pid in workers}
    for parent in parents:
        os.kill(parent, signal.SIGKILL)
    thread.join(PATIENCE_S)
    assert "broke" in str(caught[0])
    assert far.empty()
    assert until(lambda: not programs(folder))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_near_side_stops(far, model, edgesea_process, how):
    far.start()
    process = edgesea_process(
        *("bench", model, "--device", "rpi", "--host", "pi", "--python", sys.executable),
        before="import edgesea.devices.rpi as r; r.measure.__kwdefaults__.update(limit_s=1e6, runs=10**9)",
    )
    assert far.working()
    folder = next(far.temporary.iterdir())
    process.send_signal(how)
    _, errors = process.communicate(timeout=PATIENCE_S)
    if how == signal.SIGINT:
        assert process.returncode == 1
        assert errors.splitlines()[-1] == "edgesea: Stopped: call the same again to go on."
        assert far.left() == []  # before edgesea returns, not some time after
    assert far.empty()
    assert until(lambda: not programs(folder))


def test_two_at_once(cut, far, model):
    with pytest.raises(EdgeseaError) as caught:
        measure(model)
    assert sentence(caught) == (
        "pi is being measured already, and two at once disturb each other: try again later"
    )
    thread, first = cut
    assert thread.is_alive()  # the first one goes on
    far.cut(signal.SIGTERM)
    thread.join(PATIENCE_S)
    assert first


# ---------------------------------------------------------------- an ssh that misbehaves


def _fake_ssh(folder: Path, monkeypatch, *commands: str) -> None:
    """An ssh that runs these lines of sh instead."""
    bin = folder / "fake"
    bin.mkdir()
    (bin / "ssh").write_text("#!/bin/sh\n" + "\n".join(commands) + "\n")
    (bin / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")


def test_what_ssh_is_told(model, tmp_path, monkeypatch):
    _fake_ssh(tmp_path, monkeypatch, f'printf "%s\\0" "$@" > {tmp_path}/told', "exit 255")
    with pytest.raises(EdgeseaError, match="cannot be reached"):
        measure(model, python=NASTY)
    told = (tmp_path / "told").read_bytes().decode().split("\0")[:-1]
    assert told[-3:] == ["--", "pi", rpi.REMOTE]
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes"} <= set(told)
    # One constant that sh, csh and fish read alike.
    assert rpi.REMOTE.count("'") == 2
    assert not set("!\\`$\n") & set(rpi.REMOTE)


def test_ssh_is_not_installed(model, monkeypatch):
    monkeypatch.setattr(rpi.shutil, "which", lambda _: None)
    with pytest.raises(EdgeseaError, match="ssh is not installed: run `sudo apt install openssh-client`"):
        measure(model)


def test_silence(model, tmp_path, monkeypatch):
    monkeypatch.setattr(rpi, "SILENCE_S", 1)
    monkeypatch.setattr(rpi, "FAREWELL_S", 0.2)
    _fake_ssh(tmp_path, monkeypatch, "exec sleep 600")
    start = time.monotonic()
    with pytest.raises(EdgeseaError, match="pi has said nothing for 1 seconds: see if it is up"):
        measure(model)
    assert time.monotonic() - start < PATIENCE_S


def test_a_shell_that_refuses(model, tmp_path, monkeypatch):
    _fake_ssh(tmp_path, monkeypatch, "echo This account is not available; exit 1")
    with pytest.raises(EdgeseaError, match=r"pi did not run the measurement .*status 1, no reason given"):
        measure(model)


def test_an_answer_without_end(model, tmp_path, monkeypatch):
    monkeypatch.setattr(rpi.answers, "TALK_BYTES", 1 << 16)
    monkeypatch.setattr(rpi, "FAREWELL_S", 0.2)
    _fake_ssh(tmp_path, monkeypatch, "exec cat /dev/zero")
    with pytest.raises(EdgeseaError, match="pi answers without end"):
        measure(model)


STATE = {
    "time": "now",
    "load_average": 0.1,
    "governor": None,
    "frequency_mhz": None,
    "temperature_c": 40.5,
    "throttling": "0x0",
}


def _answer(model: Path) -> dict:
    """What a good agent answers for one number of threads."""
    size = rpi.open_interpreter(model, resolver="reference").output.bytes
    output = base64.b64encode(bytes(size)).decode()
    process = {
        "engine": "a runtime",
        "import_ms": 1.0,
        "cold_load_ms": 2.0,
        "first_inference_ms": 3.0,
        "times_ms": [1.0, 2.0, 3.0],
        "outputs": [output],
        "warm_up_runs": 5,
        "empty_interpreter_bytes": 1000,
        "peak_above_empty_bytes": None,
        "before": STATE,
        "after": STATE,
    }
    return {
        "before": STATE,
        "after": STATE,
        "machine": {"machine": "aarch64", "board": "a \x1b[2J board", "emulator": "qemu-aarch64"},
        "processes": [{**process, "configuration": 0}, {**process, "configuration": 1}],
        "reference": {"engine": "a runtime", "outputs": [output]},
    }


def _reply(folder: Path, monkeypatch, *messages) -> None:
    text = "".join(f"edgesea {json.dumps(message)}\n" for message in ({"hello": "3"}, *messages, {"end": 1}))
    (folder / "reply").write_text(text)
    _fake_ssh(folder, monkeypatch, f"cat {folder}/reply", "exec cat > /dev/null")


def test_an_emulated_machine_is_marked(model, tmp_path, monkeypatch):
    _reply(tmp_path, monkeypatch, {"result": _answer(model)})
    found = measure(model)
    assert found["how"]["latency_ms"] == found["how"]["memory"] == "emulated"
    assert found["conditions"]["emulator"] == "qemu-aarch64"
    assert found["conditions"]["board"] == "a ?[2J board"
    assert found["latency_ms"]["median"] == 2.0
    assert found["memory"] == {"empty_interpreter_bytes": 1000, "peak_above_empty_bytes": None}


def test_kernels_that_compute_something_else_are_seen(model, tmp_path, monkeypatch):
    """Once with zeros from there, once with an output that lies seven steps off in one place."""
    answer = _answer(model)
    reference = rpi.open_interpreter(model, resolver="reference")
    here = rpi._outputs(reference, random_inputs(reference.inputs))[0]
    off = here.copy()
    off[3] += -7 if off[3] > 0 else 7
    answer["processes"][1]["outputs"] = [base64.b64encode(off.tobytes()).decode()]
    _reply(tmp_path, monkeypatch, {"result": answer})
    zeros, other = [each["agreement"] for each in measure(model)["configurations"]]
    assert zeros == {
        "values": here.size,
        "differing": np.count_nonzero(here),
        "largest_difference": abs(here.astype(int)).max(),
        "sha256": hashlib.sha256(bytes(here.nbytes)).hexdigest(),
    }
    assert (other["differing"], other["largest_difference"]) == (1, 7)


def test_no_number_is_no_distance():
    here = [np.array([1.0, np.nan], np.float32)]
    found = rpi._apart(here, [np.zeros(2, np.float32).tobytes()])
    assert (found["values"], found["differing"], found["largest_difference"]) == (2, 2, None)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((), None),
        ((), []),
        (("processes",), []),
        (("processes", 0, "times_ms"), []),
        (("processes", 0, "times_ms"), [float("nan")]),
        (("processes", 0, "times_ms"), ["1"]),
        (("processes", 1, "configuration"), 7),
        (("processes", 0, "peak_above_empty_bytes"), "many"),
        (("processes", 0, "outputs"), []),
        (("processes", 0, "outputs", 0), "AA=="),
        (("processes", 0, "before", "throttling"), "zz"),
        (("machine",), {}),
        (("machine", "cores"), float("inf")),
        (("reference", "outputs"), []),
        (("reference", "outputs", 0), "AA=="),
        (("reference", "outputs", 0), "%%"),
        (("after",), {}),
    ],
)
def test_an_answer_that_is_no_measurement(model, tmp_path, monkeypatch, place, value):
    holder = {"result": _answer(model)}
    at, last = holder, "result"
    for key in place:
        at, last = at[last], key
    at[last] = value
    _reply(tmp_path, monkeypatch, holder)
    with pytest.raises(EdgeseaError, match="pi answered with something that is no measurement"):
        measure(model)


@pytest.mark.parametrize("error", [None, "x", {"kind": []}, {"kind": "new", "text": "\x1b]0;x\x07"}])
def test_an_error_that_is_none(model, tmp_path, monkeypatch, error):
    _reply(tmp_path, monkeypatch, {"error": error})
    with pytest.raises(EdgeseaError) as caught:
        measure(model)
    assert sentence(caught).isprintable()
    assert sentence(caught).startswith("the measurement on pi failed: ")


# ---------------------------------------------------------------- --setup


@pytest.mark.slow
def test_setup_that_fails_leaves_nothing(far, model):
    far.start(environment={"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"})
    with pytest.raises(EdgeseaError) as caught:
        measure(model, python=None, setup=True)
    for name in ("ai-edge-litert", "tflite-runtime==2.14.0"):
        assert f"of {name} pip says: ERROR: No matching distribution found for {name}" in sentence(caught)
    assert sentence(caught).startswith("--setup on pi failed (")
    assert far.left() == []


def _wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> None:
    stem = f"{name.replace('-', '_')}-{version}"
    information = {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    content = {**files, **{f"{stem}.dist-info/{key}": text for key, text in information.items()}}
    record = io.StringIO()
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
            record.write(f"{path},,\n")
        archive.writestr(f"{stem}.dist-info/RECORD", record.getvalue() + f"{stem}.dist-info/RECORD,,\n")


@pytest.mark.slow
def test_setup_makes_an_environment_that_the_next_bench_uses(far, model):
    """The registry is a folder with wheels that lead to this environment's own packages."""
    wheels = far.folder / "wheels"
    wheels.mkdir()
    here = Path(sys.modules["numpy"].__file__).parents[1]
    _wheel(wheels, "numpy", "99.0", {"here.pth": f"{here}\n"})
    _wheel(wheels, "ai-edge-litert", "99.0", {"here_too.pth": f"{here}\n"})
    given = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "PIP_CONFIG_FILE": "/dev/null"}
    far.start(environment=given)
    try:
        assert measure(model, python=None, setup=True)["latency_ms"]["n"] == 20
        environment = far.home / ".edgesea" / "venv"
        assert (environment / "edgesea-ready").read_text() == "ai-edge-litert numpy"
        assert measure(model, python=None)["latency_ms"]["n"] == 20
        assert [path.name for path in far.temporary.iterdir()] == []
    finally:
        shutil.rmtree(far.home / ".edgesea")
