"""Puts a version of a listener in place on the machine that this file runs on: the far half of `edgesea
deploy`.

It needs Python 3.9 or newer and nothing of edgesea; ssh starts it with `serve`, which takes from standard
input the length of a request and the request (JSON), then the files in the lengths that the request gives. On
standard output it answers lines `edgesea {JSON}`: `alive` now and then, at last `result` or `error`.

    BASE/versions/ID/    listen.py and bundle/, ID being a hash of all of it; never changed once it is there
    BASE/current         a link to the version that is live: all that a switch changes, in one step
    BASE/venv/           a Python with LiteRT and NumPy, where one was asked for
    BASE/events.jsonl    what the service said; older ones behind it

Everything is written beside and moved into place whole. A version goes live after its golden vectors have
passed on this machine, and, where a service is asked for, stays so only if it has heard ten seconds; else the
one before goes on. Two at once: the second is refused.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

OLDEST_PYTHON = (3, 9)
LARGEST_REQUEST = 8 << 20
BLOCK = 1 << 20
SPARE_BYTES = 8 << 20  # of disk that stay free beside what is copied
CHECK_S, VENV_S, HEARD_S = 300, 1800, 90
KEPT = 2  # versions: the live one and the one before
# What the environment gets: the first that the registry has for this machine and Python.
PACKAGES = (("ai-edge-litert", "numpy"), ("tflite-runtime==2.14.0", "numpy<2"))
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class Failure(Exception):
    """kind : what sentence the other end says; the text fills its blank."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


def serve(source):
    """Talks to the other end. source: this file, as bytes."""
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise Failure("python", "{}.{}.{}".format(*sys.version_info[:3]))
        request = json.loads(_exactly(_length(sys.stdin.buffer.readline(20))))
        tell("result", Place(request["name"]).roll_back() if request["roll_back"] else _deploy(request))
    except Failure as failure:
        tell("error", {"kind": failure.kind, "text": str(failure)})
    except OSError as error:
        tell(
            "error",
            {"kind": "write", "text": "{}: {}".format(error.filename or "a file", error.strerror or error)},
        )
    except Exception as error:
        tell("error", {"kind": "crash", "text": f"{type(error).__name__}: {error}"})


def tell(word, value):
    """One line to the other end; where that is gone, nobody is told."""
    with contextlib.suppress(OSError):
        sys.stdout.write(f"edgesea {json.dumps({word: value})}\n")
        sys.stdout.flush()


def _length(line):
    if not line.strip().isdigit() or not 0 < int(line) <= LARGEST_REQUEST:
        raise Failure("cut", "no request came")
    return int(line)


def _exactly(count):
    """So many bytes of standard input; Failure where the connection ends before."""
    parts = []
    while count:
        part = sys.stdin.buffer.read(min(count, BLOCK))
        if not part:
            raise Failure("cut", "it ended in the middle")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _deploy(request):
    place = Place(request["name"])
    with place.locked():
        place.sweep()
        size = sum(each["bytes"] for each in request["files"])
        free = shutil.disk_usage(place.base).free
        if size + SPARE_BYTES > free:
            raise Failure("full", f"{free:,} bytes are free and {size + SPARE_BYTES:,} are wanted")
        staged = place.receive(request["files"])
        try:
            python = place.python(request)
            golden = place.check(python, staged)
            version = place.keep(staged, request["files"])
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        before = place.live()
        place.switch(version)
        result = {"version": version, "previous": before, "golden": golden, "python": python, "service": None}
        if request["service"]:
            result["service"] = _serve_from(place, python, request["options"], before)
        place.remove_old(before)
    return result


def _serve_from(place, python, options, before):
    """Restarts the service on the version that is live; where it does not come up, the one before goes on."""
    service = Service(place)
    was = service.text()
    try:
        service.write(python, options)
        began = service.restart()
        return place.wait_until_heard(began, service)
    except Failure:
        if before is not None:
            place.switch(before)
        if was is not None:
            service.put(was)
            service.restart()
        else:
            service.remove()
        raise


