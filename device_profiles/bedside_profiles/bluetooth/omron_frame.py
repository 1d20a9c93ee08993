"""Frames of an Omron cuff's wire, both ways.

A frame is a length, a type (2 bytes; 8100 answers a read), an address (2, big-endian), the number of bytes, those
bytes, 00, and a byte that makes the XOR of the whole frame 0.
"""

from dataclasses import dataclass

from bedside_profiles.bluetooth.omron_record import NAME
from bedside_profiles.errors import DecodeError
from bedside_profiles.profile import EncodeError

ANSWERS = (
    "49123040-aee8-11e1-a74d-0002a5d5c51b",
    "4d0bf320-aee8-11e1-a0d9-0002a5d5c51b",
    "5128ce60-aee8-11e1-b84b-0002a5d5c51b",
    "560f1420-aee8-11e1-8184-0002a5d5c51b",
)
COMMANDS = (
    "db5b55e0-aee7-11e1-965e-0002a5d5c51b",
    "e0b8a060-aee7-11e1-92f4-0002a5d5c51b",
    "0ae12b00-aee8-11e1-a192-0002a5d5c51b",
    "10e1ba60-aee8-11e1-89e5-0002a5d5c51b",
)

_FRAME_BYTES = 8
_CHANNEL_BYTES = 16
READ, END = 0x0100, 0x0F00
STARTED, READ_ANSWER, ENDED = 0x8000, 0x8100, 0x8F00
KIND_NAMES = {
    0x0000: "start",
    READ: "read",
    0x01C0: "write",
    END: "end",
    STARTED: "started",
    READ_ANSWER: "read",
    0x81C0: "written",
    ENDED: "ended",
}


@dataclass(frozen=True, slots=True)
class OmronFrame:
    """One frame of either direction. `kind` has 16 bits."""

    kind: int
    address: int = 0
    data: bytes = b""

    @classmethod
    def from_bytes(cls, frame: bytes) -> "OmronFrame":
        """Exactly one frame, without padding. Raises `DecodeError`."""
        if len(frame) < _FRAME_BYTES or frame[0] != len(frame):
            raise DecodeError(NAME, f"a frame of {len(frame)} bytes says {frame[0] if frame else 0}", frame)
        if _xor(frame):
            raise DecodeError(NAME, "the XOR of the frame is not 0", frame)
        kind, address = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
        data = frame[6:-2]
        # The other kinds say in this place how many bytes they are about.
        if kind == READ_ANSWER and frame[5] != len(data):
            raise DecodeError(NAME, f"{frame[5]} bytes announced, {len(data)} there", frame)
        return cls(kind, address, data)

    def to_bytes(self) -> bytes:
        """The frame. Raises `EncodeError`."""
        try:
            body = (
                bytes((len(self.data) + _FRAME_BYTES,))
                + self.kind.to_bytes(2, "big")
                + self.address.to_bytes(2, "big")
                + bytes((len(self.data),))
                + self.data
                + b"\0"
            )
        except (ValueError, OverflowError) as error:
            raise EncodeError(str(error)) from error
        return body + bytes((_xor(body),))


def spread(frame: bytes) -> tuple[tuple[str, bytes], ...]:
    """As an older cuff says it: 16 bytes a channel, and the last ones filled up with zeros."""
    pieces = [
        frame[at : at + _CHANNEL_BYTES].ljust(_CHANNEL_BYTES, b"\0") for at in range(0, len(frame), _CHANNEL_BYTES)
    ]
    return tuple([(channel, piece) for channel, piece in zip(ANSWERS, pieces, strict=False)])


def _xor(data: bytes) -> int:
    total = 0
    for byte in data:
        total ^= byte
    return total


def start() -> bytes:
    """The command that begins a session."""
    return bytes.fromhex("0800000000100018")


def read(address: int, count: int) -> bytes:
    """The command that reads `count` bytes of the memory, at most 56."""
    body = bytes((_FRAME_BYTES, 0x01, 0x00)) + address.to_bytes(2, "big") + bytes((count, 0))
    return body + bytes((_xor(body),))


def end() -> bytes:
    """The command that ends a session; a cuff that does not hear it shows an error."""
    return bytes.fromhex("080f000000000007")
