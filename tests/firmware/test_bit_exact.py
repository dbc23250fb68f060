"""The C model against TensorFlow Lite's reference kernels, byte for byte, on the host."""

import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import random_graphs
import random_makers
from host_program import SANITIZERS, STRICT, HostProgram, compiler_or_skip

from firmware_export.compile import compile_model
from firmware_export.emit import RUNTIME
from firmware_export.errors import ModelError
from firmware_export.graph import read
from firmware_export.passes import check, simplify


def assert_exact(program: HostProgram, models: dict[str, bytes], inputs_each: int) -> None:
    requests = [
        (name, random_graphs.random_inputs(model, seed))
        for name, model in models.items()
        for seed in range(inputs_each)
    ]
    for (name, inputs), answers in zip(requests, program.run(requests), strict=True):
        expected = random_graphs.reference(models[name], inputs)
        for position, (answer, wanted) in enumerate(zip(answers, expected, strict=True)):
            different = int(
                np.count_nonzero(answer.view(f"V{answer.itemsize}") != wanted.view(f"V{wanted.itemsize}"))
            )
            assert different == 0, f"{name}, output {position}: {different} of {wanted.size} values differ"


@pytest.mark.parametrize(
    "seeds", [range(1), pytest.param(range(1, 4), marks=pytest.mark.slow)], ids=["first", "more"]
)
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_every_operator(dtype, seeds, tmp_path):
    models = {
        f"{opcode.lower()}_{seed}": random_graphs.single_operator_model(opcode, seed, dtype)
        for opcode in random_graphs.MAKERS
        if random_graphs.supports(opcode, dtype)
        for seed in seeds
    }
    assert len(models) >= 45 * len(seeds)
    assert_exact(HostProgram(models, tmp_path / "all"), models, 3)


def grouped(dtype: str, seed: int) -> bytes:
    """A convolution in groups."""
    net = random_graphs.Net(np.random.default_rng(seed), dtype)
    x = net.input((1 + seed % 2, 5, 4, (4, 6, 9)[seed % 3]))
    return net.bytes(random_makers.grouped_conv_2d(net, x))


def unsigned(seed: int) -> bytes:
    """From uint8 to uint8, through int8."""
    net = random_graphs.Net(np.random.default_rng(seed))
    given = net.tensor((256,), "uint8", 0.1, 100 + seed)
    net.inputs.append(given)
    x = net.tensor((256,), "int8", (0.1, 0.2)[seed % 2], seed - 28)
    net.add("QUANTIZE", [given], [x], random_graphs.options("Quantize"))
    return net.bytes([random_graphs.unsigned(net, x)])


def depthwise(seed: int) -> bytes:
    """A depthwise convolution of 3x3: dilated, with a stride of 1, or with scales that want the general
    rounding.
    """
    net = random_graphs.Net(np.random.default_rng(seed))
    x = net.input((1, 9, 8, 4 + seed), 0.05)
    # The second's sums are small, so that not all leave int8: a step of them is most of one of the output.
    dilation, scale, largest = ((2, 0.005, 127), (1, 0.6, 1))[seed % 2]
    data = net.rng.integers(-largest, largest + 1, (1, 3, 3, 4 + seed))
    weights = net.tensor(data.shape, "int8", np.full(4 + seed, scale), 0, data, 3)
    bias = net.tensor(
        (4 + seed,), "int32", np.full(4 + seed, 0.05 * scale), 0, net.rng.integers(-99, 99, 4 + seed)
    )
    y = net.value((1, 9, 8, 4 + seed), 0.05)
    windows = {"strideH": 1, "strideW": 1, "dilationHFactor": dilation, "dilationWFactor": dilation}
    chosen = random_graphs.options("DepthwiseConv2D", depthMultiplier=1, **windows)
    net.add("DEPTHWISE_CONV_2D", [x, weights, bias], [y], chosen)
    return net.bytes([y])


def test_convolutions_of_rare_kinds_and_unsigned_ends(tmp_path):
    models = {f"grouped_{dtype}_{s}": grouped(dtype, s) for dtype in ("int8", "int16") for s in range(4)}
    models |= {f"unsigned_{seed}": unsigned(seed) for seed in range(4)}
    models |= {f"depthwise_{seed}": depthwise(seed) for seed in range(4)}
    assert_exact(HostProgram(models, tmp_path / "all"), models, 3)


