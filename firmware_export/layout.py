"""How weights lie in flash: the order in which the kernels read them.

Every path (plain, DSP, MVE) reads the same order of convolution and dense weights: all that one output
channel multiplies lies together, in the order of the input, so that both a word and a vector of consecutive
weights meet consecutive inputs. Depthwise weights lie tap by tap, channels together; the DSP path has an
order of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

# edgesea_kernels.h: some channel needs the general rounding.
GENERAL = 1


def round_up(value: int, multiple: int) -> int:
    """The least multiple that is not below ``value``."""
    return -(-value // multiple) * multiple


def strides(shape: Sequence[int]) -> list[int]:
    """How many elements apart neighbours along each axis lie in a tensor of ``shape``."""
    found = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        found[axis] = found[axis + 1] * shape[axis + 1]
    return found


def merge_axes(
    sizes: Iterable[int], in_strides: Iterable[int], out_strides: Iterable[int]
) -> list[tuple[int, int, int]]:
    """The same walk over as few axes as possible: (size, in_stride, out_stride) each, outermost first."""
    merged: list[tuple[int, int, int]] = []
    for size, in_stride, out_stride in zip(sizes, in_strides, out_strides, strict=True):
        if size == 1:
            continue
        if merged and merged[-1][1:] == (size * in_stride, size * out_stride):
            merged[-1] = (merged[-1][0] * size, in_stride, out_stride)
        else:
            merged.append((size, in_stride, out_stride))
    return merged


def by_channel(weights: np.ndarray) -> np.ndarray:
    """Weights of a convolution or a dense layer, ready for flash.

    Parameters
    ----------
    weights : np.ndarray [shape=(out_channels, ...), int8]

    Returns
    -------
    np.ndarray [shape=(out_channels, depth4), int8]
        Each channel's weights in their order, filled with zeros to a multiple of four, so that each channel
        begins at a word.
    """
    flat = weights.reshape(weights.shape[0], -1)
    return np.pad(flat, ((0, 0), (0, -flat.shape[1] % 4)))


def by_tap(weights: np.ndarray) -> np.ndarray:
    """Weights of a depthwise convolution, int8 [shape=(1, height, width, channels)] -> [shape=(taps,
    channels)].
    """
    return weights.reshape(-1, weights.shape[-1])


def by_pairs(weights: np.ndarray) -> np.ndarray:
    """Weights of a depthwise convolution for the DSP path, two taps to a word.

    One dual multiplication handles two taps of a channel. Rows pair up, column by column; the last of an odd
    number of rows pairs up along itself. The weights are doubled, which makes the sum fit a multiplication
    that keeps the upper 32 of 64 bits.

    Parameters
    ----------
    weights : np.ndarray [shape=(1, height, width, channels), int8]

    Returns
    -------
    np.ndarray [shape=(channels, 2 * pairs), int16]
    """
    _, height, width, channels = weights.shape
    taps = weights[0].astype(np.int16) * 2
    columns = []
    for x in range(width):
        for y in range(0, height - 1, 2):
            columns += [taps[y, x], taps[y + 1, x]]
    if height % 2:
        columns += [taps[-1, x] for x in range(width)]
        if width % 2:
            columns.append(np.zeros(channels, np.int16))
    return np.ascontiguousarray(np.stack(columns, axis=1))


# The DSP path widens this many pixels at once, and at most this many inputs of each.
PIXELS, CHUNK = 5, 400

# The MVE path gathers this many pixels at once.
VECTOR_PIXELS = 3


def scratch_bytes(function: str, fields: dict) -> int:
    """The working memory of one call of a kernel, as edgesea_kernels.h documents it."""
    if function in ("edgesea_conv_row", "edgesea_pointwise_row"):
        pixels = min(PIXELS, fields["out_width"])
        line = fields["kernel_width"] * fields["in_channels"]
        depth4 = chunk = round_up(fields["kernel_height"] * line, 4)
        if depth4 > CHUNK and line % 4 == 0:
            chunk = min(depth4, max(1, CHUNK // line) * line)
        kept = chunk < depth4 or fields["flags"] & GENERAL
        dsp = 2 * pixels * chunk + (4 * pixels * fields["out_channels"] if kept else 0)
        mve = min(VECTOR_PIXELS, fields["out_width"]) * round_up(depth4, 16)
        return max(dsp, mve)
    if function == "edgesea_depthwise_paired_row":
        reach = (
            (fields["out_width"] - 1) * fields["stride"]
            + (fields["kernel_width"] - 1) * fields["dilation"]
            + 1
        )
        right = max(reach - fields["pad_left"] - fields["in_width"], 0)
        dsp = 24 * (fields["in_width"] + fields["pad_left"] + right)
        mve = 4 * VECTOR_PIXELS * fields["kernel_height"] * fields["kernel_width"] + fields["in_channels"]
        return max(dsp, mve)
    if function == "edgesea_fully_connected":
        return 2 * round_up(fields["inputs"], 4)
    return 0
