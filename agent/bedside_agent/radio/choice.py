"""Which radio: one setting, `bluez` or `bumble:<transport>`."""

import random
from pathlib import Path

from bedside_agent.radio.bleak_central import BleakCentral
from bedside_agent.radio.central import Central

_BUMBLE = "bumble:"


def radio_problem(setting: str) -> str | None:
    """What is wrong with the setting, in a sentence; None when nothing is."""
    if setting == "bluez" or (setting.startswith(_BUMBLE) and setting != _BUMBLE):
        return None
    return f"radio {setting!r}: say bluez, or bumble: and a transport such as bumble:tcp-client:127.0.0.1:9123"


async def open_central(setting: str, *, jitter: random.Random, keys: Path | None = None) -> Central:
    """The radio that `setting` names; close it at the end. A radio that is away now is waited for by its users.

    `keys` is the file for the keys of bonds, with a radio that does not keep them by itself.

    Raises ValueError with `radio_problem`'s sentence, and ImportError when Bumble is asked for but not installed.
    """
    problem = radio_problem(setting)
    if problem is not None:
        raise ValueError(problem)
    if setting == "bluez":
        return BleakCentral()
    # Bumble is an extra: a hub that uses its own adapter does without it.
    from bedside_agent.radio.bumble_central import BumbleRadio, transport_opener

    radio = BumbleRadio(transport_opener(setting.removeprefix(_BUMBLE)), jitter=jitter, keys=keys)
    await radio.tried()
    return BleakCentral(radio)
