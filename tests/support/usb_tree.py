"""A piece of sysfs and of /dev as the kernel makes them, whose terminals are real pseudo-terminals."""

from dataclasses import dataclass
from pathlib import Path

from bedside_sim.pty import SerialLine


@dataclass
class UsbTree:
    """Below `root`: `sys`, `dev`, and udev's stable names in `dev/serial/by-id` and `by-path`."""

    root: Path

    def __post_init__(self) -> None:
        for folder in ("sys/class/tty", "sys/devices", "dev/serial/by-id", "dev/serial/by-path"):
            (self.root / folder).mkdir(parents=True)
        # A terminal without any hardware, as every kernel has dozens.
        virtual = self.sysfs / "devices" / "virtual" / "tty" / "tty0"
        virtual.mkdir(parents=True)
        (self.sysfs / "class" / "tty" / "tty0").symlink_to(virtual)

    @property
    def sysfs(self) -> Path:
        return self.root / "sys"

    @property
    def dev(self) -> Path:
        return self.root / "dev"

    def plug_in(self, name: str, socket: str, *, kind: str = "0403:6001", serial_number: str | None = None) -> "Stick":
        """An adapter of `kind` (vendor:product) in a USB socket; the kernel calls its terminal `name`."""
        vendor, product = kind.split(":")
        device = self.sysfs / "devices" / "usb1" / socket
        interface = device / f"{socket}:1.0"
        # A CDC modem's terminal hangs at the interface, an adapter's has a folder of its own there.
        port = interface if name.startswith("ttyACM") else interface / name
        (port / "tty" / name).mkdir(parents=True)
        facts = {"idVendor": vendor, "idProduct": product, "serial": serial_number}
        for file, fact in facts.items():
            if fact is not None:
                (device / file).write_text(f"{fact}\n")
        (port / "tty" / name / "device").symlink_to(port)
        (self.sysfs / "class" / "tty" / name).symlink_to(port / "tty" / name)
        line = SerialLine(self.dev / name)
        links = [self.dev / "serial" / "by-path" / f"platform-usb-{socket}:1.0-port0"]
        if serial_number is not None:
            links.append(self.dev / "serial" / "by-id" / f"usb-Adapter_{serial_number}-if00-port0")
        for link in links:
            link.symlink_to(self.dev / name)
        return Stick(self, name, device, line, links)

    def plug_in_hid(self, name: str, socket: str, *, kind: str, serial_number: str = "") -> Path:
        """A HID device in a USB socket; the kernel calls its node `name`. What is at the node is the test's."""
        vendor, product = (part.upper() for part in kind.split(":"))
        device = self.sysfs / "devices" / "usb1" / socket
        hid = device / f"{socket}:1.0" / f"0003:{vendor}:{product}.0001"
        (hid / "hidraw" / name).mkdir(parents=True)
        (device / "idVendor").write_text(f"{vendor.lower()}\n")
        said = f"DRIVER=hid-generic\nHID_ID=0003:0000{vendor}:0000{product}\nHID_NAME=Sim\nHID_UNIQ={serial_number}\n"
        (hid / "uevent").write_text(said)
        (hid / "hidraw" / name / "device").symlink_to(hid)
        (self.sysfs / "class" / "hidraw").mkdir(exist_ok=True)
        (self.sysfs / "class" / "hidraw" / name).symlink_to(hid / "hidraw" / name)
        return self.dev / name


@dataclass
class Stick:
    """One adapter that is plugged in, and the device's end of its line."""

    tree: UsbTree
    name: str
    device: Path
    line: SerialLine
    links: list[Path]

    def unplug(self) -> None:
        """Names, tree and line are gone."""
        for link in self.links:
            link.unlink()
        (self.tree.sysfs / "class" / "tty" / self.name).unlink()
        for path in sorted(self.device.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        self.device.rmdir()
        self.line.unplug()
