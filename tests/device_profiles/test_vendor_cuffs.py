"""Cuffs with a service of their maker's own: what is written is read, whatever way it takes; nothing inflates them."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bedside_profiles.bluetooth import ihealth_kn550, lepu_bp2w, microlife_bp3gy1, omron_frame, omron_hem, yonker_cuff
from bedside_profiles.bluetooth.omron_frame import ANSWERS, OmronFrame
from bedside_profiles.bluetooth.omron_hem import OmronListener
from bedside_profiles.bluetooth.omron_record import BIG_14, LITTLE_14, LITTLE_16, OmronRecord
from bedside_profiles.errors import DecodeError
from bedside_profiles.lepu import FROM_HUB, LepuFrame
from bedside_profiles.members import Members
from bedside_profiles.profile import BleProfile, Decoded, EncodeError, NoReading
from bedside_profiles.readings import Measurement, Metric, Modality, Quality

LITTLE, LITTLE_LONG, BIG, UNKNOWN = omron_hem.PROFILES
IN_MINUTES = (microlife_bp3gy1.PROFILE, yonker_cuff.PROFILE)
PROFILES = (*IN_MINUTES, ihealth_kn550.PROFILE, lepu_bp2w.PROFILE, LITTLE, LITTLE_LONG, BIG)
HOLDS = {
    ihealth_kn550.NAME: (Quality.IRREGULAR_PULSE,),
    lepu_bp2w.NAME: (Quality.IRREGULAR_PULSE,),
    **{
        profile.name: (Quality.IRREGULAR_PULSE, Quality.MOTION, Quality.CUFF_LOOSE, Quality.LOW_BATTERY)
        for profile in (LITTLE, LITTLE_LONG, BIG)
    },
}

moments = st.datetimes(datetime(2010, 1, 1), datetime(2063, 12, 31)).map(lambda moment: moment.replace(microsecond=0))  # noqa: DTZ001


def read(outcomes: tuple[Decoded | DecodeError, ...]) -> list[tuple[Measurement, ...]]:
    assert not any(isinstance(outcome, DecodeError) for outcome in outcomes)
    return [one.measurements for one in outcomes if isinstance(one, Decoded) and one.measurements]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
@given(
    diastolic=st.integers(30, 140),
    above=st.integers(1, 110),
    pulse=st.integers(30, 200),
    moment=moments,
    quality=st.sets(st.sampled_from(Quality)),
)
def test_a_cuff_reads_what_it_writes(
    profile: BleProfile, diastolic: int, above: int, pulse: int, moment: datetime, quality: set[Quality]
) -> None:
    if profile in IN_MINUTES:
        moment = moment.replace(second=0)
    said = tuple(name for name in HOLDS.get(profile.name, ()) if name in quality)
    numbers = [(Metric.SYSTOLIC_PRESSURE, diastolic + above), (Metric.DIASTOLIC_PRESSURE, diastolic)]
    if profile is lepu_bp2w.PROFILE:
        numbers.append((Metric.MEAN_PRESSURE, diastolic + above // 3))
    measurements = tuple(
        Measurement(metric, float(value), Modality.SPOT, quality=said, device_time=moment.isoformat())
        for metric, value in (*numbers, (Metric.PULSE_RATE, pulse))
    )
    characteristic = profile.characteristics[0].uuid
    payload = profile.encode(characteristic, measurements)
    assert read(profile.listen().feed(characteristic, payload)) == [measurements]


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_an_encoder_refuses_what_its_frame_cannot_say(profile: BleProfile) -> None:
    characteristic = profile.characteristics[0].uuid
    for refused in (
        Measurement(Metric.SYSTOLIC_PRESSURE, 120.5, Modality.SPOT, device_time="2026-03-01T08:30:00"),
        Measurement(Metric.SPO2, 97.0, Modality.SPOT, device_time="2026-03-01T08:30:00"),
        Measurement(Metric.SYSTOLIC_PRESSURE, 70000.0, Modality.SPOT, device_time="2026-03-01T08:30:00"),
        Measurement(Metric.SYSTOLIC_PRESSURE, 120.0, Modality.SPOT, quality=(Quality.ARTIFACT,)),
    ):
        with pytest.raises(EncodeError):
            profile.encode(characteristic, (refused,))


def test_pressures_that_contradict_each_other_are_no_reading() -> None:
    for systolic, diastolic in ((80.0, 120.0), (80.0, 80.0)):
        members = Members(Modality.SPOT)
        members.add_pressures(systolic, diastolic)
        decoded = members.decoded()
        assert decoded.measurements == ()
        assert {one.reason for one in decoded.withheld} == {NoReading.ARTIFACT}


# ---- what must never be sent ----


@pytest.mark.parametrize("command", range(256))
def test_a_cuff_is_never_inflated_nor_erased(command: int) -> None:
    for module, frame in (
        (lepu_bp2w, LepuFrame(command, b"", FROM_HUB).to_bytes()),
        (ihealth_kn550, ihealth_kn550.frame_of(0xB0, bytes((0xA1, command)))),
    ):
        if command in module.HARMFUL:
            with pytest.raises(EncodeError, match="never sent"):
                module.encode_command(command)
            with pytest.raises(DecodeError, match="no hub sends it"):
                module.decode_command(frame)
        else:
            assert module.encode_command(command)[1:] == frame[1:]
            assert module.decode_command(frame).facts[0].value == command


def test_the_commands_that_harm_are_the_ones_that_were_seen_to() -> None:
    assert {0x04, 0x09, 0x0A, 0x24, 0x25, 0x39, 0xE3} <= lepu_bp2w.HARMFUL
    assert 0x47 in ihealth_kn550.HARMFUL


# ---- Omron: the way over the channels, and the order that the model decides ----


def big_block() -> bytes:
    records = b"".join(
        OmronRecord(120 + step, 80, 60 + step, datetime(2026, 3, 1 + step, 8, 30)).to_bytes(big_endian=True)  # noqa: DTZ001
        for step in range(4)
    )
    return OmronFrame(omron_frame.READ_ANSWER, 0x2AC, records).to_bytes()


def pieces_of(frame: bytes) -> list[tuple[str, bytes]]:
    padded = frame.ljust((len(frame) + 15) // 16 * 16, b"\0")
    return [(ANSWERS[at // 16], padded[at : at + 16]) for at in range(0, len(padded), 16)]


@given(st.permutations(range(4)))
def test_pieces_are_joined_by_their_channel_however_they_arrive(order: list[int]) -> None:
    listener = OmronListener(BIG_14)
    # Any session begins with a short frame on two channels: from then on it is known that there are several.
    started = pieces_of(OmronFrame(0x8000, 0, bytes(16)).to_bytes())
    assert len([outcome for characteristic, piece in started for outcome in listener.feed(characteristic, piece)]) == 1
    pieces = pieces_of(big_block())
    outcomes = [outcome for place in order for outcome in listener.feed(*pieces[place])]
    assert [one[0].value for one in read(tuple(outcomes))] == [120.0, 121.0, 122.0, 123.0]


def test_a_piece_that_is_lost_costs_its_frame_and_no_other() -> None:
    listener = OmronListener(BIG_14)
    pieces = pieces_of(big_block())
    outcomes = [outcome for piece in (*pieces[:1], *pieces[2:], *pieces) for outcome in listener.feed(*piece)]
    errors = [outcome for outcome in outcomes if isinstance(outcome, DecodeError)]
    assert len(errors) >= 1
    assert len(read(tuple(outcome for outcome in outcomes if isinstance(outcome, Decoded)))) == 4


def test_on_a_single_channel_a_frame_without_its_end_does_not_take_the_next_one_with_it() -> None:
    listener = OmronListener(LITTLE_14)
    frame = OmronFrame(
        omron_frame.READ_ANSWER, 0x2E8, OmronRecord(120, 80, 60, None).to_bytes(big_endian=False)
    ).to_bytes()
    outcomes = (*listener.feed(ANSWERS[0], frame[:9]), *listener.feed(ANSWERS[0], frame))
    assert isinstance(outcomes[0], DecodeError)
    assert len(read(outcomes[1:])) == 1


@given(
    st.integers(25, 250), st.integers(0, 255), st.integers(0, 255), st.none() | moments, st.tuples(*[st.booleans()] * 4)
)
def test_every_record_survives_in_both_orders(
    systolic: int, diastolic: int, pulse: int, taken: datetime | None, flags: tuple[bool, bool, bool, bool]
) -> None:
    record = OmronRecord(systolic, diastolic, pulse, taken, *flags)
    for big_endian in (True, False):
        found = OmronRecord.from_bytes(record.to_bytes(big_endian=big_endian), big_endian=big_endian)
        empty = not any(record.to_bytes(big_endian=big_endian)[:8])
        assert found == (None if empty else record)


@given(st.binary(min_size=14, max_size=16))
def test_any_record_is_read_refused_or_empty(record: bytes) -> None:
    for big_endian in (True, False):
        try:
            OmronRecord.from_bytes(record, big_endian=big_endian)
        except DecodeError:
            continue


@given(st.lists(st.tuples(st.sampled_from(["", *ANSWERS]), st.binary(max_size=40)), max_size=8))
def test_any_pieces_are_answered_and_never_raised(pieces: list[tuple[str, bytes]]) -> None:
    for layout in (None, LITTLE_14, LITTLE_16, BIG_14):
        listener = OmronListener(layout)
        for characteristic, payload in pieces:
            listener.feed(characteristic, payload)
        listener.rest()


def test_a_model_that_is_not_known_makes_no_value() -> None:
    for layout, profile in ((LITTLE_14, LITTLE), (BIG_14, BIG)):
        payload = profile.encode(
            ANSWERS[0],
            tuple(
                Measurement(metric, value, Modality.SPOT, device_time="2026-03-01T08:30:00")
                for metric, value in ((Metric.SYSTOLIC_PRESSURE, 120.0), (Metric.DIASTOLIC_PRESSURE, 80.0))
            ),
        )
        assert read(OmronListener(None).feed(ANSWERS[0], payload)) == []
        assert len(read(OmronListener(layout).feed(ANSWERS[0], payload))) == 1
    with pytest.raises(EncodeError):
        UNKNOWN.encode(ANSWERS[0], ())


def test_settings_are_not_taken_for_records() -> None:
    data = OmronRecord(120, 80, 60, datetime(2026, 3, 1, 8, 30)).to_bytes(big_endian=False)  # noqa: DTZ001
    for address in (0x260, 0x2A4, 0x2E8 + 1, 0x2E8 - 14):
        frame = OmronFrame(omron_frame.READ_ANSWER, address, data).to_bytes()
        assert read(OmronListener(LITTLE_14).feed(ANSWERS[0], frame)) == []


def test_the_commands_of_a_session_are_sound_frames() -> None:
    for command, name in (
        (omron_frame.start(), "start"),
        (omron_frame.read(0x2AC, 56), "read"),
        (omron_frame.end(), "end"),
    ):
        facts = {fact.name: fact.value for fact in omron_hem.decode_command(command).facts}
        assert facts["type_name"] == name


# ---- the BP2W's file ----


def test_only_a_file_of_measurements_is_read_as_one() -> None:
    foreign = bytes((1, 1)) + b"\x07" * 8 + lepu_bp2w.Bp2Record(1772924815, 1, False, 121, 79, 93, 64).to_bytes()
    listener = lepu_bp2w.PROFILE.listen()
    outcomes = [
        outcome
        for command, payload in ((0xF2, len(foreign).to_bytes(4, "little")), (0xF3, foreign), (0xF4, b""))
        for outcome in listener.feed(lepu_bp2w.ANSWERS, LepuFrame(command, payload).to_bytes())
    ]
    assert read(tuple(outcomes)) == []


def test_a_piece_that_nobody_asked_for_is_no_file() -> None:
    piece = lepu_bp2w.Bp2Record(1772924815, 1, False, 121, 79, 93, 64).to_bytes()
    frame = LepuFrame(lepu_bp2w.READ_DATA, bytes(10) + piece).to_bytes()
    assert read(lepu_bp2w.PROFILE.listen().feed(lepu_bp2w.ANSWERS, frame)) == []


@given(st.binary(max_size=140))
def test_any_payload_without_its_frame_is_answered(payload: bytes) -> None:
    for outcome in lepu_bp2w.PROFILE.listen().feed("", payload):
        assert isinstance(outcome, Decoded | DecodeError)


@given(st.binary(max_size=60))
def test_what_is_written_to_a_cuff_is_explained_or_refused(written: bytes) -> None:
    for profile in (*PROFILES, UNKNOWN):
        if profile.decode_command is not None:
            try:
                profile.decode_command(written)
            except DecodeError:
                continue


def test_the_microlife_clock_is_set_and_its_memory_asked_for() -> None:
    moment = datetime(2024, 6, 15, 14, 30, 45)  # noqa: DTZ001
    assert microlife_bp3gy1.set_time(moment).hex() == "4dff00080d18060f0e1e2de7"
    assert microlife_bp3gy1.ask_for_measurements().hex() == "4dff000900000000000000fd52"
    assert microlife_bp3gy1.disconnect().hex() == "4dff00020452"
