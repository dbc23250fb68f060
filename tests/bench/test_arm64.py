"""An emulated 64-bit ARM Debian as the Pi: what `edgesea bench --device rpi --setup` does on one.

The system is built once, in minutes, and kept in the user's cache; see `arm64.py`.
"""

import json
import shutil
from pathlib import Path

import arm64
import pytest
from cached import Missing
from runtimes import REQUIREMENTS
from sshd import Far, reached

from edgesea.devices import agent
from edgesea.devices.compare import compare

pytestmark = pytest.mark.slow

# What --setup says that it installed, from a folder that stands for an index and holds one runtime alone.
INSTALLED = dict(zip(REQUIREMENTS, map(" ".join, agent.PACKAGES), strict=True))

LIMIT_S = 900  # of one bench, the installation under emulation included


@pytest.fixture(scope="session")
def root() -> Path:
    try:
        return arm64.userland()
    except Missing as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def models(student) -> list[Path]:
    """int8 students: one made here, and where they are, the paper's Student 3 and a keyword spotter."""
    shared = Path(__file__).resolve().parents[3] / "shared" / "models"
    real = [shared / "sea_student3_int8.tflite", shared / "kws_ref_model.tflite"]
    return [student, *(path for path in real if path.is_file())]


@pytest.mark.parametrize("runtime", REQUIREMENTS)
def test_a_pi(sshd, root, models, python_with, tmp_path, edgesea_process, runtime):
    def bench(model, *options) -> dict:
        out = tmp_path / "out.json"
        process = edgesea_process(
            *("bench", model, "--device", "rpi", "--host", "pi", "--runs", "3", "--out", out, *options),
            before="import edgesea.devices.rpi; edgesea.devices.rpi.PROCESSES = 1",
        )
        _, errors = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0, errors
        return json.loads(out.read_text())

    (tmp_path / "here").mkdir()
    with reached(Far(tmp_path / "here")) as here:
        here.start()
        ours = [bench(model, "--python", python_with(runtime)) for model in models]

    (tmp_path / "pi").mkdir()
    with reached(arm64.Pi(tmp_path / "pi", root)) as pi:
        index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": arm64.wheels(runtime), "PIP_CONFIG_FILE": "/dev/null"}
        pi.start(environment=index)
        try:
            theirs = [bench(models[0], "--setup"), *(bench(model) for model in models[1:])]
            assert (pi.home / ".edgesea" / "venv" / "edgesea-ready").read_text() == INSTALLED[runtime]
            assert list(pi.temporary.iterdir()) == []
        finally:
            shutil.rmtree(pi.home / ".edgesea", ignore_errors=True)

    for found, other in zip(theirs, ours, strict=True):
        conditions = found["conditions"]
        assert (conditions["machine"], conditions["bits"]) == ("aarch64", 64)
        assert conditions["system"] == "Debian GNU/Linux 12 (bookworm)"
        assert conditions["cpu"] == "implementer 0x41, part 0xd08"
        assert conditions["runtime"] == runtime
        assert conditions["emulator"].startswith("qemu-aarch64")
        assert {found["how"][key] for key in ("latency_ms", "memory", "configurations")} == {"emulated"}
        assert all(1 <= each["latency_ms"]["n"] <= 3 for each in found["configurations"])

        # The reference kernels give the same bytes on both processors, and the runtimes lie a step apart.
        assert found["agreement"]["there"] == f"{runtime}, reference kernels, no delegate"
        assert found["agreement"]["sha256"] == other["agreement"]["sha256"]
        assert found["agreement"]["largest_difference"] <= 1

        # Kernels made for one processor may round apart from those for another, XNNPACK's among them;
        # tflite-runtime 2.14 uses XNNPACK for float models only.
        ends = [each["engine"].rpartition(", ")[2] for each in found["configurations"]]
        assert ends == ["XNNPACK" if runtime.startswith("ai-edge-litert") else "no delegate", "no delegate"]
        assert all(each["agreement"]["largest_difference"] <= 2 for each in found["configurations"])

        compared = compare(other, found)
        assert compared["same_model"]
        differences = {each["what"]: (each["a"], each["b"]) for each in compared["differences"]}
        assert differences["conditions.machine"][1] == "aarch64"
        assert "kernels.reference.output" not in differences
        assert any("ran in an emulator (qemu-aarch64" in warning for warning in compared["warnings"])
