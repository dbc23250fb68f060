"""listen.py as a program: files, pipes, a microphone that stutters and vanishes, what it writes."""

import ast
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from banded import LABELS, RATE, sound, write_wav

from edgesea import datasets
from edgesea.evaluation import decided
from edgesea.exporting import load_bundle
from edgesea.listen import listen

PATIENCE_S = 120  # no test waits so long unless it fails


def program(*arguments, **options):
    command = [sys.executable, listen.__file__, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, **options)


def events(output: bytes) -> list[dict]:
    lines = [json.loads(line) for line in output.decode().splitlines()]
    return [line for line in lines if "event" in line]


@pytest.fixture(scope="module")
def wav(tmp_path_factory):
    return write_wav(tmp_path_factory.mktemp("wav") / "sound.wav", sound())


@pytest.fixture(scope="module")
def heard(listening_bundle, wav):
    done = program(listening_bundle, wav)
    assert done.returncode == 0, done.stderr
    return events(done.stdout)


def test_the_same_wav_is_the_same_events_as_evaluate_counts(listening_bundle, wav, heard):
    bundle = load_bundle(listening_bundle)
    said, _ = decided.say(bundle, datasets.load(wav), [0])
    assert len(said) >= 5
    assert {each.label for each in said} == set(LABELS)
    assert [(each["event"], each["samples"], each["confidence"]) for each in heard] == [
        (each.label, each.samples, (each.pooled * 10000 >> 16) / 10000) for each in said
    ]


def test_fast_kernels_say_the_same(listening_bundle, wav, heard):
    found = events(program(listening_bundle, wav, "--kernels", "fast").stdout)
    assert [each["event"] for each in found] == [each["event"] for each in heard]


def test_a_pipe_says_the_same_as_the_file(listening_bundle, heard):
    done = program(listening_bundle, "-", input=sound().astype("<i2").tobytes())
    found = events(done.stdout)
    assert [each["samples"] for each in found] == [each["samples"] for each in heard]
    status = json.loads(done.stdout.decode().splitlines()[-1])["status"]
    assert status["samples"] == 12 * RATE
    assert status["events"] == len(found)
    assert status["dropped_samples"] == 0


def test_it_needs_nothing_of_edgesea(listening_bundle, wav, tmp_path):
    """Copied alone into an empty folder, with edgesea out of reach."""
    copy = tmp_path / "listen.py"
    copy.write_bytes(Path(listen.__file__).read_bytes())
    run = "import runpy, sys; sys.argv = sys.argv[1:]; sys.modules |= {'edgesea': None, 'tensorflow': None}; "
    run += "runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", run, str(copy), str(listening_bundle), str(wav)]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr
    assert events(done.stdout)


def test_it_is_python_3_9():
    """No syntax that 3.9 lacks: match, unions at run time, parenthesised contexts."""
    ast.parse(Path(listen.__file__).read_text(), feature_version=(3, 9))


def test_time_stamps_count_samples(heard):
    def seconds(text):
        clock = text.rstrip("Z").split("T")[1]
        hours, minutes, rest = clock.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)

    for one, other in pairwise(heard):
        apart = (seconds(other["time"]) - seconds(one["time"])) % 86400
        assert apart == pytest.approx((other["samples"] - one["samples"]) / RATE, abs=0.002)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["absent", "x.wav"], "absent/manifest.json cannot be read"),
        (["BUNDLE", "absent.wav"], "absent.wav is no WAV"),
        (["BUNDLE", "other.wav"], "is not of 16 bits, one channel and 8000 Hz"),
        (["BUNDLE"], "give a file, or --microphone"),
        (["BUNDLE", "-", "--mqtt", "http://x"], "Received --mqtt http://x: give mqtt://HOST"),
    ],
)
def test_what_it_refuses_is_one_sentence(arguments, sentence, listening_bundle, tmp_path):
    if "mqtt" in "".join(arguments):
        pytest.importorskip("paho.mqtt.client")
    write_wav(tmp_path / "other.wav", sound(1), 16000)
    given = [str(listening_bundle) if each == "BUNDLE" else each for each in arguments]
    done = program(*given, cwd=tmp_path, input=b"")
    assert done.returncode == 2
    assert sentence in done.stderr.decode().splitlines()[-1]
    assert "Traceback" not in done.stderr.decode()


