"""The planner: nothing overlaps, little is wasted, and the same model gives the same plan."""

import numpy as np
import pytest
import random_graphs
from ai_edge_litert import schema_py_generated as schema
from host_program import HostProgram
from hypothesis import given, settings
from hypothesis import strategies as st
from test_bit_exact import assert_exact

from firmware_export.compile import compile_model
from firmware_export.graph import ModelError, read
from firmware_export.passes import check, lower, simplify
from firmware_export.plan import Buffer, plan
from firmware_export.plan.packing import pack
from firmware_export.plan.rings import simulate
from firmware_export.plan.value import ALIGNMENT
from firmware_export.program import Rows, Step


def planned(model: bytes, budget: int | None = None):
    graph = simplify(read(model))
    check(graph)
    return plan(lower(graph), budget)


@st.composite
def buffers(draw):
    count = draw(st.integers(1, 12))
    found = []
    for number in range(count):
        first = draw(st.integers(0, 6))
        last = first + draw(st.integers(0, 4))
        found.append(Buffer(f"b{number}", 4 * draw(st.integers(1, 50)), first, last, tensor=number))
    return found


def overlapping(a: Buffer, b: Buffer) -> bool:
    in_time = a.meets(b)
    in_space = a.offset < b.offset + b.bytes and b.offset < a.offset + a.bytes
    return in_time and in_space


@settings(max_examples=60, deadline=None)
@given(buffers())
def test_packing_overlaps_nothing_and_stays_between_its_bounds(given_buffers):
    placed, arena = pack(given_buffers)
    assert [b.name for b in placed] == [b.name for b in given_buffers]
    for i, a in enumerate(placed):
        assert 0 <= a.offset <= arena - a.bytes
        assert not any(overlapping(a, b) for b in placed[:i])
    at_once = max(sum(b.bytes for b in placed if b.first <= m <= b.last) for m in range(11))
    assert at_once <= arena <= sum(b.bytes for b in placed)


def test_packing_finds_what_first_fit_by_size_misses():
    # Largest first puts the 8 in the middle of what the two 6 need; any order that begins with them fits 14.
    found, arena = pack(
        [
            Buffer("a", 24, 0, 1),
            Buffer("b", 32, 1, 2),
            Buffer("c", 24, 2, 3),
            Buffer("d", 8, 0, 0),
            Buffer("e", 8, 3, 3),
        ]
    )
    assert arena == 56
    assert len(found) == 5


@pytest.mark.parametrize("seed", range(40))
def test_buffers_of_random_graphs(seed):
    try:
        layout = planned(random_graphs.random_model(seed))
    except ModelError as error:
        pytest.skip(f"refused: {error}")
    real = [b for b in layout.buffers if b.bytes]
    for i, a in enumerate(real):
        assert a.offset % ALIGNMENT == 0
        assert a.offset + a.bytes <= layout.arena_bytes
        assert not any(overlapping(a, b) for b in real[:i])
    assert [n for group in layout.groups for n in group.steps] == list(range(len(layout.program.steps)))


def test_same_model_same_plan():
    model = random_graphs.random_model(11)
    assert planned(model).buffers == planned(model).buffers


