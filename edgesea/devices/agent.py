"""Measures a .tflite on the machine that this file runs on: the one file that goes to a Raspberry Pi.

It needs Python 3.9 or newer, NumPy, and ai-edge-litert or tflite-runtime; nothing else, and nothing of
edgesea. `edgesea bench --device rpi` sends it over ssh each time, so the two ends always fit each other.

It has two roles. `serve` is what ssh starts: it takes request, model and input from standard input, puts
them into a private temporary folder, has each configuration (threads, XNNPACK or not) measured in processes
of its own, and removes the folder. `main` is such a process: load time and peak memory are of one
configuration alone, and what differs from process to process (where memory lies) is seen in several of them.

The folder goes away whatever happens: when the other end closes standard input or is silent for too long, on
SIGHUP, SIGTERM and SIGINT; and should `serve` itself be killed, `main` sees its own standard input close.

On the wire, towards here: the length of this file and the file, the length of the request and the request
(JSON), model and input in the lengths that the request gives, then an empty line every few seconds as a sign
of life. Back: lines `edgesea {JSON}`, because a login shell may print lines of its own. Each holds one of
`hello`, `alive`, `result`, `error`, and at last, when the folder is gone, `end`.
"""

import base64
import contextlib
import ctypes
import datetime
import fcntl
import json
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

OLDEST_PYTHON = (3, 9)
BEAT_S = 5.0  # between signs of life
BLOCK = 1 << 16
LARGEST_REQUEST = 1 << 20
WARM_UP_S = 0.3
WARM_UP_RUNS = 5

# (module with Interpreter and OpResolverType, distribution that holds its version), best first.
RUNTIMES = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
)

# What --setup installs: the first that the registry has for this machine and Python.
PACKAGES = (("ai-edge-litert", "numpy"), ("tflite-runtime==2.14.0", "numpy<2"))
SETUP_S = 1800

# What ends a bench: the terminal gone, Ctrl-C, a shutdown, silence.
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGALRM)

# The firmware's own bits: what holds now; 16 bits further up, what held at some time since it started.
THROTTLING = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}


class Gone(BaseException):
    """Nobody waits for the answer any more."""


class Failure(Exception):
    """The work failed. `kind` is for the program at the other end, the text for people."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


# ---------------------------------------------------------------- the supervisor


def serve(source):
    """Talks to the other end of the ssh connection. source: this file, as bytes."""
    link = _Link()
    folder = None
    for number in SIGNALS:
        signal.signal(number, _leave)
    try:
        link.tell("hello", "{}.{}.{}".format(*sys.version_info[:3]))
        request = link.request()
        lock = _lock()
        try:
            folder = tempfile.mkdtemp(prefix="edgesea-")
            _write(os.path.join(folder, "agent.py"), [source])
            for name in ("model", "input"):
                _write(os.path.join(folder, name), link.content(request[name + "_bytes"]))
        except OSError as error:
            place = folder or tempfile.tempdir or "the temporary folder"
            raise Failure("write", f"{place}: {error.strerror or error}") from None
        # Behind the files: while a program runs, whatever comes counts as a sign of life.
        if request["setup"]:
            _setup(link)
        link.tell("result", _measure_all(link, folder, request))
        if lock is not None:
            os.close(lock)
    except Failure as failure:
        link.tell("error", {"kind": failure.kind, "text": str(failure)})
    except (Gone, BrokenPipeError):
        pass
    except Exception as error:
        link.tell("error", {"kind": "crash", "text": f"{type(error).__name__}: {_one_line(error)}"})
    finally:
        _deaf()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(Gone):
        link.tell("end", True)


def _leave(number, frame):
    _deaf()
    raise Gone


def _deaf():
    """From here on no signal interrupts the cleaning up."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


