"""`bedside-agent device`: scan, add, test, list, show, remove."""

import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bedside_agent import decode_command, health, settings
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.collect.devices import ON, DeviceEntry
from bedside_agent.device_search import kind_text, plugged_in, plugged_table, search
from bedside_agent.device_settings import remove_device
from bedside_agent.errors import AgentError
from bedside_agent.health import NotRunningError, Report
from bedside_agent.operations import RELOAD, REPAIR, TEST
from bedside_agent.serial.usb import HID_PROFILES
from bedside_agent.service import STATE
from bedside_agent.terminal import Json, State, Verbose, escaped, link_text, print_json, show, time_text
from bedside_profiles.catalogue import ADVERTS, CATALOGUE, profile_named
from bedside_profiles.profile import SerialProfile
from bedside_profiles.readings import METRICS, Metric

app = typer.Typer(no_args_is_help=True, help="The devices that the hub reads.")
app.command("decode")(decode_command.decode)

POLL_SECONDS = 0.5
SECRETS = {"bind_key", "passkey", "consent_code"}
NO_READING = 1

DeviceId = Annotated[str, typer.Argument(help="The device's name on this hub.")]
Seconds = Annotated[float, typer.Option(min=1, max=600, help="How long at most.")]


@app.command("scan")
def scan(seconds: Seconds = 10, state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """Every Bluetooth device that can be heard now: what it may be, how well, and whether the hub reads it; and every
    serial adapter and HID meter that is plugged in.

    bedside-agent device scan --seconds 20
    """
    entries = settings.load(state).device if (state / settings.FILE).exists() else ()
    adapters = plugged_in(entries)
    if adapters and not as_json:
        Console().print(plugged_table(adapters))
    found = search(state, seconds, quietly=as_json)
    if as_json:
        print_json(
            [{"transport": "bluetooth", **one} for one in found] + [{"transport": "serial", **one} for one in adapters]
        )


@app.command("list")
def device_list(state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """The devices in the settings, and their links while the agent runs.

    bedside-agent device list --json
    """
    running = _running(state)
    rows = [_row(entry, running) for entry in settings.load(state).device]
    if as_json:
        print_json(rows)
    elif rows:
        Console().print(device_table(rows))
    else:
        Console().print("No devices yet. Next: bedside-agent device scan")


@app.command("show")
def device_show(device_id: DeviceId, state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """All about one device.

    bedside-agent device show oximeter-1
    """
    entry = _entry(state, device_id)
    row = _row(entry, _running(state))
    profile = profile_named(entry.profile)
    row["label"] = profile.label if profile is not None else None
    if as_json:
        print_json(row)
        return
    facts = Table.grid(padding=(0, 2))
    for name, value in row.items():
        if value is not None:
            facts.add_row(name.removesuffix("_ms").replace("_", " "), escaped(_shown(name, value)))
    Console().print(facts)


@app.command("add")
def device_add(
    device_id: Annotated[str, typer.Argument(help="A name for this device, unique on the hub.")],
    profile: Annotated[str, typer.Option(help="A profile of the catalogue; without, the device is looked for.")] = "",
    address: Annotated[str | None, typer.Option(help="Bluetooth address.")] = None,
    advertised_name: Annotated[str | None, typer.Option(help="Bluetooth name, for a device without address.")] = None,
    port: Annotated[str | None, typer.Option(help="Path of the serial port.")] = None,
    usb_id: Annotated[
        str | None, typer.Option(help="Its USB adapter or meter: VENDOR:PRODUCT[:SERIAL or @SOCKET].")
    ] = None,
    bind_key: Annotated[str | None, typer.Option(help="What decrypts a scale's advertisements, 32 hex digits.")] = None,
    passkey: Annotated[str | None, typer.Option(help="The six digits of a device that asks for them.")] = None,
    user_index: Annotated[str | None, typer.Option(help="Whose readings of a scale, by its number.")] = None,
    consent_code: Annotated[str | None, typer.Option(help="The code that was set at the scale for this user.")] = None,
    waveform: Annotated[bool, typer.Option("--waveform", help="Keep a strap's electrocardiogram too.")] = False,
    seconds: Annotated[float, typer.Option(min=0, max=55, help="How long to look for it and to wait for it.")] = 20,
    state: State = STATE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Have the hub read a device from now on. Without a profile it is looked for. Running it again is fine.

    bedside-agent device add oximeter-1 --address C0:11:22:33:44:55
    """
    entry = DeviceEntry(
        device_id,
        profile,
        address,
        advertised_name,
        port,
        bind_key,
        user_index,
        consent_code,
        usb_id=usb_id,
        passkey=passkey,
        waveform=ON if waveform else None,
    )
    there = {one.device_id: one for one in settings.load(state).device}
    if device_id in there and entry == DeviceEntry(device_id, profile):
        entry = there[device_id]
    elif not profile:
        entry = _looked_for(state, entry, seconds, quietly=as_json)
    added = settings.add_device(state, entry)
    running = _reloaded(state)
    said = f"Device {device_id} is added" if added else f"Device {device_id} is there"
    link = None
    if running and seconds:
        link = _wait_for(state, device_id, seconds, quietly=as_json)
    if not running:
        said += "; no agent runs, it will be read from the next start on."
    elif link == "connected":
        said += ", and connected."
    else:
        said += f" and looked for. Next: bedside-agent device test {device_id}"
    show({"device_id": device_id, "profile": entry.profile, "added": added, "link": link}, as_json, said)


@app.command("remove")
def device_remove(device_id: DeviceId, state: State = STATE, as_json: Json = False, verbose: Verbose = False) -> None:
    """Have the hub read a device no more. What it measured stays and is sent.

    bedside-agent device remove oximeter-1
    """
    removed = remove_device(state, device_id)
    if removed:
        _reloaded(state)
    said = f"Device {device_id} is removed." if removed else f"There is no device {device_id}."
    show({"device_id": device_id, "removed": removed}, as_json, said)


@app.command("test")
def device_test(
    device_id: DeviceId, seconds: Seconds = 60, state: State = STATE, as_json: Json = False, verbose: Verbose = False
) -> None:
    """Take one reading, or say in words why there is none. It is nobody's, and so is what follows for half a minute.

    bedside-agent device test oximeter-1
    """
    _entry(state, device_id)
    last = _followed(state, TEST, device_id, seconds, "waiting for a reading")
    if as_json:
        print_json(last)
    elif last["ok"]:
        Console(soft_wrap=True, highlight=False).print(f"[green]Works.[/] {escaped(_in_words(last['readings']))}")
    else:
        _print_problem("No reading.", last)
    if not last["ok"]:
        raise typer.Exit(NO_READING)


@app.command("repair")
def device_repair(
    device_id: DeviceId, seconds: Seconds = 60, state: State = STATE, as_json: Json = False, verbose: Verbose = False
) -> None:
    """Pair a Bluetooth device anew: the hub forgets its half of the bond. Put the device into its pairing mode first.

    bedside-agent device repair cuff-1
    """
    _entry(state, device_id)
    last = _followed(state, REPAIR, device_id, seconds, "waiting for it in its pairing mode")
    if as_json:
        print_json(last)
    elif last["ok"]:
        how = "paired anew and connected" if last["paired"] else "connected; it asked for no bond"
        Console(soft_wrap=True, highlight=False).print(f"[green]{escaped(device_id)} is {how}.[/]")
    else:
        _print_problem("Not paired.", last)
    if not last["ok"]:
        raise typer.Exit(NO_READING)


def device_table(rows: list[Report]) -> Table:
    """Devices for a person."""
    table = Table()
    for name in ("device", "profile", "link", "battery", "last reading"):
        table.add_column(name, overflow="fold")
    for row in rows:
        percent = row.get("battery_percent")
        table.add_row(
            escaped(row["device_id"]),
            row["profile"],
            link_text(row.get("link")),
            "—" if percent is None else f"{percent} %",
            time_text(row.get("last_reading_ms")),
        )
    return table


def _followed(state: Path, operation: str, device_id: str, seconds: float, doing: str) -> Report:
    """The running agent's last word on it, with a sign of life meanwhile."""
    last: Report = {"ok": False, "problem": "The agent stopped meanwhile.", "fix": "bedside-agent status"}
    console = Console(stderr=True)
    with (
        console.status(f"{escaped(device_id)}: {doing}", spinner="line") as status,
        closing(
            health.follow(state, memory_for(state), operation, {"device_id": device_id, "seconds": seconds})
        ) as reports,
    ):
        for report in reports:
            status.update(f"{escaped(device_id)}: {report['link']}, {doing}")
            last = {"device_id": device_id, **report}
    return last


def _print_problem(heading: str, last: Report) -> None:
    Console(soft_wrap=True, highlight=False).print(
        f"[red]{heading}[/] {escaped(last['problem'])}\nTry: {escaped(last['fix'])}"
    )


def _running(state: Path) -> dict[str, Report]:
    try:
        return {one["device_id"]: one for one in health.ask(state, memory_for(state))["devices"]}
    except NotRunningError:
        return {}


def _row(entry: DeviceEntry, running: dict[str, Report]) -> Report:
    told: dict[str, Any] = {name: value for name, value in asdict(entry).items() if name not in SECRETS}
    return {**told, **running.get(entry.device_id, {"link": None})}


def _entry(state: Path, device_id: str) -> DeviceEntry:
    for entry in settings.load(state).device:
        if entry.device_id == device_id:
            return entry
    raise AgentError(f"there is no device {device_id}", fix="bedside-agent device list")


def _reloaded(state: Path) -> bool:
    """Whether an agent runs, and reads by the settings as they are now."""
    try:
        health.ask(state, memory_for(state), RELOAD)
    except NotRunningError:
        return False
    return True


def _looked_for(state: Path, entry: DeviceEntry, seconds: float, *, quietly: bool) -> DeviceEntry:
    """The entry with what was missing, after a look around."""
    if entry.usb_id is not None and (meter := HID_PROFILES.get(entry.usb_id[:9].lower())) is not None:
        return replace(entry, profile=meter)
    if entry.port is not None or entry.usb_id is not None:
        serial = _profile_names(lambda profile: isinstance(profile, SerialProfile))
        raise AgentError("a serial device needs its --profile", fix=f"one of {serial}")
    is_named = entry.address is not None or entry.advertised_name is not None

    def enough(found: list[Report]) -> bool:
        # Who has no name may still be joined by others of its kind.
        return is_named and any(one["profiles"] for one in found if _is_meant(one, entry))

    found = [one for one in search(state, seconds or 1, quietly=quietly, enough=enough) if _is_meant(one, entry)]
    if not is_named:
        found = [one for one in found if one["profiles"] and one["device_id"] is None]
    if not found:
        raise AgentError(
            "no such device was heard",
            cause="it sleeps, is out of range, or is connected to a phone",
            fix="use the device beside the hub while you run this again, or see bedside-agent device scan",
        )
    one = found[0] if len(found) == 1 else _chosen(found, quietly=quietly)
    if len(one["profiles"]) != 1:
        what = kind_text(one)
        names = ", ".join(one["profiles"]) or _profile_names(lambda profile: not isinstance(profile, SerialProfile))
        raise AgentError(f"{one['address']} is {what}", fix=f"give --profile, one of {names}")
    if entry.advertised_name is not None:
        return replace(entry, profile=one["profiles"][0])
    return replace(entry, profile=one["profiles"][0], address=one["address"])


def _is_meant(found: Report, entry: DeviceEntry) -> bool:
    if entry.address is not None:
        return bool(found["address"].upper() == entry.address.upper())
    return entry.advertised_name is None or found["name"] == entry.advertised_name


def _chosen(found: list[Report], *, quietly: bool) -> Report:
    if quietly or not sys.stdin.isatty():
        raise AgentError(
            f"{len(found)} devices may be meant",
            fix=f"give --address, one of {', '.join(one['address'] for one in found)}",
        )
    console = Console(highlight=False)
    for number, one in enumerate(found, 1):
        console.print(f"{number}  {one['address']}  {escaped(one['name'] or '')}  {escaped(kind_text(one))}")
    while True:
        number = int(typer.prompt("Which one", type=int))
        if 1 <= number <= len(found):
            return found[number - 1]


def _wait_for(state: Path, device_id: str, seconds: float, *, quietly: bool) -> str | None:
    """The device's link once it is connected, or when the time is over."""
    ends_at = time.monotonic() + seconds
    console = Console(stderr=True, quiet=quietly)
    link: str | None = None
    with console.status(f"{escaped(device_id)}: waiting for it", spinner="line"):
        while link != "connected" and time.monotonic() < ends_at:
            time.sleep(POLL_SECONDS)
            link = _running(state).get(device_id, {}).get("link")
    return link


def _profile_names(wanted: Callable[[object], bool]) -> str:
    return ", ".join(sorted(profile.name for profile in (*CATALOGUE, *ADVERTS) if wanted(profile)))


def _shown(name: str, value: object) -> str:
    return time_text(value) if name.endswith("_ms") and isinstance(value, int) else str(value)


def _in_words(readings: list[Report]) -> str:
    said = []
    for one in readings:
        facts = METRICS[Metric(one["metric"])]
        value = one["range_flag"] if one["value"] is None else f"{one['value']:.{facts.decimals}f} {facts.unit}"
        said.append(f"{facts.label} {value}")
    return ", ".join(said)
