"""What was handed over, told by its content; the sentence for each, whatever it is called."""

import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesea import recognise as module
from edgesea import teachers
from edgesea.errors import UsageError
from edgesea.recognise import advice, recognise, whole

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 4078224\n"


@pytest.mark.parametrize(
    ("name", "content", "kind", "sentence"),
    [
        (
            "a.tflite",
            LFS,
            "lfs",
            "is a Git-LFS pointer, not the model itself: fetch the file with `git lfs pull`.",
        ),
        (
            "a.tflite",
            b"<!DOCTYPE html><html>",
            "html",
            "is a web page, not the model itself: download the file",
        ),
        ("a.keras", b"\n <html lang=en>", "html", "is a web page"),
        ("a.onnx", b"", "empty", "is an empty file: fetch it again."),
        ("a.wav", b"RIFF0000WAVE", "audio", "is a sound file: that is for --data."),
        (
            "a.bin",
            b"\x93NUMPY",
            "unknown",
            "is no model that edgesea knows: give a .keras, .tflite or .onnx file",
        ),
        (
            "a.h5",
            b"\x89HDF\r\n\x1a\n" + bytes(64),
            "h5",
            "is an HDF5 file that is no Keras model: give a .keras",
        ),
        ("a.zip", b"PK\x03\x04", "zip", "is a zip archive: unpack it and name the model in it."),
    ],
)
def test_content_decides_and_not_the_name(tmp_path, name, content, kind, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    found = recognise(path)
    assert found.kind == kind
    assert advice(found, "teacher").startswith(f"{path} {sentence}")


@pytest.mark.parametrize(
    ("marks", "kind"),
    [
        (["saved_model.pb"], "saved-model"),
        (["store.json"], "store"),
        (["config.toml", "split.json"], "run"),
        (["manifest.json"], "bundle"),
        ([], "folder"),
    ],
)
def test_folders(tmp_path, marks, kind):
    for mark in marks:
        (tmp_path / mark).write_text("")
    assert recognise(tmp_path).kind == kind


def test_archives(tmp_path):
    for name, held, kind in (
        ("a", ("config.json", "metadata.json", "model.weights.h5"), "keras"),
        ("b", ("archive/data.pkl",), "torch"),
        ("c", ("model.tflite",), "zip"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for each in held:
                archive.writestr(each, "{}")
        assert recognise(tmp_path / name).kind == kind


@pytest.mark.parametrize(
    "url", ["https://tfhub.dev/google/yamnet/1", "https:/tfhub.dev/x", "/home/a/https:/h/x"]
)
def test_addresses(url):
    assert recognise(url).kind == "url"
    assert advice(recognise(url), "teacher") == (
        f"{url} is an address on the web: download the file and give its path."
    )


def test_the_kinds_of_hdf5(shared):
    cases = shared / "cases" / "keras_h5"
    for path, kind, sentence in (
        (cases / "whole.h5", "keras-h5", "is a whole Keras model in the old format (.h5): save it anew with"),
        (
            cases / "only.weights.h5",
            "keras-weights",
            "is Keras weights without their model (.weights.h5): build",
        ),
    ):
        found = recognise(path)
        assert found.kind == kind
        with pytest.raises(UsageError) as caught:
            teachers.load(str(path))
        assert str(caught.value).startswith(f"{path} {sentence}")
    assert recognise(shared / "models" / "edgel3_sea_ust_audio_emb_64.h5").kind == "edgel3"


def test_models_by_their_content(shared, tmp_path):
    for name, kind in (("yamnet.tflite", "tflite"), ("soundnet/soundnet_conv5_22050.keras", "keras")):
        (tmp_path / "x").write_bytes((shared / "models" / name).read_bytes())
        assert recognise(tmp_path / "x").kind == kind


@pytest.mark.parametrize("name", ["models/yamnet", "models/yamnet.tflite"])
def test_a_missing_yamnet_says_which_file_is_meant(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        teachers.load(name)
    for part in (
        "yamnet.tflite",
        "Google",
        "Apache-2.0",
        "4,078,224 bytes",
        "SHA-256 469be6a3",
        "--teacher PATH",
        "--teacher yamnet",
    ):
        assert part in str(caught.value)


def test_the_yamnet_that_is_named_is_the_one_that_is_meant(shared):
    from edgesea import files

    path = shared / "models" / "yamnet.tflite"
    assert files.sha256(path) in module.YAMNET
    assert f"{path.stat().st_size:,} bytes" in module.YAMNET


@pytest.mark.parametrize(
    "text", ["a" * 5000, "b/" * 3000, "/" + "c" * 300, "d\0e", "~nobody-of-that-name/x", "a" * 300 + ",demo"]
)
def test_a_text_that_no_path_can_be_is_missing(text, tmp_path):
    assert recognise(text).kind in ("missing", "several")
    assert isinstance(whole(text, tmp_path), str)
    assert isinstance(whole(text), str)


def test_every_kind_has_a_sentence_for_every_purpose():
    for kind in module._WHAT:
        for purpose in ("teacher", "bench", "export", "evaluate"):
            sentence = advice(module.Found(kind, "x/a", module.Path("x/a")), purpose)
            assert sentence.endswith(".")
            assert "FILE" not in sentence
            assert "FOLDER" not in sentence


@given(st.binary(max_size=300))
def test_any_bytes_have_a_kind(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "bytes"
    for start in (b"", b"\x08\x08", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(start + content)
        assert recognise(path).kind in module._WHAT
