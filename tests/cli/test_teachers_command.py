"""`edgesea teachers`: the list, fetching from a server on this machine, and what a foreign model is."""

import gzip
import hashlib
import http.server
import io
import json
import threading
import zipfile
from dataclasses import replace

import pytest
from click.testing import CliRunner

from edgesea import weights
from edgesea.cli.teachers import teachers as command
from edgesea.errors import EdgeseaError, UsageError
from edgesea.recognise import recognise, whole
from edgesea.teachers import demo
from edgesea.teachers.catalogue import catalogue
from edgesea.weights import PUBLISHED, Published


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgesea" / "teachers"


@pytest.fixture
def server(tmp_path):
    """Serves a folder; yields the folder and its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_):
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    served.server_close()


def published(monkeypatch, url, **fields):
    entry = replace(PUBLISHED["yamnet"], url=url, **{"sha256": None, "file": "x.tflite", **fields})
    monkeypatch.setitem(PUBLISHED, "x", entry)
    return entry


def test_the_list_says_what_there_is(cache):
    rows = {row["name"]: row for row in catalogue()}
    assert {"demo", "yamnet", "vggish", "birdnet", "openl3-mel256-music-512", "edgel3-sea-64"} <= rows.keys()
    assert rows["demo"]["here"]
    assert rows["demo"]["dimension"] == demo.load(None, demo.TeacherOptions()).dimension
    assert not rows["yamnet"]["here"]
    cache.mkdir(parents=True)
    (cache / "yamnet.tflite").write_bytes(b"x")
    assert {row["name"]: row for row in catalogue()}["yamnet"]["here"]
    shown = CliRunner().invoke(command, [])
    assert shown.exit_code == 0
    for row in rows.values():
        line = next(line for line in shown.output.splitlines() if line.startswith(f"{row['name']} "))
        assert str(row["dimension"]) in line
        assert row["licence"] in line
    assert json.loads(CliRunner().invoke(command, ["--json"]).output)[0]["name"] == "demo"


def test_names_are_names_wherever_the_call_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recognise("yamnet").kind == "named"
    assert whole("yamnet", tmp_path) == "yamnet"
    # A file of that name wins.
    (tmp_path / "yamnet").write_bytes(b"")
    assert recognise("yamnet").kind == "empty"


@pytest.mark.parametrize("packing", ["plain", "gzip", "zip"])
def test_a_file_is_fetched_once_and_unpacked(cache, server, monkeypatch, packing):
    folder, address = server
    content = demo.FILE.read_bytes()
    if packing == "plain":
        (folder / "x").write_bytes(content)
        entry = published(monkeypatch, f"{address}/x", sha256=hashlib.sha256(content).hexdigest())
    elif packing == "gzip":
        (folder / "x.gz").write_bytes(gzip.compress(content))
        entry = published(monkeypatch, f"{address}/x.gz")
    else:
        with zipfile.ZipFile(folder / "x.zip", "w") as archive:
            archive.writestr("inner/model.tflite", content)
        entry = published(monkeypatch, f"{address}/x.zip", member="inner/model.tflite")
    assert isinstance(entry, Published)
    result = CliRunner().invoke(command, ["get", "x"])
    assert result.exit_code == 0, result.output
    assert (cache / "x.tflite").read_bytes() == content
    assert sorted(each.name for each in cache.iterdir()) == ["x.tflite"]
    next(folder.iterdir()).unlink()
    assert weights.path("x") == cache / "x.tflite"


@pytest.mark.parametrize(
    ("served", "fields", "reason"),
    [
        (None, {}, r"\(the server answers 404\): download .*/x elsewhere, and put it at .*x\.tflite\."),
        (
            b"no archive",
            {"member": "m.tflite"},
            r"cannot be fetched \(.*\): download .* put m\.tflite of it at ",
        ),
        (
            b"other",
            {"sha256": "0" * 64},
            r"is not the published x: its SHA-256 is .*; delete it, and fetch it",
        ),
    ],
)
def test_what_goes_wrong_says_which_file_to_put_where(cache, server, monkeypatch, served, fields, reason):
    folder, address = server
    if served is not None:
        (folder / "x").write_bytes(served)
    published(monkeypatch, f"{address}/x", **fields)
    with pytest.raises(EdgeseaError, match=reason):
        weights.path("x")
    assert not list(cache.glob("*.part"))


def test_offline_says_which_file_to_put_where(cache, monkeypatch):
    published(monkeypatch, "http://127.0.0.1:9/x.h5.gz")
    with pytest.raises(EdgeseaError) as error:
        weights.path("x")
    assert str(error.value) == (
        "The weights of x cannot be fetched (there is no connection to the server): download "
        f"http://127.0.0.1:9/x.h5.gz elsewhere, and put it, unpacked, at {cache / 'x.tflite'}."
    )


def test_an_archive_that_unpacks_to_more_than_any_weights(cache, server, monkeypatch):
    folder, address = server
    buffer = io.BytesIO()
    with gzip.open(buffer, "wb") as packed:
        packed.write(bytes(1 << 20))
    (folder / "x.gz").write_bytes(buffer.getvalue())
    monkeypatch.setattr(weights, "_LARGEST", 1 << 16)
    published(monkeypatch, f"{address}/x.gz")
    with pytest.raises(EdgeseaError, match=r"it unpacks to more than 65536 bytes"):
        weights.path("x")


def test_a_name_that_is_none():
    with pytest.raises(
        UsageError, match=r"no published teacher 'yamnot': `edgesea teachers` lists those there are\."
    ):
        weights.path("yamnot")


def test_check_says_what_a_model_is():
    result = CliRunner().invoke(command, ["check", "demo", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["kind"], found["dimension"], found["sample_rate"]) == ("demo", 256, 16_000)
    assert found["faults"] == []
    assert found["softer_cosine"] > found["others_cosine"]


def test_check_says_what_is_wrong_with_one(tmp_path):
    import keras
    import numpy as np

    wave = keras.Input((4_000,))
    layer = keras.layers.Dense(5)
    model = keras.Model(wave, layer(wave))
    layer.set_weights([np.zeros((4_000, 5), "f"), np.ones(5, "f")])
    model.save(tmp_path / "deaf.keras")
    result = CliRunner().invoke(command, ["check", str(tmp_path / "deaf.keras"), "--teacher-rate", "8000"])
    assert result.exit_code == 1
    assert "It gives the same embedding for every sound" in result.output
