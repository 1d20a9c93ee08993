"""The conversation that reads an Omron cuff's memory: its model, what opens it, all of its records, and a proper end.

A cuff that wants a key is given one of this hub's own, once, while it is in its pairing mode (`P` blinks); it is
remembered as the position of the device. Nothing else is written to the cuff: neither its clock nor its counters of
unread records, beside which some models keep the calibration of their sensor.
"""

import secrets
from collections.abc import Callable, Sequence

from bedside_profiles.bluetooth.device_information import MODEL_NUMBER
from bedside_profiles.bluetooth.memory_reading import MemoryConversation
from bedside_profiles.bluetooth.omron_frame import (
    ANSWERS,
    COMMANDS,
    ENDED,
    READ_ANSWER,
    STARTED,
    OmronFrame,
    end,
    read,
    start,
)
from bedside_profiles.bluetooth.omron_memory import Memory, Opening, memory_of
from bedside_profiles.conversation import Finish, Known, Moment, Read, Remember, Step, Trouble, Write
from bedside_profiles.errors import DecodeError

UNLOCK = "b305b680-aee7-11e1-a730-0002a5d5c51b"
"""What is written here opens the cuff: a command byte and its bytes. The answer is the command with 80 added and 00, or
what was wrong."""

TOKEN, UNLOCK_WITH_KEY, PROGRAM_KEY, KEY = 0x11, 0x01, 0x02, 0x00
"""Four bytes that the answer repeats; the key of 16 bytes; 16 zeros, for a key to come; that key."""
_TAKEN, _ANSWERED = 0x00, 0x80
KEY_BYTES = 16
_KEY_WORD = "key:"

ANSWER_SECONDS = 5.0
MOST_TRIES = 4
WANTS_KEY_PAUSE_SECONDS = 10.0
"""Somebody who is told to hold the cuff's button does it now."""


