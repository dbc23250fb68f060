"""DIV: constants and values of all signs against the reference, and what is refused of it."""

import numpy as np
import pytest
import random_graphs
from host_program import HostProgram

from firmware_export.graph import ModelError, read
from firmware_export.passes import check, simplify


def division(zero_points=(3, -7), shape=(60,), divisor=None, out_scale=0.01) -> bytes:
    net = random_graphs.Net(np.random.default_rng(1))
    a = net.tensor(shape, None, 0.02, zero_points[0])
    net.inputs.append(a)
    b = net.tensor(shape if divisor is None else np.shape(divisor), None, 0.015, zero_points[1], divisor)
    if divisor is None:
        net.inputs.append(b)
    y = net.tensor(shape, None, out_scale, 5)
    net.add("DIV", [a, b], [y], random_graphs.options("Div"))
    return net.bytes([y])


def test_every_pair_of_integers(tmp_path):
    # All that the reference divides by; -7 stands for 0.
    a, b = np.meshgrid(np.arange(-128, 128), np.delete(np.arange(-128, 128), 121), indexing="ij")
    a, b = a.astype(np.int8).reshape(-1), b.astype(np.int8).reshape(-1)
    models = {"pairs": division(shape=a.shape)}
    (answer,) = HostProgram(models, tmp_path / "all").run([("pairs", [a, b])])[0]
    (expected,) = random_graphs.reference(models["pairs"], [a, b])
    assert answer.tobytes() == expected.tobytes()
    assert len(np.unique(answer)) == 256


def test_goes_on_where_the_reference_ends_the_inference(tmp_path):
    models = {"zero": division(shape=(3,))}
    a, b = np.array([103, -97, 3], np.int8), np.full(3, -7, np.int8)
    with pytest.raises(RuntimeError, match="zero_point was not true"):
        random_graphs.reference(models["zero"], [a, b])
    (answer,) = HostProgram(models, tmp_path / "all").run([("zero", [a, b])])[0]
    assert answer.tolist() == [127, -128, 5]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"divisor": [1, -7, 5], "shape": (2, 3)}, "its constant divisor has a 0"),
        (
            {"out_scale": 0.5},
            "its ratio of scales 2.66667 makes the result of 0 / x undefined in TensorFlow Lite",
        ),
    ],
)
def test_refuses(changes, said):
    with pytest.raises(ModelError, match=rf"Operator 0 \(DIV\) cannot be compiled: {said}"):
        check(simplify(read(division(**changes))))


def test_fewer_bits_are_enough_for_a_small_divisor(tmp_path):
    models = {"small": division(divisor=[-5, -8, -6], shape=(40, 3), out_scale=0.5)}
    inputs = [np.tile(np.arange(-128, 127, 6.4).astype(np.int8)[:, None], 3)]
    (answer,) = HostProgram(models, tmp_path / "all").run([("small", inputs)])[0]
    (expected,) = random_graphs.reference(models["small"], inputs)
    assert answer.tobytes() == expected.tobytes()
