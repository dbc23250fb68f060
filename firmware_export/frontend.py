"""Write a frontend as C: its constants, for the functions of runtime/edgesea_frontend.h.

The frontend is the value that the model was trained with (`edgesea.frontend.Frontend`). Every constant comes
from it, from the scale and zero point of the model's input, or from the arithmetic; none exists only on the
device.

    files = frontend_sources(frontend, "street_sounds", scale=0.31, zero_point=127)

gives `street_sounds_frontend.h` and `.c`, to be compiled with the files of runtime/ that HEADERS and SOURCES
name.

A patch is made in *levels*, 256 * log2 of a band. A square root at the end of a band (`root`) only halves a
level and is left to the scale, unless an offset is added after it. The weights of each band are divided by
their sum W, so that 16 bits suffice and every band lies equally high above the noise; log2 W comes back as
`band_levels`, and the offset is divided by W likewise.
"""

from __future__ import annotations

import math

import numpy as np

from firmware_export import ctext
from firmware_export.emit import TEMPLATES
from firmware_export.errors import UserError

HEADERS = ("edgesea_frontend.h", "edgesea_scaled.h", "edgesea_float.h", "edgesea_multiply.h")
SOURCES = (
    "edgesea_frontend.c",
    "edgesea_fft_float.c",
    "edgesea_fft_fixed.c",
    "edgesea_fft_wide.c",
    "edgesea_mel_float.c",
    "edgesea_mel_fixed.c",
    "edgesea_mel_wide.c",
    "edgesea_scaled.c",
)

FFT_SIZES = (16, 16384)

# What `integer_tables` is made of.
INTEGER_NUMBERS = (
    *("first_bin", "magnitude", "root", "relative", "wide"),
    *("least", "low", "high", "fixed_clear", "multiplier", "zero"),
)
INTEGER_TABLES = {
    "segments": np.uint16,
    "band_levels": np.int16,
    "offsets": np.float32,
    "wide_window": np.uint32,
    "wide_sine": np.uint32,
    "wide_weights": np.uint16,
    "wide_shifts": np.uint8,
}

# The largest rounding error of a bin's magnitude: of edgesea_fft_float as a share of the root of the row's
# energy (the sum of all powers), of edgesea_fft_fixed in units of what it stores. Over all sizes, and tones,
# noise, steps and squares of all levels, 1.04e-7 and 10.3 were met, and 21 where products are put together
# from 16 bits; tests/firmware/test_c_frontend.py looks for more.
FLOAT_ERROR = 1.3e-7
FIXED_ERROR = 25.0
# How much of an int8 step that error may make; the tables and roundings behind it make less than 0.2.
ALLOWED_STEPS = 0.8


class FrontendError(UserError):
    """A frontend that the C code cannot run, or not for that model: one sentence that says why."""


