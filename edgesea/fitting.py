"""Which boards hold a bundle's model: what it takes up is made again from its .tflite, and held against each.

What the bundle's manifest says of memory is not believed. See `firmware_export.fit` for the figures.
"""

from pathlib import Path
from typing import Any

from edgesea import results
from edgesea.exporting.bundle import Bundle, load_bundle
from edgesea.exporting.firmware import remake
from edgesea.measures import memory
from edgesea.progress import SILENT, Progress
from firmware_export.fit import fit as held
from firmware_export.graph import read


def fit(bundle: Path | str, *, progress: Progress = SILENT) -> dict[str, Any]:
    """Holds a bundle's model against every board; the bundle keeps the answer, see `edgesea.results`.

    Parameters
    ----------
    bundle : its folder
    progress : is told where the bundle cannot keep the answer

    Returns
    -------
    dict
        For JSON: bundle, its path; its name; and what `firmware_export.fit.fit` returns.

    Raises
    ------
    UsageError : no bundle there
    EdgeseaError, FitError : a damaged bundle, or one without an int8 model
    """
    loaded = load_bundle(bundle)
    answer = results.stamped(
        "fit", {"bundle": str(loaded.path), "name": loaded.name, **held(*_made_again(loaded))}
    )
    results.keep(loaded.path, f"{results.FOLDER}/fit.json", "fit", answer, progress)
    return answer


def _made_again(bundle: Bundle) -> tuple[dict[str, Any], str | None]:
    """The manifest with the figures that the .tflite itself gives, and the text of the frontend's header."""
    if bundle.integer is None:
        return bundle.manifest, None
    manifest = _measured(bundle.manifest, "int8" if bundle.int8 else "int16x8", bundle.integer)
    if bundle.manifest["c_model"] is None:
        return manifest, None
    made = remake(bundle)
    assert made.compiled is not None  # the model itself was asked for
    figures = {
        key: getattr(made.compiled, key) for key in ("arena_bytes", "arenas", "constant_bytes", "state_bytes")
    }
    header = made.contents.get(f"{bundle.identifier}_frontend.h")
    compiled = {**bundle.manifest["c_model"], **figures}
    return {**manifest, "c_model": compiled}, None if header is None else header.decode("ascii")


def _measured(manifest: dict[str, Any], kind: str, model: Path) -> dict[str, Any]:
    graph = read(model)
    figures = {
        "multiply_accumulates": sum(map(graph.multiply_accumulates, graph.operators)),
        "storage": memory.storage(graph),
        "activation": memory.activation(graph),
    }
    return {**manifest, kind: {**manifest[kind], **figures}}
