"""Deploys over a real ssh: versions, the golden test, a service that has to hear, and everything going
wrong."""

import contextlib
import fcntl
import json
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from sshd import until

from edgesea import deploy as module
from edgesea.deploy import deploy, place, roll_back
from edgesea.errors import EdgeseaError, UsageError


@pytest.fixture
def put(pi):
    """Deploys to the Pi with this Python, and the FIFO as its microphone."""

    def call(bundle, **options):
        given = {"host": "pi", "python": sys.executable, "microphone": str(pi.fifo)}
        return deploy(bundle, **given | options)

    return call


@pytest.fixture
def impatient(monkeypatch):
    """A service has thirty seconds to hear ten of sound, in the place of ninety."""
    whole = module.source_of_place()
    assert b"HEARD_S = 300, 1800, 90" in whole
    changed = whole.replace(b"HEARD_S = 300, 1800, 90", b"HEARD_S = 300, 1800, 30")
    monkeypatch.setattr(module, "source_of_place", lambda: changed)


def deployed(put, bundle) -> bool:
    """Whether it could be deployed: not while another deploy is at it."""
    try:
        put(bundle)
    except EdgeseaError:
        return False
    return True


def lines_since(pi) -> bool:
    """Whether the service goes on to speak."""
    file = pi.base / "events.jsonl"
    before = file.stat().st_size
    return until(lambda: file.stat().st_size > before)


def test_first_install_upgrade_and_the_way_back(pi, put, first, second, broken, impatient):
    """One Pi through its life, since each step takes seconds: what is live always listens."""
    made = put(first, service=True)
    assert (made["host"], made["name"], made["previous"]) == ("pi", "bands", None)
    assert made["golden"]["golden"] == "passed"
    assert made["service"]["samples"] >= 10 * 8000
    assert made["service"]["behind_s"] <= 5
    assert made["service"]["memory_bytes"] > 1 << 20
    assert pi.live() == made["version"]
    unit = pi.home / ".config" / "systemd" / "user" / "edgesea-bands.service"
    assert unit.stat().st_mode & 0o077 == 0
    assert lines_since(pi)

    # A broken bundle: the golden test fails over there, and nothing has changed.
    running = pi.pid()
    with pytest.raises(
        EdgeseaError, match=r"does not pass its golden test on pi .*: the old version goes on"
    ):
        put(broken, service=True)
    assert (pi.live(), pi.pid(), pi.versions()) == (made["version"], running, [made["version"]])
    assert lines_since(pi)

    # An upgrade.
    newer = put(second, service=True)
    assert newer["previous"] == made["version"]
    assert pi.live() == newer["version"] != made["version"]
    assert pi.versions() == sorted([made["version"], newer["version"]])
    assert pi.pid() != running

    # A service that hears nothing is taken back: the one before goes on.
    with pytest.raises(EdgeseaError, match="The new service on pi did not come up"):
        put(first, service=True, microphone=str(pi.folder / "nothing"))
    assert pi.live() == newer["version"]
    assert str(pi.fifo) in unit.read_text()
    assert lines_since(pi)

    back = roll_back(host="pi", name="bands")
    assert (back["version"], back["previous"]) == (made["version"], newer["version"])
    assert back["service"]["samples"] >= 10 * 8000


