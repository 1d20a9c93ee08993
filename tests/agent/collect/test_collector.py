import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support.clock import ManualClock

from bedside_agent.clock import Instant
from bedside_agent.collect.collector import Collector
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.notices import Notice, NoticeKind
from bedside_profiles.bluetooth import glucose, heart_rate, pulse_oximeter
from bedside_profiles.bluetooth.glucose import GlucoseRecord
from bedside_profiles.conversation import ClockMeasured
from bedside_profiles.profile import Profile
from bedside_profiles.readings import Measurement, Metric, Modality
from bedside_profiles.serial import nonin_df2
from bedside_profiles.waveforms import Segment


class Shelf:
    """A sink that keeps everything, as slowly as `gate` allows."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, tuple[Measurement, ...], Instant]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.said: list[tuple[str, str, Instant]] = []
        self.segments: list[tuple[str, Segment, Instant]] = []
        self.positions: list[tuple[str, int]] = []
        """What was remembered, and how many frames had been taken by then."""

    async def take(self, device_id: str, measurements: tuple[Measurement, ...], heard_at: Instant) -> None:
        await self.gate.wait()
        self.taken.append((device_id, measurements, heard_at))

    async def stored(self) -> None:
        """At once: nothing here is on a disk."""

    def waveform(self, device_id: str, segment: Segment, heard_at: Instant) -> None:
        self.segments.append((device_id, segment, heard_at))

    def clock_measured(self, device_id: str, measured: ClockMeasured, at: Instant) -> None:
        """Nothing here is dated."""

    def sensor_off(self, device_id: str, heard_at: Instant) -> None:
        self.said.append((device_id, "sensor off", heard_at))

    def charged(self, device_id: str, percent: int, heard_at: Instant) -> None:
        self.said.append((device_id, f"{percent} %", heard_at))

    def remember(self, device_id: str, position: str) -> None:
        self.positions.append((position, len(self.taken)))

    def position(self, device_id: str) -> str | None:
        return self.positions[-1][0] if self.positions else None


def rate(value: int) -> bytes:
    return heart_rate.encode(
        heart_rate.MEASUREMENT, [Measurement(Metric.HEART_RATE, float(value), Modality.CONTINUOUS)]
    )


@asynccontextmanager
async def collecting(
    profile: Profile = heart_rate.PROFILE, capacity: int = 8
) -> AsyncIterator[tuple[Collector, Shelf, list[Notice], ManualClock]]:
    shelf, notices, clock = Shelf(), list[Notice](), ManualClock()
    collector = Collector("dev-1", profile, shelf, clock, notices.append, capacity=capacity)
    task = asyncio.create_task(collector.run())
    try:
        yield collector, shelf, notices, clock
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_each_frame_goes_to_the_sink_with_the_instant_it_was_heard() -> None:
    async with collecting() as (collector, shelf, _, clock):
        first = clock.now()
        collector.hear(rate(60), heart_rate.MEASUREMENT)
        second = clock.advance(seconds=1)
        collector.hear(rate(61), heart_rate.MEASUREMENT)
        await collector.drain()
        assert [(m[0].value, at) for _, m, at in shelf.taken] == [(60.0, first), (61.0, second)]
        assert collector.last_heard == second


async def test_a_measurement_whose_second_half_does_not_come_is_kept_when_the_link_ends() -> None:
    waits = GlucoseRecord(1, None, None, 0.00111, sample=1, location=1, context_follows=True).to_bytes()
    async with collecting(glucose.PROFILE) as (collector, shelf, _, _):
        for _ in range(2):
            collector.connected()
            collector.hear(waits, glucose.MEASUREMENT)
            await collector.drain()
            assert shelf.taken == []
            collector.disconnected()
            await collector.drain()
            ((_, measurements, _),) = shelf.taken
            assert [(one.metric, one.value) for one in measurements] == [(Metric.GLUCOSE, 111.0)]
            collector.disconnected()
            shelf.taken.clear()


async def test_a_piece_of_a_serial_frame_is_no_reading_when_the_line_ends() -> None:
    packet = nonin_df2.Packet(97, 60).to_bytes()
    async with collecting(nonin_df2.PROFILE) as (collector, shelf, _, _):
        collector.connected()
        collector.hear(packet * 2)
        collector.disconnected()
        await collector.drain()
        assert shelf.taken == []


async def test_a_frame_without_a_reading_is_counted_and_not_taken() -> None:
    async with collecting() as (collector, shelf, notices, _):
        collector.hear(bytes((0x06, 0)), heart_rate.MEASUREMENT)
        await collector.drain()
        assert (shelf.taken, notices, collector.counts.without_reading) == ([], [], 1)
        assert collector.last_heard is None


async def test_broken_frames_are_reported_when_they_begin_and_at_each_doubling() -> None:
    async with collecting() as (collector, _, notices, _):
        for _ in range(9):
            collector.hear(b"\x01", heart_rate.MEASUREMENT)
        assert [notice.fields["count"] for notice in notices] == ["1", "2", "4", "8"]
        collector.hear(rate(60), heart_rate.MEASUREMENT)
        collector.hear(b"\x01", heart_rate.MEASUREMENT)
        assert [notice.fields["count"] for notice in notices][4:] == ["1"]
        assert {notice.kind for notice in notices} == {NoticeKind.FRAMES_REFUSED}
        assert collector.counts.refused == 10


async def test_a_full_queue_drops_the_oldest_and_says_how_many() -> None:
    async with collecting(capacity=8) as (collector, shelf, notices, _):
        shelf.gate.clear()
        for value in range(60, 80):
            collector.hear(rate(value), heart_rate.MEASUREMENT)
        shelf.gate.set()
        await collector.drain()
        kept = [measurements[0].value for _, measurements, _ in shelf.taken]
        assert kept == [float(value) for value in range(72, 80)]
        assert collector.counts.dropped == 12
        assert [notice.kind for notice in notices] == [NoticeKind.READINGS_DROPPED] * 2
        assert sum(int(notice.fields["count"]) for notice in notices) == 12


async def test_hearing_never_waits_for_the_sink() -> None:
    async with collecting() as (collector, shelf, _, _):
        shelf.gate.clear()
        for _ in range(1000):
            collector.hear(rate(60), heart_rate.MEASUREMENT)
        assert collector.waiting <= 8
        shelf.gate.set()


async def test_a_new_connection_begins_a_new_stream() -> None:
    second = nonin_df2.encode(
        [Measurement(Metric.SPO2, 97.0, Modality.CONTINUOUS), Measurement(Metric.PULSE_RATE, 60.0, Modality.CONTINUOUS)]
    )
    async with collecting(nonin_df2.PROFILE) as (collector, shelf, notices, _):
        collector.hear(second[:203])
        collector.connected()
        collector.hear(second[:100])
        collector.hear(second[100:])
        await collector.drain()
        assert len(shelf.taken) == 1
        assert notices == []


async def test_an_error_of_the_sink_comes_out() -> None:
    class Broken(Shelf):
        async def take(self, device_id: str, measurements: tuple[Measurement, ...], heard_at: Instant) -> None:
            raise OSError("disk gone")

    collector = Collector("dev-1", heart_rate.PROFILE, Broken(), ManualClock(), lambda _: None)
    collector.hear(rate(60), heart_rate.MEASUREMENT)
    with pytest.raises(OSError, match="disk gone"):
        await collector.run()


@pytest.mark.parametrize(
    ("entry", "problems"),
    [
        (DeviceEntry("a", pulse_oximeter.NAME, "F0:BE:D5:1D:00:01", passkey="012345"), 0),
        (DeviceEntry("a", pulse_oximeter.NAME, "F0:BE:D5:1D:00:01", passkey="12345"), 1),
        (DeviceEntry("a", pulse_oximeter.NAME, "F0:BE:D5:1D:00:01", passkey="12345a"), 1),
        (DeviceEntry("a", pulse_oximeter.NAME, "F0:BE:D5:1D:00:01", pairing="never"), 0),
        (DeviceEntry("a", pulse_oximeter.NAME, "F0:BE:D5:1D:00:01", pairing="no"), 1),
        (DeviceEntry("a", pulse_oximeter.NAME, "F0:BE:D5:1D:00:01", passkey="012345", pairing="never"), 1),
        (DeviceEntry("a", nonin_df2.NAME, port="/dev/x", passkey="012345"), 1),
        (DeviceEntry("a", pulse_oximeter.NAME, address="F0:BE:D5:1D:00:01"), 0),
        (DeviceEntry("a", pulse_oximeter.NAME, advertised_name="Sim Oximeter"), 0),
        (DeviceEntry("a", nonin_df2.NAME, port="/dev/serial/by-id/x"), 0),
        (DeviceEntry("a", "bluetooth.toaster"), 1),
        (DeviceEntry("a", pulse_oximeter.NAME), 1),
        (DeviceEntry("a", pulse_oximeter.NAME, address="F0:BE:D5:1D:00:01", advertised_name="Sim", port="/dev/x"), 2),
        (DeviceEntry("a", nonin_df2.NAME), 1),
        (DeviceEntry("a", nonin_df2.NAME, usb_id="0403:6001:A50285BI"), 0),
        (DeviceEntry("a", nonin_df2.NAME, usb_id="0403:6001@1-1.2"), 0),
        (DeviceEntry("a", nonin_df2.NAME, usb_id="the blue one"), 1),
        (DeviceEntry("a", nonin_df2.NAME, port="/dev/ttyUSB0", usb_id="0403:6001"), 1),
        (DeviceEntry("a", pulse_oximeter.NAME, address="F0:BE:D5:1D:00:01", usb_id="0403:6001"), 1),
        (DeviceEntry("a", nonin_df2.NAME, address="F0:BE:D5:1D:00:01"), 2),
    ],
)
def test_an_entry_says_everything_that_is_wrong_with_it(entry: DeviceEntry, problems: int) -> None:
    assert len(entry.problems()) == problems


async def test_a_frame_without_a_reading_because_the_sensor_is_off_is_said() -> None:
    off = heart_rate.decode(heart_rate.MEASUREMENT, bytes([0b100, 0]))
    assert off.measurements == ()
    async with collecting() as (collector, shelf, _, clock):
        collector.hear(bytes([0b100, 0]), heart_rate.MEASUREMENT)
        collector.hear(rate(60), heart_rate.MEASUREMENT)
        assert shelf.said == [("dev-1", "sensor off", clock.now())]
        assert collector.counts.without_reading == 1


async def test_the_battery_is_said_and_kept() -> None:
    async with collecting() as (collector, shelf, _, clock):
        collector.charged(15)
        assert shelf.said == [("dev-1", "15 %", clock.now())]
        assert collector.battery_percent == 15


async def test_a_position_follows_what_was_heard_before_it() -> None:
    async with collecting() as (collector, shelf, _, _):
        collector.connected()
        collector.hear(rate(60), heart_rate.MEASUREMENT)
        collector.remember("1:aa")
        collector.hear(rate(61), heart_rate.MEASUREMENT)
        await collector.drain()
    assert shelf.positions == [("1:aa", 1)]


async def test_a_position_behind_dropped_measurements_is_forgotten() -> None:
    async with collecting(capacity=4) as (collector, shelf, _, _):
        shelf.gate.clear()
        collector.connected()
        for value in range(60, 70):
            collector.hear(rate(value), heart_rate.MEASUREMENT)
        collector.remember("10:aa")
        collector.connected()
        collector.hear(rate(71), heart_rate.MEASUREMENT)
        collector.remember("11:bb")
        await asyncio.sleep(0)
        shelf.gate.set()
        await collector.drain()
    assert shelf.positions == [("11:bb", len(shelf.taken))]
