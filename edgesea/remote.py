"""Files behind an address (`s3://`, `gs://`, `https://`, `http://`), as paths that libraries of fsspec reach.

A `Remote` answers as a path does: names and parents from its text, `is_file`, `is_dir` and `stat` from the
server. Whoever needs the content asks for `here(path)`, a file on this machine for as long as the block
lasts; `outline(path)` is the same without most of what lies between the file's beginning and its end, which
is all that a header needs.

What was fetched is kept in a temporary folder of this process, `KEPT` bytes of it at most beside what is in
use, the longest unused going first.

A file that the server does not have, or does not give, is `FileNotFoundError` or `PermissionError`, as of a
disk. A server that does not answer, and credentials that it asks for in vain, end the call with a sentence:
they say nothing of the file, and what is done by then is kept.
"""

import contextlib
import errno
import fcntl
import fnmatch
import functools
import os
import re
import shutil
import stat
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PosixPath
from typing import Any
from urllib.parse import unquote

from edgesea import files
from edgesea.errors import EdgeseaError, UsageError

KEPT = 4 << 30  # bytes of fetched files that are not in use
LARGEST = 16 << 30  # bytes of one file
_CONNECT_S, _READ_S, _TRIES = 10, 60, 3
_AT_ONCE = 16  # questions to a server
# Bytes of a file's beginning and of its end that `outline` fetches. The headers of WAV, FLAC and AIFF lie in
# the first, the length of OGG in the last of its pages, of 64 KB at most.
_BEGINNING, _END = 128 << 10, 128 << 10
# What has to be read whole to say how long it is is not outlined.
_OUTLINED = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".oga", ".opus")

_ADDRESS = re.compile(r"(s3|gs|https?)://?([^/].*)", re.DOTALL)
_ONE_SLASH = re.compile(r"^(s3|gs|https?):/(?=[^/])")
_PACKAGE = {"s3": "s3fs", "gs": "gcsfs", "http": "aiohttp", "https": "aiohttp"}
_CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or FSSPEC_S3_ANON=true for "
    "what is open to all",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or FSSPEC_GS_TOKEN=anon for what is open to all",
}
# By name, since their packages may not be there.
_WITHOUT_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError"}


class Remote(PosixPath):
    """A file or folder behind an address. An address of http may have a query, which its suffix has not."""

    _asked: dict[str, Any] | None = None  # what the server said

    def __str__(self) -> str:
        # pathlib takes the two slashes for one.
        return _ONE_SLASH.sub(r"\1://", super().__str__())

    def __fspath__(self) -> str:
        return str(self)

    def __reduce__(self):
        return Remote, (str(self),)

    @property
    def protocol(self) -> str:
        """Of its address: s3, gs, http or https."""
        return self.parts[0].rstrip(":")

    @property
    def suffix(self) -> str:
        """Of its name, without a query."""
        name = self.name.split("?")[0] if _of_web(self) else self.name
        return Path(name).suffix

    def expanduser(self) -> "Remote":
        """Itself."""
        return self

    def resolve(self, strict: bool = False) -> "Remote":
        """Itself."""
        return self

    def is_file(self, **_) -> bool:
        """Whether the server has a file there."""
        return self._info().get("type") == "file"

    def is_dir(self, **_) -> bool:
        """Whether the server has a folder there; http has none."""
        return self._info().get("type") == "directory"

    def exists(self, **_) -> bool:
        """Whether the server has anything there."""
        return bool(self._info())

    def is_symlink(self) -> bool:
        """Servers have none."""
        return False

    def stat(self, **_) -> os.stat_result:
        """Its size, 0 where the server does not say, and whether it is a file."""
        info = self._info()
        if not info:
            raise FileNotFoundError(2, "there is no such file", str(self))
        kind = stat.S_IFREG if info["type"] == "file" else stat.S_IFDIR
        return os.stat_result((kind | 0o444, 0, 0, 0, 0, 0, int(info.get("size") or 0), 0, 0, 0))

    def open(self, mode: str = "r", buffering: int = -1, encoding=None, errors=None, newline=None):  # type: ignore[override]
        """The content, for reading: a file on this machine, which may be thrown away once it is open."""
        if set(mode) - set("rbt"):
            raise UsageError(f"Cannot write to {self}: give a folder on this machine.")
        with here(self) as path:
            return open(path, mode, buffering, encoding, errors, newline)

    def iterdir(self) -> Iterator["Remote"]:  # type: ignore[override]
        """What lies in it, sorted; nothing on the web, which has no folders."""
        system, root = _system(self)
        with _said(self):
            found = [] if _of_web(self) else system.ls(root, detail=True)
        yield from self._named({each["name"].rstrip("/"): each for each in found})

    def glob(self, pattern: str, **_) -> Iterator["Remote"]:  # type: ignore[override]
        """What lies in it itself, by its name."""
        return (each for each in self.iterdir() if fnmatch.fnmatchcase(each.name, pattern))

    def files(self) -> list["Remote"]:
        """Every file below it, sorted. Of s3:// and gs:// alone."""
        system, root = _system(self)
        with _said(self):
            found = system.find(root, detail=True)
        return list(self._named(found))

    def _named(self, found: dict[str, Any]) -> Iterator["Remote"]:
        for name in sorted(found):
            file = Remote(f"{self.protocol}://{name}")
            file._asked = found[name]
            yield file

    def _info(self) -> dict[str, Any]:
        """What the server says of it, asked once; {} where there is nothing."""
        if self._asked is None:
            system, path = _system(self)
            try:
                with _said(self):
                    self._asked = dict(system.info(path))
            except FileNotFoundError:
                self._asked = {}
            except PermissionError as error:
                raise UsageError(
                    f"The server of {self} does not let it be read ({_short(error)}): {_remedy(self)}."
                ) from error
        return self._asked