class Chain:
    """A .tflite of convolutions made by hand."""

    def __init__(self, shape):
        self.net = random_graphs.Net(np.random.default_rng(3))
        self.last = self.net.input(shape)

    def conv(self, x: int, channels: int, size: int = 3, stride: int = 1) -> int:
        net = self.net
        batch, height, width, depth = net.shapes[x]
        weights, scales = random_graphs._weights(net, (channels, size, size, depth), 0, per_channel=True)
        shape = (batch, -(-height // stride), -(-width // stride), channels)
        y, deviation = random_graphs._convolution_output(net, x, shape, scales, size * size * depth)
        bias = random_graphs._bias(net, scales, x, deviation)
        options = random_graphs.options(
            "Conv2D",
            padding=schema.Padding.SAME,
            strideH=stride,
            strideW=stride,
            dilationHFactor=1,
            dilationWFactor=1,
        )
        net.add("CONV_2D", [x, weights, bias], [y], options)
        return y

    def add(self, a: int, b: int) -> int:
        y = self.net.value(self.net.shapes[a], 0.05)
        self.net.add("ADD", [a, b], [y], random_graphs.options("Add"))
        return y

    def bytes(self, y: int) -> bytes:
        return self.net.bytes([y])


def residual_network() -> bytes:
    chain = Chain((1, 24, 10, 4))
    x = chain.conv(chain.last, 8)
    for _ in range(2):
        y = chain.conv(chain.conv(chain.conv(x, 8), 8), 8)
        x = chain.add(x, y)
    return chain.bytes(chain.conv(x, 4, 3, 2))


def test_residual_connections_stream(tmp_path):
    layout = planned(residual_network())
    joined = [
        group for group in layout.groups if any(layout.program.steps[n].name == "ADD" for n in group.steps)
    ]
    assert all(group.streamed for group in joined)
    # The sum waits for three 3x3 convolutions, which look three rows ahead.
    assert max(rows for group in layout.groups for rows in group.rings.values()) == 4
    models = {"residual": residual_network()}
    assert_exact(HostProgram(models, tmp_path / "all"), models, 4)


def test_pointwise_convolutions(tmp_path):
    models = {}
    for depth, channels in ((1, 1), (3, 5), (4, 8), (17, 3), (64, 16)):
        chain = Chain((1, 3, 7, depth))
        models[f"pointwise_{depth}_{channels}"] = chain.bytes(chain.conv(chain.last, channels, 1))
    program = HostProgram(models, tmp_path / "all")
    assert all(m.operators[0].kernel == "edgesea_pointwise_row" for m in program.compiled.values())
    assert_exact(program, models, 4)


def deep_chain() -> bytes:
    chain = Chain((1, 40, 10, 4))
    x = chain.last
    for channels in (8, 8, 8, 8):
        x = chain.conv(x, channels)
    return chain.bytes(chain.conv(x, 2, 3, 3))


def test_a_budget_buys_fewer_streams(tmp_path):
    def streamed(layout):
        return sum(len(group.steps) for group in layout.groups if group.streamed)

    smallest = planned(deep_chain())
    roomy = planned(deep_chain(), 100_000)
    between = planned(deep_chain(), 2 * smallest.arena_bytes)
    assert streamed(roomy) == 0
    assert roomy.arena_bytes > smallest.arena_bytes
    assert between.arena_bytes <= 2 * smallest.arena_bytes
    assert streamed(roomy) <= streamed(between) <= streamed(smallest)
    # Three rows of each map where a whole one has forty.
    assert smallest.arena_bytes < 40 * 10 * 8


def test_refuses_a_budget_that_is_too_small():
    smallest = planned(deep_chain()).arena_bytes
    assert planned(deep_chain(), smallest).arena_bytes == smallest
    with pytest.raises(
        ModelError, match=rf"needs an arena of {smallest} bytes, more than the budget of {smallest - 1};"
    ):
        planned(deep_chain(), smallest - 1)


def test_order_lowers_the_peak():
    # Two branches that swell and shrink again, one after the other in memory only if one finishes before the
    # other.
    chain = Chain((1, 8, 8, 2))
    net = chain.net

    def transposed(x):
        shape = tuple(net.shapes[x][i] for i in (0, 2, 1, 3))
        y = net.like(x, shape)
        net.add("TRANSPOSE", [x, net.integers([0, 2, 1, 3])], [y], random_graphs.options("Transpose"))
        return y

    wide = [transposed(chain.conv(chain.last, 32, 1)) for _ in range(2)]
    narrow = [chain.conv(x, 1, 1) for x in wide]
    layout = planned(chain.bytes(chain.add(*narrow)))
    names = [step.name for step in layout.program.steps]
    assert names == ["CONV_2D", "TRANSPOSE", "CONV_2D"] * 2 + ["ADD"]


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 20),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    pad=st.integers(0, 4),
)
def test_simulated_rings_of_a_chain_are_the_windows(height, kernel, stride, dilation, pad):
    extent = (kernel - 1) * dilation + 1
    pad = min(pad, extent - 1)
    out = (height + pad - 1) // stride + 1
    steps = [
        _step(0, 1, Rows(height, height, 4, 4)),
        _step(1, 2, Rows(height, out, 4, 4, kernel, stride, dilation, pad)),
    ]
    kept = simulate(steps)[0][1]
    assert kept <= min(extent, height)
    if height >= 2 * extent + stride and stride <= extent and out > 2:
        assert kept == extent


