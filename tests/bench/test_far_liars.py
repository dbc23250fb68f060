"""Far ends that lie: a Pi behind ssh, and a board at a serial line. Each ends in a sentence, in bounded time,
and nothing is a measurement that cannot be one."""

import base64
import importlib.util
import json
import os
import sys
import time
import zlib
from pathlib import Path

import fuzzing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_serial import Scripted

from edgesea import devices as bench
from edgesea.devices import answers, compare, rpi
from edgesea.devices import serial as device
from edgesea.devices.serial import Link
from edgesea.errors import EdgeseaError, UsageError
from edgesea.interpreter import open_interpreter
from firmware_export.graph import read

pytestmark = pytest.mark.usefixtures("once")


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A small int8 .tflite, one convolution."""
    path = Path(__file__).parents[1] / "firmware" / "random_graphs.py"
    spec = importlib.util.spec_from_file_location("liars_random_graphs", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    file = tmp_path_factory.mktemp("model") / "small.tflite"
    file.write_bytes(module.single_operator_model("CONV_2D", 3))
    return file


@pytest.fixture(scope="module")
def size(model) -> int:
    return open_interpreter(model, resolver="reference").output.bytes


STATE = {
    "time": "t",
    "load_average": 0.1,
    "governor": "g",
    "frequency_mhz": 1.0,
    "temperature_c": 1.0,
    "throttling": None,
}
MACHINE = {"machine": "m", "bits": 64, "board": "b", "cores": 4, "memory_bytes": 1, "emulator": None}


def result(size: int, process=(), **more) -> dict:
    """What a good agent answers, but for `process` in every process and `more` in the result."""
    outputs = [base64.b64encode(bytes(size)).decode()]
    processes = [
        {
            "configuration": number,
            "engine": "x",
            "import_ms": 1.0,
            "cold_load_ms": 1.0,
            "first_inference_ms": 1.0,
            "outputs": outputs,
            "times_ms": [1.0, 2.0],
            "warm_up_runs": 1,
            "empty_interpreter_bytes": 1,
            "peak_above_empty_bytes": 1,
            "before": STATE,
            "after": STATE,
            **dict(process),
        }
        for number in (0, 1)
    ]
    reference = {"engine": "e", "outputs": outputs}
    return {
        "before": STATE,
        "after": STATE,
        "machine": MACHINE,
        "processes": processes,
        "reference": reference,
        **more,
    }


def far_end(folder: Path, monkeypatch, program: str) -> None:
    """An ssh that runs this Python in its place, with o, e and say(message) at hand."""
    bin = folder / "bin"
    bin.mkdir()
    (bin / "ssh").write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys, threading, time\n"
        "o, e = sys.stdout.buffer, sys.stderr.buffer\n"
        "swallow = lambda: [0 for _ in iter(lambda: sys.stdin.buffer.read(65536), b'')]\n"
        "threading.Thread(target=swallow, daemon=True).start()\n"
        "def say(message): o.write(b'edgesea ' + json.dumps(message).encode() + b'\\n'); o.flush()\n"
        # A thread that waits for input would abort an ordinary end.
        "def end(code): o.flush(); os._exit(code)\n"
        f"{program}\n"
        "o.flush()\n"
    )
    (bin / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    monkeypatch.setattr(rpi, "FAREWELL_S", 0.3)


def answering(folder: Path, monkeypatch, text: bytes) -> None:
    (folder / "answer").write_bytes(text)
    program = f"o.write(open({str(folder / 'answer')!r}, 'rb').read()); o.flush(); time.sleep(0.3)"
    far_end(folder, monkeypatch, program)


def measure(model):
    return bench.measure(model, "rpi", host="pi", runs=20, limit_s=5.0)


def sentence(caught) -> str:
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 1000
    return text


FLOODS = {
    # what the far end does: what is said
    "lines": ("while True: o.write(b'y\\n' * 32768)", "pi answers without end"),
    "line": ("while True: o.write(b'x' * 65536)", "pi answers without end"),
    "errors": ("while True: e.write(b'E' * 65536)", "pi prints errors without end"),
    "keys": (
        "n = 0\nwhile True:\n    say({f'k{n}': 'v' * 1000000})\n    n += 1",
        "pi answers without end",
    ),
    "beats": (
        "while True: say({'beat': 1}); time.sleep(0.05)",
        "pi has not come to an end within .* seconds: see what it is at, or measure a smaller model",
    ),
    "silence": ("time.sleep(600)", "pi has said nothing for 1 seconds"),
    "deep": (
        "o.write(b'edgesea ' + b'[' * 200000 + b'\\n'); end(1)",
        "pi did not run the measurement .*status 1",
    ),
    "deep_dict": (
        "o.write(b'edgesea ' + b'{\"a\":' * 20000 + b'1' + b'}' * 20000 + b'\\n'); end(1)",
        "pi did not run the measurement .*status 1",
    ),
    "denied": (
        "e.write(b'\\x1b[31mPermission denied\\x07 \\xff\\xfe{host}\\n'); e.flush(); end(255)",
        r"pi does not let you in with a key \(\?\[31mPermission denied\? .*host\}\)",
    ),
    "nothing": ("end(127)", "pi has no python3"),
    "stubborn": (
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)",
        "pi has said nothing for 1 seconds",
    ),
}


@pytest.mark.parametrize("how", FLOODS)
def test_a_pi_that_floods_or_stalls(model, tmp_path, monkeypatch, how):
    program, said = FLOODS[how]
    monkeypatch.setattr(rpi, "SILENCE_S", 1)
    monkeypatch.setattr(rpi, "BEGIN_S", 1.5)
    monkeypatch.setattr(rpi, "PROCESS_S", 0.0)
    monkeypatch.setattr(answers, "TALK_BYTES", 1 << 18)
    far_end(tmp_path, monkeypatch, program)
    began = time.monotonic()
    with pytest.raises(EdgeseaError, match=said) as caught:
        bench.measure(model, "rpi", host="pi", runs=20, limit_s=0.01)
    sentence(caught)
    assert time.monotonic() - began < 30


DEEP: object = []
for _ in range(500):
    DEEP = [DEEP]

LIES = {
    # what the process says, or else the result; what is said of it
    "nan": ({"times_ms": [float("nan")]}, {}),
    "infinity": ({"cold_load_ms": float("inf")}, {}),
    "huge_memory": ({"peak_above_empty_bytes": 10**400}, {}),
    "huge_warm_up": ({"warm_up_runs": 10**4000}, {}),
    "huge_cores": ({}, {"machine": {**MACHINE, "cores": 10**4200}}),
    "negative_memory": ({}, {"machine": {**MACHINE, "memory_bytes": -1}}),
    "negative": ({"times_ms": [-5.0, -1e300]}, {}),
    "zero": ({"times_ms": [0.0, 0.0]}, {}),
    "vast": ({"times_ms": [1e308, 1e308]}, {}),
    "longer_than_it_took": ({"times_ms": [3_600_000.0]}, {}),
    "many": ({"times_ms": [1e-3] * 200}, {}),
    "true": ({"warm_up_runs": True}, {}),
    "no_processes": ({}, {"processes": []}),
    "hot": ({}, {"before": {**STATE, "temperature_c": "hot"}}),
    "throttling": ({}, {"before": {**STATE, "throttling": "0x" + "f" * 3000}}),
    "list_governor": ({}, {"after": {**STATE, "governor": ["a"]}}),
    "deep": ({"engine": DEEP}, {}),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_cannot_be_a_measurement_is_none(model, size, tmp_path, monkeypatch, lie):
    process, more = LIES[lie]
    held = result(size, process, **more)
    text = "".join(f"edgesea {json.dumps(each)}\n" for each in ({"hello": "3"}, {"result": held}, {"end": 1}))
    answering(tmp_path, monkeypatch, text.encode())
    with pytest.raises(EdgeseaError) as caught:
        measure(model)
    assert sentence(caught).startswith("pi answered with something that is no measurement (")


def test_a_list_is_no_result(model, tmp_path, monkeypatch):
    answering(tmp_path, monkeypatch, b'edgesea {"result": [1, 2]}\nedgesea {"end": 1}\n')
    with pytest.raises(EdgeseaError, match="no measurement"):
        measure(model)


def test_a_million_times_are_more_than_there_may_be(model, size, tmp_path, monkeypatch):
    held = {"result": result(size, {"times_ms": [1.0] * 1_000_000})}
    answering(tmp_path, monkeypatch, f"edgesea {json.dumps(held)}\n".encode())
    with pytest.raises(EdgeseaError, match="pi answers without end"):
        measure(model)


def test_names_are_shown_without_control(model, size, tmp_path, monkeypatch):
    board = "\x1b]0;pwned\x07[/red][bold]x\u202e" + "y" * 100_000
    held = {"result": result(size, machine={**MACHINE, "board": board})}
    answering(tmp_path, monkeypatch, f'edgesea {json.dumps(held)}\nedgesea {{"end": 1}}\n'.encode())
    shown = measure(model)["conditions"]["board"]
    assert shown.isprintable()
    assert shown.startswith("?]0;pwned?[/red][bold]x?yyy")
    assert len(shown) == answers.LONGEST_TEXT


@pytest.mark.parametrize(
    "error", [{"kind": "model", "text": "\x1b[31mA\nB{host}%s" * 10_000}, {"kind": ["x"], "text": {"a": 1}}]
)
def test_an_error_is_one_short_line(model, tmp_path, monkeypatch, error):
    answering(
        tmp_path, monkeypatch, f'edgesea {json.dumps({"error": error})}\nedgesea {{"end": 1}}\n'.encode()
    )
    with pytest.raises(EdgeseaError) as caught:
        measure(model)
    sentence(caught)


def test_the_liar_of_strangers(model, size, shared, tmp_path, monkeypatch):
    """The case pi_liar. Its good answer is for 12 bytes of output, and so none for this model."""
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "ssh").write_bytes((shared / "cases" / "pi_liar" / "ssh").read_bytes())
    (bin / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    for name, value in (("SILENCE_S", 1), ("BEGIN_S", 1.5), ("PROCESS_S", 0.0), ("FAREWELL_S", 0.3)):
        monkeypatch.setattr(rpi, name, value)
    monkeypatch.setattr(answers, "TALK_BYTES", 1 << 18)
    modes = "yes line errflood keys deep deepdict ok nan huge hugewarm hugecores neg bigtime million escape"
    for mode in [
        *modes.split(),
        *["emptyproc", "notlist", "errtext", "errkind", "state", "exit255", "exit127", "beats", "sleep"],
    ]:
        monkeypatch.setenv("MODE", mode)
        began = time.monotonic()
        with pytest.raises(EdgeseaError) as caught:
            bench.measure(model, "rpi", host="pi", runs=20, limit_s=0.01)
        sentence(caught)
        assert time.monotonic() - began < 30, mode


# A measurement from a stranger


def test_a_measurement_of_a_stranger_is_shown_without_control(tmp_path):
    good = {"device": "rpi", "engine": "x", "conditions": {"a": ["b"]}}
    deep = '{"device": ' + "[" * 900 + "]" * 900 + ', "engine": 1, "conditions": {}}'
    for content, sentence in (
        (json.dumps({**good, "device": "rpi\x1b[2J"}), r"text without control characters is wanted"),
        (json.dumps({**good, "engine": "\u202ex"}), r"text without control characters is wanted"),
        (json.dumps({**good, "conditions": {"a\x07": []}}), r"text without control characters is wanted"),
        (json.dumps({**good, "latency_ms": {"median": 1e308, "p95": 1e308}}), r"latency_ms\.median is not"),
        (deep, r"nests deeper than 32 levels"),
        ("[" * 100_000, r"is not readable as JSON"),
        ('{"a": ' + "9" * 5000 + "}", r"is not readable as JSON"),
    ):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(UsageError, match=sentence) as error:
            compare.load(tmp_path / "a.json")
        assert str(error.value).isprintable()


# Boards


def hello(model: Path, **other) -> str:
    """The greeting of a board that holds `model`, some numbers replaced."""
    reference = open_interpreter(model, resolver="reference")
    numbers = {
        "input": reference.input.bytes,
        "output": reference.output.bytes,
        "arena": 0x100,
        "chunk": 0x40,
        "runs": 0x10,
        "steps": 0,
        "clock": 10**9,
        **other,
    }
    return f"hello 1 {read(model).sha256} " + " ".join(f"{value:x}" for value in numbers.values())


class Board:
    """Answers as a good board with that model does, but for what `other` says of a word."""

    def __init__(self, model: Path, greeting=(), **other):
        self._hello, self._other = hello(model, **dict(greeting)), other
        self._content = bytearray()
        self._size = open_interpreter(model, resolver="reference").output.bytes

    def __call__(self, words: str) -> str | None:
        word, *arguments = words.split(" ")
        if word == "load":
            at = int(arguments[0], 16)
            self._content[at:] = bytes.fromhex(arguments[1])
        if word in self._other:
            return self._other[word]
        if word == "infer":
            crcs = f"{zlib.crc32(bytes(self._content)):x} {zlib.crc32(bytes(self._size)):x}"
            return f"infer {crcs} " + " ".join(["10"] * int(arguments[0], 16))
        if word == "output":
            return "output " + bytes(min(32, self._size - int(arguments[0], 16))).hex()
        return {
            "hello": self._hello,
            "about": "about x",
            "golden": "golden 4 4",
            "load": f"load {len(self._content):x}",
        }.get(word)


@pytest.fixture
def brief(monkeypatch):
    """Nobody waits long."""
    for name, value in (("PATIENCE_S", 0.05), ("LIMIT_S", 0.5), ("WORK_LIMIT_S", 0.5), ("SESSION_S", 5.0)):
        monkeypatch.setattr(device, name, value)


def at_a_board(model: Path, board) -> str:
    began = time.monotonic()
    with Scripted(board) as line, pytest.raises(EdgeseaError) as caught:
        bench.measure(model, f"serial:{line.port}", runs=3)
    assert time.monotonic() - began < 15
    return sentence(caught)


def test_a_good_board_is_measured(model, brief):
    with Scripted(Board(model)) as line:
        found = bench.measure(model, f"serial:{line.port}", runs=3)
    assert found["latency_ms"]["n"] == 3


@pytest.mark.parametrize(
    ("greeting", "other"),
    [
        ({"steps": 0xFFFFFFFF}, {"profile": "profile " + " ".join(["1"] * 200)}),
        ({"chunk": 0}, {}),
        ({"chunk": 0xFFFFFFFF}, {}),
        ({"runs": 0xFFFFFFFF}, {}),
        ({"arena": 0xFFFFFFFF}, {}),
        ({"input": 0xFFFFFFFF}, {}),
        ({"output": 0xFFFFFFFF}, {}),
        ({}, {"about": "about " + "x" * 3000}),
        ({}, {"golden": "golden ffffffff ffffffff"}),
        ({}, {"golden": "golden 5 4"}),
        ({}, {"output": "output"}),
        ({}, {"output": "output " + "00" * 1000}),
        ({}, {"infer": "infer"}),
        ({"steps": 2}, {"profile": "profile 1 1 1"}),
    ],
)
def test_a_board_that_answers_what_cannot_be(model, brief, greeting, other):
    assert "which means nothing to this edgesea" in at_a_board(model, Board(model, greeting, **other))


def test_a_board_with_other_sizes_than_its_model(model, brief):
    said = at_a_board(model, Board(model, {"input": 7}))
    assert "takes 7 bytes and gives" in said
    assert said.endswith("write it again with `edgesea flash`.")


def test_a_board_that_counts_more_than_passed(model, brief):
    class Slow(Board):
        def __call__(self, words):
            said = super().__call__(words)
            return said.replace(" 10", " ffffffff") if words.startswith("infer ") else said

    said = at_a_board(model, Slow(model, {"clock": 250_000}))
    assert "counts 51539.6 s in" in said or "counts 17179.9 s in" in said


def test_a_board_that_answers_everything_for_ever(model, brief, monkeypatch):
    """Each answer comes in time, each step is one question: the session as a whole has its end."""
    monkeypatch.setattr(device, "SESSION_S", 0.5)

    class Slow(Board):
        def __call__(self, words):
            time.sleep(0.02)
            return "profile 1" if words.startswith("profile") else super().__call__(words)

    said = at_a_board(model, Slow(model, {"steps": 4096}))
    assert "has not come to an end within 0.5 s" in said


@pytest.mark.parametrize("how", ["echo", "flood", "lines", "numbers"])
def test_a_board_that_says_no_answers(model, brief, how):
    class Loud(Scripted):
        def _run(self):
            while part := os.read(self._read, 4096):
                chunk = {"flood": b"x" * 4096, "lines": b"<0000 x*00000000\n" * 200}.get(how, part)
                for _ in range(1 if how == "echo" else 50):
                    os.write(self._write, chunk)

    began = time.monotonic()
    with Loud(None) as line, pytest.raises(EdgeseaError) as caught:
        bench.measure(model, f"serial:{line.port}", runs=3)
    assert time.monotonic() - began < 10
    assert "is no edgesea firmware, or the line garbles all that it says" in sentence(caught)


# Fuzzing

numbers = st.sampled_from([0, 1, -1, 2**31, 2**32, 2**64, 10**400, 1e308, -1e308, 0.5, True]) | st.floats(
    allow_nan=False, allow_infinity=False
)
values = st.recursive(
    st.none() | numbers | st.text(max_size=20) | st.sampled_from(["\x1b[2J", "\u202e", "AA==", "0xf"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


def places(value, at=()):
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from places(each, (*at, key))


PLACES = [at for at in places(result(12)) if at]


@st.composite
def strange_results(draw):
    """A good result, some places in it replaced or taken out."""
    held = json.loads(json.dumps(result(12)))
    for at in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        holder = held
        try:
            for key in at[:-1]:
                holder = holder[key]
            holder[at[-1]] = draw(values)
        except (TypeError, KeyError, IndexError):
            pass
    return held


def _is_a_sentence(error: Exception) -> None:
    assert str(error).isprintable()
    assert len(str(error)) < 1000


def _answer_is_checked(folder: Path, held) -> None:
    with fuzzing.held(folder):
        _checked(held)


def _checked(held) -> None:
    line = b"edgesea " + json.dumps({"result": held}).encode()
    message = answers.message(line)
    try:
        found = answers.checked(
            message.get("result"), configurations=2, processes=5, runs=10, sizes=[12], elapsed_s=1.0
        )
    except answers.NoMeasurement as error:
        _is_a_sentence(error)
    else:
        assert all(0 < each < 3000 for process in found["processes"] for each in process["times_ms"])
        assert json.dumps(found["machine"], allow_nan=False).isprintable()
        assert len(json.dumps(found["machine"])) < 50_000
        assert rpi._summary([each for each in found["processes"] if each["configuration"] == 0])


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(strange_results() | values)
def test_strange_answers_of_a_pi(tmp_path, held):
    _answer_is_checked(tmp_path, held)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=QUIET)
@given(strange_results() | values)
def test_many_strange_answers_of_a_pi(tmp_path, held):
    _answer_is_checked(tmp_path, held)


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(st.binary(max_size=200) | st.sampled_from([b"edgesea " + b"[" * 10**5, b"edgesea " + b"9" * 5000]))
def test_strange_lines_of_a_pi(line):
    assert isinstance(answers.message(line), dict)
    assert isinstance(answers.message(b"edgesea " + line), dict)


class Port:
    """An open port in memory whose far end answers what it is given, right CRCs included."""

    def __init__(self, texts):
        self._texts, self._waiting = list(texts), b""

    def write(self, line: bytes) -> None:
        sequence = line.split(b">")[1][:4]
        if self._texts:
            body = sequence + b" " + self._texts.pop(0)
            self._waiting += b"<%s*%08x\n" % (body, zlib.crc32(body))

    @property
    def in_waiting(self) -> int:
        return len(self._waiting)

    def read(self, count: int) -> bytes:
        part, self._waiting = self._waiting[:count], self._waiting[count:]
        return part

    def close(self) -> None:
        pass


words = st.sampled_from(["hello", "golden", "load", "infer", "output", "profile", "about", "error", "1", "0"])
tokens = (
    words | st.sampled_from(["ffffffff", "-1", "ab" * 32, "00" * 32, "100", "4096"]) | st.text("0123abcf")
)
texts = st.lists(tokens, max_size=12).map(" ".join).map(str.encode) | st.binary(max_size=40)
GOOD = [b"hello 1 " + b"ab" * 32 + b" 8 4 100 40 10 2 3b9aca00", b"about x", b"golden 4 4", b"load 8"]


def _board_is_measured_or_told(folder: Path, first: int, said: list[bytes]) -> None:
    asks = (
        Link.hello,
        Link.about,
        Link.golden,
        lambda link: link.load(bytes(8)),
        Link.infer,
        Link.output,
        Link.profile,
    )
    port = Port([*GOOD[:first], *said])
    with fuzzing.held(folder), Link(port, "x", patience_s=0.0002, limit_s=0.0005) as link:
        for ask in asks:
            try:
                found = ask(link)
            except EdgeseaError as error:
                _is_a_sentence(error)
            else:
                assert len(repr(found)) < 10_000


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(st.integers(0, len(GOOD)), st.lists(texts, max_size=8))
def test_strange_answers_of_a_board(tmp_path, monkeypatch, first, said):
    monkeypatch.setattr(device, "WORK_LIMIT_S", 0.0005)
    _board_is_measured_or_told(tmp_path, first, said)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=QUIET)
@given(st.integers(0, len(GOOD)), st.lists(texts, max_size=8))
def test_many_strange_answers_of_a_board(tmp_path, monkeypatch, first, said):
    monkeypatch.setattr(device, "WORK_LIMIT_S", 0.0005)
    _board_is_measured_or_told(tmp_path, first, said)
