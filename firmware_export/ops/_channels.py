"""How sums become outputs: the records of convolutions and dense layers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from firmware_export.ir import Operator, Tensor
from firmware_export.lowering import Lowering
from firmware_export.program import Array
from firmware_export.quantize import clamp, quantize_multiplier, scale_twice
from firmware_export.require import refuse

# Behind weights, so that a vector that begins inside may be loaded whole.
SPARE = 12

CHANNEL = np.dtype([("bias", np.int32), ("multiplier", np.int32), ("round", np.int32), ("shift", np.int32)])
CHANNEL16 = np.dtype([("bias", np.int64), ("multiplier", np.int32), ("shift", np.int32)])


def check_range(op: Operator, bias: np.ndarray, weights: np.ndarray, shifts: Iterable[int]) -> None:
    """Refuse accumulators that could overflow: their result is undefined in TensorFlow Lite too."""
    for channel, (value, shift) in enumerate(zip(largest_sums(bias, weights).tolist(), shifts, strict=True)):
        if value << max(shift, 0) >= 2**31:
            raise refuse(op, f"the sums of output channel {channel} can exceed 32 bits")


def largest_sums(bias: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The greatest magnitude of each channel's sum, wherever it stands: int64 [shape=(out_channels,)]."""
    return np.abs(bias) + 128 * np.abs(weights).sum(axis=1)


def _general(multipliers: np.ndarray, right: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Which channels need the general rounding; right: how far their results are shifted."""
    return (right < 1) | (right > 23) | (multipliers == 2**30) | (largest >= 2**30)


def constant_channels(
    weights: np.ndarray,
    bias: np.ndarray,
    multipliers: np.ndarray,
    shifts: np.ndarray,
    out_zero: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Channels that would need the general rounding but whose result no input changes.

    Training leaves such channels behind: their scale is tiny, or their bias drowns their weights. Made
    constant, they do not slow down their layer.

    Parameters
    ----------
    weights : np.ndarray [shape=(channels, depth), int64]
    bias, multipliers, shifts : np.ndarray [shape=(channels,)]
        bias with the input's zero point folded in.

    Returns
    -------
    constant : np.ndarray [shape=(channels,), bool]
    values : np.ndarray [shape=(channels,), int64], -128..127
        Their results, before the fused activation; 0 elsewhere.
    """
    right = np.where(multipliers == 0, 1, -shifts.astype(np.int64))
    suspects = np.flatnonzero(_general(multipliers, right, largest_sums(bias, weights)))
    constant, values = np.zeros(bias.size, bool), np.zeros(bias.size, np.int64)
    for channel in suspects:
        own = weights[channel]
        # The least and the greatest sum over all inputs; the result never falls as the sum grows.
        ends = [
            int(bias[channel] + np.minimum(low * own, high * own).sum() * sign)
            for low, high, sign in ((-128, 127, 1), (128, -127, -1))
        ]
        results = {
            clamp(scale_twice(end, int(multipliers[channel]), int(shifts[channel])) + out_zero, -128, 127)
            for end in ends
        }
        if len(results) == 1:
            constant[channel], values[channel] = True, results.pop()
    return constant, values


def records_of(
    bias: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray, out_zero: np.ndarray, largest: np.ndarray
) -> tuple[np.ndarray, bool]:
    """Records as edgesea_channel [shape=(out_channels or 4,)], and whether they need the general rounding.

    out_zero [channels]: what is added to each result, the zero point or a constant channel's value;
    largest [channels]: the greatest magnitude of each sum.
    """
    # With a multiplier of 0 the result is the zero point whatever the shift.
    right = np.where(multipliers == 0, 1, -shifts.astype(np.int64))
    general = bool(_general(multipliers, right, largest).any())
    # The fast paths take four at a time.
    records = np.zeros(max(bias.size, 4), CHANNEL)
    own = records[: bias.size]
    own["bias"], own["multiplier"] = bias, multipliers
    if general:
        own["shift"] = shifts
    else:
        own["shift"] = right
        own["round"] = (1 << (right - 1)) + (out_zero << right)
    return records, general


def folded_bias(lowering: Lowering, op: Operator, weights: np.ndarray, in_zero: int) -> np.ndarray:
    """The bias with the input's zero point folded in, int64 [shape=(out_channels,)]; weights [channels,
    depth].
    """
    bias = lowering.graph.input(op, 2)
    start = np.zeros(weights.shape[0], np.int64) if bias is None else bias.data.reshape(-1).astype(np.int64)
    return start - in_zero * weights.sum(axis=1)


def multipliers_of(ratios: Iterable[float]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [quantize_multiplier(ratio) for ratio in ratios]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int8)


def channel_scales(tensor: Tensor, channels: int) -> list[float]:
    scales = tensor.quantization.scales.astype(np.float64)
    return (np.broadcast_to(scales, (channels,))).tolist()


def records16(lowering: Lowering, op: Operator, channels: int, ratios: list[float]) -> Array:
    """Records as edgesea_channel16: MultiplyByQuantizedMultiplier of 64-bit sums, 16 bits of multiplier."""
    bias = lowering.graph.input(op, 2)
    records = np.zeros(channels, CHANNEL16)
    if bias is not None:
        records["bias"] = bias.data.reshape(-1)
    for channel, ratio in enumerate(ratios):
        pair = short_multiplier(*quantize_multiplier(ratio))
        records[channel]["multiplier"], records[channel]["shift"] = pair
    return Array("channels", "edgesea_channel16", records)


def short_multiplier(multiplier: int, shift: int) -> tuple[int, int]:
    """What 64-bit sums are scaled by: (multiplier of 16 bits, bits to shift right)."""
    return min((multiplier + (1 << 15)) >> 16, 32767), 15 - shift
