"""What a user handed over where a model is expected: told from its content, and what to do with it.

    found = recognise("model.onnx")
    found.kind                    # 'onnx'
    advice(found, "bench")        # a sentence: what it is, and what would work in its place

Files are told by their first bytes and by marks inside, never by their suffix: a Git-LFS pointer is called
`model.tflite` too. Nothing is parsed here that could be hostile; HDF5's marks are looked for as bytes.
"""

import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

# Looked through for marks; a model's structure lies in its first and last parts.
_LOOKED_AT = 64 << 20
_FIRST_LINE = 1 << 20
_STUDENT = "student.keras"
# The files of a folder that holds openWakeWord's models.
PAIR = ("melspectrogram.tflite", "embedding_model.tflite")

YAMNET = (
    "It is yamnet.tflite, published by Google (TensorFlow Model Garden; on Kaggle Models as "
    "google/yamnet, TFLite, classification-tflite), Apache-2.0, 4,078,224 bytes, SHA-256 "
    "469be6a3421cbc52cf97e9f2f966cba984198e8e7af9854d68b3e3ebb1e04194"
)


@dataclass(frozen=True)
class Found:
    """kind : see `_WHAT`; name : as it was given; path : where it lies, for what lies somewhere."""

    kind: str
    name: str
    path: Path


# What each kind is called in a sentence.
_WHAT = {
    "missing": "nothing: there is no such file or folder",
    "url": "an address on the web",
    "demo": "the teacher that comes with edgesea",
    "named": "the name of a published teacher",
    "class": "the name of a class",
    "several": "several models",
    "pair": "a pair of models",
    "embeddings": "a file of ready-made embeddings",
    "checkpoint": "a TensorFlow 1 checkpoint",
    "empty": "an empty file",
    "run": "a run of edgesea",
    "bundle": "a bundle of edgesea",
    "store": "a store of embeddings",
    "saved-model": "a TensorFlow SavedModel",
    "folder": "a folder that is neither a run nor a bundle nor a SavedModel",
    "tflite": "a .tflite",
    "keras": "a Keras model (.keras)",
    "keras-h5": "a whole Keras model in the old format (.h5)",
    "keras-weights": "Keras weights without their model (.weights.h5)",
    "edgel3": "a released model of edgel3",
    "l3-weights": "weights of an L3 network",
    "h5": "an HDF5 file that is no Keras model",
    "onnx": "an ONNX model",
    "torch": "a PyTorch checkpoint",
    "zip": "a zip archive",
    "lfs": "a Git-LFS pointer, not the model itself",
    "html": "a web page, not the model itself",
    "audio": "a sound file",
    "unknown": "no model that edgesea knows",
}

_FIRST = {
    "tflite": "give the .tflite or .keras that it was made from",
    "saved-model": "convert it with `tf.lite.TFLiteConverter.from_saved_model(FOLDER).convert()` and write "
    "the bytes to a .tflite",
    "keras-h5": "save it anew with `keras.models.load_model(FILE).save('model.keras')`",
    "keras-weights": "build the model, call its load_weights(FILE), and save it as .keras",
    "torch": "export it with `torch.onnx.export`, from the code that it belongs to",
    "zip": "unpack it and name the model in it",
    "lfs": "fetch the file with `git lfs pull`",
    "html": "download the file itself, not the page that leads to it",
    "url": "download the file and give its path",
    "empty": "fetch it again",
    "missing": "check the path",
    "folder": "name the model in it",
    "h5": "give a .keras or .tflite file",
    "unknown": "give a .keras or .tflite file",
    "audio": "that is for --data",
    "store": "name the model that made it",
    "named": "fetch it with `edgesea teachers get FILE`, and give the path of its file",
    "class": "give the path of a model",
    "several": "name one of them",
    "pair": "name one of them",
    "embeddings": "name the model that made them",
    "checkpoint": "give the .tflite or .keras that it was made from",
    "l3-weights": "distil from it with `edgesea distill --teacher FILE`",
}

