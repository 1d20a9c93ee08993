"""What the service manager is told: sd_notify(3) over the socket that it names, and nothing where it names none."""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """`watchdog_seconds` is how often the manager wants to hear `WATCHDOG=1`; None when it does not watch."""

    def __init__(self, address: str | None, watchdog_seconds: float | None = None) -> None:
        self.watchdog_seconds = watchdog_seconds
        self._address = address

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], pid: int) -> "Notifier":
        """`NOTIFY_SOCKET`, and `WATCHDOG_USEC` where `WATCHDOG_PID` is this process (sd_watchdog_enabled(3))."""
        microseconds = environment.get("WATCHDOG_USEC", "")
        mine = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        watched = mine and microseconds.isdecimal() and int(microseconds) > 0
        return cls(environment.get("NOTIFY_SOCKET"), int(microseconds) / 1_000_000 if watched else None)

    def ready(self) -> None:
        """The start is over: devices are being read."""
        self._say("READY=1")

    def stopping(self) -> None:
        """A stop was asked for."""
        self._say("STOPPING=1")

    def alive(self, status: str) -> None:
        """Every part has moved since the last time; `status` is one line for `systemctl status`."""
        self._say(f"WATCHDOG=1\nSTATUS={status}")

    def stuck(self, status: str) -> None:
        """A part does not move: the manager is told why it will hear nothing more."""
        self._say(f"STATUS={status}")

    def _say(self, text: str) -> None:
        if self._address is None:
            return
        # A leading @ stands for the zero byte of an abstract address.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
            sending.sendto(text.encode(), os.fsencode(address))