def path(text: str | os.PathLike) -> Path:
    """What was typed, as a path: behind an address, or on this machine."""
    if isinstance(text, Remote):
        return text
    found = _ADDRESS.fullmatch(os.fspath(text))
    return Remote(f"{found[1]}://{found[2]}") if found else Path(text)


def typed(text: str | os.PathLike) -> Path:
    """What a user typed, as a path: behind an address, or on this machine, with `~` for a home."""
    found = path(text)
    return found if isinstance(found, Remote) else files.expanded(os.fspath(text))


def below(folder: Path, text: str) -> Path:
    """A path of a table that lies in `folder`: an address, or a path from there."""
    found = path(text)
    return found if isinstance(found, Remote) else folder / text


def ask(paths: Iterable[Path]) -> None:
    """Asks for all of them that lie behind an address, several at a time; they know the answer afterwards."""
    remote = [each for each in paths if isinstance(each, Remote) and each._asked is None]
    if remote:
        _system(remote[0])  # what is missing on this machine is said before threads ask
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(Remote._info, remote))


@contextlib.contextmanager
def here(path: Path | str) -> Iterator[Path]:
    """The file on this machine that a path leads to: itself, or what is fetched from behind its address.

    Raises `FileNotFoundError` or `PermissionError` where the server does not give it, `EdgeseaError` where it
    does not answer, or the file is larger than `LARGEST`.
    """
    if not isinstance(path, Remote):
        yield Path(path)
        return
    with _cache().held(path) as local:
        yield local


@contextlib.contextmanager
def outline(path: Path | str) -> Iterator[Path]:
    """As `here`, for length and headers alone: between beginning and end there may be zeros."""
    outlined = (
        isinstance(path, Remote)
        and path.suffix.lower() in _OUTLINED
        and path not in _cache()
        and path._info().get("partial", True)
    )
    size = path.stat().st_size if isinstance(path, Remote) and outlined else 0
    if not isinstance(path, Remote) or size <= 4 * (_BEGINNING + _END):
        with here(path) as local:
            yield local
        return
    with tempfile.NamedTemporaryFile(suffix=path.suffix) as file:
        whole = not _outlined(path, size, file)
        if not whole:
            yield Path(file.name)
    if whole:
        with here(path) as local:
            yield local


def _outlined(path: Remote, size: int, file) -> bool:
    """Writes the beginning and the end of a file of `size` bytes; False where the server gives no parts."""
    system, name = _system(path)
    with _said(path), system.open(name, "rb", block_size=_BEGINNING, cache_type="none") as source:
        for at, count in ((0, _BEGINNING), (size - _END, _END)):
            try:
                source.seek(at)
                content = source.read(count)
            except ValueError:  # a server of http that sends all where a part was asked for
                return False
            file.seek(at)
            file.write(content)
    file.flush()
    return True


def _system(path: Path):
    """The file system of an address, and the name of a path in it."""
    assert isinstance(path, Remote)
    try:
        return _of_protocol(path.protocol), str(path) if _of_web(path) else _key(path)
    except ImportError as error:
        raise UsageError(
            f"Reading {path.protocol}:// takes {_PACKAGE[path.protocol]}, which is not installed: run "
            "`pip install 'edgesea[cloud]'`."
        ) from error


def _key(path: Remote) -> str:
    return "/".join(path.parts[1:])


