"""What an Omron cuff does when a hub speaks to it: opened, or given a key, and then read by address."""

from collections.abc import Sequence

from bedside_profiles.bluetooth import omron_frame
from bedside_profiles.bluetooth.omron_conversation import KEY, PROGRAM_KEY, TOKEN, UNLOCK, UNLOCK_WITH_KEY
from bedside_profiles.bluetooth.omron_frame import ENDED, READ_ANSWER, STARTED, OmronFrame
from bedside_profiles.bluetooth.omron_memory import Memory, Opening
from bedside_profiles.bluetooth.omron_record import OmronRecord
from bedside_profiles.readings import Measurement
from bedside_sim.devices.vendor_device import Said
from bedside_sim.devices.vendor_scripts import Kept, pressures, taken

_REFUSED = 0x0F


class OmronCuff(Kept[OmronRecord]):
    """The memory of a model. One that wants a key takes a new one while `pairing_mode` lasts: to the end of a session.

    `errors` counts the sessions that nobody ended: a real one then shows an error to its owner.
    """

    def __init__(self, records: Sequence[OmronRecord], memory: Memory) -> None:
        super().__init__(records)
        self.errors = 0
        self.others: list[OmronRecord] = []
        """Of the second user."""
        self.pairing_mode = True
        self.key: bytes | None = None
        self._memory = memory
        self._is_begun = self._is_open = self._takes_key = False

    def connected(self) -> None:
        """See `vendor_device.Script`."""
        self.errors += self._is_begun
        self._is_begun = self._takes_key = False
        self._is_open = self._memory.opening is Opening.FREELY

    def heard(self, command: bytes, measured: Sequence[Measurement]) -> Sequence[Said]:
        """See `vendor_device.Script`."""
        if command[0] != len(command):
            return ((UNLOCK, self._unlock(command[0], command[1:])),)
        frame = self._answer(command) if self._is_open else None
        if frame is None:
            return ()
        return omron_frame.spread(frame) if self._memory.opening is Opening.KEY else (frame,)

    def _unlock(self, command: int, said: bytes) -> bytes:
        is_right = False
        if self._memory.opening is Opening.TOKEN:
            is_right = command == TOKEN and len(said) == 4
        elif command == UNLOCK_WITH_KEY:
            is_right = said == self.key
        elif command == PROGRAM_KEY:
            is_right = self._takes_key = self.pairing_mode
        elif command == KEY and self._takes_key and len(said) == 16:
            is_right, self.key = True, said
        self._is_open |= is_right and command != PROGRAM_KEY
        repeated = said[:4] if command == TOKEN else b""
        return bytes((command | 0x80, 0 if is_right else _REFUSED)) + repeated + bytes(10)

    def _answer(self, command: bytes) -> bytes | None:
        asked = OmronFrame.from_bytes(command)
        if command == omron_frame.start():
            self._is_begun = True
            return OmronFrame(STARTED).to_bytes()
        if not self._is_begun:
            return None
        if asked.kind == omron_frame.READ:
            return OmronFrame(READ_ANSWER, asked.address, self._block(asked.address, command[5])).to_bytes()
        if asked.kind != omron_frame.END:
            return None
        self._is_begun = self.pairing_mode = False
        return OmronFrame(ENDED).to_bytes()

    def _block(self, address: int, count: int) -> bytes:
        layout = self._memory.layout
        space = bytearray(b"\xff" * 0x10000)
        for (first, most), records in zip(self._memory.areas, (self.records, self.others), strict=False):
            for place, record in enumerate(records):
                at = first + place % most * layout.record_bytes
                kept = record.to_bytes(big_endian=layout.big_endian).ljust(layout.record_bytes, b"\0")
                space[at : at + layout.record_bytes] = kept
        return bytes(space[address : address + count])

    def _record(self, measured: Sequence[Measurement]) -> OmronRecord:
        return OmronRecord(*pressures(measured), taken(measured))
