"""Integer arithmetic of quantised operators, computed ahead of time exactly as TensorFlow Lite computes it.

A ratio of scales becomes ``multiplier * 2**(shift - 31)``. TensorFlow Lite derives some ratios in float32 and
some in float64; which is which decides single output steps, so each caller says what it does. Everything here
was compared with ``BUILTIN_REF`` of ai-edge-litert 2.3.

Formulas: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference" (CVPR 2018); gemmlowp, doc/quantization.md and fixedpoint/fixedpoint.h.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

# The integers of an activation: (lowest, highest).
LIMITS = {"int8": (-128, 127), "int16": (-32768, 32767), "uint8": (0, 255)}


def quantize_multiplier(real: float) -> tuple[int, int]:
    """The integers (multiplier, shift) with real ~ multiplier * 2**(shift - 31).

    Parameters
    ----------
    real : float, any finite number

    Returns
    -------
    multiplier : int, 0 or 2**30 <= |multiplier| < 2**31
    shift : int, -31..30
    """
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = round_away(fraction * 2**31)
    if abs(multiplier) == 2**31:
        multiplier, shift = multiplier // 2, shift + 1
    if shift < -31:
        return 0, 0
    if shift > 30:
        return 2**31 - 1, 30
    return multiplier, shift


def float32_ratio(*scales: float) -> float:
    """scales[0] * ... * scales[-2] / scales[-1] in float32, as several of TensorFlow Lite's Prepare functions
    do.
    """
    product = np.float32(scales[0])
    for scale in scales[1:-1]:
        product *= np.float32(scale)
    return float(product / np.float32(scales[-1]))


def round_away(value: float) -> int:
    """The nearest integer, halves away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value)) if value else 0


def multiply_high(a: int, b: int) -> int:
    """round(a * b / 2**31), halves up; one operand below 2**31 - 1 in size."""
    return (a * b + (1 << 30)) >> 31


def shift_right(value: int, bits: int) -> int:
    """round(value / 2**bits), halves away from zero; bits >= 0."""
    return value if bits == 0 else (value + (1 << (bits - 1)) - (value < 0)) >> bits


def scale_twice(value: int, multiplier: int, shift: int) -> int:
    """value * multiplier * 2**(shift - 31), rounded after the product and after the shift (gemmlowp)."""
    return shift_right(multiply_high(value << max(shift, 0), multiplier), max(-shift, 0))


def clamp(value: int, low: int, high: int) -> int:
    """The value, or the bound that it is beyond."""
    return min(max(value, low), high)


def activation_range(activation: str, scale: float, zero_point: int, dtype: str) -> tuple[int, int]:
    """The integers that a fused activation leaves: (low, high)."""
    low, high = LIMITS[dtype]

    def quantized(real: float) -> int:
        return zero_point + round_away(float(np.float32(real) / np.float32(scale)))

    if activation == "RELU":
        low = max(low, quantized(0))
    elif activation == "RELU6":
        low, high = max(low, quantized(0)), min(high, quantized(6))
    elif activation == "RELU_N1_TO_1":
        low, high = max(low, quantized(-1)), min(high, quantized(1))
    return low, high


# ---- fixed point: gemmlowp's exponential -------------------------------------------------------------------


