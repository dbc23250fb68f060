"""Write the firmware: a bundle's C with golden vectors and the serial protocol around it.

    files = write_firmware("bundle", "firmware")

The folder then holds everything but the board's own functions, which runtime/edgesea_board.h declares.
Compile every `.c` file in it, with the folder among those of headers; with -DEDGESEA_PROFILE_HOOK the
firmware can tell the model's steps apart. The sensor program lies in `sensor/`, for boards with a microphone.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from edgesea import __version__
from edgesea.errors import EdgeseaError
from edgesea.export.bundle import C_FOLDER, Bundle, load_bundle
from edgesea.files import write_bytes, write_text
from firmware_export import ctext
from firmware_export.emit import RUNTIME, TEMPLATES

FILES = (
    "edgesea_board.h",
    "edgesea_golden.h",
    "edgesea_golden.c",
    "edgesea_protocol.h",
    "edgesea_protocol.c",
    "edgesea_protocol_profile.h",
    "edgesea_protocol_profile.c",
)
MAIN = "main.c"

# Golden vectors are for testing: they may take up so much flash, and one is always there.
GOLDEN_BYTES = 32 * 1024

# How the C model announces a step: /* 3: DEPTHWISE_CONV_2D, 1x47x31x24 -> 1x24x16x24 */
STEP = re.compile(r"^/\* (\d+): ([^,\n]+), .* \*/$", re.MULTILINE)


def write_firmware(
    bundle_folder: Path | str, out: Path | str, *, vectors: int = 4, command: str = ""
) -> tuple[Path, ...]:
    """Write the firmware of a bundle, whatever the board.

    Parameters
    ----------
    bundle_folder : a bundle with a C model
    out : a folder, made if it is not there
    vectors : int > 0, golden vectors to take along; fewer where the bundle has fewer or they would take up
        more than GOLDEN_BYTES
    command : the command line to name in the files

    Returns
    -------
    tuple of Path
        Everything written: the C model and, in bundles that have them, frontend and sensor program;
        NAME_golden.h and .c, firmware_model.h, the files of the protocol, main.c.

    Raises
    ------
    UsageError : no bundle there
    EdgeseaError : a bundle without a C model or golden vectors, or damaged
    """
    if vectors < 1:
        raise EdgeseaError(f"vectors must be at least 1, received {vectors}")
    bundle = load_bundle(bundle_folder)
    contents = _c_model(bundle)
    inputs, outputs = _golden(bundle, vectors)
    name = bundle.manifest["c_model"]["name"]
    blanks = {
        "name": name,
        "NAME": name.upper(),
        "version": __version__,
        "origin": ctext.origin(command),
        "sha256": bundle.manifest["int8"]["sha256"],
        "count": len(inputs),
        "input_bytes": inputs.shape[1],
        "output_bytes": outputs.shape[1],
        "inputs": inputs,
        "outputs": outputs,
        "steps": [title for _, title in STEP.findall(contents[f"{name}.c"].decode("ascii"))],
    }
    environment = ctext.environment(TEMPLATES)
    texts = {file: (RUNTIME / file).read_text(encoding="ascii") for file in FILES}
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
        raise EdgeseaError(f"{out} cannot be written ({error.strerror}): choose another folder") from error
    return tuple(out / file for file in (*contents, *texts))


def _c_model(bundle: Bundle) -> dict[str, bytes]:
    """The bundle's own C, by the name that each file has in the firmware."""
    described = bundle.manifest.get("c_model")
    if not described:
        raise EdgeseaError(f"{bundle.path} holds no C model: export it again with --int8")
    files = [*described["files"], *described["sensor_files"]]
    # What load_bundle has checked is what may be read.
    if missing := [file for file in files if f"{C_FOLDER}/{file}" not in bundle.manifest["files"]]:
        raise EdgeseaError(f"{bundle.path} does not hold {C_FOLDER}/{missing[0]}: export the bundle again")
    return {file: (bundle.path / C_FOLDER / file).read_bytes() for file in files}


def _golden(bundle: Bundle, vectors: int) -> tuple[np.ndarray, np.ndarray]:
    """inputs (n, bytes) and outputs (n, bytes), both int8."""
    arrays = bundle.golden()
    if not {"inputs", "outputs"} <= arrays.keys() or not len(arrays["inputs"]):
        raise EdgeseaError(f"{bundle.path} holds no golden vectors: export the bundle again")
    inputs, outputs = (arrays[name].reshape(len(arrays[name]), -1) for name in ("inputs", "outputs"))
    sizes = [bundle.manifest["int8"][end]["bytes"] for end in ("input", "output")]
    if (
        inputs.dtype != np.int8
        or outputs.dtype != np.int8
        or [inputs.shape[1], outputs.shape[1]] != sizes
        or len(inputs) != len(outputs)
    ):
        raise EdgeseaError(f"the golden vectors of {bundle.path} do not fit its model: export it again")
    count = max(1, min(vectors, len(inputs), GOLDEN_BYTES // sum(sizes)))
    return inputs[:count], outputs[:count]
