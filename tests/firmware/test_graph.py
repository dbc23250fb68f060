"""The reader agrees with TFLite's own, ``fold`` with its kernels, and ``check`` says what it refuses."""

from __future__ import annotations

import re

import numpy as np
import pytest
import random_graphs
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from damaged_models import altered, packed
from random_graphs import MAKERS, Net, options, random_inputs, random_model, reference, single_operator_model

from firmware_export.graph import ModelError, read
from firmware_export.ops import KINDS
from firmware_export.passes import check, simplify
from firmware_export.schema import NAMES, TYPES

SHARED_MODELS = ("kws_ref_model", "sea_student3_int8", "yamnet")
COMPILED = sorted(name for name, kind in KINDS.items() if kind.check)


def _compare_with_interpreter(model: bytes) -> None:
    graph = read(model)
    runner = Interpreter(model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    details = {d["index"]: d for d in runner.get_tensor_details()}
    compared = 0
    for tensor in graph.tensors:
        if tensor.index not in details:  # the interpreter leaves out tensors without a name
            continue
        compared += 1
        detail = details[tensor.index]
        assert tensor.name == detail["name"]
        assert tensor.shape == tuple(detail["shape"])
        assert np.dtype(tensor.dtype) == np.dtype(detail["dtype"])
        expected = detail["quantization_parameters"]
        if tensor.quantization is None:
            assert expected["scales"].size == 0
        else:
            np.testing.assert_array_equal(tensor.quantization.scales, expected["scales"])
            np.testing.assert_array_equal(tensor.quantization.zero_points, expected["zero_points"])
            assert tensor.quantization.axis == expected["quantized_dimension"]
        if tensor.constant and tensor.elements:
            np.testing.assert_array_equal(tensor.data, runner.get_tensor(tensor.index))
            assert not tensor.data.flags.writeable
            assert tensor.bytes == tensor.data.nbytes
    assert compared >= 0.9 * len(graph.tensors)
    assert graph.inputs == tuple(d["index"] for d in runner.get_input_details())
    assert graph.outputs == tuple(d["index"] for d in runner.get_output_details())
    for op, expected in zip(graph.operators, runner._get_ops_details(), strict=True):
        assert op.opcode == expected["op_name"]
        assert op.inputs == tuple(expected["inputs"])
        assert op.outputs == tuple(expected["outputs"])


@pytest.mark.parametrize("name", SHARED_MODELS)
def test_reads_a_real_model_as_the_interpreter_does(shared, name):
    path = shared / "models" / f"{name}.tflite"
    _compare_with_interpreter(path.read_bytes())
    assert read(path).name == name
    assert read(path).size == path.stat().st_size


@pytest.mark.parametrize("seed", range(60))
def test_reads_a_random_model_as_the_interpreter_does(seed):
    _compare_with_interpreter(random_model(seed))


# The schema's names of our options, where they are not the same word.
_FIELDS = {
    "activation": "fusedActivationFunction",
    "axes": "squeezeDims",
    "bias_type": "quantizedBiasType",
    "block": "blockSize",
    "count": "num",
    "splits": "numSplits",
    "transpose_a": "adjX",
    "transpose_b": "adjY",
}
_PAIRS = {
    "stride": ("strideH", "strideW"),
    "dilation": ("dilationHFactor", "dilationWFactor"),
    "filter": ("filterHeight", "filterWidth"),
}
_ENUMERATIONS = {
    "mode": schema.MirrorPadMode,
    "activation": schema.ActivationFunctionType,
    "padding": schema.Padding,
    "weights_format": schema.FullyConnectedOptionsWeightsFormat,
}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@pytest.mark.parametrize("opcode", sorted(MAKERS))
def test_reads_the_options_as_the_schema_has_them(opcode):
    for seed in range(4):
        model = single_operator_model(opcode, seed)
        main = schema.ModelT.InitFromPackedBuf(model, 0).subgraphs[0]
        for op, expected in zip(read(model).operators, main.operators, strict=True):
            for name, value in op.options.items():
                given = expected.builtinOptions
                if name in _PAIRS:
                    assert value == tuple(getattr(given, field) for field in _PAIRS[name])
                    continue
                field = getattr(given, _FIELDS.get(name) or _camel(name))
                if name in _ENUMERATIONS:
                    field = {v: k for k, v in vars(_ENUMERATIONS[name]).items()}[field]
                elif name in ("bias_type", "output_type"):
                    field = TYPES[field][0]
                elif isinstance(value, tuple):
                    field = () if field is None else tuple(int(v) for v in field)
                assert value == field, (op, name)


def test_names_and_types_are_the_schemas():
    codes = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
    assert [codes[i] for i in range(len(NAMES))] == list(NAMES)
    types = {v: k for k, v in vars(schema.TensorType).items() if not k.startswith("_")}
    assert [types[i].lower() for i in range(len(TYPES))] == [name for name, _ in TYPES]
    unions = {k: v for k, v in vars(schema.BuiltinOptions).items() if not k.startswith("_")}
    for name, kind in KINDS.items():
        assert kind.union in unions.values(), name


def test_finds_producers_and_consumers():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 4))
    a, b, c = (net.like(x, (1, 4)) for _ in range(3))
    net.add("RELU", [x], [a])
    net.add("ADD", [a, a], [b], options("Add"))
    net.add("ADD", [a, b], [c], options("Add"))
    graph = read(net.bytes([c]))
    assert graph.producer(x) is None
    assert graph.producer(b) is graph.operators[1]
    assert [op.index for op in graph.consumers(a)] == [1, 2]
    assert graph.consumers(c) == ()
    assert str(graph.operators[1]) == "operator 1 (ADD)"
    assert graph.input(graph.operators[2], 1) is graph.tensors[b]
    assert graph.input(graph.operators[2], 2) is None
    assert graph.output(graph.operators[2]) is graph.tensors[c]


def test_counts_multiply_accumulates(shared):
    for name, count in (("kws_ref_model", 2_656_768), ("sea_student3_int8", 122_425_344)):
        graph = read(shared / "models" / f"{name}.tflite")
        assert sum(graph.multiply_accumulates(op) for op in graph.operators) == count


