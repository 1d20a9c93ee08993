"""What a hub answers a personal health device (ISO/IEEE 11073-20601): it is the manager, and the device begins.

The device asks to be associated, names what it measures when it is told that its configuration is not known, reports
measurements that are to be confirmed, and releases the association. A report is confirmed once it is on the disk: the
device forgets it then. A hub that does not confirm hears it again.
"""

from collections.abc import Iterator, Sequence

from bedside_profiles.asking import Ask, Frames, Now, Script, Scripted, sound_frames
from bedside_profiles.conversation import Conversation, Trouble, Write
from bedside_profiles.serial.personal_health_report import apdu_kind, configured_objects, confirmation, frame_size

_ASSOCIATION_REQUEST, _ASSOCIATION_RESPONSE = b"\xe2\x00", b"\xe3\x00"
_RELEASE_REQUEST, _RELEASE_RESPONSE = b"\xe4\x00", b"\xe5\x00"

_PROTOCOL = 0x5079
"""Data exchange by 20601 itself; the only one that there is but makers' own."""
_ACCEPTED_UNKNOWN_CONFIGURATION, _NO_COMMON_PROTOCOL = 3, 4
"""Accepted, and asked to tell its configuration, which makes sure what its numbers mean."""

_VERSION_1, _MEDICAL_ENCODING, _NOMENCLATURE_1 = 0x80000000, 0x8000, 0x80000000
_MANAGER = 0x80000000
_SYSTEM_ID = b"\x02BEDSIDE"
"""An EUI-64 that nobody assigned: bit 1 of its first byte says so."""


def converse(name: str) -> Conversation:
    """For the profile of that name."""
    frames: Frames = sound_frames(name, frame_size, lambda _apdu: None)
    return Scripted(frames, _script)


def association_response(*, accepted: bool) -> bytes:
    """What the manager answers to an association request."""
    information = (
        _VERSION_1.to_bytes(4, "big")
        + _MEDICAL_ENCODING.to_bytes(2, "big")
        + _NOMENCLATURE_1.to_bytes(4, "big")
        + bytes(4)
        + _MANAGER.to_bytes(4, "big")
        + len(_SYSTEM_ID).to_bytes(2, "big")
        + _SYSTEM_ID
        # A manager has no configuration, no mode of requesting data and no options.
        + bytes(10)
    )
    result = _ACCEPTED_UNKNOWN_CONFIGURATION if accepted else _NO_COMMON_PROTOCOL
    if not accepted:
        information = b""
    protocol = _PROTOCOL if accepted else 0
    data = result.to_bytes(2, "big") + protocol.to_bytes(2, "big") + len(information).to_bytes(2, "big") + information
    return _ASSOCIATION_RESPONSE + len(data).to_bytes(2, "big") + data


def offered_protocols(request: bytes) -> Sequence[int]:
    """The data protocols that an association request offers. Raises ValueError."""
    return tuple(_protocols(request[8:]))


def _protocols(listed: bytes) -> Iterator[int]:
    count, length = int.from_bytes(listed[:2], "big"), int.from_bytes(listed[2:4], "big")
    if len(listed) != length + 4:
        raise ValueError("a list of protocols whose length contradicts the request's")
    at = 4
    for _ in range(count):
        if at + 4 > len(listed):
            raise ValueError("a list of protocols that ends too early")
        yield int.from_bytes(listed[at : at + 2], "big")
        at += 4 + int.from_bytes(listed[at + 2 : at + 4], "big")


def _script(_now: Now) -> Script:
    while True:
        apdu = yield Ask(b"", lambda _frame: True, None)
        assert apdu is not None  # noqa: S101 - waited for without an end
        try:
            yield from _answered(apdu)
        except ValueError:
            # Broken: the framer tells so. Unanswered, the device says it again.
            continue


def _answered(apdu: bytes) -> Script:
    kind = apdu[:2]
    if kind == _ASSOCIATION_REQUEST:
        accepted = _PROTOCOL in offered_protocols(apdu)
        if not accepted:
            yield Trouble("it offers no data protocol of ISO/IEEE 11073-20601")
        yield Write(association_response(accepted=accepted))
    elif kind == _RELEASE_REQUEST:
        yield Write(_RELEASE_RESPONSE + b"\x00\x02\x00\x00")
    elif apdu_kind(kind) == "data" and (answer := confirmation(apdu)) is not None:
        yield Write(answer, after_stored=configured_objects(apdu) is None)
