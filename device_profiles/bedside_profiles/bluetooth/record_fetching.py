"""How a hub asks for the records that a device keeps, over the Record Access Control Point: all of them the first time,
then those from the last one on that it has.

The last one is asked for again, on purpose: if it does not come, or another stands under its number, then the memory
was emptied, or another patient's meter took its place, and everything is asked for. Records that came before are
dropped by the hub. A position is remembered only when the device said that its report is whole, so an interrupted one
is asked for again. That there are no records is a normal answer. Nothing here can delete a record.
"""

import hashlib
from collections.abc import Callable, Sequence

from bedside_profiles.bluetooth import record_access
from bedside_profiles.bluetooth.record_access import CONTROL_POINT, Filter, Operation, Operator, RecordRequest
from bedside_profiles.conversation import Finish, Known, LeaveAlone, Moment, Read, Remember, Step, Trouble, Write
from bedside_profiles.errors import DecodeError

ANSWER_SECONDS = 20.0
"""Without a record or an answer for so long, the report is aborted."""

ABORT_SECONDS = 5.0
LINGER_SECONDS = 10.0
"""A meter is kept for so long after its report: a measurement may be under way."""

MODEST_PAUSE_SECONDS, TROUBLED_PAUSE_SECONDS = 60.0, 300.0
"""A meter is left alone for so long, for its battery's sake: after all went well, and after it did not."""

_DIGEST_BYTES = 4

Numbered = Callable[[str, bytes], Sequence[tuple[int, bytes]]]
"""The records in one value of a characteristic: each one's number, and its bytes. Raises `DecodeError`."""


class RecordConversation:
    """See `Conversation`. `stays`: the device goes on measuring, and the link is not ended."""

    def __init__(self, known: Known, numbered: Numbered, *, stays: bool) -> None:
        self._numbered = numbered
        self._stays = stays
        self._last = _parsed(known.position)
        self._asked: RecordRequest | None = None
        self._aborting = False
        self._saw_last = False
        self._newest: tuple[int, bytes] | None = None
        self._wakes_at_seconds: float | None = None
        self._pause_seconds = MODEST_PAUSE_SECONDS

    @property
    def wakes_at_seconds(self) -> float | None:
        """See `Conversation`."""
        return self._wakes_at_seconds

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if self._last is None:
            return self._ask(RecordRequest(Operation.REPORT, Operator.ALL), now)
        return self._ask(RecordRequest(Operation.REPORT, Operator.FROM, Filter.NUMBER, (self._last[0],)), now)

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if characteristic == CONTROL_POINT:
            return self._answered(payload, now)
        try:
            records = self._numbered(characteristic, payload)
        except DecodeError:
            # It is reported by whoever decodes it, and asking again would bring the same.
            return ()
        for number, record in records:
            digest = _digest(record)
            self._saw_last |= (number, digest) == self._last
            if self._newest is None or number >= self._newest[0]:
                self._newest = number, digest
        if not records:
            return ()
        if self._asked is None:
            # It measured just now, and told of it by itself.
            return (*self._remember(), *self._linger(now))
        self._wakes_at_seconds = now.seconds + ANSWER_SECONDS
        return ()

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if not isinstance(step, Write) or step.characteristic != CONTROL_POINT or self._asked is None:
            return ()
        return self._failed("the device refuses to be asked for its records", now)

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if self._asked is None:
            self._wakes_at_seconds = None
            return self.begin(now) if self._stays else (Finish(self._pause_seconds),)
        if self._aborting:
            return self._failed("the device does not answer the request for its records", now)
        self._aborting = True
        self._wakes_at_seconds = now.seconds + ABORT_SECONDS
        return (Write(RecordRequest(Operation.ABORT, Operator.NONE).to_bytes(), CONTROL_POINT),)

    def _ask(self, request: RecordRequest, now: Moment) -> Sequence[Step]:
        self._asked, self._aborting, self._saw_last, self._newest = request, False, False, None
        self._wakes_at_seconds = now.seconds + ANSWER_SECONDS
        return (Write(request.to_bytes(), CONTROL_POINT),)

    def _answered(self, payload: bytes, now: Moment) -> Sequence[Step]:
        asked = self._asked
        try:
            facts = {fact.name: fact.value for fact in record_access.decode_answer(payload).facts}
        except DecodeError:
            return ()
        code, operation = facts.get("response_code"), facts.get("request_operation")
        if asked is None or code is None:
            return ()
        if operation == Operation.ABORT or self._aborting:
            return self._failed("the device does not finish the report of its records", now)
        if operation != Operation.REPORT:
            return ()
        is_whole = code in (record_access.SUCCESS, record_access.NO_RECORDS_FOUND)
        if asked.operator is Operator.FROM and not (is_whole and self._saw_last):
            # The record that the hub knows is gone, or the device cannot choose.
            return self._ask(RecordRequest(Operation.REPORT, Operator.ALL), now)
        if not is_whole:
            return self._failed(f"the device answers the request for its records with code {code}", now)
        self._asked = None
        return (*self._remember(), *self._linger(now))

    def _remember(self) -> Sequence[Step]:
        if self._newest is None or self._newest == self._last:
            return ()
        self._last = self._newest
        return (Remember(f"{self._last[0]}:{self._last[1].hex()}"),)

    def _failed(self, reason: str, now: Moment) -> Sequence[Step]:
        self._asked, self._aborting = None, False
        self._pause_seconds = TROUBLED_PAUSE_SECONDS
        if self._stays:
            self._wakes_at_seconds = now.seconds + TROUBLED_PAUSE_SECONDS
            return (Trouble(reason),)
        return (Trouble(reason), *self._linger(now))

    def _linger(self, now: Moment) -> Sequence[Step]:
        self._wakes_at_seconds = None if self._stays else now.seconds + LINGER_SECONDS
        return () if self._stays else (LeaveAlone(self._pause_seconds),)


def _digest(record: bytes) -> bytes:
    return hashlib.blake2b(record, digest_size=_DIGEST_BYTES).digest()


def _parsed(position: str | None) -> tuple[int, bytes] | None:
    """A position that cannot be read is none: then all is asked for."""
    number, _, digest = (position or "").partition(":")
    try:
        return (int(number), bytes.fromhex(digest)) if 0 <= int(number) <= 0xFFFF else None
    except ValueError:
        return None