def test_without_a_service_it_is_only_put_there(pi, put, first):
    made = put(first, name="Kitchen 2!")
    base = pi.home / ".local" / "share" / "edgesea" / "kitchen-2"
    assert made["name"] == "kitchen-2"
    assert made["service"] is None
    done = subprocess.run(
        [sys.executable, base / "current" / "listen.py", base / "current" / "bundle", "--check"],
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["golden"] == "passed"
    assert not (pi.home / ".config").exists()
    again = put(first, name="Kitchen 2!")
    assert (again["version"], again["previous"]) == (made["version"], made["version"])
    with pytest.raises(EdgeseaError, match="pi has no earlier version to go back to"):
        roll_back(host="pi", name="kitchen-2")


def test_two_at_once_the_second_is_refused(pi, put, first):
    put(first)
    with open(pi.base / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EdgeseaError, match="Somebody else deploys to pi at this moment"):
            put(first)
    put(first)


def test_a_disk_that_is_full_changes_nothing(pi, put, first, second):
    made = put(first)
    pi.cut(signal.SIGKILL)
    pi.server.kill()
    pi.server.wait()
    pi.start(file_bytes=6000)  # larger files cannot be written
    with pytest.raises(
        EdgeseaError, match=r"pi cannot write .*: nothing was changed|connection to pi failed"
    ):
        put(second)
    assert pi.live() == made["version"]
    assert [each for each in pi.versions() if not each.startswith(".new-")] == [made["version"]]


def test_too_little_room_is_seen_before_anything_is_copied(pi, put, first, monkeypatch):
    whole = module.source_of_place()
    changed = whole.replace(b"SPARE_BYTES = 8 << 20", b"SPARE_BYTES = 1 << 60")
    assert changed != whole
    monkeypatch.setattr(module, "source_of_place", lambda: changed)
    with pytest.raises(EdgeseaError, match=r"pi has no room .*bytes are free and .* are wanted"):
        put(first)
    assert pi.versions() == []


@pytest.mark.slow
def test_a_connection_that_is_cut_leaves_nothing_half(pi, put, first, second):
    """At ten moments: what is live is one whole version or the other, and the next deploy works."""
    made = put(first)
    took = time.monotonic()
    newer = put(second)["version"]
    took = time.monotonic() - took
    roll_back(host="pi", name="bands")
    for moment in range(10):
        before = pi.live()
        target = second if before == made["version"] else first
        cut = threading.Timer(took * (moment + 0.5) / 10, pi.cut, [signal.SIGKILL])
        cut.start()
        with contextlib.suppress(EdgeseaError):
            put(target)
        cut.join()
        time.sleep(0.5)
        assert pi.live() in (made["version"], newer)
        for version in pi.versions():
            if not version.startswith(".new-"):
                files = [each for each in (pi.base / "versions" / version).rglob("*") if each.is_file()]
                assert len(files) == 6
    # What was cut off may still be at its golden test.
    assert until(lambda: deployed(put, first))
    assert not [each for each in pi.versions() if each.startswith(".new-")]


def test_a_missing_systemd_is_said_and_nothing_stays(pi, put, first):
    pi.home.joinpath("no-systemd").touch()
    with pytest.raises(EdgeseaError, match=r"systemd on pi refuses \(Failed to connect to bus\)"):
        put(first, service=True)
    assert not list((pi.home / ".config").rglob("*.service"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"host": None}, "No machine was named"),
        ({"host": "-oProxyCommand=x"}, "is no host"),
        ({"name": "!!"}, "Received the name '!!': give one of letters and digits"),
        ({"setup": True, "python": "/x"}, "give one of them"),
        ({"kernels": "quick"}, "There are no kernels 'quick': choose reference or fast"),
    ],
)
def test_wrong_calls_are_one_sentence(options, sentence, first):
    with pytest.raises(UsageError, match=sentence):
        deploy(first, **{"host": "pi"} | options)


def test_a_bundle_that_decides_nothing_is_refused(small_bundle):
    with pytest.raises(UsageError, match="has neither head nor memory, or no frontend"):
        deploy(small_bundle, host="pi")


def test_a_python_that_is_not_there_is_said(pi, put, first):
    with pytest.raises(EdgeseaError, match=r"golden test on pi .*No such file"):
        put(first, python="/absent/python")
    assert pi.live() is None


def test_systemd_reads_the_unit_as_it_was_meant(tmp_path):
    """Odd words too: quotes, spaces, percent and dollar signs."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = place.unit_text("bands", ["/bin/echo", "a b", 'c"d', "50%", "$HOME", "back\\slash"])
    unit = tmp_path / "edgesea-bands.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    complaints = [line for line in done.stderr.splitlines() if "edgesea" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr
    wrong = tmp_path / "edgesea-wrong.service"
    wrong.write_text(text.replace("ExecStart=", "ExecStart=relative/"))
    done = subprocess.run(["systemd-analyze", "verify", str(wrong)], capture_output=True, text=True)
    assert "edgesea-wrong" in done.stderr
