"""The embedding store: shards that are whole or absent, rows in order, never two origins in one folder."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesea import files
from edgesea.errors import EdgeseaError, UsageError
from edgesea.store import Store


def columns(first, n):
    rows = np.arange(first, first + n)
    return {
        "clip": rows.astype(np.int32),
        "start": rows / 4,
        "embedding": np.stack([rows, -rows], axis=1).astype(np.float32).reshape(n, 2),
        "patch": (rows[:, None, None, None] * np.ones((1, 3, 2, 1))).astype(np.float16),
    }


def filled(folder, sizes=(3, 0, 2)):
    store = Store(folder, {"teacher": "t"})
    first = 0
    for number, size in enumerate(sizes):
        store.write(number, columns(first, size), {"skipped": [[f"{number}.wav", "silent"]]})
        first += size
    return store


def test_what_is_written_is_read_back(tmp_path):
    filled(tmp_path / "s")
    store = Store.open(tmp_path / "s")
    assert len(store) == 5
    assert [len(shard) for shard in store.shards] == [3, 0, 2]
    assert [shard.notes["skipped"][0][0] for shard in store.shards] == ["0.wav", "1.wav", "2.wav"]
    for name, expected in columns(0, 5).items():
        read = store.column(name)
        assert read.dtype == expected.dtype
        np.testing.assert_array_equal(read, expected)


def test_text_and_every_kind_of_number(tmp_path):
    given_columns = {
        "text": np.array(["dog", "Straße", ""]),
        **{name: np.arange(3).astype(name) for name in ("int8", "uint16", "int64", "float16", "float64")},
        "plane": np.arange(12, dtype=np.int16).reshape(3, 2, 2)[:, ::-1],  # not contiguous
    }
    store = Store(tmp_path / "s", {})
    store.write(0, given_columns)
    for name, expected in given_columns.items():
        np.testing.assert_array_equal(store.column(name), expected)
        assert store.column(name).dtype == expected.dtype


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=5), st.data())
def test_rows_come_in_the_order_asked_for(tmp_path_factory, sizes, data):
    store = filled(tmp_path_factory.mktemp("store") / "s", sizes)
    total = sum(sizes)
    assert len(store) == total
    if total:
        wanted = data.draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=12))
        np.testing.assert_array_equal(store.rows("clip", wanted), wanted)
        assert store.rows("patch", wanted).shape == (len(wanted), 3, 2, 1)
        np.testing.assert_array_equal(store.rows("embedding", wanted)[:, 1], -np.array(wanted))


def test_a_shard_is_mapped_and_not_copied(tmp_path):
    shard = filled(tmp_path / "s").shards[0]
    assert not shard["embedding"].flags.writeable
    assert shard["embedding"] is shard["embedding"]
    before = pa.total_allocated_bytes()
    assert shard["patch"].sum() > 0
    assert pa.total_allocated_bytes() == before


def test_a_store_of_nothing(tmp_path):
    store = Store(tmp_path / "s", {})
    assert len(store) == 0
    assert store.shards == ()
    with pytest.raises(EdgeseaError, match="holds no rows"):
        store.column("clip")
    with pytest.raises(EdgeseaError, match="No rows of 'clip' were asked for"):
        store.rows("clip", [])


def test_a_killed_writer_goes_on_with_the_first_missing_shard(tmp_path, monkeypatch):
    store = filled(tmp_path / "s", (3,))

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write(1, columns(3, 2))
    monkeypatch.undo()
    again = Store(tmp_path / "s", {"teacher": "t"})
    assert [again.has(number) for number in (0, 1)] == [True, False]
    assert len(again) == 3
    again.write(1, columns(3, 2))
    np.testing.assert_array_equal(again.column("clip"), np.arange(5))


def test_leftovers_of_killed_writes_are_no_obstacle_and_no_shard(tmp_path):
    folder = tmp_path / "s"
    folder.mkdir()
    (folder / ".store-a1b2c3_4.json").write_text("{")
    store = Store(folder, {"teacher": "t"})
    (folder / ".shard-000000-abcdefgh.arrow").write_bytes(b"half")
    assert len(store) == 0
    assert not store.has(0)
    store.write(0, columns(0, 2))
    assert len(store) == 2
    assert sorted(each.name for each in folder.iterdir()) == ["shard-000000.arrow", "store.json"]


def test_another_origin_is_refused_by_name(tmp_path):
    Store(tmp_path / "s", {"teacher": "t", "hop": 0.5})
    Store(tmp_path / "s", {"teacher": "t", "hop": 0.5})
    with pytest.raises(UsageError, match=r"The store .*s was made with another hop: choose another folder"):
        Store(tmp_path / "s", {"teacher": "t", "hop": 0.25})
    with pytest.raises(UsageError, match="another frontend"):
        Store(tmp_path / "s", {"teacher": "t", "hop": 0.5, "frontend": {"mels": 64}})


def test_other_folders_are_refused(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    (tmp_path / "file").write_text("x")
    for name in ("photos", "file"):
        with pytest.raises(UsageError, match="is not empty and not a store: choose another folder"):
            Store(tmp_path / name, {})
    assert [each.name for each in (tmp_path / "photos").iterdir()] == ["cat.jpg"]
    with pytest.raises(UsageError, match=r"There is no store in .*: make one with `edgesea embed`"):
        Store.open(tmp_path / "photos")


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 2, "made_from": {}}', '{"format": 1}'])
def test_a_damaged_description_is_named(tmp_path, content):
    filled(tmp_path / "s")
    (tmp_path / "s" / "store.json").write_text(content)
    with pytest.raises(EdgeseaError, match=r"store\.json"):
        Store.open(tmp_path / "s")


@pytest.mark.parametrize("damage", ["empty", "half", "noise", "other"])
def test_a_damaged_shard_is_named(tmp_path, damage):
    filled(tmp_path / "s")
    path = tmp_path / "s" / "shard-000002.arrow"
    content = path.read_bytes()
    if damage == "other":  # an Arrow file, but none of ours
        with pa.ipc.new_file(str(path), pa.schema([("a", pa.int8())])) as writer:
            writer.write_batch(pa.record_batch([pa.array([1], pa.int8())], names=["a"]))
    else:
        noise = np.random.default_rng(0).bytes(len(content))
        path.write_bytes({"empty": b"", "half": content[: len(content) // 2], "noise": noise}[damage])
    with pytest.raises(EdgeseaError, match=r"The shard .*shard-000002\.arrow is damaged \(.*\): delete it"):
        len(Store.open(tmp_path / "s"))


def test_a_missing_shard_is_named_and_rows_do_not_shift(tmp_path):
    store = filled(tmp_path / "s", (2, 2, 2))
    (tmp_path / "s" / "shard-000001.arrow").unlink()
    with pytest.raises(EdgeseaError, match=r"lacks shard-000001\.arrow: run again"):
        Store.open(tmp_path / "s").column("clip")
    again = Store(tmp_path / "s", store.made_from)
    again.write(1, columns(2, 2))
    np.testing.assert_array_equal(again.column("clip"), np.arange(6))


def test_made_from_is_compared_as_json(tmp_path):
    Store(tmp_path / "s", {"split": (0.7, 0.3)})
    assert Store(tmp_path / "s", {"split": [0.7, 0.3]}).made_from == {"split": [0.7, 0.3]}
    assert json.loads((tmp_path / "s" / "store.json").read_text())["format"] == 1
