"""The bundle: one folder that holds everything a device needs, written whole or not at all.

    BUNDLE/manifest.json       what is here: sizes, SHA-256, operators, quantisation, memory, provenance
    BUNDLE/MODEL_CARD.md       the same for people
    BUNDLE/model_int8.tflite   patch int8 -> embedding int8; with a head scores in its place, or behind it
    BUNDLE/model_int16x8.tflite  in its place: patch int16 -> embedding int16, weights int8
    BUNDLE/model_float.tflite  patch float32 -> embedding float32
    BUNDLE/model.onnx          the float model as ONNX
    BUNDLE/frontend.json       every constant of waveform -> patch
    BUNDLE/frontend.npz        the same in the integers of C, where an int8 model makes events
    BUNDLE/memory.npz          prototypes and their labels, where there is a memory
    BUNDLE/golden.npz          patches and the embeddings that they must give, to the bit in int8
    BUNDLE/c/                  NAME_model.h and .c: the int8 model as an array; the C model where it is made
    BUNDLE/project-KIND/NAME/  the project of a framework, where one was asked for
    BUNDLE/results/            what was measured with it since, no part of the manifest; see `edgesea.results`

What a bundle was not given is not in it, and null in the manifest, but for `int16x8`, `failed` and
`decisions`, which are left out. No file holds a date: the same run, exported twice by the same versions,
gives the same bytes.

`golden.npz` holds `patches` (n, frames, mels, 1) float32, `embeddings` (n, d) float32, the first output as
the best model here gives it, and, with an int8 or int16x8 model, `inputs` and `outputs`, the integers that go
in and that TFLite's reference kernels give, output after output.
"""

import contextlib
import hashlib
import importlib.metadata
import io
import json
import math
import os
import platform
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgesea import __version__, files, notebook, patches, results
from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting import carray
from edgesea.exporting.card import COSTS, model_card
from edgesea.exporting.compare import Comparison
from edgesea.formats.text import without_control
from edgesea.frontend import Frontend
from edgesea.interpreter import Tensor, open_interpreter, runtime
from edgesea.measures import memory
from edgesea.measures.figures import FIDELITY, MEASURED, at, text
from firmware_export import projects
from firmware_export.ctext import identifier as identifier_of
from firmware_export.decisions import Decisions
from firmware_export.frontend import FrontendError, integer_tables
from firmware_export.graph import ModelError, read

if TYPE_CHECKING:
    from edgesea import answers

FORMAT = "edgesea bundle"
FORMAT_VERSION = 1

MANIFEST = "manifest.json"
CARD = "MODEL_CARD.md"
INT8 = "model_int8.tflite"
INT16X8 = "model_int16x8.tflite"
FLOAT = "model_float.tflite"
ONNX = "model.onnx"
FRONTEND = "frontend.json"
FRONTEND_TABLES = "frontend.npz"
GOLDEN = "golden.npz"
MEMORY = "memory.npz"
C_FOLDER = "c"

# A manifest is some kilobytes; one of more than this was not written here.
LARGEST_MANIFEST = 16 << 20

REMEDY = "export the bundle again"

# What may change a converted model or a figure in the manifest.
RECORDED_PACKAGES = ("tensorflow", "keras", "numpy", "tf2onnx", "onnx", "onnxruntime")

CModel = Callable[[bytes, Path, str, Frontend | None, Decisions | None], dict | None]
"""Compiles an int8 or int16x8 model into C files in a folder, under an identifier, with its frontend where
that is known, and with what makes events of its outputs where something does; returns its entry in the
manifest, None where there is no C of it."""

Seconds = float  # `Bundle.float` is a file

ProjectWriter = Callable[["Bundle"], dict]
"""Writes a project into a bundle that is otherwise whole; returns its entry in the manifest."""