@pytest.mark.parametrize(
    "seeds", [range(20), pytest.param(range(20, 60), marks=pytest.mark.slow)], ids=["first", "more"]
)
def test_random_graphs(seeds, tmp_path):
    models = {f"graph_{s}": random_graphs.random_model(s) for s in seeds}
    program = HostProgram(models, tmp_path / "all")
    assert_exact(program, models, 2)
    if 0 in seeds:
        assert any(op.streamed for op in program.compiled["graph_0"].operators)


def in_range(model: bytes) -> bool:
    """False where functions in a row lead to a scale that no sound has, which is refused."""
    try:
        check(simplify(read(model)))
    except ModelError as error:
        if "has scale" not in str(error):
            raise
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_five_hundred_random_graphs_under_sanitizers(compiler, tmp_path):
    compiler_or_skip(compiler)
    count = 0
    for first in range(1000, 1560, 70):
        models = {f"graph_{s}": random_graphs.random_model(s) for s in range(first, first + 70)}
        models = {name: model for name, model in models.items() if in_range(model)}
        count += len(models)
        program = HostProgram(models, tmp_path / str(first) / "all", compiler, SANITIZERS)
        assert_exact(program, models, 2)
    assert count >= 500


@pytest.mark.parametrize("name", ["kws_ref_model", "sea_student3_int8"])
def test_published_models(shared, name, tmp_path):
    models = {name: (shared / "models" / f"{name}.tflite").read_bytes()}
    assert_exact(HostProgram(models, tmp_path / "all", flags=("-O2",)), models, 3)


def test_memory_of_published_models(shared, tmp_path):
    # A third of what TensorFlow Lite Micro needs, and less: benchmarks/results/engine.md has 23,312, 213,836
    # bytes.
    keyword = compile_model(shared / "models" / "kws_ref_model.tflite", tmp_path, "keyword")
    student = compile_model(shared / "models" / "sea_student3_int8.tflite", tmp_path, "student")
    assert keyword.arena_bytes <= 7000
    assert student.arena_bytes <= 34000


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("language", ["c99", "c++11"])
def test_sources_are_clean(compiler, language, tmp_path):
    path = compiler_or_skip(compiler)
    models = {f"graph_{s}": random_graphs.random_model(s) for s in range(12)}
    for name, model in models.items():
        compile_model(model, tmp_path / "all", name)
    flags = STRICT if language == "c99" else ("-x", "c++", "-std=c++11", *STRICT[1:])
    sources = sorted((tmp_path / "all").glob("*.c"))
    for source in sources:
        command = [path, *flags, "-c", str(source), "-o", str(tmp_path / "object.o")]
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr[:2000]
    assert len(sources) > 20


def test_no_mutable_globals(shared, tmp_path):
    # What has no writable memory of its own is reentrant.
    compiler_or_skip("nm")
    model = compile_model(shared / "models" / "kws_ref_model.tflite", tmp_path, "model")
    for source in (path for path in model.files if path.suffix == ".c"):
        item = tmp_path / "item.o"
        subprocess.run(
            [
                "gcc",
                *STRICT,
                "-O1",
                "-fno-pic",
                "-DMODEL_NO_STATIC_ARENA",
                "-c",
                str(source),
                "-o",
                str(item),
            ],
            check=True,
        )
        symbols = subprocess.run(["nm", str(item)], check=True, capture_output=True, text=True).stdout
        kinds = {line.split()[-2] for line in symbols.splitlines()}
        assert not kinds & set("bBdDcCsSgG"), f"{source.name}: {symbols}"


