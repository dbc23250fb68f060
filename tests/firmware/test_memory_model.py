"""The memory's records against a model in Python: added, removed, saved, and the power failing in the
middle."""

import struct
import zlib

import numpy as np
import pytest
from decision_program import CAPACITY, STORED, OnHost, label, subject
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edgesea.listen import listen

DIMENSION, ZERO_POINT = 4, 3
RECORD = 28 + DIMENSION
HEAD = 8  # of an area
AREA = HEAD + STORED * RECORD + 3
LABELS = ("dog", "rain", "a", "b", "c", "d", "e", "f", "g", "h", "i")
OK, FULL, LABEL, NOTHING, STORAGE = 0, -1, -2, -3, -4


class Model:
    """What is in RAM and in storage, as lists of (number, label, prototype) and, for a removal, (number,)."""

    def __init__(self):
        self.storage: list[tuple] = []
        self.generation = 0
        self.begin()

    def begin(self):
        self.ram, self.next, self.taken = [], 1, []
        for record in self.storage:
            self.ram = [each for each in self.ram if each[0] != record[0]]
            if len(record) > 1:
                self.ram.append(record)
                self.next = (record[0] + 1) & 0xFFFF
        return OK

    def take(self, value):
        self.taken.append(value)

    def add(self, name):
        known = {"dog", "siren", "rain", *(each[1] for each in self.ram)}
        more = len(known - {"dog", "siren", "rain"})
        if not self.taken:
            return NOTHING
        if len(self.ram) == CAPACITY or (name not in known and more == listen.SPARE):
            return FULL
        number = self.next
        while number == 0 or number in [each[0] for each in self.ram]:
            number = (number + 1) & 0xFFFF
        prototype = listen.scaled(np.sum(self.taken, axis=0) - len(self.taken) * ZERO_POINT)
        self.ram.append((number, name, tuple(prototype.tolist())))
        self.next, self.taken = (number + 1) & 0xFFFF, []
        return number

    def remove(self, number):
        before = len(self.ram)
        self.ram = [each for each in self.ram if each[0] != number]
        return OK if len(self.ram) < before else NOTHING

    def _to_write(self):
        last = {record[0]: record for record in self.storage}
        gone = [
            (record[0],)
            for record in self.storage
            if last[record[0]] is record and len(record) > 1 and record not in self.ram
        ]
        return [*gone, *(each for each in self.ram if last.get(each[0]) != each)]

    def save(self, budget=None):
        wanted = self._to_write()
        if len(self.storage) + self.torn + len(wanted) > STORED:
            return FULL
        if self.generation == 0:
            if self._renewed([], budget) != OK:
                return STORAGE
            budget = None if budget is None else max(0, budget - AREA - HEAD)
        return self._write(wanted, budget)

    def rewrite(self, budget=None):
        return self._renewed(list(self.ram), budget)

    def _renewed(self, records, budget):
        """Erases the other area, writes the records and at last the head; all of that counts, or nothing."""
        generation = self.generation + 1
        head = struct.pack("<II", generation, ~generation & 0xFFFFFFFF)
        # Bytes that are as erased ones need no power.
        least = AREA + len(records) * RECORD + len(head.rstrip(b"\xff"))
        if budget is not None and budget < least:
            return STORAGE
        self.storage, self.torn, self.generation = records, 0, generation
        return OK

    torn = 0

    def _write(self, wanted, budget):
        for record in wanted:
            content = written(record)
            if budget is not None and budget < RECORD:
                if budget >= len(content.rstrip(b"\xff")):
                    self.storage.append(record)
                else:
                    self.torn += budget > 0 and content[:budget].strip(b"\xff") != b""
                return STORAGE
            budget = None if budget is None else budget - RECORD
            self.storage.append(record)
        return OK


def written(record) -> bytes:
    """The bytes of a record."""
    number, *rest = record
    body = struct.pack("<HBB", number, 1 if rest else 2, 0xFF)
    body += label(rest[0]) if rest else bytes(20)
    body += np.array(rest[1], np.int8).tobytes() if rest else b"\xff" * DIMENSION
    return struct.pack("<I", zlib.crc32(body)) + body