@dataclass(frozen=True, repr=False)
class Bundle:
    """A bundle on disk, checked against its manifest.

    Parameters
    ----------
    path : Path
        Its folder.
    manifest : dict
        What it holds, see docs/formats.md.

    See Also
    --------
    edgesea.export() : makes one. `Bundle.open` opens and checks one.

    Examples
    --------
    >>> bundle = edgesea.Bundle.open("bundle")
    >>> bundle.embed("clip.wav").shape
    (4, 16)
    """

    path: Path
    manifest: dict

    @classmethod
    def open(cls, path: Path | str) -> "Bundle":
        """`load_bundle`."""
        return load_bundle(path)

    @property
    def name(self) -> str:
        return self.manifest["name"]

    @property
    def identifier(self) -> str:
        """The prefix of everything in C."""
        return self.manifest["identifier"]

    @property
    def int8(self) -> Path | None:
        return self._file(INT8)

    @property
    def int16x8(self) -> Path | None:
        return self._file(INT16X8)

    @property
    def integer(self) -> Path | None:
        """The model that C is made of: int8 or int16x8, never both."""
        return self.int8 or self.int16x8

    @property
    def float(self) -> Path | None:
        return self._file(FLOAT)

    @property
    def onnx(self) -> Path | None:
        return self._file(ONNX)

    @property
    def frontend(self) -> Frontend | None:
        fields = self.manifest["frontend"]
        return Frontend.from_dict(fields) if fields else None

    @property
    def decisions(self) -> dict | None:
        """What makes events of scores and embeddings, see `formats.decisions`; None where there is
        nothing."""
        return self.manifest["decisions"]

    @property
    def outputs(self) -> tuple[str, ...]:
        """What its models give, in order: embedding, scores."""
        if self.decisions is None or not self.decisions["head"]:
            return ("embedding",)
        described = self.manifest["int8"] or self.manifest["float"]
        return ("embedding", "scores") if described.get("scores") else ("scores",)

    def memory(self) -> dict[str, np.ndarray] | None:
        """prototypes (n, d) int8 and labels (n, classes) uint8; None where the bundle has no memory.

        Raises `EdgeseaError` where they do not fit the bundle.
        """
        if self.decisions is None or self.decisions["memory"] is None:
            return None
        from edgesea.decisions import prototypes
        from edgesea.formats import door

        arrays = door.read_arrays(self.path / MEMORY, remedy=REMEDY)
        return prototypes.checked(arrays, self)

    def frontend_tables(self) -> dict[str, np.ndarray]:
        """The frontend in integers, see `firmware_export.frontend.integer_tables`.

        Raises `EdgeseaError` where they are not those of the bundle's frontend and int8 model.
        """
        from edgesea.formats import door

        path = self.path / FRONTEND_TABLES
        held = door.read_arrays(path, remedy=REMEDY)
        ours = _frontend_tables(self.frontend, self.manifest["int8"]["input"])
        for name, values in ours.items():
            found = held.get(name)
            # Sines and logarithms of another machine may be rounded otherwise.
            if (
                found is None
                or (found.shape, found.dtype) != (values.shape, values.dtype)
                or not np.allclose(found, values, rtol=1e-5, atol=0 if name == "offsets" else 1)
            ):
                raise EdgeseaError(
                    f"The file {path} does not hold the `{name}` of the bundle's frontend: {REMEDY}."
                )
        return {name: held[name] for name in ours}

    def golden(self) -> dict[str, np.ndarray]:
        """The arrays of golden.npz, see the module; empty where the bundle has none."""
        path = self._file(GOLDEN)
        if path is None:
            return {}
        from edgesea.formats import door

        return door.read_arrays(path, remedy=REMEDY)

    def embed(
        self,
        sound: Path | str | np.ndarray,
        rate: int | None = None,
        *,
        hop: Seconds | None = None,
        model: Literal["int8", "float"] | None = None,
    ) -> np.ndarray:
        """Embeds sound as the device will: frontend, then the .tflite, frame by frame.

        Parameters
        ----------
        sound : path or np.ndarray [shape=(samples,)]
            A file of audio, or a waveform in [-1, 1].
        rate : int > 0
            Sample rate of a waveform in Hz; a file says it itself.
        hop : float > 0
            Seconds from frame to frame. Default: half a frame.
        model : "int8" or "float"
            Which of its models. Default: int8 where it holds one.

        Returns
        -------
        np.ndarray [shape=(frames, d)]
            float32, dequantised. A last frame that is at least half sound is padded with silence.

        Raises
        ------
        UsageError
            The bundle does not know its frontend or lacks the model; a waveform without its rate, of another
            shape, or with NaN in it.
        BadAudio
            A file that cannot be used.
        """
        if self.frontend is None:
            raise UsageError(
                f"The bundle {self.path} does not say which frontend makes its patches: export it again with "
                "--frontend."
            )
        if self.outputs[0] != "embedding":
            raise UsageError(
                f"The bundle {self.path} gives scores and no embeddings: export it again with "
                f"--keep-embedding."
            )
        file = {None: self.int8 or self.float, "int8": self.int8, "float": self.float}.get(model)
        if file is None:
            raise UsageError(f"The bundle {self.path} holds no {model} model: choose int8 or float.")
        interpreter = open_interpreter(file)
        heard = patches.of_sound(sound, rate, self.frontend, hop)
        return np.concatenate([interpreter.run(batch).reshape(len(batch), -1) for batch in heard])

    @property
    def evaluations(self) -> "tuple[answers.Evaluation, ...]":
        """What `edgesea.evaluate` answered about this bundle, as it is kept in it."""
        from edgesea import answers

        return tuple(map(answers.Evaluation, results.of_bundle(self.path, "evaluation")))

    @property
    def measurements(self) -> "tuple[answers.Measurement, ...]":
        """What `edgesea.bench()` answered about this bundle, as it is kept in it."""
        from edgesea import answers

        return tuple(map(answers.Measurement, results.of_bundle(self.path, "bench")))

    def _rows(self) -> list[tuple[str, str]]:
        models = [kind for kind in ("int8", "float") if self.manifest[kind]]
        described = self.manifest[models[0]]
        comparison = self.manifest["comparison"] or {}
        return [
            ("name", self.name),
            ("models", ", ".join([*models, *(["onnx"] if self.onnx else [])])),
            *((str(MEASURED[place]), text(at(described, place))) for place in COSTS),
            *(
                (f"int8 against float, {FIDELITY[key]}", text(comparison[key]))
                for key in ("cosine", "r2")
                if key in comparison
            ),
            *([("failed", self.manifest["failed"])] if "failed" in self.manifest else []),
        ]

    def __repr__(self) -> str:
        """Its folder, models and costs."""
        return notebook.described(f"Bundle {self.path}", self._rows())

    def _repr_html_(self) -> str:
        return notebook.html(f"Bundle {self.path}", (), self._rows())

    def _file(self, name: str) -> Path | None:
        return self.path / name if name in self.manifest["files"] else None