class _Link:
    """The connection, as standard input and output. An alarm goes off where nothing came for too long."""

    def __init__(self):
        self.silence_s = 60
        self.told = time.monotonic()
        self.emulator = None  # that the last program ran in

    def tell(self, word, value):
        line = f"edgesea {json.dumps({word: value})}\n"
        try:
            sys.stdout.write(line)
            sys.stdout.flush()
        except OSError:
            raise Gone from None
        self.told = time.monotonic()

    def request(self):
        signal.alarm(self.silence_s)
        length = int(sys.stdin.buffer.readline(20) or b"0")
        if not 0 < length <= LARGEST_REQUEST:
            raise Gone
        request = json.loads(b"".join(self.content(length)).decode())
        self.silence_s = int(request["silence_s"])
        return request

    def content(self, length):
        """Yields so many bytes in blocks; Gone where they end before."""
        while length:
            signal.alarm(self.silence_s)
            block = sys.stdin.buffer.read1(min(BLOCK, length))
            if not block:
                raise Gone
            length -= len(block)
            yield block

    def run(self, command, text=None, limit_s=None):
        """Runs a program, sending and awaiting signs of life meanwhile.

        Returns its exit status, standard output and standard error. `text` goes to its standard input, which
        closes only when it has ended.
        """
        end = None if limit_s is None else time.monotonic() + limit_s
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise Failure("python", f"{command[0]} cannot be run: {reason}") from None
        try:
            self.emulator = _emulator(process.pid)
            if text is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(text)
                    process.stdin.flush()
            received = {process.stdout: [], process.stderr: []}
            # Buffered reads may already hold a sign of life; they come so often that it may be lost.
            waiting = [process.stdout, process.stderr, sys.stdin.fileno()]
            signal.alarm(self.silence_s)
            while len(waiting) > 1:
                ready = select.select(waiting, [], [], BEAT_S)[0]
                if end is not None and time.monotonic() > end:
                    raise Failure("late", f"{command[0]} was still running after {limit_s:.0f} seconds")
                for each in ready:
                    if isinstance(each, int):
                        if not os.read(each, BLOCK):
                            raise Gone
                        signal.alarm(self.silence_s)
                    else:
                        block = os.read(each.fileno(), BLOCK)
                        received[each].append(block)
                        if not block:
                            waiting.remove(each)
                if time.monotonic() - self.told > BEAT_S:
                    self.tell("alive", True)
            return process.wait(), b"".join(received[process.stdout]), b"".join(received[process.stderr])
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                with contextlib.suppress(OSError):
                    stream.close()


def _lock():
    """Keeps this user's other benches out: two at once would disturb each other. Locks the home folder, so
    that there is no file to leave behind.
    """
    held = None
    try:
        held = os.open(os.path.expanduser("~"), os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Failure("busy", "another bench is running") from None
    except OSError:
        pass  # no home, or a network file system without locks: then nobody is kept out
    return held


def _write(path, blocks):
    with open(path, "wb") as file:
        for block in blocks:
            file.write(block)
        file.flush()
        os.fsync(file.fileno())


def venv():
    """Where --setup puts the virtual environment."""
    return os.path.join(os.path.expanduser("~"), ".edgesea", "venv")


def _ready():
    """The file that says that --setup came to its end."""
    return os.path.join(venv(), "edgesea-ready")


def _python(wanted):
    """The Python to measure with: the one asked for, else that of --setup, else the one that runs this."""
    if wanted:
        return os.path.expanduser(wanted)
    return os.path.join(venv(), "bin", "python") if os.path.exists(_ready()) else sys.executable


def _setup(link):
    """Makes a virtual environment with a runtime and NumPy, whole or not at all."""
    made = False
    inside = os.path.join(venv(), "bin", "python")
    try:
        os.makedirs(os.path.dirname(venv()), mode=0o700, exist_ok=True)
        code, out, err = link.run([sys.executable, "-m", "venv", "--clear", venv()], limit_s=SETUP_S)
        if b"ensurepip" in out + err:
            # Debian's Python says so in ten lines.
            raise Failure("setup", "its Python has no venv: run on it `sudo apt install python3-venv`")
        if code:
            raise Failure("setup", f"`{sys.executable} -m venv` says: {_last(out + err)}")
        said = []
        for packages in PACKAGES:
            pip = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            code, out, err = link.run([*pip, *packages], limit_s=SETUP_S)
            if code == 0:
                break
            said.append(f"of {packages[0]} pip says: {_last(out + err)}")
        else:
            raise Failure("setup", ", ".join(said))
        _write(_ready(), [" ".join(packages).encode()])
        made = True
    except OSError as error:
        raise Failure("write", f"{venv()}: {error.strerror or error}") from None
    finally:
        if not made:
            shutil.rmtree(venv(), ignore_errors=True)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(venv()))


