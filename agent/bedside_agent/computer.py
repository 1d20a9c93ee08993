"""What this computer says of itself."""

from pathlib import Path

SERIAL_NUMBER = Path("/sys/firmware/devicetree/base/serial-number")
"""A Raspberry Pi's, as its box and `/proc/cpuinfo` have it."""


def serial_number(path: Path = SERIAL_NUMBER) -> str | None:
    """The computer's serial number, 1 to 64 printable signs; None where it tells none."""
    try:
        text = path.read_bytes().rstrip(b"\0").decode("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return text if 0 < len(text) <= 64 and text.isprintable() else None