def write_bundle(
    out: Path | str,
    *,
    name: str,
    int8: bytes | None = None,
    int16x8: bytes | None = None,
    float_: bytes | None = None,
    onnx: bytes | None = None,
    frontend: Frontend | None = None,
    comparison: Comparison | None = None,
    failed: str | None = None,
    golden: np.ndarray | None = None,
    provenance: dict | None = None,
    decisions: dict | None = None,
    memory: dict[str, np.ndarray] | None = None,
    c_model: CModel | None = None,
    project: ProjectWriter | None = None,
    command: str = "",
) -> Bundle:
    """Builds a bundle beside `out`, and puts it there when it is whole.

    out : a new path, an empty folder, or an older bundle, which is replaced
    name : any text; C gets the `firmware_export.ctext.identifier` of it
    int8, int16x8, float_, onnx : the models' files, at least one of the first three, one of the first two
    failed : one sentence that says why the integer model is no stand-in for float, where that is so
    golden : patches (n, frames, mels, 1) float32 that golden.npz is made of
    provenance : what the model was made from, ready for JSON
    decisions, memory : what makes events of what the model gives, see `Bundle.decisions` and `Bundle.memory`
    c_model : see `CModel`; called only with an int8 or int16x8 model
    project : see `ProjectWriter`
    command : that made the bundle

    Raises UsageError where `out` is something else that would be lost, EdgeseaError where the folder cannot
    be written or a model not read.
    """
    integer = int8 or int16x8
    if integer is None and float_ is None:
        raise UsageError("A bundle needs a model: give an int8 or a float .tflite.")
    if int8 and int16x8:
        raise UsageError("A bundle holds one integer model: give int8 or int16x8, not both.")
    if not without_control(name).strip():
        raise UsageError(f"A bundle needs a name, received {name!r}: give one with --name.")
    # What a terminal takes for commands is read back by no one.
    name, command = without_control(name), without_control(command)
    out = Path(os.path.realpath(out))
    _check_replaceable(out)
    identifier = identifier_of(name)
    given = {"int8": int8, "int16x8": int16x8, "float": float_}
    models = {kind: _model(content) for kind, content in given.items() if content}
    contents = {INT8: int8, INT16X8: int16x8, FLOAT: float_, ONNX: onnx}
    if frontend is not None:
        contents[FRONTEND] = _json(frontend.to_dict())
    if memory is not None:
        contents[MEMORY] = _npz(memory)
    if decisions is not None and frontend is not None and int8 is not None:
        contents[FRONTEND_TABLES] = _npz(_frontend_tables(frontend, models["int8"]["input"]))
    if golden is not None:
        contents[GOLDEN] = _golden(golden, integer, float_)
    if integer is not None:
        sources = carray.render(
            integer, name=name, frontend=frontend, student=_student(provenance), command=command
        )
        contents |= {f"{C_FOLDER}/{file}": text.encode("ascii") for file, text in sources.items()}
        contents[f"{C_FOLDER}/LICENSE"] = projects.LICENSE.read_bytes()

    with _replacing_folder(out) as folder:
        for path, content in contents.items():
            if content is not None:
                files.write_bytes(folder / path, content)
        compiled = None
        if c_model is not None and integer is not None:
            compiled = c_model(
                integer, folder / C_FOLDER, identifier, frontend, c_decisions(decisions, memory)
            )
        manifest = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "name": name,
            "identifier": identifier,
            "command": command,
            "versions": _versions(),
            "int8": models.get("int8"),
            **({} if int16x8 is None else {"int16x8": models["int16x8"]}),
            "float": models.get("float"),
            "c_model": compiled,
            "comparison": comparison.to_dict() if comparison else None,
            **({} if failed is None else {"failed": failed}),
            **({} if decisions is None else {"decisions": decisions}),
            "frontend": frontend.to_dict() if frontend else None,
            "project": None,
            "provenance": provenance or {},
        }
        files.write_text(folder / CARD, model_card(manifest))
        manifest["files"] = _files(folder)
        files.write_json(folder / MANIFEST, manifest)
        if project is not None:
            manifest["project"] = project(load_bundle(folder))
            manifest["files"] = _files(folder)
            files.write_json(folder / MANIFEST, manifest)
    return Bundle(out, _complete(manifest))


