"""Storage and activation memory, against figures worked out by hand and a second way of counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesea.measures import memory
from firmware_export.graph import Graph, Operator, Tensor, read


def graph(tensors, operators, inputs, outputs, size=1000):
    """A Graph of `tensors` {number: (shape, dtype) or constant} and `operators` (opcode, inputs, outputs)."""
    made = []
    for index in range(max(tensors) + 1):
        value = tensors[index]
        if isinstance(value, np.ndarray):
            made.append(Tensor(index, f"t{index}", value.shape, str(value.dtype), data=value))
        else:
            made.append(Tensor(index, f"t{index}", value[0], value[1]))
    steps = tuple(
        Operator(i, code, 1, tuple(reads), tuple(writes), {})
        for i, (code, reads, writes) in enumerate(operators)
    )
    return Graph("g", tuple(made), steps, tuple(inputs), tuple(outputs), "0" * 64, size)


def test_chain_by_hand():
    # 100 -> 300 -> 50 -> 10 bytes: 100 + 300, 300 + 50, 50 + 10.
    g = graph(
        {0: ((100,), "int8"), 1: ((300,), "int8"), 2: ((50,), "int8"), 3: ((10,), "int8")},
        [("CONV_2D", [0], [1]), ("CONV_2D", [1], [2]), ("FULLY_CONNECTED", [2], [3])],
        [0],
        [3],
    )
    assert memory.activation(g) == {
        "largest_tensor": "t1",
        "largest_tensor_bytes": 300,
        "largest_tensor_float32_bytes": 1200,
        "peak_bytes": 400,
        "peak_float32_bytes": 1600,
        "peak_operator": "operator 0 (CONV_2D)",
    }


def test_a_skip_connection_keeps_its_buffer():
    # 0 (40) is read again by the last operator, so the peak, 40 + 60 + 70, is in the middle.
    g = graph(
        {0: ((40,), "int8"), 1: ((60,), "int8"), 2: ((70,), "int8"), 3: ((40,), "int8")},
        [("CONV_2D", [0], [1]), ("CONV_2D", [1], [2]), ("ADD", [2, 0], [3])],
        [0],
        [3],
    )
    assert memory.activation(g)["peak_bytes"] == 170
    assert memory.activation(g)["peak_operator"] == "operator 1 (CONV_2D)"


@pytest.mark.parametrize("alias", ["RESHAPE", "SQUEEZE", "EXPAND_DIMS"])
def test_an_alias_costs_nothing_and_keeps_its_source_alive(alias):
    # 1 is 0 seen in another shape: 0's 80 bytes live until operator 2, next to 30 and 90.
    g = graph(
        {
            0: ((8, 10), "int8"),
            1: ((80,), "int8"),
            2: ((30,), "int8"),
            3: ((90,), "int8"),
            4: np.array([80], np.int32),
        },
        [(alias, [0, 4], [1]), ("CONV_2D", [0], [2]), ("CONCATENATION", [1, 2], [3])],
        [0],
        [3],
    )
    assert memory.activation(g)["peak_bytes"] == 200
    assert memory.activation(g)["peak_operator"] == "operator 2 (CONCATENATION)"


def test_a_second_output_lives_to_the_end():
    # What YAMNet does with its patch: written first, read on, and given out at the end.
    g = graph(
        {0: ((10,), "float32"), 1: ((20,), "float32"), 2: ((50,), "float32"), 3: ((60,), "float32")},
        [("CONV_2D", [0], [1]), ("CONV_2D", [1], [2]), ("CONV_2D", [2], [3])],
        [0],
        [3, 1],
    )
    assert memory.activation(g)["peak_bytes"] == 4 * (20 + 50 + 60)


def test_two_element_types():
    # A QUANTIZE from float32: the largest tensor in bytes is not the one with most elements.
    g = graph(
        {0: ((100,), "float32"), 1: ((150,), "int8")},
        [("QUANTIZE", [0], [1])],
        [0],
        [1],
    )
    assert memory.activation(g) == {
        "largest_tensor": "t0",
        "largest_tensor_bytes": 400,
        "largest_tensor_float32_bytes": 600,
        "peak_bytes": 550,
        "peak_float32_bytes": 1000,
        "peak_operator": "operator 0 (QUANTIZE)",
    }


def test_a_model_without_operators():
    g = graph({0: ((7,), "int8")}, [], [0], [0])
    assert memory.activation(g)["peak_bytes"] == 7
    assert memory.activation(g)["peak_operator"] is None


def test_weights_count_once_where_they_are_shared_and_not_where_they_are_unused():
    weights = np.zeros((4, 3, 3, 2), np.int8)
    g = graph(
        {
            0: ((9,), "int8"),
            1: weights,
            2: weights.reshape(72),
            3: np.zeros(4, np.int32),
            4: ((9,), "int8"),
            5: ((9,), "int8"),
            6: np.zeros(1000),
        },
        [("CONV_2D", [0, 1, 3], [4]), ("CONV_2D", [4, 2, -1], [5])],
        [0],
        [5],
        size=321,
    )
    assert memory.storage(g) == {"model_bytes": 321, "weight_bytes": 72 + 16}


@st.composite
def _graphs(draw):
    """Random graphs: every operator reads one or two earlier tensors and writes one; some are aliases."""
    sizes = [draw(st.integers(1, 50))]
    operators = []
    for number in range(1, draw(st.integers(2, 12))):
        first = draw(st.integers(0, number - 1))
        if draw(st.booleans()):
            operators.append(("RESHAPE", [first], [number]))
            sizes.append(sizes[first])
        else:
            operators.append(("ADD", [first, draw(st.integers(0, number - 1))], [number]))
            sizes.append(draw(st.integers(1, 50)))
    outputs = sorted(draw(st.sets(st.integers(0, len(sizes) - 1), min_size=1, max_size=3)))
    return graph({i: ((n,), "int8") for i, n in enumerate(sizes)}, operators, [0], outputs)


@given(_graphs())
@settings(deadline=None)
def test_the_peak_is_what_an_allocator_with_reference_counts_sees(g):
    # Independent of lifetimes: run the graph, drop every buffer when nothing to come reads it, watch the sum.
    owner = {0: 0}
    live = {0: g.tensors[0].bytes}
    sums = []
    for step, op in enumerate(g.operators):
        (out,) = op.outputs
        owner[out] = owner[op.inputs[0]] if op.opcode == "RESHAPE" else out
        if owner[out] == out:
            live[out] = g.tensors[out].bytes
        sums.append(sum(live.values()))
        wanted = {i for later in g.operators[step + 1 :] for i in later.inputs}.union(g.outputs)
        kept = {owner[i] for i in wanted if i in owner}
        live = {i: size for i, size in live.items() if i in kept}
    found = memory.activation(g)
    assert found["peak_bytes"] == max(sums)
    assert found["peak_operator"] == str(g.operators[sums.index(max(sums))])
    assert found["largest_tensor_bytes"] <= found["peak_bytes"]


# (model, largest tensor, as float32, peak, operator). By hand from the shapes: Student 3's second convolution
# reads and writes 64 x 50 x 32; the keyword spotter's first depthwise convolution 25 x 5 x 64; YAMNet's
# second pointwise convolution reads 48 x 32 x 32 and writes 48 x 32 x 64 floats, while the 96 x 64 patch, an
# output of the model, waits.
REAL = [
    ("sea_student3_int8", 102_400, 409_600, 204_800, "operator 3 (CONV_2D)"),
    ("kws_ref_model", 8_000, 32_000, 16_000, "operator 1 (DEPTHWISE_CONV_2D)"),
    ("yamnet", 393_216, 393_216, 589_824 + 24_576, "operator 21 (CONV_2D)"),
]


@pytest.mark.parametrize(("name", "largest", "float32", "peak", "operator"), REAL)
def test_real_models(shared, name, largest, float32, peak, operator):
    g = read(shared / "models" / f"{name}.tflite")
    found = memory.activation(g)
    assert found["largest_tensor_bytes"] == largest
    assert found["largest_tensor_float32_bytes"] == float32
    assert found["peak_bytes"] == peak
    assert found["peak_operator"] == operator
    stored = memory.storage(g)
    assert stored["model_bytes"] == (shared / "models" / f"{name}.tflite").stat().st_size
    assert 0 < stored["weight_bytes"] < stored["model_bytes"]


def test_student_3_has_the_papers_activation_memory(shared):
    # Table 1: 0.41 MB.
    found = memory.activation(read(shared / "models" / "sea_student3_int8.tflite"))
    assert round(found["largest_tensor_float32_bytes"] / 1e6, 2) == 0.41
