"""Rows in the raw pages of a SQLite file that SQLite itself refuses to read. Pure, and trusts no byte.

After the file format at sqlite.org/fileformat2.html: leaf pages of tables (13) and of indices (10), whose cells may go
on in a chain of overflow pages; the write-ahead log's frames are newer copies of pages. What is read here proves
nothing: the caller takes only what its key opens.
"""

import mmap
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PAGE_SIZES = (2048, 4096)
"""Of today's stores, and of those that were made by the first schema."""

MOST_PAGES = 2**24
"""64 GB: a larger page number is damage."""

MOST_GENERATIONS = 4

_TABLE_LEAF, _INDEX_LEAF = 13, 10
_LOG_HEAD, _FRAME_HEAD = 32, 24
_FILE_HEAD = 100
FILE_MAGIC = b"SQLite format 3\0"
_LOG_MAGIC = b"\x37\x7f\x06"
_PAGE_NUMBER = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of two columns: `key` is its row number, or its text where the table has none."""

    key: int | str
    payload: bytes


def cells(file: bytes | mmap.mmap, log: bytes) -> Iterator[Cell]:
    """Every row of two columns, the second a blob, on a leaf page that can be read as one; newer copies first."""
    for size in _page_sizes(file, log):
        for newer in _generations(log, size):
            count = max(len(file) // size, max(newer, default=0))
            pages = _Pages(file, newer, count, size)
            for number in range(1, count + 1):
                yield from pages.leaf(number)


class _Pages:
    def __init__(self, file: bytes | mmap.mmap, newer: Mapping[int, bytes], count: int, size: int) -> None:
        self._file = file
        self._newer = newer
        self._count = count
        self._size = size
        self._least_local = (size - 12) * 32 // 255 - 23
        self._most_local = {_TABLE_LEAF: size - 35, _INDEX_LEAF: (size - 12) * 64 // 255 - 23}

    def _page(self, number: int) -> bytes:
        at = (number - 1) * self._size
        return self._newer.get(number) or self._file[at : at + self._size]

    def leaf(self, number: int) -> Iterator[Cell]:
        page = self._page(number)
        head = _FILE_HEAD if number == 1 else 0
        if len(page) != self._size or page[head] not in self._most_local:
            return
        kind = page[head]
        (rows,) = struct.unpack_from(">H", page, head + 3)
        for place in range(min(rows, self._size // 4)):
            try:
                (at,) = struct.unpack_from(">H", page, head + 8 + 2 * place)
                yield self._cell(page, kind, at)
            except (struct.error, IndexError, ValueError, UnicodeDecodeError):
                # Nothing that this store writes looks like that: damage, or another table's row.
                continue

    def _cell(self, page: bytes, kind: int, at: int) -> Cell:
        size, at = _varint(page, at)
        key: int | str = 0
        if kind == _TABLE_LEAF:
            key, at = _varint(page, at)
        record = self._record(page, kind, at, size)
        head, place = _varint(record, 0)
        first, place = _varint(record, place)
        second, place = _varint(record, place)
        if place != head or second < 12 or second % 2:
            raise ValueError("not two columns, the second a blob")
        if kind == _INDEX_LEAF:
            if first < 13 or not first % 2:
                raise ValueError("the first column is no text")
            key = record[head : head + (first - 13) // 2].decode()
            head += (first - 13) // 2
        elif first:
            raise ValueError("the first column is not the row number")
        payload = record[head:]
        if len(payload) != (second - 12) // 2:
            raise ValueError("another length")
        return Cell(key, payload)

    def _record(self, page: bytes, kind: int, at: int, size: int) -> bytes:
        if size <= self._most_local[kind]:
            return page[at : at + size]
        if size > self._count * self._size:
            raise ValueError("longer than the file")
        room = self._size - 4
        local = self._least_local + (size - self._least_local) % room
        local = local if local <= self._most_local[kind] else self._least_local
        record = bytearray(page[at : at + local])
        (following,) = _PAGE_NUMBER.unpack_from(page, at + local)
        while len(record) < size:
            more = self._page(following) if 0 < following <= self._count else b""
            if len(more) != self._size:
                raise ValueError("the chain is broken")
            (following,) = _PAGE_NUMBER.unpack_from(more)
            record += more[4 : 4 + min(room, size - len(record))]
        return bytes(record)


def _page_sizes(file: bytes | mmap.mmap, log: bytes) -> tuple[int, ...]:
    """The size that the file's header says, or the log's; every one there can be when both are destroyed."""
    said = int.from_bytes(file[16:18], "big") if file[:16] == FILE_MAGIC else 0
    if said not in PAGE_SIZES and log[:3] == _LOG_MAGIC:
        said = int.from_bytes(log[8:12], "big")
    return (said,) if said in PAGE_SIZES else PAGE_SIZES


def _generations(log: bytes, size: int) -> list[Mapping[int, bytes]]:
    """Newer copies of pages: those of the log's present generation, whose frames carry the header's two salts.

    When the header is destroyed, each generation found, the newest first (it stands at the beginning), and last the
    file alone: an old copy is better than none.
    """
    found: dict[bytes, dict[int, bytes]] = {}
    for at in range(_LOG_HEAD, len(log) - _FRAME_HEAD - size + 1, _FRAME_HEAD + size):
        (number,) = _PAGE_NUMBER.unpack_from(log, at)
        if 0 < number <= MOST_PAGES:
            copy = log[at + _FRAME_HEAD : at + _FRAME_HEAD + size]
            found.setdefault(log[at + 8 : at + 16], {})[number] = copy
    if log[:3] == _LOG_MAGIC:
        return [found.get(log[16:24], {})]
    return [*list(found.values())[:MOST_GENERATIONS], {}]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """SQLite's own: seven bits a byte, highest first, at most nine bytes."""
    number = 0
    for place in range(8):
        byte = data[at + place]
        number = number << 7 | byte & 0x7F
        if byte < 0x80:
            return number, at + place + 1
    return number << 8 | data[at + 8], at + 9
