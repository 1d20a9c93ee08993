"""How much may be on the link at once, and how large a batch may be, so that an alarm never waits long. Pure.

Whatever was handed to the system lies in front of an alarm: in the socket's buffer, in the modem, on the air. None of
them tells how much it holds; how long the broker's acknowledgement takes does. What it takes longer than on an empty
link is the queue in front of an alarm. Times are monotonic milliseconds.
"""

from dataclasses import dataclass

QUEUE_MS = 300
"""The queue that is aimed at. A fast link stays busy with it, and an alarm waits no longer than for one batch more."""

BATCHES_A_WINDOW = 4
"""So many batches fill the window: an alarm that must wait for one waits a quarter of the queue."""

LEAST_BATCH_BYTES = 1024
"""Below this the envelope is most of the batch."""

FIRST_WINDOW_BYTES = 8 * 1024
"""A quarter of a second of 256 kbit/s. A faster link doubles it with each round trip."""

EMPTY_EVERY_MS = 60_000
"""How old the measure of the empty link may become: then one batch goes alone."""

ALLOWANCE_MS = 1000
"""What was not used is kept for so long."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One batch that was handed to the link; `alone` when nothing else was on it, after `carried_bytes` had arrived."""

    size_bytes: int
    at_ms: int
    alone: bool
    carried_bytes: int
    round_number: int


class Pace:
    """The link's window. It grows while acknowledgements come as quickly as on an empty link, and shrinks with them."""

    def __init__(self, most_batch_bytes: int, most_window_bytes: int) -> None:
        self._most_batch_bytes = most_batch_bytes
        self._most_window_bytes = max(most_window_bytes, most_batch_bytes)
        self.begin()

    def begin(self) -> None:
        """A new connection: perhaps over another network, of which nothing is known."""
        self.window_bytes = float(min(FIRST_WINDOW_BYTES, self._most_window_bytes))
        self.on_link_bytes = 0
        self._carried_bytes = 0
        self._empty_ms: int | None = None
        self._empty_at_ms = 0
        self._doubling = True
        # Acknowledgements of what left before a change of the window say nothing about the window after it.
        self._round_number = 0

    @property
    def batch_bytes(self) -> int:
        """The largest batch that may leave now."""
        return max(LEAST_BATCH_BYTES, min(self._most_batch_bytes, int(self.window_bytes) // BATCHES_A_WINDOW))

    def has_room(self, now_ms: int) -> bool:
        """Whether another batch may leave; the window may be exceeded by that one."""
        if self._empty_ms is not None and now_ms - self._empty_at_ms >= EMPTY_EVERY_MS:
            return self.on_link_bytes == 0
        return self.on_link_bytes < self.window_bytes

    def leave(self, size_bytes: int, now_ms: int) -> Departure:
        """A batch is handed to the link."""
        alone = self.on_link_bytes == 0
        self.on_link_bytes += size_bytes
        return Departure(size_bytes, now_ms, alone, self._carried_bytes, self._round_number)

    def arrive(self, batch: Departure, now_ms: int) -> None:
        """The broker has acknowledged a batch of this connection."""
        took_ms = now_ms - batch.at_ms
        full = self.on_link_bytes >= self.window_bytes / 2
        self.on_link_bytes -= batch.size_bytes
        self._carried_bytes += batch.size_bytes
        stale = now_ms - self._empty_at_ms >= EMPTY_EVERY_MS
        if self._empty_ms is None or took_ms <= self._empty_ms or (stale and batch.alone):
            self._empty_ms = took_ms
            self._empty_at_ms = now_ms
        queue_ms = took_ms - self._empty_ms
        if queue_ms > QUEUE_MS / 2:
            self._doubling = False
        if queue_ms > QUEUE_MS:
            if batch.round_number == self._round_number:
                # What the link has carried meanwhile is what it can: as much as that, and half the queue.
                a_ms = (self._carried_bytes - batch.carried_bytes) / took_ms
                self._set_window(min(self.window_bytes, a_ms * (self._empty_ms + QUEUE_MS / 2)))
                self._round_number += 1
        elif full and queue_ms <= QUEUE_MS / 2:
            share = 1.0 if self._doubling else self.batch_bytes / 2 / self.window_bytes
            self._set_window(self.window_bytes + share * batch.size_bytes)

    def _set_window(self, size_bytes: float) -> None:
        self.window_bytes = min(max(size_bytes, 2 * LEAST_BATCH_BYTES), self._most_window_bytes)


class Allowance:
    """At most so many bytes a second, in the long run. What leaves may overdraw it by one batch."""

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._balance = bytes_per_second * ALLOWANCE_MS / 1000
        self._at_ms: int | None = None

    @property
    def batch_bytes(self) -> int:
        """The largest batch that overdraws it for no more than a quarter of a second."""
        return max(LEAST_BATCH_BYTES, self._bytes_per_second // 4)

    def spend(self, size_bytes: int, now_ms: int) -> None:
        """A batch leaves."""
        self._earn(now_ms)
        self._balance -= size_bytes

    def ready_ms(self, now_ms: int) -> int:
        """When the next batch may leave: now or later."""
        self._earn(now_ms)
        missing = max(0.0, -self._balance)
        return now_ms + -int(-missing * 1000 // self._bytes_per_second)

    def _earn(self, now_ms: int) -> None:
        passed_ms = 0 if self._at_ms is None else max(0, now_ms - self._at_ms)
        self._at_ms = now_ms
        most = self._bytes_per_second * ALLOWANCE_MS / 1000
        self._balance = min(most, self._balance + self._bytes_per_second * passed_ms / 1000)
