"""What captured bytes mean: which profile knows them, and what it makes of them. Pure; no hardware is needed.

An entry is a JSON object: `id`, `transport` (ble, serial, advert), `device` (what it is, in words), `service_uuid`,
`characteristic_uuid` (whole, or the SIG's 16 bits), and the bytes: `payload_hex`, or `frames`, one hex text a
notification. `settings` may hold what the entry does not: `baud`, which tells serial devices of one name apart;
`address` (or `mac`) and `bind_key_hex` (or `bindkey`), which decrypt an encrypted advertisement; `company`, which names
manufacturer data. All else is ignored.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from bedside_profiles.catalogue import ADVERTS, CATALOGUE, SERVICES
from bedside_profiles.errors import DecodeError, MalformedError
from bedside_profiles.profile import (
    Advert,
    AdvertProfile,
    BleProfile,
    Decoded,
    Listener,
    SerialProfile,
    Service,
    Values,
)
from bedside_profiles.readings import METRICS, Measurement

_SIG_BASE = "-0000-1000-8000-00805f9b34fb"

Known = BleProfile | SerialProfile | AdvertProfile | Service

TRANSPORTS = ("ble", "serial", "advert")


class Result(StrEnum):
    """`no_reading`: well formed, and nothing to be stored. `reject`: nothing may be made of it."""

    OK = "ok"
    NO_READING = "no_reading"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Captured:
    """One entry. UUIDs are 128 bit, lower case; `frames` are in the order in which they came."""

    entry_id: str
    transport: str
    device: str
    frames: tuple[bytes, ...]
    service_uuid: str | None = None
    characteristic_uuid: str | None = None
    company: int | None = None
    address: str | None = None
    bind_key: bytes | None = None
    baud: int | None = None


@dataclass(frozen=True, slots=True)
class Explained:
    """`profile` is None when none knows the device. `outcomes` are all that the profile said, in order."""

    entry_id: str
    profile: str | None
    result: Result
    reason: str | None
    outcomes: tuple[Decoded | DecodeError, ...] = ()

    @property
    def measurements(self) -> tuple[Measurement, ...]:
        """What would be stored."""
        return tuple([one for outcome in self.outcomes if isinstance(outcome, Decoded) for one in outcome.measurements])

    def to_json(self) -> dict[str, Any]:
        """As the command line prints it; values are in the metrics' canonical units."""
        decoded = [outcome for outcome in self.outcomes if isinstance(outcome, Decoded)]
        return {
            "id": self.entry_id,
            "profile": self.profile,
            "result": self.result.value,
            "reason": self.reason,
            "readings": [_reading(one) for one in self.measurements] if self.result is Result.OK else [],
            "facts": {fact.name: fact.value for outcome in decoded for fact in outcome.facts},
        }


def captured(entry: object, place: int) -> Captured:
    """The entry at that place of a list (from 1); MalformedError names what is wrong with it."""
    if not isinstance(entry, Mapping):
        raise MalformedError(f"entry {place}", "is no object")
    name = str(entry.get("id", place))
    transport = entry.get("transport")
    if transport not in TRANSPORTS:
        raise MalformedError(f"{name}: transport", f"is none of {', '.join(TRANSPORTS)}")
    frames = entry.get("frames") or [entry.get("payload_hex")]
    if not isinstance(frames, list) or not all(isinstance(one, str) for one in frames):
        raise MalformedError(f"{name}: payload_hex", "is missing, or is no hexadecimal text")
    settings = entry.get("settings")
    said = {**settings, **entry} if isinstance(settings, Mapping) else entry
    company, baud = said.get("company"), said.get("baud")
    address, bind_key = said.get("address") or said.get("mac"), said.get("bind_key_hex") or said.get("bindkey")
    return Captured(
        name,
        transport,
        str(entry.get("device") or ""),
        tuple([_bytes(one, f"{name}: payload_hex") for one in frames]),
        service_uuid=_uuid(entry.get("service_uuid")),
        characteristic_uuid=_uuid(entry.get("characteristic_uuid")),
        company=company if isinstance(company, int) else None,
        address=str(address).upper() if address else None,
        bind_key=_bytes(str(bind_key), f"{name}: bind_key_hex") if bind_key else None,
        baud=baud if isinstance(baud, int) else None,
    )


def explain(one: Captured) -> Explained:
    """What the bytes mean. Of several devices that the words may mean, the one to which they mean something."""
    known = _known(one)
    if not known:
        return Explained(one.entry_id, None, Result.REJECT, "no profile knows this device")
    found = [_explained(profile, one) for profile in known]
    if len(found) > 1:
        found = [meant for meant in found if meant.result is not Result.REJECT]
    if not found or any(other.outcomes != found[0].outcomes for other in found):
        names = ", ".join(profile.name for profile in known)
        return Explained(
            one.entry_id, None, Result.REJECT, f"several profiles may know this device: {names}; name its model"
        )
    return found[0]


def _explained(profile: Known, one: Captured) -> Explained:
    outcomes = tuple(_outcomes(profile, one, one.characteristic_uuid or ""))
    if one.characteristic_uuid is None and isinstance(profile, BleProfile) and _judged(outcomes)[0] is Result.REJECT:
        for characteristic in [one for one in profile.characteristics if one.required]:
            tried = tuple(_outcomes(profile, one, characteristic.uuid))
            if _judged(tried)[0] is not Result.REJECT:
                outcomes = tried
                break
    return Explained(one.entry_id, profile.name, *_judged(outcomes), outcomes)


