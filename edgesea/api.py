"""The library as `import edgesea` offers it: a function a command, each answering with one small value.

    run = edgesea.distill(teacher="demo", data="street", out="run")
    bundle = edgesea.export(run, "bundle")
    edgesea.bench(bundle)

They do what the commands of the same names do, and write the same files. Nothing is printed unless
`progress` is True. docs/python.md walks through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgesea import files
from edgesea.answers import Evaluation, Fit, Measurement
from edgesea.exporting.bundle import Bundle
from edgesea.frontend import Frontend
from edgesea.progress import SILENT, Progress, TerminalProgress
from edgesea.run import Run

__all__ = [
    "Bundle",
    "Evaluation",
    "Fit",
    "Frontend",
    "Measurement",
    "Run",
    "bench",
    "distill",
    "evaluate",
    "export",
    "fit",
]


def distill(
    *,
    teacher: Path | str,
    data: Path | str,
    out: Path | str,
    progress: bool | Progress = False,
    **options: Any,
) -> Run:
    """Distils a student from a teacher on your sound; goes on where it stopped.

    Parameters
    ----------
    teacher : path or "demo"
        A model's file, a SavedModel, a run, a bundle, a name that `edgesea teachers` lists, or the one that
        comes with edgesea.
    data : path
        A folder of audio, of class folders, or a CSV table.
    out : path
        Folder of the run: new, or one of the same call to go on with.
    progress : bool
        Shows how far it is, on standard error.
    **options
        Every other entry of config.toml by its name: student, dim, objective, sampler, reducer, frames,
        epochs, batch, seed, ... A named thing with options is a text, as on the command line
        ("umap:neighbours=100"), or a dict with "name".

    Returns
    -------
    Run

    Raises
    ------
    UsageError
        The configuration cannot work; nothing is written then.
    EdgeseaError
        The work failed.

    See Also
    --------
    edgesea.evaluate(), edgesea.export()

    Examples
    --------
    >>> run = edgesea.distill(
    ...     teacher="demo", data="street", out="run",
    ...     student="separable-s", dim=16, frames=256, batch=32, epochs=2, seed=3,
    ... )
    >>> run.embed("clip.wav").shape
    (4, 16)
    """
    from edgesea.distillation import distill as distilled
    from edgesea.run import Config, absolute
    from edgesea.teachers.own import typed

    typed(str(teacher))
    config = Config.from_dict(absolute({**options, "teacher": str(teacher), "data": str(data)}))
    return distilled(config, out, progress=_progress(progress))


def evaluate(
    target: Run | Bundle | Path | str,
    data: Path | str | None = None,
    *,
    head: str = "auto",
    compare: Sequence[str] = (),
    progress: bool | Progress = False,
) -> Evaluation:
    """Scores a student, float and int8, beside its teacher; the run or bundle keeps the answer.

    Parameters
    ----------
    target : Run, Bundle or path
        What is evaluated.
    data : path
        Sound. Default: what it was distilled on.
    head : str
        logistic, mlp or mil. Default: what the data's labels and splits are made for.
    compare : list of path
        Further embedding models, scored on the same task.
    progress : bool
        Shows how far it is, on standard error.

    Returns
    -------
    Evaluation

    Raises
    ------
    UsageError
        There is no such run, bundle, data or head, or the data is not made for the head.

    Examples
    --------
    >>> evaluation = edgesea.evaluate(run)
    >>> sorted(evaluation.fidelity["int8"])
    ['cka', 'cosine', 'frames', 'intervals', 'knn_overlap', 'r2']
    """
    from edgesea.evaluation.evaluate import evaluate as evaluated
    from edgesea.evaluation.evaluate import own_data

    folder = _folder(target)
    chosen = own_data(folder) if data is None else str(data)
    return Evaluation(evaluated(folder, chosen, head=head, compare=compare, progress=_progress(progress)))


def export(run: Run | Path | str, out: Path | str, *, c_model: bool = True, **options: Any) -> Bundle:
    """Makes a bundle of a run's student, or of any int8 .tflite: everything that a device needs.

    Parameters
    ----------
    run : Run or path
        A finished run, or a .tflite.
    out : path
        Folder of the bundle: new, or an older bundle, which is replaced.
    c_model : bool
        Compiles the int8 model into C.
    **options
        name : str. int8, onnx : bool, which of them to make, of a run. min_cosine, min_r2 : float, what int8
        must reach against float on held-out sound. allow_failed : bool, keeps a bundle that does not, marked.
        frontend : Frontend, of a .tflite.

    Returns
    -------
    Bundle

    Raises
    ------
    UsageError
        There is no such run, or `out` holds something else.
    EdgeseaError
        A conversion failed, or int8 falls below a threshold; nothing is written then.

    Examples
    --------
    >>> bundle = edgesea.export(run, "bundle", onnx=False, allow_failed=True)
    >>> bundle.int8.name, bundle.frontend.name
    ('model_int8.tflite', 'yamnet-16k')
    """
    from edgesea.exporting import c_compiler, export_tflite
    from edgesea.exporting.from_run import export_run

    folder = _folder(run)
    compiler = c_compiler() if c_model else None
    if folder.suffix == ".tflite":
        return export_tflite(folder, out, c_model=compiler, **options)
    return export_run(folder, out, c_model=compiler, **options)


def bench(
    bundle: Bundle | Path | str, device: str = "host", *, progress: bool | Progress = False, **options: Any
) -> Measurement:
    """Measures a bundle's int8 model, or any .tflite, on a device; a bundle keeps the answer.

    Parameters
    ----------
    bundle : Bundle or path
        What is measured.
    device : str
        host, rpi, qemu:CORE or serial:PORT.
    progress : bool
        Says on standard error where the answer cannot be kept.
    **options
        Of the device: threads, runs, limit_s, host, python, setup.

    Returns
    -------
    Measurement

    Raises
    ------
    UsageError
        There is no such model or device.
    EdgeseaError
        The device could not measure it.

    Examples
    --------
    >>> measurement = edgesea.bench(bundle, device="host", runs=5)
    >>> measurement.latency_ms["median"] > 0
    True
    """
    from edgesea.devices import measure

    return Measurement(measure(_folder(bundle), device, progress=_progress(progress), **options))


def fit(bundle: Bundle | Path | str, *, progress: bool | Progress = False) -> Fit:
    """Says which boards hold a bundle's model, with the margin in flash and RAM; the bundle keeps the answer.

    Parameters
    ----------
    bundle : Bundle or path
        One with an int8 model.
    progress : bool
        Says on standard error where the answer cannot be kept.

    Returns
    -------
    Fit

    Raises
    ------
    UserError
        There is no such bundle, or no int8 model in it.

    Examples
    --------
    >>> edgesea.fit(bundle).engine
    'C model'
    """
    from edgesea.fitting import fit as fitted

    return Fit(fitted(_folder(bundle), progress=_progress(progress)))


def _folder(thing: Run | Bundle | Path | str) -> Path:
    if isinstance(thing, Run):
        return thing.folder
    return thing.path if isinstance(thing, Bundle) else files.expanded(thing)


def _progress(wanted: bool | Progress) -> Progress:
    if isinstance(wanted, Progress):
        return wanted
    return TerminalProgress() if wanted else SILENT
