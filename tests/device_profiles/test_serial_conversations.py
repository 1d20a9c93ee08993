"""What a hub says to serial devices, against the devices' sides, without a line and in a time that the test owns.

Every answer is lost once, damaged once and late once, each in a conversation of its own: all results are told in the
end, and none that the device has not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from bedside_profiles.catalogue import CATALOGUE
from bedside_profiles.conversation import ClockMeasured, Finish, Moment, Step, Trouble, Write
from bedside_profiles.profile import Decoded, SerialProfile
from bedside_profiles.readings import Measurement
from bedside_profiles.serial import (
    bayer_contour,
    contec_cms50,
    nonin_9560,
    onetouch_ultra2,
    onetouch_ultraeasy,
    suntech_nibp,
    taidoc,
)
from bedside_profiles.serial.onetouch_ultraeasy import LinkFrame
from bedside_profiles.serial.personal_health_manager import association_response
from bedside_sim.devices.serial_sets import KINDS
from bedside_sim.devices.serial_sides import (
    BATTERY_WAS_OUT,
    ContecSide,
    NoninSide,
    PersonalHealthSide,
    Side,
    TaiDocSide,
    side_of,
)
from bedside_sim.patients import Scenario, vitals

NOON = datetime(2026, 3, 4, 12, 0)  # noqa: DTZ001 - where the patient lives
SPOKEN_TO = tuple(one for one in CATALOGUE if isinstance(one, SerialProfile) and one.converse is not None)
METERS = tuple(one for one in SPOKEN_TO if side_of(one).keeps)
RESULTS = 4

Spoil = Callable[[int, bytes], bytes]
"""What arrives of the answer with that number."""

every_meter = pytest.mark.parametrize("profile", METERS, ids=lambda one: one.name)


@dataclass
class Talk:
    """One connection, to its end or for `limit_seconds`."""

    profile: SerialProfile
    side: Side
    spoil: Spoil = lambda _number, answer: answer
    late: int | None = None
    local: datetime | None = NOON
    limit_seconds: float = 600.0
    written: list[Write] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    clocks: list[ClockMeasured] = field(default_factory=list)
    told: list[Measurement] = field(default_factory=list)
    told_before_clock: int | None = None
    finish: Finish | None = None
    answers: int = 0
    seconds: float = 1000.0

    def hold(self) -> "Talk":
        assert self.profile.converse is not None
        conversation, framer = self.profile.converse(), self.profile.framer()
        waiting = [self.side.opened(self.seconds)]
        steps: Sequence[Step] = conversation.begin(self.now())
        end = self.seconds + self.limit_seconds
        held_back = False
        while True:
            held_back = self.carry_out(steps, waiting) or held_back
            if self.finish is not None:
                return self
            steps = ()
            if waiting and not held_back:
                data = waiting.pop(0)
                self.told += [
                    one for outcome in framer.feed(data) if isinstance(outcome, Decoded) for one in outcome.measurements
                ]
                steps = conversation.hear("", data, self.now())
                continue
            wakes_at = conversation.wakes_at_seconds
            if wakes_at is None or wakes_at > end:
                return self
            self.seconds, held_back = wakes_at, False
            steps = conversation.wake(self.now())

    def carry_out(self, steps: Sequence[Step], waiting: list[bytes]) -> bool:
        """Whether an answer is late, and with it all that the device says after it."""
        late = False
        for step in steps:
            if isinstance(step, Finish):
                self.finish = step
                return late
            if isinstance(step, Trouble):
                self.troubles.append(step.reason)
            elif isinstance(step, ClockMeasured):
                self.clocks.append(step)
                if self.told_before_clock is None:
                    self.told_before_clock = len(self.told)
            elif isinstance(step, Write):
                self.written.append(step)
                if answer := self.side.hear(step.payload, self.seconds):
                    late = late or self.answers == self.late
                    waiting.append(self.spoil(self.answers, answer))
                    self.answers += 1
        return late

    def now(self) -> Moment:
        return Moment(self.seconds, self.local)


def filled(profile: SerialProfile, results: int = RESULTS) -> tuple[Side, list[Measurement]]:
    """A device with results in its memory, and what they are."""
    side, kind = side_of(profile), KINDS[profile.name]
    sets = [kind.measured(vitals(7, Scenario.STABLE, number), number) for number in range(results)]
    for members in sets:
        side.measured(members, 0)
    return side, [one for members in sets for one in members]


@every_meter
def test_all_results_are_told_once_and_the_line_is_closed(profile: SerialProfile) -> None:
    side, expected = filled(profile)
    talk = Talk(profile, side).hold()
    assert sorted(talk.told, key=repr) == sorted(expected, key=repr)
    assert (talk.troubles, side.harm) == ([], 0)
    assert talk.finish is not None
    assert talk.finish.pause_seconds == 900


@every_meter
def test_an_empty_memory_is_no_trouble(profile: SerialProfile) -> None:
    side, _ = filled(profile, 0)
    talk = Talk(profile, side).hold()
    assert (talk.told, talk.troubles, talk.finish) == ([], [], Finish(900))


@every_meter
@pytest.mark.parametrize("fault", ["lost", "cut", "turned", "late"])
def test_any_answer_may_fail_once(profile: SerialProfile, fault: str) -> None:
    def spoil_at(place: int) -> Spoil:
        def spoil(number: int, answer: bytes) -> bytes:
            if number != place or fault == "late":
                return answer
            if fault == "lost":
                return b""
            middle = len(answer) // 2
            return (
                answer[:middle]
                if fault == "cut"
                else answer[:middle] + bytes((answer[middle] ^ 0x08,)) + answer[middle + 1 :]
            )

        return spoil

    whole = Talk(profile, filled(profile)[0]).hold()
    for place in range(whole.answers):
        side, expected = filled(profile)
        talk = Talk(profile, side, spoil_at(place), late=place if fault == "late" else None).hold()
        assert set(talk.told) == set(expected), place
        assert (talk.troubles, side.harm) == ([], 0), place
        assert talk.finish == Finish(900), place


@every_meter
def test_a_meter_that_falls_silent_in_the_midst_is_trouble_and_tried_again_soon(profile: SerialProfile) -> None:
    answers = Talk(profile, filled(profile)[0]).hold().answers
    for place in range(1, answers):
        side, expected = filled(profile)
        talk = Talk(profile, side, lambda number, answer, place=place: answer if number < place else b"").hold()  # type: ignore[misc]
        assert set(talk.told) <= set(expected)
        if talk.finish != Finish(900):
            assert talk.finish == Finish(30)
            assert len(talk.troubles) == 1
        else:
            # Everything was told; only the clock, or the good-bye, went unanswered.
            assert set(talk.told) == set(expected)


@pytest.mark.parametrize("profile", SPOKEN_TO, ids=lambda one: one.name)
def test_nothing_that_is_said_does_harm(profile: SerialProfile) -> None:
    side, _ = filled(profile)
    talk = Talk(profile, side, limit_seconds=60).hold()
    assert side.harm == 0
    if profile.decode_command is not None:
        for step in talk.written:
            facts = {fact.name: fact.value for fact in profile.decode_command(step.payload).facts}
            assert not facts.get("moves_air")
            assert profile.name == nonin_9560.NAME or profile.name == suntech_nibp.NAME or "command_name" in facts


def test_a_contec_is_started_and_kept_alive_within_its_five_seconds() -> None:
    side = ContecSide(contec_cms50.PROFILE)
    talk = Talk(contec_cms50.PROFILE, side, limit_seconds=60).hold()
    start, keep = (contec_cms50.command_frame(contec_cms50.Command[name]) for name in ("START_LIVE", "KEEP_ALIVE"))
    # It says nothing here: asked three times, then said to be in trouble, and kept alive all the same.
    assert [one.payload for one in talk.written[:4]] == [start, start, start, keep]
    assert len(talk.troubles) == 1
    assert [one.payload for one in talk.written[4:]] == [keep] * len(talk.written[4:])
    assert len(talk.written) >= 14


def test_a_suntech_is_asked_when_it_has_measured_and_never_before() -> None:
    profile = suntech_nibp.PROFILE
    side, expected = filled(profile, 1)
    silent = Talk(profile, side, limit_seconds=3600).hold()
    assert (silent.written, silent.told) == ([], [])
    assert profile.converse is not None
    conversation = profile.converse()
    conversation.begin(Moment(0, NOON))
    (step,) = conversation.hear("", profile.encode(()), Moment(1, NOON))
    assert step == Write(suntech_nibp.ask_result())
    answer = side.hear(suntech_nibp.ask_result(), 1)
    assert conversation.hear("", answer, Moment(2, NOON)) == []
    assert conversation.wakes_at_seconds is None
    assert expected


def test_a_refused_format_is_said_and_the_clock_is_set_and_looked_at_again() -> None:
    side = NoninSide(nonin_9560.PROFILE)
    talk = Talk(nonin_9560.PROFILE, side, limit_seconds=60).hold()
    assert [one.payload for one in talk.written] == [
        bytes.fromhex("027002020d03"),
        bytes.fromhex("02720003"),
        nonin_9560.set_time(NOON),
        bytes.fromhex("02720003"),
    ]
    assert (side.clock, talk.troubles) == (NOON, [])
    assert talk.clocks == [ClockMeasured((BATTERY_WAS_OUT - NOON).total_seconds(), is_set=True)]
    refusing = Talk(nonin_9560.PROFILE, side, lambda number, answer: b"\x15" if number == 0 else answer).hold()
    assert refusing.troubles == ["it refuses data format 13: is it another model?"]


def test_a_taidocs_clock_is_set_where_it_is_wrong_and_left_where_it_is_right() -> None:
    side, _ = filled(taidoc.PRESSURE, 0)
    assert isinstance(side, TaiDocSide)
    set_clock = taidoc.TaiDocFrame(0x33, taidoc.encode_moment(NOON), from_hub=True).to_bytes()
    setting = Talk(taidoc.PRESSURE, side).hold()
    assert set_clock in [one.payload for one in setting.written]
    behind = (BATTERY_WAS_OUT - NOON).total_seconds()
    assert setting.clocks == [ClockMeasured(behind, is_set=False), ClockMeasured(behind, is_set=True)]
    assert side.clock == NOON
    leaving = Talk(taidoc.PRESSURE, side).hold()
    assert set_clock not in [one.payload for one in leaving.written]
    assert leaving.clocks == [ClockMeasured(0.0, is_set=False)]
    side.clock = BATTERY_WAS_OUT
    assert set_clock not in [one.payload for one in Talk(taidoc.PRESSURE, side, local=None).hold().written]


def test_the_clock_of_a_glucose_meter_is_measured_and_never_set() -> None:
    side, _ = filled(taidoc.PROFILE, 0)
    assert isinstance(side, TaiDocSide)
    talk = Talk(taidoc.PROFILE, side).hold()
    assert side.clock == BATTERY_WAS_OUT
    assert talk.clocks == [ClockMeasured((BATTERY_WAS_OUT - NOON).total_seconds(), is_set=False)]
    assert not any(one.payload[1] == 0x33 for one in talk.written)


@pytest.mark.parametrize(
    "profile",
    [taidoc.PROFILE, taidoc.PRESSURE, taidoc.TEMPERATURE, onetouch_ultra2.PROFILE, onetouch_ultraeasy.PROFILE],
    ids=lambda profile: profile.name,
)
def test_a_meters_clock_is_measured_before_its_first_result_which_is_dated_by_it(profile: SerialProfile) -> None:
    side, _ = filled(profile, 2)
    talk = Talk(profile, side).hold()
    assert (talk.told_before_clock, len(talk.told) >= 2) == (0, True)
    assert Talk(profile, side, local=None).hold().clocks == []


def test_a_refusal_of_the_clock_is_not_taken_for_a_clock_of_1970() -> None:
    side, members = filled(onetouch_ultraeasy.PROFILE, 2)

    def refused(_number: int, answer: bytes) -> bytes:
        said = b""
        while answer:
            raw, answer = answer[: answer[1]], answer[answer[1] :]
            frame = LinkFrame.from_bytes(raw)
            is_clock = frame.message[:2] == b"\x05\x06" and len(frame.message) == 6
            said += LinkFrame(b"\x05\x07", frame.control).to_bytes() if is_clock else raw
        return said

    talk = Talk(onetouch_ultraeasy.PROFILE, side, spoil=refused).hold()
    assert (talk.clocks, len(talk.told), len(members)) == ([], 2, 2)


def test_a_contour_is_answered_from_its_enquiry_on_and_its_headings_clock_is_measured() -> None:
    talk = bayer_contour.converse()
    now = Moment(1000.0, NOON)
    talk.begin(now)
    assert talk.hear("", b"\x04", now) == []
    assert talk.hear("", b"\x05", now) == [Write(bayer_contour.ACKNOWLEDGE)]
    heading = bayer_contour.PartFrame(1, "H|\\^&||x|Bayer7350^1^2|A=1^V=10600||||||P|1|202603041230\r", more=False)
    assert talk.hear("", heading.to_bytes(), now) == [
        ClockMeasured(1800.0, is_set=False),
        Write(bayer_contour.ACKNOWLEDGE),
    ]


def test_a_contour_that_does_not_know_that_it_is_read_is_asked_to_begin() -> None:
    talk = bayer_contour.converse()
    talk.begin(Moment(1000.0, NOON))
    seconds = 1000.0
    for _ in range(19):
        assert talk.wakes_at_seconds == seconds + 3.0
        seconds = talk.wakes_at_seconds
        assert talk.wake(Moment(seconds, NOON)) == [Write(bayer_contour.HAS_SENT)]
    (told,) = talk.wake(Moment(seconds + 3.0, NOON))
    assert isinstance(told, Trouble)
    assert "does not begin to send" in told.reason
    assert talk.hear("", b"\x05", Moment(seconds + 4.0, NOON)) == [Write(bayer_contour.ACKNOWLEDGE)], (
        "and goes on waiting"
    )


def test_a_taidoc_of_another_kind_is_asked_for_nothing_more() -> None:
    side, _ = filled(taidoc.PRESSURE)
    talk = Talk(taidoc.PROFILE, side).hold()
    assert talk.troubles == ["it is a TD-3128, which measures something else than its profile"]
    assert (talk.told, len(talk.written)) == ([], 1)


def test_the_sequence_bits_of_a_lifescan_link_turn_with_each_message() -> None:
    side, _ = filled(onetouch_ultraeasy.PROFILE, 1)
    written = [LinkFrame.from_bytes(one.payload) for one in Talk(onetouch_ultraeasy.PROFILE, side).hold().written]
    assert [(one.control, one.message[:2].hex()) for one in written] == [
        (0x08, ""),
        (0x00, "0520"),
        (0x07, ""),
        (0x03, "051f"),
        (0x04, ""),
        (0x00, "051f"),
        (0x07, ""),
        (0x08, ""),
    ]


def test_an_association_is_accepted_its_configuration_and_reports_confirmed_and_a_release_answered() -> None:
    profile = next(one for one in SPOKEN_TO if one.name == "serial.phd_scale")
    side, expected = filled(profile, 3)
    assert isinstance(side, PersonalHealthSide)
    talk = Talk(profile, side, limit_seconds=60).hold()
    assert talk.told == expected
    assert side.unconfirmed == []
    assert [one.after_stored for one in talk.written] == [False, False, True, True, True]
    assert talk.written[0].payload == association_response(accepted=True)
    assert talk.written[0].payload.hex() == (
        "e300002c0003507900268000000080008000000000000000800000000008024245445349444500000000000000000000"
    )
    assert profile.converse is not None
    conversation = profile.converse()
    conversation.begin(Moment(0, None))
    steps = conversation.hear("", bytes.fromhex("e40000020000"), Moment(1, None))
    assert steps == [Write(bytes.fromhex("e50000020000"))]


@pytest.mark.parametrize("request_", ["e200000a 80000000 0001 0004 ffff 0000", "e200000a 80000000 0000 0000 ffff"])
def test_a_device_of_another_protocol_is_refused_or_not_answered(request_: str) -> None:
    profile = next(one for one in SPOKEN_TO if one.name == "serial.phd_scale")
    assert profile.converse is not None
    apdu = bytes.fromhex(request_.replace(" ", ""))
    apdu = apdu[:2] + (len(apdu) - 4).to_bytes(2, "big") + apdu[4:]
    conversation = profile.converse()
    conversation.begin(Moment(0, None))
    steps = conversation.hear("", apdu, Moment(1, None))
    assert [step for step in steps if isinstance(step, Write)] in ([], [Write(association_response(accepted=False))])
