"""Foreign models, each in a process of its own, so that none can end, fill or stop this one.

    with Sandbox("a.tflite", "edgesea.loaded_model:load", {"model": path}, limits=limits(size)) as model:
        embeddings = model.call(":run", patches, examples=len(patches))

What a sandbox is: a child process (`nursery`) with limits of memory and of processor time (`limits`), that
holds what the first function returned and calls what it is asked to with it. Its end, for whatever reason, is
one sentence here that names the model.

What it is not: a jail. A model that takes over its process has this user's files and network; the runtimes'
formats hold data, Keras loads in safe mode, and this guards against what crashes, hangs and floods.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgesea import errors
from edgesea.errors import EdgeseaError
from edgesea.sandbox import messages
from edgesea.sandbox.limits import FACTOR, Limits, limits

__all__ = ["Limits", "Sandbox", "limits"]

# What starts the nursery: this process's own path of imports, whatever set it.
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from edgesea.sandbox.nursery import main; main(int(sys.argv[2]), sys.argv[3:])"
)
# The nursery must be able to fork: no thread pool of NumPy's in it.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}
# Bytes on their way, as far as the system allows.
_PIECE = 4 << 20


class Sandbox:
    """A child process that holds one model.

    label : what its file is called, in every sentence
    opener : `module:function`, called in the child with `options`; its result is what is held
    limits : of the process; `cpu_s` is allowed for opening, and for each example of a call
    preload : modules that take long to import; all models with the same ones are forked from one process
    """

    def __init__(
        self, label: str, opener: str, options: dict, *, limits: Limits, preload: Sequence[str] = ()
    ):
        self.label, self.limits = label, limits
        self._lock = threading.Lock()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
        self._end, theirs = socket.socketpair()
        for each in (self._end, theirs):
            # A batch goes through in few pieces, so that neither side is woken up for each.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIECE)
        with theirs:
            self._nursery = _nursery(tuple(preload))
            self._child = self._nursery.start(theirs.fileno(), self._errors.fileno(), limits.memory_bytes)
        self._finalizer = weakref.finalize(self, self._nursery.forget, self._child)
        self.peak_bytes: int | None = None
        self.call(opener, **options)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child; `peak_bytes` says then how much memory it had at most."""
        if self._finalizer.detach():
            self.peak_bytes = self._nursery.end(self._child, kill=True)["peak_bytes"]
        self._end.close()
        self._errors.close()

    def call(self, function: str, *args, examples: int = 1, seconds: float = 0.0, **options):
        """Calls `function` in the child.

        function : `module:function`, which gets what is held before `args`; or `:method` of what is held
        examples : how many inferences this may be, for the limit of time
        seconds : of inferences that come on top

        Raises what the child raises, where it is edgesea's own; `EdgeseaError` for all else.
        """
        allowed = self.limits.cpu_s * max(1, examples) + seconds
        wall = self.limits.wall_s + 20 * allowed
        with self._lock:
            if not self._finalizer.alive:
                raise EdgeseaError(f"{self.label} is closed: open it again.")
            try:
                messages.send(
                    self._end, {"call": function, "args": args, "options": options, "cpu_s": allowed}
                )
                most = 8 * self.limits.memory_bytes
                answer = messages.receive(self._end, most=most, deadline=time.monotonic() + wall)
            except (OSError, EOFError):
                raise self._died(kill=False, allowed=allowed) from None
            except messages.Late:
                self._died(kill=True, allowed=allowed)
                raise EdgeseaError(
                    f"{self.label} gave no answer in {wall:.0f} s: it does not run here; give another model."
                ) from None
            except messages.Damaged as damage:
                self._died(kill=True, allowed=allowed)
                raise EdgeseaError(
                    f"{self.label} broke the process that ran it ({damage}): the file is damaged; "
                    "give another."
                ) from None
            except BaseException:
                # Ctrl-C in the middle of a message: what would come next on the socket is not an answer.
                self._died(kill=True, allowed=allowed)
                raise
        return self._result(answer)

    def _result(self, answer):
        if isinstance(answer, dict) and "result" in answer:
            return answer["result"]
        name, text = (str(answer.get(key)) for key in ("error", "text"))
        if isinstance(kind := getattr(errors, name, None), type) and issubclass(kind, EdgeseaError):
            raise kind(text)
        if name == "MemoryError":
            raise EdgeseaError(_too_large(self.label, self.limits))
        reason = " ".join(text.split())[:300]
        raise EdgeseaError(
            f"{self.label} cannot be run ({name}: {reason}): the file is damaged; give another."
        )

    def _died(self, *, kill: bool, allowed: float) -> EdgeseaError:
        """Ends or waits for the child -> the sentence for its end."""
        self._finalizer.detach()
        ended = self._nursery.end(self._child, kill=kill)
        self.peak_bytes = ended["peak_bytes"]
        status = os.waitstatus_to_exitcode(ended["status"])
        if status == -signal.SIGXCPU:
            return EdgeseaError(
                f"{self.label} took more than {allowed:.0f} s of processor time: give a smaller model, or "
                f"set {FACTOR}=10 to allow ten times as much."
            )
        said = self._said()
        if "bad_alloc" in said or "MemoryError" in said or "Out of memory" in said:
            return EdgeseaError(_too_large(self.label, self.limits))
        how = signal.Signals(-status).name if status < 0 else f"exit code {status}"
        return EdgeseaError(
            f"{self.label} ended the process that ran it ({how}{': ' if said else ''}{said}): the file is "
            "damaged, or the runtime cannot run it; give another."
        )

    def _said(self) -> str:
        """The last line that the child wrote to stderr, fit for a sentence."""
        with contextlib.suppress(OSError, ValueError):
            self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 4096))
            lines = self._errors.read().decode("utf-8", "replace").split("\n")
            last = next(
                (line for line in reversed(lines) if line.strip() and not line.startswith("INFO")), ""
            )
            return "".join(letter for letter in last if letter.isprintable())[:200].strip()
        return ""


