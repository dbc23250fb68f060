"""What an image holds: sections and symbols of a 32-bit ELF that the linker made here."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Symbol:
    """One symbol of an image: its section, size in bytes, and the C file that a static one comes from."""

    name: str
    section: str
    size: int
    file: str


def sections(image: Path) -> dict[str, int]:
    """The sizes in bytes of an image's sections that take up memory on the device, in the file's order."""
    return {name: size for name, size, flags in _elf(image.read_bytes())[0] if flags & 2 and size}


def symbols(image: Path) -> list[Symbol]:
    """The symbols of an image that have a size."""
    table, entries = _elf(image.read_bytes())
    found, file = [], ""
    for name, size, info, section in entries:
        if info & 15 == 4:  # STT_FILE: the static symbols that follow come from this file
            file = name
        elif size and section < len(table):
            found.append(Symbol(name, table[section][0], size, file if info >> 4 == 0 else ""))
    return found


def _elf(data: bytes) -> tuple[list[tuple[str, int, int]], list[tuple[str, int, int, int]]]:
    """Sections (name, size, flags) and symbols (name, size, info, section index) of a 32-bit ELF."""
    offset, entry_size, count, names_index = struct.unpack_from("<I10xHHH", data, 32)
    headers = [struct.unpack_from("<10I", data, offset + i * entry_size) for i in range(count)]

    def text(table: tuple, position: int) -> str:
        start = table[4] + position
        return data[start : data.index(b"\0", start)].decode()

    table = [(text(headers[names_index], header[0]), header[5], header[2]) for header in headers]
    entries = []
    for header in headers:
        if header[1] == 2:  # SHT_SYMTAB
            for position in range(header[4], header[4] + header[5], 16):
                name, _, size, info, _, section = struct.unpack_from("<IIIBBH", data, position)
                entries.append((text(headers[header[6]], name), size, info, section))
    return table, entries
