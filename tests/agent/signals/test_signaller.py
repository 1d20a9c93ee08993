"""The whole of it: what stands is heard, an acknowledgement quiets it, and no working sound is said."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.clock import ManualClock
from tests.support.loudspeaker import Loudspeaker
from tests.support.virtual_radio import until

from bedside_agent.signals.choice import signals
from bedside_agent.signals.signaller import Signaller, Situation
from bedside_agent.signals.signalling import Alarming, QuietHours
from bedside_agent.signals.wave import BURSTS, GOT_IT, silence, wav
from bedside_profiles.readings import Metric
from bedside_profiles.rules.priority import Priority
from bedside_profiles.wire.alarm import AlarmKind
from bedside_profiles.wire.alert import AlertNotice, AlertStage

EPISODE = "44444444-4444-4444-8444-444444444444"
ALARM = Alarming(EPISODE, "spo2_low", AlarmKind.PHYSIOLOGICAL, Priority.MEDIUM, 0, Metric.SPO2)
WORSE = replace(ALARM, priority=Priority.HIGH)
ACKNOWLEDGED = AlertNotice(1, "hub-1", EPISODE, "spo2_low", AlertStage.ACKNOWLEDGED, 2, 0, EPISODE, "nurse")


class Home:
    """A signaller, what it hears of, and what is heard of it."""

    def __init__(self, loudspeaker: Loudspeaker) -> None:
        self.loudspeaker = loudspeaker
        self.clock = ManualClock()
        self.situation = Situation()
        self.reported: list[tuple[str, str | None]] = []
        self.minute = 12 * 60
        self.signals = signals("aplay -q -t wav -", "none", "en")
        self.signaller = Signaller(
            self.signals,
            self.clock,
            lambda: self.situation,
            lambda name, reason: self.reported.append((name, reason)),
            lambda: self.minute,
            quiet=QuietHours(22 * 60, 7 * 60),
        )

    async def look(self, *alarms: Alarming, after: float = 1, notices: tuple[AlertNotice, ...] = ()) -> None:
        self.situation = Situation(alarms, notices=notices, emergency_number="112")
        self.clock.advance(seconds=after)
        await self.signaller.look()

    def bursts(self) -> list[bytes]:
        return [played for played in self.loudspeaker.played if played != silence(0.05)]


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Home]:
    recording = Loudspeaker(tmp_path / "loudspeaker")
    monkeypatch.setenv("PATH", str(recording.bin))
    one = Home(recording)
    yield one
    one.situation = Situation()
    one.clock.advance(seconds=60)
    await one.signaller.look()


async def test_an_alarm_is_heard_and_spoken_of(home: Home) -> None:
    await home.look(ALARM)
    await until(lambda: len(home.bursts()) == 1 and len(home.loudspeaker.said) == 2)
    assert home.bursts() == [wav(BURSTS[Priority.MEDIUM])]
    assert home.loudspeaker.said == ["Attention. Your oxygen level needs attention.", "If you feel worse, call 1 1 2."]


async def test_what_was_measured_is_told_once_and_never_into_an_alarm_or_the_night(home: Home) -> None:
    home.signaller.got_it()
    await home.look()
    await until(lambda: home.bursts() == [wav(GOT_IT)])
    assert home.loudspeaker.said == []
    home.minute = 23 * 60
    home.signaller.got_it()
    await home.look(after=60)
    home.minute = 12 * 60
    home.signaller.got_it()
    await home.look(ALARM, after=60)
    await until(lambda: home.bursts()[1:] == [wav(BURSTS[Priority.MEDIUM])])
    await home.look(ALARM)
    assert len(home.bursts()) == 2


async def test_an_acknowledgement_quiets_it_and_a_worsening_is_heard_anew(home: Home) -> None:
    await home.look(ALARM)
    await until(lambda: len(home.bursts()) == 1)
    await home.look(ALARM, notices=(ACKNOWLEDGED,))
    await home.look(WORSE, notices=(ACKNOWLEDGED,))
    await until(lambda: len(home.bursts()) == 2)
    assert home.bursts()[1] == wav(BURSTS[Priority.HIGH])


async def test_somebody_at_home_can_pause_it(home: Home) -> None:
    home.situation = Situation((WORSE,))
    home.signaller.pause()
    await home.look(WORSE)
    await home.look(WORSE, after=500)
    assert home.bursts() == []
    await home.look(WORSE, after=100)
    await until(lambda: len(home.bursts()) == 1)


async def test_no_working_sound_is_said_at_the_start_and_when_it_works_again(home: Home) -> None:
    home.loudspeaker.unplug()
    await home.look()
    ((name, reason),) = home.reported
    assert (name, "audio open error" in (reason or "")) == ("sound", True)
    await home.look(after=30)
    home.loudspeaker.plug()
    await home.look(after=59)
    assert home.reported[1:] == [("sound", None)]
    assert home.signaller.broken == {}


async def test_a_sound_device_that_goes_is_found_the_next_day(home: Home) -> None:
    await home.look()
    home.loudspeaker.unplug()
    await home.look(after=86_399)
    assert home.reported == []
    await home.look(after=1)
    assert [name for name, _ in home.reported] == ["sound"]


async def test_a_sound_device_that_goes_during_an_alarm_is_said_at_once(home: Home) -> None:
    await home.look()
    home.loudspeaker.unplug()
    await home.look(ALARM)
    await until(lambda: home.signals["sound"].trouble is not None)
    await home.look(ALARM)
    assert [name for name, _ in home.reported] == ["sound"]
