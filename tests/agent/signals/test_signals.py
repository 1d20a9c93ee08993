"""Sound, light and speech for real: programs on PATH that write down what they get, and a directory tree of lamps."""

import asyncio
import os
from pathlib import Path

import pytest
from tests.support.loudspeaker import Loudspeaker
from tests.support.virtual_radio import until

from bedside_agent.signals.choice import problem, quiet_hours, signals
from bedside_agent.signals.light import LedLamp, Light
from bedside_agent.signals.signal import Pattern
from bedside_agent.signals.signalling import QuietHours
from bedside_agent.signals.sound import Sound
from bedside_agent.signals.speech import Speech, speakers
from bedside_agent.signals.wave import BURSTS, silence, wav
from bedside_profiles.rules.priority import Priority


@pytest.fixture
def loudspeaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loudspeaker:
    recording = Loudspeaker(tmp_path / "loudspeaker")
    monkeypatch.setenv("PATH", str(recording.bin))
    return recording


async def test_sound_plays_the_burst_of_its_priority(loudspeaker: Loudspeaker) -> None:
    sound = Sound()
    await sound.start(Pattern(Priority.MEDIUM))
    await until(lambda: len(loudspeaker.played) == 1)
    await sound.stop()
    assert loudspeaker.played == [wav(BURSTS[Priority.MEDIUM])]
    assert sound.trouble is None


async def test_an_escalation_does_not_wait_for_the_pause_of_what_went_before(loudspeaker: Loudspeaker) -> None:
    sound = Sound()
    await sound.start(Pattern(Priority.MEDIUM))
    await until(lambda: len(loudspeaker.played) == 1)
    await sound.start(Pattern(Priority.HIGH))
    await until(lambda: len(loudspeaker.played) == 2)
    await sound.stop()
    assert loudspeaker.played[1] == wav(BURSTS[Priority.HIGH])


async def test_a_test_of_the_sound_is_a_moment_of_silence(loudspeaker: Loudspeaker) -> None:
    assert await Sound().works() is None
    assert loudspeaker.played == [silence(0.05)]


async def test_no_sound_device_is_said_in_the_programs_words(loudspeaker: Loudspeaker) -> None:
    loudspeaker.unplug()
    sound = Sound()
    assert "audio open error" in (await sound.works() or "")
    await sound.start(Pattern(Priority.HIGH))
    await until(lambda: sound.trouble is not None)
    await sound.stop()
    assert sound.trouble is None, "what is not given has no trouble"


async def test_no_program_is_said_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await Sound().works() == "aplay is not installed"
    assert await Speech(speakers("en")).works() == "none of espeak-ng, spd-say is installed"


async def test_a_stop_ends_the_program(tmp_path: Path) -> None:
    mark = tmp_path / "began"
    sound = Sound(("sh", "-c", f"echo $$ > {mark}.new; mv {mark}.new {mark}; exec sleep 60"))
    await sound.start(Pattern(Priority.HIGH))
    await until(mark.exists)
    await asyncio.wait_for(sound.stop(), 10)
    with pytest.raises(ProcessLookupError):
        os.kill(int(mark.read_text()), 0)


async def test_a_new_pattern_ends_the_one_before(tmp_path: Path) -> None:
    sound = Sound(("sh", "-c", f"echo $$ >> {tmp_path}/began; exec sleep 60"))
    began = tmp_path / "began"
    await sound.start(Pattern(Priority.MEDIUM))
    await until(lambda: began.exists() and bool(began.read_text()))
    await sound.start(Pattern(Priority.HIGH))
    await until(lambda: len(began.read_text().split()) == 2)
    first, second = map(int, began.read_text().split())
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
    os.kill(second, 0)
    await sound.stop()


async def test_speech_says_its_sentences_in_order(loudspeaker: Loudspeaker) -> None:
    speech = Speech(speakers("es"))
    assert await speech.works() is None
    await speech.start(Pattern(Priority.HIGH, sentences=("Una.", "Dos.")))
    await until(lambda: len(loudspeaker.said) == 2)
    await speech.stop()
    assert loudspeaker.said == ["Una.", "Dos."]


def lamp(folder: Path) -> Path:
    led = folder / "alarm"
    led.mkdir()
    (led / "max_brightness").write_text("255\n")
    (led / "brightness").write_text("0\n")
    (led / "trigger").write_text("none mmc0 [heartbeat]\n")
    return led


async def test_light_blinks_and_goes_out(tmp_path: Path) -> None:
    led = lamp(tmp_path)
    light = Light(LedLamp(led))
    assert await light.works() is None
    await light.start(Pattern(Priority.HIGH))
    for value in ("255", "0", "255"):
        await until(lambda value=value: (led / "brightness").read_text() == value)  # type: ignore[misc]
    await light.stop()
    assert (led / "brightness").read_text() == "0"
    assert (led / "trigger").read_text() == "none"


async def test_a_lamp_that_is_not_there_is_said(tmp_path: Path) -> None:
    light = Light(LedLamp(tmp_path / "none"))
    assert "cannot be switched" in (await light.works() or "")
    await light.start(Pattern(Priority.LOW))
    await until(lambda: light.trouble is not None)
    await light.stop()


async def test_a_gpio_chip_that_is_not_there_is_said() -> None:
    chosen = signals("aplay -", "gpio:/dev/gpiochip99:17", "en")
    assert "/dev/gpiochip99 line 17" in (await chosen["light"].works() or "")


def test_settings_choose_the_signals() -> None:
    assert set(signals("aplay -", "none", "en")) == {"sound", "speech"}
    assert set(signals("aplay -", "led:ACT", "en")) == {"sound", "speech", "light"}
    assert quiet_hours("none") == QuietHours()
    assert quiet_hours("22:30-07:00") == QuietHours(22 * 60 + 30, 7 * 60)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quiet_hours", "22-7"),
        ("quiet_hours", "24:00-07:00"),
        ("lamp", "led:../../etc"),
        ("lamp", "gpio:chip:x"),
        ("language", "fr"),
        ("sound_command", '"'),
        ("sound_command", " "),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(name: str, value: str) -> None:
    assert name in (problem(name, value) or "")
