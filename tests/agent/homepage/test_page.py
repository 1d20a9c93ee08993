"""What the patient's page says: every state in words, never a value, never a false comfort."""

import ast
import inspect
import re
from dataclasses import replace
from datetime import UTC, datetime
from string import Formatter
from typing import Any

import pytest
from tests.support.readings import HUB, PLAN

from bedside_agent.homepage import page as texts
from bedside_agent.homepage.alarm_test import TestStage
from bedside_agent.homepage.page import FRESH_MS, SEEN_MS, Facts, Page, Tone, page, words
from bedside_agent.signals.sentences import languages, translator
from bedside_profiles.cover import parse_cover
from bedside_profiles.readings import Metric
from bedside_profiles.wire.alert import AlertNotice, AlertStage
from bedside_profiles.wire.kinds import SCHEMA_VERSION

NOON_MS = 1_790_000_000_000
CALM = Facts(
    now_ms=NOON_MS,
    has_plan=True,
    emergency_number="112",
    call_back_number="+34 900 000 000",
    connected=True,
    last_receipt_ms=NOON_MS - 1000,
    store_trouble=False,
    waiting=0,
    last=(Metric.SPO2, NOON_MS - 60_000),
    alarms=(),
    technical=(),
    due=(),
    again=(),
    notices=(),
)


def shown(language: str = "en", **changes: Any) -> Page:
    facts = replace(CALM, **changes)
    return page(facts, words(language), translator(language), lambda at: datetime.fromtimestamp(at / 1000, UTC))


def notice(stage: AlertStage) -> AlertNotice:
    return AlertNotice(SCHEMA_VERSION, HUB, PLAN, "spo2_low", stage, 1, NOON_MS)


def test_all_is_well() -> None:
    assert shown() == Page(
        Tone.CALM,
        "The monitor works. Your readings reach the hospital's computer.",
        "Last reading: your oxygen level, at 14:12.",
        "You do not need to do anything now.",
        ("If you feel worse, call 112.", "If you have a question, call +34 900 000 000."),
        may_call=True,
        may_test=True,
    )


@pytest.mark.parametrize(
    ("changes", "tone", "words_of"),
    [
        ({"connected": False}, Tone.WAIT, "cannot see"),
        ({"waiting": 7, "last_receipt_ms": NOON_MS - 6 * 60_000}, Tone.WAIT, "cannot see"),
        ({"waiting": 7, "last_receipt_ms": None}, Tone.WAIT, "cannot see"),
        ({"waiting": 7}, Tone.CALM, "works"),
        ({"store_trouble": True}, Tone.WAIT, "fault"),
        ({"has_plan": False}, Tone.WAIT, "not in use"),
        ({"last": None}, Tone.CALM, "No reading yet"),
        ({"alarms": (Metric.SPO2,)}, Tone.ACT, "telling your care team"),
        ({"alarms": (Metric.SPO2,), "notices": (notice(AlertStage.NOTIFIED),)}, Tone.ACT, "has been told"),
        ({"alarms": (None,), "notices": (notice(AlertStage.ACKNOWLEDGED),)}, Tone.ACT, "is looking at it"),
        ({"alarms": (Metric.SPO2,), "notices": (notice(AlertStage.NOBODY_REACHED),)}, Tone.ACT, "Nobody has answered"),
        ({"alarms": (Metric.SPO2,), "notices": (notice(AlertStage.CLEARED),)}, Tone.ACT, "telling your care team"),
        ({"technical": ("sensor_off.oximeter",)}, Tone.ACT, "sensor has come off"),
        ({"technical": ("certificate_ends",)}, Tone.CALM, "do not need to do anything"),
        ({"due": (Metric.SYSTOLIC_PRESSURE,)}, Tone.ACT, "time to measure your blood pressure"),
        ({"again": (Metric.SPO2,)}, Tone.ACT, "rest for a moment"),
        ({"asked_for_call": True}, Tone.ACT, "is telling your care team"),
        ({"asked_for_call": True, "connected": False}, Tone.ACT, "cannot reach your care team"),
        ({"asked_for_call": True, "call_notices": (notice(AlertStage.NOTIFIED),)}, Tone.ACT, "has been told"),
        (
            {"asked_for_call": True, "call_notices": (notice(AlertStage.NOBODY_REACHED),)},
            Tone.ACT,
            "Nobody has answered",
        ),
    ],
)
def test_each_state_in_words(changes: dict[str, Any], tone: Tone, words_of: str) -> None:
    said = shown(**changes)
    assert (said.tone, words_of in " ".join(said.aloud)) == (tone, True), said


def test_whom_to_call_is_said_in_every_state_and_nothing_is_promised() -> None:
    for changes in ({}, {"connected": False}, {"store_trouble": True}, {"alarms": (Metric.SPO2,)}, {"has_plan": False}):
        said = " ".join(shown(**changes).aloud)
        assert "call 112" in said
        assert not re.search(r"you are (fine|well|ok|safe)|don't worry|%", said, re.IGNORECASE)
    assert {tone.value for tone in Tone}.isdisjoint({"green", "fine", "well"})


OFFICE = parse_cover("mon 08:00-18:00, mon 20:00-21:00, wed 08:00-18:00")
"""NOON_MS is a Monday, 14:13 by the test's own clock."""


