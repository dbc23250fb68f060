"""Deploys to an emulated 64-bit ARM Debian, as on a Pi: environment, service, upgrade, a broken bundle."""

import os

import arm64
import pytest
from cached import Missing
from deployed import Arm64
from sshd import until

from edgesea import deploy as module
from edgesea.deploy import deploy, roll_back
from edgesea.errors import EdgeseaError

pytestmark = pytest.mark.slow


@pytest.fixture
def pi(tmp_path, monkeypatch):
    try:
        root = arm64.userland()
    except Missing as reason:
        pytest.skip(str(reason))
    machine = Arm64(tmp_path, root, python="/usr/bin/python3")
    monkeypatch.setenv("PATH", f"{machine.bin}:{os.environ['PATH']}")
    index = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": arm64.wheels("ai-edge-litert")}
    machine.start(environment={**index, "PIP_CONFIG_FILE": "/dev/null"})
    yield machine
    machine.close()


def lines_since(pi) -> bool:
    """Whether the service goes on to speak."""
    before = (pi.base / "events.jsonl").stat().st_size
    return until(lambda: (pi.base / "events.jsonl").stat().st_size > before)


def test_install_upgrade_and_a_broken_bundle(pi, first, second, broken, monkeypatch):
    # Emulated, and beside other tests, everything takes longer than on a Pi.
    whole = module.source_of_place()
    patient = whole.replace(
        b"CHECK_S, VENV_S, HEARD_S = 300, 1800, 90", b"CHECK_S, VENV_S, HEARD_S = 900, 1800, 900"
    )
    assert patient != whole
    monkeypatch.setattr(module, "source_of_place", lambda: patient)
    given = {"host": "pi", "service": True, "microphone": str(pi.fifo)}

    made = deploy(first, setup=True, **given)
    assert made["python"] == str(pi.base / "venv" / "bin" / "python")
    assert made["golden"]["golden"] == "passed"
    assert made["service"]["samples"] >= 10 * 8000
    assert pi.live() == made["version"]
    assert lines_since(pi)

    with pytest.raises(
        EdgeseaError, match=r"does not pass its golden test on pi .*: the old version goes on"
    ):
        deploy(broken, **given)
    assert (pi.live(), pi.versions()) == (made["version"], [made["version"]])
    assert lines_since(pi)

    newer = deploy(second, **given)
    assert (newer["previous"], pi.live()) == (made["version"], newer["version"])
    assert newer["python"] == made["python"]
    assert lines_since(pi)

    back = roll_back(host="pi", name="bands")
    assert (back["version"], back["previous"]) == (made["version"], newer["version"])
    assert back["service"]["samples"] >= 10 * 8000
