"""The computer: power, disk, Bluetooth and Wi-Fi, read from the kernel's files below `root`."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from bedside_agent.doctor.findings import Finding, broken, fine, unknown, watch

ROOT = Path("/")

UNDER_VOLTAGE_NOW, THROTTLED_NOW = 1 << 0, 1 << 2
UNDER_VOLTAGE_ONCE = 1 << 16
"""Bits of the Raspberry Pi firmware's `get_throttled`."""

LEAST_FREE_BYTES = 200 * 1024 * 1024
LEAST_FREE_SHARE = 0.05
WEAK_WIFI_DBM = -75
WORN_LIFE_TIME = 9
"""eMMC's life time estimate: 1 is up to a tenth used, 10 up to all of it (JEDEC JESD84, EXT_CSD)."""

POWER_FIX = "use the supply that came with the hub (5.1 V, 3 A for a Pi 4), with a short cable"


def power(root: Path = ROOT) -> Finding:
    """Under-voltage, now or since the boot: it ruins SD cards, and resets the radio first."""
    for place in ("sys/devices/platform/soc/soc:firmware/get_throttled", "sys/firmware/raspberrypi/get_throttled"):
        text = _text(root / place)
        if text is not None:
            try:
                bits = int(text, 16)
            except ValueError:
                continue
            if bits & (UNDER_VOLTAGE_NOW | THROTTLED_NOW):
                return broken("power", "the voltage is too low now", POWER_FIX)
            if bits & UNDER_VOLTAGE_ONCE:
                return watch("power", "the voltage was too low since the hub was switched on", POWER_FIX)
            return fine("power", "the voltage was never too low")
    for alarm in sorted(root.glob("sys/class/hwmon/hwmon*/in0_lcrit_alarm")):
        if _text(alarm) == "1":
            return broken("power", "the voltage is too low now", POWER_FIX)
        return fine("power", "the voltage is right now")
    return unknown("power", "this computer does not tell its voltage")


def disk(state: Path, root: Path = ROOT) -> Finding:
    """Room, errors and wear where the hub keeps its buffer."""
    try:
        room = os.statvfs(state)
    except OSError as error:
        return broken("disk", f"{state} cannot be read ({error.strerror})", "reinstall the hub, or look at the SD card")
    if room.f_flag & os.ST_RDONLY:
        return broken("disk", "it cannot be written", "the SD card is worn out or damaged: replace it, then restart")
    errors = sum(int(text) for text in _texts(root, "sys/fs/ext4/*/errors_count") if text.isdigit())
    if errors:
        return broken("disk", f"its file system has counted {errors} errors", "replace the SD card")
    lives = [text.split()[0] for text in _texts(root, "sys/block/mmcblk*/device/life_time") if text]
    life = max((int(text, 16) for text in lives), default=0)
    free_bytes, share = room.f_bavail * room.f_frsize, room.f_bavail / max(1, room.f_blocks)
    said = f"{free_bytes // 2**20} MB free ({share:.0%})"
    if free_bytes < LEAST_FREE_BYTES or share < LEAST_FREE_SHARE:
        return watch("disk", said, "what is not the hub's may be removed; readings are thinned when it is full")
    if life >= WORN_LIFE_TIME:
        return watch("disk", f"{said}; its memory is nearly worn out", "replace it at the next visit")
    return fine("disk", said)


def bluetooth(wanted: bool, root: Path = ROOT) -> Finding:
    """Whether there is an adapter that may be used. `wanted`: a configured device needs one."""
    found = (one.name for one in (root / "sys/class/bluetooth").glob("hci*"))
    adapters = sorted(name for name in found if re.fullmatch(r"hci\d+", name))
    blocked = [kind for kind, name in _blocks(root) if name == "bluetooth"]
    if not adapters:
        if not wanted:
            return fine("bluetooth", "no adapter, and no device here needs one")
        return broken(
            "bluetooth",
            "there is no adapter",
            "restart the hub; a Pi Zero sometimes starts without its own: plug in a USB adapter if it happens again",
        )
    if "hard" in blocked:
        return broken("bluetooth", "it is switched off by a switch", "look for a switch or a key on the computer")
    if "soft" in blocked:
        return broken("bluetooth", "it is blocked", "rfkill unblock bluetooth")
    return fine("bluetooth", f"adapter {', '.join(adapters)}")


def wifi(root: Path = ROOT) -> Finding:
    """How well the hub hears its network, and whether that disturbs the built-in Bluetooth radio."""
    text = _text(root / "proc/net/wireless") or ""
    levels = {
        match[1]: float(match[2])
        for match in re.finditer(r"^\s*(\w+):\s+\S+\s+[-\d.]+\s+(-?[\d.]+)", text, re.MULTILINE)
    }
    if not levels:
        return fine("wi-fi", "not used: nothing disturbs Bluetooth")
    name, level = next(iter(levels.items()))
    said = f"{name} at {level:.0f} dBm"
    if any(kind == "soft" and blocked == "wlan" for kind, blocked in _blocks(root)):
        return broken("wi-fi", "it is blocked", "rfkill unblock wlan")
    if level < WEAK_WIFI_DBM:
        return watch("wi-fi", f"{said}, which is weak", "move the hub nearer to the router, or use a cable")
    if _built_in_bluetooth(root):
        return watch(
            "wi-fi",
            f"{said}; it shares one radio with Bluetooth",
            "where devices drop out: use the router's 5 GHz network, a cable, or a USB Bluetooth adapter",
        )
    return fine("wi-fi", said)


def _built_in_bluetooth(root: Path) -> bool:
    """Whether an adapter hangs on a serial line: the Pi's own, on the chip that has its Wi-Fi too."""
    return any("serial" in os.path.realpath(one) for one in (root / "sys/class/bluetooth").glob("hci*"))


def _blocks(root: Path) -> Iterator[tuple[str, str]]:
    for switch in sorted(root.glob("sys/class/rfkill/rfkill*")):
        kind = _text(switch / "type") or ""
        for name in ("soft", "hard"):
            if _text(switch / name) == "1":
                yield name, kind


def _texts(root: Path, pattern: str) -> list[str]:
    return [text for path in sorted(root.glob(pattern)) if (text := _text(path)) is not None]


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None
