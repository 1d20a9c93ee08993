"""The trend as a picture: what is drawn, what is not, and what it says to who cannot see it."""

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st
from tests.support.clock import NOON_MS

from bedside_cloud.contracts.readings import TrendPoint
from bedside_cloud.gateway.trend_plot import GAP_MS, HEIGHT, MOST_POINTS, WIDTH, Limit, Scale, thinned, trend_plot
from bedside_profiles.readings import Metric, RangeFlag
from bedside_profiles.rules.thresholds import Side

UNTIL_MS = NOON_MS + 600_000
LOW = Limit(88.0, Side.BELOW)


def points(*values: tuple[int, float | None]) -> list[TrendPoint]:
    return [TrendPoint(taken_at_ms=NOON_MS + at * 1000, value=value) for at, value in values]


def drawn(some: list[TrendPoint], limits: list[Limit] | None = None) -> ET.Element:
    picture = trend_plot(Metric.SPO2, some, [LOW] if limits is None else limits, NOON_MS, UNTIL_MS)
    return ET.fromstring(picture)  # noqa: S314 - our own picture


def test_a_time_without_readings_is_a_gap_in_the_line() -> None:
    picture = drawn(points((0, 97), (1, 97), (2, 96), (60, 95), (61, 95)))
    assert [len(line.attrib["points"].split()) for line in picture.iter("polyline")] == [3, 2]


def test_a_single_reading_is_a_dot() -> None:
    assert len(list(drawn(points((0, 97))).iter("circle"))) == 1


def test_the_limit_is_drawn_with_the_side_that_is_out_of_range() -> None:
    picture = drawn(points((0, 97), (1, 80)))
    line = next(one for one in picture.iter("line") if one.attrib["class"] == "limit")
    (band,) = picture.iter("rect")
    assert band.attrib["y"] == line.attrib["y1"]
    above = drawn(points((0, 97)), [Limit(90.0, Side.ABOVE)])
    (band,) = above.iter("rect")
    assert float(band.attrib["y"]) == 12


def test_it_says_in_words_what_it_shows() -> None:
    picture = drawn(points((0, 97), (30, 84)))
    words = picture.find("desc")
    assert words is not None
    assert words.text == "Last value 84 % at 14:13:50 UTC; from 84 to 97 %; limit below 88."
    nothing = drawn([]).find("desc")
    assert nothing is not None
    assert nothing.text == "No readings in this time."


def test_a_reading_without_a_number_is_marked_not_joined() -> None:
    flagged = TrendPoint(taken_at_ms=NOON_MS + 2_000, value=None, range_flag=RangeFlag.BELOW)
    picture = drawn([*points((0, 97), (1, 97)), flagged, *points((3, 97), (4, 97))])
    assert [one.text for one in picture.iter("text") if one.attrib["class"] == "flag"] == ["LO"]
    assert len(list(picture.iter("polyline"))) == 2


def test_a_dip_of_one_second_in_a_day_is_still_drawn() -> None:
    many = points(*((at, 97.0) for at in range(7200)))
    many[3000] = TrendPoint(taken_at_ms=many[3000].taken_at_ms, value=70.0)
    kept = thinned(many, Scale(NOON_MS, NOON_MS + 7_200_000, 60, 100))
    assert len(kept) <= 2 * MOST_POINTS
    assert min(point.value or 0 for point in kept) == 70.0


@given(st.lists(st.tuples(st.integers(0, 600), st.floats(0, 100)), max_size=40, unique_by=lambda one: one[0]))
def test_nothing_is_drawn_outside_the_frame(values: list[tuple[int, float]]) -> None:
    picture = trend_plot(Metric.SPO2, points(*sorted(values)), [LOW], NOON_MS, UNTIL_MS)
    for x, y in re.findall(r"([\d.-]+),([\d.-]+)", " ".join(re.findall(r'points="([^"]*)"', picture))):
        assert 0 <= float(x) <= WIDTH
        assert 0 <= float(y) <= HEIGHT
    assert GAP_MS > 0
