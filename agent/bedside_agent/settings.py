"""`hub.toml`: what a hub is told once, at enrolment or by a technician. All its problems are reported at once."""

import ipaddress
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from bedside_agent.collect.devices import DeviceEntry
from bedside_agent.errors import SettingsError
from bedside_agent.radio.choice import radios_problem
from bedside_agent.signals.choice import problem as signal_problem
from bedside_agent.whole_file import write_whole
from bedside_profiles.bounds import Between
from bedside_profiles.errors import MalformedError
from bedside_profiles.wire.fields import decoder
from bedside_profiles.wire.kinds import DeviceId
from bedside_profiles.wire.topics import check_hub_id

FILE = "hub.toml"


def _whole(default: int, lowest: int, highest: int) -> Any:
    return field(default=default, metadata={"bounds": Between(lowest, highest)})


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings without a default are written by `bedside-agent init`."""

    hub_id: str
    """Who this hub is: the common name of its certificate, its MQTT client id, and a level of its topics."""

    broker_host: str
    """Where the broker listens; the name stands in the broker's certificate."""

    broker_port: int = field(metadata={"bounds": Between(1, 65535)})
    """TCP port of the broker's MQTT listener with mutual TLS."""

    est_url: str = ""
    """https address of the enrolment server, where the hub's certificate is renewed; `init` writes it. Without it the
    hub is cut off when its certificate ends, and says so."""

    radio: tuple[str, ...] = ("bluez",)
    """`bluez`: the computer's own adapter; `bluez:hci1`: this one of several. `bumble:TRANSPORT`: an adapter without a
    driver, such as `bumble:usb:0`, or a simulated one. A list of them: a device goes to the one that hears it best."""

    connection_slots: int = _whole(5, 1, 32)
    """How many Bluetooth devices an adapter is connected with at a time; the others take turns. Beyond five the usual
    adapters refuse or drop links. One is left to devices that only speak after a measurement, where there are any."""

    commit_window_ms: int = _whole(200, 1, 200)
    """Milliseconds after which a reading is on the disk; five times that when many come. Shorter wears the SD card,
    longer risks more in a power cut; a fifth of a second is not noticed on a screen. Alarms never wait."""

    status_seconds: int = _whole(20, 1, 3600)
    """Seconds between two status messages. Each is answered with receipts: this is how soon a lost one heals."""

    receipt_timeout_seconds: int = _whole(10, 1, 600)
    """Seconds without a receipt after which a batch is sent again. Longer than the slowest commit of a busy cloud."""

    batch_bytes: int = _whole(16_384, 1024, 131_072)
    """Largest batch. On a slow link they are smaller by themselves: four make a third of a second of it."""

    window_bytes: int = _whole(49_152, 1024, 1_048_576)
    """Bytes that may be under way without a receipt. Three batches keep a fast link busy; how many of them may be on
    the link at once is measured."""

    most_bytes_per_second: int = _whole(100_000_000, 1_000, 100_000_000)
    """Bytes a second that readings and events may take, for a metered link: 1000 are 86 MB a day. Alarms, status and
    answers are not held back by it."""

    reconnect_spread_seconds: int = _whole(20, 1, 600)
    """Seconds over which hubs spread their first attempt after a lost connection; twice and three times that for the
    next ones. 42,000 hubs of one broker then come at 2,100 a second. A waiting alarm goes within two seconds."""

    silence_seconds: int = _whole(600, 10, 86_400)
    """Seconds without a reading after which a device that measures continuously is an alarm. A shower is shorter."""

    sound_command: str = "aplay -q -t wav -"
    """What plays a WAV file from its standard input. When it fails, the hub says that it cannot alert the patient."""

    lamp: str = "none"
    """`led:NAME` of /sys/class/leds, or `gpio:/dev/CHIP:LINE`, or `none`."""

    language: str = "en"
    """What the voice speaks: en or es."""

    homepage: str = "none"
    """ADDRESS:PORT at which the patient's page is shown to the home's network, such as `0.0.0.0:8080`, or `none`. It
    tells no value and no name."""

    hotspot_minutes: int = _whole(5, 0, 1440)
    """Minutes after its start in which a hub that has no network, and was never given one, opens a Wi-Fi of its own to
    ask for it; 0: never. Only a hub that systemd started does."""

    quiet_hours: str = "22:00-07:00"
    """Local time in which only alarms of high priority sound, or `none`."""

    device: tuple[DeviceEntry, ...] = ()
    """The devices that this hub reads, one `[[device]]` table each."""


