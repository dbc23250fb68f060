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


def by_fours(weights: np.ndarray) -> np.ndarray:
    """Weights of a dense layer for the DSP path: four taps of each of four outputs, then the next four taps.

    Outputs that are left over lie as in `by_channel`.

    Parameters
    ----------
    weights : np.ndarray [shape=(outputs, inputs), int8]

    Returns
    -------
    np.ndarray [shape=(outputs * inputs4,), int8]
        inputs4 is inputs rounded up to a multiple of four.
    """
    rows = by_channel(weights)
    whole = len(rows) // 4 * 4
    fours = rows[:whole].reshape(whole // 4, 4, rows.shape[1] // 4, 4).swapaxes(1, 2)
    return np.concatenate([fours.reshape(-1), rows[whole:].reshape(-1)])


def by_tap(weights: np.ndarray) -> np.ndarray:
    """Weights of a depthwise convolution, int8 [shape=(channels, height, width, 1)] -> [shape=(taps,
    channels)].
    """
    return np.ascontiguousarray(weights.reshape(weights.shape[0], -1).T)


def by_pairs(weights: np.ndarray) -> np.ndarray:
    """Weights of a depthwise convolution for the DSP path, two taps to a word.

    One dual multiplication handles two taps of a channel. Rows pair up, and a pair's columns follow each
    other; the last of an odd number of rows pairs up along itself. The weights are doubled, which makes the
    sum fit a multiplication that keeps the upper 32 of 64 bits.

    Parameters
    ----------
    weights : np.ndarray [shape=(channels, height, width, 1), int8]

    Returns
    -------
    np.ndarray [shape=(channels, 2 * pairs), int16]
        Filled up with zeros to at least four channels.
    """
    channels, height, width, _ = weights.shape
    taps = weights[..., 0].astype(np.int16) * 2
    even = taps[:, : height // 2 * 2].reshape(channels, height // 2, 2, width).swapaxes(2, 3)
    last = np.pad(taps[:, height // 2 * 2 :], ((0, 0), (0, 0), (0, width % 2)))
    pairs = np.concatenate([even.reshape(channels, -1), last.reshape(channels, -1)], axis=1)
    return np.pad(pairs, ((0, max(4 - channels, 0)), (0, 0)))


def by_vectors(weights: np.ndarray) -> np.ndarray:
    """Weights of a depthwise convolution for the MVE path, sixteen taps of a channel to a vector.

    Four taps make a word. Rows go four at a time: four or three of them make a word a column; two that are
    left over a word of two columns, one a word of four columns.

    Parameters
    ----------
    weights : np.ndarray [shape=(channels, height, width, 1), int8]

    Returns
    -------
    np.ndarray [shape=(channels, 16 * vectors), int8]
        Filled up with zeros, to at least four channels.
    """
    taps = weights[..., 0]
    words = []
    for first in range(0, taps.shape[1], 4):
        rows = taps[:, first : first + 4].swapaxes(1, 2)
        channels, width, height = rows.shape
        columns = 4 // height
        if height == 3:
            rows = np.pad(rows, ((0, 0), (0, 0), (0, 1)))
        words.append(np.pad(rows, ((0, 0), (0, -width % columns), (0, 0))).reshape(channels, -1))
    flat = np.concatenate(words, axis=1)
    return np.pad(flat, ((0, max(4 - len(flat), 0)), (0, -flat.shape[1] % 16)))


# The DSP path widens this many pixels at once, and at most this many inputs of each.
PIXELS, CHUNK = 5, 200

# The DSP path widens this many inputs of a dense layer at once.
PIECE = 128

# The MVE path gathers this many pixels at once, the more where their inputs are at most so many bytes each.
VECTOR_PIXELS, SHALLOW = (3, 6), 480

# Depthwise convolutions with weights of their own on the fast paths.
DEPTHWISE = ("edgesea_depthwise_3x3_row", "edgesea_depthwise_dilated_row", "edgesea_depthwise_paired_row")

# Outputs whose columns a depthwise convolution widens at once on the DSP path (unless it is 3x3) and
# interleaves at once on the MVE path.
SEGMENT, VECTOR_SEGMENT = 32, 16


def scratch_bytes(function: str, fields: dict) -> dict[str, int]:
    """The working memory of one call of a kernel by path, as edgesea_kernels.h documents it."""
    if function in ("edgesea_conv_row", "edgesea_pointwise_row"):
        if function == "edgesea_pointwise_row":
            return {"dsp": _widened(fields)}
        depth4 = round_up(fields["kernel_height"] * fields["kernel_width"] * fields["in_channels"], 4)
        depth16 = round_up(depth4, 16)
        gathered = min(VECTOR_PIXELS[depth16 <= SHALLOW], fields["out_width"]) * depth16
        return {"plain": depth4, "dsp": _widened(fields), "mve": gathered}
    if function in DEPTHWISE:
        widened = _depthwise_dsp if function == "edgesea_depthwise_paired_row" else _depthwise_3x3_dsp
        return {"plain": _depthwise_plain(fields), "dsp": widened(fields), "mve": _depthwise_mve(fields)}
    if function == "edgesea_fully_connected":
        return {"dsp": 2 * min(round_up(fields["inputs"], 4), PIECE)}
    return {}


def _widened(fields: dict) -> int:
    """What some pixels see of the input, in 16 bits, and their sums where that comes in pieces."""
    pixels = min(PIXELS, fields["out_width"])
    line = fields["kernel_width"] * fields["in_channels"]
    depth4 = chunk = round_up(fields["kernel_height"] * line, 4)
    if depth4 > CHUNK and line % 4 == 0:
        chunk = min(depth4, max(1, CHUNK // line) * line)
    kept = chunk < depth4 or fields["flags"] & GENERAL
    return 2 * pixels * chunk + (4 * pixels * fields["out_channels"] if kept else 0)


def _reach(fields: dict, outputs: int) -> int:
    """The columns from the first to the last that so many neighbouring outputs read."""
    return (outputs - 1) * fields["stride"] + (fields["kernel_width"] - 1) * fields["dilation"] + 1


def _depthwise_3x3_dsp(fields: dict) -> int:
    """Widened columns of four channels; the outputs of four where there are fewer."""
    right = max(_reach(fields, fields["out_width"]) - fields["pad_left"] - fields["in_width"], 0)
    apart = 4 * fields["out_width"] if fields["in_channels"] < 4 else 0
    return 24 * (fields["in_width"] + fields["pad_left"] + right) + apart


def _depthwise_dsp(fields: dict) -> int:
    """Widened columns of four channels."""
    return 16 * ((fields["kernel_height"] + 1) // 2) * _reach(fields, min(SEGMENT, fields["out_width"]))


def _depthwise_mve(fields: dict) -> int:
    """Sums, zeros, interleaved columns of sixteen channels, and where the kernel's words lie."""
    height, outputs = fields["kernel_height"], min(VECTOR_SEGMENT, fields["out_width"])
    words = sum(-(-fields["kernel_width"] // (4 // min(4, height - y))) for y in range(0, height, 4))
    columns = 64 * -(-height // 4) * _reach(fields, outputs)
    return 64 * outputs + 16 + columns + 4 * round_up(words, 4)


def _depthwise_plain(fields: dict) -> int:
    """A pointer for each tap, of 64 bits and aligned so, and a pixel of zeros."""
    return 8 * fields["kernel_height"] * fields["kernel_width"] + 4 + fields["in_channels"]