def _last(text):
    """The last line that says something."""
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"


def _measure_all(link, folder, request):
    """All configurations, one process after the other, as often as request["processes"] says, so that what
    changes slowly (heat) meets all alike; then the reference kernels' output, once.
    """
    command = [_python(request["python"]), "-B", os.path.join(folder, "agent.py")]
    found = {"processes": [], "before": state()}
    orders = [
        {"configuration": number, "reference": False, **configuration}
        for _ in range(request["processes"])
        for number, configuration in enumerate(request["configurations"])
    ]
    for order in [*orders, {"configuration": None, "reference": True, "threads": 1, "xnnpack": False}]:
        order.update(folder=folder, runs=request["runs"], limit_s=request["limit_s"])
        before = state()
        code, out, err = link.run(command, json.dumps(order).encode() + b"\n")
        try:
            answer = json.loads(out.decode())
        except ValueError:
            raise Failure("crash", _death(code, command[0], err)) from None
        if "error" in answer:
            raise Failure(answer["error"]["kind"], answer["error"]["text"])
        found["machine"] = answer.pop("machine")
        found["machine"]["emulator"] = link.emulator or found["machine"]["emulator"]
        if order["reference"]:
            found["reference"] = answer
        else:
            answer.update(configuration=order["configuration"], before=before, after=state())
            found["processes"].append(answer)
    found["after"] = state()
    return found


def _death(code, python, err):
    if code == -signal.SIGKILL:
        return "the measuring process was killed, as a machine without enough memory does"
    if code < 0:
        return f"the measuring process ended by signal {-code}"
    return f"{python} ended with status {code}: {_last(err)}"


# ---------------------------------------------------------------- one measurement, in a process of its own


def main():
    """Takes an order from standard input, one line of JSON, and writes the figures to standard output."""
    # Runtimes print to standard output too: what they print goes to standard error.
    out = os.dup(1)
    os.dup2(2, 1)
    try:
        order = json.loads(sys.stdin.buffer.readline().decode())
        threading.Thread(target=_watch, args=(order["folder"],), daemon=True).start()
        answer = measure(order)
    except Failure as failure:
        answer = {"error": {"kind": failure.kind, "text": str(failure)}}
    os.write(out, json.dumps(answer).encode())


