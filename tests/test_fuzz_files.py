"""Strangers' files of runs and projects, and measurements: read, or refused in a sentence."""

import contextlib
import io
import json
import os
import shutil

import fuzzing
import numpy as np
import pytest
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesea import project
from edgesea.cli import bench as cli_bench
from edgesea.devices import compare
from edgesea.errors import EdgeseaError, UserError
from edgesea.frontend import preset
from edgesea.run import Config, Run, read_config
from edgesea.store import Store

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

GOOD_CONFIG = {
    **Config("demo", "/sound", sampler="spl", reducer="pca").to_dict(),
    "student": {"name": "separable-m"},
}
GOOD_PROJECT = {
    "teacher": "t.keras",
    "data": "sound",
    "runs": "runs",
    "distill": {"epochs": 3, "reducer": {"name": "pca"}},
    "bench": {"device": "rpi", "host": "pi", "python": "python3"},
}
FIGURES = {"r2": 0.5, "cosine": 0.9, "knn_overlap": 0.5, "frames": 10}
GOOD_METRICS = {
    "student": "separable-m",
    "parameters": 100,
    "dimension": 4,
    "frontend": preset("sea-8k").to_dict(),
    "teacher": {"name": "demo", "dimension": 4, "fingerprint": "f"},
    "data": {
        "name": "sound",
        "fingerprint": "f",
        "clips": 3,
        "skipped": 0,
        "frames": {"train": 1, "validation": 1, "held-out": 1},
    },
    "reducer": {"name": "pca"},
    "fidelity": {"held-out": FIGURES},
    "course": [{"loss": 0.5, "r2": None}],
    "seconds": 1.0,
    "versions": {"edgesea": "1"},
}
GOOD_SPLIT = {"train": [0], "validation": [1], "held-out": [2]}
GOOD_SPLIT_BY_TIME = {
    "by": "time",
    "frame_seconds": 0.5,
    "train": [[0, 0.0, 10.0]],
    "validation": [[0, 20.0, 30.0]],
    "held-out": [[0, 40.0, 50.0]],
}
LATENCY = {"median": 1.0, "p95": 1.5, "n": 20, "threads": 1, "process_medians": [1.0, 1.1]}
GOOD_MEASUREMENT = {
    "device": "rpi",
    "engine": "LiteRT",
    "model": {"name": "a", "sha256": "0" * 64},
    "storage": {"model_bytes": 10, "weight_bytes": 5},
    "activation": {"peak_bytes": 5},
    "latency_ms": LATENCY,
    "emulated": {"instructions": 1000, "flash_bytes": 10},
    "configurations": [{"threads": 1, "xnnpack": True, "engine": "e", "latency_ms": LATENCY}],
    "conditions": {"board": "b", "before": {"load_average": 0.1}, "after": {"load_average": 0.1}},
    "how": {"activation": "computed"},
}

# What strangers write in the place of a value, in JSON and in TOML alike.
numbers = st.sampled_from([0, 1, -1, 2**31, 2**53, 2**63 - 1, 1e308, -1e308, 5e-324, 0.5]) | st.floats()
texts = st.text(max_size=20) | st.sampled_from(
    ["\x1b[2J", "\u202e", "a" * 5000, "../..", "/etc/passwd", "umap", "spl:x=1", "pca:" + "[" * 500, "nan"]
)
values = st.recursive(
    st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
# Bytes over a good text: at, what.
changes = st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4)
HOSTILE_JSON = ["[" * 100_000, '{"a":' * 50_000, "9" * 9999, '{"a": 1e999}', "", "null", "\ufeff{}"]
HOSTILE_TOML = [
    "a = " + "[" * 50_000,
    "a" + ".a" * 5000 + " = 1",
    "a = 9" * 9999,
    "[[a]]\n" * 300,
    "a = 1e999",
    'a = "' + "x" * 50_000,
    "a" + " " * 50_000 + "= 1",
]


def places(value, at=()):
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        yield from places(each, (*at, key))


@st.composite
def changed(draw, good):
    """`good`, some places in it replaced, taken out or added to."""
    found = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([at for at in places(found) if at] or [("x",)]))
        holder = found
        for key in way:
            holder = holder[key]
        what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if what == "remove" and len(holder) > 1:
            del holder[last]
        elif what == "add" and isinstance(holder, dict):
            holder[draw(st.text(max_size=10))] = draw(values)
        else:
            holder[last] = draw(values)
    return found


def contents(good: dict, written, hostile: list[str]):
    """The bytes of a file: a good value changed, a good text changed, or what parsers fear."""
    whole = written(good).encode()

    def spoilt(places):
        content = bytearray(whole)
        for at, replacement in places:
            at %= len(content)
            content[at : at + len(replacement)] = replacement
        return bytes(content)

    return st.one_of(
        changed(good).map(lambda value: written(value).encode("utf-8", "surrogatepass")),
        changed(good).map(lambda value: written(value).encode("utf-8", "surrogatepass")),
        changes.map(spoilt),
        st.sampled_from(hostile).map(str.encode),
        st.binary(max_size=100),
    )


def _json(value) -> str:
    return json.dumps(value)