class OmronConversation(MemoryConversation):
    """See `Conversation`. A session that nobody ends properly lets the cuff show an error."""

    def __init__(self, known: Known, new_key: Callable[[int], bytes] = secrets.token_bytes) -> None:
        """`new_key` makes so many bytes that nobody can guess."""
        super().__init__()
        self._key = _key_in(known.position)
        self._new_key = new_key
        self._memory: Memory | None = None
        self._left: list[tuple[int, int]] = []
        self._asked: Write | None = None
        self._unlocking: Write | None = None
        """What was written to `UNLOCK` last, until the cuff is open."""
        self._expected: tuple[int, tuple[int, int] | None] | None = None
        """The kind of the next answer, and of a block its address and size."""
        self._tries = 0
        self._pieces: dict[str, bytes] = {}
        self._why: str | None = None

    def begin(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        self._wait(now)
        return (Read(MODEL_NUMBER),)

    def hear(self, characteristic: str, payload: bytes, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if characteristic == MODEL_NUMBER:
            return self._model(payload, now)
        if characteristic == UNLOCK:
            return self._unlock(payload, now)
        if characteristic not in ANSWERS or self._expected is None:
            return ()
        frame = self._joined(characteristic, payload)
        kind, block = self._expected
        if frame is None or frame.kind != kind or block not in (None, (frame.address, len(frame.data))):
            return ()
        if frame.kind == ENDED:
            return self._over()
        return self._next(now)

    def refused(self, step: Write | Read, now: Moment) -> Sequence[Step]:
        """See `Conversation`."""
        if isinstance(step, Read):
            return self._given_up("the cuff does not say its model, and without it its memory cannot be read")
        return super().refused(step, now)

    def wake(self, now: Moment) -> Sequence[Step]:
        """See `Conversation`: the same is asked again some times, then the session is ended."""
        self._pieces.clear()
        if self._asked is None:
            return super().wake(now)
        if self._tries < MOST_TRIES:
            return self._ask(self._asked, now)
        if self._unlocking is not None and self._unlocking.payload[0] in (PROGRAM_KEY, KEY):
            return self._wants_key()
        if self._expected is None:
            return super().wake(now)
        if self._expected[0] == ENDED:
            return self._over()
        return self._end(now, "the device does not go on telling what it keeps")

    def _model(self, said: bytes, now: Moment) -> Sequence[Step]:
        self._memory = memory_of(said)
        if self._memory is None:
            model = said.split(b"\0")[0].decode("ascii", "replace").strip()
            return self._given_up(f"the cuff is a {model!r}, and where that model keeps its records is not known")
        self._left = list(self._memory.blocks())
        if self._memory.opening is Opening.FREELY:
            return self._start(now)
        if self._memory.opening is Opening.TOKEN:
            # Any four bytes do: they are no secret, and only tell this answer from an earlier one.
            token = (round(now.seconds * 1000) & 0xFFFFFFFF).to_bytes(4, "big")
            return self._ask_to_unlock(TOKEN, token, now)
        if self._key is not None:
            return self._ask_to_unlock(UNLOCK_WITH_KEY, self._key, now)
        return self._ask_to_unlock(PROGRAM_KEY, bytes(KEY_BYTES), now)

    def _unlock(self, answer: bytes, now: Moment) -> Sequence[Step]:
        if self._unlocking is None or len(answer) < 2:
            return ()
        command, rest = self._unlocking.payload[0], self._unlocking.payload[1:]
        if answer[0] != command | _ANSWERED:
            return ()
        is_taken = answer[1] == _TAKEN
        if command == UNLOCK_WITH_KEY and not is_taken:
            # Another hub has programmed its own since, or the cuff was reset.
            return self._ask_to_unlock(PROGRAM_KEY, bytes(KEY_BYTES), now)
        if not is_taken or (command == TOKEN and answer[2:6] != rest):
            return ()
        if command == PROGRAM_KEY:
            key = self._key = self._key or self._new_key(KEY_BYTES)
            # Before the cuff has it, so that a link that is lost now costs nothing. The disk may have it a moment
            # later: when the power goes in between, the cuff is given another one in its pairing mode.
            return Remember(_KEY_WORD + key.hex()), *self._ask_to_unlock(KEY, key, now)
        if command == KEY:
            # In its pairing mode a cuff tells no records: a session, begun and ended, is what makes it know the hub.
            self._left = []
        return self._start(now)

    def _wants_key(self) -> Sequence[Step]:
        self._wakes_at_seconds = None
        reason = (
            "the cuff must be given this hub's key once: hold its Bluetooth button until P blinks, within ten seconds"
        )
        return Trouble(reason), Finish(WANTS_KEY_PAUSE_SECONDS)

    def _start(self, now: Moment) -> Sequence[Step]:
        self._unlocking = None
        return self._ask_for(STARTED, None, start(), now)

    def _next(self, now: Moment) -> Sequence[Step]:
        if not self._left:
            return self._end(now, None)
        block = self._left.pop(0)
        return self._ask_for(READ_ANSWER, block, read(*block), now)

    def _end(self, now: Moment, why: str | None) -> Sequence[Step]:
        self._why = why
        return self._ask_for(ENDED, None, end(), now)

    def _over(self) -> Sequence[Step]:
        return self._done() if self._why is None else self._given_up(self._why)

    def _ask_to_unlock(self, command: int, said: bytes, now: Moment) -> Sequence[Step]:
        self._unlocking, self._tries = Write(bytes((command,)) + said, UNLOCK), 0
        return self._ask(self._unlocking, now)

    def _ask_for(self, kind: int, block: tuple[int, int] | None, command: bytes, now: Moment) -> Sequence[Step]:
        self._expected, self._tries = (kind, block), 0
        self._pieces.clear()
        return self._ask(Write(command, COMMANDS[0]), now)

    def _ask(self, asked: Write, now: Moment) -> Sequence[Step]:
        self._asked = asked
        self._tries += 1
        self._wait(now, ANSWER_SECONDS)
        return (asked,)

    def _joined(self, channel: str, payload: bytes) -> OmronFrame | None:
        """A frame may come in pieces: over several channels, or where the link bears only short values."""
        if channel in self._pieces and len(self._pieces) > 1:
            self._pieces.clear()
        self._pieces[channel] = self._pieces.get(channel, b"") + payload
        joined = b"".join(self._pieces.get(one, b"") for one in ANSWERS)
        if not self._pieces.get(ANSWERS[0]) or len(joined) < joined[0]:
            return None
        self._pieces.clear()
        try:
            return OmronFrame.from_bytes(joined[: joined[0]])
        except DecodeError:
            return None


def _key_in(position: str | None) -> bytes | None:
    """The key that was remembered; None when none was, or something else."""
    if position is None or not position.startswith(_KEY_WORD):
        return None
    try:
        key = bytes.fromhex(position.removeprefix(_KEY_WORD))
    except ValueError:
        return None
    return key if len(key) == KEY_BYTES else None
