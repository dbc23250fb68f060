"""The embedding store: rows of named arrays on disk, in shards.

A store is a folder with `store.json`, which says what it was made from, and `shard-000000.arrow` onwards,
Arrow IPC files that are mapped into memory when read: neither writing nor reading grows with the domain. A
shard appears whole or not at all, so a killed writer goes on with the first shard that is missing.

A store may come from a stranger: description, schema and notes are checked when they are read, and no buffer
is followed that does not lie within its file. All shards have the same columns.

A column holds one scalar a row, or one array of the same shape a row (an embedding, a patch, a waveform),
of at least one value.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from edgesea import files
from edgesea.errors import EdgeseaError, UsageError

LARGEST_DESCRIPTION = 16 << 20
_LARGEST_NOTES = 64 << 20
_MOST_DIMENSIONS = 8
_NOTES = {"skipped": 2, "in_part": 2, "ended": 3, "bad": 3}  # rows of so many fields


class Store:
    """A folder of shards.

    folder : Path
    made_from : mapping of JSON values; what the rows are a function of. A folder that was made from something
        else is refused with `UsageError`, and never mixed into.
    shared : a folder of stores that others use too, each under a hash of what it was made from: shards that
        one has are taken from there, and new ones left there. Files are linked, not copied, where they can be
    """

    def __init__(self, folder: Path | str, made_from: Mapping, shared: Path | str | None = None):
        self.folder = Path(folder)
        self._shared: Store | None = None
        self.made_from = json.loads(json.dumps(made_from))
        description = self.folder / "store.json"
        if description.exists():
            held = _description(description)
            if held["made_from"] != self.made_from:
                name = next(
                    key
                    for key in sorted({*held["made_from"], *self.made_from})
                    if held["made_from"].get(key) != self.made_from.get(key)
                )
                raise UsageError(
                    f"The store {self.folder} was made with another {name}: choose another folder, "
                    "or delete it."
                )
        else:
            if not files.free(self.folder):
                raise UsageError(
                    f"The folder {self.folder} is not empty and not a store: choose another folder."
                )
            files.write_json(description, {"format": 1, "made_from": self.made_from})
        if shared is not None:
            self._shared = Store(Path(shared) / address(self.made_from), self.made_from)

    @classmethod
    def open(cls, folder: Path | str) -> "Store":
        """The store in `folder`, whatever it was made from."""
        description = Path(folder) / "store.json"
        if not description.is_file():
            raise UsageError(f"There is no store in {folder}: make one with `edgesea embed`.")
        return cls(folder, _description(description)["made_from"])

    def has(self, shard: int) -> bool:
        """Whether a shard is written; one that the shared store has is taken from there first."""
        if not self._path(shard).exists() and self._shared is not None and self._shared.has(shard):
            self._take(self._shared._path(shard), self._path(shard))
        return self._path(shard).exists()

    def write(self, shard: int, columns: Mapping[str, np.ndarray], notes: Mapping | None = None) -> None:
        """Writes one shard, whole or not at all.

        columns : name -> array (rows, ...); numbers of any type, or text (rows,). Any number of rows, also 0.
        notes : JSON values kept beside the rows (which files were set aside, and why).
        """
        fields, arrays = [], []
        for name, values in columns.items():
            values = np.ascontiguousarray(values)
            if values.dtype.kind in "UO":
                array, shape = pa.array(values.tolist(), pa.string()), []
            else:
                array, shape = pa.array(values.reshape(-1)), list(values.shape[1:])
                if shape:
                    array = pa.FixedSizeListArray.from_arrays(array, int(np.prod(shape)))
            arrays.append(array)
            fields.append(pa.field(name, array.type, metadata={"shape": json.dumps(shape)}))
        schema = pa.schema(fields, metadata={"notes": json.dumps(dict(notes or {}))})
        with (
            files.replacing(self._path(shard)) as temporary,
            # OSFile, not the default buffered stream: an error of the disk surfaces here.
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, schema) as writer,
        ):
            writer.write_batch(pa.record_batch(arrays, schema=schema))
        self._forget()
        if self._shared is not None and not self._shared.has(shard):
            self._take(self._path(shard), self._shared._path(shard))

    def _take(self, source: Path, target: Path) -> None:
        """The same shard at another place, whole or not at all."""
        with files.replacing(target) as temporary:
            Path(temporary).unlink(missing_ok=True)
            try:
                os.link(source, temporary)
            except OSError:  # another disk, or one that has no links
                shutil.copyfile(source, temporary)
        self._forget()

    def _forget(self) -> None:
        for cached in ("shards", "_offsets"):
            self.__dict__.pop(cached, None)

    def shard(self, number: int) -> "Shard":
        """One shard, whichever of the others are there."""
        return Shard(self._path(number))

    @cached_property
    def shards(self) -> tuple["Shard", ...]:
        """The shards there are, in order.

        Raises `EdgeseaError` where one is damaged, or missing before another.
        """
        paths = sorted(self.folder.glob("shard-*.arrow"))
        for number, path in enumerate(paths):
            if path != self._path(number):
                raise EdgeseaError(f"The store {self.folder} lacks {self._path(number).name}: run again.")
        shards = tuple(Shard(path) for path in paths)
        for shard in shards[1:]:
            if shard.layout != shards[0].layout:
                raise EdgeseaError(
                    f"The shard {shard.path} has other columns than {shards[0].path.name}: delete it and run "
                    "again."
                )
        return shards

    @cached_property
    def _offsets(self) -> np.ndarray:
        return np.concatenate([[0], np.cumsum([len(shard) for shard in self.shards])]).astype(np.int64)

    def __len__(self) -> int:
        """Rows in all shards."""
        return int(self._offsets[-1])

    def column(self, name: str) -> np.ndarray:
        """All rows of a column in one array: for scalars, or where the caller knows that they fit."""
        parts = [shard[name] for shard in self.shards if len(shard)]
        if not parts:
            raise EdgeseaError(f"The store {self.folder} holds no rows.")
        return np.concatenate(parts)

    def rows(self, name: str, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The rows `indices` of a column, in that order: (len(indices), ...)."""
        wanted = np.asarray(indices, np.int64)
        order = np.argsort(wanted, kind="stable")
        ranked = wanted[order]
        edges = np.searchsorted(ranked, self._offsets)
        out = None
        for shard in np.flatnonzero(np.diff(edges)):
            here = slice(edges[shard], edges[shard + 1])
            values = self.shards[shard][name][ranked[here] - self._offsets[shard]]
            if out is None:
                out = np.empty((len(wanted), *values.shape[1:]), values.dtype)
            out[order[here]] = values
        if out is None:
            raise EdgeseaError(f"No rows of {name!r} were asked for.")
        return out

    def _path(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:06d}.arrow"


