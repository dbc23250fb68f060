"""Stores, arrays and tables from strangers, full disks: a sentence with the file's name each."""

import contextlib
import errno
import io
import json
import os
import resource
import subprocess
import sys
import tracemalloc
import zipfile

import fuzzing
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesea import datasets, files
from edgesea.errors import EdgeseaError, UsageError, UserError
from edgesea.store import Store

QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def filled(folder, shards=2):
    store = Store(folder, {"teacher": "t"})
    for number in range(shards):
        store.write(number, {"clip": np.arange(3, dtype=np.int32), "embedding": np.ones((3, 4), np.float32)})
    return store


def shard(
    path, array, metadata=("shape", "[4]"), notes='{"skipped": []}', name="embedding", batches=1, **how
):
    """Writes one shard by hand."""
    field = pa.field(name, array.type, metadata=dict([metadata]) if metadata else None)
    schema = pa.schema([field], metadata={"notes": notes} if notes is not None else None)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, **how) as writer:
        for _ in range(batches):
            writer.write_batch(pa.record_batch([array], schema=schema))


FOURS = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(12, np.float32)), 4)
ZSTD = {"options": pa.ipc.IpcWriteOptions(compression="zstd")}
STRANGE = {
    # what is written as the only shard: what is said of it
    "no_shape": ((FOURS, None), {}),
    "wrong_shape": ((FOURS, ("shape", "[5]")), {}),
    "vast_shape": ((FOURS, ("shape", "[1099511627776, 1099511627776]")), {}),
    "negative_shape": ((FOURS, ("shape", "[-2, -2]")), {}),
    "deep_shape": ((FOURS, ("shape", "[" * 100_000)), {}),
    "text_shape": ((FOURS, ("shape", '["4"]')), {}),
    "no_notes": ((FOURS,), {"notes": None}),
    "list_notes": ((FOURS,), {"notes": "[]"}),
    "deep_notes": ((FOURS,), {"notes": "[" * 100_000}),
    "strange_notes": ((FOURS,), {"notes": '{"skipped": [[1, {}]]}'}),
    "other_type": ((pa.array([[1.0], [2.0, 3.0]]),), {}),
    "scalar_as_list": ((pa.array([1.0, 2.0]),), {}),
    "dictionary": ((pa.array(["a", "b"]).dictionary_encode(), ("shape", "[]")), {}),
    "two_batches": ((FOURS,), {"batches": 2}),
    "no_batch": ((FOURS,), {"batches": 0}),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_a_strange_shard_is_named(tmp_path, kind):
    Store(tmp_path / "s", {})
    arguments, more = STRANGE[kind]
    shard(tmp_path / "s" / "shard-000000.arrow", *arguments, **more)
    with pytest.raises(EdgeseaError) as caught:
        len(Store.open(tmp_path / "s"))
    said = str(caught.value)
    assert said.startswith(f"The shard {tmp_path}/s/shard-000000.arrow is damaged (")
    assert said.endswith("): delete it and run again.")
    assert len(said) < 500


def test_a_shard_that_unfolds_is_refused(tmp_path):
    Store(tmp_path / "s", {})
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(4 << 20, np.float32)), 4)
    path = tmp_path / "s" / "shard-000000.arrow"
    shard(path, zeros, **ZSTD)
    assert path.stat().st_size < 100_000
    with pytest.raises(EdgeseaError, match="it is compressed"):
        len(Store.open(tmp_path / "s"))


def test_shards_with_other_columns(tmp_path):
    filled(tmp_path / "s")
    shard(tmp_path / "s" / "shard-000002.arrow", FOURS)
    with pytest.raises(EdgeseaError, match=r"shard-000002\.arrow has other columns than shard-000000\.arrow"):
        Store.open(tmp_path / "s").column("clip")


def test_a_missing_column_names_the_shard(tmp_path):
    with pytest.raises(
        EdgeseaError, match=r"The shard .*shard-000000\.arrow has no column 'patch'"
    ) as caught:
        filled(tmp_path / "s").column("patch")
    assert str(caught.value).startswith("The shard ")


