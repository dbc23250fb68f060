"""A store's rows in one file that other programs read: Parquet, NumPy's .npz, CSV.

Columns are path, start (s), level_db (dB) and embedding; in CSV one column a dimension, embedding_0 and on.
The file is written shard by shard, so it may be larger than memory. Arrow is the store itself: each of its
shards is an Arrow IPC file.
"""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from edgesea import files
from edgesea.errors import UsageError
from edgesea.store import Shard, Store

COLUMNS = ("path", "start", "level_db", "embedding")


def check(form: str) -> None:
    """Refuses a format that there is not."""
    if form not in FORMATS:
        raise UsageError(f"Received --format {form}: choose one of {', '.join(FORMATS)}.")


def write(store: Store, form: str, seconds: float) -> Path | None:
    """Writes all rows of a store as a file beside its shards, whole or not at all.

    form : one of `FORMATS`
    seconds : of a frame, kept in the file where it has a place for it

    Returns the file; None for arrow.
    """
    check(form)
    writer = FORMATS[form]
    if writer is None:
        return None
    target = store.folder / f"embeddings.{form}"
    with files.replacing(target) as temporary:
        writer(store, Path(temporary), seconds)
    return target


def _parquet(store: Store, path: Path, seconds: float) -> None:
    from pyarrow import parquet

    def tables() -> Iterator[pa.Table]:
        for shard in store.shards:
            embedding = np.asarray(shard["embedding"])
            values = pa.FixedSizeListArray.from_arrays(pa.array(embedding.reshape(-1)), embedding.shape[1])
            table = pa.table(_said(shard) | {"embedding": values})
            yield table.replace_schema_metadata({"seconds": json.dumps(seconds)})

    _written(tables(), lambda schema: parquet.ParquetWriter(path, schema, compression="zstd"))


def _csv(store: Store, path: Path, seconds: float) -> None:
    from pyarrow import csv

    def tables() -> Iterator[pa.Table]:
        for shard in store.shards:
            embedding = np.asarray(shard["embedding"], np.float32)
            values = {f"embedding_{k}": pa.array(embedding[:, k]) for k in range(embedding.shape[1])}
            yield pa.table(_said(shard) | values)

    _written(tables(), lambda schema: csv.CSVWriter(path, schema))


def _said(shard: Shard) -> dict[str, pa.Array]:
    """The columns of a shard that say where its rows are from."""
    held = {name: pa.array(shard[name]) for name in ("start", "level_db")}
    return {"path": pa.array(shard["path"].tolist(), pa.string()), **held}


def _written(tables: Iterator[pa.Table], opened: Callable) -> None:
    writer = None
    try:
        for table in tables:
            writer = writer or opened(table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def _npz(store: Store, path: Path, seconds: float) -> None:
    """One .npy after the other, each of all shards; nothing is pickled."""
    longest = max((shard["path"].dtype.itemsize for shard in store.shards if len(shard)), default=4)
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        for name in COLUMNS:
            first = next(shard[name] for shard in store.shards if len(shard))
            kind = np.dtype(f"<U{longest // 4}") if name == "path" else first.dtype
            header = {
                "descr": np.lib.format.dtype_to_descr(kind),
                "fortran_order": False,
                "shape": (len(store), *first.shape[1:]),
            }
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                for shard in store.shards:
                    if len(shard):
                        member.write(np.ascontiguousarray(shard[name], kind).tobytes())
        with archive.open("seconds.npy", "w") as member:
            np.lib.format.write_array(member, np.float64(seconds), allow_pickle=False)


FORMATS: dict[str, Callable[[Store, Path, float], None] | None] = {
    "arrow": None,
    "parquet": _parquet,
    "npz": _npz,
    "csv": _csv,
}
