"""Export: a student, or any int8 or int16x8 .tflite, becomes a bundle.

    bundle = export_student(model, name="street sounds", out="bundle", calibration=..., held_out=..., ...)
    bundle = export_tflite("kws.tflite", "bundle")

Steps of the first: int8 (or int16x8) and float .tflite (`tflite`), ONNX (`onnx`), integer against float
(`compare`), C arrays (`carray`), the C model (`ccode`), and all of it as a folder (`bundle`), where one is
asked for with a framework's project (`project`). Nothing is written before everything has passed.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting.bundle import Bundle, CModel, ProjectWriter, load_bundle, write_bundle
from edgesea.exporting.ccode import c_compiler
from edgesea.frontend import Frontend
from edgesea.interpreter import open_interpreter
from edgesea.progress import SILENT, Progress
from edgesea.recognise import advice, recognise

if TYPE_CHECKING:
    from edgesea.exporting.decisions import Deciding

__all__ = ["Bundle", "c_compiler", "export_student", "export_tflite", "load_bundle", "write_bundle"]

# Below these an int8 model is not a stand-in for its float twin; both can be set.
MIN_COSINE = 0.95
MIN_R2 = 0.9

# Patches in golden.npz.
GOLDEN_PATCHES = 8


def export_student(
    model,
    *,
    name: str,
    out: Path | str,
    calibration: np.ndarray | None,
    held_out: np.ndarray,
    frontend: Frontend,
    provenance: dict | None = None,
    min_cosine: float = MIN_COSINE,
    min_r2: float = MIN_R2,
    learnt: float | None = None,
    allow_failed: bool = False,
    int8: bool = True,
    int16x8: bool = False,
    onnx: bool = True,
    c_model: CModel | None = None,
    project: ProjectWriter | None = None,
    deciding: "Deciding | None" = None,
    command: str = "",
    progress: Progress = SILENT,
) -> Bundle:
    """Converts a Keras student and writes its bundle.

    model : keras.Model, patch (batch, frames, mels, 1) -> embedding (batch, d)
    calibration : (n, frames, mels, 1) float32, n >= 16, of the domain, for int8 and int16x8 only
    held_out : (n, frames, mels, 1) float32, n >= 2, of recordings that were used for nothing else
    int8, int16x8 : which integer model; only one of the two, int16x8 costs more and loses less
    min_cosine, min_r2 : what it must reach against float on `held_out`
    learnt : R^2 of the student to phi(teacher) on held-out sound, where that is known
    allow_failed : keep a bundle that falls below a threshold, marked as failed
    deciding : head and memory; what is compared above is the student without them

    Raises EdgeseaError where a conversion fails, a float twin differs from Keras, or the integer model falls
    below a threshold; UsageError where the call is wrong. Nothing is written then.
    """
    from edgesea.exporting import compare, tflite
    from edgesea.exporting import onnx as onnx_twin
    from edgesea.exporting.concrete import embed, patch_shape

    if int8 and int16x8:
        raise UsageError("A bundle holds one integer model: say int8 or int16x8, not both.")
    if deciding is not None and int16x8:
        raise UsageError("A head goes into an int8 model: say int8 in the place of int16x8.")
    kind = "int8" if int8 else "int16x8" if int16x8 else None
    if patch_shape(model) != frontend.patch_shape:
        raise UsageError(
            f"The student takes patches of {patch_shape(model)}, the frontend {frontend.name} makes "
            f"{frontend.patch_shape}: give the frontend that it was trained on."
        )
    held_out = tflite.checked_patches(model, held_out, "held-out")
    keras_embeddings = embed(model, held_out)
    float_model = tflite.convert_float(model)
    compare.agreement(keras_embeddings, open_interpreter(float_model).run(held_out), "float .tflite")
    onnx_model = None
    if onnx and deciding is None:
        onnx_model = onnx_twin.convert_onnx(model)
        compare.agreement(keras_embeddings, onnx_twin.run(onnx_model, held_out), "ONNX")
    integer, comparison, failed, made = None, None, None, None
    if kind:
        if calibration is None:
            raise UsageError(
                f"{kind.capitalize()} needs patches of the domain to calibrate on, received none."
            )
        convert = {"int8": tflite.convert_int8, "int16x8": tflite.convert_int16x8}[kind]
        integer = convert(model, calibration)
        comparison = compare.compare(float_model, integer, held_out)
    if deciding is not None:
        made = deciding.made(model, float_model, integer, calibration, held_out, frontend, progress)
        float_model, integer = made.float_, made.int8
        onnx_model = onnx_twin.convert_onnx(made.network, deciding.outputs) if onnx else None
    try:
        if comparison is not None:
            comparison.check(min_cosine=min_cosine, min_r2=min_r2, learnt=learnt, kind=kind)
        if made is not None:
            deciding.check(made.decisions)
    except EdgeseaError as error:
        if not allow_failed:
            raise
        failed = str(error)
    return write_bundle(
        out,
        name=name,
        int8=integer if int8 else None,
        int16x8=integer if int16x8 else None,
        float_=float_model,
        onnx=onnx_model,
        frontend=frontend,
        comparison=comparison,
        failed=failed,
        golden=held_out[:GOLDEN_PATCHES],
        provenance=provenance,
        decisions=None if made is None else made.decisions,
        memory=None if made is None else made.memory,
        c_model=c_model,
        project=project,
        command=command,
    )


def export_tflite(
    path: Path | str,
    out: Path | str,
    *,
    name: str | None = None,
    frontend: Frontend | None = None,
    provenance: dict | None = None,
    c_model: CModel | None = None,
    project: ProjectWriter | None = None,
    command: str = "",
) -> Bundle:
    """Writes a bundle around an int8 or int16x8 .tflite, whoever made it, without float twin and ONNX.

    name : the file's own name without its ending by default

    Raises UsageError where the model is not int8, or int16, from end to end with one input and one output,
    EdgeseaError where it cannot be read.
    """
    path = Path(path)
    found = recognise(path)
    if found.kind not in ("tflite", "unknown"):
        raise UsageError(advice(found, "export"))
    interpreter = open_interpreter(path)
    if interpreter.stateful:
        raise UsageError(
            f"{path} is a streaming model, int8 already: it keeps what it heard before in variables, which "
            "the C model does not have yet; run it with TFLite Micro, which does."
        )
    ends = {"input": interpreter.inputs, "output": interpreter.outputs}
    for end, tensors in ends.items():
        if len(tensors) != 1:
            raise UsageError(f"{path} has {len(tensors)} {end}s: a bundle holds models with one of each.")
        if tensors[0].dtype not in (np.int8, np.int16) or not tensors[0].quantised:
            raise UsageError(
                f"{path} has a {tensors[0].dtype.name} {end}, and int8 needs sound to calibrate on: "
                "export the run that it came from, or convert it to full-integer int8 first."
            )
    integer = interpreter.input.dtype
    if interpreter.output.dtype != integer:
        raise UsageError(
            f"{path} has an {integer} input and an {interpreter.output.dtype} output: convert it with both "
            "ends of one type."
        )
    # Any patch will do for the golden vectors of a model whose frontend is not known: noise over all values.
    limits = np.iinfo(integer)
    noise = np.random.default_rng(0).integers(
        limits.min, limits.max, (GOLDEN_PATCHES, *interpreter.input.shape), integer, endpoint=True
    )
    patches = interpreter.input.dequantise(noise).reshape(GOLDEN_PATCHES, *interpreter.input.shape[1:])
    return write_bundle(
        out,
        name=path.stem if name is None else name,
        int8=path.read_bytes() if integer == np.int8 else None,
        int16x8=path.read_bytes() if integer == np.int16 else None,
        frontend=frontend,
        golden=patches,
        provenance={"model": path.name} if provenance is None else provenance,
        c_model=c_model,
        project=project,
        command=command,
    )
