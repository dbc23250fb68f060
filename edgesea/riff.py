"""Where the samples of a WAV or RF64 file lie, by its header and by the file itself.

A recorder writes the sizes into the header when it stops. One that was killed leaves zeros there, and sound
behind them; a copy that was cut off leaves sizes of what is gone.
"""

import io
import struct
from dataclasses import dataclass
from pathlib import Path

# Chunks looked at before the one that holds the samples.
_MOST_CHUNKS = 64
# What programs write that cannot go back to the header: all ones, or nearly the largest that fits.
_UNKNOWN_FROM = 0x7FFF0000
_LARGEST_SIZE = 0xFFFFFFFF


@dataclass(frozen=True)
class Samples:
    """The chunk that holds the samples: where it begins, its bytes as declared and as there are.

    size_at : where the declared size stands, and size_bytes : in how many bytes
    """

    begin: int
    declared: int
    held: int
    size_at: int
    size_bytes: int

    @property
    def unfinished(self) -> bool:
        """True where the recorder never came to write the size, and sound follows."""
        return self.declared == 0 and self.held > 0

    @property
    def streamed(self) -> bool:
        """True where the size is one that stands for unknown."""
        return self.size_bytes == 4 and self.declared >= _UNKNOWN_FROM and self.declared > self.held

    @property
    def truncated(self) -> bool:
        """Whether the file ends before the samples that its header declares."""
        return self.declared > self.held and not self.streamed


def samples(path: Path) -> Samples | None:
    """What the header of a file says of its samples; None where it is no WAV, or names none."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        kind = file.read(12)
        if kind[:4] not in (b"RIFF", b"RF64") or kind[8:12] != b"WAVE":
            return None
        long_size_at = None
        for _ in range(_MOST_CHUNKS):
            at = file.tell()
            head = file.read(8)
            if len(head) < 8:
                return None
            name, length = head[:4], struct.unpack("<I", head[4:])[0]
            if name == b"ds64":
                long_size_at = at + 16
            if name == b"data":
                break
            file.seek(length + length % 2, io.SEEK_CUR)
        else:
            return None
        begin, held = at + 8, size - at - 8
        if length == _LARGEST_SIZE and long_size_at is not None:
            file.seek(long_size_at)
            length = struct.unpack("<Q", file.read(8))[0]
            return Samples(begin, length, held, long_size_at, 8)
        if length == 0 and held and _chunks_follow(file, begin, size):
            return Samples(begin, 0, 0, at + 4, 4)  # empty, with a list of tags behind it
        return Samples(begin, length, held, at + 4, 4)


def _chunks_follow(file, at: int, end: int) -> bool:
    """True where whole chunks reach from `at` to the end of the file."""
    for _ in range(_MOST_CHUNKS):
        if at >= end:
            return True
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or (not head[:4].isalnum() and head[:4].strip(b" ") == b""):
            return False
        length = struct.unpack("<I", head[4:])[0]
        at += 8 + length + length % 2
        if at > end + 1:
            return False
    return False


class Completed(io.RawIOBase):
    """A WAV file, read as if its recorder had written the size of the samples."""

    def __init__(self, path: Path, found: Samples):
        super().__init__()
        self._file = open(path, "rb")  # noqa: SIM115 - closed with this object
        whole = found.held
        if found.size_bytes == 4:
            whole = min(whole, _LARGEST_SIZE - 1)
        self._at = found.size_at
        self._size = whole.to_bytes(found.size_bytes, "little")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer) -> int:
        begin = self._file.tell()
        view = memoryview(buffer).cast("B")
        count = self._file.readinto(view)
        for k, byte in enumerate(self._size):
            if begin <= self._at + k < begin + count:
                view[self._at + k - begin] = byte
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