def page_address(text: str) -> tuple[str, int] | None:
    """ADDRESS:PORT of the patient's page; None for `none` and for anything else."""
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return (str(address), int(port)) if port.isdecimal() and 0 <= int(port) <= 65_535 else None


def load(state: Path) -> Settings:
    """The settings in the state directory; SettingsError names every problem."""
    path = state / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as cause:
        raise SettingsError(
            (f"cannot be read ({cause.strerror})",), where=str(path), fix="bedside-agent init --claim TEXT"
        ) from cause
    return parse(text, str(path))


def parse(text: str, where: str = FILE) -> Settings:
    """The settings in a TOML text."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        raise SettingsError((f"is not TOML: {cause}",), where=where) from cause
    problems: list[str] = []
    values = {name: value for name, value in _scalars(table, problems).items() if name != "device"}
    devices = _devices(table.get("device", []), problems)
    if problems:
        raise SettingsError(tuple(problems), where=where)
    return Settings(**values, device=devices)


def first_text(hub_id: str, broker_host: str, broker_port: int, radio: str, est_url: str = "") -> str:
    """The text of a new `hub.toml`. The values are free of quotes: ids, addresses and transports have none."""
    text = f'hub_id = "{hub_id}"\nbroker_host = "{broker_host}"\nbroker_port = {broker_port}\nradio = "{radio}"\n'
    return f'{text}est_url = "{est_url}"\n' if est_url else text


def add_device(state: Path, entry: DeviceEntry) -> bool:
    """Append a device to the settings; False when it stands there already. SettingsError if it cannot be used."""
    settings = load(state)
    if entry in settings.device:
        return False
    path = state / FILE
    lines = [f'{one.name} = "{value}"' for one in fields(entry) if (value := getattr(entry, one.name)) is not None]
    text = path.read_text(encoding="utf-8") + "\n[[device]]\n" + "\n".join(lines) + "\n"
    parse(text, str(path))
    write_whole(path, text.encode(), mode=0o600)
    return True


def _scalars(table: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    known = {one.name: one for one in fields(Settings)}
    problems.extend(f"{name} is no setting" for name in table if name not in known)
    values: dict[str, Any] = {}
    for name, one in known.items():
        if name == "device":
            continue
        if name not in table:
            if one.default is MISSING:
                problems.append(f"{name} is missing")
            continue
        value = table[name]
        if name == "radio":
            value = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
        bounds = one.metadata.get("bounds")
        problem = _problem(name, value, bounds)
        if problem is None:
            values[name] = value
        else:
            problems.append(problem)
    return values


def _problem(name: str, value: object, bounds: Between | None) -> str | None:
    if bounds is not None:
        if type(value) is not int:
            return f"{name} is not a whole number"
        if not bounds.lowest <= value <= bounds.highest:
            return f"{name} is not within {bounds.lowest:g} to {bounds.highest:g}"
        return None
    if name == "radio":
        if not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
            return "radio is neither a text nor a list of texts"
        return radios_problem(value)
    if not isinstance(value, str) or not value:
        return f"{name} is not a text"
    if name == "homepage":
        return None if value == "none" or page_address(value) else "homepage is neither none nor ADDRESS:PORT"
    if name == "est_url" and not value.startswith("https://"):
        return "est_url is not an https address"
    if name == "hub_id":
        try:
            check_hub_id(value)
        except MalformedError as error:
            return str(error)
    return signal_problem(name, value)


_DEVICE_ID = decoder(DeviceId)


def _devices(tables: object, problems: list[str]) -> tuple[DeviceEntry, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append("device is not a list of [[device]] tables")
        return ()
    names = {one.name for one in fields(DeviceEntry)}
    found: list[DeviceEntry] = []
    for place, table in enumerate(tables, 1):
        wrong = [f"[[device]] {place}: {name} is no setting of a device" for name in table if name not in names]
        wrong += [f"[[device]] {place}: {name} is missing" for name in ("device_id", "profile") if name not in table]
        wrong += [
            f"[[device]] {place}: {name} is not a text" for name, value in table.items() if type(value) is not str
        ]
        if not wrong:
            entry = DeviceEntry(**table)
            wrong += entry.problems()
            try:
                _DEVICE_ID(entry.device_id, f"[[device]] {place}: device_id")
            except MalformedError as error:
                wrong.append(str(error))
            if entry.device_id in {one.device_id for one in found}:
                wrong.append(f"device {entry.device_id} stands there twice")
            found.append(entry)
        problems.extend(wrong)
    return tuple(found)
