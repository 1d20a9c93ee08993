"""The trend as a picture: what is drawn, what is not, and what it says to who cannot see it."""

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import NOON_MS

from bedside_cloud.contracts.readings import TrendPoint
from bedside_cloud.gateway.trend_plot import GRID, Spell, Trend, trend_plot
from bedside_cloud.gateway.trend_scale import Limit
from bedside_cloud.gateway.vitals import VITAL_OF
from bedside_profiles.readings import Metric, RangeFlag
from bedside_profiles.rules.priority import Priority
from bedside_profiles.rules.thresholds import Side

UNTIL_MS = NOON_MS + 600_000
LOW = Limit(88.0, Side.BELOW)


def points(*values: tuple[int, float | None]) -> list[TrendPoint]:
    return [TrendPoint(taken_at_ms=NOON_MS + at * 1000, value=value) for at, value in values]


def picture(*some: TrendPoint, limits: tuple[Limit, ...] = (LOW,), spells: tuple[Spell, ...] = ()) -> str:
    return trend_plot(Trend(VITAL_OF[Metric.SPO2], {Metric.SPO2: some}, NOON_MS, UNTIL_MS, limits, spells))


def drawn(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own picture


def of_class(text: str, name: str) -> list[ET.Element]:
    return [one for one in drawn(text).iter() if name in one.attrib.get("class", "").split()]


def said(text: str) -> str:
    words = drawn(text).findtext("desc")
    assert words is not None
    return words.replace("\N{NO-BREAK SPACE}", " ")


def test_a_time_without_readings_is_a_gap_in_the_line() -> None:
    lines = drawn(picture(*points((0, 97), (1, 97), (2, 96), (60, 95), (61, 95)))).iter("polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [3, 2]


def test_a_single_reading_is_a_dot() -> None:
    assert len(list(drawn(picture(*points((0, 97)))).iter("circle"))) == 1


def test_the_limit_is_drawn_and_named_with_the_side_that_is_out_of_range() -> None:
    low = picture(*points((0, 97), (1, 80)))
    (line,), (band,), (name,) = of_class(low, "limit"), of_class(low, "out-of-range"), of_class(low, "limit-text")
    assert band.attrib["y"] == line.attrib["y1"] == name.attrib["y"]
    assert float(name.attrib["dy"]) > 0, "the name stands below the line, where readings seldom are"
    assert name.text == "limit 88\N{NO-BREAK SPACE}%"
    high = picture(*points((0, 97)), limits=(Limit(90.0, Side.ABOVE),))
    (line,), (band,), (name,) = of_class(high, "limit"), of_class(high, "out-of-range"), of_class(high, "limit-text")
    assert (band.attrib["y"], band.attrib["height"]) == ("0.00%", line.attrib["y1"])
    assert float(name.attrib["dy"]) < 0


def test_it_says_in_words_what_it_shows() -> None:
    assert said(picture(*points((0, 97), (30, 84)))) == (
        "Oxygen saturation: last 84 % at 14:13:50 UTC, from 84 to 97 %. Limit: below 88."
    )
    assert said(picture()) == "No readings in this time."


def test_a_reading_without_a_number_is_marked_not_joined() -> None:
    flagged = TrendPoint(taken_at_ms=NOON_MS + 2_000, value=None, range_flag=RangeFlag.BELOW)
    text = picture(*points((0, 97), (1, 97)), flagged, *points((3, 97), (4, 97)))
    assert [one.text for one in of_class(text, "flag")] == ["LO"]
    assert len(list(drawn(text).iter("polyline"))) == 2


def test_a_blood_pressure_is_a_bar_and_never_a_line() -> None:
    trend = Trend(
        VITAL_OF[Metric.SYSTOLIC_PRESSURE],
        {Metric.SYSTOLIC_PRESSURE: points((0, 120), (5, 122)), Metric.DIASTOLIC_PRESSURE: points((0, 80))},
        NOON_MS,
        UNTIL_MS,
    )
    text = trend_plot(trend)
    assert not list(drawn(text).iter("polyline"))
    assert len([one for one in of_class(text, "value") if one.tag == "line"]) == 1
    assert len(list(drawn(text).iter("circle"))) == 3


def test_when_an_alarm_was_on_is_marked_on_the_same_axis() -> None:
    spells = (
        Spell(Priority.HIGH, NOON_MS + 60_000, NOON_MS + 120_000),
        Spell(Priority.MEDIUM, NOON_MS + 300_000, None),
        Spell(Priority.LOW, NOON_MS - 90_000, NOON_MS - 60_000),
    )
    marks = of_class(picture(spells=spells), "spell")
    assert [(mark.attrib["class"], mark.attrib["x"], mark.attrib["width"]) for mark in marks] == [
        ("spell high", "10.00%", "10.00%"),
        ("spell medium", "50.00%", "50.00%"),
    ]


def test_only_the_last_of_several_pictures_bears_the_times() -> None:
    trend = Trend(VITAL_OF[Metric.SPO2], {Metric.SPO2: points((0, 97))}, NOON_MS, UNTIL_MS)
    bare = trend_plot(trend, times=False)
    assert not [one for one in of_class(bare, "tick") if ":" in (one.text or "")]
    assert [one.text for one in of_class(trend_plot(trend), "tick") if ":" in (one.text or "")] == [
        *("14:14", "14:16", "14:18", "14:20", "14:22"),
    ]


@given(
    st.lists(st.tuples(st.integers(-60, 660), st.floats(0, 100)), max_size=40, unique_by=lambda one: one[0]),
    st.floats(0, 100),
)
def test_nothing_is_drawn_outside_the_frame(values: list[tuple[int, float]], limit: float) -> None:
    text = picture(*points(*sorted(values)), limits=(Limit(limit, Side.BELOW),))
    for pair in re.findall(r"([\d.-]+),([\d.-]+)", " ".join(re.findall(r'points="([^"]*)"', text))):
        assert all(0 <= float(place) <= GRID for place in pair)
    assert all(0 <= float(share) <= 100 for share in re.findall(r'"([\d.-]+)%"', text))