def c_decisions(decisions: dict | None, memory: dict[str, np.ndarray] | None) -> Decisions | None:
    """The manifest's decisions, and the memory's arrays, as C is made of them."""
    if decisions is None:
        return None
    names = ("k", "beta", "sharpness", "unknown")
    return Decisions(
        labels=tuple(decisions["labels"]),
        head=decisions["head"],
        every=decisions["every"],
        window=decisions["window"],
        rest=decisions["rest"],
        alpha=tuple(decisions["alpha"]),
        thresholds=tuple(decisions["thresholds"]),
        memory={name: decisions["memory"][name] for name in names} if memory else None,
        prototypes=memory["prototypes"] if memory else None,
        soft_labels=memory["labels"] if memory else None,
    )


def load_bundle(path: Path | str) -> Bundle:
    """Reads a bundle and checks its manifest by the schema, every file by the manifest, and what the manifest
    says of the models by their files.

    Raises UsageError where there is no bundle, EdgeseaError naming the first file or entry that is amiss.
    """
    path = Path(path)
    manifest = _manifest(path)
    for name, expected in manifest["files"].items():
        file = _inside(path, name)
        if not file.is_file():
            raise EdgeseaError(f"The file {file} is missing: export the bundle again, or copy it whole.")
        if file.stat().st_size != expected["bytes"] or files.sha256(file) != expected["sha256"]:
            raise EdgeseaError(
                f"The file {file} is not the file that {MANIFEST} describes: export the bundle again."
            )
    bundle = Bundle(path, manifest)
    for kind, name in (("int8", INT8), ("int16x8", INT16X8), ("float", FLOAT)):
        _check_model(bundle, kind, name)
    if FRONTEND in manifest["files"]:
        _check_frontend(bundle)
    if bundle.decisions is not None:
        _check_decisions(bundle)
    return bundle


def _inside(path: Path, name: str) -> Path:
    """The file of that name in the bundle; EdgeseaError where the name leads outside, or through a link."""
    from edgesea.formats import paths

    if reason := paths.fault(name):
        raise EdgeseaError(
            f"The file {path / MANIFEST} names {name!r}, which is not a path inside the bundle ({reason}): "
            "leave it be."
        )
    try:
        return paths.inside(path, name)
    except ValueError as error:
        raise EdgeseaError(f"The path {error}, which no bundle holds: export the bundle again.") from None


def _check_model(bundle: Bundle, kind: str, name: str) -> None:
    """EdgeseaError where the manifest says other things of a model than the model's file does."""
    described = bundle.manifest.get(kind)
    if (described is None) != (name not in bundle.manifest["files"]):
        raise EdgeseaError(
            f"The file {bundle.path / MANIFEST} says of {name} that it is there and that it is not: "
            "export the bundle again."
        )
    if described is None:
        return
    for place, value in _facts((bundle.path / name).read_bytes(), name).items():
        said = described
        for part in place.split("."):
            said = said.get(part) if isinstance(said, dict) else None
        if said != value:
            raise EdgeseaError(
                f"The file {bundle.path / MANIFEST} says {kind}.{place} = {said!r}, and {name} has "
                f"{value!r}: export the bundle again."
            )


