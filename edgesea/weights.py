"""The published teachers: where their weights are, under which licence, and where they lie once fetched.

    path("yamnet")     # the file, downloaded on first use into the user's cache

Weights are downloaded by pooch from their publisher, into `$XDG_CACHE_HOME/edgesea/teachers` (by default
`~/.cache/edgesea/teachers`). Where a hash is stated, another file is refused. Where none is stated, because
we could not check one, what came is checked by its structure when it is loaded: names and shapes of every
weight have to be the published model's.
"""

import gzip
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgesea import files
from edgesea.errors import EdgeseaError, UsageError
from edgesea.progress import SILENT, Progress

# What a packed file may unpack to, in bytes.
_LARGEST = 1 << 30
# Of a connection that does not answer, in seconds.
_TIMEOUT_S = 30


@dataclass(frozen=True)
class Published:
    """One teacher that others published.

    url : of its file; `member` of it where it is a zip archive, unpacked where it ends in .gz
    file : its name in the cache
    hears, dimension, rate : its frontend or input in words, n of the embedding, Hz
    megabytes : of the file to fetch, as its publisher says or as its weights need
    licence : of the weights
    sha256 : of the file in the cache, None where we could not check one
    tensor : see `edgesea.teacher.TeacherOptions`
    """

    url: str
    file: str
    dimension: int
    rate: int
    hears: str
    megabytes: float
    licence: str
    sha256: str | None = None
    member: str | None = None
    tensor: str | None = None


def _openl3() -> Iterator[tuple[str, Published]]:
    for representation in ("linear", "mel128", "mel256"):
        for content in ("music", "env"):
            for size in (512, 6144):
                file = f"openl3_audio_{representation}_{content}"
                yield (
                    f"openl3-{representation}-{content}-{size}",
                    Published(
                        url=f"https://github.com/marl/openl3/raw/models/{file}-v0_4_0.h5.gz",
                        file=f"{file}.h5",
                        dimension=size,
                        rate=48_000,
                        hears=f"{representation}, 1 s",
                        megabytes=18.8,
                        licence="CC-BY-4.0",
                        tensor=str(size),
                    ),
                )


def _edgel3() -> Iterator[tuple[str, Published]]:
    # 4 bytes a parameter of the paper's Students 3, 2, 1 and 0.
    for size, megabytes in ((64, 1.5), (128, 2.1), (256, 4.7), (512, 18.8)):
        file = f"edgel3_sea_ust_audio_emb_{size}.h5"
        yield (
            f"edgel3-sea-{size}",
            Published(
                url=f"https://github.com/ksangeeta2429/edgel3/raw/models/{file}.gz",
                file=file,
                dimension=size,
                rate=8_000,
                hears="sea-8k, 1 s",
                megabytes=megabytes,
                licence="MIT",
            ),
        )


PUBLISHED: dict[str, Published] = {
    "yamnet": Published(
        url="https://storage.googleapis.com/tfhub-lite-models/google/lite-model/yamnet/classification/"
        "tflite/1.tflite",
        file="yamnet.tflite",
        dimension=1024,
        rate=16_000,
        hears="yamnet-16k, 0.975 s",
        megabytes=4.1,
        licence="Apache-2.0",
        sha256="469be6a3421cbc52cf97e9f2f966cba984198e8e7af9854d68b3e3ebb1e04194",
    ),
    "vggish": Published(
        url="https://storage.googleapis.com/audioset/vggish_model.ckpt",
        file="vggish_model.ckpt",
        dimension=128,
        rate=16_000,
        hears="vggish-16k, 0.975 s",
        megabytes=288.6,
        licence="Apache-2.0",
    ),
    "birdnet": Published(
        url="https://zenodo.org/records/15050749/files/BirdNET_v2.4_tflite.zip",
        file="birdnet_v2.4.tflite",
        dimension=1024,
        rate=48_000,
        hears="waveform, 3 s",
        megabytes=76.8,
        licence="CC-BY-NC-SA-4.0",
        member="audio-model.tflite",
    ),
    **dict(_openl3()),
    **dict(_edgel3()),
}