def _too_large(label: str, limits: Limits) -> str:
    return (
        f"{label} takes more than {limits.memory_bytes >> 20} MB of memory: give a smaller model, or set "
        f"{FACTOR}=10 to allow ten times as much."
    )


@dataclass
class _Nursery:
    """The control socket of a nursery, see there; `owner` is the process that started it."""

    owner: int
    process: subprocess.Popen
    control: socket.socket
    lock: threading.Lock = field(default_factory=threading.Lock)
    forgotten: deque[int] = field(default_factory=deque)

    def start(self, connection: int, stderr: int, memory_bytes: int) -> int:
        return self._ask({"start": {"memory_bytes": memory_bytes}}, [connection, stderr])

    def end(self, child: int, *, kill: bool) -> dict:
        if os.getpid() != self.owner:  # a fork of ours: the child is not its own to end
            return {"status": 0, "peak_bytes": 0}
        try:
            return self._ask({"end": child, "kill": kill}, [])
        except EdgeseaError:
            return {"status": int(signal.SIGKILL), "peak_bytes": 0}

    def forget(self, child: int) -> None:
        """Ends a child whose model nobody holds any more. Never waits for the lock: the garbage is collected
        at any moment, in a thread that holds it too, which ends the child when it has let go of it.
        """
        self.forgotten.append(child)
        self._end_forgotten()

    def _end_forgotten(self) -> None:
        while self.owner == os.getpid() and self.forgotten and self.lock.acquire(blocking=False):
            try:
                # The nursery may be gone, and its children with it; or another thread was faster.
                with contextlib.suppress(OSError, IndexError):
                    self._exchange({"end": self.forgotten.popleft(), "kill": True}, [])
            finally:
                self.lock.release()

    @property
    def alive(self) -> bool:
        return self.owner == os.getpid() and self.process.poll() is None

    def _ask(self, request: dict, descriptors: list[int]):
        with self.lock:
            try:
                answer = self._exchange(request, descriptors)
            except OSError:
                answer = b""
        self._end_forgotten()
        if not answer:
            raise EdgeseaError("The process that runs foreign models has ended: start edgesea again.")
        return json.loads(answer)

    def _exchange(self, request: dict, descriptors: list[int]) -> bytes:
        """With the lock held."""
        socket.send_fds(self.control, [json.dumps(request).encode()], descriptors)
        return self.control.recv(4096)


_started: dict[tuple[str, ...], _Nursery] = {}
_starting = threading.Lock()


def _nursery(preload: tuple[str, ...]) -> _Nursery:
    """The nursery of this process with those modules, started when there is none."""
    with _starting:
        held = _started.get(preload)
        if held is None or not held.alive:
            ours, theirs = socket.socketpair()
            with theirs:
                process = subprocess.Popen(
                    [
                        sys.executable,
                        "-I",
                        "-c",
                        _START,
                        json.dumps(sys.path),
                        str(theirs.fileno()),
                        *preload,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=os.environ | _ENVIRONMENT,
                    start_new_session=True,
                )
            held = _started[preload] = _Nursery(os.getpid(), process, ours)
        return held