def test_counts_multiply_accumulates_of_each_operator():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 6, 5, 4))
    y = random_graphs.conv_2d(net, x)[0]
    weights = net.shapes[net.operators[-1].inputs[1]]
    z = random_graphs.depthwise_conv_2d(net, x)[0]
    taps = net.shapes[net.operators[-1].inputs[1]]
    d = random_graphs.fully_connected(net, x)[0]
    dense = net.shapes[net.operators[-1].inputs[1]]
    graph = read(net.bytes([y, z, d]))
    expected = [
        np.prod(net.shapes[y]) * weights[1] * weights[2] * 4,
        np.prod(net.shapes[z]) * taps[1] * taps[2],
        np.prod(net.shapes[d]) * dense[1],
    ]
    assert [graph.multiply_accumulates(op) for op in graph.operators] == expected


def test_a_batch_matmul_is_counted():
    net = Net(np.random.default_rng(0))
    a, b = net.input((2, 3, 5)), net.input((2, 5, 7))
    y = net.value((2, 3, 7), 1.0)
    net.add("BATCH_MATMUL", [a, b], [y], options("BatchMatMul"))
    graph = read(net.bytes([y]))
    assert graph.multiply_accumulates(graph.operators[0]) == 2 * 3 * 5 * 7


def test_folds_the_shape_of_a_dynamic_batch(shared):
    graph = read(shared / "models" / "sea_student3_int8.tflite")
    folded = simplify(graph)
    gone = [op.opcode for op in graph.operators if op not in folded.operators]
    assert gone == ["SHAPE", "STRIDED_SLICE", "PACK"]
    last = folded.operators[-1]
    assert (last.index, last.opcode) == (17, "RESHAPE")
    np.testing.assert_array_equal(folded.input(last, 1).data, [1, 64])
    assert graph.tensors[last.inputs[1]].data is None
    check(folded)


def test_drops_operators_that_no_output_needs():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 4))
    a, b, c = (net.like(x, (1, 4)) for _ in range(3))
    for source, made in ((x, a), (a, b), (a, c)):
        net.add("RELU", [source], [made])
    folded = simplify(read(net.bytes([c])))
    assert [op.index for op in folded.operators] == [0, 2]


# Each makes a graph of integer constants alone: what TFLite computes as it runs, ``fold`` computes before.


def _constant_strided_slice(net, rng):
    shape = rng.integers(1, 5, rng.integers(1, 4))
    x = net.integers(rng.integers(-99, 99, shape))
    begin, end = rng.integers(-6, 6, (2, shape.size))
    strides = rng.choice([-2, -1, 1, 2, 3], shape.size)
    shrink = int(rng.integers(2**shape.size)) if rng.random() < 0.4 else 0
    for axis in range(shape.size):
        if shrink >> axis & 1:
            begin[axis], strides[axis] = rng.integers(-shape[axis], shape[axis]), 1
            end[axis] = begin[axis] + 1
    made = options("StridedSlice", shrinkAxisMask=shrink)
    made.beginMask, made.endMask = (int(v) & ~shrink for v in rng.integers(0, 2**shape.size, 2))
    return "STRIDED_SLICE", [x, *(net.integers(v) for v in (begin, end, strides))], made


def _constant_slice(net, rng):
    shape = rng.integers(1, 5, rng.integers(1, 4))
    begin = [int(rng.integers(n)) for n in shape]
    size = [int(rng.choice([-1, rng.integers(1, n - b + 1)])) for n, b in zip(shape, begin, strict=True)]
    inputs = [net.integers(rng.integers(-99, 99, shape)), net.integers(begin), net.integers(size)]
    return "SLICE", inputs, options("Slice")


def _constant_pack(net, rng):
    shape = rng.integers(1, 4, rng.integers(0, 3))
    count = int(rng.integers(1, 4))
    axis = int(rng.integers(-shape.size - 1, shape.size + 1))
    inputs = [net.integers(rng.integers(-99, 99, shape)) for _ in range(count)]
    return "PACK", inputs, options("Pack", valuesCount=count, axis=axis)


def _constant_concatenation(net, rng):
    shape = rng.integers(1, 4, rng.integers(1, 3))
    axis = int(rng.integers(-shape.size, shape.size))
    inputs = []
    for _ in range(rng.integers(1, 4)):
        shape[axis] = rng.integers(1, 4)
        inputs.append(net.integers(rng.integers(-99, 99, shape)))
    return "CONCATENATION", inputs, options("Concatenation", axis=axis)


def _constant_reshape(net, rng):
    inputs = [
        net.integers(rng.integers(-99, 99, (2, 6))),
        net.integers(rng.choice([[3, 4], [12, 1], [-1, 2]])),
    ]
    return "RESHAPE", inputs, options("Reshape")


def _constant_squeeze(net, rng):
    inputs = [net.integers(rng.integers(-99, 99, (1, 3, 1)))]
    return "SQUEEZE", inputs, options("Squeeze", squeezeDims=[[], [0], [2], [-1]][rng.integers(4)])


def _constant_expand_dims(net, rng):
    inputs = [net.integers(rng.integers(-99, 99, (2, 3))), net.integers(int(rng.integers(-3, 3)))]
    return "EXPAND_DIMS", inputs, options("ExpandDims")


def _constant_transpose(net, rng):
    inputs = [net.integers(rng.integers(-99, 99, (2, 3, 4))), net.integers(rng.permutation(3))]
    return "TRANSPOSE", inputs, options("Transpose")


def _constant_gather(net, rng):
    inputs = [net.integers(rng.integers(-99, 99, 5)), net.integers(rng.integers(0, 5, rng.integers(1, 4, 2)))]
    return "GATHER", inputs, options("Gather")


def _constant_reduce_prod(net, rng):
    axes = rng.permutation([0, 1, -1])[: rng.integers(1, 4)]
    inputs = [net.integers(rng.integers(-9, 9, (2, 3, 4))), net.integers(axes)]
    return "REDUCE_PROD", inputs, options("Reducer", keepDims=bool(rng.integers(2)))


