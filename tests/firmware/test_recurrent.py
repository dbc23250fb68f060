"""UNIDIRECTIONAL_SEQUENCE_LSTM: its kinds against the reference, and what is refused of it."""

import numpy as np
import pytest
import random_graphs
from ai_edge_litert import schema_py_generated as schema
from host_program import HostProgram
from random_makers import lstm

from firmware_export.graph import ModelError, read
from firmware_export.passes import check, simplify


def net_of(seed: int, dtype: str = "int8") -> tuple[random_graphs.Net, list[int]]:
    net = random_graphs.Net(np.random.default_rng(seed), dtype)
    return net, lstm(net, net.input((2, 3, 5)))


def model_of(seed: int) -> bytes:
    net, outputs = net_of(seed)
    return net.bytes(outputs)


def kind_of(model: bytes) -> tuple[bool, bool, bool]:
    """Whether gates are coupled, moments come first, and cells are clipped."""
    op = read(model).operators[0]
    return op.inputs[1] < 0, op.options["time_major"], op.options["cell_clip"] > 0


def test_every_kind_equals_the_reference(tmp_path):
    models = {f"lstm_{seed}": model_of(seed) for seed in range(24)}
    kinds = {kind_of(model) for model in models.values()}
    assert all({kind[i] for kind in kinds} == {True, False} for i in range(3))
    program = HostProgram(models, tmp_path / "all")
    requests = [(name, random_graphs.random_inputs(model, 1)) for name, model in models.items()]
    # The second time: nothing is left of the first.
    for _ in range(2):
        for (name, inputs), (answer,) in zip(requests, program.run(requests), strict=True):
            (expected,) = random_graphs.reference(models[name], inputs)
            assert answer.tobytes() == expected.tobytes(), name


def constant_of(net, shape, dtype="int8", scale=0.01):
    return net.tensor(shape, dtype, scale, 0, np.ones(shape))


def with_input(position: int, shape, dtype="int16"):
    def change(net):
        names = list(net.operators[0].inputs)
        names += [-1] * (24 - len(names))
        names[position] = constant_of(net, shape(net) if callable(shape) else shape, dtype)
        net.operators[0].inputs = names

    return change


def with_options(**values):
    def change(net):
        for name, value in values.items():
            setattr(net.operators[0].builtinOptions, name, value)

    return change


def with_tensor(find, **values):
    def change(net):
        for name, value in values.items():
            setattr(net.tensors[find(net)], name, value)

    return change


def state(which: int):
    return lambda net: net.operators[0].inputs[which]


def narrow_cell(net):
    net.tensors[net.operators[0].inputs[19]].quantization.scale[:] = 0.001


def lone_intermediate(net):
    net.operators[0].intermediates = net.operators[0].intermediates[:1]


def lone_input(net):
    names = [*net.operators[0].inputs, -1, -1, -1, -1]
    net.operators[0].inputs = names[:21]


RELU = schema.ActivationFunctionType.RELU
REFUSED = {
    "peepholes": (with_input(10, (4,)), "it has peepholes"),
    "projection": (with_input(16, (4, 4), "int8"), "it has a projection"),
    "normalisation": (with_input(21, (4,)), "it has layer normalisation"),
    "activation": (with_options(fusedActivationFunction=RELU), "its activation is RELU"),
    "diagonal": (with_options(diagonalRecurrentTensors=True), "its recurrent weights are diagonal"),
    "clip": (
        with_options(projClip=-1.0),
        "its bounds of cells and projection, .* and -1, are not both 0 or more",
    ),
    "inputs": (lone_input, "it has 21 inputs where 20 or 24 are expected"),
    "state": (with_tensor(state(18), isVariable=False), "its output state is no variable of its own"),
    "cell": (narrow_cell, r"its cell's scale 0.001 is no power of two from 2\*\*-15 to 2\*\*-9"),
    "weights": (with_input(2, (4, 4), "int8"), r"its weights, tensor \d+, have shape \(4, 4\) where"),
    "intermediates": (lone_intermediate, "it names 1 intermediate tensors where five are expected"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name):
    change, said = REFUSED[name]
    net, outputs = net_of(3)
    change(net)
    with pytest.raises(ModelError, match=rf"Operator 0 \(UNIDIRECTIONAL_SEQUENCE_LSTM\) .*{said}"):
        check(simplify(read(net.bytes(outputs))))


def test_refuses_int16_which_tensorflow_lite_does_not_have():
    net, outputs = net_of(3)
    for index in (net.inputs[0], *outputs):
        net.tensors[index].type = random_graphs.TYPES["int16"]
        net.tensors[index].quantization.zeroPoint[:] = 0
    model = net.bytes(outputs)
    with pytest.raises(ModelError, match="TensorFlow Lite has no kernel for it on int16"):
        check(simplify(read(model)))
    with pytest.raises(RuntimeError, match="unidirectional_sequence_lstm"):
        random_graphs.interpreter(model)


def test_refuses_a_state_that_two_layers_share():
    net, (first,) = net_of(3)
    (second,) = lstm(net, net.inputs[0])
    names = list(net.operators[1].inputs)
    shape = net.shapes[net.operators[0].inputs[18]]
    if net.shapes[names[18]] != shape:
        net.tensors[net.operators[0].inputs[18]].shape = list(net.shapes[names[18]])
    names[18] = net.operators[0].inputs[18]
    net.operators[1].inputs = names
    with pytest.raises(ModelError, match="its output state is no variable of its own"):
        check(simplify(read(net.bytes([first, second]))))
