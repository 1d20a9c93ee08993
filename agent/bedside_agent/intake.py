"""Where devices' measurements enter: they get their time and sequence, pass the rules, and go to the buffer."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bedside_agent.alarms.keeper import AlarmKeeper
from bedside_agent.alarms.watching import given_ms
from bedside_agent.buffer.store import Store
from bedside_agent.clock import Instant
from bedside_agent.collect.notices import Notice
from bedside_agent.dating import DeviceClock, dated, local_to_utc_ms
from bedside_agent.seen import Seen
from bedside_profiles.conversation import ClockMeasured
from bedside_profiles.readings import Attribution, Measurement, Modality, Reading
from bedside_profiles.waveforms import Segment
from bedside_profiles.wire.events import Event, EventField
from bedside_profiles.wire.waveform import Waveform

LASTING_SECONDS = 30.0
"""How long after a test a technician's finger may still be in the sensor."""

JUST_NOW_MS = 120_000
"""A single check that is older was made when nobody waited for a sign: it came out of the device's memory."""


class Intake:
    """The `Sink` of every device. An alarm is on its way before the readings that raised it are on the disk."""

    def __init__(self, store: Store, keeper: AlarmKeeper, got_it: Callable[[], None] = lambda: None) -> None:
        """`got_it` is called when a single check that was made just now is on the disk."""
        self._got_it = got_it
        self._store = store
        self._keeper = keeper
        self._seen = Seen(store.state)
        self._newest: asyncio.Future[None] | None = None
        self._quarantined: list[str] = []
        self._clocks: dict[str, DeviceClock] = {}

    async def take(self, device_id: str, measurements: tuple[Measurement, ...], heard_at: Instant) -> None:
        """Keep one frame's measurements. Returns before they are on the disk; waits when the disk is far behind.

        A stored record that came before, over all starts of the agent, is dropped: no rule hears it again either. One
        that nothing dates is quarantined: it may be the last patient's.
        """
        known = self._seen.kept(device_id, measurements)
        if known is None:
            return
        drafts = [self._reading(device_id, one, heard_at) for one in measurements]
        readings, self._newest = self._store.append_readings(drafts, known)
        self._keeper.observe(readings, heard_at)
        if any(one.modality is Modality.SPOT and heard_at.utc_ms - one.taken_at_ms <= JUST_NOW_MS for one in readings):
            self._newest.add_done_callback(self._on_kept)
        await self._store.room()

    def _on_kept(self, kept: "asyncio.Future[None]") -> None:
        if not kept.cancelled() and kept.exception() is None:
            self._got_it()

    def waveform(self, device_id: str, segment: Segment, heard_at: Instant) -> None:
        """Keep a piece of a waveform. It was taken until now: devices send it as they sample it."""
        taken_ms = heard_at.utc_ms - round((len(segment.samples) - 1) * 1000 / segment.rate_hz)
        is_doubtful = device_id in self._quarantined
        self._store.append_waveform(
            Waveform(
                seq=0,
                device_id=device_id,
                signal=segment.signal,
                rate_hz=segment.rate_hz,
                samples=segment.samples,
                taken_at_ms=max(0, taken_ms),
                boot_id=heard_at.boot_id,
                monotonic_ms=heard_at.monotonic_ms,
                clock_quality=heard_at.quality,
                device_time=segment.device_time,
                attribution=Attribution.QUARANTINED if is_doubtful else Attribution.ASSIGNED,
            )
        )

    def clock_measured(self, device_id: str, measured: ClockMeasured, at: Instant) -> None:
        """What the device stamps from now on is dated by this."""
        self._clocks[device_id] = DeviceClock(measured, at)

    @contextmanager
    def quarantining(self, device_id: str, *, lasting_seconds: float = LASTING_SECONDS) -> Iterator[None]:
        """What comes from this device meanwhile, and so long after, is kept and is nobody's: no rule hears it."""
        self._quarantined.append(device_id)
        try:
            yield
        finally:
            asyncio.get_running_loop().call_later(lasting_seconds, self._quarantined.remove, device_id)

    def remember(self, device_id: str, position: str) -> None:
        """Committed with what was taken before it, or after."""
        self._store.put_state(self._seen.remembered(device_id, position))

    def position(self, device_id: str) -> str | None:
        """See `Sink`."""
        return self._seen.position(device_id)

    async def stored(self) -> None:
        """Return when everything that was taken is on the disk: it is committed in the order of taking."""
        if self._newest is not None:
            await asyncio.shield(self._newest)

    def _reading(self, device_id: str, measurement: Measurement, heard_at: Instant) -> Reading:
        plan = self._keeper.plan
        given = None if plan is None else given_ms(plan, device_id)
        taken = dated(measurement, heard_at, self._clocks.get(device_id), local_to_utc_ms, given)
        is_doubtful = device_id in self._quarantined or not taken.is_certain
        return Reading(
            seq=0,
            device_id=device_id,
            metric=measurement.metric,
            value=measurement.value,
            modality=measurement.modality,
            taken_at_ms=taken.utc_ms,
            boot_id=heard_at.boot_id,
            monotonic_ms=heard_at.monotonic_ms,
            clock_quality=heard_at.quality,
            range_flag=measurement.range_flag,
            quality=measurement.quality,
            device_time=measurement.device_time,
            device_user=measurement.device_user,
            attribution=Attribution.QUARANTINED if is_doubtful else Attribution.ASSIGNED,
        )

    def sensor_off(self, device_id: str, heard_at: Instant) -> None:
        """Let the rules know."""
        self._keeper.sensor_off(device_id, heard_at)

    def charged(self, device_id: str, percent: int, heard_at: Instant) -> None:
        """Let the rules know."""
        self._keeper.battery(device_id, percent, heard_at)

    def note(self, notice: Notice) -> None:
        """Keep what the collecting side reports as an event."""
        fields = tuple([EventField(name, value[:1000]) for name, value in notice.fields.items()])
        self._store.append_event(event_at(notice.at, notice.kind.value, notice.device_id, fields))


def event_at(at: Instant, kind: str, device_id: str | None = None, fields: tuple[EventField, ...] = ()) -> Event:
    """An event of that moment, without its sequence."""
    return Event(0, kind, at.utc_ms, at.boot_id, at.monotonic_ms, device_id, fields)
