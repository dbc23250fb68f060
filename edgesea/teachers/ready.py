"""Embeddings that were made before as a teacher: .npz, HDF5, Parquet or CSV, or a store of edgesea.

A file has a row a frame:
    path       the sound's file, as the dataset's folder sees it, or its name alone
    start      s of that file at which the frame begins
    embedding  n numbers; in CSV one column each, called embedding_0 and so on
and, in .npz and HDF5, `seconds`, the length of a frame; else --teacher-seconds says it.

It cannot hear: nothing that varies the sound can use it. The domain is cut at the file's own hop; a frame
that it has nothing for is dropped, and a sound that it has nothing for is set aside.
"""

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgesea import files
from edgesea.audio import BadAudio
from edgesea.errors import EdgeseaError, UsageError
from edgesea.recognise import Found
from edgesea.teacher import Teacher, TeacherOptions

# Seconds by which a frame may begin beside a row's start: rounding, at any rate.
_BESIDE_S = 0.002
# Hz of a frame's waveform, which nobody hears; the student's rate is what counts where it is higher.
_RATE = 8_000
_LARGEST = 1 << 34


def recognises(found: Found) -> bool:
    """Whether these are embeddings."""
    return found.kind in ("embeddings", "store")


def load(path: Path, options: TeacherOptions) -> "Ready":
    """The teacher that gives what is in a file."""
    kind = "store" if path.is_dir() else _kind(path)
    try:
        rows = _READERS[kind](path)
    except (UsageError, MemoryError):
        raise
    except Exception as error:  # Each library raises its own, of every kind.
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise EdgeseaError(f"Cannot read the embeddings {path} ({reason}): write them again.") from error
    return Ready(path, _checked(path, rows), options)


class Ready(Teacher):
    """See `edgesea.teacher.Teacher`.

    rows : path (N,) text, start (N,) s, embedding (N, n) float32, and seconds
    """

    waveforms = False

    def __init__(self, path: Path, rows: Mapping[str, np.ndarray], options: TeacherOptions):
        seconds = options.seconds or float(rows.get("seconds", 0.0))
        if not seconds > 0:
            raise UsageError(f"The embeddings {path} do not say how long a frame is: give --teacher-seconds.")
        self.name = path.stem
        self.sample_rate = options.sample_rate or _RATE
        self.samples = max(1, round(seconds * self.sample_rate))
        self.outputs = {"embedding": rows["embedding"].shape[1:]}
        self._path, self._rows = path, rows["embedding"]
        self._places = _places(rows["path"], rows["start"])
        self.hop = _hop(self._places) or seconds
        digest = hashlib.sha256(repr((self.samples, self.sample_rate)).encode())
        for name in ("path", "start", "embedding"):
            digest.update(np.ascontiguousarray(rows[name]).tobytes())
        self.fingerprint = digest.hexdigest()
        self.notes = (
            f"The embeddings {path.name} cannot hear: the domain is cut every {self.hop:g} s, as they are.",
        )

    def hear(self, waveforms: np.ndarray, wanted: Sequence[str] = ("embedding",)) -> dict[str, np.ndarray]:
        raise UsageError(f"The teacher {self.name} gives embeddings that were made before and cannot hear.")

    def recall(
        self, path: Path, starts: np.ndarray, wanted: Sequence[str] = ("embedding",)
    ) -> dict[str, np.ndarray]:
        """NaN for single frames that it has nothing for; `BadAudio` for a sound that it does not know."""
        found = self._of(path)
        if found is None:
            raise BadAudio(f"{self._path.name} has no embeddings of it", path)
        at, rows = found
        after = (
            np.clip(np.searchsorted(at, starts), 1, len(at) - 1)
            if len(at) > 1
            else np.zeros(len(starts), int)
        )
        before = np.maximum(after - 1, 0)
        near = np.where(np.abs(at[before] - starts) <= np.abs(at[after] - starts), before, after)
        values = self._rows[rows[near]].astype(np.float32)
        values[np.abs(at[near] - starts) > _BESIDE_S] = np.nan
        return {"embedding": values}

    def _of(self, path: Path) -> tuple[np.ndarray, np.ndarray] | None:
        """Starts and rows of a sound: the longest end of its path that the file has."""
        steps = path.parts
        return next(
            (held for k in range(len(steps)) if (held := self._places.get("/".join(steps[k:])))), None
        )


