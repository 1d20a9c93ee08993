"""Which signals this hub has, from its settings."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from bedside_agent.signals import sentences
from bedside_agent.signals.light import LEDS, Lamp, LedLamp, Light
from bedside_agent.signals.signal import Signal, SignalError
from bedside_agent.signals.signalling import QuietHours
from bedside_agent.signals.sound import Sound
from bedside_agent.signals.speech import Speech, speakers

NONE = "none"
_LAMP = re.compile(r"led:(?P<led>[A-Za-z0-9:_.-]+)|gpio:(?P<chip>/dev/[A-Za-z0-9]+):(?P<line>[0-9]+)")
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class MissingLamp:
    """A lamp that this installation cannot switch. See `light.Lamp`."""

    reason: str

    def switch(self, on: bool) -> None:
        """Never works."""
        del on
        raise SignalError(self.reason)


def signals(sound_command: str, lamp: str, language: str) -> Mapping[str, Signal]:
    """By name; values without a `problem`. Speech is there always: it is found when it is needed."""
    chosen: dict[str, Signal] = {
        "sound": Sound(shlex.split(sound_command)),
        "speech": Speech(speakers(language)),
    }
    if lamp != NONE:
        chosen["light"] = Light(_lamp(lamp))
    return chosen


def quiet_hours(text: str) -> QuietHours:
    """`22:00-07:00`, or `none`; ValueError for anything else."""
    if text == NONE:
        return QuietHours()
    found = _HOURS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is neither none nor like 22:00-07:00")
    first_hour, first_minute, last_hour, last_minute = map(int, found.groups())
    return QuietHours(60 * first_hour + first_minute, 60 * last_hour + last_minute)


def problem(name: str, value: str) -> str | None:
    """What is wrong with a setting's value, as one sentence; None when it can be used."""
    if name == "quiet_hours":
        try:
            quiet_hours(value)
        except ValueError as error:
            return f"quiet_hours {error}"
    if name == "lamp" and value != NONE and _LAMP.fullmatch(value) is None:
        return f"lamp {value!r} is none of none, led:NAME, gpio:/dev/CHIP:LINE"
    if name == "language" and value not in sentences.languages():
        return f"language {value!r} is none of {', '.join(sentences.languages())}"
    if name == "sound_command":
        try:
            return None if shlex.split(value) else "sound_command is empty"
        except ValueError as error:
            return f"sound_command: {error}"
    return None


def _lamp(text: str) -> Lamp:
    found = _LAMP.fullmatch(text)
    if found is None:
        raise ValueError(problem("lamp", text))
    if found["led"]:
        return LedLamp(LEDS / found["led"])
    try:
        from bedside_agent.signals.gpio_lamp import GpioLamp
    except ImportError:
        return MissingLamp("libgpiod's Python binding is not installed: pip install 'bedside[agent,lamp]'")
    return GpioLamp(found["chip"], int(found["line"]))
