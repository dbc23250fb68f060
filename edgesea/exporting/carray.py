"""An int8 or int16x8 .tflite as a C array for TensorFlow Lite Micro, with the figures that a program needs.

`render` gives the text of two files, NAME_model.h and NAME_model.c, which compile as C99, C11 and C++11
without a warning. The header holds sizes, shapes, quantisation and every constant of the frontend, with its
unit; the array is const (so it stays in flash) and aligned to 16 bytes (so no interpreter faults on it).
"""

import hashlib
from pathlib import Path

import numpy as np

from edgesea import __version__
from edgesea.frontend import Frontend
from edgesea.interpreter import Tensor, open_interpreter
from firmware_export.ctext import comment, environment, identifier, number

TEMPLATES = Path(__file__).parent / "templates"

BYTES_A_LINE = 16

# What each number of the frontend is, in its unit. Fields with named choices become a flag of their own, such
# as NAME_FRONTEND_MEL_SCALE_HTK; fields that are None are left out.
FRONTEND_NUMBERS = {
    "sample_rate": "Hz",
    "samples": "samples of sound in one patch",
    "fft_size": "samples",
    "window_length": "samples",
    "hop": "samples from one row of the patch to the next",
    "left_padding": "zeros before the first sample of a patch",
    "right_padding": "zeros after its last",
    "bins": "frequencies of the DFT, from 0 Hz to half the sample rate",
    "frames": "rows of the patch",
    "mels": "columns of the patch",
    "fmin": "Hz, lower edge of the first mel triangle",
    "fmax": "Hz, upper edge of the last",
    "offset": "added to the mel sum before the logarithm",
    "amin": "least value that the logarithm is taken of",
    "floor": "least value of the patch, after the reference",
}
FRONTEND_CHOICES = {
    "window": "periodic window",
    "padding": "where the zeros around the sound go",
    "power": "of the magnitudes under the mel triangles",
    "root": "of the mel sum",
    "mel_scale": "mel scale",
    "mel_slopes": "what the triangles are straight over",
    "mel_norm": "normalisation of the triangles",
    "log": "10 log10 or natural",
    "reference": "what is subtracted after the logarithm: nothing, or the patch's maximum",
}


def render(
    content: bytes,
    *,
    name: str,
    prefix: str | None = None,
    frontend: Frontend | None = None,
    student: bool = False,
    command: str = "",
) -> dict[str, str]:
    """The two files of the .tflite `content`: {'NAME_model.h': text, 'NAME_model.c': text}.

    name : of the bundle; its `firmware_export.ctext.identifier` is the prefix of everything in the files
    student : whether it is a student of edgesea's, of which the output is known to be an embedding
    command : that made the bundle, for the files' first lines
    """
    interpreter = open_interpreter(content)
    templates = environment(TEMPLATES)
    prefix = prefix or identifier(name)
    values = {
        "name": prefix,
        "NAME": prefix.upper(),
        "title": comment(name),
        "version": __version__,
        "command": comment(command),
        "sha256": hashlib.sha256(content).hexdigest(),
        "kind": {"int16": "int16x8"}.get(interpreter.input.dtype.name, "int8"),
        "bytes": len(content),
        "student": student,
        "input": _form(interpreter.input),
        "output": _form(interpreter.output),
        "frontend": _frontend(frontend),
        "lines": [
            " ".join(f"0x{byte:02x}," for byte in content[start : start + BYTES_A_LINE])
            for start in range(0, len(content), BYTES_A_LINE)
        ],
    }
    return {
        f"{prefix}_model.h": templates.get_template("model.h.jinja").render(values),
        f"{prefix}_model.c": templates.get_template("model.c.jinja").render(values),
    }


def _form(tensor: Tensor) -> dict:
    limits = np.iinfo(tensor.dtype)
    return {
        "type": tensor.dtype.name,
        "low": limits.min,
        "high": limits.max,
        "bytes": tensor.bytes,
        "shape": " x ".join(map(str, tensor.shape)),
        "scale": number(tensor.scale),
        "zero_point": number(tensor.zero_point),
    }


def _frontend(frontend: Frontend | None) -> list[dict]:
    """One {'macro', 'value', 'note'} for each constant; none without a frontend."""
    if frontend is None:
        return []
    numbers = [
        {"macro": field.upper(), "value": number(getattr(frontend, field)), "note": note}
        for field, note in FRONTEND_NUMBERS.items()
        if getattr(frontend, field) is not None
    ]
    choices = [
        {"macro": f"{field}_{getattr(frontend, field)}".upper(), "value": "1", "note": note}
        for field, note in FRONTEND_CHOICES.items()
        if getattr(frontend, field) is not None
    ]
    return numbers + choices