def exp_on_negative_values(raw: int, integer_bits: int = 5) -> int:
    """exp of a number <= 0 with `integer_bits` integer bits, as 31 fraction bits (gemmlowp, fixedpoint.h)."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    if raw == 0:
        return 2**31 - 1
    in_quarter = (raw & (quarter - 1)) - quarter
    result = _exp_near_zero(in_quarter << integer_bits)
    remainder = in_quarter - raw
    # exp(-2**exponent), 31 fraction bits.
    for exponent, factor in (
        (-2, 1672461947),
        (-1, 1302514674),
        (0, 790015084),
        (1, 290630308),
        (2, 39332535),
        (3, 720401),
        (4, 242),
    ):
        if exponent < integer_bits and remainder & (1 << (fraction_bits + exponent)):
            result = multiply_high(result, factor)
    if integer_bits > 5 and raw < -(1 << (fraction_bits + 5)):
        return 0
    return result


def _exp_near_zero(a: int) -> int:
    """exp(a) for -1/4 <= a < 0, both with 31 fraction bits: a polynomial around -1/8."""
    exp_of_minus_eighth, third = 1895147668, 715827883
    x = a + (1 << 28)
    x2 = multiply_high(x, x)
    x3 = multiply_high(x2, x)
    x4 = multiply_high(x2, x2)
    rest = shift_right(multiply_high(shift_right(x4, 2) + x3, third) + x2, 1)
    return exp_of_minus_eighth + multiply_high(exp_of_minus_eighth, x + rest)


def reciprocal(value: int) -> tuple[int, int]:
    """The integers (multiplier, right) with 1 / value ~ multiplier * 2**(-31 - right).

    Newton's iteration for 2 / (1 + a), as TensorFlow Lite's GetReciprocal does it.

    Parameters
    ----------
    value : int, 1..2**31 - 1

    Returns
    -------
    multiplier : int, 2**30..2**31 - 1
    right : int, 0..30
    """
    right = value.bit_length() - 1
    half = (value << (31 - right)) >> 1
    x = 1515870810 + multiply_high(half, -1010580540)  # 48/17 - 32/17 half, 29 fraction bits
    for _ in range(3):
        x += multiply_high(x, (1 << 29) - multiply_high(half, x)) << 2
    return min(2 * x, 2**31 - 1), right


def softmax_exponentials(scale: float, beta: float) -> np.ndarray:
    """exp(-i * beta * scale) for i = 0, 1, ..., as far as TensorFlow Lite's softmax takes part: int32
    [shape=(n,)].

    31 fraction bits; n <= 256.
    """
    real = min(beta * scale * (1 << 26), 2.0**31 - 1)
    multiplier, shift = quantize_multiplier(real)
    # Inputs further below the largest than this count nothing.
    radius = math.floor(31 * (1 << 26) / 2.0**shift) if shift >= 0 else 2**31
    values = [
        exp_on_negative_values(multiply_high(-i << max(shift, 0), multiplier))
        for i in range(min(radius, 255) + 1)
    ]
    return np.array(values, np.int32)


def interpolation_table(
    function: Callable[[float], float], step: float, out_step: float, zero: int = 0, real: type = float
) -> np.ndarray:
    """513 values of a function of an int16, to be joined by straight lines: int16 [shape=(513,)].

    The input stands for step * (q - zero), the values are multiples of ``out_step``. Each is moved by half
    the error that the line makes at its middle (LUTPopulateInt16). ``real`` is the type that this is computed
    in: float or np.float32.
    """
    first, last = real(step) * real(-32768 - zero), real(step) * real(32767 - zero)
    width = (last - first) / real(512)
    half = width / real(2)
    inverse = real(65536) / (real(out_step) * real(32767) - real(out_step) * real(-32768))

    def scaled(x: float) -> float:
        return real(function(float(x))) * inverse

    def nearest(value: float) -> int:
        # Far outside, so that infinities become the ends.
        return round_away(min(max(float(value), -1e9), 1e9))

    table = []
    for i in range(512):
        at = first + real(i) * width
        sample = nearest(scaled(at))
        line = nearest((scaled(first + real(i + 1) * width) + real(sample)) / real(2))
        bias = nearest(real(line - nearest(scaled(at + half))) / real(2))
        table.append(clamp(sample - bias, -32768, 32767))
    table.append(clamp(nearest(scaled(last)), -32768, 32767))
    return np.array(table, np.int16)


def inverse_square_root(value: int) -> tuple[int, int]:
    """The integers (multiplier, right) with 1 / sqrt(value) ~ multiplier * 2**(-31 - right).

    Newton's iteration in fixed point with 3 integer bits, as TensorFlow Lite's kernels do it
    (GetInvSqrtQuantizedMultiplierExp).

    Parameters
    ----------
    value : int, 0..2**31 - 1

    Returns
    -------
    multiplier : int, 0..2**31 - 1
    right : int, 0..13
    """
    if value <= 1:
        return 2**31 - 1, 0
    right = 11
    while value >= 1 << 29:
        value, right = value // 4, right + 1
    pairs = (31 - value.bit_length()) // 2 - 1
    value, right = value << 2 * pairs, right - pairs
    half = shift_right(value >> 1, 1)
    x = 1 << 28
    for _ in range(5):
        cube = clamp(multiply_high(multiply_high(x, x), x) << 6, -(2**31), 2**31 - 1)
        x = (multiply_high((1 << 28) + (1 << 27), x) - multiply_high(half, cube)) << 3
    x = multiply_high(x, 1518500250)  # sqrt(1/2) with 31 fraction bits
    return (x << -right, 0) if right < 0 else (x, right)


# Entries of the table below that TensorFlow Lite has one above the nearest integer, read off the outputs of
# its TANH.
# fmt: off
_RAISED = frozenset((
    4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44,
    45, 46, 49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
))
# fmt: on


def sigmoid_table() -> np.ndarray:
    """65536 / (1 + exp(-i / 24)) for i = 0..255, as TensorFlow Lite's int16 LOGISTIC and TANH have it:
    uint16.
    """
    return np.array(
        [round_away(65536 / (1 + math.exp(-i / 24))) + (i in _RAISED) for i in range(256)], np.uint16
    )
