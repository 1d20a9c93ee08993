"""The disk at a power cut: what was synced is there; of the rest all, nothing, or any part, down to a sector. Pure.

A file's bytes are safe after fsync or fdatasync of that file, its name after fsync of its directory: no more than POSIX
promises. Unsynced writes may be lost one by one, or arrive in part; names change in their order, as a journal writes.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tests.support.recorded_disk import Change, Kind

SECTOR = 512

Files = Mapping[str, bytes]


class Loss(Enum):
    """What the cut takes of what was not synced."""

    NOTHING = "nothing"
    EVERYTHING = "everything"
    TORN = "the end of the last write"
    LATER = "all after some moment"
    SECTORS = "any sectors"


@dataclass(slots=True)
class _File:
    content: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    unsynced: list[tuple[int, Change]] = field(default_factory=list)


class Disk:
    """Takes changes one after the other; `after_cut` answers at any moment."""

    def __init__(self) -> None:
        self._moment = 0
        self._names: dict[str, _File] = {}
        self._safe_names: dict[str, _File] = {}
        self._unsafe_names: list[tuple[int, dict[str, _File]]] = []

    def take(self, change: Change) -> None:
        """The kernel has done this."""
        self._moment += 1
        if change.kind in (Kind.CREATE, Kind.RENAME, Kind.UNLINK):
            self._rename(change)
        elif change.kind is Kind.SYNC_DIRECTORY:
            self._safe_names = dict(self._names)
            self._unsafe_names.clear()
        elif change.kind is not Kind.SAID:
            self._change(self._names[change.path], change)

    def after_cut(self, loss: Loss, chance: random.Random) -> Files:
        """Every file as it is found when the power is back."""
        since = {Loss.NOTHING: self._moment, Loss.TORN: self._moment, Loss.EVERYTHING: -1}.get(loss)
        if since is None:
            since = chance.randint(self._oldest(), self._moment)
        names = self._safe_names
        for moment, later in self._unsafe_names:
            if moment <= since:
                names = later
        return {path: self._content(file, loss, since, chance) for path, file in names.items()}

    def _oldest(self) -> int:
        moments = [moment for file in self._names.values() for moment, _ in file.unsynced]
        return min([*moments, *(moment for moment, _ in self._unsafe_names), self._moment]) - 1

    def _content(self, file: _File, loss: Loss, since: int, chance: random.Random) -> bytes:
        if not file.unsynced:
            return file.synced
        if loss is Loss.NOTHING:
            return bytes(file.content)
        if loss is Loss.EVERYTHING:
            return file.synced
        content = bytearray(file.synced)
        newest = file.unsynced[-1][0]
        for moment, change in file.unsynced:
            if loss is Loss.SECTORS:
                _apply_sectors(content, change, lambda: chance.random() < 0.5)
            elif moment <= since:
                torn = moment == newest == self._moment and loss is Loss.TORN
                _apply(content, _torn(change, chance) if torn else change)
        return bytes(content)

    def _rename(self, change: Change) -> None:
        if change.kind is Kind.CREATE:
            self._names = {**self._names, change.path: _File()}
        else:
            names = dict(self._names)
            file = names.pop(change.path, None)
            if change.kind is Kind.RENAME and file is not None:
                names[change.other] = file
            self._names = names
        self._unsafe_names.append((self._moment, self._names))

    def _change(self, file: _File, change: Change) -> None:
        if change.kind is Kind.SYNC:
            file.synced = bytes(file.content)
            file.unsynced.clear()
            return
        _apply(file.content, change)
        file.unsynced.append((self._moment, change))


def losses(change: Change) -> Sequence[Loss]:
    """The cuts worth a try right after this change: what is not of a kind with the cut before it."""
    if change.kind is Kind.SAID:
        return ()
    if change.kind is Kind.WRITE:
        return tuple(Loss)
    return (Loss.NOTHING, Loss.EVERYTHING, Loss.LATER, Loss.SECTORS)


def cuts(changes: Sequence[Change]) -> Iterator[tuple[int, Loss]]:
    """Every moment, and what may be lost at it."""
    for place, change in enumerate(changes):
        for loss in losses(change):
            yield place, loss


def _apply(content: bytearray, change: Change) -> None:
    if change.kind is Kind.TRUNCATE:
        del content[change.at :]
        content.extend(bytes(change.at - len(content)))
        return
    content.extend(bytes(max(0, change.at - len(content))))
    content[change.at : change.at + len(change.data)] = change.data


def _apply_sectors(content: bytearray, change: Change, arrives: Callable[[], bool]) -> None:
    if change.kind is Kind.TRUNCATE:
        if arrives():
            _apply(content, change)
        return
    for start in range(0, len(change.data), SECTOR):
        if arrives():
            _apply(content, Change(Kind.WRITE, change.path, change.data[start : start + SECTOR], change.at + start))


def _torn(change: Change, chance: random.Random) -> Change:
    arrived = chance.randrange(0, max(1, len(change.data) // SECTOR)) * SECTOR
    return Change(change.kind, change.path, change.data[:arrived], change.at)
