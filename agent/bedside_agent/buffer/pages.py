"""Rows in the raw pages of a SQLite file that SQLite itself refuses to read. Trusts no byte.

After the file format at sqlite.org/fileformat2.html: leaf pages of tables (13), leaf and inner pages of indices (10 and
2), whose cells may go on in a chain of overflow pages; the write-ahead log's frames are newer copies of pages. What is
read here proves nothing: the caller takes only what its key opens.

Pages are read one by one and never mapped: a sector that cannot be read is a damaged page and no signal.
"""

import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

PAGE_SIZES = (2048, 4096)
"""Of today's stores, and of those that were made by the first schema."""

MOST_PAGES = 2**24
"""64 GB: a larger page number is damage."""

MOST_GENERATIONS = 4

FIRST_PAGES = 64
"""Every table's first page is among them: they are made with the store."""

MOST_INNER = 512
"""Pages that are looked at because an inner page names them; a store's few named values have one inner page."""

FILE_MAGIC = b"SQLite format 3\0"

_TABLE_LEAF, _INDEX_LEAF, _INDEX_INNER = 13, 10, 2
_LOG_HEAD, _FRAME_HEAD = 32, 24
_FILE_HEAD = 100
_LOG_MAGIC = b"\x37\x7f\x06"
_PAGE_NUMBER = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of two columns: `key` is its row number, or its text where the table has none."""

    key: int | str
    payload: bytes


class RawPages:
    """A file and its log, either of which may be missing. Close it."""

    def __init__(self, path: Path, log: Path) -> None:
        self._file = os.open(path, os.O_RDONLY) if path.exists() else None
        self.pages_read = 0
        content = log.read_bytes() if log.exists() else b""
        head = self.read(0, _FILE_HEAD)
        length = path.stat().st_size if self._file is not None else 0
        self._passes = tuple(
            [
                _Pass(self, newer, length // size, size)
                for size in _page_sizes(head, content)
                for newer in _generations(content, size)
            ]
        )

    @property
    def count(self) -> int:
        """How many places there are to look at; the newest copies come first."""
        return sum(one.count for one in self._passes)

    def cells(self, first: int, last: int) -> Iterator[Cell]:
        """Every row of two columns, the second a blob, on the readable pages of these places (from 0)."""
        begin = 0
        for one in self._passes:
            for number in range(max(first, begin), min(last, begin + one.count - 1) + 1):
                yield from one.cells(number - begin + 1)
            begin += one.count

    def named(self) -> Iterator[Cell]:
        """Rows with a text for a key, newer copies first, on the pages where such rows stand; few pages are read."""
        for one in self._passes:
            yield from one.named()

    def read(self, at: int, size: int) -> bytes:
        """Bytes of the file; fewer, or none, when it ends there or the disk cannot read them."""
        self.pages_read += 1
        if self._file is None:
            return b""
        try:
            return os.pread(self._file, size, at)
        except OSError:
            # The sector is damaged, and so is what stood in it.
            return b""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class _Pass:
    """The file as one generation of the log would have left it: the file's own pages, then those that it alone has.

    Only pages that are there count. Of a log that is read at a wrong size, page numbers are chance: to go through all
    up to the highest would take hours.
    """

    def __init__(self, source: RawPages, newer: Mapping[int, bytes], in_file: int, size: int) -> None:
        self._in_file = in_file
        self._beyond = sorted(number for number in newer if number > in_file)
        self.count = in_file + len(self._beyond)
        self._source = source
        self._newer = newer
        self._size = size
        self._least_local = (size - 12) * 32 // 255 - 23
        index_local = (size - 12) * 64 // 255 - 23
        self._most_local = {_TABLE_LEAF: size - 35, _INDEX_LEAF: index_local, _INDEX_INNER: index_local}

    def cells(self, place: int) -> Iterator[Cell]:
        number = place if place <= self._in_file else self._beyond[place - self._in_file - 1]
        yield from self._cells(self._page(number), number)

    def named(self) -> Iterator[Cell]:
        seen: set[int] = set()
        places = [*self._newer, *range(1, FIRST_PAGES + 1)]
        inner = 0
        while places:
            number = places.pop(0)
            if number in seen or not self._is_there(number):
                continue
            seen.add(number)
            page = self._page(number)
            kind = page[_head(number)] if len(page) == self._size else 0
            if kind not in (_INDEX_LEAF, _INDEX_INNER):
                continue
            yield from (cell for cell in self._cells(page, number) if isinstance(cell.key, str))
            if kind == _INDEX_INNER and inner < MOST_INNER:
                children = list(islice(self._children(page, number), MOST_INNER - inner))
                inner += len(children)
                places = children + places

    def _is_there(self, number: int) -> bool:
        return 0 < number <= self._in_file or number in self._newer

    def _page(self, number: int) -> bytes:
        return self._newer.get(number) or self._source.read((number - 1) * self._size, self._size)

    def _children(self, page: bytes, number: int) -> Iterator[int]:
        yield int(_PAGE_NUMBER.unpack_from(page, _head(number) + 8)[0])
        for at in self._places(page, number):
            if at + _PAGE_NUMBER.size <= self._size:
                yield int(_PAGE_NUMBER.unpack_from(page, at)[0])

    def _places(self, page: bytes, number: int) -> Iterator[int]:
        head = _head(number)
        width = 12 if page[head] == _INDEX_INNER else 8
        (rows,) = struct.unpack_from(">H", page, head + 3)
        for place in range(min(rows, (self._size - head - width) // 2)):
            yield int(struct.unpack_from(">H", page, head + width + 2 * place)[0])

    def _cells(self, page: bytes, number: int) -> Iterator[Cell]:
        if len(page) != self._size or page[_head(number)] not in self._most_local:
            return
        kind = page[_head(number)]
        for at in self._places(page, number):
            try:
                yield self._cell(page, kind, at)
            except (struct.error, IndexError, ValueError, UnicodeDecodeError):
                # Nothing that this store writes looks like that: damage, or another table's row.
                continue

    def _cell(self, page: bytes, kind: int, at: int) -> Cell:
        size, at = _varint(page, at + (_PAGE_NUMBER.size if kind == _INDEX_INNER else 0))
        key: int | str = 0
        if kind == _TABLE_LEAF:
            key, at = _varint(page, at)
        record = self._record(page, kind, at, size)
        head, place = _varint(record, 0)
        first, place = _varint(record, place)
        second, place = _varint(record, place)
        if place != head or second < 12 or second % 2:
            raise ValueError("not two columns, the second a blob")
        if kind != _TABLE_LEAF:
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
        if size > self.count * self._size:
            raise ValueError("longer than the file")
        room = self._size - 4
        local = self._least_local + (size - self._least_local) % room
        local = local if local <= self._most_local[kind] else self._least_local
        record = bytearray(page[at : at + local])
        (following,) = _PAGE_NUMBER.unpack_from(page, at + local)
        while len(record) < size:
            more = self._page(following) if self._is_there(following) else b""
            if len(more) != self._size:
                raise ValueError("the chain is broken")
            (following,) = _PAGE_NUMBER.unpack_from(more)
            record += more[4 : 4 + min(room, size - len(record))]
        return bytes(record)


def _head(number: int) -> int:
    return _FILE_HEAD if number == 1 else 0


def _page_sizes(head: bytes, log: bytes) -> tuple[int, ...]:
    """The size that the file's header says, or the log's; every one there can be when both are destroyed."""
    said = int.from_bytes(head[16:18], "big") if head[:16] == FILE_MAGIC else 0
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
