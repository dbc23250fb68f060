"""Both runtimes of a Pi the whole way: each alone in an environment of its own, behind a real sshd."""

import json
import signal
import threading
from pathlib import Path

import pytest
from runtimes import NASTY, REQUIREMENTS
from sshd import PATIENCE_S, programs, until

from edgesea import devices as bench
from edgesea.errors import EdgeseaError

pytestmark = pytest.mark.usefixtures("once")

both = pytest.mark.parametrize("runtime", REQUIREMENTS)


def measure(model, python, **options):
    given = {"host": "pi", "python": str(python), "runs": 20, "limit_s": 5.0}
    return bench.measure(model, "rpi", **{**given, **options})


@pytest.fixture
def two(far, python_with, student, edgesea_process):
    """Both runtimes' measurements of one student, as `edgesea bench --out` wrote them, and what it printed.
    Everything that has a name has one that a shell would take apart."""
    odd = far.folder / NASTY
    temporary = far.temporary / NASTY.replace("\n", " ").replace('"', "")
    odd.mkdir()
    temporary.mkdir()
    far.start(environment={"TMPDIR": temporary})
    found = {}
    for runtime in REQUIREMENTS:
        (odd / runtime).symlink_to(python_with(runtime).parents[1])
        out = odd / f"{NASTY} {runtime}.json"
        process = edgesea_process(
            *("bench", student, "--device", "rpi", "--host", "pi", "--runs", "20", "--out", out),
            *("--python", odd / runtime / "bin" / "python", "--threads", "1", "--threads", "2"),
            before="import edgesea.devices.rpi; edgesea.devices.rpi.PROCESSES = 1",
        )
        printed, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, errors
        assert list(temporary.iterdir()) == []
        found[runtime] = (out, json.loads(out.read_text()), printed)
    temporary.rmdir()
    return found


def test_the_whole_way(two, far, edgesea_process):
    for runtime, (_, found, printed) in two.items():
        assert found["conditions"]["runtime"] == runtime
        assert found["conditions"]["emulator"] is None
        assert found["how"]["latency_ms"] == "measured"
        assert found["agreement"]["there"] == f"{runtime}, reference kernels, no delegate"
        assert found["agreement"]["values"] == 256
        # Fully connected layers round once in the one runtime and twice in the other.
        assert found["agreement"]["largest_difference"] <= 1
        assert len(found["configurations"]) == 4
        for each in found["configurations"]:
            assert each["engine"].startswith(f"{runtime}, default kernels, ")
            assert each["latency_ms"]["n"] == 20
            assert each["memory"]["peak_above_empty_bytes"] >= 0
            assert each["agreement"]["largest_difference"] <= 2
        assert runtime in printed
    assert not list(far.folder.rglob("pwned"))
    assert not Path("pwned").exists()

    # A comparison names runtime, version and kernels of every line that it compares.
    process = edgesea_process("bench", "compare", *(out for out, _, _ in two.values()), "--json")
    printed, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    differences = {each["what"]: (each["a"], each["b"]) for each in json.loads(printed)["differences"]}
    for place, kernels in (
        ("kernels.reference.engine", "reference kernels, no delegate"),
        ("kernels.threads 2, XNNPACK off.engine", "default kernels, no delegate"),
    ):
        assert differences[place] == tuple(f"{runtime}, {kernels}" for runtime in REQUIREMENTS)
    engines = tuple(found["engine"] for _, found, _ in two.values())
    assert differences["kernels.threads 1, XNNPACK allowed.engine"] == engines
    assert differences["conditions.runtime"] == tuple(REQUIREMENTS)


@both
def test_a_key_that_changed(far, python_with, student, runtime):
    far.know("other")
    far.start()
    with pytest.raises(EdgeseaError, match="pi shows a host key that your ssh does not know or that has"):
        measure(student, python_with(runtime))


@both
def test_a_host_that_is_off(far, python_with, student, runtime):
    with pytest.raises(EdgeseaError, match=r"pi cannot be reached \(.*refused"):
        measure(student, python_with(runtime))


@both
def test_a_full_disk(far, python_with, student, runtime):
    far.start(file_bytes=8192)
    with pytest.raises(EdgeseaError, match=r"pi cannot write what is to be measured .*File too large"):
        measure(student, python_with(runtime))


@both
def test_a_runtime_without_numpy(far, python_with, student, runtime):
    far.start()
    python = far.folder / "python"
    code = "import sys, runpy; sys.modules['numpy'] = None; runpy.run_path(sys.argv[1], run_name='__main__')"
    python.write_text(f'#!/bin/sh\nexec {python_with(runtime)} -B -c "{code}" "$2"\n')
    python.chmod(0o755)
    with pytest.raises(EdgeseaError, match=r"pi lacks what it takes \(NumPy: .*--setup"):
        measure(student, python)


def test_an_environment_without_a_runtime(far, student, python_with, tmp_path):
    # NumPy of a real environment, and nothing else of it.
    far.start()
    environment = python_with("ai-edge-litert 2.3.0").parents[1]
    packages = next(environment.glob("lib/python3*/site-packages"))
    (tmp_path / "packages").mkdir()
    for path in packages.glob("numpy*"):
        (tmp_path / "packages" / path.name).symlink_to(path)
    python = far.folder / "python"
    base = Path(environment / "bin" / "python").resolve()
    python.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path}/packages exec {base} -S "$@"\n')
    python.chmod(0o755)
    with pytest.raises(EdgeseaError) as caught:
        measure(student, python)
    assert str(caught.value) == (
        "pi lacks what it takes (ai-edge-litert is not installed, tflite-runtime is not installed): "
        "call again with --setup, which makes a virtual environment there, or run on it: "
        "python3 -m pip install ai-edge-litert numpy"
    )


@both
def test_two_at_once_and_a_cut(far, python_with, student, runtime):
    """One measures without end; the other runtime is kept out, until the first one's connection breaks."""
    python = python_with(runtime)
    other = python_with(next(name for name in REQUIREMENTS if name != runtime))
    caught = []

    def work():
        try:
            measure(student, python, runs=10**9, limit_s=1e6)
        except EdgeseaError as error:
            caught.append(str(error))

    far.start()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert far.working()
        folder = next(far.temporary.iterdir())
        with pytest.raises(EdgeseaError, match="pi is being measured already"):
            measure(student, other)
        assert thread.is_alive()
        far.cut(signal.SIGKILL)
        thread.join(PATIENCE_S)
        assert caught[0].startswith("the connection to pi broke (")
        assert far.empty()
        assert until(lambda: not programs(folder))
        assert measure(student, other)["latency_ms"]["n"] == 20
    finally:
        far.stop()
        thread.join(PATIENCE_S)