def folder() -> Path:
    """Where weights lie once they are fetched."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "edgesea" / "teachers"


def place(name: str) -> Path:
    """Where the weights of a published teacher lie, or would lie.

    Raises `UsageError` for a name that is none.
    """
    return folder() / _published(name).file


def path(name: str, progress: Progress = SILENT) -> Path:
    """The weights of a published teacher, downloaded where they are not here yet.

    Raises `UsageError` for a name that is none; `EdgeseaError` where they cannot be fetched, saying which
    file to put where, and where what lies there is another file.
    """
    published, target = _published(name), place(name)
    if not target.is_file():
        _fetch(name, published, target, progress)
    if published.sha256 and (held := files.sha256(target)) != published.sha256:
        raise EdgeseaError(
            f"{target} is not the published {name}: its SHA-256 is {held}, not {published.sha256}; delete "
            "it, and fetch it again."
        )
    return target


def _published(name: str) -> Published:
    if name not in PUBLISHED:
        raise UsageError(f"There is no published teacher {name!r}: `edgesea teachers` lists those there are.")
    return PUBLISHED[name]


def _fetch(name: str, published: Published, target: Path, progress: Progress) -> None:
    packed = target.with_name(target.name + ".part")
    progress.say(f"Fetching {name} ({published.megabytes:g} MB, {published.licence}) from {published.url}")
    try:
        packed.parent.mkdir(parents=True, exist_ok=True)
        with progress.stage("fetch", round(published.megabytes * 1e6)) as advance:
            _download(published.url, packed, advance)
        with files.replacing(target) as temporary:
            _unpack(published, packed, Path(temporary))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        what = f"{published.member} of it" if published.member else "it"
        unpacked = ", unpacked," if published.url.endswith(".gz") else ""
        raise EdgeseaError(
            f"The weights of {name} cannot be fetched ({reason}): download {published.url} elsewhere, and "
            f"put {what}{unpacked} at {target}."
        ) from error
    finally:
        packed.unlink(missing_ok=True)


def _download(url: str, target: Path, advance: Callable[[int], None]) -> None:
    import logging

    import pooch
    import requests

    pooch.get_logger().setLevel(logging.ERROR)
    downloader = pooch.HTTPDownloader(progressbar=_Bar(advance), timeout=_TIMEOUT_S)
    try:
        pooch.retrieve(
            url, known_hash=None, fname=target.name, path=str(target.parent), downloader=downloader
        )
    except requests.exceptions.RequestException as error:
        raise OSError(_plainly(error)) from error


def _plainly(error: Exception) -> str:
    """What went wrong with a connection, without the layers that it went through."""
    import requests

    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        return f"the server answers {error.response.status_code}"
    if isinstance(error, requests.exceptions.Timeout):
        return "the server does not answer"
    return "there is no connection to the server"


class _Bar:
    """What pooch tells its progress to."""

    total = 0

    def __init__(self, advance: Callable[[int], None]):
        self._advance = advance

    def update(self, n: int) -> None:
        self._advance(n)

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass


def _unpack(published: Published, packed: Path, target: Path) -> None:
    with _opened(published, packed) as source, open(target, "wb") as file:
        written = 0
        while block := source.read(1 << 20):
            written += len(block)
            if written > _LARGEST:
                raise ValueError(f"it unpacks to more than {_LARGEST} bytes")
            file.write(block)


def _is_gzip(path: Path) -> bool:
    """Whether it is packed: a server may have unpacked a .gz on the way."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def _opened(published: Published, packed: Path) -> Iterator:
    if published.member:
        with zipfile.ZipFile(packed) as archive, archive.open(published.member) as source:
            yield source
    elif _is_gzip(packed):
        with gzip.open(packed) as source:
            yield source
    else:
        with open(packed, "rb") as source:
            yield source