class Both:
    """The device and the model, to which the same is done."""

    def __init__(self, device):
        self.device, self.model = device, Model()
        device._library.driver_new()
        self.begin()

    def begin(self):
        assert self.device.number(b"B") == self.model.begin()

    def take(self, value):
        self.device.do(b"T" + np.full(DIMENSION, value, np.int8).tobytes())
        self.model.take(np.full(DIMENSION, value))

    def add(self, name):
        assert self.device.number(b"A" + label(name)) == self.model.add(name)

    def remove(self, number):
        assert self.device.number(b"R" + struct.pack("<H", number)) == self.model.remove(number)

    def save(self):
        assert self.device.number(b"V") == self.model.save()

    def rewrite(self):
        assert self.device.number(b"W") == self.model.rewrite()

    def cut(self, budget, anew=False):
        """A save or a rewrite in which the power fails, and the reset after it."""
        self.device.do(b"P" + struct.pack("<I", budget))
        if anew:
            assert self.device.number(b"W") == self.model.rewrite(budget)
        else:
            assert self.device.number(b"V") == self.model.save(budget)
        self.begin()

    def compare(self):
        answer = self.device.do(b"L")
        (count,) = struct.unpack_from("<H", answer)
        found = [struct.unpack_from("<H20s", answer, 2 + 22 * place) for place in range(count)]
        held = [(number, name.rstrip(b"\0").decode()) for number, name in found]
        assert held == [each[:2] for each in self.model.ram]


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    decisions = subject(dimension=DIMENSION, prototypes=3)
    return OnHost(tmp_path_factory.mktemp("memory") / "c", decisions, DIMENSION, ZERO_POINT)


def test_random_operations_in_any_order(device):
    class Machine(RuleBasedStateMachine):
        @initialize()
        def new(self):
            self.both = Both(device)

        @rule(value=st.integers(-128, 127))
        def take(self, value):
            self.both.take(value)

        @rule(name=st.sampled_from(LABELS))
        def add(self, name):
            self.both.add(name)

        @rule(place=st.integers(0, CAPACITY))
        def remove(self, place):
            held = [each[0] for each in self.both.model.ram]
            self.both.remove(held[place] if place < len(held) else 999)

        @rule()
        def save(self):
            self.both.save()

        @rule()
        def rewrite(self):
            self.both.rewrite()

        @rule(budget=st.integers(0, 4 * RECORD))
        def cut(self, budget):
            self.both.cut(budget)

        @rule(budget=st.integers(AREA - 9, AREA + HEAD + (CAPACITY + 1) * RECORD))
        def cut_anew(self, budget):
            self.both.cut(budget, anew=True)

        @rule()
        def begin(self):
            self.both.begin()

        @invariant()
        def same(self):
            if hasattr(self, "both"):
                self.both.compare()

    Machine.TestCase.settings = settings(
        max_examples=40,
        stateful_step_count=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case = Machine.TestCase()
    case.runTest()


@pytest.mark.slow
def test_a_million_random_operations(device):
    random = np.random.default_rng(2)
    both = Both(device)
    kinds = random.choice(8, 1_000_000, p=[0.3, 0.25, 0.2, 0.1, 0.03, 0.07, 0.04, 0.01])
    for count, (kind, value) in enumerate(
        zip(kinds.tolist(), random.integers(0, 256, 1_000_000).tolist(), strict=True)
    ):
        if kind == 0:
            both.take(value - 128)
        elif kind == 1:
            both.add(LABELS[value % len(LABELS)])
        elif kind == 2:
            held = [each[0] for each in both.model.ram]
            both.remove(held[value % len(held)] if held and value < 240 else 999)
        elif kind == 3:
            both.save()
        elif kind == 4:
            if value < 128:
                both.rewrite()
            else:
                both.cut(AREA + (value - 130) * 4 * RECORD // 128, anew=True)
        elif kind == 5:
            both.cut(value * 5 * RECORD // 256)
        elif kind == 6:
            both.begin()
        else:  # numbers go round
            both.model.next = 65534
            both.device.do(b"N" + struct.pack("<H", 65534))
        if count % 7 == 0:
            both.compare()
