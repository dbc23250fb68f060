"""Decisions and memory in C, against listen.py: the same to the bit, on the host and on emulated cores."""

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from decision_program import (
    CAPACITY,
    STORED,
    STRICT,
    OnHost,
    Reference,
    label,
    on_core,
    subject,
    write_driver,
)

from edgesea.listen import listen
from firmware_export import decisions as of_c
from firmware_export.emit import RUNTIME

DIMENSION, ZERO_POINT = 10, -17
CORES = ["cortex-m0plus", "cortex-m3", "cortex-m7", "cortex-m33", "cortex-m55", "riscv32"]


def frames(seed: int, count: int, near: np.ndarray, head=2):
    """Heads' scores and embeddings: random ones, and such as lie near a prototype."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        if len(near) and random.random() < 0.7:
            embedding = near[random.integers(len(near))] * random.uniform(0.3, 1) + random.normal(
                0, 9, DIMENSION
            )
        else:
            embedding = random.integers(-140, 140, DIMENSION)
        embedding = np.clip(np.round(embedding) + ZERO_POINT, -128, 127).astype(np.int8)
        yield random.integers(0, 256, head).astype(np.uint8), embedding


def script(decisions, seed=0, count=300):
    """Operations with what listen.py answers to each."""
    reference = Reference(decisions, ZERO_POINT)
    random = np.random.default_rng(seed)
    operations, answers = [b"B"], [struct.pack("<i", 0)]
    learned = []
    for number, (head, embedding) in enumerate(frames(seed, count, decisions.prototypes)):
        operations.append(b"S" + head.tobytes() + embedding.tobytes())
        answers.append(reference.score(head, embedding))
        if number % 9 == 0:
            name = random.choice(["dog", "drill", "saw-2", "a", "b.c", "x_1"])
            taken = [each for _, each in frames(number, 3, decisions.prototypes)]
            operations += [b"T" + each.tobytes() for each in taken]
            answers += [b""] * 3
            operations.append(b"A" + label(name))
            made = reference.memory.add(name, np.array(taken), CAPACITY)
            answers.append(struct.pack("<i", -1 if made is None else made))
            if made:
                learned.append(made)
            else:
                gone = learned.pop(random.integers(len(learned)))
                operations += [b"R" + struct.pack("<H", gone), b"R" + struct.pack("<H", gone)]
                assert reference.memory.remove(gone)
                # What was taken stays until it is added.
                answers += [struct.pack("<i", 0), struct.pack("<i", -3)]
                operations.append(b"A" + label(name))
                made = reference.memory.add(name, np.array(taken), CAPACITY)
                answers.append(struct.pack("<i", made))
                learned.append(made)
    return operations, answers


KINDS = {
    "both": {},
    "no head": {"head": 0},
    "no prototypes": {"prototypes": 0},
    "never unknown": {"unknown": -32768},
    "one neighbour": {"k": 1},
    "all neighbours": {"k": 32, "prototypes": 40},
}


@pytest.mark.parametrize("kind", KINDS)
def test_c_scores_as_listen_does(kind, tmp_path):
    decisions = subject(**KINDS[kind])
    if decisions.head == 0:
        operations, answers = script_without_head(decisions)
    else:
        operations, answers = script(decisions)
    device = OnHost(tmp_path / "c", decisions, DIMENSION, ZERO_POINT)
    for place, (operation, answer) in enumerate(zip(operations, answers, strict=True)):
        assert device.do(operation) == answer, (place, operation)
    said = [answer for answer in answers if len(answer) > 4]
    slots = decisions.slots
    assert any(byte & 2 for answer in said for byte in answer[slots : 2 * slots]), "no event"


def script_without_head(decisions):
    reference = Reference(decisions, ZERO_POINT)
    operations, answers = [b"B"], [struct.pack("<i", 0)]
    for head, embedding in frames(3, 200, decisions.prototypes, head=0):
        operations.append(b"S" + head.tobytes() + embedding.tobytes())
        answers.append(reference.score(head, embedding))
    return operations, answers


@pytest.mark.parametrize(
    ("compiler", "flags"),
    [
        ("clang", ("-std=c99", "-O2")),
        ("gcc", ("-std=c99", "-O1", "-fsanitize=undefined", "-fno-sanitize-recover=all")),
    ],
)
def test_other_compilers_and_sanitizers(compiler, flags, tmp_path):
    decisions = subject(seed=4)
    operations, answers = script(decisions, seed=4, count=120)
    device = OnHost(tmp_path / "c", decisions, DIMENSION, ZERO_POINT, compiler, flags)
    for operation, answer in zip(operations, answers, strict=True):
        assert device.do(operation) == answer


@pytest.mark.parametrize(
    "core", ["cortex-m4", *(pytest.param(core, marks=pytest.mark.slow) for core in CORES)]
)
def test_emulated_cores_score_as_listen_does(core, tmp_path):
    decisions = subject(seed=7)
    operations, answers = script(decisions, seed=7, count=200)
    expected = b"".join(answers)
    found, instructions = on_core(
        core, tmp_path / "c", decisions, DIMENSION, ZERO_POINT, b"".join(operations), len(expected)
    )
    assert found == expected
    assert instructions > 1000 * len(answers)


def test_it_compiles_as_cpp(tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    for source in write_driver(tmp_path / "c", subject(), DIMENSION, ZERO_POINT):
        command = ["g++", "-x", "c++", "-std=c++11", *STRICT, f"-I{tmp_path / 'c'}", "-c", str(source)]
        built = subprocess.run([*command, "-o", "/dev/null"], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr


def test_large_embeddings_do_not_overflow(tmp_path):
    """1,024 dimensions, all at the ends of their range."""
    dimension = 1024
    signs = np.random.default_rng(0).choice([-1, 1], (5, dimension))
    decisions = subject(dimension=dimension, prototypes=5, unknown=-32768)
    decisions.prototypes[:] = 127 * signs
    device = OnHost(tmp_path / "c", decisions, dimension, 127)
    reference = Reference(decisions, 127)
    device.do(b"B")
    for row in (*signs, -signs[0], np.ones(dimension, int)):
        head, embedding = np.array([9, 200], np.uint8), np.where(row > 0, 127, -128).astype(np.int8)
        expected = reference.score(head, embedding)
        assert device.do(b"S" + head.tobytes() + embedding.tobytes()) == expected


@pytest.fixture
def device(tmp_path):
    return OnHost(tmp_path / "c", subject(), DIMENSION, ZERO_POINT)


def taken(value: int) -> bytes:
    return b"T" + np.full(DIMENSION, value, np.int8).tobytes()


def listed(device) -> list[tuple[int, str]]:
    answer = device.do(b"L")
    (count,) = struct.unpack_from("<H", answer)
    found = [struct.unpack_from("<H20s", answer, 2 + 22 * place) for place in range(count)]
    return [(number, name.rstrip(b"\0").decode()) for number, name in found]


def test_what_cannot_be_added_is_said(device):
    assert device.number(b"B") == 0
    assert device.number(b"A" + label("drill")) == -3  # nothing was taken
    device.do(taken(5))
    for wrong in ("", "a b", 'a"b', "é", "a\\b"):
        assert device.number(b"A" + label(wrong)) == -2
    assert device.number(b"A" + b"x" * 20) == -2
    assert device.number(b"A" + label("x" * 19)) == 1
    for number in range(2, CAPACITY + 1):
        device.do(taken(number))
        assert device.number(b"A" + label(f"class-{number}")) == number
    device.do(taken(1))
    assert device.number(b"A" + label("dog")) == -1
    assert device.number(b"R" + struct.pack("<H", 3)) == 0
    assert [number for number, _ in listed(device)] == [1, 2, 4, 5, 6, 7]


def test_a_reset_forgets_what_was_not_saved(device):
    device.do(b"B")
    for name in ("one", "two"):
        device.do(taken(9))
        device.do(b"A" + label(name))
    assert device.number(b"V") == 0
    device.do(taken(9))
    device.do(b"A" + label("three"))
    device.do(b"R" + struct.pack("<H", 1))
    assert device.number(b"B") == 0
    assert listed(device) == [(1, "one"), (2, "two")]
    device.do(b"R" + struct.pack("<H", 1))
    device.do(b"V")
    device.do(b"B")
    assert listed(device) == [(2, "two")]


def test_full_storage_takes_nothing_until_it_is_written_anew(device):
    device.do(b"B")
    for number in range(1, STORED // 2 + 1):  # each is added and removed: two records
        device.do(taken(7))
        assert device.number(b"A" + label("x")) == number
        assert device.number(b"V") == 0
        device.do(b"R" + struct.pack("<H", number))
        assert device.number(b"V") == 0
    device.do(taken(7))
    device.do(b"A" + label("y"))
    assert device.number(b"V") == -1
    device.do(b"B")
    assert listed(device) == []
    device.do(taken(7))
    device.do(b"A" + label("y"))
    assert device.number(b"W") == 0
    device.do(b"B")
    assert [name for _, name in listed(device)] == ["y"]


def test_a_power_cut_at_every_byte_loses_the_new_one_at_most(device):
    """And what was removed is removed or there, never damaged."""
    record = 28 + DIMENSION + 2
    for cut in range(3 * record + 1):
        device._library.driver_new()
        device.do(b"B")
        for name in ("one", "two"):
            device.do(taken(9))
            device.do(b"A" + label(name))
        assert device.number(b"V") == 0
        device.do(taken(3))
        device.do(b"A" + label("three"))
        device.do(taken(4))
        device.do(b"A" + label("four"))
        device.do(b"R" + struct.pack("<H", 1))
        device.do(b"P" + struct.pack("<I", cut))
        assert device.number(b"V") == (0 if cut >= 3 * record else -4)
        assert device.number(b"B") == 0
        # First the removal is written, then three, then four.
        # A record is there once all of it is but what equals erased bytes: the removal's prototype, padding.
        ends = [28, record + 28 + DIMENSION, 2 * record + 28 + DIMENSION]
        written = sum(cut >= end for end in ends)
        assert listed(device) == [
            *([(1, "one")] if written < 1 else []),
            (2, "two"),
            *([(3, "three")] if written >= 2 else []),
            *([(4, "four")] if written >= 3 else []),
        ]
        # It goes on working: what is lost can be added again and survives.
        device.do(taken(5))
        again = device.number(b"A" + label("again"))
        assert again > 0
        assert device.number(b"V") == 0
        device.do(b"B")
        assert (again, "again") in listed(device)


def test_a_power_cut_at_every_byte_of_a_rewrite_leaves_all_of_it_or_all_that_was(device):
    record = 28 + DIMENSION + 2
    area, head = 8 + STORED * record + 3, 8
    whole = area + 2 * record + head
    seen = set()
    for cut in range(whole + 1):
        device._library.driver_new()
        device.do(b"B")
        for name in ("one", "two"):
            device.do(taken(9))
            device.do(b"A" + label(name))
        assert device.number(b"V") == 0
        device.do(b"R" + struct.pack("<H", 1))
        device.do(taken(3))
        device.do(b"A" + label("three"))
        device.do(b"P" + struct.pack("<I", cut))
        done = device.number(b"W")
        assert done == 0 or (done == -4 and cut < whole)
        assert device.number(b"B") == 0
        expected = [(2, "two"), (3, "three")] if done == 0 else [(1, "one"), (2, "two")]
        assert listed(device) == expected
        seen.add(done)
        # It goes on working: in the old area or the new, and into the other one again.
        device.do(taken(5))
        again = device.number(b"A" + label("again"))
        for operation in (b"V", b"W", b"W"):
            assert device.number(operation) == 0
            device.do(b"B")
            assert listed(device) == [*expected, (again, "again")]
    assert seen == {0, -4}


def test_the_constants_of_c_and_python_are_the_same():
    assert (of_c.SPARE, of_c.ADDED_THRESHOLD) == (listen.SPARE, listen.ADDED_THRESHOLD)
    text = (Path(RUNTIME) / "edgesea_memory.h").read_text()
    assert f"#define EDGESEA_SPARE {listen.SPARE} " in text
    assert f"#define EDGESEA_LABEL_BYTES {listen.LABEL_BYTES} " in text