def _config(folder, content: bytes) -> None:
    (folder / "config.toml").write_bytes(content)
    config = read_config(folder / "config.toml")
    # What was taken can be written, and is then the same.
    (folder / "config.toml").write_text(tomli_w.dumps(config.to_dict()), encoding="utf-8")
    assert read_config(folder / "config.toml") == config


def _project(folder, content: bytes) -> None:
    (folder / project.FILE).write_bytes(content)
    before = os.getcwd()
    os.chdir(folder)
    try:
        found = project.find()
    finally:
        os.chdir(before)
    assert all(isinstance(value, str) for value in found.bench.values())
    with contextlib.suppress(UserError):
        Config.from_dict({"teacher": found.teacher or "demo", "data": found.data or "x", **found.distill})


def _metrics(folder, content: bytes) -> None:
    (folder / "metrics.json").write_bytes(content)
    run = Run(folder)
    assert json.dumps(run.results(), allow_nan=False)
    run.frontend()


def _split(folder, content: bytes) -> None:
    if not (folder / "domain").is_dir():
        columns = {"clip": np.array([0, 1, 2], np.int32), "start": np.array([0.0, 20.0, 40.0])}
        Store(folder / "domain", {}).write(0, columns)
    (folder / "split.json").write_bytes(content)
    store = Store.open(folder / "domain")
    split = Run(folder).kept_split()
    for part in ("train", "validation", "held-out"):
        assert set(split.rows(part, store)) <= {0, 1, 2}


def _measurement(folder, content: bytes) -> None:
    (folder / "a.json").write_bytes(content)
    (folder / "b.json").write_text(json.dumps(GOOD_MEASUREMENT))
    with contextlib.redirect_stdout(io.StringIO()) as said:
        result = cli_bench._compare(str(folder / "a.json"), str(folder / "b.json"), False)
    assert json.dumps(result, allow_nan=False)
    assert said.getvalue().replace("\n", "").isprintable()
    assert compare.load(folder / "b.json") == GOOD_MEASUREMENT


TARGETS = {
    "config.toml": (_config, contents(GOOD_CONFIG, tomli_w.dumps, HOSTILE_TOML)),
    project.FILE: (_project, contents(GOOD_PROJECT, tomli_w.dumps, HOSTILE_TOML)),
    "metrics.json": (_metrics, contents(GOOD_METRICS, _json, HOSTILE_JSON)),
    "split.json": (
        _split,
        contents(GOOD_SPLIT, _json, HOSTILE_JSON) | contents(GOOD_SPLIT_BY_TIME, _json, HOSTILE_JSON),
    ),
    "a.json": (_measurement, contents(GOOD_MEASUREMENT, _json, HOSTILE_JSON)),
}


def _is_read_or_refused(folder, name: str, content: bytes) -> bool:
    with fuzzing.held(folder):
        try:
            TARGETS[name][0](folder, content)
        except EdgeseaError as error:
            fuzzing.is_a_sentence(error)
            return False
    return True


@pytest.mark.parametrize("name", TARGETS)
def test_good_files_are_read(tmp_path, name):
    """Else all that follows would be refused at once, and nothing be tried."""
    for good in {
        "config.toml": [tomli_w.dumps(GOOD_CONFIG)],
        project.FILE: [tomli_w.dumps(GOOD_PROJECT)],
        "metrics.json": [_json(GOOD_METRICS)],
        "split.json": [_json(GOOD_SPLIT), _json(GOOD_SPLIT_BY_TIME)],
        "a.json": [_json(GOOD_MEASUREMENT)],
    }[name]:
        assert _is_read_or_refused(tmp_path, name, good.encode())


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(data=st.data())
def test_strange_files(tmp_path, name, data):
    _is_read_or_refused(tmp_path, name, data.draw(TARGETS[name][1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=10_000, deadline=None, suppress_health_check=QUIET)
@given(data=st.data())
def test_many_strange_files(tmp_path, name, data):
    _is_read_or_refused(tmp_path, name, data.draw(TARGETS[name][1]))


# The yardstick itself


def test_what_writes_outside_is_found(tmp_path):
    (tmp_path / "in").mkdir()
    for act in (
        lambda: (tmp_path / "out").write_text("x"),
        lambda: (tmp_path / "dir").mkdir(),
        lambda: os.rename(tmp_path / "out", tmp_path / "in" / "out"),
    ):
        with pytest.raises(AssertionError, match="writes outside"), fuzzing.held(tmp_path / "in"):
            act()
    with fuzzing.held(tmp_path / "in"):
        (tmp_path / "in" / "a").write_text("x")
        (tmp_path / "in" / "b").mkdir()
        (tmp_path / "in" / "b" / "c").write_text("x")
        shutil.rmtree(tmp_path / "in" / "b")
    (tmp_path / "dir" / "c").write_text("x")
    with pytest.raises(AssertionError, match=r"os\.remove .*/dir/c"), fuzzing.held(tmp_path / "in"):
        shutil.rmtree(tmp_path / "dir")


def test_what_takes_memory_or_time_is_found(tmp_path):
    with pytest.raises(AssertionError, match="MB of memory"), fuzzing.held(tmp_path, memory_bytes=100 << 20):
        np.ones(20 << 20)
    with pytest.raises(AssertionError, match="of processor time"), fuzzing.held(tmp_path, cpu_s=0.01):
        sum(range(10_000_000))