def test_golden_vectors_are_checked(listening_bundle, tmp_path):
    done = program(listening_bundle, "--check")
    found = json.loads(done.stdout)
    assert (done.returncode, found["golden"], found["vectors"], found["same"]) == (0, "passed", 6, 1.0)
    fast = json.loads(program(listening_bundle, "--check", "--kernels", "fast").stdout)
    assert fast["golden"] == "passed"
    shutil.copytree(listening_bundle, tmp_path / "b")
    with np.load(tmp_path / "b" / "golden.npz") as arrays:
        held = dict(arrays)
    held["outputs"] = -held["outputs"]
    np.savez(tmp_path / "b" / "golden.npz", **held)
    done = program(tmp_path / "b", "--check")
    assert (done.returncode, json.loads(done.stdout)["golden"]) == (1, "failed")
    model = tmp_path / "b" / "model_int8.tflite"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    done = program(tmp_path / "b", "--check")
    assert done.returncode == 2
    assert b"is not the one that the manifest describes" in done.stderr


def test_events_go_to_a_file_that_is_put_aside(listening_bundle, wav, tmp_path, heard):
    out = tmp_path / "events.jsonl"
    done = program(listening_bundle, wav, "--out", out, "--rotate", 400, "--keep", 2, "--status", 0)
    assert (done.returncode, done.stdout) == (0, b"")
    assert {each.name for each in tmp_path.iterdir()} == {"events.jsonl", "events.jsonl.1", "events.jsonl.2"}
    for file in tmp_path.iterdir():
        assert file.stat().st_size <= 400 or len(file.read_text().splitlines()) == 1
    last = json.loads(out.read_text().splitlines()[-1])
    assert last["status"]["events"] == len(heard)


