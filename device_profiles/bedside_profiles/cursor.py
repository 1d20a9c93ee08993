"""Reads a device's little-endian frame from front to back; what is missing or left over is a `DecodeError`."""

from datetime import datetime

from bedside_profiles.errors import DecodeError
from bedside_profiles.numbers import Number, decode_date_time, decode_float, decode_sfloat


class Cursor:
    """`profile` names the profile in the errors."""

    def __init__(self, profile: str, frame: bytes) -> None:
        self._profile = profile
        self._frame = frame
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are not read yet."""
        return len(self._frame) - self._at

    def unsigned(self, size: int, what: str) -> int:
        """An unsigned integer of `size` bytes; `what` names it in the error."""
        return int.from_bytes(self.take(size, what), "little")

    def signed(self, size: int, what: str) -> int:
        """An integer of `size` bytes in two's complement."""
        return int.from_bytes(self.take(size, what), "little", signed=True)

    def sfloat(self, what: str) -> Number:
        """A 16 bit medical float."""
        return decode_sfloat(self.unsigned(2, what))

    def medical_float(self, what: str) -> Number:
        """A 32 bit medical float."""
        return decode_float(self.unsigned(4, what))

    def date_time(self, what: str) -> datetime | None:
        """A SIG Date Time; None when the device does not know the date."""
        raw = self.take(7, what)
        try:
            return decode_date_time(raw)
        except ValueError as error:
            raise self.error(f"{what}: {error}") from error

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes."""
        if self.left < size:
            raise self.error(f"{what} cut off: {len(self._frame)} bytes are too few for the flags")
        piece = self._frame[self._at : self._at + size]
        self._at += size
        return piece

    def end(self) -> None:
        """Nothing may be left: bytes that the flags do not announce mean that the layout is not the one read."""
        if self.left:
            raise self.error(f"{self.left} bytes more than the flags announce")

    def error(self, reason: str) -> DecodeError:
        """The error to raise for this frame."""
        return DecodeError(self._profile, reason, self._frame)