def test_two_arenas_at_once(tmp_path):
    import ctypes

    model = random_graphs.random_model(5)
    compiled = compile_model(model, tmp_path, "model")
    library = tmp_path / "model.so"
    sources = [str(path) for path in compiled.files if path.suffix == ".c"]
    subprocess.run(["gcc", *STRICT, "-O1", "-shared", "-fPIC", *sources, "-o", str(library)], check=True)
    invoke = ctypes.CDLL(str(library)).model_invoke_in

    def work(seed: int) -> bool:
        arena = np.zeros(compiled.arena_bytes + 16, np.uint8)
        place = ctypes.c_void_p((arena.ctypes.data + 15) // 16 * 16)
        inputs = [np.ascontiguousarray(x) for x in random_graphs.random_inputs(model, seed)]
        expected = random_graphs.reference(model, inputs)
        for _ in range(200):
            outputs = [np.zeros_like(x) for x in expected]
            ports = [ctypes.c_void_p(x.ctypes.data) for x in inputs + outputs]
            assert invoke(place, *ports) == 0
            if any(a.tobytes() != b.tobytes() for a, b in zip(outputs, expected, strict=True)):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_refuses_an_arena_out_of_line(tmp_path):
    import ctypes

    model = random_graphs.random_model(5)
    compiled = compile_model(model, tmp_path, "model")
    sources = [str(path) for path in compiled.files if path.suffix == ".c"]
    subprocess.run(["gcc", *STRICT, "-shared", "-fPIC", *sources, "-o", str(tmp_path / "m.so")], check=True)
    arena = np.zeros(compiled.arena_bytes + 32, np.uint8)
    place = (arena.ctypes.data + 15) // 16 * 16 + 1
    ports = [ctypes.c_void_p(0)] * (len(compiled.inputs) + len(compiled.outputs))
    assert ctypes.CDLL(str(tmp_path / "m.so")).model_invoke_in(ctypes.c_void_p(place), *ports) == -1


def test_every_kernel_is_reached():
    """A kernel that no random model uses is not tested."""
    used = set()
    for opcode in random_graphs.MAKERS:
        for dtype in ("int8", "int16"):
            for seed in range(7):
                if random_graphs.supports(opcode, dtype):
                    used |= _kernels(random_graphs.single_operator_model(opcode, seed, dtype))
    for seed in range(60):
        used |= _kernels(random_graphs.random_model(seed))
    used |= _kernels(grouped("int8", 0)) | _kernels(grouped("int16", 0))
    used |= _kernels(depthwise(0)) | _kernels(depthwise(1))
    used.add("edgesea_pointwise_row.c")  # test_plan.test_pointwise_convolutions
    plain = {p.name for p in RUNTIME.glob("edgesea_*.c") if not p.stem.endswith(("_dsp", "_mve"))}
    of_models = {name for name in plain if _declared(name.removesuffix(".c"))}
    assert of_models - used == set()


def _declared(kernel: str) -> bool:
    """Whether edgesea_kernels.h declares a function of this name: the frontend's and the sensor's are
    elsewhere.
    """
    return f" {kernel}(" in (RUNTIME / "edgesea_kernels.h").read_text(encoding="utf-8")


def _kernels(model: bytes) -> set[str]:
    from firmware_export.emit import emit
    from firmware_export.graph import read
    from firmware_export.passes import check, lower, simplify
    from firmware_export.plan import plans

    graph = simplify(read(model))
    check(graph)
    return set(emit(plans(lower(graph)), "model", "0").kernels)


def test_sums_and_products_of_int16_maps_are_made_row_by_row(tmp_path):
    # Unstreamed, a residual connection holds whole maps: separable-m's arena was 4.7 times that of int8.
    for opcode in ("ADD", "SUB", "MUL"):
        net = random_graphs.Net(np.random.default_rng(0), "int16")
        shape = (1, 6, 5, 4)
        a, b = net.input(shape, 0.01), net.input(shape, 0.01)
        y = net.tensor(shape, "int16", 0.02)
        potential = {} if opcode == "MUL" else {"potScaleInt16": False}
        parameters = random_graphs.options(opcode.capitalize(), fusedActivationFunction=0, **potential)
        net.add(opcode, [a, b], [y], parameters)
        compiled = compile_model(net.bytes([y]), tmp_path / opcode, "pair")
        assert [op.kernel for op in compiled.operators] == [
            f"edgesea_{'mul' if opcode == 'MUL' else 'add'}16_row"
        ]