def _check_decisions(bundle: Bundle) -> None:
    """EdgeseaError where the models do not give the scores that the manifest makes events of."""
    decisions = bundle.decisions
    for kind in ("int8", "float"):
        described = bundle.manifest[kind]
        if described is None or not decisions["head"]:
            continue
        end = described.get("scores") or described["output"]
        wanted = {"int8": (1 / 256, -128), "float": (None, None)}[kind]
        if (
            math.prod(end["shape"]) != decisions["head"]
            or (end.get("scale"), end.get("zero_point")) != wanted
        ):
            raise EdgeseaError(
                f"The file {bundle.path / MANIFEST} tells of a head with {decisions['head']} classes, and "
                f"the "
                f"{kind} model does not give the scores of one: export the bundle again."
            )
    if decisions["memory"] is not None:
        bundle.memory()
    if bundle.int8 is not None and bundle.frontend is not None:
        bundle.frontend_tables()


def _facts(content: bytes, name: str) -> dict:
    """place in the manifest's description -> value, of what the .tflite itself says."""
    try:
        graph = read(content)
    except ModelError as error:
        raise EdgeseaError(f"The model {name}: {error}") from error
    found = {"sha256": graph.sha256, "storage.model_bytes": graph.size}
    ends = {"input": graph.inputs, "output": graph.outputs}
    if len(graph.outputs) > 1:
        ends["scores"] = graph.outputs[1:]
    for end, numbers in ends.items():
        if not numbers:
            raise EdgeseaError(f"The model {name} has no {end}: export the bundle again.")
        tensor = graph.tensors[numbers[0]]
        found |= {
            f"{end}.shape": list(tensor.shape),
            f"{end}.type": tensor.dtype,
            f"{end}.bytes": tensor.bytes,
        }
        quantization = tensor.quantization
        if quantization is not None and tensor.dtype in ("int8", "uint8", "int16"):
            found |= {f"{end}.scale": quantization.scale, f"{end}.zero_point": quantization.zero_point}
    operators = Counter(operator.opcode for operator in graph.operators)
    return {**found, "operators": dict(sorted(operators.items()))}


def _check_frontend(bundle: Bundle) -> None:
    from edgesea.formats import door
    from edgesea.formats.frontend import LARGEST, FrontendFields

    file = bundle.path / FRONTEND
    held = door.read_json(file, largest=LARGEST, remedy=REMEDY)
    door.checked(held, FrontendFields, file, remedy=REMEDY)
    if held != bundle.manifest["frontend"]:
        raise EdgeseaError(
            f"The file {file} is another frontend than {MANIFEST} describes: export the bundle again."
        )


def _frontend_tables(frontend: Frontend, patch: dict) -> dict[str, np.ndarray]:
    """patch : the manifest's entry of the int8 model's input"""
    try:
        return integer_tables(frontend, scale=patch["scale"], zero_point=patch["zero_point"])
    except FrontendError as error:
        raise EdgeseaError(f"The frontend in integers: {error}") from error


def _student(provenance: dict | None) -> bool:
    """Whether the model is a student of edgesea's; of others only the file is known."""
    return bool(provenance) and "teacher" in provenance


def describe(tensor: Tensor) -> dict:
    """An input or output for the manifest; scale and zero point only where it is quantised."""
    quantised = {"scale": tensor.scale, "zero_point": tensor.zero_point} if tensor.quantised else {}
    return {"shape": list(tensor.shape), "type": tensor.dtype.name, "bytes": tensor.bytes, **quantised}


def _files(folder: Path) -> dict:
    """What lies in a bundle's folder, beside the manifest."""
    return {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": files.sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST
    }


def _model(content: bytes) -> dict:
    """What a .tflite is made of and what it takes up."""
    try:
        graph = read(content)
    except ModelError as error:
        raise EdgeseaError(str(error)) from error
    interpreter = open_interpreter(content)
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "input": describe(interpreter.input),
        "output": describe(interpreter.output),
        **({"scores": describe(interpreter.outputs[1])} if len(interpreter.outputs) > 1 else {}),
        "operators": dict(sorted(Counter(operator.opcode for operator in graph.operators).items())),
        "multiply_accumulates": sum(graph.multiply_accumulates(operator) for operator in graph.operators),
        "storage": memory.storage(graph),
        "activation": memory.activation(graph),
    }


