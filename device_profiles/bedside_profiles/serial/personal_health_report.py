"""The event reports of ISO/IEEE 11073-20601, as bytes: what stands in which place of a data APDU, all big endian.

Everything is nested, each level with its length, and a length that does not fit raises ValueError: the levels guard one
another where nothing else guards the bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bedside_profiles.streams import NO_FRAME

DATA = b"\xe7\x00"
_KINDS = {
    b"\xe2\x00": "association_request",
    b"\xe3\x00": "association_response",
    b"\xe4\x00": "release_request",
    b"\xe5\x00": "release_response",
    b"\xe6\x00": "abort",
    DATA: "data",
}

UNCONFIRMED, CONFIRMED, _CONFIRMS = 0x0100, 0x0101, 0x0201

_LONGEST = 9216
"""What the standard allows a device to send at once."""
_LONGEST_OTHER = 512
"""Of an APDU that is no data; an association takes about a hundred bytes."""

_CONFIGURATION = 0x0D1C
_FIXED, _VARIABLE = frozenset({0x0D1D, 0x0D23, 0x0D29}), frozenset({0x0D1E, 0x0D22, 0x0D28})
_FIXED_OF_MANY, _VARIABLE_OF_MANY = frozenset({0x0D1F, 0x0D26, 0x0D2C}), frozenset({0x0D20, 0x0D25, 0x0D2B})

_NUMERIC, _MEDICAL = b"\x00\x06", b"\x00\x02"
"""The class of an object that measures a number, and the partition of the MDC codes for vital signs."""
_TYPE, _UNIT = 0x092F, 0x0996
_TIME, _BASIC, _SIMPLE, _COMPOUND_BASIC, _COMPOUND = 0x0990, 0x0A4C, 0x0A56, 0x0A75, 0x0A4B
_VALUES = frozenset({_BASIC, _SIMPLE, _COMPOUND_BASIC, _COMPOUND})

_TIME_BYTES = 8
_NO_PERSON = 0xFFFF
_COMPOUND_HEAD = 4


@dataclass(frozen=True, slots=True)
class Observation:
    """One object's value and its absolute time (8 bytes, or none); `person` on a device that several share."""

    handle: int
    value: bytes
    time: bytes
    person: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """One event report. `choice` is UNCONFIRMED or CONFIRMED."""

    invoke_id: int
    choice: int
    event_type: int
    observations: tuple[Observation, ...]


class _Reader:
    """Reads from front to back; a piece that is not there raises ValueError."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise ValueError("a report that ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def word(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def inner(self) -> "_Reader":
        """What stands behind its own length."""
        return _Reader(self.take(self.word()))

    def counted(self) -> tuple[int, "_Reader"]:
        """A list's count, and what stands behind its length."""
        return self.word(), self.inner()

    def end(self) -> None:
        if self.left:
            raise ValueError("lengths that contradict each other")


def apdu_kind(head: bytes) -> str | None:
    """The name of the kind of APDU that begins with these two bytes; None when there is none."""
    return _KINDS.get(head)


def frame_size(data: bytes) -> int | None:
    """See `streams.FrameStream`."""
    if apdu_kind(data[:2].ljust(2, b"\x00")) is None:
        return NO_FRAME
    if len(data) < 6:
        return None
    size = int.from_bytes(data[2:4], "big") + 4
    if data[:2] == DATA:
        return size if size <= _LONGEST and int.from_bytes(data[4:6], "big") == size - 6 else NO_FRAME
    return size if 6 <= size <= _LONGEST_OTHER else NO_FRAME


def report_of(apdu: bytes) -> Report | None:
    """The event report in a data APDU; None when it holds something else. Raises ValueError."""
    invoke_id, choice, body = _message(apdu)
    if choice not in (UNCONFIRMED, CONFIRMED):
        return None
    event_type, info = _event(body)
    if event_type not in _FIXED | _VARIABLE | _FIXED_OF_MANY | _VARIABLE_OF_MANY:
        return Report(invoke_id, choice, event_type, ())
    info.take(4)
    variable = event_type in _VARIABLE | _VARIABLE_OF_MANY
    if event_type in _FIXED | _VARIABLE:
        found = tuple(_scanned(info, None, variable=variable))
    else:
        count, people = info.counted()
        found = tuple(
            [one for _ in range(count) for one in _scanned(people, _person(people.word()), variable=variable)]
        )
        people.end()
    info.end()
    return Report(invoke_id, choice, event_type, found)


