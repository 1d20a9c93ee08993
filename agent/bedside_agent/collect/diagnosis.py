"""Why a device gives no reading, in words, and what a technician does about it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from bedside_agent.radio.central import (
    AccessRefusedError,
    CallTimedOutError,
    CharacteristicMissingError,
    ConnectFailedError,
    DeviceNotFoundError,
    KeyRefusedError,
    LinkLostError,
    PairingFailedError,
    RadioUnavailableError,
    SlotsExhaustedError,
)
from bedside_agent.serial.port import PortError
from bedside_profiles.errors import BedsideError
from bedside_profiles.profile import AdvertProfile, BleProfile, SerialProfile
from bedside_profiles.wire.status import LinkState


@dataclass(frozen=True, slots=True)
class Findings:
    """What was seen of a device in so many seconds. `trouble` is what its session last ended with, None while it is
    well; the counts are of frames since the test began."""

    profile: BleProfile | SerialProfile | AdvertProfile
    link: LinkState
    trouble: BedsideError | None
    seconds: float
    readings: int = 0
    without_reading: int = 0
    refused: int = 0
    sensor_off: bool = False


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """`problem` is one sentence, `fix` what to do next."""

    problem: str
    fix: str


_BY_TROUBLE: Mapping[type[BedsideError], Diagnosis] = {
    RadioUnavailableError: Diagnosis(
        "The hub's own Bluetooth does not work: {reason}.", "systemctl status bluetooth, then restart the hub"
    ),
    DeviceNotFoundError: Diagnosis(
        "It was not heard: {reason}.",
        "switch it on beside the hub, with fresh batteries, and disconnect it from any phone; cuffs, scales and meters "
        "are only heard just after a measurement",
    ),
    ConnectFailedError: Diagnosis(
        "It is heard and does not take the connection: {reason}.",
        "disconnect it from any phone, take its batteries out for half a minute, and bring it nearer",
    ),
    AccessRefusedError: Diagnosis(
        "It refuses to be read: {reason}.",
        "pair it: bedside-agent device repair ID, with the device in pairing mode and no pairing = never in its entry",
    ),
    KeyRefusedError: Diagnosis(
        "It has forgotten that it was paired with this hub: {reason}.",
        "put it into its pairing mode, and bedside-agent device repair ID",
    ),
    PairingFailedError: Diagnosis(
        "It cannot be paired: {reason}.",
        "put it into its pairing mode; if it shows six digits, remove it and add it with --passkey",
    ),
    SlotsExhaustedError: Diagnosis(
        "It waits for a connection: {reason}.", "remove a device that is not needed, or give the hub another adapter"
    ),
    CharacteristicMissingError: Diagnosis(
        "It is another kind of device than it was added as: {reason}.",
        "bedside-agent device scan shows what it is; remove it and add it anew",
    ),
    CallTimedOutError: Diagnosis(
        "It does not answer: {reason}.", "bring it nearer to the hub; then switch it off and on"
    ),
    LinkLostError: Diagnosis(
        "The connection does not last: {reason}.", "bring it nearer to the hub, with fresh batteries"
    ),
    PortError: Diagnosis(
        "The serial line does not work: {reason}.", "check plug and adapter; ls /dev/serial/by-id shows what is there"
    ),
}


def diagnose(found: Findings) -> Diagnosis | None:
    """None for a device that gave a reading; else what is wrong, by what is nearest to the reading."""
    if found.readings:
        return None
    if found.sensor_off:
        return Diagnosis("It is connected, and says that its sensor is not on the body.", "put it on, and hold still")
    if found.refused and not found.without_reading:
        return Diagnosis(
            f"It is connected, and nothing that it says is understood ({found.refused} frames refused).",
            "it is another model, or another output format than it was added as: compare the profile, and look at the "
            "device's menu",
        )
    if found.without_reading:
        return Diagnosis(
            "It is connected and has no value yet: it searches, or reports an error of its own.",
            "look at its display, warm the finger or place the cuff anew, and measure again",
        )
    if found.link is LinkState.CONNECTED:
        return Diagnosis(f"It is connected, and said nothing for {found.seconds:.0f} s.", _speaks_when(found.profile))
    if found.trouble is None:
        return Diagnosis(f"It was not heard for {found.seconds:.0f} s.", _speaks_when(found.profile))
    known = _BY_TROUBLE.get(type(found.trouble))
    reason = getattr(found.trouble, "reason", str(found.trouble))
    if known is None:
        return Diagnosis(f"It cannot be read: {reason}.", "bedside-agent status, and journalctl -u bedside-agent")
    return Diagnosis(known.problem.format(reason=reason), known.fix)


def _speaks_when(profile: BleProfile | SerialProfile | AdvertProfile) -> str:
    if isinstance(profile, AdvertProfile):
        return "use it beside the hub: it speaks only while it measures"
    if profile.silence_seconds is None:
        return "take a measurement: it speaks only after one"
    return "put it on and look whether its display shows a value"