def _places(paths: np.ndarray, starts: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """path -> (starts in order, their rows)."""
    order = np.lexsort((starts, paths))
    ranked = paths[order]
    edges = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1], [True]]))
    return {
        str(ranked[first]).removeprefix("./"): (starts[order[first:last]], order[first:last])
        for first, last in itertools.pairwise(edges)
    }


def _hop(places: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> float | None:
    steps = [np.diff(starts) for starts, _ in places.values() if len(starts) > 1]
    return round(float(np.median(np.concatenate(steps))), 6) if steps else None


def _checked(path: Path, rows: Mapping) -> dict[str, np.ndarray]:
    """The same rows, of one length and of the types that they have to be."""
    for name in ("path", "start", "embedding"):
        if name not in rows:
            raise UsageError(f"The embeddings {path} lack the column `{name}`: see docs/teachers.md.")
    names = [
        each.decode() if isinstance(each, bytes) else str(each) for each in np.asarray(rows["path"]).tolist()
    ]
    start, embedding = np.asarray(rows["start"]), np.asarray(rows["embedding"])
    lengths = {len(names), len(start), len(embedding)}
    if (
        len(lengths) != 1
        or lengths == {0}
        or embedding.ndim != 2
        or not embedding.shape[1]
        or start.ndim != 1
    ):
        raise UsageError(
            f"The embeddings {path} have {len(names)} paths, {start.shape} starts and {embedding.shape} "
            "embeddings: there has to be one of each a frame."
        )
    if start.dtype.kind not in "iuf" or embedding.dtype.kind not in "iuf" or not np.isfinite(start).all():
        raise UsageError(
            f"The embeddings {path} have a start or values that are no numbers: write them again."
        )
    return {
        "path": np.array(names),
        "start": start.astype(np.float64),
        "embedding": embedding,
        **({"seconds": np.float64(np.asarray(rows["seconds"]).reshape(-1)[0])} if "seconds" in rows else {}),
    }


def _kind(path: Path) -> str:
    with open(path, "rb") as file:
        first = file.read(8)
    marks = {b"PK\x03\x04": "npz", b"PAR1": "parquet", b"\x89HDF": "hdf5"}
    return marks.get(first[:4], "csv")


def _npz(path: Path) -> dict:
    return files.read_arrays(path, _LARGEST)


def _hdf5(path: Path) -> dict:
    import h5py

    with h5py.File(path, "r") as file:
        held = {name: file[name] for name in ("path", "start", "embedding", "seconds") if name in file}
        if not all(isinstance(each, h5py.Dataset) and not each.external for each in held.values()):
            raise ValueError("a column is no array of this file")
        return {name: each[()] for name, each in held.items()}


def _parquet(path: Path) -> dict:
    import pyarrow.parquet as pq

    table = pq.read_table(path, memory_map=True)
    rows = {name: table.column(name).to_numpy() for name in ("path", "start") if name in table.column_names}
    if "embedding" in table.column_names:
        column = table.column("embedding").combine_chunks()
        rows["embedding"] = column.flatten().to_numpy().reshape(len(column), -1)
    elif columns := _numbered(table.column_names):
        rows["embedding"] = np.stack([table.column(name).to_numpy() for name in columns], axis=1)
    if seconds := (table.schema.metadata or {}).get(b"seconds"):
        rows["seconds"] = np.float64(seconds)
    return rows


def _csv(path: Path) -> dict:
    import pyarrow.csv

    table = pyarrow.csv.read_csv(path)
    rows = {name: table.column(name).to_numpy() for name in ("path", "start") if name in table.column_names}
    if columns := _numbered(table.column_names):
        rows["embedding"] = np.stack([table.column(name).to_numpy() for name in columns], axis=1)
    return rows


def _store(path: Path) -> dict:
    from edgesea.store import Store

    store = Store.open(path)
    return {name: store.column(name) for name in ("path", "start", "embedding")}


def _numbered(names: Sequence[str]) -> list[str]:
    """embedding_0, embedding_1 and so on, in order."""
    found = [name for name in names if name.startswith("embedding_") and name[10:].isdigit()]
    return sorted(found, key=lambda name: int(name[10:]))


_READERS: dict[str, Callable[[Path], dict]] = {
    "npz": _npz,
    "hdf5": _hdf5,
    "parquet": _parquet,
    "csv": _csv,
    "store": _store,
}
