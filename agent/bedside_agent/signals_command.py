"""`bedside-agent signals`: how the hub reaches the patient, given once for somebody who listens and looks."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bedside_agent import health, settings
from bedside_agent.buffer.substitute import memory_for
from bedside_agent.errors import AgentError
from bedside_agent.health import NotRunningError
from bedside_agent.service import FAILED, STATE
from bedside_agent.signals import sentences
from bedside_agent.signals.choice import signals
from bedside_agent.signals.signal import Pattern, Signal
from bedside_agent.terminal import Json, State, Verbose, escaped, print_json
from bedside_profiles.rules.priority import Priority

app = typer.Typer(help="Sound, light and voice.", no_args_is_help=True)

LOOK_SECONDS = 4.0
"""So long the lamp shows each of its states."""

LISTEN_SECONDS = 8.0
"""Longer than the most urgent sound, and than the sentence beside it."""

LIGHT = "light"


class Trial(StrEnum):
    """What is given. `alarm` is the most urgent one; `reminder` asks for a check, `got-it` says that it is kept."""

    ALARM = "alarm"
    REMINDER = "reminder"
    GOT_IT = "got-it"
    LAMP = "lamp"


@dataclass(frozen=True, slots=True)
class Step:
    """One pattern for so long, on the lamp, on all but the lamp, or (None) on everything; and what is to be noticed."""

    pattern: Pattern
    seconds: float
    notice: str
    on_lamp: bool | None = None


@app.callback()
def signals_group() -> None:
    """Sound, light and voice."""


@app.command("test")
def give(
    what: Annotated[
        Trial, typer.Argument(help="An alarm, a reminder, the sign that a check is kept, or the lamp.")
    ] = Trial.ALARM,
    state: State = STATE,
    as_json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Give it once, here and now, and say what went wrong as far as the hub can tell. Nothing is sent anywhere.

    The whole way to a clinician is tried by "Test the alarm" on the patient's page.

    bedside-agent signals test alarm
    """
    loaded = settings.load(state)
    _refuse_beside_an_alarm(state)
    chosen = signals(loaded.sound_command, loaded.lamp, loaded.language)
    steps = _steps(what, loaded.language)
    if what is Trial.LAMP and LIGHT not in chosen:
        raise AgentError("this hub has no lamp", fix='write lamp = "led:NAME" into hub.toml; names: ls /sys/class/leds')
    console = Console(soft_wrap=True, highlight=False, stderr=as_json)
    troubles = asyncio.run(_give(chosen, steps, lambda text: console.print(escaped(text))))
    if as_json:
        print_json({"given": what.value, "troubles": troubles})
    else:
        for name, reason in troubles.items():
            console.print(escaped(f"{name} does not work: {reason}"))
    if troubles:
        raise typer.Exit(FAILED)


def _steps(what: Trial, language: str) -> tuple[Step, ...]:
    say = sentences.translator(language)
    if what is Trial.LAMP:
        return (
            Step(Pattern(Priority.HIGH), LOOK_SECONDS, "The lamp blinks fast, twice a second: an alarm.", True),
            Step(Pattern(Priority.MEDIUM), LOOK_SECONDS, "The lamp blinks slowly: something needs attention.", True),
            Step(Pattern(Priority.LOW), LOOK_SECONDS, "The lamp is steady: the patient's page has a message.", True),
        )
    if what is Trial.REMINDER:
        due = say(sentences.DUE).format(about=say(sentences.SOMETHING))
        pattern = Pattern(Priority.INFO, repeats=False, sentences=(due,))
        return (Step(pattern, LISTEN_SECONDS, "One low tone, and the voice says that it is time to measure.", False),)
    if what is Trial.GOT_IT:
        pattern = Pattern(Priority.INFO, repeats=False, is_got_it=True)
        return (Step(pattern, LOOK_SECONDS, "Two short low tones: what was measured is kept.", False),)
    pattern = Pattern(Priority.HIGH, repeats=False, sentences=sentences.test(say))
    notice = "Two groups of five low tones, the lamp blinks fast, and the voice says that it is a test."
    return (Step(pattern, LISTEN_SECONDS, notice),)


def _refuse_beside_an_alarm(state: Path) -> None:
    try:
        active = health.ask(state, memory_for(state))["alarms"]
    except NotRunningError:
        return
    if active:
        raise AgentError(f"the hub alarms now: {', '.join(active)}", fix="try it when that is over")


async def _give(chosen: Mapping[str, Signal], steps: tuple[Step, ...], tell: Callable[[str], None]) -> dict[str, str]:
    """Each step, one after the other; what did not work, by the signal's name."""
    troubles: dict[str, str] = {}
    try:
        for step in steps:
            given = {name: one for name, one in chosen.items() if step.on_lamp in (None, name == LIGHT)}
            tell(step.notice)
            for signal in given.values():
                await signal.start(step.pattern)
            await asyncio.sleep(step.seconds)
            troubles |= {name: one.trouble for name, one in given.items() if one.trouble is not None}
    finally:
        for signal in chosen.values():
            await signal.stop()
    return troubles
