"""Read tables, vectors and strings of a flatbuffer, believing none of its bytes.

A flatbuffer is a tree of tables. A table begins with the distance back to its vtable, a list of the 16-bit
places of its fields; a field that the vtable leaves out (place 0) has its default value. Vectors, strings and
tables within a table are reached by a 32-bit distance forward. (FlatBuffers, "Internals".)

Every place is checked against the buffer before it is read, so the bytes can hold anything: what comes back
is a value or a ``ModelError``. Vectors of numbers come back as read-only views of the buffer, not as copies.
"""

from __future__ import annotations

import struct

import numpy as np

from firmware_export.errors import ModelError

# A real model has tens of operators and tensors, a very large one thousands; a hostile vector that names one
# table a million times would otherwise cost seconds.
MOST_TABLES = 5_000
LONGEST_STRING = 4096

_SCALARS = {
    name: struct.Struct(code)
    for name, code in {
        "int8": "<b",
        "uint8": "<B",
        "bool": "<?",
        "uint16": "<H",
        "int32": "<i",
        "uint32": "<I",
        "uint64": "<Q",
        "float32": "<f",
    }.items()
}


class Table:
    """One table of a flatbuffer.

    Parameters
    ----------
    data : bytes
        The whole buffer.
    position : int >= 0 [bytes]
        Where the table begins.
    where : str
        What the table is, as an error message should call it: ``operator 3``.
    """

    def __init__(self, data: bytes, position: int, where: str):
        self.data, self.position, self.where = data, position, where
        vtable = position - self._scalar(position, "int32")
        self._slots = (self._scalar(vtable, "uint16") - 4) // 2
        self._bytes = self._scalar(vtable + 2, "uint16")
        self._vtable = vtable + 4
        ends = self._vtable + 2 * self._slots, position + self._bytes
        if self._slots < 0 or max(ends) > len(data):
            raise self.error("its table does not fit in the file")

    @classmethod
    def root(cls, data: bytes, identifier: bytes) -> Table:
        """The root table of a buffer that bears the four-byte ``identifier``.

        Raises
        ------
        ModelError
            If the buffer is too short or bears another identifier.
        """
        if len(data) < 8 or data[4:8] != identifier:
            raise ModelError(
                f"The file is not a .tflite model: expected the identifier {identifier!r} at byte 4, "
                f"received {bytes(data[4:8])!r} in a file of {len(data)} bytes."
            )
        return cls(data, struct.unpack_from("<I", data, 0)[0], "the model")

    def error(self, reason: str) -> ModelError:
        """A ``ModelError`` about this table; ``reason`` goes on where "the model: " left off."""
        return ModelError(f"The .tflite file is damaged at {self.where}: {reason}.")

    def scalar(self, slot: int, kind: str, default):
        """The number in field ``slot``; ``kind`` is its type, such as ``int32`` or ``bool``."""
        place = self._field(slot, _SCALARS[kind].size)
        return default if place is None else self._scalar(place, kind)

    def table(self, slot: int, where: str | None = None) -> Table | None:
        """The table in field ``slot``, or None."""
        place = self._field(slot, 4)
        return None if place is None else Table(self.data, self._forward(place), where or self.where)

    def tables(self, slot: int, where: str) -> list[Table]:
        """The tables in the vector in field ``slot``, none when it is absent; ``where`` names one of them."""
        places = self._vector(slot, 4)
        if places is None:
            return []
        start, count = places
        if count > MOST_TABLES:
            raise self.error(f"it holds {count} entries of kind {where}, more than the {MOST_TABLES} allowed")
        return [Table(self.data, self._forward(start + 4 * i), f"{where} {i}") for i in range(count)]

    def vector(self, slot: int, kind: str) -> np.ndarray | None:
        """The vector of numbers in field ``slot`` as a read-only view [shape=(n,)], or None when absent."""
        dtype = np.dtype(kind).newbyteorder("<")
        places = self._vector(slot, dtype.itemsize)
        if places is None:
            return None
        start, count = places
        return np.frombuffer(self.data, dtype, count, start) if count else np.empty(0, dtype)

    def string(self, slot: int) -> str:
        """The text in field ``slot``, empty when absent: at most 4096 bytes, U+FFFD where not UTF-8."""
        places = self._vector(slot, 1)
        if places is None:
            return ""
        start, count = places
        return self.data[start : start + min(count, LONGEST_STRING)].decode("utf-8", "replace")

    def _scalar(self, place: int, kind: str):
        form = _SCALARS[kind]
        if place < 0 or place + form.size > len(self.data):
            raise self.error(f"byte {place} lies outside the file of {len(self.data)} bytes")
        return form.unpack_from(self.data, place)[0]

    def _field(self, slot: int, size: int) -> int | None:
        """Where field ``slot`` of ``size`` bytes lies in the buffer, or None when it is absent."""
        if slot >= self._slots:
            return None
        offset = self._scalar(self._vtable + 2 * slot, "uint16")
        if offset == 0:
            return None
        if offset < 4 or offset + size > self._bytes:
            raise self.error(f"field {slot} lies outside its table")
        return self.position + offset

    def _forward(self, place: int) -> int:
        distance = self._scalar(place, "uint32")
        if distance == 0:
            raise self.error("an offset points at itself")
        return place + distance

    def _vector(self, slot: int, size: int) -> tuple[int, int] | None:
        """Where the elements of the vector in field ``slot`` begin and how many there are."""
        place = self._field(slot, 4)
        if place is None:
            return None
        start = self._forward(place)
        count = self._scalar(start, "uint32")
        if start + 4 + count * size > len(self.data):
            raise self.error(f"a vector of {count} elements in field {slot} runs past the end of the file")
        return start + 4, count
