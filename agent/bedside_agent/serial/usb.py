"""USB serial adapters and meters, told apart by what they say of themselves or by where they are plugged in.

A `usb_id` is `VENDOR:PRODUCT`, `VENDOR:PRODUCT:SERIAL`, or `VENDOR:PRODUCT@PORT` for an adapter without a serial
number among others of its kind. Vendor and product are four hexadecimal digits; PORT is the kernel's name for the USB
socket (`1-1.2`), as it stands below /sys/bus/usb/devices.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bedside_agent.serial.place import Absent, Place, Plugged, plugged
from bedside_profiles.catalogue import CATALOGUE
from bedside_profiles.profile import SerialProfile

SYSFS = Path("/sys")
DEVICE_NODES = Path("/dev")

_USB = "/usb"

HID_PROFILES = {
    hid_id: profile.name for profile in CATALOGUE if isinstance(profile, SerialProfile) for hid_id in profile.hid_ids
}
"""The profile of each kind of HID meter, by VENDOR:PRODUCT. Keyboards and mice are nobody's business here."""

_HID_ID = re.compile(r"^HID_ID=[0-9A-F]{4}:0000([0-9A-F]{4}):0000([0-9A-F]{4})$", re.MULTILINE)
_HID_NUMBER = re.compile(r"^HID_UNIQ=(.+)$", re.MULTILINE)

_SHAPE = re.compile(r'([0-9a-fA-F]{4}):([0-9a-fA-F]{4})(?::([^@\s"\\]+)|@([\w.-]+))?')


@dataclass(frozen=True, slots=True)
class UsbId:
    """What an adapter must be; `serial_number` and `socket` are None where they do not matter."""

    vendor: str
    product: str
    serial_number: str | None = None
    socket: str | None = None

    @classmethod
    def from_text(cls, text: str) -> "UsbId":
        """Raises ValueError with a sentence."""
        parts = _SHAPE.fullmatch(text)
        if parts is None:
            raise ValueError(f"{text!r} is no usb_id: VENDOR:PRODUCT, VENDOR:PRODUCT:SERIAL or VENDOR:PRODUCT@PORT")
        return cls(parts[1].lower(), parts[2].lower(), parts[3], parts[4])

    def is_met_by(self, adapter: "Adapter") -> bool:
        """Whether the adapter is one that is meant."""
        return (
            (adapter.vendor, adapter.product) == (self.vendor, self.product)
            and self.serial_number in (None, adapter.serial_number)
            and self.socket in (None, adapter.socket)
        )


@dataclass(frozen=True, slots=True)
class Adapter:
    """One terminal of an adapter, or one meter, that is plugged in. `name` is its node's in /dev."""

    name: str
    vendor: str
    product: str
    serial_number: str | None
    socket: str

    def __str__(self) -> str:
        number = f":{self.serial_number}" if self.serial_number else f"@{self.socket}"
        return f"{self.kind}{number}"

    @property
    def kind(self) -> str:
        """VENDOR:PRODUCT."""
        return f"{self.vendor}:{self.product}"


def adapters(sysfs: Path = SYSFS) -> Iterator[Adapter]:
    """Every terminal of a USB adapter that the kernel knows, by name, then every meter. One that is just going away is
    passed over."""
    terminals = sysfs / "class" / "tty"
    for name in sorted(os.listdir(terminals)) if terminals.is_dir() else ():
        try:
            # A kernel has dozens of terminals without hardware, and this is asked twice a second on a small computer.
            adapter = _adapter(terminals / name) if _USB in os.readlink(terminals / name) else None
        except OSError:
            continue
        if adapter is not None:
            yield adapter
    nodes = sysfs / "class" / "hidraw"
    for name in sorted(os.listdir(nodes)) if nodes.is_dir() else ():
        try:
            meter = _meter(nodes / name)
        except OSError:
            continue
        if meter is not None:
            yield meter


def at_usb_id(text: str, *, sysfs: Path = SYSFS, device_nodes: Path = DEVICE_NODES) -> Place:
    """The adapter of that `usb_id`, whatever terminal it got this time. Raises ValueError for one without its shape."""
    wanted = UsbId.from_text(text)

    def look() -> Plugged | Absent:
        met = [one for one in adapters(sysfs) if wanted.is_met_by(one)]
        if len(met) > 1:
            # Two patients' devices must not change places because somebody plugged the second one in first.
            listed = ", ".join(f"{one} ({one.name})" for one in met)
            reason = f"{text} may be any of {listed}: its serial number or its USB socket must say which"
            return Absent(text, reason, ambiguous=True)
        if not met:
            return Absent(text, f"no USB adapter {text} is plugged in")
        try:
            return plugged(device_nodes / met[0].name)
        except OSError:
            return Absent(text, f"{text} is plugged in, and {device_nodes / met[0].name} is not there yet")

    return look


def _adapter(terminal: Path) -> Adapter | None:
    """None for a terminal without a USB device above it. Raises OSError."""
    above = Path(os.path.realpath(terminal / "device"))
    for folder in (above, *above.parents):
        if (folder / "idVendor").is_file():
            vendor, product = _word(folder / "idVendor"), _word(folder / "idProduct")
            number = _word(folder / "serial") if (folder / "serial").is_file() else None
            return Adapter(terminal.name, vendor.lower(), product.lower(), number or None, folder.name)
    return None


def _meter(node: Path) -> Adapter | None:
    """None for a HID device of another kind. Raises OSError."""
    said = _word(node / "device" / "uevent")
    found = _HID_ID.search(said)
    if found is None or f"{found[1]}:{found[2]}".lower() not in HID_PROFILES:
        return None
    number = _HID_NUMBER.search(said)
    above = Path(os.path.realpath(node / "device"))
    socket = next((one.name for one in above.parents if (one / "idVendor").is_file()), above.name)
    return Adapter(node.name, found[1].lower(), found[2].lower(), number[1].strip() if number else None, socket)


def _word(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace").strip()