def _constant_arithmetic(opcode):
    def make(net, rng):
        a, b = (
            rng.integers(-(2**31), 2**31, (2, 3)),
            rng.integers(-(2**31), 2**31, rng.choice([[2, 3], [1, 3]])),
        )
        return opcode, [net.integers(a), net.integers(b)], options(opcode.capitalize())

    return make


_CONSTANT = (
    _constant_strided_slice,
    _constant_slice,
    _constant_pack,
    _constant_concatenation,
    _constant_reshape,
    _constant_squeeze,
    _constant_expand_dims,
    _constant_transpose,
    _constant_gather,
    _constant_reduce_prod,
    *(_constant_arithmetic(opcode) for opcode in ("ADD", "SUB", "MUL")),
)


@pytest.mark.parametrize("make", _CONSTANT)
def test_folds_constants_as_the_reference_kernels_do(make):
    folded_some = 0
    for seed in range(25):
        rng = np.random.default_rng([seed, 5])
        net = Net(rng)
        opcode, inputs, made = make(net, rng)
        y = net.tensor((), "int32")
        net.add(opcode, inputs, [y], made)
        # The interpreter finds the output's shape, which the file then declares.
        try:
            expected = reference(net.bytes([y]), [])[0]
        except (RuntimeError, ValueError):  # refused, or a slice without an element
            continue
        net.tensors[y].shape = list(expected.shape)
        graph = simplify(read(net.bytes([y])))
        assert graph.operators == ()
        np.testing.assert_array_equal(graph.tensors[y].data, expected)
        assert graph.tensors[y].data.dtype == expected.dtype
        assert not graph.tensors[y].data.flags.writeable
        folded_some += 1
    assert folded_some >= 10


def test_refuses_constants_that_make_another_shape_than_declared():
    net = Net(np.random.default_rng(0))
    y = net.tensor((3,), "int32")
    net.add("PACK", [net.integers(1), net.integers(2)], [y], options("Pack", valuesCount=2))
    message = (
        r"^Operator 0 \(PACK\) makes int32 \(2,\) of its constants where the file declares int32 \(3,\) for "
        r"tensor 0\.$"
    )
    with pytest.raises(ModelError, match=message):
        simplify(read(net.bytes([y])))


def test_leaves_alone_what_it_does_not_know():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 4))
    y, z = net.tensor((2, 2), "int32"), net.like(x, (1, 4))
    net.add("GATHER", [net.integers([[1, 2], [3, 4]]), net.integers([0, 1])], [y], options("Gather"))
    net.add("RESHAPE", [x, y], [z], options("Reshape"))
    graph = simplify(read(net.bytes([z])))
    assert len(graph.operators) == 2
    with pytest.raises(
        ModelError, match=r"^Operator 0 \(GATHER\) cannot be compiled: it computes from constants alone"
    ):
        check(graph)


def test_large_constants_are_left_alone():
    net = Net(np.random.default_rng(0))
    y = net.tensor((5000,), "int32")
    net.add("RESHAPE", [net.integers(np.zeros((50, 100))), net.integers([5000])], [y], options("Reshape"))
    assert len(simplify(read(net.bytes([y]))).operators) == 1


@pytest.mark.parametrize("seed", range(150))
def test_accepts_what_the_reference_kernels_run(seed):
    check(simplify(read(random_model(seed))))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("opcode", sorted(MAKERS))
def test_accepts_every_operator(opcode, dtype):
    if not random_graphs.supports(opcode, dtype):
        pytest.skip(f"the reference kernels have no {opcode} for {dtype}")
    for seed in range(4):
        check(simplify(read(single_operator_model(opcode, seed, dtype))))


def test_every_operator_is_tried():
    assert sorted(MAKERS) == COMPILED


def test_accepts_the_real_int8_models(shared):
    for name in ("kws_ref_model", "sea_student3_int8"):
        check(simplify(read(shared / "models" / f"{name}.tflite")))


def test_refuses_a_float_model_by_name(shared):
    message = "Operator 0 (RESHAPE) cannot be compiled: its input 0, tensor 0, is float32 where int8 or int16"
    with pytest.raises(ModelError, match=re.escape(message)):
        check(simplify(read(shared / "models" / "yamnet.tflite")))


def _check_against_reference(seeds) -> int:
    """Of well-formed but altered files, count those that pass ``check``; the interpreter must run each."""
    accepted = 0
    for seed in seeds:
        rng = np.random.default_rng([seed, 11])
        model = altered(random_model(seed % 700), rng)
        try:
            graph = read(model)
            folded = simplify(graph)
            check(folded)
        except ModelError:
            continue
        if len(folded.operators) < len(graph.operators):
            continue  # the interpreter runs dead operators too, which nothing here vouches for
        try:
            outputs = reference(model, random_inputs(model, seed))
        except RuntimeError as error:  # a root whose input an altered file lets be negative
            if "only defined for positive values" not in str(error):
                raise
            continue
        assert [y.shape for y in outputs] == [folded.tensors[i].shape for i in folded.outputs], seed
        accepted += 1
    return accepted


def test_what_passes_the_check_runs_in_the_reference():
    assert _check_against_reference(range(700)) > 50


@pytest.mark.slow
def test_what_passes_the_check_runs_in_the_reference_thousands():
    assert _check_against_reference(range(700, 12_000)) > 1000


# What ``read`` refuses. Each function damages the schema's objects of a small model.


def _small() -> schema.ModelT:
    """An input (tensor 0), a convolution with weights (1), output (2) and bias (3)."""
    net = Net(np.random.default_rng(0))
    x = net.tensor((1, 4, 4, 2), "int8", 0.5, 3)
    net.inputs.append(x)
    weights = net.tensor((3, 3, 3, 2), "int8", [0.01, 0.02, 0.03], 0, np.ones((3, 3, 3, 2)))
    y = net.tensor((1, 4, 4, 3), "int8", 0.25, -4)
    bias = net.tensor((3,), "int32", [0.005, 0.01, 0.015], 0, [1, 2, 3])
    net.add("CONV_2D", [x, weights, bias], [y], options("Conv2D", strideH=1, strideW=1))
    return schema.ModelT.InitFromPackedBuf(net.bytes([y]), 0)


