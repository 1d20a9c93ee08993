"""The envelope that newer Lepu and Viatom devices share: O2Ring-S, BP2W.

`A5`, a command, its complement, a direction (0 from the hub, 1 from the device), a sequence number, a length (2 bytes,
little-endian), the payload, and CRC-8 (polynomial 07) over all before it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bedside_profiles.crc8 import crc8
from bedside_profiles.errors import DecodeError
from bedside_profiles.framing import Framing
from bedside_profiles.profile import Decoded, EncodeError

_MARK = 0xA5
_HEADER_BYTES = 7
_LONGEST_PAYLOAD_BYTES = 2048
FROM_HUB, FROM_DEVICE = 0, 1


@dataclass(frozen=True, slots=True)
class LepuFrame:
    """One frame; `direction` is `FROM_HUB` or `FROM_DEVICE`."""

    command: int
    payload: bytes = b""
    direction: int = FROM_DEVICE
    sequence: int = 0

    @classmethod
    def from_bytes(cls, profile: str, frame: bytes) -> "LepuFrame":
        """A whole frame, with its check. Raises `DecodeError` in the name of `profile`."""
        if len(frame) <= _HEADER_BYTES or frame[0] != _MARK:
            raise DecodeError(profile, "a frame begins with a5 and has at least 8 bytes", frame)
        if frame[1] ^ frame[2] != 0xFF:
            raise DecodeError(profile, "the complement of the command is wrong", frame)
        if len(frame) != _HEADER_BYTES + int.from_bytes(frame[5:7], "little") + 1:
            raise DecodeError(profile, "the length is not the frame's", frame)
        if crc8(frame[:-1]) != frame[-1]:
            raise DecodeError(profile, "wrong CRC-8 of a frame", frame)
        return cls(frame[1], frame[_HEADER_BYTES:-1], frame[3], frame[4])

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        try:
            head = bytes((_MARK, self.command, self.command ^ 0xFF, self.direction, self.sequence))
            body = head + len(self.payload).to_bytes(2, "little") + self.payload
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error
        return body + bytes((crc8(body),))


def framing(profile: str, decode: Callable[[LepuFrame], Sequence[Decoded | DecodeError]]) -> Framing:
    """How to find the frames of a device; `decode` says what one means."""

    def size(head: bytes) -> int | None:
        if len(head) > 2 and head[1] ^ head[2] != 0xFF:
            raise DecodeError(profile, "the complement of the command is wrong", head)
        if len(head) < _HEADER_BYTES:
            return None
        if head[3] != FROM_DEVICE:
            raise DecodeError(profile, f"direction {head[3]} in an answer of the device", head)
        length = int.from_bytes(head[5:7], "little")
        if length > _LONGEST_PAYLOAD_BYTES:
            raise DecodeError(profile, f"a payload of {length} bytes", head)
        return _HEADER_BYTES + length + 1

    def problem(frame: bytes) -> str | None:
        return None if crc8(frame[:-1]) == frame[-1] else "wrong CRC-8 of a frame"

    return Framing(profile, bytes((_MARK,)), size, problem, lambda frame: decode(LepuFrame.from_bytes(profile, frame)))


def command_frame(command: int, payload: bytes, harmful: frozenset[int], sequence: int = 0) -> bytes:
    """What a hub writes. Raises `EncodeError` for a command of `harmful`, whatever it is wanted for."""
    if command in harmful:
        raise EncodeError(f"command {command:02x} inflates, erases or resets the device: it is never sent")
    return LepuFrame(command, payload, FROM_HUB, sequence).to_bytes()


def command_of(profile: str, written: bytes, harmful: frozenset[int]) -> LepuFrame:
    """What somebody wrote to a device. Raises `DecodeError`, also for a command of `harmful`: nothing explains it."""
    frame = LepuFrame.from_bytes(profile, written)
    if frame.direction != FROM_HUB:
        raise DecodeError(profile, "an answer of the device, not a command", written)
    if frame.command in harmful:
        reason = f"command {frame.command:02x} inflates, erases or resets the device: no hub sends it"
        raise DecodeError(profile, reason, written)
    return frame


def clock_of(field: bytes) -> str | None:
    """Year (2 bytes, little-endian), month, day, hour, minute, second as ISO 8601; None for no such moment."""
    if len(field) < 7:
        return None
    month, day, hour, minute, second = field[2:7]
    try:
        moment = datetime(int.from_bytes(field[:2], "little"), month, day, hour, minute, second)  # noqa: DTZ001 - no zone
    except ValueError:
        return None
    return moment.isoformat()
