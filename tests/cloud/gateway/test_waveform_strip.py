"""The strip of an electrocardiogram: the newest seconds, on a paper of known scale, with its gaps."""

import re

from bedside_cloud.contracts.readings import WaveformPiece
from bedside_cloud.gateway.waveform_strip import HEIGHT_MM, STRIP_SECONDS, WIDTH_MM, strip

AT = 1_790_000_000_000


def piece(at_ms: int, *samples: int, rate_hz: float = 10.0, device_id: str = "strap-1") -> WaveformPiece:
    return WaveformPiece(device_id=device_id, rate_hz=rate_hz, samples=samples, taken_at_ms=at_ms)


def lines(picture: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (point.split(",") for point in points.split())]
        for points in re.findall(r'<polyline points="([^"]*)"', picture)
    ]


def test_nothing_was_heard() -> None:
    assert strip([]) is None


def test_a_millivolt_is_ten_millimetres_and_a_second_twenty_five() -> None:
    found = strip([piece(AT, *[0] * 10, 1000, *[0] * 10)])
    assert found is not None
    (line,) = lines(found.picture)
    assert line[0] == (WIDTH_MM - 50.0, HEIGHT_MM / 2)
    assert line[10] == (WIDTH_MM - 25.0, HEIGHT_MM / 2 - 10)
    assert line[-1] == (float(WIDTH_MM), HEIGHT_MM / 2)
    assert found.until_ms == AT + 2000


def test_the_skins_own_voltage_is_taken_off() -> None:
    found = strip([piece(AT, *[-30_000] * 21)])
    assert found is not None
    assert {y for line in lines(found.picture) for _, y in line} == {HEIGHT_MM / 2}


def test_a_wave_beyond_the_paper_ends_at_its_edge() -> None:
    found = strip([piece(AT, 0, 0, 0, 9000, 0, 0, -9000, 0)])
    assert found is not None
    heights = [y for line in lines(found.picture) for _, y in line]
    assert (min(heights), max(heights)) == (0, HEIGHT_MM)


def test_pieces_that_follow_one_another_are_one_line_and_a_gap_is_a_gap() -> None:
    ten = [0] * 10
    found = strip([piece(AT, *ten), piece(AT + 1100, *ten), piece(AT + 5000, *ten)])
    assert found is not None
    assert [len(line) for line in lines(found.picture)] == [20, 10]


def test_only_the_newest_seconds_are_shown() -> None:
    found = strip([piece(AT - 60_000, *[0] * 10), piece(AT, *[0] * 300)])
    assert found is not None
    (line,) = lines(found.picture)
    assert len(line) == STRIP_SECONDS * 10 + 1
    assert line[0][0] == 0


def test_two_straps_are_not_drawn_as_one() -> None:
    found = strip([piece(AT, *[0] * 10), piece(AT + 500, *[0] * 10, device_id="strap-2")])
    assert found is not None
    assert found.device_id == "strap-2"
    assert [len(line) for line in lines(found.picture)] == [10]


def test_the_picture_says_what_it_is() -> None:
    found = strip([piece(AT, 0, 0)])
    assert found is not None
    assert "25 mm a second, 10 mm a millivolt" in found.picture
    assert 'role="img"' in found.picture
