"""The line at a path, by what stands there: a terminal, or a meter's hidraw node."""

from pathlib import Path

from bedside_agent.serial.hidraw_port import HidrawPort
from bedside_agent.serial.port import Port
from bedside_agent.serial.tty_port import TtyPort
from bedside_profiles.profile import LineSettings


def open_line(path: str, settings: LineSettings) -> Port:
    """The `port.PortOpener` of a real hub. A hidraw node has no speed: its settings do not matter."""
    if Path(path).resolve().name.startswith("hidraw"):
        return HidrawPort(path)
    return TtyPort(path, settings)
