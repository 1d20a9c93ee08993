"""What a clinician reads."""

import pytest
from tests.support.clock import NOON_MS
from tests.support.console import alert
from tests.support.readings import rule

from bedside_cloud.contracts.alerts import AlertSource
from bedside_cloud.gateway.wording import (
    acknowledgement,
    ago,
    alarm_name,
    birth,
    duration,
    moment,
    number,
    patience,
    quantity,
    sentence,
)
from bedside_profiles.readings import Metric, RangeFlag
from bedside_profiles.rules.thresholds import Side
from bedside_profiles.wire.alarm import AlarmKind


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


def test_the_sentence_says_what_against_which_limit_since_when_and_on_whose_word() -> None:
    assert plain(sentence(alert(), NOON_MS + 30_000)) == (
        "Oxygen saturation fell to 84 %, below the limit of 88 %, for 40 s, since 14:13:10 UTC, found by the hub."
    )


def test_two_sources_are_both_named() -> None:
    both = alert(sources=(AlertSource.CLOUD, AlertSource.HUB), side=Side.ABOVE, metric=Metric.PULSE_RATE, value=150.0)
    assert plain(sentence(both, NOON_MS)).startswith("Pulse rate rose to 150/min, above the limit of 88/min, for 10 s")
    assert "found by the stored readings and the hub" in sentence(both, NOON_MS)


def test_what_is_over_says_from_when_to_when() -> None:
    over = alert(active=False, cleared_at_ms=NOON_MS + 50_000, sources=())
    assert plain(sentence(over, NOON_MS + 999_000)) == (
        "Oxygen saturation fell to 84 %, below the limit of 88 %, over after 1 min, from 14:13:10 UTC to 14:14:10 UTC."
    )


def test_a_spot_value_was_and_did_not_fall() -> None:
    cuff = alert(metric=Metric.SYSTOLIC_PRESSURE, side=Side.ABOVE, value=190.0, limit=180.0)
    assert plain(sentence(cuff, NOON_MS)).startswith("Systolic pressure was 190 mmHg, above the limit of 180 mmHg")


def test_a_reading_without_a_number_and_a_technical_alarm_have_sentences_too() -> None:
    flagged = alert(value=None, range_flag=RangeFlag.BELOW)
    assert "Oxygen saturation was below what the device can measure, below the limit" in sentence(flagged, NOON_MS)
    technical = alert(condition="sensor_off", kind=AlarmKind.TECHNICAL, device_id="oximeter-1", metric=None)
    assert sentence(technical, NOON_MS).startswith("Sensor off the body: oximeter-1, for 10 s")
    hub = alert(condition="cannot_alert_patient", kind=AlarmKind.TECHNICAL, metric=None)
    assert sentence(hub, NOON_MS).startswith("The hub cannot alert the patient: its sound does not work, for 10 s")
    overdue = alert(condition="weight_overdue", kind=AlarmKind.TECHNICAL)
    assert sentence(overdue, NOON_MS).startswith("Weight overdue, for 10 s")


def test_a_change_is_said_as_one() -> None:
    falling = alert(condition="spo2_falling", side=None, limit=8.0, value=85.0)
    assert plain(sentence(falling, NOON_MS)).startswith("Oxygen saturation changed by 8 % or more, to 85 %, for")


def test_who_has_it() -> None:
    assert acknowledgement(alert()) == "Nobody has acknowledged it yet."
    taken = alert(acknowledged_at_ms=NOON_MS, acknowledged_by="nurse")
    assert acknowledgement(taken) == "Acknowledged by nurse at 14:13:20 UTC."


def test_no_number_is_never_a_zero() -> None:
    assert number(Metric.SPO2, None, None) == "—"
    assert number(Metric.GLUCOSE, None, RangeFlag.BELOW) == "LO"
    assert number(Metric.GLUCOSE, None, RangeFlag.ABOVE) == "HI"
    assert number(Metric.BODY_TEMPERATURE, 36.55, None) in ("36.5", "36.6")


def test_units_are_written_as_people_write_them() -> None:
    values = (quantity(Metric.SPO2, 97), quantity(Metric.PULSE_RATE, 60), quantity(Metric.SYSTOLIC_PRESSURE, 120))
    assert [plain(text) for text in values] == ["97 %", "60/min", "120 mmHg"]
    assert plain(quantity(Metric.BODY_TEMPERATURE, 37.04)) == "37.0 °C"


def test_durations_have_at_most_two_units() -> None:
    assert [duration(1000 * seconds) for seconds in (-5, 0, 59, 60, 61, 3600, 3725, 90_000)] == [
        *("0 s", "0 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 h 2 min", "1 d 1 h"),
    ]


def test_an_age_is_as_exact_as_it_matters() -> None:
    assert [ago(1000 * seconds) for seconds in (-5, 0, 4, 5, 59, 61, 119, 3725)] == [
        *("now", "now", "now", "5 s ago", "59 s ago", "1 min ago", "1 min ago", "1 h 2 min ago"),
    ]


def test_a_time_of_another_day_names_the_day() -> None:
    assert moment(NOON_MS, NOON_MS + 1000) == "14:13:20 UTC"
    assert moment(NOON_MS, NOON_MS + 24 * 3_600_000) == "21 Sep 14:13 UTC"


@pytest.mark.parametrize(
    ("iso", "text"),
    [("1950-09-21", "21 Sep 1950 (76 y)"), ("1950-09-22", "22 Sep 1950 (75 y)"), ("1952-02-29", "29 Feb 1952 (74 y)")],
    ids=["birthday today", "birthday tomorrow", "leap day"],
)
def test_a_birth_date_comes_with_the_age(iso: str, text: str) -> None:
    assert plain(birth(iso, NOON_MS)) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "after 10 s; at once from 75 %"),
        ({"onset_delay_ms": 0}, "at once"),
        ({"extreme_limit": None}, "after 10 s"),
        (
            {"metric": Metric.SYSTOLIC_PRESSURE, "extreme_limit": None, "spot_repeat_ms": 60_000},
            "when a repeat confirms it, or none comes within 1 min",
        ),
    ],
    ids=["delayed", "at once", "without an extreme", "spot"],
)
def test_when_a_rule_fires(changes: dict[str, object], text: str) -> None:
    assert plain(patience(rule(**changes))) == text


def test_an_alarm_is_called_after_what_it_watches() -> None:
    assert alarm_name("spo2_low", Metric.SPO2, Side.BELOW) == "Oxygen saturation low"
    assert alarm_name("sensor_off", None, None) == "Sensor off"