def configured_objects(apdu: bytes) -> tuple[tuple[int, int, int | None], ...] | None:
    """Handle, MDC type and MDC unit of each object that a configuration report names; None for another report.

    Raises ValueError.
    """
    _, choice, body = _message(apdu)
    if choice not in (UNCONFIRMED, CONFIRMED):
        return None
    event_type, info = _event(body)
    if event_type != _CONFIGURATION:
        return None
    info.take(2)
    count, objects = info.counted()
    info.end()
    found = []
    for _ in range(count):
        objects.take(2)
        handle = objects.word()
        attributes = dict(_attributes(objects))
        if len(kind := attributes.get(_TYPE, b"")) == 4:
            unit = attributes.get(_UNIT)
            found.append(
                (handle, int.from_bytes(kind[2:], "big"), None if unit is None else int.from_bytes(unit, "big"))
            )
    objects.end()
    return tuple(found)


def confirmation(apdu: bytes) -> bytes | None:
    """What the hub answers to a confirmed report; None when nothing is to be answered. Raises ValueError.

    A configuration is answered with its acceptance (0) too: what it names and Bedside does not know is passed over.
    """
    invoke_id, choice, body = _message(apdu)
    if choice != CONFIRMED:
        return None
    handle, event_type = body[:2], body[6:8]
    reply = b""
    if int.from_bytes(event_type, "big") == _CONFIGURATION:
        reply = body[10:12] + b"\x00\x00"
    return data_apdu(invoke_id, _CONFIRMS, handle + bytes(4) + event_type + _sized(reply))


def data_apdu(invoke_id: int, choice: int, body: bytes) -> bytes:
    """The APDU around a message."""
    message = invoke_id.to_bytes(2, "big") + choice.to_bytes(2, "big") + _sized(body)
    return DATA + _sized(_sized(message))


def configuration_report(invoke_id: int, configuration_id: int, types: Mapping[int, int]) -> bytes:
    """The APDU in which a device names its objects: the MDC type that each handle stands for."""
    objects = b"".join(
        _NUMERIC + handle.to_bytes(2, "big") + b"\x00\x01" + _sized(_TYPE.to_bytes(2, "big") + _sized(_MEDICAL + code))
        for handle, code in ((handle, code.to_bytes(2, "big")) for handle, code in types.items())
    )
    info = configuration_id.to_bytes(2, "big") + len(types).to_bytes(2, "big") + _sized(objects)
    body = b"\x00\x00\xff\xff\xff\xff" + _CONFIGURATION.to_bytes(2, "big") + _sized(info)
    return data_apdu(invoke_id, CONFIRMED, body)


def fixed_report(invoke_id: int, observations: Sequence[Observation]) -> bytes:
    """The APDU of a confirmed report with these observations, in the fixed form, of one person or of none."""
    rows = b"".join(one.handle.to_bytes(2, "big") + _sized(one.value + one.time) for one in observations)
    scanned = len(observations).to_bytes(2, "big") + _sized(rows)
    person = observations[0].person if observations else None
    if person is None:
        event_type, info = 0x0D1D, scanned
    else:
        event_type, info = 0x0D1F, b"\x00\x01" + _sized(person.to_bytes(2, "big") + scanned)
    body = b"\x00\x00\xff\xff\xff\xff" + event_type.to_bytes(2, "big") + _sized(b"\xf0\x00\x00\x00" + info)
    return data_apdu(invoke_id, CONFIRMED, body)


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _message(apdu: bytes) -> tuple[int, int, bytes]:
    outer = _Reader(apdu[2:]).inner()
    message = outer.inner()
    outer.end()
    invoke_id, choice = message.word(), message.word()
    body = message.take(message.word())
    message.end()
    return invoke_id, choice, body


def _event(body: bytes) -> tuple[int, _Reader]:
    reader = _Reader(body)
    reader.take(6)
    event_type, info = reader.word(), reader.inner()
    reader.end()
    return event_type, info


def _scanned(reader: _Reader, person: int | None, *, variable: bool) -> Iterator[Observation]:
    count, rows = reader.counted()
    for _ in range(count):
        handle = rows.word()
        if variable:
            attributes = dict(_attributes(rows))
            value = next((attributes[name] for name in _VALUES if name in attributes), None)
            if value is not None:
                yield Observation(handle, value, attributes.get(_TIME, b""), person)
            continue
        data = rows.inner()
        whole = data.take(data.left)
        size = _value_size(whole)
        if len(whole) not in (size, size + _TIME_BYTES):
            raise ValueError("an observation of an unknown layout")
        yield Observation(handle, whole[:size], whole[size:], person)
    rows.end()


def _person(number: int) -> int | None:
    return None if number == _NO_PERSON else number


def _value_size(observation: bytes) -> int:
    """An SFLOAT, a FLOAT, or a compound of them, which says how long it is; each with or without its time."""
    if len(observation) in (2, 2 + _TIME_BYTES):
        return 2
    if len(observation) in (4, 4 + _TIME_BYTES):
        return 4
    return _COMPOUND_HEAD + int.from_bytes(observation[2:4], "big")


def _attributes(reader: _Reader) -> Iterator[tuple[int, bytes]]:
    count, attributes = reader.counted()
    for _ in range(count):
        name = attributes.word()
        size = attributes.word()
        yield name, attributes.take(size)
    attributes.end()
