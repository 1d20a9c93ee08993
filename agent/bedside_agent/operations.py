"""What a technician asks of devices: of the running agent over its socket, or of a command that has the radio."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing
from typing import Any

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.collect.diagnosis import Findings, diagnose
from bedside_agent.collect.notices import NoticeKind
from bedside_agent.collect.station import Seen, Station
from bedside_agent.collect.watch import Heard, Watch
from bedside_agent.errors import AgentError
from bedside_agent.health import Operation, Report
from bedside_agent.radio.central import Central, Found
from bedside_profiles.readings import METRICS, Measurement
from bedside_profiles.recognising import recognised

SCAN, TEST, RELOAD, REPAIR = "scan", "test", "reload", "repair"
EVERY_SECONDS = 0.5
LONGEST_SECONDS = 600.0


async def scanning(central: Central, entries: Sequence[DeviceEntry], seconds: float) -> AsyncGenerator[Report, None]:
    """Every half second `devices`: all that advertise, strongest first."""
    heard: dict[str, Found] = {}

    def hear(found: Found) -> None:
        before = heard.get(found.address)
        heard[found.address] = found if before is None else _joined(before, found)

    listening = asyncio.create_task(central.listen(hear, seconds=seconds))
    try:
        while not listening.done():
            await asyncio.wait({listening}, timeout=EVERY_SECONDS)
            strongest_first = sorted(heard.values(), key=lambda found: -found.rssi_dbm)
            yield {"devices": [described(found, entries) for found in strongest_first]}
        listening.result()
    finally:
        listening.cancel()
        await asyncio.wait({listening})


class DeviceOperations:
    """`load` reads the devices in the settings anew; `quarantining(device_id)` is held while a device is tested."""

    def __init__(
        self,
        station: Station,
        watch: Watch,
        central: Central,
        load: Callable[[], tuple[DeviceEntry, ...]],
        quarantining: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._station = station
        self._watch = watch
        self._central = central
        self._load = load
        self._quarantining = quarantining

    def table(self) -> Mapping[str, Operation]:
        """By name."""
        return {SCAN: self.scan, TEST: self.test, RELOAD: self.reload, REPAIR: self.repair}

    async def scan(self, question: Mapping[str, Any]) -> AsyncGenerator[Report, None]:
        """`seconds` → as `scanning`."""
        async with aclosing(scanning(self._central, self._load(), _seconds(question))) as reports:
            async for report in reports:
                yield report

    async def reload(self, _question: Mapping[str, Any]) -> AsyncGenerator[Report, None]:
        """The devices in the settings are read from now on → `devices`: their ids."""
        entries = self._load()
        await self._station.change(entries)
        yield {"devices": [entry.device_id for entry in entries]}

    async def test(self, question: Mapping[str, Any]) -> AsyncGenerator[Report, None]:
        """`device_id`, `seconds` → how it stands, as it changes; ends at the first reading, and the last has `ok`.

        What is measured meanwhile is quarantined: it may be the technician's.
        """
        device_id, seconds = str(question.get("device_id")), _seconds(question)
        before = self._seen(device_id)
        loop = asyncio.get_running_loop()
        ends_at, over = loop.time() + seconds, False
        with self._watch.watching(device_id) as heard, self._quarantining(device_id):
            while not over:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(min(loop.time() + EVERY_SECONDS, ends_at)):
                        await heard.news.wait()
                heard.news.clear()
                over = bool(heard.measurements) or loop.time() >= ends_at
                yield _standing(self._seen(device_id), before, heard, seconds, over=over)

    async def repair(self, question: Mapping[str, Any]) -> AsyncGenerator[Report, None]:
        """`device_id`, `seconds` → how it stands, as it changes; the last has `ok`, once it is connected again.

        The hub's half of a bond is forgotten first. `paired` tells whether the device wanted a new one.
        """
        device_id, seconds = str(question.get("device_id")), _seconds(question)
        before = self._seen(device_id)
        if not self._station.pair_anew(device_id):
            raise AgentError(f"{device_id} is not connected by Bluetooth", fix=f"bedside-agent device test {device_id}")
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + seconds
        with self._watch.watching(device_id) as heard:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(min(loop.time() + EVERY_SECONDS, ends_at)):
                        await heard.news.wait()
                heard.news.clear()
                kinds = [notice.kind for notice in heard.notices]
                is_ok = NoticeKind.DEVICE_CONNECTED in kinds
                over = is_ok or loop.time() >= ends_at
                # What it said before its link was ended for this tells nothing of the bond.
                heard.measurements.clear()
                report = _standing(self._seen(device_id), before, heard, seconds, over=over)
                if over:
                    report |= {"ok": is_ok, "paired": NoticeKind.DEVICE_PAIRED in kinds}
                yield report
                if over:
                    return

    def _seen(self, device_id: str) -> Seen:
        seen = self._station.look_at(device_id)
        if seen is None:
            raise AgentError(f"the hub reads no device {device_id}", fix="bedside-agent device list")
        return seen


def described(found: Found, entries: Sequence[DeviceEntry]) -> Report:
    """One advertiser as JSON: what it says of itself, the profiles that it may be, and its name on this hub."""
    profiles = recognised(found.name, found.service_uuids, found.service_data.keys(), found.company_data.keys())
    there = [
        entry.device_id
        for entry in entries
        if (entry.address is not None and entry.address.upper() == found.address.upper())
        or (entry.advertised_name is not None and entry.advertised_name == found.name)
    ]
    return {
        "address": found.address,
        "name": found.name,
        "rssi_dbm": found.rssi_dbm,
        "service_uuids": list(found.service_uuids),
        "service_data": {uuid: data.hex() for uuid, data in found.service_data.items()},
        "company_data": {str(company): data.hex() for company, data in found.company_data.items()},
        "profiles": [profile.name for profile in profiles],
        "device_id": there[0] if there else None,
    }


def _joined(before: Found, found: Found) -> Found:
    """Advertisements and answers to a scan say different things of one device."""
    return Found(
        found.address,
        found.name or before.name,
        tuple(dict.fromkeys((*before.service_uuids, *found.service_uuids))),
        found.rssi_dbm,
        {**before.service_data, **found.service_data},
        {**before.company_data, **found.company_data},
    )


def _standing(seen: Seen, before: Seen, heard: Heard, seconds: float, *, over: bool) -> Report:
    report: Report = {"link": seen.link.value, "readings": [_reading(one) for one in heard.measurements]}
    if over:
        diagnosis = diagnose(
            Findings(
                seen.profile,
                seen.link,
                seen.trouble,
                seconds,
                readings=len(heard.measurements),
                without_reading=seen.without_reading - before.without_reading,
                refused=seen.refused - before.refused,
                sensor_off=heard.sensor_off,
            )
        )
        report["ok"] = diagnosis is None
        if diagnosis is not None:
            report |= {"problem": diagnosis.problem, "fix": diagnosis.fix}
    return report


def _reading(one: Measurement) -> Report:
    return {
        "metric": one.metric.value,
        "value": one.value,
        "unit": METRICS[one.metric].unit,
        "range_flag": None if one.range_flag is None else one.range_flag.value,
        "quality": [flag.value for flag in one.quality],
        "device_time": one.device_time,
    }


def _seconds(question: Mapping[str, Any]) -> float:
    seconds = question.get("seconds")
    if not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_SECONDS:
        raise AgentError(f"seconds: a number above 0 and up to {LONGEST_SECONDS:g}")
    return float(seconds)