def _set(path: str, value):
    """A function that sets ``path``, from the main subgraph or the model, to ``value``."""

    def change(root: schema.ModelT) -> None:
        target = root if path.startswith(("operatorCodes", "version", "subgraphs")) else root.subgraphs[0]
        *parents, last = re.findall(r"\w+", path)
        for name in parents:
            target = target[int(name)] if name.isdigit() else getattr(target, name)
        if last.isdigit():
            target[int(last)] = value
        else:
            setattr(target, last, value)

    return change


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("version", 2, "at the model: its schema has version 2 where 3 is expected."),
        ("subgraphs", [], "at the model: it has no subgraph."),
        (
            "operatorCodes[0].builtinCode",
            5000,
            "at operator code 0: operator code 5000 is unknown; the newest known is 209.",
        ),
        ("tensors[1].type", 99, "at tensor 1: element type 99 is unknown."),
        ("tensors[0].shape", [1, -1, 4, 2], "at tensor 0: its shape (1, -1, 4, 2) has a negative dimension."),
        ("tensors[0].shape", [1] * 9, "at tensor 0: it has 9 dimensions, more than 8."),
        (
            "tensors[0].shape",
            [2**16, 2**16],
            "at tensor 0: its shape (65536, 65536) of int8 takes more than 2147483647 bytes.",
        ),
        (
            "tensors[1].shape",
            [3, 3, 3, 4],
            "at tensor 1: its buffer holds 54 bytes where int8 (3, 3, 3, 4) takes 108.",
        ),
        ("tensors[1].isVariable", True, "at tensor 1: it is a variable and a constant at once."),
        ("tensors[1].buffer", 77, "at tensor 1: it names buffer 77 of 3."),
        ("tensors[1].quantization.zeroPoint", [0], "at tensor 1: it has 3 scales and 1 zero points."),
        ("tensors[1].quantization.zeroPoint", None, "at tensor 1: it has 3 scales and 0 zero points."),
        ("tensors[1].quantization.quantizedDimension", 4, "at tensor 1: it is quantised along axis 4 of 4."),
        (
            "tensors[1].quantization.quantizedDimension",
            -1,
            "at tensor 1: it is quantised along axis -1 of 4.",
        ),
        (
            "tensors[1].quantization.quantizedDimension",
            3,
            "at tensor 1: it has 3 scales for 2 elements along axis 3.",
        ),
        ("operators[0].opcodeIndex", 1, "at operator 0: it names operator code 1 of 1."),
        ("operators[0].inputs", [0, 1, 9], "at operator 0: it names tensor 9 of 4."),
        ("operators[0].inputs", [0, 1, -2], "at operator 0: it names tensor -2 of 4."),
        ("operators[0].inputs", [0], "at operator 0 (CONV_2D): it has 1 inputs where 2 to 3 are expected."),
        ("operators[0].inputs", [0, -1, 3], "at operator 0 (CONV_2D): its input 1 is absent."),
        ("operators[0].outputs", [-1], "at operator 0: it names tensor -1 of 4."),
        ("operators[0].outputs", [], "at operator 0 (CONV_2D): it has 0 outputs where 1 to 1 are expected."),
        (
            "operators[0].builtinOptionsType",
            schema.BuiltinOptions.Pool2DOptions,
            "at operator 0 (CONV_2D): its options are of type 5 where 1 is expected.",
        ),
        (
            "operators[0].builtinOptions.padding",
            7,
            "at operator 0 (CONV_2D): its padding is 7, which is none of SAME, VALID.",
        ),
        ("inputs", [4], "at subgraph 0: it names tensor 4 of 4."),
        ("outputs", [-1], "at subgraph 0: it names tensor -1 of 4."),
    ],
)
def test_says_what_is_wrong_with_a_damaged_file(path, value, message):
    root = _small()
    read(packed(root))
    _set(path, value)(root)
    with pytest.raises(ModelError) as raised:
        read(packed(root))
    assert str(raised.value) == f"The .tflite file is damaged {message}"


def test_says_that_an_operator_writes_what_has_a_value():
    root = _small()
    root.subgraphs[0].operators[0].outputs = [0]
    with pytest.raises(
        ModelError, match=r"^Operator 0 \(CONV_2D\) writes tensor 0, which has a value already\.$"
    ):
        read(packed(root))


def test_says_that_an_operator_reads_too_early():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 4))
    a, b = net.like(x, (1, 4)), net.like(x, (1, 4))
    net.add("RELU", [a], [b])
    net.add("RELU", [x], [a])
    with pytest.raises(
        ModelError, match=r"^Operator 0 \(RELU\) reads tensor 1 before operator 1 writes it\.$"
    ):
        read(net.bytes([b]))


def test_says_that_a_file_is_no_tflite(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"PK\x03\x04zipped away")
    message = (
        f"{path}: The file is not a .tflite model: expected the identifier b'TFL3' at byte 4, received "
        "b'zipp' in a file of 15 bytes."
    )
    with pytest.raises(ModelError) as raised:
        read(path)
    assert str(raised.value) == message


def test_says_that_a_path_cannot_be_read(tmp_path):
    with pytest.raises(ModelError, match=r"absent\.tflite cannot be read: No such file or directory\.$"):
        read(tmp_path / "absent.tflite")
    with pytest.raises(ModelError, match=r" is not a file; give the path of a \.tflite file\.$"):
        read(tmp_path)


def test_says_that_an_operator_names_too_many_tensors():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 1))
    for _ in range(7):
        y = net.like(x, (1, 8_000))
        net.add("CONCATENATION", [x] * 8_000, [y], options("Concatenation", axis=1))
    with pytest.raises(ModelError, match="its operators name more than 50000 tensors"):
        read(net.bytes([y]))


def test_reads_a_custom_operator_by_its_name():
    root = _small()
    root.operatorCodes[0].builtinCode = root.operatorCodes[0].deprecatedBuiltinCode = 32
    root.operatorCodes[0].customCode = b"Flex\x1b[2J\nErf" + b"x" * 200
    op = read(packed(root)).operators[0]
    assert op.custom
    assert op.opcode.startswith("Flex?[2J?Erfxxx")
    assert len(op.opcode) == 100
    with pytest.raises(
        ModelError, match=r"the C model has no custom Flex\?\[2J\?Erfx+ \(operator 0; convert with"
    ):
        check(read(packed(root)))


