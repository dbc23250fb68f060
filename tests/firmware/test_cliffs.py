"""Layers that once fell off the fast paths: dead channels, maps of width 1, one kernel linked alone."""

import numpy as np
import pytest
import random_graphs
from host_program import HostProgram, compiler_or_skip
from random_graphs import Net, options, schema

from edgesea.running import emulator
from firmware_export.compile import compile_model
from firmware_export.graph import ModelError
from firmware_export.ops._channels import constant_channels


def depthwise(shape, kernel, scales, seed=0, bias=None) -> bytes:
    """A DEPTHWISE_CONV_2D alone; scales: of the weights [channels]."""
    net = Net(np.random.default_rng(seed))
    x = net.tensor(shape, scale=0.05, zero_point=3)
    net.inputs.append(x)
    channels = shape[3]
    scales = np.asarray(scales, np.float32)
    weights = net.tensor(
        (1, *kernel, channels), "int8", scales, 0, net.rng.integers(-127, 128, (1, *kernel, channels)), 3
    )
    bias = np.zeros(channels, np.int64) if bias is None else bias
    bias = net.tensor((channels,), "int32", np.float32(0.05) * scales, 0, bias)
    y = net.tensor(shape, scale=0.1, zero_point=-7)
    chosen = options("DepthwiseConv2D", padding=schema.Padding.SAME, strideH=1, strideW=1, depthMultiplier=1)
    chosen.dilationHFactor = chosen.dilationWFactor = 1
    net.add("DEPTHWISE_CONV_2D", [x, weights, bias], [y], chosen)
    return net.bytes([y])


def check_on_host(models: dict[str, bytes], folder) -> None:
    """Every output byte on the host is the reference's."""
    program = HostProgram(models, folder / "host", compiler_or_skip("gcc"))
    for name, model in models.items():
        inputs = random_graphs.random_inputs(model, 1)
        (found,) = program.run([(name, list(inputs))])
        for got, wanted in zip(found, random_graphs.reference(model, inputs), strict=True):
            np.testing.assert_array_equal(got.reshape(-1), np.ravel(wanted))


def test_a_dead_channel_leaves_its_layer_on_the_fast_path(tmp_path):
    scales = np.full(8, 0.01)
    scales[3] *= 2.0**-24
    drowned = np.zeros(8, np.int64)
    drowned[5] = 2**30 + 12345
    models = {
        "tiny_scale": depthwise((1, 6, 7, 8), (3, 3), scales),
        "large_bias": depthwise((1, 6, 7, 8), (3, 3), np.full(8, 0.01), bias=drowned),
    }
    for name, model in models.items():
        compiled = compile_model(model, tmp_path / name, name)
        assert [operator.kernel for operator in compiled.operators] == ["edgesea_depthwise_3x3_row"]
    check_on_host(models, tmp_path)


def test_only_what_no_input_changes_is_constant():
    weights = np.array([[100, -100], [1, 0], [0, 0]], np.int64)
    bias = np.array([0, 0, 2**29], np.int64)
    multipliers, shifts = np.full(3, 2**30 + 1), np.array([-24, -30, 0])
    constant, values = constant_channels(weights, bias, multipliers, shifts, out_zero=5)
    # The first may reach 25,500 / 2^25: still 0. The last has a sum, but always the same.
    assert constant.tolist() == [True, True, True]
    assert values.tolist() == [5, 5, 127]
    # With a thousand times the weights the first one moves.
    constant, _ = constant_channels(weights * 2000, bias, multipliers, shifts, out_zero=5)
    assert constant.tolist() == [False, True, True]


def test_a_map_of_width_1_is_one_row(tmp_path):
    model = depthwise((1, 200, 1, 12), (9, 1), np.full(12, 0.01))
    compiled = compile_model(model, tmp_path / "code", "frames")
    (step,) = compiled.plan.program.steps
    assert (step.rows.in_rows, step.rows.in_row_bytes) == (1, 200 * 12)
    assert step.constant.fields["kernel_width"] == 9
    check_on_host({"frames": model}, tmp_path)


def test_a_map_of_width_1_streams_where_memory_is_scarce(tmp_path):
    net = Net(np.random.default_rng(5))
    x = y = net.input((1, 300, 1, 16), scale=0.05)
    for _ in range(2):
        weights = net.tensor((1, 1, 1, 16), "int8", 0.01, 0, net.rng.integers(-127, 128, (1, 1, 1, 16)))
        bias = net.tensor((16,), "int32", np.float32(net.quants[y][0]) * np.float32(0.01), 0, np.zeros(16))
        chosen = options("DepthwiseConv2D", padding=0, strideH=1, strideW=1, depthMultiplier=1)
        chosen.dilationHFactor = chosen.dilationWFactor = 1
        x, y = y, net.value((1, 300, 1, 16), 0.05)
        net.add("DEPTHWISE_CONV_2D", [x, weights, bias], [y], chosen)
    model = net.bytes([y])
    whole = compile_model(model, tmp_path / "whole", "whole")
    assert whole.plan.program.steps[0].rows.in_rows == 1
    scarce = compile_model(model, tmp_path / "scarce", "scarce", ram_budget=whole.arena_bytes // 2)
    assert scarce.plan.program.steps[0].rows.in_rows == 300
    assert scarce.arena_bytes <= whole.arena_bytes // 2
    with pytest.raises(ModelError, match="more than the budget of 16"):
        compile_model(model, tmp_path / "none", "none", ram_budget=16)


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m55"])
def test_a_depthwise_convolution_links_alone(core, tmp_path):
    board = emulator.board_of(core)
    for kernel in ((3, 3), (5, 2)):
        folder = tmp_path / f"{kernel[0]}"
        folder.mkdir()
        model = depthwise((1, 5, 6, 9), kernel, np.full(9, 0.01))
        compiled = compile_model(model, folder / "code", "alone")
        main = folder / "main.c"
        main.write_text(
            '#include "alone.h"\nstatic int8_t in[ALONE_INPUT_BYTES], out[ALONE_OUTPUT_BYTES];\n'
            "int main(void) { return alone_invoke(in, out); }\n"
        )
        sources = [path for path in compiled.files if path.suffix == ".c"]
        try:
            image = emulator.build(board, [main, *sources], folder, includes=[folder / "code"])
        except emulator.EdgeseaError as error:
            if "not found" in str(error):
                pytest.skip(str(error))
            raise
        emulator.run(board, image)