@pytest.mark.parametrize(
    "content", ["[" * 200_000, '{"format": 1, "made_from": ' + '{"a":' * 50_000, "9" * 9999]
)
def test_a_deep_description(tmp_path, content):
    filled(tmp_path / "s")
    (tmp_path / "s" / "store.json").write_text(content)
    with pytest.raises(EdgeseaError, match=r"store\.json") as caught:
        Store.open(tmp_path / "s")
    assert len(str(caught.value)) < 500


# Arrays


def member(shape: str, data: bytes = b"", dtype: str = "<f4") -> bytes:
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def npz(path, content: bytes, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("rows.npy", content)
    return path


@pytest.mark.parametrize(
    "shape", ["(200000000000,)", "(2, 100000000000)", "(4294967296, 4294967296)", "(-1,)", "(5,)", "(3,)"]
)
def test_an_array_that_claims_what_is_not_there(tmp_path, shape):
    """800 GB, more than 64 bits hold, less than nothing, a byte more or less."""
    path = npz(tmp_path / "a.npz", member(shape, bytes(16)))
    tracemalloc.start()
    with pytest.raises(
        ValueError, match=r"its array 'rows\.npy' says that it has another size than is there"
    ):
        files.read_arrays(path)
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_a_header_that_is_no_python(tmp_path):
    whole = member("(4,)", bytes(16))
    for damaged in (
        whole.replace(b"}", b"("),
        whole.replace(b"(4,)", b"\0\0\0\0"),
        whole.replace(b"'", b'"""', 1),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - Python's own words, whichever they are
            files.read_arrays(npz(tmp_path / "a.npz", damaged))


def test_an_archive_that_unfolds_is_refused(tmp_path):
    path = npz(tmp_path / "a.npz", member("(4000000,)", bytes(16_000_000)), zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 100_000
    with pytest.raises(ValueError, match="claims 16000128 bytes of arrays, and at most 1000000 are read"):
        files.read_arrays(path, most_bytes=1_000_000)
    assert files.read_arrays(path)["rows"].shape == (4_000_000,)


def test_objects_are_not_read(tmp_path):
    np.savez(tmp_path / "a.npz", rows=np.array([{}], object))
    with pytest.raises(ValueError):  # noqa: PT011 - numpy's own words
        files.read_arrays(tmp_path / "a.npz")


def test_whole_arrays_are_read(tmp_path):
    given_arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.array(["x", "yy"]),
        "c": np.int8(3),
        "d": np.zeros(0),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **given_arrays)
        read = files.read_arrays(tmp_path / "a.npz")
        assert all(np.array_equal(read[name], value) for name, value in given_arrays.items())


# Full disks


def test_a_full_disk_names_the_file(tmp_path):
    for number, words in ((errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "your share of the disk")):
        with pytest.raises(UserError) as caught, files.replacing(tmp_path / "a"):
            raise OSError(number, os.strerror(number))
        assert str(caught.value).startswith(f"Cannot write {tmp_path}/a, {words}")
        assert str(caught.value).endswith("and run again.")
    with pytest.raises(UserError, match="the disk is full"), files.replacing(tmp_path / "a"):
        raise RuntimeError("Can't flush file (errno = 28, error message = 'No space left on device')")
    with (
        pytest.raises(UserError, match=r"Ran out of memory while .*/a was made"),
        files.replacing(tmp_path / "a"),
    ):
        raise MemoryError
    with pytest.raises(OSError, match="Permission"), files.replacing(tmp_path / "a"):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", ["bytes", "store"])
def test_a_limit_of_the_system_names_the_file(tmp_path, what):
    """In a process of its own, whose files may not become large."""
    statement = {
        "bytes": "files.write_bytes(sys.argv[1] + '/a.bin', bytes(1 << 20))",
        "store": "Store(sys.argv[1], {}).write(0, {'x': np.zeros(1 << 20)})",
    }[what]
    program = (
        "import sys, numpy as np\nfrom edgesea import files\nfrom edgesea.store import Store\n"
        f"from edgesea.errors import UserError\ntry: {statement}\n"
        "except UserError as error: print(error)\n"
    )
    limit = (100_000, 100_000)
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "s"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        capture_output=True,
        text=True,
    )
    name = {"bytes": "a.bin", "store": "shard-000000.arrow"}[what]
    assert done.stdout == (
        f"Cannot write {tmp_path}/s/{name}, files may not become that large here: lift the limit "
        "(`ulimit -f`) or take another disk, and run again.\n"
    ), done.stderr


# Fuzzing


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "s"
    filled(folder, 1)
    with io.BytesIO() as held:
        np.savez(held, rows=np.arange(10), more=np.ones((2, 2), np.float32))
        arrays = held.getvalue()
    return {
        "store.json": (folder / "store.json").read_bytes(),
        "shard-000000.arrow": (folder / "shard-000000.arrow").read_bytes(),
        "a.npz": arrays,
    }


changes = st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=8)), max_size=6)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=10,
)
descriptions = json_values.map(json.dumps) | st.fixed_dictionaries(
    {"format": st.just(1), "made_from": json_values}
).map(json.dumps)


