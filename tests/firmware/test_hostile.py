"""Whatever a .tflite holds, reading and checking it ends within a second, in a graph or a ModelError."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from damaged_models import altered, mutated
from random_graphs import MAKERS, Net, options, random_model, single_operator_model

from firmware_export.flatbuffer import LONGEST_STRING, MOST_TABLES
from firmware_export.graph import ModelError, read
from firmware_export.passes import check, simplify

SHARED = Path(__file__).resolve().parents[3] / "shared" / "models"


def judge(model: bytes) -> str:
    """Read, count, fold and check ``model``: "accepted", or the message of the ModelError it ends in.

    The compiler's tests go on from here: what is accepted must compile or be refused the same way.
    """
    try:
        graph = read(model)
        for op in graph.operators:
            assert graph.multiply_accumulates(op) >= 0
        check(simplify(graph))
    except ModelError as error:
        message = str(error)
        assert message.isprintable(), message
        assert message.endswith("."), message
        return message
    return "accepted"


def damaged(seed: int) -> bytes:
    """The ``seed``-th hostile file: a random or real model with damaged bytes, or a graph without sense."""
    rng = np.random.default_rng([seed, 9])
    real = sorted(SHARED.glob("*.tflite"))
    if seed % 10 == 0 and real:
        return mutated(real[seed // 10 % len(real)].read_bytes(), rng)
    change = altered if seed % 3 == 0 else mutated
    return change(random_model(seed % 500), rng)


def survive(seeds, judge: Callable[[bytes], str]) -> Counter:
    """Judge the damaged files of ``seeds``, each in under a second; count the kinds of answer."""
    answers: Counter = Counter()
    for seed in seeds:
        model = damaged(seed)
        start = time.process_time()
        answer = judge(model)
        assert time.process_time() - start < 1, f"file {seed} took over a second"
        answers[answer.split(" ")[0]] += 1
    return answers


def test_hundreds_of_damaged_files():
    answers = survive(range(600), judge)
    assert set(answers) == {"accepted", "The", "Operator"}
    assert min(answers.values()) > 20


@pytest.mark.slow
def test_ten_thousand_damaged_files():
    answers = survive(range(600, 10_600), judge)
    assert sum(answers.values()) == 10_000


def test_every_truncation_of_a_file():
    model = random_model(3)
    for size in range(0, len(model), 7):
        assert judge(model[:size]) != "accepted"


@pytest.mark.parametrize("byte", [0, 255, 4])
def test_every_word_of_a_file_overwritten(byte):
    model = random_model(5)
    for at in range(0, len(model) - 4, 4):
        judge(model[:at] + bytes([byte]) * 4 + model[at + 4 :])


@pytest.mark.parametrize("opcode", MAKERS)
def test_every_word_of_an_operator_overwritten(opcode):
    model = single_operator_model(opcode, 1)
    for at in range(0, len(model) - 4, 4):
        judge(model[:at] + bytes(4) + model[at + 4 :])


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 5000])
def test_random_bytes(size):
    rng = np.random.default_rng(size)
    for _ in range(20):
        assert judge(rng.bytes(size)) != "accepted"
        if size >= 8:
            assert judge(rng.bytes(4) + b"TFL3" + rng.bytes(size - 8)) != "accepted"


def test_more_tables_than_are_allowed():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 4))
    for _ in range(MOST_TABLES):
        net.tensor((), "int8")
    y = net.like(x, (1, 4))
    net.add("RELU", [x], [y])
    assert judge(net.bytes([y])) == (
        f"The .tflite file is damaged at subgraph 0: it holds {MOST_TABLES + 2} entries of kind tensor, more "
        f"than the {MOST_TABLES} allowed."
    )


def test_a_vector_that_names_one_costly_table_again_and_again():
    net = Net(np.random.default_rng(0))
    x = net.tensor((1,) * 7 + (50_000,), "int8", np.full(50_000, 0.1), 0, np.zeros(50_000), axis=7)
    net.tensors[x].name = b"\xff" * 1_000_000
    for _ in range(MOST_TABLES - 3):
        net.tensor((), "int8")
    model = bytearray(net.bytes([]))
    table = schema.Model.GetRootAs(model).Subgraphs(0)._tab
    start = table.Vector(table.Offset(4))
    first = start + int.from_bytes(model[start : start + 4], "little")
    places = start + 4 * np.arange(MOST_TABLES - 2)
    model[start : start + 4 * places.size] = (first - places).astype("<u4").tobytes()
    began = time.process_time()
    graph = read(bytes(model))
    assert time.process_time() - began < 1
    assert {tensor.elements for tensor in graph.tensors} == {50_000}


def _chain(length: int) -> bytes:
    """As many operators as are allowed, each a convolution with the same weights."""
    net = Net(np.random.default_rng(0))
    x = net.tensor((1, 4, 4, 4), "int8", 0.1, 0)
    net.inputs.append(x)
    weights = net.tensor((4, 3, 3, 4), "int8", np.full(4, 0.01), 0, np.ones((4, 3, 3, 4)))
    bias = net.tensor((4,), "int32", np.full(4, 0.001), 0, np.ones(4))
    for _ in range(length):
        y = net.like(x, (1, 4, 4, 4))
        net.add("CONV_2D", [x, weights, bias], [y], options("Conv2D", strideH=1, strideW=1))
        x = y
    return net.bytes([x])


def _folds(length: int) -> bytes:
    """As much constant folding as is allowed: the same slice of the same constant again and again."""
    net = Net(np.random.default_rng(0))
    x = net.input((1, 4))
    y = net.like(x, (1, 4))
    net.add("RELU", [x], [y])
    shape = (1, 1, 2, 2, 2, 2, 4, 4)
    inputs = [net.integers(v) for v in (np.zeros(shape), np.zeros(8), shape, np.ones(8))]
    for _ in range(length):
        net.add("STRIDED_SLICE", inputs, [net.tensor(shape, "int32")], options("StridedSlice"))
    return net.bytes([y])


def _wide(units: int) -> bytes:
    """One matrix of many channels read by many operators."""
    net = Net(np.random.default_rng(0))
    x = net.tensor((1, 1), "int8", 0.01, 0)
    net.inputs.append(x)
    weights = net.tensor((units, 1), "int8", np.full(units, 0.01), 0, np.ones((units, 1)))
    outputs = []
    for _ in range(2000):
        outputs.append(net.tensor((1, units), "int8", 0.1, 0))
        net.add("FULLY_CONNECTED", [x, weights, -1], outputs[-1:], options("FullyConnected"))
    return net.bytes(outputs)


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (lambda: _chain(MOST_TABLES - 10), "accepted"),
        (lambda: _folds(MOST_TABLES - 10), "accepted"),
        (lambda: _wide(50_000), "with it the model reads more than 33554432 bytes of constants."),
    ],
    ids=["chain", "folds", "wide"],
)
def test_a_file_made_to_cost_time(model, answer):
    model = model()
    start = time.process_time()
    assert judge(model).endswith(answer)
    assert time.process_time() - start < 1


def test_a_tensor_may_not_have_a_name_of_megabytes():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 4))
    y = net.like(x, (1, 4))
    net.tensors[x].name = b"x" * 3_000_000
    net.add("RELU", [x], [y])
    assert len(read(net.bytes([y])).tensors[x].name) == LONGEST_STRING