def test_two_threads_say_whole_lines_while_files_are_put_aside(tmp_path):
    """The microphone's thread says when it is gone and back."""
    lines = listen.Lines(tmp_path / "events.jsonl", most_bytes=200, kept=1000)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    threads = [
        threading.Thread(target=lambda who=who: [lines.say({who: number}) for number in range(1000)])
        for who in ("microphone", "event")
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    said = [json.loads(line) for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    for who in ("microphone", "event"):
        assert sorted(each[who] for each in said if who in each) == list(range(1000))


def test_clips_are_kept_only_when_asked_and_within_their_limit(listening_bundle, wav, tmp_path, heard):
    folder = tmp_path / "clips"
    one = 44 + 2 * listen.Frontend(load_bundle(listening_bundle).frontend.to_dict()).reach
    program(listening_bundle, wav, "--keep-clips", folder, "--clip-bytes", 3 * one)
    kept = sorted(each.name for each in folder.iterdir())
    assert len(kept) == 3
    assert [name.split("-")[-1] for name in kept] == [f"{each['event']}.wav" for each in heard[-3:]]
    assert sum(each.stat().st_size for each in folder.iterdir()) <= 3 * one


class Microphone:
    """A FIFO that a test writes sound to, and listen.py on its other end."""

    def __init__(self, bundle, folder, *options):
        self.fifo = folder / "microphone"
        os.mkfifo(self.fifo)
        command = [sys.executable, listen.__file__, str(bundle), "--microphone", str(self.fifo), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines: list[dict] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def play(self, pcm, pause_s=0.0, block=RATE // 5):
        """Opens the FIFO, writes, and closes it."""
        with open(self.fifo, "wb", buffering=0) as file:
            for start in range(0, len(pcm), block):
                file.write(pcm[start : start + block].astype("<i2").tobytes())
                time.sleep(pause_s)

    def until(self, condition) -> bool:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            if condition(list(self.lines)):
                return True
            time.sleep(0.02)
        return condition(list(self.lines))

    def said(self, key, value) -> bool:
        return self.until(lambda lines: any(line.get(key) == value for line in lines))

    def end(self) -> dict:
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0, self.process.stderr.read()
        self._reader.join(PATIENCE_S)
        self.process.stdout.close()
        self.process.stderr.close()
        return self.lines[-1]["status"]


@pytest.fixture
def microphone(listening_bundle, tmp_path):
    held = Microphone(listening_bundle, tmp_path, "--status", "0.5")
    yield held
    if held.process.poll() is None:
        held.process.kill()
        held.process.wait()


def test_a_microphone_that_stutters_vanishes_and_comes_back(microphone, heard):
    """It never ends the program, nothing is dropped, and what comes after is heard as before."""
    pcm = sound()
    microphone.play(pcm[: 6 * RATE], pause_s=0.02, block=777)
    assert microphone.said("microphone", "gone")
    microphone.play(pcm[6 * RATE :], pause_s=0.01, block=1931)
    assert microphone.said("microphone", "back")
    # A block of a tenth of a second that was not full is lost with the microphone.
    least = 12 * RATE - 2 * RATE // 10
    assert microphone.until(
        lambda lines: any(line.get("status", {}).get("samples", 0) >= least for line in lines)
    )
    status = microphone.end()
    assert status["dropped_samples"] == 0
    found = [line["event"] for line in microphone.lines if "event" in line]
    assert len(found) >= len(heard) - 2


def test_what_comes_too_fast_is_dropped_counted_and_said(listening_bundle, tmp_path):
    """A thousand seconds at once: more than the five that may wait."""
    held = Microphone(listening_bundle, tmp_path, "--status", "0.5")
    try:
        quiet = np.random.default_rng(0).normal(0, 50, 1000 * RATE).astype(np.int16)
        held.play(quiet, block=RATE * 10)
        assert held.said("microphone", "gone")
        status = held.end()
        assert status["dropped_samples"] > 0
        # What was heard and what was dropped is all there was, but for the last block and what waited.
        assert status["samples"] <= 1000 * RATE
        assert status["frames"] * 6 * 256 + status["dropped_samples"] <= 1010 * RATE
        assert held.lines[-1]["status"]["waiting_s"] <= listen.HELD_S
    finally:
        if held.process.poll() is None:
            held.process.kill()
            held.process.wait()


def test_a_live_clock_is_set_anew_and_a_files_is_not():
    now = [1000.0]
    live, fixed = (listen.Clock(100, live=each, now=lambda: now[0]) for each in (True, False))
    now[0] = 1010.0
    for clock in (live, fixed):
        clock.heard(950)  # the sound card lags by half a second: let be
    assert live.when(950) == fixed.when(950) == 1009.5
    now[0] = 1020.0
    for clock in (live, fixed):
        clock.heard(1800)
    assert live.when(1800) == 1020.0
    assert fixed.when(1800) == 1018.0


@pytest.mark.slow
def test_memory_is_flat_over_an_hour_of_audio_and_time_does_not_drift(listening_bundle):
    hour = 3600 * RATE
    command = [sys.executable, listen.__file__, str(listening_bundle), "-", "--status", "1"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    piece = sound(60).astype("<i2").tobytes()
    peaks = []

    def feed():
        for _ in range(60):
            process.stdin.write(piece)
        # Of this process alone: what the system counts of children includes every other test's.
        status = Path(f"/proc/{process.pid}/status").read_text()
        peaks.append(int(status.split("VmHWM:")[1].split()[0]) << 10)
        process.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    lines = [json.loads(line) for line in process.stdout]
    feeder.join()
    assert process.wait(60) == 0
    statuses = [line["status"] for line in lines if "status" in line]
    assert statuses[-1]["samples"] == hour
    early = max(each["memory_bytes"] for each in statuses[: max(2, len(statuses) // 4)])
    assert statuses[-1]["memory_bytes"] <= early + (4 << 20)
    said = [line for line in lines if "event" in line]
    # The same minute sixty times: from the second on, the same events at the same places.
    per_minute = {}
    for each in said:
        per_minute.setdefault(each["samples"] // (60 * RATE), []).append(each["event"])
    assert len(per_minute) == 60
    first, last = said[0], said[-1]
    when = [time.mktime(time.strptime(each["time"][:19], "%Y-%m-%dT%H:%M:%S")) for each in (first, last)]
    assert when[1] - when[0] == pytest.approx((last["samples"] - first["samples"]) / RATE, abs=1.001)
    assert 1 << 20 < peaks[0] < 1 << 30