def test_an_unknown_operator_is_read_without_options():
    root = _small()
    root.operatorCodes[0].builtinCode = root.operatorCodes[0].deprecatedBuiltinCode = 16
    graph = read(packed(root))
    assert (graph.operators[0].opcode, dict(graph.operators[0].options)) == ("LSTM", {})
    assert graph.multiply_accumulates(graph.operators[0]) == 0


def test_an_empty_constant_has_its_empty_array():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 4))
    y = net.like(x, (1, 4))
    empty = net.tensor((0,), "int32")
    net.add("RESHAPE", [x, empty], [y], options("Reshape", newShape=[1, 4]))
    assert read(net.bytes([y])).tensors[empty].data.shape == (0,)


def test_data_behind_the_flatbuffer_is_read():
    root = _small()
    weights = bytes(root.buffers[1].data)
    root.buffers[1].data = None
    root.buffers[1].size = len(weights)
    root.buffers[1].offset = 2**20  # a place holder as wide as the place
    root.buffers[1].offset = len(packed(root))
    model = packed(root) + weights
    np.testing.assert_array_equal(read(model).tensors[1].data, np.ones((3, 3, 3, 2)))
    with pytest.raises(ModelError, match=r"at buffer 1: its 54 bytes at \d+ run past the end of the file\."):
        read(model[:-1])


# What ``check`` refuses, beginning with what concerns any operator.


def _refused(model: bytes) -> str:
    with pytest.raises(ModelError) as raised:
        check(simplify(read(model)))
    return str(raised.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("inputs", [], "The model cannot be compiled: it has no input."),
        ("inputs", [0, 0], "The model cannot be compiled: it names one input twice."),
        ("inputs", [0, 1], "The model cannot be compiled: its input, tensor 1, is a constant."),
        ("outputs", [], "The model cannot be compiled: it has no output."),
        ("outputs", [0], "The model cannot be compiled: no operator writes its output, tensor 0."),
        (
            "outputs",
            [3],
            "The model cannot be compiled: its output, tensor 3, is a constant.",
        ),
        (
            "tensors[0].shape",
            [0, 4, 4, 2],
            "its input, tensor 0, has shape (0, 4, 4, 2), without an element.",
        ),
        ("tensors[2].shape", [1, 5000, 5000, 3], "tensor 2, takes 75000000 bytes, more than 16777216."),
        ("tensors[0].shape", [1, 1, 1, 4, 4, 2], "tensor 0, has 6 dimensions, more than 5."),
        (
            "tensors[0].isVariable",
            True,
            "its input, tensor 0, keeps its value between inferences, which the C model does not.",
        ),
        ("tensors[0].quantization", None, "its input, tensor 0, has no scale and zero point."),
        (
            "tensors[0].quantization.scale",
            [np.nan],
            "tensor 0, has scale nan, outside 9.09495e-13 to 1.04858e+06.",
        ),
        (
            "tensors[0].quantization.scale",
            [-1.0],
            "tensor 0, has scale -1, outside 9.09495e-13 to 1.04858e+06.",
        ),
        (
            "tensors[0].quantization.scale",
            [1e30],
            "tensor 0, has scale 1e+30, outside 9.09495e-13 to 1.04858e+06.",
        ),
        ("tensors[0].quantization.zeroPoint", [128], "tensor 0, has zero point 128, outside int8."),
        (
            "tensors[0].quantization.zeroPoint",
            [2**40],
            "tensor 0, has zero point 1099511627776, outside int8.",
        ),
        ("tensors[0].quantization.detailsType", 1, "is not quantised by one scale and one zero point."),
        (
            "tensors[0].type",
            schema.TensorType.UINT8,
            "its input 0, tensor 0, is uint8 where int8 or int16 is expected.",
        ),
        (
            "tensors[0].type",
            schema.TensorType.INT16,
            "its input, tensor 0, has zero point 3 where int16 demands 0.",
        ),
        (
            "operatorCodes[0].version",
            9,
            "Operator 0 (CONV_2D) cannot be compiled: its version 9 is newer than 8, the newest known.",
        ),
        (
            "operators[0].inputs",
            [1, 1, 3],
            "Operator 0 (CONV_2D) cannot be compiled: it computes from constants alone.",
        ),
        # A convolution's own.
        (
            "tensors[2].type",
            schema.TensorType.FLOAT32,
            "(CONV_2D) cannot be compiled: its output, tensor 2, is float32 where int8 is expected.",
        ),
        ("operators[0].builtinOptions.strideH", 0, "its stride (0, 1) is outside 1 to 4096."),
        ("operators[0].builtinOptions.strideW", 5000, "its stride (1, 5000) is outside 1 to 4096."),
        ("operators[0].builtinOptions.dilationHFactor", -1, "its dilation (-1, 1) is outside 1 to 4096."),
        (
            "operators[0].builtinOptions.strideH",
            2,
            "its output, tensor 2, has shape (1, 4, 4, 3) where (1, 2, 4, 3) follows.",
        ),
        ("operators[0].builtinOptions.fusedActivationFunction", 4, "its fused activation is TANH."),
        (
            "operators[0].builtinOptions.quantizedBiasType",
            4,
            "its options give the bias as int64 where int32 is expected.",
        ),
        ("operators[0].inputs", [0, 1], "it has no bias, which the reference kernels demand."),
        ("operators[0].inputs", [0, 0, 3], "its weights, input 1, is not a constant."),
        ("operators[0].inputs", [0, 3, 3], "its weights, tensor 3, is int32 where int8 is expected."),
        ("operators[0].inputs", [0, 1, 1], "its bias, tensor 1, is int8 where int32 is expected."),
        ("tensors[1].quantization", None, "its weights, tensor 1, have no scale of their own."),
        (
            "tensors[1].quantization.scale",
            [0.01, 0.0, 0.03],
            "its weights, tensor 1, have a scale that is not a positive number.",
        ),
        (
            "tensors[1].quantization.zeroPoint",
            [0, 0, 1],
            "its weights, tensor 1, have a zero point other than 0.",
        ),
        (
            "tensors[1].quantization.quantizedDimension",
            1,
            "its weights, tensor 1, have 3 scales along axis 1, not 0.",
        ),
        ("tensors[1].shape", [3, 9, 2], "its weights, tensor 1, have shape (3, 9, 2) where 4 dimensions"),
        (
            "tensors[3].quantization.zeroPoint",
            [0, 0, 1],
            "its bias, tensor 3, has a zero point other than 0.",
        ),
        (
            "tensors[1].quantization.scale",
            [0.01, 3e7, 0.03],
            "a sum of up to 2360 scaled by 6e+07 in channel 1 overflows 32 bits.",
        ),
        (
            "tensors[0].shape",
            [1, 4, 4, 4],
            "its weights read 2 channels of 4 and make 3, which are no groups of one size.",
        ),
        (
            "tensors[0].shape",
            [16, 2],
            "its input, tensor 0, has shape (16, 2) where four dimensions are expected.",
        ),
    ],
)
def test_says_why_a_convolution_is_refused(path, value, message):
    root = _small()
    check(simplify(read(packed(root))))
    _set(path, value)(root)
    assert message in _refused(packed(root))


