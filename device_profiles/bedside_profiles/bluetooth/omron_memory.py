"""Where an Omron cuff keeps its records, model by model, and what it wants before it tells them.

A wrong address or order would give values that look right: nothing is read of a model that is not in `MEMORIES`, and a
model is what the cuff itself says it is (Device Information, Model Number String). Addresses, numbers of records, sizes
of a read and what opens a model are facts of the projects omblepy and hass-omron.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from bedside_profiles.bluetooth.omron_record import BIG_14, LITTLE_14, LITTLE_16, Layout

_MOST_BYTES = 0x2C
"""In one answer; every model that needs no key bears it."""


class Opening(Enum):
    """What a cuff wants before it says anything. `KEY`: one that was once programmed into it, in its pairing mode."""

    FREELY = auto()
    TOKEN = auto()
    KEY = auto()


@dataclass(frozen=True, slots=True)
class Memory:
    """`areas` are the first address and the number of records, user by user; one answer holds `most_bytes` of it."""

    layout: Layout
    areas: tuple[tuple[int, int], ...]
    opening: Opening
    most_bytes: int = _MOST_BYTES

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
        most = self.most_bytes // size * size
        return [
            (at, min(most, first + count * size - at))
            for first, count in self.areas
            for at in range(first, first + count * size, most)
        ]


_F, _T, _K = Opening.FREELY, Opening.TOKEN, Opening.KEY

_SHORT = (0x2E8, 30)
_LONG = ((0x2E8, 60), (0x6A8, 60))

_MEMORIES: Mapping[Memory, str] = {
    Memory(LITTLE_14, (_SHORT,), _F): "7146T 7143T1 7143T2 7144T1 7144T2 7146T2 716DT2",
    Memory(LITTLE_14, (_SHORT,), _T): "716BT2 7149T2 716CT2",
    Memory(LITTLE_14, ((0x2E8, 14),), _T): "7142T2 7138K 7140T1 7141T1 7142T1",
    Memory(LITTLE_16, ((0x98, 60), (0x458, 60)), _F): "7155T-MW",
    Memory(LITTLE_16, _LONG, _F): "7155T-K4 7155T_K4 7340T_K4 7341T_K4",
    Memory(LITTLE_16, _LONG, _T): "7155T-MW3 7155T_ESL1",
    Memory(LITTLE_16, ((0x1C4, 60),), _T): "7191T1",
    Memory(LITTLE_16, ((0x1C4, 60), (0x584, 60)), _T): "7194T1 7196T1",
    Memory(LITTLE_16, ((0x1C4, 100), (0x804, 100)), _T): "7380T1 7380T 7383T1 7384T1",
    Memory(LITTLE_16, ((0x80C, 60), (0xBCC, 60)), _T): "7376T1 7385T1 7387T1 7389T1",
    Memory(LITTLE_16, ((0x80C, 80), (0xD0C, 80)), _T): "7377T1",
    Memory(LITTLE_16, ((0x80C, 100), (0xE4C, 100)), _T): "7381T1 7382T1 7386T1 7388T1",
    Memory(LITTLE_16, ((0x1C4, 30),), _T): "7183T1 7188T1",
    Memory(LITTLE_16, ((0x98, 60),), _K, most_bytes=0x10): "7150T",
    # M400 and M4 Intelli IT: a 7155T of another market keeps its records elsewhere.
    Memory(LITTLE_16, ((0x98, 60), (0x458, 60)), _K, most_bytes=0x10): "7155T-D 7155T-EBK",
    Memory(LITTLE_16, ((0x98, 100), (0x6D8, 100)), _K, most_bytes=0x10): "7342T 7361T",
    Memory(BIG_14, ((0x2AC, 100),), _K, most_bytes=0x38): "7600T",
    Memory(BIG_14, ((0x2AC, 100), (0x824, 100)), _K, most_bytes=0x38): "7322T",
    Memory(BIG_14, ((0x2E8, 100), (0x860, 100)), _K, most_bytes=0x38): "6232T",
    Memory(BIG_14, ((0x2E8, 90),), _K, most_bytes=0x10): "7530T",
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
