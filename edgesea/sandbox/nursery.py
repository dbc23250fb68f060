"""The nursery: a small process that has loaded what models need, and forks a child for each of them.

It is started once, when the first model is opened, with one thread and nothing of the user's in it; so a fork
is safe there, which it is not in a process that runs TensorFlow, and takes milliseconds. It alone is the
parent of the children: it kills and waits for them by their ids, and kills them all when edgesea is gone.

On its control socket, one request at a time, one line of JSON each way:
    start  {"start": {"memory_bytes": n}}, with the child's two descriptors (its socket, its stderr) -> its id
    end    {"end": id, "kill": bool} -> {"status": wait status, "peak_bytes": largest resident memory}
"""

import contextlib
import importlib
import json
import os
import resource
import signal
import socket
import sys
import time
import traceback
from typing import Any

from edgesea import loaded_model
from edgesea.sandbox import messages

# Of a request's or a model's stderr; more is cut off, and nothing else can be written by a child either.
LARGEST_FILE_WRITTEN = 1 << 20
# A crash is over in less, even where the kernel frees much memory.
DYING_S = 5.0


def main(descriptor: int, preload: list[str]) -> None:
    """Serves until the other side of the control socket is gone.

    preload : modules to import first
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is edgesea's to handle.
    loaded_model.prepare()
    for module in preload:
        with contextlib.suppress(ImportError):  # the child that needs it says so
            importlib.import_module(module)
    if preload and _threads() > 1:
        # A fork would have its locks and none of its threads: then every child imports for itself.
        os.execv(sys.executable, sys.orig_argv[: -len(preload)])
    control = socket.socket(fileno=descriptor)
    children: set[int] = set()
    while True:
        line, descriptors, *_ = socket.recv_fds(control, 4096, 2)
        if not line:
            break
        request = json.loads(line)
        if "start" in request:
            child = os.fork()
            if not child:
                control.close()
                _child(descriptors, request["start"]["memory_bytes"])
            for each in descriptors:
                os.close(each)
            children.add(child)
            answer: int | dict = child
        else:
            answer = _ended(request["end"], kill=request["kill"])
            children.discard(request["end"])
        control.sendall(json.dumps(answer).encode())
    for child in children:
        _ended(child, kill=True)


def _threads() -> int:
    """Threads of this process, those of libraries too; 1 where the system does not say."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def _ended(child: int, *, kill: bool) -> dict:
    """Kills a child, or waits for the end of one that has closed its socket; one that stays is killed too."""
    last = time.monotonic() + (0 if kill else DYING_S)
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() >= last:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            break
        time.sleep(0.001)
    return {"status": status, "peak_bytes": usage.ru_maxrss * 1024}


def _child(descriptors: list[int], memory_bytes: int) -> None:
    """The life of a child: limits, then requests until the other side is gone. Never returns."""
    try:
        connection, errors = descriptors
        os.dup2(errors, 2)
        os.dup2(errors, 1)
        # Private writable memory, not address space, of which TensorFlow reserves far more than it uses.
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE_WRITTEN, LARGEST_FILE_WRITTEN))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        _serve(socket.socket(fileno=connection))
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    os._exit(0)


def _serve(end: socket.socket) -> None:
    """Answers requests {"call", "args", "options", "cpu_s"}: the first one's result is what is held."""
    held, opened = None, False
    request: Any
    while True:
        try:
            request = messages.receive(end, most=sys.maxsize)
        except EOFError:
            return
        allow_cpu(request["cpu_s"])
        try:
            result = _call(request, held)
            answer = {"result": None if not opened else result}
            if not opened:
                held, opened = result, True
        except Exception as error:
            answer = {"error": type(error).__name__, "text": str(error)[:4000]}
        try:
            messages.send(end, answer)
        except MemoryError:
            messages.send(end, {"error": "MemoryError", "text": ""})


def allow_cpu(seconds: float) -> None:
    """From here on the process may use so much processor time; then the kernel ends it with SIGXCPU."""
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(time.process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _call(request: dict, held: object):
    module, _, name = request["call"].partition(":")
    args = request["args"]
    if not module:
        function = getattr(held, name)
    else:
        function = getattr(importlib.import_module(module), name)
        args = args if held is None else [held, *args]
    return function(*args, **request["options"])
