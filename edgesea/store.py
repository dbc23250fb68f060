"""The embedding store: rows of named arrays on disk, in shards.

A store is a folder with `store.json`, which says what it was made from, and `shard-000000.arrow` onwards,
Arrow IPC files that are mapped into memory when read: neither writing nor reading grows with the domain. A
shard appears whole or not at all, so a killed writer goes on with the first shard that is missing.

A column holds one scalar a row, or one array of the same shape a row (an embedding, a patch, a waveform),
of at least one value.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from edgesea import files
from edgesea.errors import EdgeseaError, UsageError


class Store:
    """A folder of shards.

    folder : Path
    made_from : mapping of JSON values; what the rows are a function of. A folder that was made from something
        else is refused with `UsageError`, and never mixed into.
    """

    def __init__(self, folder: Path | str, made_from: Mapping):
        self.folder = Path(folder)
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

    @classmethod
    def open(cls, folder: Path | str) -> "Store":
        """The store in `folder`, whatever it was made from."""
        description = Path(folder) / "store.json"
        if not description.is_file():
            raise UsageError(f"There is no store in {folder}: make one with `edgesea embed`.")
        return cls(folder, _description(description)["made_from"])

    def has(self, shard: int) -> bool:
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
        for cached in ("shards", "_offsets"):
            self.__dict__.pop(cached, None)

    @cached_property
    def shards(self) -> tuple["Shard", ...]:
        """The shards there are, in order.

        Raises `EdgeseaError` where one is damaged, or missing before another.
        """
        paths = sorted(self.folder.glob("shard-*.arrow"))
        for number, path in enumerate(paths):
            if path != self._path(number):
                raise EdgeseaError(f"The store {self.folder} lacks {self._path(number).name}: run again.")
        return tuple(Shard(path) for path in paths)

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

    def rows(self, name: str, indices: Sequence[int]) -> np.ndarray:
        """The rows `indices` of a column, in that order: (len(indices), ...)."""
        indices = np.asarray(indices, np.int64)
        order = np.argsort(indices, kind="stable")
        ranked = indices[order]
        edges = np.searchsorted(ranked, self._offsets)
        out = None
        for shard in np.flatnonzero(np.diff(edges)):
            here = slice(edges[shard], edges[shard + 1])
            values = self.shards[shard][name][ranked[here] - self._offsets[shard]]
            if out is None:
                out = np.empty((len(indices), *values.shape[1:]), values.dtype)
            out[order[here]] = values
        if out is None:
            raise EdgeseaError(f"No rows of {name!r} were asked for.")
        return out

    def _path(self, shard: int) -> Path:
        return self.folder / f"shard-{shard:06d}.arrow"


class Shard:
    """One file of a store, mapped into memory: `shard['embedding']` is a read-only array (rows, ...)."""

    def __init__(self, path: Path):
        self._columns: dict[str, np.ndarray] = {}
        try:
            reader = pa.ipc.open_file(pa.memory_map(str(path)))
            self._batch = reader.get_batch(0)
            self.notes = json.loads(reader.schema.metadata[b"notes"])
        except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as error:
            raise EdgeseaError(f"The shard {path} is damaged ({error}): delete it and run again.") from error

    def __len__(self) -> int:
        return self._batch.num_rows

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._columns:
            self._columns[name] = self._read(name)
        return self._columns[name]

    def _read(self, name: str) -> np.ndarray:
        column = self._batch.column(self._batch.schema.get_field_index(name))
        shape = json.loads(self._batch.schema.field(name).metadata[b"shape"])
        if pa.types.is_string(column.type):
            return np.array(column.to_pylist(), dtype=str)
        if shape:
            column = column.flatten()
        return column.to_numpy(zero_copy_only=True).reshape(-1, *shape)


def _description(path: Path) -> dict:
    from edgesea.formats import door
    from edgesea.formats.store import LARGEST, StoreDescription

    remedy = "delete the folder and run again"
    return door.read_json(path, StoreDescription, largest=LARGEST, remedy=remedy).model_dump()