def _judged(outcomes: Sequence[Decoded | DecodeError]) -> tuple[Result, str | None]:
    decoded = [outcome for outcome in outcomes if isinstance(outcome, Decoded)]
    if any(outcome.measurements for outcome in decoded):
        return Result.OK, None
    for outcome in outcomes:
        if isinstance(outcome, DecodeError):
            return Result.REJECT, outcome.reason
    withheld = [one for outcome in decoded for one in outcome.withheld]
    if withheld:
        return Result.NO_READING, ", ".join(dict.fromkeys(f"{one.metric}: {one.reason}" for one in withheld))
    if any(outcome.facts for outcome in decoded):
        return Result.OK, None
    return Result.NO_READING, "there is nothing in it"


def _outcomes(profile: Known, one: Captured, characteristic: str) -> Iterable[Decoded | DecodeError]:
    if isinstance(profile, AdvertProfile):
        advert = Advert(b"".join(one.frames), one.address, one.bind_key)
        return Values(lambda _characteristic, _payload: profile.decode(advert)).feed("", advert.payload)
    if isinstance(profile, SerialProfile):
        framer = profile.framer()
        return _heard(profile.decode_command, one, [framer.feed(frame) for frame in one.frames], framer.rest())
    listener: Listener = Values(profile.decode) if isinstance(profile, Service) else profile.listen()
    if isinstance(profile, BleProfile) and characteristic in profile.commands and profile.decode_command is not None:
        decode = profile.decode_command
        return Values(lambda _characteristic, payload: decode(payload)).feed("", b"".join(one.frames))
    heard = _heard(None, one, [listener.feed(characteristic, frame) for frame in one.frames], None)
    rest = listener.rest()
    if rest is None or (any(isinstance(outcome, Decoded) for outcome in heard) and not _is_measured(rest)):
        return heard
    return (*heard, rest)


def _is_measured(rest: Decoded | DecodeError) -> bool:
    """Whether it tells of a measurement that waited for more; a frame cut off behind whole ones tells nothing."""
    return isinstance(rest, Decoded) and bool(rest.measurements or rest.withheld)


def _heard(
    decode_command: Callable[[bytes], Decoded] | None,
    one: Captured,
    fed: Iterable[tuple[Decoded | DecodeError, ...]],
    rest: Decoded | DecodeError | None,
) -> tuple[Decoded | DecodeError, ...]:
    outcomes = tuple([outcome for some in fed for outcome in some])
    if not any(isinstance(outcome, Decoded) for outcome in outcomes):
        if decode_command is not None:
            (command,) = Values(lambda _characteristic, payload: decode_command(payload)).feed("", b"".join(one.frames))
            if isinstance(command, Decoded):
                return (command,)
        if rest is not None:
            return (*outcomes, rest)
    return outcomes


Named = TypeVar("Named", BleProfile, SerialProfile, AdvertProfile)


def _known(one: Captured) -> Sequence[Known]:
    device = one.device.lower()
    if one.transport == "serial":
        named = best_named([profile for profile in CATALOGUE if isinstance(profile, SerialProfile)], device)
        return [profile for profile in named if one.baud == profile.line.baud] or named
    if one.transport == "advert":
        return best_named([profile for profile in ADVERTS if _is_said_in(profile, one)], device)
    speaking = best_named([p for p in CATALOGUE if isinstance(p, BleProfile) and _speaks(p, one)], device)
    services = [service for service in SERVICES if one.characteristic_uuid in service.characteristics]
    # Devices that merely have such a characteristic say the same in it as everybody.
    return services or _at_home(speaking, one)


def _at_home(profiles: Sequence[BleProfile], one: Captured) -> Sequence[BleProfile]:
    """Of several that share a characteristic: the one of the entry's service, else the one that cannot do without."""
    for found in (
        [profile for profile in profiles if profile.service_uuid == one.service_uuid],
        [p for p in profiles if any(c.required and c.uuid == one.characteristic_uuid for c in p.characteristics)],
    ):
        if len(found) == 1:
            return found
    return profiles


def best_named(profiles: Sequence[Named], device: str) -> list[Named]:
    """Those whose names are found best in the words for a device; one that needs no name is known without."""
    found = [(_likeness(profile.names, device), profile) for profile in profiles]
    best = max((likeness for likeness, _ in found), default=0)
    return [profile for likeness, profile in found if likeness == best and (likeness or not profile.names)]


def _likeness(names: Sequence[str], device: str) -> int:
    return sum(len(name) for name in names if name in device)


def _speaks(profile: BleProfile, one: Captured) -> bool:
    if one.characteristic_uuid is None and one.service_uuid is None:
        return bool(profile.names)
    if one.characteristic_uuid is None:
        return one.service_uuid in (profile.service_uuid, *profile.also_services)
    return one.characteristic_uuid in (*(c.uuid for c in profile.characteristics), *profile.commands)


def _is_said_in(profile: AdvertProfile, one: Captured) -> bool:
    if one.company is not None:
        return profile.company == one.company
    return one.service_uuid is None or one.service_uuid == profile.service_uuid


def _reading(one: Measurement) -> dict[str, Any]:
    flags = [flag.value for flag in one.quality]
    if one.range_flag is not None:
        flags.append(one.range_flag.value)
    if one.device_user is not None:
        flags.append(f"user_{one.device_user}")
    return {
        "metric": one.metric.value,
        "value": one.value,
        "unit": METRICS[one.metric].unit,
        "taken_at": one.device_time,
        "flags": flags,
    }


def _bytes(text: str, where: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as cause:
        raise MalformedError(where, "is no hexadecimal text") from cause


def _uuid(text: object) -> str | None:
    """128 bit, lower case, of what people write: 2A35, 0x2A35, 32 digits with dashes or without."""
    if not isinstance(text, str) or not text.strip():
        return None
    digits = text.strip().lower().removeprefix("0x").replace("-", "")
    if len(digits) in (4, 8):
        return f"{digits:0>8}{_SIG_BASE}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
