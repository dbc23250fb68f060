"""Puts a bundle on a Pi, or on any Linux machine that ssh reaches, as a version of a listener.

What goes over is `listen.py`, the bundle's own files, and `place.py`, which does the work over there and says
how. The system's OpenSSH does the talking, as for `edgesea bench --device rpi`: nothing is asked, the host's
key has to be known already, and nothing of the user's becomes shell text.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from edgesea.deploy import place
from edgesea.devices.answers import clean
from edgesea.devices.rpi import OPTIONS, REMOTE, checked_host
from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting.bundle import Bundle, load_bundle
from edgesea.listen import listen
from edgesea.progress import SILENT, Progress

# What listen.py reads of a bundle.
FILES = (
    "manifest.json",
    "model_int8.tflite",
    "model_float.tflite",
    "memory.npz",
    "frontend.npz",
    "golden.npz",
)
LONGEST_S = 3.0 * place.VENV_S
MOST_SAID = 1 << 20  # bytes of answers

ERRORS = {
    # kind of the far end's error: the sentence that users see
    "python": "{host} has Python {text}, and 3.9 or newer is needed: name one with --python.",
    "cut": "The connection to {host} was cut ({text}): nothing was changed there, call again.",
    "busy": "Somebody else deploys to {host} at this moment: call again when that is done.",
    "full": "{host} has no room ({text}): free some space there, nothing was changed.",
    "write": "{host} cannot write ({text}): nothing was changed, see to that there.",
    "setup": "The environment on {host} could not be made ({text}): nothing was changed; see to that there.",
    "golden": "The bundle does not pass its golden test on {host} ({text}): the old version goes on.",
    "systemd": "systemd on {host} refuses ({text}): the old version goes on; see to that there.",
    "service": "The new service on {host} did not come up ({text}): the old version goes on.",
    "alone": "{host} has no earlier version to go back to.",
    "crash": "The deploy on {host} failed: {text}.",
}


def deploy(
    bundle: Bundle | Path | str,
    *,
    host: str | None,
    name: str | None = None,
    service: bool = False,
    microphone: str = "default",
    mqtt: str | None = None,
    python: str | None = None,
    kernels: str = "reference",
    setup: bool = False,
    progress: Progress = SILENT,
) -> dict:
    """Puts a bundle on a machine, and makes it live once it has passed its golden test there.

    Parameters
    ----------
    bundle : with a head or a memory
    host : as `ssh` takes it
    name : of the listener over there; the bundle's by default
    service : whether a systemd user service listens, now and after every reboot; it has to hear ten seconds
    microphone, mqtt : what it listens to and whom it tells, as of listen.py
    python : path of the Python over there; the environment of an earlier `setup`, or /usr/bin/python3, by
        default
    kernels : what the service runs the model by, 'reference' or 'fast', as of listen.py
    setup : make an environment with LiteRT and NumPy first

    Returns
    -------
    dict
        {'host', 'name', 'version', 'previous', 'golden', 'python', 'service'}; service is its first status,
        None without one, see `listen.Listener.status`, with 'behind_s', how far it lags

    Raises
    ------
    UsageError : the call is wrong, or the bundle decides nothing
    EdgeseaError : the machine cannot be reached, or the new version is not fit; the old one goes on
    """
    host = checked_host(host)
    if setup and python:
        raise UsageError(
            "The option --setup makes a Python of its own and --python names one: give one of them."
        )
    if kernels not in ("reference", "fast"):
        raise UsageError(f"There are no kernels {kernels!r}: choose reference or fast.")
    loaded = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
    if loaded.decisions is None or loaded.frontend is None:
        raise UsageError(
            f"The bundle {loaded.path} has neither head nor memory, or no frontend: export it with --head or "
            f"--memory."
        )
    files = _files(loaded)
    options = ["--microphone", microphone, "--kernels", kernels, *(["--mqtt", mqtt] if mqtt else [])]
    request = {
        "name": _name(name or loaded.name),
        "roll_back": False,
        "files": [
            {"name": each, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for each, content in files.items()
        ],
        "service": service,
        "options": options,
        "python": python,
        "setup": setup,
        "packages": ["paho-mqtt"] if mqtt else [],
    }
    progress.say(f"copying {sum(map(len, files.values())):,} bytes to {host}")
    return {"host": host, "name": request["name"], **_ask(host, request, files)}


def roll_back(*, host: str | None, name: str) -> dict:
    """Makes the version before the live one live again; returns what `deploy` does."""
    host = checked_host(host)
    request = {"name": _name(name), "roll_back": True}
    return {"host": host, "name": request["name"], **_ask(host, request, {})}


def source_of_place() -> bytes:
    """What runs over there."""
    return Path(place.__file__).read_bytes()


def _files(bundle: Bundle) -> dict[str, bytes]:
    held = {f"bundle/{name}": bundle.path / name for name in FILES if (bundle.path / name).is_file()}
    return {
        "listen.py": Path(listen.__file__).read_bytes(),
        **{name: path.read_bytes() for name, path in held.items()},
    }


def _name(text: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].strip("-")
    if not place.NAME.fullmatch(name):
        raise UsageError(f"Received the name {text!r}: give one of letters and digits with --name.")
    return name


def _ask(host: str, request: dict, files: dict[str, bytes]) -> dict:
    ssh = shutil.which("ssh")
    if ssh is None:
        raise EdgeseaError("The program ssh is not installed: run `sudo apt install openssh-client`.")
    source, text = source_of_place(), json.dumps(request).encode()
    parts = [b"%d\n" % len(source), source, b"%d\n" % len(text), text, *files.values()]
    command = [ssh, *(part for option in OPTIONS for part in ("-o", option)), "--", host, REMOTE]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    watch = threading.Timer(LONGEST_S, process.kill)
    watch.start()
    sender = threading.Thread(target=_send, args=(process.stdin, parts), daemon=True)
    errors: list[bytes] = []
    hearer = threading.Thread(target=lambda: errors.append(process.stderr.read(MOST_SAID)), daemon=True)
    try:
        sender.start()
        hearer.start()
        answer = _answer(process, host)
    finally:
        watch.cancel()
        _end(process)
    hearer.join(5)
    if "error" in answer:
        held = answer["error"] if isinstance(answer["error"], dict) else {}
        sentence = ERRORS.get(str(held.get("kind")), ERRORS["crash"])
        raise EdgeseaError(sentence.format(host=host, text=clean(held.get("text"))))
    if not isinstance(answer.get("result"), dict):
        raise EdgeseaError(_failure(host, process.returncode, b"".join(errors)))
    return _checked(answer["result"], host)


def _send(pipe, parts: list[bytes]) -> None:
    # A pipe that breaks is seen on the other side: there is no answer then.
    try:
        for part in parts:
            pipe.write(part)
        pipe.flush()
    except (OSError, ValueError):
        return


def _answer(process, host: str) -> dict:
    """What came back: 'result' or 'error', if anything did."""
    answer: dict = {}
    said = 0
    for line in iter(lambda: process.stdout.readline(1 << 16), b""):
        said += len(line)
        if said > MOST_SAID:
            raise EdgeseaError(f"{host} answers without end: see what its login shell prints.")
        if line.startswith(b"edgesea "):
            try:
                message = json.loads(line[8:])
            except ValueError:
                continue
            if isinstance(message, dict):
                answer |= message
            if answer.keys() & {"result", "error"}:
                break
    return answer


def _end(process) -> None:
    for pipe in (process.stdin, process.stdout):
        try:
            pipe.close()
        except OSError:
            continue
    until = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _checked(result: dict, host: str) -> dict:
    """A stranger's answer, by its schema."""
    from edgesea.formats import door
    from edgesea.formats.deployment import Deployment

    door.checked(result, Deployment, f"that {host} answered", remedy="see what answers there")
    status = result["service"]
    if status is not None:
        status["behind_s"] = status["waiting_s"]
    return result


def _failure(host: str, code: int | None, said: bytes) -> str:
    """What went wrong where the far end did not say it."""
    text = said.decode("utf-8", "replace")
    lines = [clean(line) for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else "no reason given"
    if "IDENTIFICATION HAS CHANGED" in text or "Host key verification failed" in text:
        return f"{host} shows a host key that ssh does not know or that changed: call `ssh {host}` once."
    if code == 255 and "Permission denied" in text:
        return f"{host} does not let you in with a key ({last}): call `ssh-copy-id {host}` once."
    if code == 127:
        return f"{host} has no python3 ({last}): run on it `sudo apt install python3-venv`."
    return (
        f"The connection to {host} failed or was cut ({last}): what was live there goes on, see whether `ssh "
        f"{host}` "
        "works and call again."
    )