def frontend_sources(
    frontend,
    name: str,
    *,
    scale: float,
    zero_point: int,
    input_shape: tuple[int, ...] | None = None,
    integer: bool = False,
    command: str = "",
) -> dict[str, str]:
    """The C files of a frontend.

    Parameters
    ----------
    frontend : the frontend's value
    name : any text, the model's; what C cannot have in an identifier becomes `_`
    scale, zero_point : of the model's int8 input: real = scale * (integer - zero_point)
    input_shape : of the model's input; (frames, mels) or (mels, frames), with dimensions of 1 anywhere. By
        default (frames, mels).
    integer : compute in integers on every core, those with an FPU too, so that all make the same patches
    command : the command line to name in the files

    Returns
    -------
    dict
        {"NAME_frontend.h": text, "NAME_frontend.c": text}

    Raises
    ------
    FrontendError : a frontend out of the C code's range, an input of another shape or type
    """
    name = ctext.identifier(name)
    constants = _constants(frontend, scale, zero_point)
    row_value_bytes = 2 if constants["relative"] else 1
    rows_words = -(-frontend.frames * frontend.mels * row_value_bytes // 4)
    # Levels first, padded to 8 bytes; then the spectrum, of 8 bytes a bin, or 16 where int64 may be needed.
    spectrum = 8 * (frontend.fft_size + 1 if constants["wide"] else frontend.fft_size // 2 + 1)
    values = {
        **constants,
        **_strides(frontend, input_shape),
        "name": name,
        "NAME": name.upper(),
        "frontend": frontend,
        "by_float": "0" if integer else "EDGESEA_FRONTEND_FLOAT",
        "origin": ctext.origin(command),
        "definition": [f"{key}: {value}" for key, value in frontend.to_dict().items()],
        "unit": "dB" if frontend.log == "db" else "nepers",
        "scale": repr(float(scale)),
        "zero_point": zero_point,
        "row_value_bytes": row_value_bytes,
        "rows_words": rows_words,
        "memory_bytes": 2 * frontend.fft_size + 4 * rows_words,
        "scratch_bytes": 8 * -(-frontend.mels // 4) + spectrum,
    }
    environment = ctext.environment(TEMPLATES)
    return {
        f"{name}_frontend.{kind}": environment.get_template(f"frontend.{kind}.jinja").render(values)
        for kind in "hc"
    }


def integer_tables(frontend, *, scale: float, zero_point: int) -> dict[str, np.ndarray]:
    """What the C frontend computes with where it computes in integers, for who does the same elsewhere.

    frontend, scale, zero_point : as for `frontend_sources`

    Returns the fields of the C struct edgesea_frontend by name: numbers as int32 (), tables as in C,
    `offsets` (mels,) float32, all 0 where nothing is added.
    Raises `FrontendError` as `frontend_sources` does.
    """
    constants = _constants(frontend, scale, zero_point)
    if constants["offsets"] is None:
        constants["offsets"] = np.zeros(frontend.mels)
    found = {name: np.array(constants[name], np.int32) for name in INTEGER_NUMBERS}
    return found | {name: np.array(constants[name], kind) for name, kind in INTEGER_TABLES.items()}


def _constants(frontend, scale: float, zero_point: int) -> dict:
    """The fields of the C struct edgesea_frontend, by name; see runtime/edgesea_frontend.h."""
    _validate(frontend, scale, zero_point)
    # Without an offset, a root is folded into the scale: levels are then those of the squares.
    root = frontend.root == 2 and frontend.offset > 0
    folded = 2 if frontend.root == 2 and not root else 1
    unit = (10 * math.log10(2) if frontend.log == "db" else math.log(2)) / 256 / folded
    least = 256 * math.log2(max(frontend.offset, frontend.amin)) * folded
    lowest = (-129 - zero_point) * scale / unit
    highest = (128 - zero_point) * scale / unit
    if least < -32767 and frontend.reference == "one" and lowest < -32767:
        raise FrontendError(
            f"The frontend {frontend.name} reaches down to {frontend.amin:g} and the model's input with it, "
            "too small for the C frontend: train with a larger `amin` or a `floor`."
        )
    if frontend.floor is not None:
        lowest = max(lowest, frontend.floor / unit)

    first, segments, weights, sums = _bands(frontend.mel_matrix())
    filled = sums > 0
    divisors = np.where(filled, np.sqrt(sums) if root else sums, 1.0)
    offsets = (frontend.offset / divisors).astype(np.float32) if frontend.offset > 0 else None
    # In 16 bits each band has a power of two of its own, lest the feet of wide triangles are nothing.
    largest = frontend.mel_matrix().max(axis=0) / np.where(filled, sums, 1)
    shifts = np.floor(-np.log2(np.where(filled, largest, 1))).astype(int)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(shifts, 1), 2)  # of the bands s - 1 and s
    between = np.repeat(np.arange(frontend.mels + 1), segments)
    window = np.zeros(frontend.fft_size)
    window[: frontend.window_length] = frontend.window_values()
    sine = np.sin(2 * np.pi * np.arange(frontend.fft_size // 4 + 1) / frontend.fft_size)

    magnitude = frontend.power == 1
    # A band is a sum of magnitudes to this power: 1/2, 1 or 2.
    power = frontend.power / (2 if root else 1)
    # The root of the energy of full-scale sound, by Parseval's theorem: an offset may hide the noise of that.
    loudest = math.sqrt(frontend.fft_size * np.sum(window**2))
    step = 2 ** (ALLOWED_STEPS * scale / unit / 256)
    clear = _clear(FLOAT_ERROR, power, step)
    wide = offsets is None or float(offsets[filled].min()) < clear * loudest**power
    return {
        "padded": frontend.left_padding > 0 or frontend.right_padding > 0,
        "magnitude": magnitude,
        "root": root,
        "relative": frontend.reference == "max",
        "wide": wide,
        "least": max(-32767, round(least)),
        "low": max(-32768, round(lowest)),
        "high": min(32767, round(highest)),
        "multiplier": round(unit / scale * 2**20),
        "zero": zero_point * 2**20 + 2**19,
        "clear": clear,
        "fixed_clear": math.ceil(math.log2(_clear(FIXED_ERROR, power, step))),
        "first_bin": first,
        "segments": segments,
        "band_levels": np.where(filled, np.round(256 * np.log2(divisors)), -32768).astype(int),
        "offsets": offsets,
        "window": window / 65536,
        "sine": sine,
        "weights": weights.ravel(),
        "wide_window": np.round(window * 2**31).astype(np.int64),
        "wide_sine": np.round(sine * 2**31).astype(np.int64),
        "wide_weights": np.round(np.ldexp(weights, around[between]).ravel() * 65535).astype(int),
        "wide_shifts": shifts,
    }


def _validate(frontend, scale: float, zero_point: int) -> None:
    if not FFT_SIZES[0] <= frontend.fft_size <= FFT_SIZES[1]:
        raise FrontendError(
            f"The frontend {frontend.name} has an FFT of {frontend.fft_size} points; in C it has to have "
            f"{FFT_SIZES[0]} to {FFT_SIZES[1]}."
        )
    for field, most in (("samples", 2**31 - 1), ("hop", 2**15 - 1), ("frames", 2**15 - 1), ("mels", 2**12)):
        if getattr(frontend, field) > most:
            raise FrontendError(
                f"The frontend {frontend.name} has {getattr(frontend, field)} {field}; in C at most {most}."
            )
    if not (math.isfinite(scale) and 1e-5 < scale < 1e3 and -128 <= zero_point <= 127):
        raise FrontendError(
            f"The model's input has scale {scale} and zero point {zero_point}; the frontend in C writes int8 "
            "with a scale between 1e-5 and 1000 and a zero point of -128 to 127."
        )


def _clear(error: float, power: float, step: float) -> float:
    """The smallest band that an error in its magnitude changes by a factor of `step` at most.

    A band, magnitude ** power + offset, may have any share of offset, so the error counts where it does most:
    d(a^2) = 2 a d, and sqrt(a + d) - sqrt(a) <= sqrt(d).
    """
    if power == 2:
        return (error / (math.sqrt(step) - 1)) ** 2
    return error**power / (step - 1)


def _bands(matrix: np.ndarray) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Triangles as runs of bins between their edges.

    matrix : (bins, mels), >= 0, of triangles: a bin is in at most two bands, which are neighbours.

    Returns
    -------
    first_bin : int
    segments : (mels + 1,) int, how many bins lie between edge s and edge s + 1
    weights : (bins, 2), of the band that falls there and the one that rises, divided by their band's sum
    sums : (mels,), 0 for a band without bins
    """
    used = np.flatnonzero(matrix.any(axis=1))
    if not used.size:
        raise FrontendError(
            "The frontend's mel triangles hold no frequency of its FFT: use fewer mels or a larger FFT."
        )
    mels = matrix.shape[1]
    sums = matrix.sum(axis=0)
    normalised = matrix / np.where(sums > 0, sums, 1)
    segments = np.zeros(mels + 1, int)
    weights = np.zeros((used[-1] - used[0] + 1, 2))
    segment = 0
    for place, row in enumerate(normalised[used[0] : used[-1] + 1]):
        bands = np.flatnonzero(row)
        if bands.size:
            # Alone in band m, a bin counts as on its rising side, unless one before was on the falling side.
            segment = max(segment, bands[-1])
            if bands[0] < segment - 1 or bands[-1] > segment:
                raise FrontendError(
                    "The frontend's mel matrix has bands that overlap more than their neighbours; the C "
                    "frontend takes triangles from one centre to the next but one."
                )
        segments[segment] += 1
        weights[place] = row[segment - 1] if segment else 0, row[segment] if segment < mels else 0
    return int(used[0]), segments, weights, sums


def _strides(frontend, input_shape: tuple[int, ...] | None) -> dict:
    """Where row t and band m go in the model's input."""
    frames, mels = frontend.frames, frontend.mels
    input_shape = (frames, mels) if input_shape is None else tuple(input_shape)
    shape = tuple(size for size in input_shape if size != 1)
    bare = tuple(size for size in (frames, mels) if size != 1)
    if shape == bare:
        return {"row_stride": mels, "mel_stride": 1, "shape": f"{frames} x {mels}"}
    if shape == bare[::-1]:
        return {"row_stride": 1, "mel_stride": frames, "shape": f"{mels} x {frames}"}
    raise FrontendError(
        f"The model's input has the shape {'x'.join(map(str, input_shape))}, the frontend {frontend.name} "
        f"makes patches of {frames}x{mels}: give the frontend that the model was trained with."
    )