def address(made_from: Mapping) -> str:
    """The name of a shared store: a hash of what it was made from."""
    text = json.dumps(made_from, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Shard:
    """One file of a store, mapped into memory: `shard['embedding']` is a read-only array (rows, ...)."""

    def __init__(self, path: Path):
        self.path = path
        self._columns: dict[str, np.ndarray] = {}
        try:
            self._batch = _whole_batch(path)
            self.notes = _notes(self._batch.schema)
            self.layout = {field.name: _layout(field) for field in self._batch.schema}
            if len(self.layout) != len(self._batch.schema):
                raise ValueError("a column is there twice")
        except (pa.ArrowException, OSError, KeyError, TypeError, ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise EdgeseaError(f"The shard {path} is damaged ({reason}): delete it and run again.") from error

    def __len__(self) -> int:
        return self._batch.num_rows

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._columns:
            self._columns[name] = self._read(name)
        return self._columns[name]

    def _read(self, name: str) -> np.ndarray:
        if name not in self.layout:
            raise NoColumn(
                f"The shard {self.path} has no column {name!r}: it was made for something else, or with "
                "another version; choose another folder."
            )
        column = self._batch.column(self._batch.schema.get_field_index(name))
        _, shape = self.layout[name]
        if pa.types.is_string(column.type):
            return np.array(column.to_pylist(), dtype=str)
        if shape:
            column = column.flatten()
        return column.to_numpy(zero_copy_only=True).reshape(-1, *shape)


class NoColumn(EdgeseaError, KeyError):
    """A column that a shard does not have."""

    __str__ = EdgeseaError.__str__


def _whole_batch(path: Path) -> pa.RecordBatch:
    """The one batch of a shard, every buffer of which lies within the file."""
    reader = pa.ipc.open_file(pa.memory_map(str(path)))
    if reader.num_record_batches != 1:
        raise ValueError(f"it holds {reader.num_record_batches} batches instead of one")
    before = pa.total_allocated_bytes()
    batch = reader.get_batch(0)
    if pa.total_allocated_bytes() - before > 1 << 20:
        raise ValueError("it is compressed")
    batch.validate(full=True)
    return batch


def _layout(field: pa.Field) -> tuple[str, tuple[int, ...]]:
    """Type and shape of a column's rows; ValueError for what `Store.write` does not write."""
    shape = json.loads(field.metadata[b"shape"]) if field.metadata else None
    if (
        not isinstance(shape, list)
        or len(shape) > _MOST_DIMENSIONS
        or not all(type(side) is int and side > 0 for side in shape)
    ):
        raise ValueError(f"the column {field.name!r} has no shape")
    kind, count = field.type, 1
    if pa.types.is_fixed_size_list(kind):
        kind, count = kind.value_type, kind.list_size
    scalar = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    text = pa.types.is_string(field.type) and not shape
    if not (scalar or text) or math.prod(shape) != count or bool(shape) != (field.type != kind):
        raise ValueError(f"the column {field.name!r} has a type or shape that is not written here")
    return str(field.type), tuple(shape)


def _notes(schema: pa.Schema) -> dict:
    text = schema.metadata[b"notes"]
    notes = json.loads(text) if len(text) <= _LARGEST_NOTES else None
    if not isinstance(notes, dict):
        raise ValueError("its notes are none")
    for name, fields in _NOTES.items():
        rows = notes.get(name, [])
        if not isinstance(rows, list) or not all(isinstance(r, list) and len(r) == fields for r in rows):
            raise ValueError(f"its notes on {name} are none")
        for row in rows:
            if not all(_fits(value, name, k) for k, value in enumerate(row)):
                raise ValueError(f"its notes on {name} are none")
    return notes


def _fits(value: Any, name: str, place: int) -> bool:
    """Whether a note's field is what `embed` writes: text, but for clip numbers, seconds and counts."""
    numeric = (name == "ended" and place == 0) or (name == "bad" and place > 0)
    if numeric:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and 0 <= value <= 1e12
    return isinstance(value, str)


def _description(path: Path) -> dict:
    from edgesea.formats import door
    from edgesea.formats.store import LARGEST, StoreDescription

    remedy = "delete the folder and run again"
    return door.read_json(path, StoreDescription, largest=LARGEST, remedy=remedy).model_dump()
