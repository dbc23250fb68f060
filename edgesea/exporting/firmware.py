"""Write the firmware: a bundle's C with golden vectors and the serial protocol around it.

    files = write_firmware("bundle", "firmware")

The folder then holds everything but the board's own functions, which runtime/edgesea_board.h declares.
Compile every `.c` file in it, with the folder among those of headers; with -DEDGESEA_PROFILE_HOOK the
firmware can tell the model's steps apart. The sensor program lies in `sensor/`, for boards with a microphone.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesea import __version__
from edgesea.errors import EdgeseaError
from edgesea.exporting.bundle import Bundle, c_decisions, load_bundle
from edgesea.files import write_bytes, write_text
from edgesea.interpreter import open_interpreter
from firmware_export import ctext
from firmware_export.compile import CompiledModel, compile_model
from firmware_export.emit import RUNTIME, TEMPLATES
from firmware_export.errors import ModelError
from firmware_export.frontend import FrontendError
from firmware_export.graph import read
from firmware_export.sensor import Ends, ends_of, write_sensor

FILES = (
    "edgesea_board.h",
    "edgesea_golden.h",
    "edgesea_golden.c",
    "edgesea_protocol.h",
    "edgesea_protocol.c",
    "edgesea_protocol_profile.h",
    "edgesea_protocol_profile.c",
)
# Of the model's library, which may use them too.
SHARED = ("edgesea_crc32.h", "edgesea_crc32.c")
MAIN = "main.c"

# Golden vectors are for testing: they may take up so much flash, and one is always there.
GOLDEN_BYTES = 32 * 1024


@dataclass(frozen=True)
class Made:
    """The C of a bundle, made again from its .tflite: nothing of the bundle's own C is in it.

    Parameters
    ----------
    contents : dict of str to bytes
        File -> content; those of the sensor program lie in ``sensor/``.
    sensor : frozenset of str
        Which of them are frontend and sensor program; none where the frontend is not known or not in C.
    compiled : CompiledModel or None
        Its paths lead nowhere. None where the model itself was not asked for.
    """

    contents: dict[str, bytes]
    sensor: frozenset[str]
    compiled: CompiledModel | None


def remake(bundle: Bundle, *, model: bool = True, command: str = "") -> Made:
    """Compiles a bundle's int8 or int16x8 model, and its frontend where that is known.

    model : False leaves the model itself out, for TensorFlow Lite Micro, which may run what C cannot

    Raises
    ------
    EdgeseaError : no such model, or one that the C model cannot compile
    """
    source = bundle.integer
    if source is None:
        raise EdgeseaError(
            f"The bundle {bundle.path} holds no int8 model, which firmware is made of: export it again with "
            "--int8."
        )
    described = bundle.manifest["c_model"] or {}
    with tempfile.TemporaryDirectory(prefix="edgesea-c-") as name:
        folder = Path(name)
        compiled = None
        try:
            ends = ends_of(read(source), bundle.identifier)
            if model:
                compiled = compile_model(
                    source.read_bytes(),
                    folder,
                    bundle.identifier,
                    ram_budget=described.get("ram_budget"),
                    optimize=described.get("optimize") or "speed",
                    command=command,
                )
        except ModelError as error:
            raise EdgeseaError(f"The C model of {source}: {error}") from error
        sensor = _sensor(bundle, compiled or ends, folder, command)
        contents = {
            file.relative_to(folder).as_posix(): file.read_bytes()
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
    return Made(contents, sensor, compiled)


def _sensor(bundle: Bundle, ends: CompiledModel | Ends, folder: Path, command: str) -> frozenset[str]:
    # The C frontend makes int8 patches.
    if bundle.frontend is None or bundle.int8 is None:
        return frozenset()
    try:
        decisions = c_decisions(bundle.decisions, bundle.memory())
        written = write_sensor(ends, bundle.frontend, folder, decisions=decisions, command=command)
    except FrontendError as error:
        raise EdgeseaError(f"The C frontend of {bundle.path}: {error}") from error
    return frozenset(file.relative_to(folder).as_posix() for file in written)


def write_firmware(
    bundle_folder: Path | str, out: Path | str, *, vectors: int = 4, model: bool = True, command: str = ""
) -> tuple[Path, ...]:
    """Write the firmware of a bundle, whatever the board.

    Parameters
    ----------
    bundle_folder : a bundle with an int8 model, which the C is made of
    out : a folder, made if it is not there
    vectors : int > 0, golden vectors to take along; fewer where the bundle has fewer or they would take up
        more than GOLDEN_BYTES
    model : False leaves the C model itself out
    command : the command line to name in the files

    Returns
    -------
    tuple of Path
        Everything written: the C model and, in bundles that have them, frontend and sensor program;
        NAME_golden.h and .c, firmware_model.h, the files of the protocol, main.c.

    Raises
    ------
    UsageError : no bundle there
    EdgeseaError : a bundle without int8 model or golden vectors, one that cannot be compiled, or damage
    """
    if vectors < 1:
        raise EdgeseaError(f"The number of golden vectors must be at least 1, received {vectors}.")
    bundle = load_bundle(bundle_folder)
    if bundle.int8 is None:
        raise EdgeseaError(
            f"The bundle {bundle.path} holds no int8 model, which firmware is made of: export it again with "
            "--int8."
        )
    made = remake(bundle, model=model, command=command)
    contents = made.contents
    inputs, outputs = golden(bundle, vectors)
    name = bundle.identifier
    blanks = {
        "name": name,
        "NAME": name.upper(),
        "version": __version__,
        "origin": ctext.origin(command),
        "sha256": bundle.manifest["int8"]["sha256"],
        "count": len(inputs),
        "input_bytes": inputs.shape[1],
        "output_bytes": outputs.shape[1],
        "model_outputs": len(ends_of(read(bundle.int8), name).outputs),
        "state_bytes": made.compiled.state_bytes if made.compiled else 0,
        "inputs": inputs,
        "outputs": outputs,
        "steps": [operator.name for operator in made.compiled.operators] if made.compiled else [],
    }
    environment = ctext.environment(TEMPLATES)
    texts = {file: (RUNTIME / file).read_text(encoding="ascii") for file in (*FILES, *SHARED)}
    for file, template in (
        (f"{name}_golden.h", "golden.h.jinja"),
        (f"{name}_golden.c", "golden.c.jinja"),
        ("firmware_model.h", "firmware_model.h.jinja"),
        (MAIN, "firmware_main.c.jinja"),
    ):
        texts[file] = environment.get_template(template).render(blanks)
    out = Path(out)
    try:
        for file, content in contents.items():
            write_bytes(out / file, content)
        for file, text in texts.items():
            write_text(out / file, text)
    except OSError as error:
        raise EdgeseaError(
            f"The folder {out} cannot be written ({error.strerror}): choose another folder."
        ) from error
    return tuple(out / file for file in (*contents, *texts))


def golden(bundle: Bundle, vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (n, bytes) and outputs (n, bytes), both int8; the model's own, or `EdgeseaError`."""
    arrays = bundle.golden()
    if not {"inputs", "outputs"} <= arrays.keys() or not arrays["inputs"].size:
        raise EdgeseaError(f"The bundle {bundle.path} holds no golden vectors: export the bundle again.")
    if arrays["inputs"].ndim < 1 or arrays["outputs"].ndim < 1:
        raise EdgeseaError(f"The golden vectors of {bundle.path} do not fit its model: export it again.")
    inputs, outputs = (arrays[name].reshape(len(arrays[name]), -1) for name in ("inputs", "outputs"))
    model = bundle.manifest["int8"]
    sizes = [
        model["input"]["bytes"],
        model["output"]["bytes"] + (model["scores"]["bytes"] if model.get("scores") else 0),
    ]
    if (
        inputs.dtype != np.int8
        or outputs.dtype != np.int8
        or [inputs.shape[1], outputs.shape[1]] != sizes
        or len(inputs) != len(outputs)
    ):
        raise EdgeseaError(f"The golden vectors of {bundle.path} do not fit its model: export it again.")
    count = max(1, min(vectors, len(inputs), GOLDEN_BYTES // sum(sizes)))
    _check_outputs(bundle, inputs[:count], outputs[:count])
    return inputs[:count], outputs[:count]


def _check_outputs(bundle: Bundle, inputs: np.ndarray, outputs: np.ndarray) -> None:
    """Refuses golden vectors that are not the model's: their verdict would be of another model."""
    reference = open_interpreter(bundle.int8, resolver="reference")
    for given, told in zip(inputs, outputs, strict=True):
        if not np.array_equal(np.concatenate([each.ravel() for each in reference.outputs_of([given])]), told):
            raise EdgeseaError(
                f"The golden vectors of {bundle.path} are not what its model computes: export it again."
            )
