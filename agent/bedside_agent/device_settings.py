"""Taking a device out of `hub.toml`: a technician's comments and order stay. (`settings.add_device` puts one in.)"""

from pathlib import Path

import tomlkit
from tomlkit.items import AoT

from bedside_agent.settings import FILE, load, parse
from bedside_agent.whole_file import write_whole


def remove_device(state: Path, device_id: str) -> bool:
    """False when it does not stand there. SettingsError when the settings cannot be read."""
    if device_id not in {entry.device_id for entry in load(state).device}:
        return False
    path = state / FILE
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    devices = document["device"]
    assert isinstance(devices, AoT)  # noqa: S101 - `load` has found [[device]] tables
    stays = [table for table in devices if table["device_id"] != device_id]
    document.remove("device")
    if stays:
        document.append("device", AoT(stays))
    text = tomlkit.dumps(document)
    parse(text, str(path))
    write_whole(path, text.encode(), mode=0o600)
    return True