class Place:
    """BASE of one listener."""

    def __init__(self, name):
        if not NAME.fullmatch(name):
            raise Failure("crash", f"the name {name!r} is no plain one")
        self.name = name
        self.base = os.path.join(os.path.expanduser("~"), ".local", "share", "edgesea", name)
        self.versions = os.path.join(self.base, "versions")
        self.current = os.path.join(self.base, "current")
        self.events = os.path.join(self.base, "events.jsonl")
        os.makedirs(self.versions, exist_ok=True)

    @contextlib.contextmanager
    def locked(self):
        """Failure where another is at it."""
        with open(os.path.join(self.base, "lock"), "w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Failure("busy", "") from None
            yield

    def sweep(self):
        """Removes what deploys that were cut off have left."""
        for name in os.listdir(self.versions):
            if name.startswith(".new-"):
                shutil.rmtree(os.path.join(self.versions, name), ignore_errors=True)

    def receive(self, files):
        """Writes the files that come into a folder of their own; returns it."""
        staged = tempfile.mkdtemp(prefix=".new-", dir=self.versions)
        try:
            for each in files:
                path = os.path.normpath(os.path.join(staged, each["name"]))
                if not path.startswith(staged + os.sep):
                    raise Failure("crash", "the file {!r} would lie outside".format(each["name"]))
                os.makedirs(os.path.dirname(path), exist_ok=True)
                content = _exactly(each["bytes"])
                if hashlib.sha256(content).hexdigest() != each["sha256"]:
                    raise Failure("cut", "the file {} came damaged".format(each["name"]))
                with open(path, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                tell("alive", True)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        return staged

    def python(self, request):
        """The Python that listens: one that was named, one made here, or the system's."""
        if request["python"]:
            return request["python"]
        mine = os.path.join(self.base, "venv", "bin", "python")
        if request["setup"]:
            self._make_venv(mine, request["packages"])
        return mine if os.path.exists(mine) else "/usr/bin/python3"

    def _make_venv(self, mine, packages):
        folder = os.path.join(self.base, "venv")
        if not os.path.exists(mine):
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", folder], VENV_S, "setup")
        pip = [mine, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for choice in PACKAGES:
            try:
                _run([*pip, *choice, *packages], VENV_S, "setup")
                return
            except Failure as failure:
                last = failure
        raise last

    def check(self, python, staged):
        """Runs the golden vectors of a staged version."""
        command = [python, os.path.join(staged, "listen.py"), os.path.join(staged, "bundle"), "--check"]
        return json.loads(_run(command, CHECK_S, "golden").splitlines()[-1])

    def keep(self, staged, files):
        """Makes a staged version a version; returns its ID."""
        told = json.dumps([[each["name"], each["sha256"]] for each in files])
        version = hashlib.sha256(told.encode()).hexdigest()[:16]
        target = os.path.join(self.versions, version)
        if not os.path.isdir(target):
            os.rename(staged, target)
            _sync(self.versions)
        return version

    def live(self):
        """The ID of the version that is live, or None."""
        try:
            return os.path.basename(os.readlink(self.current))
        except OSError:
            return None

    def switch(self, version):
        """Makes a version live, in one step."""
        beside = self.current + ".new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        os.symlink(os.path.join("versions", version), beside)
        os.replace(beside, self.current)
        _sync(self.base)

    def remove_old(self, before):
        """Keeps the live version and the one before."""
        kept = {self.live(), before}
        others = [each for each in os.listdir(self.versions) if each not in kept and not each.startswith(".")]
        others.sort(key=lambda each: os.path.getmtime(os.path.join(self.versions, each)), reverse=True)
        for name in others[max(0, KEPT - len(kept - {None})) :]:
            shutil.rmtree(os.path.join(self.versions, name), ignore_errors=True)

    def roll_back(self):
        """Makes the version before the live one live again."""
        with self.locked():
            live = self.live()
            others = [each for each in os.listdir(self.versions) if each != live and not each.startswith(".")]
            if not others:
                raise Failure("alone", "")
            version = max(others, key=lambda each: os.path.getmtime(os.path.join(self.versions, each)))
            self.switch(version)
            service = Service(self)
            state = None
            if service.text() is not None:
                state = self.wait_until_heard(service.restart(), service)
        return {"version": version, "previous": live, "golden": None, "python": None, "service": state}

    def wait_until_heard(self, began, service):
        """Waits until the service has said that it heard ten seconds; its last status."""
        until = time.monotonic() + HEARD_S
        last = None
        while time.monotonic() < until:
            time.sleep(0.5)
            tell("alive", True)
            last = self._status(began) or last
            if last and last["samples"] >= 10 * last["rate"]:
                return last
            if service.failed():
                raise Failure("service", "it ended: " + service.why())
        if last is None:
            raise Failure("service", f"it has said nothing within {HEARD_S} seconds: {service.why()}")
        raise Failure(
            "service", "it has heard {:.1f} seconds in {}".format(last["samples"] / last["rate"], HEARD_S)
        )

    def _status(self, began):
        """The last status that was said since `began`, a place in the file of events."""
        try:
            with open(self.events, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(min(began, size) if size >= began else 0)
                lines = file.read(1 << 20).splitlines()
        except OSError:
            return None
        found = None
        for line in lines:
            with contextlib.suppress(ValueError, AttributeError):
                found = json.loads(line).get("status") or found
        return found


class Service:
    """The systemd user service of a place."""

    def __init__(self, place):
        self.place = place
        self.unit = f"edgesea-{place.name}.service"
        folder = os.path.join(os.path.expanduser("~"), ".config", "systemd", "user")
        self.path = os.path.join(folder, self.unit)

    def text(self):
        """What the unit's file holds, or None."""
        try:
            with open(self.path) as file:
                return file.read()
        except OSError:
            return None

    def write(self, python, options):
        """Writes the unit of the version that is live."""
        current = self.place.current
        command = [python, os.path.join(current, "listen.py"), os.path.join(current, "bundle"), *options]
        command += ["--out", self.place.events, "--status", "2"]
        self.put(unit_text(self.place.name, command))

    def put(self, text):
        """Puts a unit's file in place, for nobody else to read: it may hold a broker's password."""
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        beside = self.path + ".new"
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)

    def restart(self):
        """Starts it anew; returns where in the file of events it begins to speak."""
        began = os.path.getsize(self.place.events) if os.path.exists(self.place.events) else 0
        _run(["systemctl", "--user", "daemon-reload"], 60, "systemd")
        _run(["systemctl", "--user", "enable", self.unit], 60, "systemd")
        _run(["systemctl", "--user", "restart", self.unit], 60, "systemd")
        with contextlib.suppress(
            Failure
        ):  # so that it runs without anybody logged in; where that may be asked
            _run(["loginctl", "enable-linger"], 30, "systemd")
        return began

    def remove(self):
        """Takes the service away again."""
        with contextlib.suppress(Failure):
            _run(["systemctl", "--user", "disable", "--now", self.unit], 60, "systemd")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def failed(self):
        """Whether systemd has given up on it."""
        try:
            return _run(["systemctl", "--user", "is-failed", self.unit], 30, "systemd").strip() == "failed"
        except Failure:
            return False  # is-failed ends with 1 where it has not

    def why(self):
        """The last thing that it said about itself."""
        try:
            said = _run(["journalctl", "--user", "-u", self.unit, "-n", "1", "-o", "cat"], 30, "systemd")
        except Failure:
            return "the journal says nothing"
        return said.strip().splitlines()[-1] if said.strip() else "the journal says nothing"


def unit_text(name, command):
    """The unit of a listener: it comes back after every end, and after a reboot."""
    return (
        "[Unit]\n"
        "Description=edgesea listens: {}\n"
        "After=sound.target network.target\n"
        "StartLimitIntervalSec=0\n\n"
        "[Service]\n"
        "ExecStart={}\n"
        "Restart=always\n"
        "RestartSec=2\n"
        "Nice=5\n"
        "NoNewPrivileges=yes\n\n"
        "[Install]\n"
        "WantedBy=default.target\n"
    ).format(name, " ".join(quoted(each) for each in command))


def quoted(word):
    """A word of ExecStart as systemd reads it: no specifiers, no variables, no escapes of its own."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    if any(ord(each) < 32 for each in plain):
        raise Failure("crash", "an option holds a control character")
    return f'"{plain}"'


def _run(command, limit_s, kind):
    """Standard output of a program; Failure with its last words where it fails."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit_s, text=True
        )
    except subprocess.TimeoutExpired:
        raise Failure(kind, f"{command[0]} took longer than {limit_s} seconds") from None
    except OSError as error:
        raise Failure(kind, f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise Failure(kind, words[:400])
    return done.stdout


def _sync(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
