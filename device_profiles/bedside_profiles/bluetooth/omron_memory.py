"""Where an Omron cuff keeps its records, model by model, and the conversation that reads them.

A wrong address or order would give values that look right: nothing is read of a model that is not in `MEMORIES`, and a
model is what the cuff itself says it is (Device Information, Model Number String). Addresses, numbers of records and
which models want a token first are facts of the projects omblepy and hass-omron.

Nothing is written to the memory: neither its clock nor its counters of unread records. Older cuffs (four channels,
HEM-7322T, HEM-7600T and their kin) hand their memory only to who has programmed a key of their own into them: they are
decoded, and not read live.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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
from bedside_profiles.bluetooth.omron_record import LITTLE_14, LITTLE_16, Layout
from bedside_profiles.conversation import Known, Moment, Read, Step, Write
from bedside_profiles.errors import DecodeError

UNLOCK = "b305b680-aee7-11e1-a730-0002a5d5c51b"
"""A token written here (11 and four bytes) is answered with 91, 00 and the same four."""

_ASK_TOKEN, _TOKEN_TAKEN = 0x11, b"\x91\x00"
_BLOCK_BYTES = 0x2C
"""In one answer; every model that is read here bears it."""

ANSWER_SECONDS = 5.0
MOST_TRIES = 4


@dataclass(frozen=True, slots=True)
class Memory:
    """`areas` are the first address and the number of records, user by user; `wants_token` before it says anything."""

    layout: Layout
    areas: tuple[tuple[int, int], ...]
    wants_token: bool = False

    def user_at(self, address: int) -> int | None:
        """Whose record lies there, counted from 1; None where the cuff has one user, or no record begins there."""
        if len(self.areas) == 1 or not self.holds(address, self.layout.record_bytes):
            return None
        size = self.layout.record_bytes
        return next(
            user for user, (first, count) in enumerate(self.areas, 1) if first <= address < first + count * size
        )

    def holds(self, address: int, count: int) -> bool:
        """Whether a block of `count` bytes at that address is made of whole records of one user."""
        size = self.layout.record_bytes
        return count > 0 and any(
            first <= address
            and address + count <= first + records * size
            and (address - first) % size == count % size == 0
            for first, records in self.areas
        )

    def blocks(self) -> Sequence[tuple[int, int]]:
        """Address and size of each read, all users' areas from their beginning on."""
        size = self.layout.record_bytes
        most = _BLOCK_BYTES // size * size
        return [
            (at, min(most, first + count * size - at))
            for first, count in self.areas
            for at in range(first, first + count * size, most)
        ]


_SHORT = Memory(LITTLE_14, ((0x2E8, 30),))
_LONG = Memory(LITTLE_16, ((0x2E8, 60), (0x6A8, 60)))

_MEMORIES: Mapping[Memory, str] = {
    _SHORT: "7146T 7143T1 7143T2 7144T1 7144T2 7146T2 716DT2",
    replace(_SHORT, wants_token=True): "716BT2 7149T2 716CT2",
    Memory(LITTLE_14, ((0x2E8, 14),), wants_token=True): "7142T2 7138K 7140T1 7141T1 7142T1",
    Memory(LITTLE_16, ((0x98, 60), (0x458, 60))): "7155T-MW",
    _LONG: "7155T-K4 7155T_K4 7340T_K4 7341T_K4",
    replace(_LONG, wants_token=True): "7155T-MW3 7155T_ESL1",
    Memory(LITTLE_16, ((0x1C4, 60),), wants_token=True): "7191T1",
    Memory(LITTLE_16, ((0x1C4, 60), (0x584, 60)), wants_token=True): "7194T1 7196T1",
    Memory(LITTLE_16, ((0x1C4, 100), (0x804, 100)), wants_token=True): "7380T1 7380T 7383T1 7384T1",
    Memory(LITTLE_16, ((0x80C, 60), (0xBCC, 60)), wants_token=True): "7376T1 7385T1 7387T1 7389T1",
    Memory(LITTLE_16, ((0x80C, 80), (0xD0C, 80)), wants_token=True): "7377T1",
    Memory(LITTLE_16, ((0x80C, 100), (0xE4C, 100)), wants_token=True): "7381T1 7382T1 7386T1 7388T1",
    Memory(LITTLE_16, ((0x1C4, 30),), wants_token=True): "7183T1 7188T1",
}
MEMORIES: Mapping[str, Memory] = {
    f"HEM-{model}": memory for memory, models in _MEMORIES.items() for model in models.split()
}
"""By model, without what stands for its market and colour."""


def memory_of(model_number: bytes) -> Memory | None:
    """The memory of the model that says so of itself; None for one that is not known.

    What follows a model is its market (`HEM-7143T1_EBK`, `HEM-7146T2-JD`), unless it makes another model of it.
    """
    model = model_number.split(b"\0")[0].decode("ascii", "replace").strip().upper()
    found = [name for name in MEMORIES if model == name or (model.startswith(name) and model[len(name)] in "-_")]
    return MEMORIES[max(found, key=len)] if found else None


class OmronConversation(MemoryConversation):
    """Asks the cuff for its model, then for all of its records, and ends properly: else it shows an error."""

    def __init__(self, _known: Known) -> None:
        super().__init__()
        self._memory: Memory | None = None
        self._left: list[tuple[int, int]] = []
        self._token = b""
        self._asked: Write | None = None
        self._expected: tuple[int, tuple[int, int] | None] | None = None
        """The kind of the next answer, and of a block its address and size."""
        self._tries = 0
        self._pieces = b""
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
            is_taken = bool(self._token) and payload[:6] == _TOKEN_TAKEN + self._token
            return self._start(now) if is_taken and self._expected is None else ()
        if characteristic != ANSWERS[0] or self._expected is None:
            return ()
        frame = self._joined(payload)
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
        self._pieces = b""
        if self._asked is None:
            return super().wake(now)
        if self._tries < MOST_TRIES:
            return self._ask(self._asked, now)
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
        if not self._memory.wants_token:
            return self._start(now)
        # Any four bytes do: they are no secret, and only tell this answer from an earlier one.
        self._token = (round(now.seconds * 1000) & 0xFFFFFFFF).to_bytes(4, "big")
        self._tries = 0
        return self._ask(Write(bytes((_ASK_TOKEN,)) + self._token, UNLOCK), now)

    def _start(self, now: Moment) -> Sequence[Step]:
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

    def _ask_for(self, kind: int, block: tuple[int, int] | None, command: bytes, now: Moment) -> Sequence[Step]:
        self._expected, self._tries, self._pieces = (kind, block), 0, b""
        return self._ask(Write(command, COMMANDS[0]), now)

    def _ask(self, asked: Write, now: Moment) -> Sequence[Step]:
        self._asked = asked
        self._tries += 1
        self._wait(now, ANSWER_SECONDS)
        return (asked,)

    def _joined(self, payload: bytes) -> OmronFrame | None:
        """A frame may come in pieces where the link bears only short values."""
        self._pieces += payload
        if not self._pieces or len(self._pieces) < self._pieces[0]:
            return None
        whole, self._pieces = self._pieces[: self._pieces[0]], b""
        try:
            return OmronFrame.from_bytes(whole)
        except DecodeError:
            return None