def _one(opcode, shapes, made, *, dtype="int8", opts=None, quants=None, extra=()):
    """A model of one operator: inputs of ``shapes``, the constants ``extra``, outputs of shape ``made``."""
    net = Net(np.random.default_rng(0), dtype)
    quants = quants or [(0.1, 0)] * (len(shapes) + 1)
    inputs = []
    for shape, (scale, zero) in zip(shapes, quants, strict=False):
        inputs.append(net.tensor(shape, dtype, scale, zero))
    net.inputs += inputs
    extra = [net.integers(value) for value in extra]
    inputs = [*extra, *inputs] if opcode == "SPLIT" else [*inputs, *extra]
    outputs = [
        net.tensor(shape, dtype, *quants[-1]) for shape in (made if isinstance(made, list) else [made])
    ]
    net.add(opcode, inputs, outputs, opts)
    return net.bytes(outputs)


def _pool(**changes):
    return options("Pool2D", **{"strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2, **changes})


_TEN = (0.1, 0)
_REFUSALS = [
    (
        _one("MAX_POOL_2D", [(1, 4, 4, 2)], (1, 2, 2, 2), opts=_pool(), quants=[_TEN, (0.2, 0)]),
        "it moves integers unchanged, but tensor 0 has scale 0.1 and zero point 0, tensor 1 0.2 and 0.",
    ),
    (
        _one("AVERAGE_POOL_2D", [(1, 4, 4, 2)], (1, 2, 2, 2), opts=_pool(), quants=[_TEN, (0.1, 1)]),
        "it moves integers unchanged, but tensor 0 has scale 0.1 and zero point 0, tensor 1 0.1 and 1.",
    ),
    (
        _one("MAX_POOL_2D", [(1, 4, 4, 2)], (1, 2, 2, 2), opts=_pool(filterWidth=0)),
        "its filter (2, 0) is outside 1 to 4096.",
    ),
    (
        _one("MAX_POOL_2D", [(1, 4, 4, 2)], (1, 2, 2, 2), opts=_pool(filterHeight=5, padding=1)),
        "its (5, 2) filter does not fit into (4, 4) without padding.",
    ),
    (
        _one("MEAN", [(1, 4, 2)], (1, 2), opts=options("Reducer"), extra=[[3]]),
        "its axes [3] are outside 3 dimensions.",
    ),
    (
        _one("MEAN", [(1, 4, 2)], (1, 2), opts=options("Reducer"), extra=[[1, -2]]),
        "its axes [1, -2] name one axis twice.",
    ),
    (
        _one("SUM", [(1, 4, 2)], (1, 2), opts=options("Reducer"), extra=[np.zeros(0)]),
        "without an element.",
    ),
    (
        _one("SUM", [(1, 4, 2)], (1, 2), opts=options("Reducer"), extra=[[[1]]]),
        "its axes have shape (1, 1) for 3 dimensions.",
    ),
    (
        _one(
            "REDUCE_MAX", [(1, 4, 2)], (1, 2), opts=options("Reducer"), quants=[_TEN, (0.2, 0)], extra=[[1]]
        ),
        "it moves integers unchanged",
    ),
    (
        _one("ADD", [(1, 4), (1, 3)], (1, 4), opts=options("Add")),
        "its inputs have shapes (1, 4) and (1, 3), which do not go together.",
    ),
    (
        _one("ADD", [(1, 2, 2, 2, 2), (2,)], (1, 2, 2, 2, 2), opts=options("Add")),
        "it broadcasts (1, 2, 2, 2, 2) with (2,): more than four dimensions.",
    ),
    (
        _one("ADD", [(1, 4), (1, 4)], (1, 4), opts=options("Add"), quants=[(1e4, 0), _TEN, (1e-5, 0)]),
        "its output's scale 1e-05 is too small for its inputs' 10000.",
    ),
    (
        _one("SUB", [(1, 4), (4,)], (1, 4), dtype="int16", opts=options("Sub"), quants=[(0.5, 0)] * 3),
        "it adds by the old int16 rule for scales that are powers of two.",
    ),
    (
        _one("MUL", [(1, 4), (4,)], (1, 4), opts=options("Mul"), quants=[(1e3, 0), (1e3, 0), _TEN]),
        "its ratio of scales 1e+07 times values up to 16384 overflows 32 bits.",
    ),
    (
        _one("PAD", [(1, 4)], (1, 6), opts=options("Pad"), extra=[[[0, 0], [-1, 3]]]),
        "its paddings [[0, 0], [-1, 3]] are outside 0 to 16777216.",
    ),
    (
        _one("PAD", [(1, 4)], (1, 6), opts=options("Pad"), extra=[[0, 2]]),
        "its paddings have shape (2,) for 2",
    ),
    (
        _one("PAD", [(1, 4)], (1, 6), opts=options("Pad"), quants=[_TEN, (0.2, 0)], extra=[[[0, 0], [1, 1]]]),
        "it moves integers unchanged",
    ),
    (
        _one("PADV2", [(1, 4)], (1, 6), opts=options("PadV2"), extra=[[[0, 0], [1, 1]], [5]]),
        "its pad value, tensor 2, is int32 where int8 is expected.",
    ),
    (
        _one("CONCATENATION", [(1, 4), (1, 3)], (1, 7), opts=options("Concatenation", axis=2)),
        "its axes [2] are outside 2 dimensions.",
    ),
    (
        _one("CONCATENATION", [(1, 4), (2, 4)], (1, 8), opts=options("Concatenation", axis=1)),
        "its inputs have shapes (1, 4) and (2, 4), joined along axis 1.",
    ),
    (
        _one(
            "CONCATENATION",
            [(1, 4), (1, 4)],
            (1, 8),
            opts=options("Concatenation", axis=1),
            quants=[_TEN, (0.2, 0), _TEN],
        ),
        "it moves integers unchanged",
    ),
    (
        _one(
            "CONCATENATION",
            [(1, 4)],
            (1, 4),
            opts=options("Concatenation", axis=1, fusedActivationFunction=1),
        ),
        "its fused activation is RELU.",
    ),
    (
        _one("RESHAPE", [(1, 4)], (2, 2), opts=options("Reshape"), extra=[[4, 1]]),
        "it makes shape (2, 2) of (1, 4) where (4, 1) is asked for.",
    ),
    (
        _one("RESHAPE", [(1, 4)], (2, 2), opts=options("Reshape"), extra=[[-1, -1]]),
        "it makes shape (2, 2) of (1, 4) where (-1, -1) is asked for.",
    ),
    (
        _one("RESHAPE", [(1, 4)], (2, 2), opts=options("Reshape"), extra=[[[2], [2]]]),
        "its shape is given as 2 dimensions.",
    ),
    (
        _one("RESHAPE", [(1, 4), (2,)], (2, 2), opts=options("Reshape")),
        "its shape, input 1, is not a constant.",
    ),
    (
        _one("SQUEEZE", [(1, 4)], (4,), opts=options("Squeeze", squeezeDims=[1])),
        "its axes [1] of (1, 4) are not all of size 1.",
    ),
    (
        _one("EXPAND_DIMS", [(1, 4)], (1, 1, 4), opts=options("ExpandDims"), extra=[[0, 1]]),
        "it names 2 axes where one is expected.",
    ),
    (
        _one("TRANSPOSE", [(1, 4)], (4, 1), opts=options("Transpose"), extra=[[1]]),
        "its permutation is no order of the axes 0 to 1.",
    ),
    (
        _one("TRANSPOSE", [(1, 4)], (4, 1), opts=options("Transpose"), extra=[[-1, 0]]),
        "its permutation is no order of the axes 0 to 1.",
    ),
    (
        _one("STRIDED_SLICE", [(1, 4)], (1, 4), opts=options("StridedSlice"), extra=[[0, 0], [1, 4], [1]]),
        "its bounds have shapes [(2,), (2,), (1,)] for 2 dimensions.",
    ),
    (
        _one("STRIDED_SLICE", [(1, 4)], (1, 4), opts=options("StridedSlice"), extra=[[0, 0], [1, 4], [1, 0]]),
        "its stride along axis 1 is 0.",
    ),
    (
        _one(
            "STRIDED_SLICE",
            [(1, 4)],
            (1,),
            opts=options("StridedSlice", shrinkAxisMask=2),
            extra=[[0, 4], [1, 5], [1, 1]],
        ),
        "it takes index 4 of axis 1, which has 4, by stride 1.",
    ),
    *(
        (
            _one(
                "STRIDED_SLICE",
                [(1, 4)],
                (1, 4),
                opts=options("StridedSlice", **{field: 1}),
                extra=[[0, 0]] * 3,
            ),
            f"its {name} is {value}.",
        )
        for field, name, value in (
            ("ellipsisMask", "ellipsis_mask", 1),
            ("newAxisMask", "new_axis_mask", 1),
            ("offset", "offset", True),
        )
    ),
    (
        _one(
            "STRIDED_SLICE",
            [(1, 4)],
            (4,),
            opts=options("StridedSlice", shrinkAxisMask=1, beginMask=1),
            extra=[[0, 0], [1, 4], [1, 1]],
        ),
        "its begin_mask and shrink_axis_mask name the same axis.",
    ),
    (
        _one("SPLIT", [(1, 4)], [(1, 2), (1, 2)], opts=options("Split", numSplits=3), extra=[1]),
        "it cuts axis 1 of (1, 4) into 3, with 2 outputs.",
    ),
    (
        _one("SOFTMAX", [(1, 4)], (1, 4), opts=options("Softmax", beta=1.0)),
        "its output has scale 0.1 and zero point 0 where 1/256 and -128 are demanded.",
    ),
    (
        _one("SOFTMAX", [(1, 4)], (1, 4), opts=options("Softmax"), quants=[_TEN, (1 / 256, -128)]),
        "its beta is 0, outside 0 to 1.04858e+06.",
    ),
    (
        _one("SOFTMAX", [(1, 4)], (1, 4), opts=options("Softmax", beta=1e-9), quants=[_TEN, (1 / 256, -128)]),
        "its scale times beta, 1e-10, is not above 2**-26.",
    ),
    (
        _one(
            "SOFTMAX",
            [(1, 4)],
            (1, 4),
            dtype="int16",
            opts=options("Softmax", beta=100.0),
            quants=[(1.0, 0), (1 / 32768, 0)],
        ),
        "its scale times beta times 6553.5, 655350 times values up to 65535 overflows 32 bits.",
    ),
    (
        _one(
            "SOFTMAX",
            [(1, 65536)],
            (1, 65536),
            opts=options("Softmax", beta=1.0),
            quants=[_TEN, (1 / 256, -128)],
        ),
        "its input has shape (1, 65536): the last axis may have 1 to 65535 values.",
    ),
    (
        _one("LOGISTIC", [(1, 4)], (1, 4), quants=[_TEN, (1 / 256, 0)]),
        "its output has scale 0.00390625 and zero point 0 where 1/256 and -128 are demanded.",
    ),
    (
        _one("LOGISTIC", [(1, 4)], (1, 4), dtype="int16", quants=[(3.0, 0), (1 / 32768, 0)]),
        "its input's scale 3 is 8/3 or more.",
    ),
    (
        _one("TANH", [(1, 4)], (1, 4)),
        "its output has scale 0.1 and zero point 0 where 1/128 and 0 are demanded.",
    ),
    (
        _one("HARD_SWISH", [(1, 4)], (1, 4), dtype="int16"),
        "its input 0, tensor 0, is int16 where int8 is expected.",
    ),
    (
        _one("HARD_SWISH", [(1, 4)], (1, 4), quants=[(200.0, 0), _TEN]),
        "its scales, 200 in and 0.1 out, do not fit 16-bit multipliers.",
    ),
    (
        _one("LEAKY_RELU", [(1, 4)], (1, 4), opts=options("LeakyRelu", alpha=-0.5)),
        "its alpha is -0.5, outside 0 to 1.04858e+06.",
    ),
    (
        _one("RELU", [(1, 4)], (1, 4), quants=[(1e5, 0), (1e-5, 0)]),
        "its ratio of scales 1e+10 times values up to 128 overflows 32 bits.",
    ),
    (
        _one("RELU6", [(1, 4)], (1, 4), quants=[(1e-9, 0), (1e-9, 0)]),
        "its bound of 6 does not fit in 32 bits at the scale 1e-09.",
    ),
    (
        _one("RELU", [(1, 4)], (1, 5)),
        "its output, tensor 1, has shape (1, 5) where (1, 4) follows.",
    ),
    (
        _one("QUANTIZE", [(1, 4)], (1, 4), opts=options("Quantize"), quants=[(1e5, 0), (1e-5, 0)]),
        "its ratio of scales 1e+10 times values up to 128 overflows 32 bits.",
    ),
    (
        _one("DEQUANTIZE", [(1, 4)], (1, 4), opts=options("Dequantize")),
        "its output, tensor 1, is int8 where float32 is expected.",
    ),
]


@pytest.mark.parametrize(("model", "message"), _REFUSALS, ids=[message[:40] for _, message in _REFUSALS])
def test_says_why_an_operator_is_refused(model, message):
    said = _refused(model)
    assert re.match(r"^Operator 0 \([A-Z0-9_]+\) cannot be compiled: ", said)
    assert message in said
    assert said.count("\n") == 0


def _dense(**changes):
    net = Net(np.random.default_rng(0), changes.get("dtype", "int8"))
    x = net.tensor((1, 6), None, 0.1, 0)
    net.inputs.append(x)
    weights = net.tensor((2, changes.get("depth", 6)), "int8", 0.01, 0, np.ones((2, changes.get("depth", 6))))
    y = net.tensor((1, 2), None, changes.get("scale", 0.1), 0)
    bias = net.tensor(
        (2,),
        "int32" if net.dtype == "int8" else "int64",
        changes.get("bias_scale", 1e-3),
        0,
        changes.get("bias", [1, 2]),
    )
    net.add("FULLY_CONNECTED", [x, weights, bias], [y], options("FullyConnected", **changes.get("opts", {})))
    return net.bytes([y])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"depth": 4}, "its weights take 4 values, its input has shape (1, 6)."),
        ({"opts": {"weightsFormat": 1}}, "its weights are SHUFFLED4x16INT8, with 1 outputs."),
        (
            {"bias_scale": 1.0},
            "its bias, tensor 3, has scale 1, which is not that of its input times its weights.",
        ),
        (
            {"bias": [2**31 - 1, 0]},
            "a sum of up to 2147484415 scaled by 0.01 in channel 0 overflows 32 bits.",
        ),
        (
            {"dtype": "int16", "bias": [2**47, 0]},
            "a sum of up to 140737488551936 in channel 0 overflows 48 bits.",
        ),
        ({"dtype": "int16", "scale": 1e-9}, "its bias, tensor 3, has scale 0.001"),
    ],
)
def test_says_why_a_dense_layer_is_refused(changes, message):
    check(simplify(read(_dense())))
    check(simplify(read(_dense(dtype="int16"))))
    if message:
        assert message in _refused(_dense(**changes))