# What each purpose takes, by kind, where it is not the first thing to do.
_FOR = {
    "teacher": {
        "missing": "give a .keras, .tflite or .onnx file, a SavedModel, a run, a bundle, or a name that "
        "`edgesea teachers` lists",
        "unknown": "give a .keras, .tflite or .onnx file, a SavedModel, a run, a bundle, or a name that "
        "`edgesea teachers` lists",
        "h5": "give a .keras, .tflite or .onnx file, a SavedModel, a run, a bundle, or a name that "
        "`edgesea teachers` lists",
    },
    "bench": {
        "missing": "name a bundle or a .tflite",
        "run": "make its bundle with `edgesea export`, and measure that",
        "keras": "convert it with `tf.lite.TFLiteConverter.from_keras_model(model).convert()`, and measure "
        "the .tflite",
        "onnx": "measurements are of .tflite files: convert it with onnx2tf, and measure what that writes",
        "edgel3": "distil it first, with `edgesea distill --teacher FILE`, and measure the bundle",
        "unknown": "name a bundle or a .tflite",
    },
    "export": {
        "missing": "name a run or an int8 .tflite",
        "bundle": "it is exported already: name its run to export it otherwise",
        "keras": "distil from it with `edgesea distill --teacher FILE`, and export the run",
        "onnx": "a bundle is made of a run or an int8 .tflite: distil from it with `edgesea distill "
        "--teacher FILE`, or convert it with onnx2tf",
        "edgel3": "distil from it with `edgesea distill --teacher FILE`, and export the run",
        "unknown": "name a run or an int8 .tflite",
    },
    "evaluate": {
        "missing": "name a run or a bundle",
        "tflite": "make a bundle of it with `edgesea export`, or compare it with a run by `--compare FILE`",
        "keras": "compare it with a run by `edgesea evaluate RUN --compare FILE`",
        "onnx": "compare it with a run by `edgesea evaluate RUN --compare FILE`",
        "edgel3": "compare it with a run by `edgesea evaluate RUN --compare FILE`",
        "unknown": "name a run or a bundle",
    },
}


def recognise(name: Path | str) -> Found:
    """Says what `name`, as it was typed, is. Never raises, also not for a text that no path can be."""
    text = os.fspath(name)
    try:
        return _recognised(text, Path(text).expanduser())
    except (OSError, ValueError, RuntimeError):  # too long, a NUL, a loop of links, no such user
        return Found("missing", text, Path(text))


def _recognised(text: str, path: Path) -> Found:
    if text == "demo":
        return Found("demo", text, path)
    # A path loses one slash of `https://`, and gets a folder before it where it is made absolute.
    if re.search(r"(^|/)(https?|ftp|s3|gs|file):/", text):
        return Found("url", text, path)
    if path.is_dir():
        return Found(_folder(path), text, path)
    if not path.is_file():
        return Found(_without_file(text), text, path)
    if path.name == _STUDENT and _folder(path.parent) == "run":
        return Found("run", text, path.parent)
    return Found(_content(path), text, path)


def parts(name: str, kind: str) -> list[str]:
    """The models of a text that names several (`A,B`) or a pair (`A+B`)."""
    return [part.strip() for part in name.split("," if kind == "several" else "+")]


def whole(name: str, folder: Path | None = None) -> str:
    """The same model with its paths whole, so that it means the same from any folder.

    folder : where relative paths start; without one, from here, and what is not there stays as it was typed
    """
    kind = recognise(name).kind
    if kind in ("demo", "url", "named", "class"):
        return name
    try:
        path = Path(folder or "", Path(name).expanduser())
        there = path.exists()
    except (OSError, ValueError, RuntimeError):
        return name
    for several, sign in (("several", ","), ("pair", "+")):
        if sign in name and not there and (folder or kind == several):
            return sign.join(whole(part, folder) for part in parts(name, several))
    if folder:
        return str(path)
    return name if kind == "missing" else str(path.resolve())


def _without_file(text: str) -> str:
    """What a text is that is no path: names, or several of what is there."""
    from edgesea.weights import PUBLISHED

    if text in PUBLISHED:
        return "named"
    for kind, sign in (("several", ","), ("pair", "+")):
        found = [recognise(part).kind for part in parts(text, kind)] if sign in text else []
        if len(found) > 1 and set(found) != {"missing"}:
            return kind
    return "class" if re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text) else "missing"