def _watch(folder):
    """Removes the folder and ends this process when the supervisor is gone."""
    # The descriptor itself: a buffered reader that waits cannot be closed when the process ends.
    while os.read(0, BLOCK):
        pass
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def measure(order):
    """Loads the model and runs it as ordered.

    order: folder (str, holds `model` and `input`), threads (int > 0), xnnpack (bool), runs (int > 0), limit_s
    (float > 0), reference (bool: instead of timing, one run with TFLite's reference kernels for its output)
    """
    if sys.version_info < OLDEST_PYTHON:
        raise Failure("python", "Python {}.{} is older than 3.9".format(*sys.version_info[:2]))
    start = time.perf_counter()
    try:
        import numpy as np
    except Exception as error:
        raise Failure("missing", f"NumPy: {_one_line(error)}") from None
    module, name, version = runtime()
    importing = time.perf_counter() - start
    path = os.path.join(order["folder"], "model")
    kinds = module.OpResolverType
    kind = kinds.AUTO if order["xnnpack"] else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    if order["reference"]:
        kind = kinds.BUILTIN_REF
    _forget(path)
    empty = _empty_memory()
    start = time.perf_counter()
    try:
        interpreter = module.Interpreter(
            model_path=path, num_threads=order["threads"], experimental_op_resolver_type=kind
        )
        interpreter.allocate_tensors()
        loading = time.perf_counter() - start
        _fill(np, interpreter, os.path.join(order["folder"], "input"))
        first = _timed(interpreter)
        outputs = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
    except (ValueError, RuntimeError) as error:
        raise Failure("model", _one_line(error)) from None
    answer = {
        "engine": _engine(interpreter, name, version, order["reference"]),
        "machine": machine(),
        "outputs": [base64.b64encode(output.tobytes()).decode() for output in outputs],
    }
    answer["machine"].update({"runtime": f"{name} {version}", "numpy": np.__version__})
    if order["reference"]:
        return answer
    warm, spent = 0, 0.0
    while warm < WARM_UP_RUNS or spent < WARM_UP_S:
        spent += _timed(interpreter)
        warm += 1
    times = []
    spent = 0.0
    while len(times) < order["runs"] and (not times or spent < order["limit_s"]):
        times.append(_timed(interpreter))
        spent += times[-1]
    answer.update(
        {
            "import_ms": _ms(importing),
            "cold_load_ms": _ms(loading),
            "first_inference_ms": _ms(first),
            "warm_up_runs": warm,
            "times_ms": [_ms(each) for each in times],
            "empty_interpreter_bytes": empty,
            "peak_above_empty_bytes": _peak_memory(empty),
        }
    )
    return answer


def runtime():
    """(module, distribution, version) of the first runtime that is there; Failure names all reasons."""
    import importlib.metadata

    reasons = []
    for name, distribution in RUNTIMES:
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError:
            reasons.append(f"{distribution} is not installed")
        except Exception as error:
            # A runtime built for another NumPy or C library fails in ways of its own.
            reasons.append(f"{distribution} cannot be loaded ({_one_line(error)})")
        else:
            try:
                return module, distribution, importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                return module, distribution, "of unknown version"
    raise Failure("missing", ", ".join(reasons))


def _engine(interpreter, name, version, reference):
    # The runtimes have no public way to ask; both have this one.
    operators = {detail["op_name"] for detail in interpreter._get_ops_details()}
    delegate = "XNNPACK" if "DELEGATE" in operators else "no delegate"
    return "{} {}, {} kernels, {}".format(name, version, "reference" if reference else "default", delegate)


def _fill(np, interpreter, path):
    """Sets all inputs from one file, each in its own type, one after the other."""
    with open(path, "rb") as file:
        content = file.read()
    position = 0
    for detail in interpreter.get_input_details():
        size = int(np.prod(detail["shape"])) * np.dtype(detail["dtype"]).itemsize
        values = np.frombuffer(content[position : position + size], detail["dtype"])
        interpreter.set_tensor(detail["index"], values.reshape(detail["shape"]))
        position += size


def _timed(interpreter):
    start = time.perf_counter()
    interpreter.invoke()
    return time.perf_counter() - start


def _forget(path):
    """Asks the system to drop the file from its cache, so that a cold load reads the disk."""
    file = os.open(path, os.O_RDONLY)
    with contextlib.suppress(OSError):
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def _empty_memory():
    """Bytes of this process with the runtime imported and no model, and sets its high-water mark back to
    that. Where the system keeps the mark, the mark as it is.
    """
    # The allocator first gives back what the imports have freed, or the model would seem to cost nothing.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return _status_bytes("VmHWM")
    return _status_bytes("VmRSS")


def _peak_memory(empty):
    peak = _status_bytes("VmHWM")
    return None if peak is None or empty is None else max(peak - empty, 0)


