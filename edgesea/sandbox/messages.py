"""Messages between edgesea and the process that holds a foreign model: JSON, and arrays as their bytes.

A message is two little-endian uint64 (bytes of JSON, bytes of arrays), the JSON, the arrays one after the
other. In the JSON an array is `{"array": [type, shape]}` and a `bytes` is `{"bytes": size}`, in the order of
their bytes. Nothing is unpickled: the other side may be what a hostile model made of it, so every size is
checked before it is used.
"""

import json
import math
import socket
import struct
import time

import numpy as np

_HEAD = struct.Struct("<QQ")
LARGEST_JSON = 64 << 20
# Types of arrays that cross: no objects, no text.
_TYPES = frozenset(
    np.dtype(kind).str
    for kind in (
        "?",
        "i1",
        "u1",
        "<i2",
        "<u2",
        "<i4",
        "<u4",
        "<i8",
        "<u8",
        "<f2",
        "<f4",
        "<f8",
        "<c8",
        "<c16",
    )
)


class Damaged(Exception):
    """What came is no message."""


class Late(Exception):
    """Nothing, or not all of a message, came in time."""


def send(end: socket.socket, value: object) -> None:
    """Sends JSON values with arrays and bytes among them; tuples arrive as lists.

    Raises `OSError` where the other side is gone.
    """
    parts: list[memoryview] = []
    text = json.dumps(_packed(value, parts)).encode()
    end.sendall(_HEAD.pack(len(text), sum(part.nbytes for part in parts)) + text)
    for part in parts:
        end.sendall(part)


def receive(end: socket.socket, *, most: int, deadline: float | None = None) -> object:
    """The next message.

    Parameters
    ----------
    end : socket
    most : int, bytes of arrays that are taken at most
    deadline : `time.monotonic()` after which it is late; None waits

    Raises
    ------
    EOFError : the other side is gone
    Late, Damaged : as they say
    """
    length, arrays = _HEAD.unpack(_exactly(end, _HEAD.size, deadline))
    if length > LARGEST_JSON or arrays > most:
        raise Damaged(f"a message of {length} + {arrays} bytes")
    text, content = _exactly(end, length, deadline), _exactly(end, arrays, deadline)
    try:
        rest = [memoryview(content)]
        value = _unpacked(json.loads(bytes(text)), rest)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Damaged(str(error)) from error
    if rest[0].nbytes:
        raise Damaged("more bytes than it names")
    return value


def _packed(value, parts: list[memoryview]):
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if array.dtype.str not in _TYPES:
            raise TypeError(f"an array of {array.dtype} cannot be sent")
        parts.append(array.reshape(-1).view(np.uint8).data)
        return {"array": [array.dtype.str, list(value.shape)]}
    if isinstance(value, bytes | bytearray | memoryview):
        parts.append(memoryview(value))
        return {"bytes": len(value)}
    if isinstance(value, dict):
        return {"dict": {name: _packed(each, parts) for name, each in value.items()}}
    if isinstance(value, list | tuple):
        return [_packed(each, parts) for each in value]
    return value.item() if isinstance(value, np.generic) else value


def _unpacked(value, rest: list[memoryview]):
    if isinstance(value, list):
        return [_unpacked(each, rest) for each in value]
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "dict":
        return {name: _unpacked(each, rest) for name, each in held.items()}
    if kind == "bytes":
        return bytes(_cut(held, rest))
    if kind != "array":
        raise ValueError(f"a value of kind {kind!r}")
    name, shape = held
    if name not in _TYPES or len(shape) > 32 or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"an array of {name} {shape}")
    dtype = np.dtype(name)
    return np.frombuffer(_cut(math.prod(shape) * dtype.itemsize, rest), dtype).reshape(shape)


def _cut(size: int, rest: list[memoryview]) -> memoryview:
    if type(size) is not int or not 0 <= size <= rest[0].nbytes:
        raise ValueError(f"{size} bytes where {rest[0].nbytes} are left")
    cut, rest[0] = rest[0][:size], rest[0][size:]
    return cut


def _exactly(end: socket.socket, size: int, deadline: float | None) -> bytearray:
    content = bytearray(size)
    view, filled = memoryview(content), 0
    while filled < size:
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise Late
        end.settimeout(left)
        try:
            count = end.recv_into(view[filled:])
        except TimeoutError:
            raise Late from None
        except ConnectionError:
            raise EOFError from None
        finally:
            end.settimeout(None)
        if not count:
            raise EOFError
        filled += count
    return content