@functools.cache
def _of_protocol(protocol: str):
    import fsspec

    own = {"skip_instance_cache": True, "use_listings_cache": False}  # what was seen may have changed
    if protocol == "s3":
        times = {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S, "retries": {"max_attempts": _TRIES}}
        return fsspec.filesystem("s3", config_kwargs=times, **own)
    if protocol == "gs":
        return fsspec.filesystem("gs", **own)
    import aiohttp

    # aiohttp's own limit counts for a whole file, however large.
    limit = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S, sock_read=_READ_S)
    return fsspec.filesystem(protocol, client_kwargs={"timeout": limit, "trust_env": True}, **own)


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    """Makes the two errors of a file, and sentences of all others, of what the libraries raise."""
    try:
        yield
    except (EdgeseaError, PermissionError):
        raise
    except Exception as error:
        # fsspec calls all that http answers, and also no answer, a file that is not there.
        hidden = error.__cause__ if isinstance(error, FileNotFoundError) and _of_web(path) else None
        status = getattr(hidden or error, "status", None)  # of aiohttp
        if isinstance(error, FileNotFoundError) and (hidden is None or status in (404, 410)):
            raise
        if {type(each).__name__ for each in _causes(error)} & _WITHOUT_CREDENTIALS:
            raise UsageError(f"{path} asks for credentials, and there are none: {_remedy(path)}.") from error
        if status in (401, 403):
            raise PermissionError(13, f"it answers {status}", str(path)) from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        said = f"does not answer ({_short(hidden or error)})" if status is None else f"answers {status}"
        raise EdgeseaError(
            f"The server of {path} {said}: look at the connection, and call again, which goes on."
        ) from error


def _of_web(path: Path) -> bool:
    return isinstance(path, Remote) and path.protocol in ("http", "https")


def _short(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:200].rstrip(".")


def _remedy(path: Path) -> str:
    """What to do where a server asks who one is."""
    assert isinstance(path, Remote)
    return _CREDENTIALS.get(path.protocol, "give an address that is open, with its key in it")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class _Cache:
    """Fetched files on this machine, in a folder that goes when the process ends."""

    def __init__(self) -> None:
        _sweep()
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX)
        # Held as long as the process lives: see `_sweep`.
        self._owned = open(Path(self._folder.name, "owned"), "w")  # noqa: SIM115
        fcntl.flock(self._owned, fcntl.LOCK_EX)
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._users: dict[str, int] = {}
        self._kept: OrderedDict[str, int] = OrderedDict()  # address -> bytes, the longest unused first
        self._number = 0
        self._files: dict[str, Path] = {}

    def __contains__(self, path: Remote) -> bool:
        return str(path) in self._files

    @contextlib.contextmanager
    def held(self, path: Remote) -> Iterator[Path]:
        address = str(path)
        with self._lock:
            lock = self._locks.setdefault(address, threading.Lock())
            self._users[address] = self._users.get(address, 0) + 1
        try:
            with lock:  # one fetches, others wait
                if address not in self._files:
                    self._fetch(path)
            yield self._files[address]
        finally:
            with self._lock:
                self._users[address] -= 1
                if not self._users[address]:
                    del self._users[address], self._locks[address]
                if address in self._kept:
                    self._kept.move_to_end(address)
                self._drop()

    def _fetch(self, path: Remote) -> None:
        with self._lock:
            self._number += 1
            target = Path(self._folder.name, f"{self._number}{unquote(path.suffix)[:16]}")
        system, name = _system(path)
        try:
            with _said(path):
                system.get_file(name, str(target), callback=_limited(path))
            size = target.stat().st_size
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        with self._lock:
            self._files[str(path)] = target
            self._kept[str(path)] = size

    def _drop(self) -> None:
        """Throws the longest unused away, as long as there is more than `KEPT` of them."""
        idle = [address for address in self._kept if address not in self._users]
        total = sum(self._kept[address] for address in idle)
        for address in idle:
            if total <= KEPT:
                return
            total -= self._kept.pop(address)
            self._files.pop(address).unlink(missing_ok=True)


def _limited(path: Remote):
    """What fsspec tells how much it has fetched: ends it where that is too much."""
    from fsspec.callbacks import Callback

    class Limited(Callback):
        def relative_update(self, inc: int = 1) -> None:
            super().relative_update(inc)
            if self.value > LARGEST:
                raise EdgeseaError(f"{path} is larger than {LARGEST >> 30} GiB: divide it into several.")

    return Limited()


_PREFIX = "edgesea-fetched-"


@functools.cache
def _cache() -> _Cache:
    return _Cache()


def _sweep() -> None:
    """Takes away the folders of processes that were killed: nobody holds their lock."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), open(folder / "owned") as owned:
            fcntl.flock(owned, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
