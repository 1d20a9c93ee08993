"""Errors that decide.

BedsideError
├── DecodeError    bytes from a device that are malformed: never a reading
└── WireError      a message between hub and cloud that cannot be admitted
    ├── UndecodableError   the body is not MessagePack, or not within the limits
    └── MalformedError     it decodes, but is not the message it should be; `field` says where
"""


class BedsideError(Exception):
    """Base of every error that this product raises on purpose."""


class DecodeError(BedsideError):
    """A frame that breaks its specification. No value is ever made from it.

    `profile` is the profile's name, `frame` the bytes as they came, `reason` one sentence for a technician.
    """

    def __init__(self, profile: str, reason: str, frame: bytes = b"") -> None:
        super().__init__(f"{profile}: {reason} (frame {frame[:32].hex() or 'empty'})")
        self.profile = profile
        self.reason = reason
        self.frame = frame


class WireError(BedsideError):
    """A message that cannot be admitted. `reason` is one sentence that names no value of a patient."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UndecodableError(WireError):
    """The body is not a MessagePack map within the size, depth and length limits of `wire.codec`."""


class MalformedError(WireError):
    """The body decodes, but a field is missing, of another type, or out of its bounds."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
