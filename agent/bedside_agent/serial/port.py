"""What the agent needs of a serial line, in its own words, and how it can fail."""

from collections.abc import Callable
from typing import Protocol

from bedside_profiles.errors import BedsideError
from bedside_profiles.profile import LineSettings


class PortError(BedsideError):
    """The line cannot be opened, or broke while open. `reason` is one sentence for a technician."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class Port(Protocol):
    """One open line."""

    async def read(self) -> bytes:
        """The next bytes, at least one. Raises `PortError` when the line broke or its other end is gone."""
        ...

    async def write(self, data: bytes) -> None:
        """Hand all of `data` to the line. Raises `PortError`."""
        ...

    async def close(self) -> None:
        """Close the line; no error if it broke already."""
        ...


PortOpener = Callable[[str, LineSettings], Port]
"""Opens a path (better a stable one: `/dev/serial/by-id/…`) with the profile's settings, or raises `PortError`."""
