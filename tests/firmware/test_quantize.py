"""The integer arithmetic against exact fractions and against real functions."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_export import kernels, layout, quantize
from firmware_export.layout import (
    by_channel,
    by_fours,
    by_pairs,
    by_tap,
    by_vectors,
    merge_axes,
    scratch_bytes,
    strides,
)


@given(st.floats(2.0**-31, 2.0**29))
def test_multiplier_is_the_nearest_of_31_bits(real):
    multiplier, shift = quantize.quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    assert -31 <= shift <= 30
    assert abs(Fraction(multiplier) * Fraction(2) ** (shift - 31) / Fraction(real) - 1) <= Fraction(1, 2**31)


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (2.0**-40, (0, 0)),
        (1.0, (2**30, 1)),
        (1 - 2.0**-40, (2**30, 1)),
        (2.0**40, (2**31 - 1, 30)),
    ],
)
def test_multiplier_at_the_ends(real, expected):
    assert quantize.quantize_multiplier(real) == expected


@given(st.integers(-(2**30), 2**30), st.integers(2**30, 2**31 - 1), st.integers(-31, 0))
def test_scaling_is_within_a_rounding_of_the_fraction(value, multiplier, shift):
    exact = Fraction(value * multiplier) * Fraction(2) ** (shift - 31)
    assert abs(quantize.scale_twice(value, multiplier, shift) - exact) <= Fraction(1, 2) + Fraction(2) ** (
        shift - 1
    )


@pytest.mark.parametrize(
    ("value", "bits", "expected"),
    [(5, 1, 3), (-5, 1, -3), (-1, 1, -1), (1, 1, 1), (-3, 2, -1), (6, 2, 2), (7, 0, 7)],
)
def test_shift_rounds_halves_away_from_zero(value, bits, expected):
    assert quantize.shift_right(value, bits) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.5, 1), (-0.5, -1), (1.49, 1), (-2.5, -3), (0.0, 0)])
def test_round_away(value, expected):
    assert quantize.round_away(value) == expected


@given(st.floats(-31.9, 0))
def test_exponential(x):
    raw = round(x * 2**26)
    assert abs(quantize.exp_on_negative_values(raw) / 2**31 - math.exp(raw / 2**26)) < 2e-6


def test_softmax_exponentials_end_where_the_reference_stops():
    found = quantize.softmax_exponentials(0.25, 1.0)
    # 0.25 * 2**26 is 0.5 * 2**25, and differences count up to 31 * 2**26 / 2**25.
    assert found.size == 63
    assert np.allclose(found / 2**31, np.exp(-0.25 * np.arange(63)), atol=2e-6)
    assert quantize.softmax_exponentials(0.001, 1.0).size == 256


@pytest.mark.parametrize(
    ("activation", "expected"),
    [("NONE", (-128, 127)), ("RELU", (-28, 127)), ("RELU6", (-28, 92)), ("RELU_N1_TO_1", (-48, -8))],
)
def test_activation_range(activation, expected):
    assert quantize.activation_range(activation, 0.05, -28, "int8") == expected


def test_activation_range_stays_in_the_type():
    assert quantize.activation_range("RELU6", 0.001, 0, "int8") == (0, 127)
    assert quantize.activation_range("RELU", 0.1, 0, "int16") == (0, 32767)


def test_weights_by_channel_begin_at_words():
    weights = np.arange(2 * 3 * 3 * 1, dtype=np.int8).reshape(2, 3, 3, 1)
    packed = by_channel(weights)
    assert packed.shape == (2, 12)
    assert packed[1].tolist() == [*range(9, 18), 0, 0, 0]


def test_weights_by_pairs():
    # 3 x 3 taps of one channel, numbered row by row.
    weights = np.arange(1, 10, dtype=np.int8).reshape(1, 3, 3, 1)
    nothing = [[0] * 10] * 3
    assert (by_pairs(weights) // 2).tolist() == [[1, 4, 2, 5, 3, 6, 7, 8, 9, 0], *nothing]
    assert by_pairs(np.full((4, 2, 2, 1), -128, np.int8)).tolist() == [[-256] * 4] * 4
    assert by_tap(weights).tolist() == [[n] for n in range(1, 10)]
    # Of five rows two pairs, one after the other, and the last one.
    tall = np.arange(1, 11, dtype=np.int8).reshape(1, 5, 2, 1)
    assert (by_pairs(tall)[0] // 2).tolist() == [1, 3, 2, 4, 5, 7, 6, 8, 9, 10]


@pytest.mark.parametrize(
    ("height", "width", "words"),
    [
        (3, 2, [[1, 3, 5, 0], [2, 4, 6, 0]]),
        (4, 1, [[1, 2, 3, 4]]),
        (2, 3, [[1, 4, 2, 5], [3, 6, 0, 0]]),
        (1, 5, [[1, 2, 3, 4], [5, 0, 0, 0]]),
        (5, 2, [[1, 3, 5, 7], [2, 4, 6, 8], [9, 10, 0, 0]]),
    ],
)
def test_weights_by_vectors(height, width, words):
    weights = np.arange(1, height * width + 1, dtype=np.int8).reshape(1, height, width, 1)
    packed = by_vectors(weights)
    assert packed.shape == (4, 16)
    assert packed[0].reshape(4, 4).tolist() == words + [[0] * 4] * (4 - len(words))
    assert not packed[1:].any()


def test_dense_weights_by_fours():
    weights = np.arange(5 * 5, dtype=np.int8).reshape(5, 5)
    assert by_fours(weights).tolist() == [
        *(0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 18),
        *(4, 0, 0, 0, 9, 0, 0, 0, 14, 0, 0, 0, 19, 0, 0, 0),
        *(20, 21, 22, 23, 24, 0, 0, 0),
    ]
    assert by_fours(weights[:3]).tolist() == by_channel(weights[:3]).reshape(-1).tolist()


def test_walks_take_as_few_axes_as_possible():
    shape = (1, 4, 5, 6)
    assert strides(shape) == [120, 30, 6, 1]
    assert merge_axes(shape, strides(shape), strides(shape)) == [(120, 1, 1)]
    # Channels first: rows and columns stay together.
    assert merge_axes((1, 6, 4, 5), (120, 1, 30, 6), strides((1, 6, 4, 5))) == [(6, 1, 20), (20, 6, 1)]


def test_scratch_of_a_deep_convolution_is_chunked():
    fields = {
        "kernel_height": 3,
        "kernel_width": 3,
        "in_channels": 128,
        "out_channels": 64,
        "out_width": 12,
        "flags": 0,
    }
    assert scratch_bytes("edgesea_conv_row", fields)["dsp"] == 2 * 5 * 384 + 4 * 5 * 64
    assert scratch_bytes("edgesea_conv_row", {**fields, "in_channels": 8})["dsp"] == 2 * 5 * 72
    assert scratch_bytes("edgesea_max_pool_row", {}) == {}


def test_scratch_sizes_are_those_of_the_kernels():
    """The constants behind scratch_bytes and those that the DSP and MVE kernels work with are the same."""

    def enumerated(file: str, name: str) -> int:
        return int(re.search(rf"\b{name} = (\d+)", (kernels.RUNTIME / file).read_text(encoding="utf-8"))[1])

    assert enumerated("edgesea_dot_dsp.h", "EDGESEA_DOT_PIXELS") == layout.PIXELS
    assert enumerated("edgesea_conv_row_dsp.c", "CHUNK") == layout.CHUNK
    pixels = [enumerated("edgesea_vector_mve.h", f"EDGESEA_{name}_PIXELS") for name in ("DOT", "ROW")]
    assert pixels == list(layout.VECTOR_PIXELS)
    assert enumerated("edgesea_conv_row_mve.c", "SHALLOW") == layout.SHALLOW
    fields = {"in_width": 10, "out_width": 10, "pad_left": 1, "kernel_height": 3, "kernel_width": 3}
    fields |= {"stride": 1, "dilation": 1, "in_channels": 4}
    words = enumerated("edgesea_depthwise_3x3_dsp.h", "COLUMN_WORDS")
    assert enumerated("edgesea_depthwise_paired_row_dsp.c", "SEGMENT") == layout.SEGMENT
    segment = enumerated("edgesea_depthwise_paired_row_mve.c", "SEGMENT")
    assert segment == layout.VECTOR_SEGMENT
    # Sums, zeros, ten outputs' columns, and where three words lie.
    assert scratch_bytes("edgesea_depthwise_3x3_row", fields)["mve"] == 64 * 10 + 16 + 64 * 12 + 16
    # One column before the map, one behind it.
    long = fields | {"in_width": 200, "out_width": 200}
    assert scratch_bytes("edgesea_depthwise_3x3_row", long)["dsp"] == 4 * words * 202
    # As edgesea_kernels.h says it to whoever calls a kernel by hand.
    said = (kernels.RUNTIME / "edgesea_kernels.h").read_text(encoding="utf-8")
    assert f"depth4 > {layout.CHUNK} and" in said
    assert f"2 * n * chunk, where n is min({layout.PIXELS}, out_width)" in said
    few, many = layout.VECTOR_PIXELS
    assert f"n is min({many}, out_width) where depth16 is at most {layout.SHALLOW}, else" in said
    assert f"min({few}, out_width); for edgesea_pointwise_row none" in said
    assert f"{4 * words} * (pad_left + in_width" in said