def test_refuses_a_depthwise_convolution_whose_multiplier_does_not_match():
    root = schema.ModelT.InitFromPackedBuf(single_operator_model("DEPTHWISE_CONV_2D", 0), 0)
    check(simplify(read(packed(root))))
    root.subgraphs[0].operators[0].builtinOptions.depthMultiplier += 1
    assert re.search(r"its weights \(.*\) do not make \d+ channels of each of \d+\.$", _refused(packed(root)))


def test_refuses_a_tensor_that_nothing_writes():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 4))
    lost, y = net.like(x, (1, 4)), net.like(x, (1, 4))
    net.add("ADD", [x, lost], [y], options("Add"))
    assert _refused(net.bytes([y])) == "Operator 0 (ADD) cannot be compiled: nothing writes tensor 1."


def test_refuses_operands_of_two_types():
    net = Net(np.random.default_rng(0))
    x = net.input((1, 4))
    other = net.tensor((1, 4), "int16", 0.1, 0)
    net.inputs.append(other)
    y = net.like(x, (1, 4))
    net.add("ADD", [x, other], [y], options("Add"))
    assert _refused(net.bytes([y])) == "Operator 0 (ADD) cannot be compiled: its inputs are int8 and int16."


def test_refuses_a_sparse_constant():
    root = _small()
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder = [0]
    root.subgraphs[0].tensors[1].sparsity = sparsity
    assert _refused(packed(root)) == "Operator 0 (CONV_2D) cannot be compiled: tensor 1 is stored sparsely."


def test_refuses_more_constants_than_any_flash_holds():
    net = Net(np.random.default_rng(0))
    x = net.tensor((1, 4000), "int8", 0.1, 0)
    net.inputs.append(x)
    weights = net.tensor((4000, 4000), "int8", 0.01, 0, np.zeros((4000, 4000)))
    for _ in range(3):
        y = net.tensor((1, 4000), "int8", 0.1, 0)
        net.add("FULLY_CONNECTED", [x, weights, -1], [y], options("FullyConnected"))
        x = y
    message = (
        "Operator 2 (FULLY_CONNECTED) cannot be compiled: with it the model reads more than 33554432 bytes"
    )
    assert _refused(net.bytes([y])).startswith(message)