def _status_bytes(field):
    found = re.search(rf"^{field}:\s*(\d+) kB", _text("/proc/self/status") or "", re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def _ms(seconds):
    return round(float(seconds) * 1000, 4)


def _one_line(error):
    return " ".join(str(error).split())[:300] or type(error).__name__


# ---------------------------------------------------------------- conditions


def machine(root="/"):
    """What does not change while measuring; what this system does not tell is None."""
    return {
        "machine": platform.machine(),
        "bits": 8 * ctypes.sizeof(ctypes.c_void_p),
        "board": _text(root + "proc/device-tree/model") or _text(root + "sys/class/dmi/id/product_name"),
        "cpu": _cpu(root),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system(root),
        "python": platform.python_version(),
        "emulator": _foreign_cpu(root),
    }


def state(root="/"):
    """What may change while measuring: time (UTC), load_average (1 minute), governor, frequency_mhz (of core
    0), temperature_c (the warmest zone), throttling (the firmware's flags as hexadecimal text).
    """
    frequency = _number(root + "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")
    thermal = root + "sys/class/thermal"
    zones = sorted(os.listdir(thermal)) if os.path.isdir(thermal) else []
    warmth = [
        _number(os.path.join(thermal, zone, "temp")) for zone in zones if zone.startswith("thermal_zone")
    ]
    warmth = [value for value in warmth if value is not None]
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "load_average": round(os.getloadavg()[0], 2),
        "governor": _text(root + "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "frequency_mhz": None if frequency is None else round(frequency / 1000, 1),
        "temperature_c": round(max(warmth) / 1000, 1) if warmth else None,
        "throttling": _throttling(root),
    }


def slowed(before, after):
    """Why the machine was slower than it can be, as words; empty where it was not, or does not tell.

    before, after: of `state`. What holds at either end counts, and what happened in between.
    """
    flags = [int(each["throttling"] or "0x0", 16) for each in (before, after)]
    now = flags[0] | flags[1] | (flags[1] >> 16 & ~(flags[0] >> 16))
    return [words for bit, words in THROTTLING.items() if now >> bit & 1]


def _throttling(root):
    """The flags of a Pi's firmware, "0x50005"; None on other machines."""
    text = _text(root + "sys/devices/platform/soc/soc:firmware/get_throttled")
    if text is None and shutil.which("vcgencmd"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            answer = subprocess.run(["vcgencmd", "get_throttled"], capture_output=True, timeout=5)
            text = answer.stdout.decode("utf-8", "replace")
    found = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-fA-F]{1,8})", (text or "").strip())
    return "0x" + found.group(1).lower() if found else None


def _cpu(root):
    fields = _cpu_fields(root)
    if "model name" in fields:
        return fields["model name"]
    if "CPU part" in fields:
        return "implementer {}, part {}".format(fields.get("CPU implementer", "?"), fields["CPU part"])
    return None


def _cpu_fields(root):
    fields = {}
    for line in (_text(root + "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


def _system(root):
    found = re.search(r'^PRETTY_NAME="?([^"\n]*)', _text(root + "etc/os-release") or "", re.MULTILINE)
    return found.group(1) if found else None


def _emulator(pid):
    """The emulator that runs a program for another processor; an emulator hides itself from the program
    alone, so one process has to look at another.
    """
    with contextlib.suppress(OSError):
        name = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        if name.startswith("qemu-"):
            return name
    return None


def _foreign_cpu(root, architecture=None):
    """The same by another sign: an ARM program that sees a PC's processor."""
    arm = (architecture or platform.machine()).startswith(("arm", "aarch"))
    return "an emulator on another processor" if arm and "vendor_id" in _cpu_fields(root) else None


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ") or None
    except OSError:
        return None


def _number(path):
    try:
        return float(_text(path) or "")
    except ValueError:
        return None


if __name__ == "__main__":
    main()
