"""The audit log's chains, checked from outside the database that made them (see `schema/audit.sql`)."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg

FIRST_PREVIOUS = bytes(32)
"""What the first row has for the hash of the one before."""


class Chained(Protocol):
    """A row of a chain: `at_ms` in UTC milliseconds."""

    @property
    def entry_no(self) -> int: ...
    @property
    def at_ms(self) -> int: ...
    @property
    def said(self) -> tuple[str, ...]:
        """What it says, beside number and time."""
        ...

    @property
    def previous_hash(self) -> bytes: ...
    @property
    def hash(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """Who read whose data: ids as text."""

    entry_no: int
    at_ms: int
    person_id: str
    patient_id: str
    what: str
    previous_hash: bytes
    hash: bytes

    @property
    def said(self) -> tuple[str, ...]:
        """See `Chained`."""
        return self.person_id, self.patient_id, self.what


@dataclass(frozen=True, slots=True)
class Deed:
    """Who did what to a certificate, a hub or a claim. `detail` is a serial number, a reason, or empty."""

    entry_no: int
    at_ms: int
    actor: str
    deed: str
    subject: str
    detail: str
    previous_hash: bytes
    hash: bytes

    @property
    def said(self) -> tuple[str, ...]:
        """See `Chained`."""
        return self.actor, self.deed, self.subject, self.detail


@dataclass(frozen=True, slots=True)
class Head:
    """The newest row. Whoever notes it down elsewhere can tell later whether rows were taken off the end."""

    entry_no: int = 0
    hash: bytes = FIRST_PREVIOUS


class BrokenChainError(Exception):
    """The chain does not hold at `entry_no`."""

    def __init__(self, entry_no: int, reason: str) -> None:
        super().__init__(f"entry {entry_no} {reason}")
        self.entry_no = entry_no
        self.reason = reason


def hash_of(entry: Chained) -> bytes:
    """What the row's hash must be."""
    fields = (entry.entry_no, entry.at_ms, *entry.said, entry.previous_hash.hex())
    return hashlib.sha256("|".join(map(str, fields)).encode()).digest()


def checked(entries: Iterable[Chained], noted: Head | None = None) -> Head:
    """The chain's head; BrokenChainError names the first row that does not hold.

    `noted` is a head of an earlier day: it must still stand in the chain.
    """
    head = Head()
    seen = noted is None or noted == head
    for entry in entries:
        if entry.entry_no != head.entry_no + 1:
            raise BrokenChainError(head.entry_no + 1, "is missing")
        if entry.previous_hash != head.hash:
            raise BrokenChainError(entry.entry_no, "does not follow from the one before")
        if entry.hash != hash_of(entry):
            raise BrokenChainError(entry.entry_no, "was changed")
        head = Head(entry.entry_no, entry.hash)
        if noted is not None and entry.entry_no == noted.entry_no:
            if entry.hash != noted.hash:
                raise BrokenChainError(entry.entry_no, "is another one than was noted")
            seen = True
    if not seen and noted is not None:
        raise BrokenChainError(head.entry_no + 1, f"is missing, and all others up to the noted {noted.entry_no}")
    return head


ENTRIES = (
    b"SELECT entry_no, (extract(epoch FROM at) * 1000)::bigint, person_id::text, patient_id::text, what,"
    b" previous_hash, hash FROM audit.reads ORDER BY entry_no"
)
DEEDS = (
    b"SELECT entry_no, (extract(epoch FROM at) * 1000)::bigint, actor, deed, subject, detail,"
    b" previous_hash, hash FROM audit.deeds ORDER BY entry_no"
)


def entries(dsn: str) -> Iterator[Entry]:
    """Who read whose data: every row in order, a few at a time."""
    for row in _rows(dsn, ENTRIES):
        yield Entry(*row)


def deeds(dsn: str) -> Iterator[Deed]:
    """What was done to whom is let in: every row in order, a few at a time."""
    for row in _rows(dsn, DEEDS):
        yield Deed(*row)


def _rows(dsn: str, statement: bytes) -> Iterator[tuple[Any, ...]]:
    with psycopg.connect(dsn) as connection, connection.cursor("audit") as cursor:
        cursor.execute(statement)
        yield from cursor