def _step(source: int, result: int, rows: Rows):
    return Step((), "edgesea_conv_row", (source,), result, rows=rows)


def test_rows_that_are_read_at_once_share_their_memory(tmp_path):
    chain = Chain((1, 20, 12, 4))
    x = chain.conv(chain.last, 8)
    for _ in range(3):
        x = chain.conv(chain.conv(x, 16, 1), 8)
    model = chain.bytes(x)
    layout = planned(model)
    (group,) = layout.groups
    passing = [b for b in layout.buffers if b.tensor in group.passing]
    assert len(passing) == 3
    assert len({b.offset for b in passing}) < 3
    assert all(b.bytes == 12 * 8 for b in passing)
    assert layout.arena_bytes == layout.in_use(0) < sum(b.bytes for b in layout.buffers)
    models = {"chain": model}
    assert_exact(HostProgram(models, tmp_path / "all"), models, 3)


def test_a_row_that_waits_for_another_has_memory_of_its_own(tmp_path):
    chain = Chain((1, 20, 12, 4))
    x = chain.conv(chain.last, 8)
    # The second of the two is read as soon as it is made, the first waits for it.
    model = chain.bytes(chain.conv(chain.add(chain.conv(x, 8, 1), chain.conv(x, 8, 1)), 4))
    layout = planned(model)
    (group,) = layout.groups
    sums = next(step for step in layout.program.steps if step.name == "ADD")
    assert [tensor in group.passing for tensor in sums.inputs] == [False, True]
    models = {"fork": model}
    assert_exact(HostProgram(models, tmp_path / "all"), models, 3)


def test_each_path_has_an_arena_of_its_own(tmp_path):
    chain = Chain((1, 20, 12, 4))
    compiled = compile_model(chain.bytes(chain.conv(chain.conv(chain.last, 8), 8)), tmp_path, "model")
    assert compiled.arenas["plain"] < compiled.arenas["dsp"] <= compiled.arena_bytes
    assert compiled.arena_bytes == max(compiled.arenas.values())
    header = (tmp_path / "model.h").read_text()
    for path, size in compiled.arenas.items():
        test = "#else" if path == "plain" else f"EDGESEA_PATH == EDGESEA_PATH_{path.upper()}"
        assert f"{test}\n#define MODEL_ARENA_BYTES {size}\n" in header


def test_paths_that_want_the_same_share_one_plan(tmp_path):
    net = random_graphs.Net(np.random.default_rng(1))
    x = net.input((1, 60))
    y = net.like(x, (1, 60))
    net.add("TANH", [x], [y])
    net.quants[y] = None
    net.tensors[y].quantization.scale[:], net.tensors[y].quantization.zeroPoint[:] = 1 / 128, 0
    compile_model(net.bytes([y]), tmp_path, "model")
    assert "EDGESEA_PATH" not in (tmp_path / "model.h").read_text()
    with pytest.raises(ModelError, match=r"Received optimize = 'fast': give one of speed, size\."):
        compile_model(net.bytes([y]), tmp_path, "model", optimize="fast")
