"""How sums become outputs: the records of convolutions and dense layers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from firmware_export.ir import Operator, Tensor
from firmware_export.lowering import Lowering
from firmware_export.program import Array
from firmware_export.quantize import quantize_multiplier
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


def records_of(
    bias: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray, out_zero: int, largest: int
) -> tuple[np.ndarray, bool]:
    """Records as edgesea_channel [shape=(out_channels,)], and whether they need the general rounding.

    largest: the greatest sum of any channel.
    """
    records = np.zeros(bias.size, CHANNEL)
    records["bias"], records["multiplier"] = bias, multipliers
    # With a multiplier of 0 the result is the zero point whatever the shift.
    right = np.where(multipliers == 0, 1, -shifts.astype(np.int64))
    general = bool(
        np.any(right < 1) or np.any(right > 23) or np.any(multipliers == 2**30) or largest >= 2**30
    )
    if general:
        records["shift"] = shifts
    else:
        records["shift"] = right
        records["round"] = (1 << (right - 1)) + (out_zero << right)
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
