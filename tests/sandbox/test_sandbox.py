"""A child process whose every end is a sentence, and that never takes its parent along."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgesea import sandbox
from edgesea.errors import EdgeseaError, UsageError
from edgesea.sandbox import Limits, Sandbox, limits

SMALL = Limits(512 << 20, 1.0)


@pytest.fixture
def held(monkeypatch):
    """A sandbox that holds `faults`."""
    here = str(Path(__file__).parent)
    monkeypatch.syspath_prepend(here)
    # A nursery has the path of imports that it was started with.
    monkeypatch.setattr(sandbox, "_started", {})
    with Sandbox("a.tflite", "faults:nothing", {}, limits=SMALL) as opened:
        yield opened


def test_values_and_arrays_come_back_as_they_went(held):
    for array in (
        np.arange(12, dtype=np.float32).reshape(3, 4),
        np.array(5, np.int8),
        np.zeros((0, 3), np.uint16),
        np.array([1 + 2j], np.complex64),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    ):
        back = held.call("faults:same", array)
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)
    assert held.call("faults:add", "x", b="ü") == "xü"
    assert held.call("faults:add", [1, {"array": [2]}], b=[None]) == [1, {"array": [2]}, None]
    assert held.call("faults:same", b"\0\xff") == b"\0\xff"


@pytest.mark.parametrize(
    ("function", "args", "sentence"),
    [
        ("crash", [signal.SIGSEGV], r"ended the process that ran it \(SIGSEGV\): the file is damaged"),
        ("crash", [signal.SIGKILL], r"ended the process that ran it \(SIGKILL\)"),
        ("leave", [], r"ended the process that ran it \(exit code 3\)"),
        ("spin", [], r"took more than 1 s of processor time: .* EDGESEA_MODEL_LIMITS=10"),
        ("fill", [], r"takes more than 512 MB of memory: give a smaller model"),
        ("fail", [], r"cannot be run \(KeyError: 'a\\nb'\): the file is damaged"),
        ("lie", [], r"broke the process that ran it \(a message of .*\): the file is damaged"),
    ],
)
def test_every_end_is_one_sentence_that_names_the_file(held, function, args, sentence):
    with pytest.raises(EdgeseaError, match=sentence) as caught:
        held.call(f"faults:{function}", *map(int, args))
    assert type(caught.value) is EdgeseaError
    assert str(caught.value).startswith("a.tflite ")
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_edgeseas_own_sentences_come_through(held):
    with pytest.raises(UsageError, match=r"^The shape is wrong: give another\.$"):
        held.call("faults:refuse")
    assert held.call("faults:add", 1) == 1, "the child lives on"


def test_what_sleeps_for_ever_is_ended_by_the_clock(held, monkeypatch):
    monkeypatch.setattr(Limits, "wall_s", property(lambda self: -19.5))
    start = time.monotonic()
    with pytest.raises(EdgeseaError, match=r"gave no answer in .* s: it does not run here"):
        held.call("faults:sleep", 60)
    assert time.monotonic() - start < 30


def test_a_flood_on_stderr_is_cut_off(held):
    with pytest.raises(EdgeseaError, match="OSError"):
        held.call("faults:flood")
    assert os.fstat(held._errors.fileno()).st_size <= 1 << 20


def test_processor_time_is_counted_anew_for_every_call(held):
    spin = "edgesea.sandbox.nursery:allow_cpu"
    with pytest.raises(EdgeseaError):
        held.call(spin)  # one argument too few: the child lives
    for _ in range(4):
        held.call("faults:add", 1)
    assert held.call("faults:add", 2) == 2


def test_a_dead_one_says_so_and_others_live(held):
    with Sandbox("b.tflite", "faults:nothing", {}, limits=SMALL) as other:
        with pytest.raises(EdgeseaError):
            held.call("faults:crash", int(signal.SIGSEGV))
        with pytest.raises(EdgeseaError, match=r"^a\.tflite is closed: open it again\.$"):
            held.call("faults:add", 1)
        assert other.call("faults:add", 1) == 1
    assert other.peak_bytes > 1 << 20


def test_garbage_that_is_collected_in_the_middle_of_a_request_waits_for_its_end(held):
    """A collector runs at any moment, in the thread that talks to the nursery too."""
    lost = Sandbox("b.tflite", "faults:nothing", {}, limits=SMALL)
    child, nursery = lost._child, lost._nursery
    with nursery.lock:
        thread = threading.Thread(target=lost._finalizer, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
        assert Path(f"/proc/{child}").exists()
    assert held.call("faults:same", 1) == 1
    Sandbox("c.tflite", "faults:nothing", {}, limits=SMALL).close()
    assert not Path(f"/proc/{child}").exists()
    assert not nursery.forgotten


def test_what_nobody_holds_is_ended(held):
    lost = Sandbox("b.tflite", "faults:nothing", {}, limits=SMALL)
    child = lost._child
    del lost
    gc.collect()
    assert not Path(f"/proc/{child}").exists()


def test_a_killed_nursery_is_replaced(held):
    held._nursery.process.kill()
    held._nursery.process.wait()
    with Sandbox("b.tflite", "faults:nothing", {}, limits=SMALL) as other:
        assert other.call("faults:add", 1) == 1


def test_nothing_outlives_a_killed_edgesea(tmp_path):
    """SIGKILL to the parent while its child spins: nursery and child are gone within seconds."""
    program = (
        "import sys, threading; sys.path.insert(0, sys.argv[1]);"
        "from edgesea.sandbox import Limits, Sandbox;"
        "held = Sandbox('a', 'faults:nothing', {}, limits=Limits(1 << 30, 100.0));"
        "print(held._nursery.process.pid, held._child, flush=True);"
        "held.call('faults:spin')"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(Path(__file__).parent)], stdout=subprocess.PIPE, text=True
    )
    pids = [int(word) for word in parent.stdout.readline().split()]
    parent.kill()
    parent.communicate()
    last = time.monotonic() + 20
    while any(_lives(pid) for pid in pids) and time.monotonic() < last:
        time.sleep(0.05)
    assert not any(_lives(pid) for pid in pids)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_limits_grow_with_the_file_and_by_the_factor(monkeypatch):
    small, large = limits(0), limits(100 << 20)
    assert large.memory_bytes - small.memory_bytes == 8 * (100 << 20)
    assert large.cpu_s - small.cpu_s == 100
    assert small.memory_bytes < 1 << 30
    assert small.cpu_s < 5
    monkeypatch.setenv("EDGESEA_MODEL_LIMITS", "10")
    assert limits(0).memory_bytes == 10 * small.memory_bytes
    for text in ("x", "0", "-1", "nan", "inf"):
        monkeypatch.setenv("EDGESEA_MODEL_LIMITS", text)
        with pytest.raises(UsageError, match=r"^Received EDGESEA_MODEL_LIMITS=.*: give a number above 0"):
            limits(0)