def advice(found: Found, purpose: str) -> str:
    """The sentence for what cannot be used.

    found : what there is
    purpose : 'teacher', 'bench', 'export' or 'evaluate'
    """
    stem = Path(found.name).stem.lower()
    if found.kind == "missing" and purpose == "teacher" and stem == "yamnet":
        return (
            f"There is no teacher at {found.name}. {YAMNET}; say --teacher yamnet, which downloads it once, "
            "or give its path: --teacher PATH/yamnet.tflite."
        )
    what = "file" if purpose != "teacher" else "teacher"
    then = _FOR[purpose].get(found.kind) or _FIRST.get(found.kind) or _FOR[purpose]["unknown"]
    if found.kind == "missing":
        return f"There is no {what} at {found.name}: {then}."
    then = then.replace("FILE", found.name).replace("FOLDER", repr(found.name))
    return f"{found.name} is {_WHAT[found.kind]}: {then}."


def _folder(path: Path) -> str:
    for kind, marks in (
        ("bundle", ("manifest.json",)),
        ("run", ("config.toml", "split.json")),
        ("store", ("store.json",)),
        ("saved-model", ("saved_model.pb",)),
        ("pair", PAIR),
    ):
        if all((path / mark).is_file() for mark in marks):
            return kind
    # A run that was stopped early holds its configuration alone.
    return "run" if (path / "config.toml").is_file() else "folder"


def _content(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(_LOOKED_AT)
    except OSError:
        return "unknown"
    if not content:
        return "empty"
    if content[4:8] == b"TFL3":
        return "tflite"
    if content.startswith(b"\x89HDF\r\n\x1a\n"):
        return _hdf5(content)
    if content.startswith(b"PK\x03\x04"):
        return _archive(path)
    if content.startswith(b"version https://git-lfs."):
        return "lfs"
    if re.match(rb"\s*(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml)", content[:200], re.IGNORECASE):
        return "html"
    if content[:4] in (b"RIFF", b"fLaC", b"OggS") or content[:3] == b"ID3":
        return "audio"
    if content.startswith(b"PAR1") or _is_table(content):
        return "embeddings"
    if b"vggish/conv1/weights" in content:
        return "checkpoint"
    return "onnx" if _is_onnx(content, path.stat().st_size) else "unknown"


def _is_table(content: bytes) -> bool:
    """Whether it is a CSV table whose columns are those of ready-made embeddings."""
    columns = content[:_FIRST_LINE].split(b"\n")[0].strip().split(b",")
    return len(columns) >= 3 and {b"path", b"start"} <= {each.strip().strip(b'"') for each in columns}


def _hdf5(content: bytes) -> str:
    if b"model_config" in content:
        return (
            "edgel3" if b"Melspectrogram" in content and b"audio_embedding_layer" in content else "keras-h5"
        )
    if b"layer_names" in content and b"audio_embedding_layer" in content:
        return "l3-weights"
    if b"layer_names" in content or (b"layers" in content and b"vars" in content):
        return "keras-weights"
    return "embeddings" if b"embedding" in content and b"start" in content else "h5"


def _archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return "zip"
    if {"config.json", "metadata.json"} <= names:
        return "keras"
    if names and all(name.endswith(".npy") for name in names):
        return "embeddings"
    return "torch" if any(name.endswith("data.pkl") for name in names) else "zip"


# Fields of onnx.proto's ModelProto -> wire type; a graph (7) makes it a model.
_ONNX_FIELDS = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}


def _is_onnx(content: bytes, size: int) -> bool:
    """Whether the file is a protobuf with the fields of ONNX's ModelProto, a graph among them."""
    at, seen = 0, set()
    while at < len(content):
        tag, at = _varint(content, at)
        if tag is None or _ONNX_FIELDS.get(tag >> 3) != tag & 7:
            return False
        value, at = _varint(content, at)
        if value is None:
            return False
        seen.add(tag >> 3)
        if tag & 7 == 2:
            at += value
            if at > size:
                return False
    return {1, 7} <= seen


def _varint(content: bytes, at: int) -> tuple[int | None, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(content):
            break
        byte = content[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
    return None, at
