"""Looking for devices from a terminal: through the running agent, which has the radio, or with the radio itself.

Serial adapters are looked up in the kernel's own tree: no device behind one is spoken to.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import aclosing, closing
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bedside_agent import health, settings
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.errors import AgentError
from bedside_agent.health import NotRunningError, Report
from bedside_agent.operations import SCAN, scanning
from bedside_agent.radio.central import RadioError
from bedside_agent.radio.choice import open_central
from bedside_agent.serial import usb
from bedside_agent.terminal import escaped
from bedside_profiles.catalogue import profile_named

STRONG_DBM, GOOD_DBM = -65, -80
PATIENCE_SECONDS = 15.0
"""A radio that has just been opened says nothing for some seconds."""


def searching(state: Path, seconds: float) -> Generator[list[Report], None, None]:
    """Who advertises, every half second, strongest first; see `operations.described`. AgentError without a radio."""
    try:
        with closing(
            health.follow(state, memory_for(state), SCAN, {"seconds": seconds}, patience_seconds=PATIENCE_SECONDS)
        ) as reports:
            for report in reports:
                yield report["devices"]
    except NotRunningError:
        yield from _searching_alone(state, seconds)


def search(
    state: Path,
    seconds: float,
    *,
    quietly: bool = False,
    enough: Callable[[list[Report]], bool] = lambda _found: False,
) -> list[Report]:
    """The same with a live table, unless `quietly`; who was there at the end, which comes as soon as it is `enough`."""
    latest: list[Report] = []
    with (
        closing(searching(state, seconds)) as reports,
        Live(found_table(latest), console=Console(quiet=quietly), refresh_per_second=4) as live,
    ):
        for latest in reports:
            live.update(found_table(latest))
            if enough(latest):
                break
    return latest


def plugged_in(entries: Iterable[DeviceEntry], *, sysfs: Path = usb.SYSFS) -> list[Report]:
    """Every USB serial adapter and meter: its `usb_id` for `device add`, its node, and which of the devices it is.

    `profiles` is what a meter is known to be; an adapter does not tell what is behind it.
    """
    entries = tuple(entries)
    return [
        {
            "usb_id": str(one),
            "terminal": str(usb.DEVICE_NODES / one.name),
            "profiles": [usb.HID_PROFILES[one.kind]] if one.kind in usb.HID_PROFILES else [],
            "device_id": next((entry.device_id for entry in entries if _is_at(entry, one)), None),
        }
        for one in usb.adapters(sysfs)
    ]


def _is_at(entry: DeviceEntry, adapter: usb.Adapter) -> bool:
    if entry.usb_id is not None:
        return usb.UsbId.from_text(entry.usb_id).is_met_by(adapter)
    return entry.port == str(usb.DEVICE_NODES / adapter.name)


def plugged_table(adapters: list[Report]) -> Table:
    """What is plugged in, for a person."""
    table = Table(
        caption="A new one: bedside-agent device add NAME --usb-id … --profile serial.…",
        caption_justify="left",
    )
    for name in ("USB adapter or meter", "node", "what it is", "here"):
        table.add_column(name, overflow="fold")
    for one in adapters:
        kind = ", ".join(one["profiles"]) or "—"
        table.add_row(escaped(one["usb_id"]), one["terminal"], kind, escaped(one["device_id"] or "—"))
    return table


def found_table(found: list[Report]) -> Table:
    """Who was heard, for a person."""
    table = Table(caption=_caption(found))
    for name, kept in (("address", True), ("name", False), ("signal", True), ("what it is", False), ("here", False)):
        table.add_column(name, no_wrap=kept, overflow="fold")
    for one in found:
        table.add_row(
            one["address"],
            escaped(one["name"] or "—"),
            signal_text(one["rssi_dbm"]),
            escaped(kind_text(one, named=False)),
            escaped(one["device_id"] or "—"),
        )
    return table


def kind_text(found: Report, *, named: bool = True) -> str:
    """What the advertiser may be, with the profile's name if `named`; an unknown one by its services."""
    profiles = [profile for name in found["profiles"] if (profile := profile_named(name)) is not None]
    if profiles:
        return " or ".join(f"{profile.label} ({profile.name})" if named else profile.label for profile in profiles)
    services = [*found["service_uuids"], *found["service_data"]]
    return f"unknown, ignored; services: {', '.join(short_uuid(uuid) for uuid in services) or 'none named'}"


def short_uuid(uuid: str) -> str:
    """The 16 bit form of what the Bluetooth SIG assigned."""
    if uuid.startswith("0000") and uuid.endswith("-0000-1000-8000-00805f9b34fb"):
        return f"0x{uuid[4:8].upper()}"
    return uuid


def signal_text(rssi_dbm: int) -> str:
    """How well it is heard."""
    return "strong" if rssi_dbm >= STRONG_DBM else "good" if rssi_dbm >= GOOD_DBM else "weak"


def _caption(found: list[Report]) -> str:
    known = sum(bool(one["profiles"]) for one in found)
    return f"{len(found)} heard, {known} of a kind that the hub knows"


def _searching_alone(state: Path, seconds: float) -> Generator[list[Report], None, None]:
    entries: tuple[DeviceEntry, ...] = ()
    radio: tuple[str, ...] = ("bluez",)
    if (state / settings.FILE).exists():
        loaded = settings.load(state)
        entries, radio = loaded.device, loaded.radio
    with asyncio.Runner() as runner:
        reports = _scanning_alone(radio, entries, seconds)
        try:
            while (report := runner.run(_next(reports))) is not None:
                yield report["devices"]
        except RadioError as cause:
            raise AgentError(
                f"the radio cannot be used: {cause.reason}", fix="systemctl status bluetooth; bedside-agent status"
            ) from cause
        finally:
            runner.run(reports.aclose())


async def _scanning_alone(
    radio: tuple[str, ...], entries: tuple[DeviceEntry, ...], seconds: float
) -> AsyncGenerator[Report, None]:
    central = await open_central(radio, jitter=random.SystemRandom())
    try:
        async with aclosing(scanning(central, entries, seconds)) as reports:
            async for report in reports:
                yield report
    finally:
        await central.close()


async def _next(reports: AsyncGenerator[Report, None]) -> Report | None:
    return await anext(reports, None)