def _golden(patches: np.ndarray, integer: bytes | None, float_: bytes | None) -> bytes:
    arrays: dict[str, Any] = {"patches": np.asarray(patches, np.float32)}
    if integer is not None:
        reference = open_interpreter(integer, resolver="reference")
        arrays["inputs"] = reference.input.quantise(arrays["patches"])
        outputs = [reference.outputs_of([example]) for example in arrays["inputs"]]
        arrays["outputs"] = np.stack(
            [np.concatenate([each.ravel() for each in several]) for several in outputs]
        )
        first = np.stack([several[0].ravel() for several in outputs])
        arrays["embeddings"] = reference.output.dequantise(first)
    if float_ is not None:
        arrays["embeddings"] = open_interpreter(float_).run(arrays["patches"])
    return _npz(arrays)


def _npz(arrays: dict[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _json(value: dict) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()


def _versions() -> dict[str, str]:
    versions = {"edgesea": __version__, "python": platform.python_version()}
    for package in RECORDED_PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    name, version = runtime()
    return {**versions, name: version}


def _manifest(path: Path) -> dict:
    from edgesea.formats import door
    from edgesea.formats.bundle import Manifest

    file = path / MANIFEST
    if not file.is_file():
        raise UsageError(
            f"The folder {path} is not a bundle, it has no {MANIFEST}: name a folder that `edgesea "
            "export` made."
        )
    manifest = door.read_json(file, largest=LARGEST_MANIFEST, remedy=REMEDY)
    # What is something else altogether, or of another version, is said before what is wrong in it.
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise UsageError(
            f"The file {file} is not the manifest of a bundle: name a folder that `edgesea export` made."
        )
    version = manifest.get("format_version")
    if type(version) is int and version != FORMAT_VERSION:
        raise EdgeseaError(
            f"The file {file} has format version {door.shown(version)} where this edgesea reads "
            f"{FORMAT_VERSION}: export the bundle again."
        )
    door.checked(manifest, Manifest, file, remedy=REMEDY)
    if manifest["frontend"] is not None:
        Frontend.from_dict(manifest["frontend"])
    return _complete(manifest)


def _complete(manifest: dict) -> dict:
    """With what older versions did not write yet, and what is left out where there is none."""
    optional = dict.fromkeys(("c_model", "comparison", "decisions", "project"))
    found = {"command": "", "versions": {}, "provenance": {}, **optional, **manifest}
    if found["decisions"] is not None:
        found["decisions"] = {
            **dict.fromkeys(("memory", "agreement", "held_out", "trained")),
            **found["decisions"],
        }
    return found


def _check_replaceable(out: Path) -> None:
    """UsageError unless replacing `out` loses nothing but an older bundle."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UsageError(f"{out} is a file: give --out a folder that is new or an older bundle.")
    present = {path.relative_to(out).as_posix() for path in out.rglob("*") if not path.is_dir()}
    if not present:
        return
    try:
        own = {MANIFEST, *_manifest(out)["files"]}
    except EdgeseaError as error:
        raise UsageError(
            f"{out} is not empty and not a bundle: give --out a folder that is new or an older bundle."
        ) from error
    kept = {name for name in present if _is_result(out, name)}
    if others := sorted(present - own - kept):
        raise UsageError(
            f"{out / others[0]} is not part of the bundle there and would be lost: move it first."
        )


def _is_result(folder: Path, name: str) -> bool:
    """Whether a file is what was answered about the bundle: of the older model, so it goes with it."""
    return name == f"{results.FOLDER}/{Path(name).name}" and results.may_be_replaced(folder / name)


@contextlib.contextmanager
def _replacing_folder(out: Path) -> Iterator[Path]:
    """Yields a new folder beside `out`; when the block ends without an error it becomes `out`.

    An older `out` is renamed first and removed last: killed in between, one of the two is there under a name
    that begins with a dot.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        holder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}-"))
    except OSError as error:
        raise EdgeseaError(
            f"{out.parent} cannot be written ({error.strerror}): choose another --out."
        ) from error
    try:
        folder = holder / "new"
        folder.mkdir()
        yield folder
        if out.exists():
            out.rename(holder / "old")
        folder.rename(out)
    finally:
        shutil.rmtree(holder)
