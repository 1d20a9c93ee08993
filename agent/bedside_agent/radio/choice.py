"""Which radios: each is `bluez`, `bluez:<adapter>` or `bumble:<transport>`."""

import random
import re
from collections.abc import Sequence
from pathlib import Path

from bedside_agent.radio.bleak_central import BleakCentral
from bedside_agent.radio.radios import Radios

_BLUEZ, _BUMBLE = "bluez", "bumble:"
_ADAPTER = re.compile(r"bluez:(hci[0-9]{1,3})")


def radio_problem(setting: str) -> str | None:
    """What is wrong with the setting of one radio, in a sentence; None when nothing is."""
    if setting == _BLUEZ or _ADAPTER.fullmatch(setting) or (setting.startswith(_BUMBLE) and setting != _BUMBLE):
        return None
    return (
        f"radio {setting!r}: say bluez, or bluez: and an adapter such as bluez:hci1, "
        "or bumble: and a transport such as bumble:usb:0"
    )


def radios_problem(settings: Sequence[str]) -> str | None:
    """What is wrong with the setting of all radios together."""
    if not settings:
        return "radio names no radio"
    if len(set(settings)) < len(settings):
        return "radio names one radio twice"
    if _BLUEZ in settings and any(_ADAPTER.fullmatch(one) for one in settings):
        return "radio: bluez is one of BlueZ's adapters; with several, name each, such as bluez:hci0"
    return next((problem for one in settings if (problem := radio_problem(one)) is not None), None)


async def open_central(settings: str | Sequence[str], *, jitter: random.Random, keys: Path | None = None) -> Radios:
    """The radios that `settings` name; close it at the end. A radio that is away now is waited for by its users.

    `keys` is the file for the keys of bonds, with a radio that does not keep them by itself.
    Raises ValueError with `radios_problem`'s sentence, and ImportError when Bumble is asked for but not installed.
    """
    named = (settings,) if isinstance(settings, str) else settings
    problem = radios_problem(named)
    if problem is not None:
        raise ValueError(problem)
    return Radios([await _opened(one, jitter, keys) for one in named])


async def _opened(setting: str, jitter: random.Random, keys: Path | None) -> BleakCentral:
    if setting == _BLUEZ:
        return BleakCentral(name=setting)
    named = _ADAPTER.fullmatch(setting)
    if named is not None:
        return BleakCentral(adapter=named[1], name=setting)
    # Bumble is an extra: a hub that uses its own adapter does without it.
    from bedside_agent.radio.bumble_central import BumbleRadio, transport_opener

    radio = BumbleRadio(transport_opener(setting.removeprefix(_BUMBLE)), jitter=jitter, keys=_own(keys, setting))
    await radio.tried()
    return BleakCentral(radio, name=setting)


def _own(keys: Path | None, setting: str) -> Path | None:
    """A device's bond is with one adapter; each has a file of its own."""
    if keys is None:
        return None
    return keys.with_name(f"{keys.stem}-{re.sub(r'[^A-Za-z0-9]+', '-', setting)}{keys.suffix}")
