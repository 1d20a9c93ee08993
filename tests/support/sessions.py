"""What a session hears and tells, written down."""

import asyncio
from dataclasses import dataclass, field

from bedside_profiles.conversation import ClockMeasured, Moment


def now_without_wall_time() -> Moment:
    """The event loop's time, on a hub that does not know the wall time."""
    return Moment(asyncio.get_running_loop().time(), None)


@dataclass
class _Teller:
    """What both write down of a link."""

    said: list[str] = field(default_factory=list)

    def lost(self, reason: str) -> None:
        self.said.append(f"lost: {reason}")

    def given_up(self, reason: str) -> None:
        self.said.append(f"given up: {reason}")

    def done(self) -> None:
        self.said.append("done")

    def trouble(self, reason: str) -> None:
        self.said.append(f"trouble: {reason}")

    def clock(self, measured: ClockMeasured) -> None:
        self.said.append(f"clock: {measured.offset_seconds} {'set' if measured.is_set else 'not set'}")

    def paired(self) -> None:
        self.said.append("paired")

    def repair_needed(self, reason: str) -> None:
        self.said.append("repair needed")


@dataclass
class Recorder(_Teller):
    """An ear and a teller in one: `said` are the link's changes in order, `heard` the payloads."""

    heard: list[tuple[bytes, str]] = field(default_factory=list)
    beginnings: int = 0
    ends: int = 0
    charges: list[int] = field(default_factory=list)
    positions: list[str] = field(default_factory=list)
    """What was to be remembered, each with how many payloads came before: `position@count`."""
    on_disk: asyncio.Event = field(default_factory=asyncio.Event)

    async def stored(self) -> None:
        await self.on_disk.wait()

    def hear(self, payload: bytes, characteristic: str = "") -> None:
        self.heard.append((payload, characteristic))

    def charged(self, percent: int) -> None:
        self.charges.append(percent)

    def remember(self, position: str) -> None:
        self.positions.append(f"{position}@{len(self.heard)}")

    def connected(self) -> None:
        self.beginnings += 1

    def disconnected(self) -> None:
        self.ends += 1


class Told(_Teller):
    """A teller that only keeps the changes."""

    def connected(self) -> None:
        self.said.append("connected")
