"""Measures a model on a Raspberry Pi, or on any Linux machine that ssh reaches.

The system's OpenSSH does the talking, with everything that the user's own configuration says, but for this:
nothing is asked (BatchMode), the host's key must be known already (StrictHostKeyChecking), and nothing is
forwarded. What runs over there is one constant line that reads `agent.py` from its standard input; paths and
names travel as JSON behind it and never become shell text. How the two ends talk is told in `agent.py`, and
what may come back in `answers.py`.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import resource
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgesea.devices import agent, answers
from edgesea.devices.answers import clean
from edgesea.errors import EdgeseaError, UsageError
from edgesea.interpreter import Interpreter, open_interpreter
from edgesea.measures import memory
from edgesea.measures.inputs import random_inputs
from firmware_export.graph import read

# What follows the colon of the device's name.
TARGET = ""

# Without ! and backslash, and quoted once: sh, csh and fish read it alike.
REMOTE = (
    "exec python3 -c 'import sys; r = sys.stdin.buffer; s = r.read(int(r.readline())); a = {}; "
    'exec(s, a); a["serve"](s)\''
)
OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "LogLevel=ERROR",
    "RemoteCommand=none",
    "RequestTTY=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
)

# What a name in ssh's configuration, an address, or ssh://user@host:port is made of. Stricter than ssh, which
# hands the name on to the commands in its configuration (ProxyCommand, Match exec).
HOST = re.compile(r"[A-Za-z0-9_\[:](?:[A-Za-z0-9_.:@%/\[\]+-]*[A-Za-z0-9_\]])?")

SILENCE_S = 60  # after which either end takes the other for gone
PROCESSES = 5  # in which each configuration is measured
FAREWELL_S = 10.0  # how long the far side may take to clean up after Ctrl-C
# How long everything may take, however alive the other end seems: to begin with, for each process, where a
# slow model on a slow machine runs seven times at least, and for --setup.
BEGIN_S, PROCESS_S, SETUP_S = 600.0, 300.0, 3.0 * agent.SETUP_S
# ssh and the far side's standard error, together, into a file here.
MOST_ERROR_BYTES = 16 << 20

MISSING = (
    "{host} lacks what it takes ({text}): call again with --setup, which makes a virtual environment there, "
    "or run on it: python3 -m pip install ai-edge-litert numpy"
)
ERRORS = {
    # kind of the agent's error: the sentence that users see
    "busy": "{host} is being measured already, and two at once disturb each other: try again later",
    "write": "{host} cannot write what is to be measured ({text}): free some space or set TMPDIR there",
    "python": "{host} has no usable Python there ({text}): name one of 3.9 or newer with --python",
    "missing": MISSING,
    "model": "the runtime on {host} cannot run this model: {text}",
    "crash": "the measurement on {host} failed: {text}",
    "late": "the measurement on {host} took too long: {text}",
    "setup": "--setup on {host} failed ({text}): see to that there, and call again",
}


def measure(
    model: Path,
    target: str = "",
    *,
    host: str | None = None,
    threads: int | Sequence[int] = 1,
    runs: int = 200,
    limit_s: float = 10.0,
    python: str | None = None,
    setup: bool = False,
) -> dict:
    """Storage, activation memory, latency and peak memory of a .tflite on the machine called `host`.

    Parameters
    ----------
    model : the .tflite
    target : without meaning here
    host : as `ssh` takes it: a name of its configuration, user@address, ssh://user@address:port
    threads : int > 0 or several, of the runtime; each is measured with XNNPACK and without
    runs : int > 0, inferences that are timed after the warm-up
    limit_s : float > 0, stop timing a configuration after so many seconds (one inference is always timed)
    python : path of the Python to measure with; by default the one of --setup, else python3
    setup : make a virtual environment with runtime and NumPy over there first

    Returns
    -------
    dict
        A measurement. `configurations` holds one entry for each number of threads with and without XNNPACK,
        each measured in `PROCESSES` processes in turn; `latency_ms` and `memory` are the first one's.
        cold_load (the file not in the system's cache, the runtime imported already), first_inference and
        memory are medians over the processes. memory.peak_above_empty_bytes is what model and input add to
        a process that has only the runtime imported: the model's own bytes, and the runtime's code that it
        is the first to touch, included. `agreement` compares the output of TFLite's reference kernels there
        with theirs here for the same random input, and each configuration's `agreement` its own kernels'
        output with the same. `conditions.slowed` names why the clock was held back, if it was; then
        `how.latency_ms` is "measured, throttled".

    Raises
    ------
    UsageError : no host, a host that is no name, threads or runs below 1
    EdgeseaError : ssh is missing, the host cannot be reached, or it could not measure
    """
    host = checked_host(host)
    counts = [threads] if isinstance(threads, int) else list(threads)
    if not counts or min(counts) < 1 or runs < 1:
        raise UsageError(f"Received {threads} threads and {runs} runs: give at least 1 of each.")
    if setup and python:
        raise UsageError(
            "The option --setup makes a Python of its own and --python names one: give one of them."
        )
    graph = read(model)
    reference = open_interpreter(model, resolver="reference")
    inputs = random_inputs(reference.inputs)
    configurations = [
        {"threads": count, "xnnpack": xnnpack} for count in dict.fromkeys(counts) for xnnpack in (True, False)
    ]
    repetitions = min(PROCESSES, runs)
    request: dict[str, Any] = {
        "silence_s": SILENCE_S,
        "setup": setup,
        "python": python,
        "processes": repetitions,
        "runs": math.ceil(runs / repetitions),
        "limit_s": limit_s / repetitions,
        "configurations": configurations,
    }
    content = model.read_bytes()
    sizes = [tensor.bytes for tensor in reference.outputs]
    processes = len(configurations) * repetitions
    most_bytes = answers.most_bytes(processes, request["runs"], sizes)
    longest_s = BEGIN_S + (processes + 1) * PROCESS_S + len(configurations) * limit_s + setup * SETUP_S
    began = time.monotonic()
    with _Connection(host, most_bytes, longest_s) as connection:
        result = connection.ask(request, content, b"".join(values.tobytes() for values in inputs))
    try:
        found = answers.checked(
            result,
            configurations=len(configurations),
            processes=repetitions,
            runs=request["runs"],
            sizes=sizes,
            elapsed_s=time.monotonic() - began,
        )
    except answers.NoMeasurement as error:
        raise EdgeseaError(
            f"{host} answered with something that is no measurement ({error}): see what answers there."
        ) from error
    here = _outputs(reference, inputs)
    measured = []
    for number, order in enumerate(configurations):
        own = [each for each in found["processes"] if each["configuration"] == number]
        measured.append({**order, **_summary(own), "agreement": _apart(here, own[0]["outputs"])})
    return {
        "device": "rpi",
        "engine": measured[0]["engine"],
        "model": {"name": model.name, "sha256": graph.sha256},
        "storage": memory.storage(graph),
        "activation": memory.activation(memory.sized(graph, reference.tensors())),
        "latency_ms": {"threads": counts[0], **measured[0]["latency_ms"]},
        "memory": measured[0]["memory"],
        "configurations": measured,
        "agreement": {
            "here": " ".join(reference.runtime) + ", reference kernels",
            "there": found["reference"]["engine"],
            **_apart(here, found["reference"]["outputs"]),
        },
        "conditions": {
            "host": host,
            **found["machine"],
            "input": "random",
            "slowed": ", ".join(agent.slowed(found["before"], found["after"])) or None,
            "before": found["before"],
            "after": found["after"],
        },
        "how": {
            "storage.model_bytes": "measured",
            "storage.weight_bytes": "computed",
            "activation": "computed",
            "latency_ms": _how(found),
            # An emulator's own memory is in it.
            "memory": _measured(found),
            "configurations": _how(found),
        },
    }


def _measured(found: dict) -> str:
    return "measured" if found["machine"]["emulator"] is None else "emulated"


def _how(found: dict) -> str:
    how = _measured(found)
    return how + ", throttled" if agent.slowed(found["before"], found["after"]) else how


def checked_host(host: str | None) -> str:
    """A host as `ssh` takes it; UsageError where there is none, or what is given is no name."""
    if not host:
        raise UsageError("No machine was named: say --host, or write host under [bench] in edgesea.toml.")
    bare = host.removeprefix("ssh://")
    if not HOST.fullmatch(bare) or len(host) > 255:
        raise UsageError(
            f"{host!r} is no host: give a name of your ssh configuration, user@address or "
            "ssh://user@address:port."
        )
    return host


# ---------------------------------------------------------------- the connection


class _Connection:
    """One ssh session. On leaving, also by Ctrl-C, the far side is given time to remove its folder."""

    def __init__(self, host: str, most_bytes: int, longest_s: float):
        """most_bytes, longest_s : what may come on standard output, and how long it may take."""
        self.host = host
        self.most_bytes = most_bytes
        self.longest_s = longest_s
        self.greeted = False

    def __enter__(self):
        ssh = shutil.which("ssh")
        if ssh is None:
            raise EdgeseaError("The program ssh is not installed: run `sudo apt install openssh-client`.")
        options = [part for option in OPTIONS for part in ("-o", option)]
        # A file, because a master connection that ssh leaves behind would hold a pipe open.
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [ssh, *options, "--", self.host, REMOTE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            bufsize=0,
            # Ctrl-C is ours: ssh has to live until the far side has cleaned up.
            start_new_session=True,
        )
        # The far side may print errors without end, and they would fill the disk.
        with contextlib.suppress(ProcessLookupError):
            limits = (MOST_ERROR_BYTES, MOST_ERROR_BYTES)
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, limits)
        self.done = threading.Event()
        return self

    def __exit__(self, *_):
        self.done.set()
        try:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(FAREWELL_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(FAREWELL_S)
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process.stdout.close()
            self.errors.close()

    def ask(self, request: dict, model: bytes, example: bytes) -> dict:
        """Sends a request with its two files and returns the `result`; EdgeseaError for everything else."""
        text = json.dumps({**request, "model_bytes": len(model), "input_bytes": len(example)}).encode()
        source = Path(agent.__file__).read_bytes()
        parts = [b"%d\n" % len(source), source, b"%d\n" % len(text), text, model, example]
        threading.Thread(target=self._send, args=(parts,), daemon=True).start()
        answer = {}
        for message in self._messages():
            self.greeted = True
            answer.update(message)
            if "end" in message:
                break
        if "error" in answer:
            error = answer["error"] if isinstance(answer["error"], dict) else {}
            sentence = ERRORS.get(str(error.get("kind")), ERRORS["crash"])
            raise EdgeseaError(sentence.format(host=self.host, text=clean(error.get("text"))))
        if "result" not in answer or "end" not in answer:
            raise EdgeseaError(self._failure())
        return answer["result"]

    def _send(self, parts: list[bytes]) -> None:
        """Everything, then a sign of life every few seconds."""
        with contextlib.suppress(OSError, ValueError):
            for part in parts:
                view = memoryview(part)
                while view and not self.done.is_set():
                    view = view[self.process.stdin.write(view[: agent.BLOCK]) :]
            while not self.done.wait(agent.BEAT_S):
                self.process.stdin.write(b"\n")

    def _messages(self):
        """Yields the agent's messages until it or ssh has ended.

        Raises EdgeseaError where there is only silence, more than there may be, or no end.
        """
        held, received = bytearray(), 0
        heard = time.monotonic()
        end = heard + self.longest_s
        while True:
            self._check_errors()
            now = time.monotonic()
            if now >= end:
                raise EdgeseaError(
                    f"{self.host} has not come to an end within {self.longest_s:g} seconds: see what it is "
                    "at, or measure a smaller model."
                )
            if now >= heard + SILENCE_S:
                raise EdgeseaError(
                    f"{self.host} has said nothing for {SILENCE_S} seconds: see if it is up, and try again."
                )
            left = min(end, heard + SILENCE_S, now + 1.0) - now
            if not select.select([self.process.stdout], [], [], left)[0]:
                continue
            block = self.process.stdout.read(agent.BLOCK)
            if not block:
                return
            heard = time.monotonic()
            received += len(block)
            if received > self.most_bytes:
                raise EdgeseaError(f"{self.host} answers without end: see what its login shell prints.")
            searched = len(held)
            held += block
            while (at := held.find(b"\n", searched)) >= 0:
                line, searched = bytes(held[:at]), 0
                del held[: at + 1]
                if message := answers.message(line):
                    yield message

    def _check_errors(self) -> None:
        if os.fstat(self.errors.fileno()).st_size >= MOST_ERROR_BYTES:
            raise EdgeseaError(f"{self.host} prints errors without end: see what its login shell prints.")

    def _failure(self) -> str:
        """What went wrong, from ssh's exit status and what was printed on the way."""
        try:
            code = self.process.wait(FAREWELL_S)
        except subprocess.TimeoutExpired:
            code = None
        self._check_errors()
        # Read at a place: ssh, which shares the file's position, may still write.
        said = os.pread(self.errors.fileno(), agent.BLOCK, 0).decode("utf-8", "replace")
        lines = [clean(line) for line in said.splitlines() if line.strip()]
        last = lines[-1] if lines else "no reason given"
        host = self.host
        if self.greeted:
            return (
                f"the connection to {host} broke ({last}): what was left there removes itself within "
                f"{SILENCE_S} seconds, try again"
            )
        if "IDENTIFICATION HAS CHANGED" in said or "Host key verification failed" in said:
            return (
                f"{host} shows a host key that your ssh does not know or that has changed: "
                f"check it, and call `ssh {host}` once"
            )
        if code == 255 and "Permission denied" in said:
            return f"{host} does not let you in with a key ({last}): call `ssh-copy-id {host}` once"
        if code == 255:
            return f"{host} cannot be reached ({last}): see whether `ssh {host}` works"
        if code == 127:
            return f"{host} has no python3 ({last}): run on it `sudo apt install python3-venv`"
        return f"{host} did not run the measurement (ssh ended with status {code}, {last})"


# ---------------------------------------------------------------- what came back


def _summary(processes: list[dict]) -> dict:
    """One configuration's figures over all its processes.

    process_medians are in the order of time; how far they lie apart is the noise of the median.
    """
    times = np.concatenate([each["times_ms"] for each in processes])

    def median(key: str) -> float | None:
        values = [each[key] for each in processes]
        return None if None in values else round(float(np.median(values)), 4)

    empty, peak = median("empty_interpreter_bytes"), median("peak_above_empty_bytes")
    return {
        "engine": processes[0]["engine"],
        "latency_ms": {
            "import": median("import_ms"),
            "cold_load": median("cold_load_ms"),
            "first_inference": median("first_inference_ms"),
            "warm_up_runs": sum(each["warm_up_runs"] for each in processes),
            "n": len(times),
            "median": round(float(np.median(times)), 4),
            "p95": round(float(np.percentile(times, 95)), 4),
            "p99": round(float(np.percentile(times, 99)), 4),
            "min": float(times.min()),
            "max": float(times.max()),
            "process_medians": [round(float(np.median(each["times_ms"])), 4) for each in processes],
        },
        "memory": {
            "empty_interpreter_bytes": None if empty is None else int(empty),
            "peak_above_empty_bytes": None if peak is None else int(peak),
        },
        "before": processes[0]["before"],
        "after": processes[-1]["after"],
        "slowed": sorted(
            {word for each in processes for word in agent.slowed(each["before"], each["after"])}
        ),
    }


def _outputs(model: Interpreter, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [values.ravel() for values in model.outputs_of(inputs)]


def _apart(here: list[np.ndarray], there: list[bytes]) -> dict:
    """How far outputs from there lie from those of the reference kernels here, for the same input.

    largest_difference is in steps of the output where it holds integers, else in its own unit; None where an
    output is no number. sha256 is of the bytes from there.
    """
    differing = largest = 0
    for ours, content in zip(here, there, strict=True):
        wide = np.float64 if ours.dtype.kind == "f" else np.int64
        apart = np.abs(ours.astype(wide) - np.frombuffer(content, ours.dtype).astype(wide))
        differing += int(np.count_nonzero(apart))
        largest = np.maximum(largest, apart.max(initial=0)).item()
    return {
        "values": sum(ours.size for ours in here),
        "differing": differing,
        "largest_difference": largest if math.isfinite(largest) else None,
        "sha256": hashlib.sha256(b"".join(there)).hexdigest(),
    }
