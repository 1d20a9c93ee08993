"""What a session hears and tells, written down."""

from dataclasses import dataclass, field


@dataclass
class Recorder:
    """An ear and a teller in one: `said` are the link's changes in order, `heard` the payloads."""

    heard: list[tuple[bytes, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    beginnings: int = 0
    ends: int = 0
    charges: list[int] = field(default_factory=list)

    def hear(self, payload: bytes, characteristic: str = "") -> None:
        self.heard.append((payload, characteristic))

    def charged(self, percent: int) -> None:
        self.charges.append(percent)

    def connected(self) -> None:
        self.beginnings += 1

    def disconnected(self) -> None:
        self.ends += 1

    def lost(self, reason: str) -> None:
        self.said.append(f"lost: {reason}")

    def given_up(self, reason: str) -> None:
        self.said.append(f"given up: {reason}")


@dataclass
class Told:
    """A teller that only keeps the changes."""

    said: list[str] = field(default_factory=list)

    def connected(self) -> None:
        self.said.append("connected")

    def lost(self, reason: str) -> None:
        self.said.append(f"lost: {reason}")

    def given_up(self, reason: str) -> None:
        self.said.append(f"given up: {reason}")