def _is_read_or_named(folder, parts, name, changed, cut, text) -> None:
    held = folder / "s"
    held.mkdir(exist_ok=True)
    for each, whole in parts.items():
        content = bytearray(whole)
        if each == name:
            for at, replacement in changed:
                at %= len(content)
                content[at : at + len(replacement)] = replacement
            content = text.encode() if text is not None and name == "store.json" else content[:cut]
        (held / each).write_bytes(content)
    with fuzzing.held(folder):
        try:
            store = Store.open(held)
            assert len(store) >= 0
            for column in ("clip", "embedding"):
                store.column(column)
        except EdgeseaError as error:
            fuzzing.is_a_sentence(error, str(held))
        with contextlib.suppress(ValueError, OSError):
            files.read_arrays(held / "a.npz")
    assert {each.name for each in held.iterdir()} == set(parts)


given_mutants = given(
    st.sampled_from(["store.json", "shard-000000.arrow", "a.npz"]),
    changes,
    st.none() | st.integers(0, 5000),
    st.none() | descriptions,
)


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given_mutants
def test_mutants_of_a_store(tmp_path, parts, name, changed, cut, text):
    _is_read_or_named(tmp_path, parts, name, changed, cut, text)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=QUIET)
@given_mutants
def test_many_mutants_of_a_store(tmp_path, parts, name, changed, cut, text):
    _is_read_or_named(tmp_path, parts, name, changed, cut, text)


fields = st.sampled_from(
    [
        "a.wav",
        "",
        "1e308",
        "-1",
        "nan",
        "0.5",
        "a\\b.wav",
        "x" * 5000,
        "\x1b[2J",
        "\u202e",
        "2024-05-01",
        "\0",
        '"',
    ]
) | st.text(max_size=12)
lines = st.lists(fields, max_size=6).map(",".join)
header = st.sampled_from(
    [
        "path",
        "path,start,end",
        "path;start",
        "path\tend",
        "path,fold,level_db,timestamp",
        "path,labels,sensor",
    ]
) | st.text(max_size=20)


def _table_is_read_or_named(folder, head, body) -> None:
    path = folder / "data.csv"
    path.write_bytes("\n".join([head, *body]).encode("utf-8", "surrogatepass"))
    (folder / "a.wav").touch()
    with fuzzing.held(folder):
        try:
            assert len(datasets.load(path))
        except UsageError as error:
            fuzzing.is_a_sentence(error, str(path))


@settings(max_examples=200, deadline=None, suppress_health_check=QUIET)
@given(header, st.lists(lines, max_size=4))
def test_strange_tables(tmp_path, head, body):
    _table_is_read_or_named(tmp_path, head, body)


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None, suppress_health_check=QUIET)
@given(header, st.lists(lines, max_size=4))
def test_many_strange_tables(tmp_path, head, body):
    _table_is_read_or_named(tmp_path, head, body)
