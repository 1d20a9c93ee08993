"""A line at another rate, or with another device on it, is told from the right one, however that one is joined."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from tests.fuzz.choices import Dice
from tests.fuzz.specimens import SPECIMENS
from tests.support.uart import heard_as

from bedside_profiles.line_fit import LineJudge
from bedside_profiles.profile import Decoded, LineSettings, SerialProfile
from bedside_profiles.serial import contec_cms50_5_byte, masimo_ascii, nonin_df2, nonin_df8, onetouch_ultra2

UNTOLD = {("serial.nonin_df1", 2400)}
"""Five frames of three bytes in a row sometimes agree in noise: 1 value in 21,000 frames and faults. No Nonin speaks at
that rate."""

RATES = (2400, 4800, 9600, 19200, 38400, 57600, 115200)


def spoken(profile: SerialProfile, least_bytes: int = 4000, seed: int = 1) -> list[bytes]:
    """What the profile's device says, a burst a set."""
    specimen = SPECIMENS[profile.name]
    dice = Dice(seed)
    said: list[bytes] = []
    while sum(map(len, said)) < least_bytes:
        said += [specimen.encode(members) for members in specimen.spoken(dice)]
    return said


def judged(profile: SerialProfile, pieces: Sequence[bytes]) -> tuple[LineJudge, list[str]]:
    judge = LineJudge(profile)
    return judge, [verdict for piece in pieces if (verdict := judge.hear(piece)) is not None]


PROFILES = [specimen.profile for specimen in SPECIMENS.values()]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_the_right_device_at_the_right_rate_is_never_doubted(profile: SerialProfile) -> None:
    stream = b"".join(spoken(profile))
    for joined_at in range(40):
        heard = heard_as([stream[joined_at:2000]], profile.line, profile.line)
        assert heard == stream[joined_at:2000]
        judge, verdicts = judged(profile, [heard[at : at + 7] for at in range(0, len(heard), 7)])
        assert verdicts == []
        assert judge.makes_sense


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_a_wrong_rate_makes_no_sense(profile: SerialProfile) -> None:
    bursts = spoken(profile)
    for rate in RATES:
        if rate == profile.line.baud:
            continue
        heard = heard_as(bursts, replace(profile.line, baud=rate), profile.line)
        judge, verdicts = judged(profile, [heard[at : at + 16] for at in range(0, len(heard), 16)])
        assert not judge.makes_sense, rate
        said = verdicts[0] if verdicts else judge.doubt()
        assert said is not None, (rate, heard)
        assert f"{profile.name} at {profile.line.baud} baud" in said


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_of_a_wrong_rate_no_value_is_made(profile: SerialProfile) -> None:
    for seed in range(6):
        bursts = spoken(profile, seed=seed)
        for rate in RATES:
            if rate != profile.line.baud and (profile.name, rate) not in UNTOLD:
                outcomes = profile.framer().feed(heard_as(bursts, replace(profile.line, baud=rate), profile.line))
                found = [one.measurements for one in outcomes if isinstance(one, Decoded) and one.measurements]
                assert found == [], (rate, seed)


def test_the_verdict_names_what_would_fit_and_comes_once() -> None:
    _, verdicts = judged(nonin_df2.PROFILE, spoken(nonin_df8.PROFILE))
    (said,) = verdicts
    assert said.startswith("nothing that it says makes sense as serial.nonin_df2 at 9600 baud 8N1: ")
    assert said.endswith("; it would fit serial.nonin_df8")


def test_the_verdict_names_the_makers_other_lines() -> None:
    slow = contec_cms50_5_byte.SLOW
    heard = heard_as(spoken(slow), slow.line, contec_cms50_5_byte.PROFILE.line)
    judge, verdicts = judged(contec_cms50_5_byte.PROFILE, [heard])
    said = verdicts[0] if verdicts else judge.doubt()
    assert said is not None
    assert "serial.contec_cms50_5_byte_4800 (4800 baud 8O1)" in said
    assert "serial.contec_cms50_5_byte_odd (19200 baud 8O1)" in said


def test_another_parity_alone_is_doubted() -> None:
    even = LineSettings(19200, data_bits=7, parity="E")
    heard = heard_as(spoken(contec_cms50_5_byte.PROFILE), contec_cms50_5_byte.PROFILE.line, even)
    judge, verdicts = judged(replace(contec_cms50_5_byte.PROFILE, line=even), [heard])
    assert (judge.makes_sense, len(verdicts)) == (False, 1)


def test_a_few_bytes_of_noise_are_no_doubt_and_one_good_frame_ends_it() -> None:
    judge, verdicts = judged(onetouch_ultra2.PROFILE, [b"\x00\xff\x80"])
    assert (judge.doubt(), verdicts) == (None, [])
    _, verdicts = judged(onetouch_ultra2.PROFILE, [b"x" * 1000])
    assert len(verdicts) == 1
    judge, verdicts = judged(masimo_ascii.PROFILE, [*spoken(masimo_ascii.PROFILE, 300), b"\x00\xff\x80" * 1000])
    assert (judge.makes_sense, judge.doubt(), verdicts) == (True, None, [])
