"""The custom characteristic 233bf001 of A&D's cuffs, thermometers and scales (UA-651BLE, UA-656BLE, UT-201BLE).

A frame is [size][type][command][value], padded with zeros to 20 bytes; size counts what follows it. The device answers
a read on the same characteristic. Without a buffer (`encode_keep_readings`) it forgets what it measured while no hub
was near. Unpairing and deleting the memory are understood, and never written.
"""

from datetime import datetime
from enum import IntEnum

from bedside_profiles.cursor import Cursor
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import Decoded, Fact, Service

NAME = "bluetooth.and_control"
SERVICE = "233bf000-5a34-1b6d-975c-000d5690abe4"
CONTROL = "233bf001-5a34-1b6d-975c-000d5690abe4"

_FRAME_BYTES = 20
_KINDS = ("read", "write", "response")
_READ, _WRITE, _RESPONSE = range(3)
_CENTURY = 2000


class Command(IntEnum):
    """What a hub may ask for or set."""

    SET_TIME = 0x01
    DISCONNECT = 0x03
    READ_TIME = 0x04
    UNPAIR = 0x10
    DELETE_MEMORY = 0x12
    SET_BUFFER_SIZE = 0xA6
    READ_BUFFER_SIZE = 0xD6
    READ_SETTINGS = 0xDB
    SEND_ALL = 0xE1


def decode(characteristic: str, payload: bytes) -> Decoded:
    """A frame of either side, as facts; the value of a command that is not known is given as it stands."""
    if characteristic != CONTROL:
        raise DecodeError(NAME, f"no characteristic of this service: {characteristic}", payload)
    cursor = Cursor(NAME, payload)
    size = cursor.unsigned(1, "size")
    if size < 2 or size >= _FRAME_BYTES:
        raise cursor.error(f"a size of {size}")
    frame = cursor.take(size, "frame")
    padding = cursor.take(cursor.left, "padding")
    if len(payload) > _FRAME_BYTES or any(padding):
        raise cursor.error("more than the size announces")
    kind, code, value = frame[0], frame[1], frame[2:]
    if kind >= len(_KINDS):
        raise cursor.error(f"no type of frame: {kind}")
    try:
        command = Command(code)
    except ValueError:
        return Decoded(
            facts=(Fact("command", f"unknown_{code:02x}"), Fact("frame_type", _KINDS[kind]), Fact("value", value.hex()))
        )
    return Decoded(
        facts=(
            Fact("command", command.name.lower()),
            Fact("frame_type", _KINDS[kind]),
            *_value(cursor, command, kind, value),
        )
    )


def _value(cursor: Cursor, command: Command, kind: int, value: bytes) -> tuple[Fact, ...]:
    """A time or a size where one belongs; other values have no published meaning."""
    timed = (command is Command.SET_TIME and kind == _WRITE) or (command is Command.READ_TIME and kind == _RESPONSE)
    sized = (command is Command.SET_BUFFER_SIZE and kind == _WRITE) or (
        command is Command.READ_BUFFER_SIZE and kind == _RESPONSE
    )
    if timed:
        if len(value) != 6:
            raise cursor.error(f"a time of {len(value)} bytes")
        year, month, day, hour, minute, second = value
        try:
            moment = datetime(_CENTURY + year, month, day, hour, minute, second)  # noqa: DTZ001 - no zone is named
        except ValueError as error:
            raise cursor.error(f"no such date: {error}") from error
        return (Fact("device_time", moment.isoformat()),)
    if sized:
        if len(value) != 1:
            raise cursor.error(f"a buffer size of {len(value)} bytes")
        return (Fact("buffer_size_code", value[0]),)
    return (Fact("value", value.hex()),) if value else ()


def _frame(kind: int, command: Command, value: bytes = b"") -> bytes:
    return (bytes((2 + len(value), kind, command)) + value).ljust(_FRAME_BYTES, b"\0")


def encode_set_time(moment: datetime) -> bytes:
    """What sets the clock to that wall time; ValueError outside the years 2000 to 2099."""
    if not _CENTURY <= moment.year < _CENTURY + 100:
        raise ValueError("the year has two digits of this century")
    fields = (moment.year - _CENTURY, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return _frame(_WRITE, Command.SET_TIME, bytes(fields))


def encode_keep_readings(buffer_size_code: int = 1) -> bytes:
    """What makes the device keep readings until a hub is near: 0 keeps none, 1 is the smallest memory (30 or 90)."""
    return _frame(_WRITE, Command.SET_BUFFER_SIZE, bytes((buffer_size_code,)))


def encode_read_buffer_size() -> bytes:
    """What asks whether readings are kept."""
    return _frame(_READ, Command.READ_BUFFER_SIZE)


def encode_send_all() -> bytes:
    """What asks for every kept reading: as a read, the way an application of the maker's does; papers say write."""
    return _frame(_READ, Command.SEND_ALL)


def encode_disconnect() -> bytes:
    """What ends the connection and lets the device sleep."""
    return _frame(_WRITE, Command.DISCONNECT)


SERVICE_PROFILE = Service(NAME, "A&D control", SERVICE, (CONTROL,), decode)