def test_the_page_says_until_when_somebody_looks_or_nobody() -> None:
    assert shown(cover=OFFICE).works == "The monitor works. Your care team looks at your readings until 18:00."
    evening, night = NOON_MS + 4 * 3_600_000, NOON_MS + 8 * 3_600_000
    current: dict[str, Any] = {"last_receipt_ms": night, "cover": OFFICE}
    assert shown(now_ms=evening, **current).works == "The monitor works. Nobody looks at your readings until 20:00."
    assert (
        shown(now_ms=night, **current).works
        == "The monitor works. Nobody looks at your readings until Wednesday 08:00."
    )
    assert "hasta: miércoles 08:00" in shown("es", now_ms=night, **current).works
    assert "day and night" in shown(cover=parse_cover("always")).works
    assert (
        shown(cover=OFFICE, knows_time=False).works == "The monitor works. Your readings reach the hospital's computer."
    )


def test_the_page_is_green_only_while_nothing_at_all_is_amiss() -> None:
    assert shown(cover=OFFICE).tone is Tone.WATCHED
    assert shown().tone is Tone.CALM, "nobody said that somebody looks"
    for changes in (
        {"now_ms": NOON_MS + 4 * 3_600_000, "last_receipt_ms": NOON_MS + 4 * 3_600_000},
        {"last_receipt_ms": NOON_MS - SEEN_MS - 1},
        {"last_receipt_ms": None},
        {"last": None},
        {"last": (Metric.SPO2, NOON_MS - FRESH_MS - 1)},
        {"technical": ("plan_incomplete",)},
        {"due": (Metric.BODY_WEIGHT,)},
        {"again": (Metric.SYSTOLIC_PRESSURE,)},
        {"alarms": (Metric.SPO2,)},
        {"asked_for_call": True},
        {"alarm_test": TestStage.SENT},
        {"connected": False},
        {"store_trouble": True},
        {"has_plan": False},
        {"knows_time": False},
    ):
        assert shown(cover=OFFICE, **changes).tone is not Tone.WATCHED, changes


def test_a_call_hides_no_alarm_and_is_asked_for_once() -> None:
    said = shown(asked_for_call=True, may_ask=False, alarms=(Metric.SPO2,))
    assert "oxygen level needs attention" in said.now
    assert "You asked for a call." in said.now
    assert not said.may_call
    assert not shown(has_plan=False).may_call, "there is nobody to ask"
    assert shown(connected=False).may_call
    assert shown(asked_for_call=True).may_call, "after a while without a word"


@pytest.mark.parametrize(
    ("changes", "words_of", "must_act"),
    [
        ({"alarm_test": TestStage.SENT}, "This is a test. You hear the alarm once.", False),
        ({"alarm_test": TestStage.SENT, "can_sound": False}, "The monitor cannot make a sound.", False),
        ({"alarm_test": TestStage.REACHED}, "It has reached the hospital's computer.", False),
        ({"alarm_test": TestStage.SEEN, "alarm_test_ms": NOON_MS}, "Your care team saw it at 14:13.", False),
        ({"alarm_test": TestStage.UNSEEN}, "Nobody on your care team has answered it.", False),
        ({"alarm_test": TestStage.FAILED}, "did not reach your care team", True),
    ],
)
def test_how_far_a_test_of_the_alarm_has_come(changes: dict[str, Any], words_of: str, must_act: bool) -> None:
    said = shown(**changes)
    assert words_of in said.now
    assert (said.tone is Tone.ACT) is must_act
    assert said.may_test is (changes["alarm_test"] not in (TestStage.SENT, TestStage.REACHED))


def test_a_test_of_the_alarm_hides_nothing_and_is_not_offered_beside_an_alarm() -> None:
    said = shown(alarm_test=TestStage.SENT, alarms=(Metric.SPO2,))
    assert "oxygen level needs attention" in said.now
    assert "test" not in said.now
    assert "weight" in shown(alarm_test=TestStage.SEEN, due=(Metric.BODY_WEIGHT,)).now
    assert not shown(alarms=(Metric.SPO2,)).may_test
    assert not shown(asked_for_call=True).may_test
    assert not shown(has_plan=False).may_test


def test_an_unseen_hub_is_never_calm() -> None:
    for connected in (True, False):
        for store_trouble in (True, False):
            for has_plan in (True, False):
                said = shown(connected=connected, store_trouble=store_trouble, has_plan=has_plan)
                assert (said.tone is Tone.CALM) is (connected and has_plan and not store_trouble)


TEXTS = [ast.literal_eval(found) for found in re.findall(r'\b_\(("(?:[^"\\]|\\.)*")\)', inspect.getsource(texts))]


@pytest.mark.parametrize("language", [one for one in languages() if one != "en"])
@pytest.mark.parametrize("text", TEXTS)
def test_every_text_is_translated_with_its_blanks(language: str, text: str) -> None:
    translated = words(language)(text)
    assert translated != text
    blanks = [sorted(name for _, name, _, _ in Formatter().parse(one) if name) for one in (text, translated)]
    assert blanks[0] == blanks[1]


def test_the_texts_are_found() -> None:
    assert len(TEXTS) == 44


def test_in_spanish() -> None:
    assert shown("es", connected=False).aloud == (
        "Ahora no podemos ver sus mediciones.",
        "Última medición: su nivel de oxígeno, a las 14:12.",
        "Ahora no tiene que hacer nada.",
        "Si se siente peor, llame al 112.",
        "Si tiene una pregunta, llame al +34 900 000 000.",
    )
