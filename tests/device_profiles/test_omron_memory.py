"""An Omron cuff's memory, read by what the hub says and the simulated cuff answers: step by step, without a radio."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from bedside_profiles.bluetooth import omron_frame, omron_hem
from bedside_profiles.bluetooth.device_information import MODEL_NUMBER
from bedside_profiles.bluetooth.omron_conversation import MOST_TRIES, UNLOCK, OmronConversation
from bedside_profiles.bluetooth.omron_frame import ANSWERS, COMMANDS, OmronFrame
from bedside_profiles.bluetooth.omron_memory import MEMORIES, Memory, Opening, memory_of
from bedside_profiles.bluetooth.omron_record import OmronRecord
from bedside_profiles.conversation import Finish, Known, LeaveAlone, Moment, Read, Remember, Step, Trouble, Write
from bedside_profiles.profile import Decoded
from bedside_sim.devices.omron_cuff import OmronCuff

FIRST = datetime(2026, 3, 2, 8, 0, 7)  # noqa: DTZ001 - the device's own wall time
NEW_KEY = bytes(range(0x40, 0x50))
FOUR_CHANNELS, KEYED_16 = "HEM-7322T-D", "HEM-7361T-D"
ONE_USER, TWO_USERS, WITH_TOKEN = "HEM-7146T2-EBK", "HEM-7155T-MW", "HEM-7142T2-AP"


def record(place: int) -> OmronRecord:
    return OmronRecord(120 + place, 80, 60 + place, FIRST + timedelta(minutes=place))


Faults = Callable[[int, bytes], Iterable[bytes]]
"""What arrives of the answer with that number, from 0 on."""


@dataclass
class Talk:
    """One connection of a hub with a cuff of that model."""

    model: str
    cuff: OmronCuff
    faults: Faults = lambda _number, answer: (answer,)
    answers: int = 0
    commands: list[bytes] = field(default_factory=list)
    told: list[tuple[int | None, float | None, str | None]] = field(default_factory=list)
    """User, systolic pressure and time of each record."""
    troubles: list[str] = field(default_factory=list)
    position: str | None = None
    finished: bool = False

    def run(self) -> "Talk":
        listener = next(one for one in omron_hem.PROFILES if one.name == "bluetooth.omron_hem").listen()
        listener.feed(MODEL_NUMBER, self.model.encode())
        talk = OmronConversation(Known(self.position), lambda count: NEW_KEY[:count])
        now = Moment(1000.0, None)
        steps: list[Step] = list(talk.begin(now))
        self.cuff.connected()
        while not self.finished:
            if not steps:
                assert talk.wakes_at_seconds is not None
                now = Moment(talk.wakes_at_seconds, None)
                steps += talk.wake(now)
                continue
            step = steps.pop(0)
            if isinstance(step, Finish):
                self.finished = True
            elif isinstance(step, Trouble):
                self.troubles.append(step.reason)
            elif isinstance(step, Remember):
                self.position = step.position
            elif isinstance(step, Read):
                assert step.characteristic == MODEL_NUMBER
                steps += talk.hear(MODEL_NUMBER, self.model.encode(), now)
            elif isinstance(step, Write):
                for characteristic, piece in self._answered(step):
                    for outcome in listener.feed(characteristic, piece):
                        self._take(outcome)
                    steps += talk.hear(characteristic, piece, now)
            else:
                assert isinstance(step, LeaveAlone)
        return self

    def _answered(self, step: Write) -> Sequence[tuple[str, bytes]]:
        self.commands.append(step.payload)
        assert step.characteristic == (COMMANDS[0] if step.payload[0] == len(step.payload) else UNLOCK)
        arrived = []
        for said in self.cuff.heard(step.payload, ()):
            over, answer = said if isinstance(said, tuple) else (ANSWERS[0], said)
            self.answers += 1
            arrived += [(over, one) for one in self.faults(self.answers - 1, answer)]
        return arrived

    def _take(self, outcome: object) -> None:
        if isinstance(outcome, Decoded) and outcome.measurements:
            first = outcome.measurements[0]
            self.told.append((first.device_user, first.value, first.device_time))


def cuff(model: str, records: int, others: int = 0) -> OmronCuff:
    memory = memory_of(model.encode())
    assert memory is not None
    made = OmronCuff([record(place) for place in range(records)], memory)
    made.others = [record(100 + place) for place in range(others)]
    return made


def rows(user: int | None, places: Iterable[int]) -> list[tuple[int | None, float | None, str | None]]:
    return [(user, 120.0 + place, (FIRST + timedelta(minutes=place)).isoformat()) for place in places]


@pytest.mark.parametrize("model", [ONE_USER, WITH_TOKEN])
def test_all_records_are_read_and_the_session_is_ended(model: str) -> None:
    played = cuff(model, 7)
    talk = Talk(model, played).run()
    assert talk.told == rows(None, range(7))
    assert (talk.troubles, talk.commands[-1]) == ([], omron_frame.end())
    played.connected()
    assert played.errors == 0, "the cuff shows no error"


def test_each_users_records_are_that_users() -> None:
    talk = Talk(TWO_USERS, cuff(TWO_USERS, 60, 2)).run()
    assert talk.told == rows(1, range(60)) + rows(2, (100, 101))


def test_a_memory_in_which_nothing_was_written_is_read_to_its_end() -> None:
    talk = Talk(ONE_USER, cuff(ONE_USER, 0)).run()
    assert (talk.told, talk.troubles) == ([], [])


def lost(_answer: bytes) -> Iterable[bytes]:
    return ()


def cut(answer: bytes) -> Iterable[bytes]:
    return (answer[: len(answer) // 2],)


def damaged(answer: bytes) -> Iterable[bytes]:
    return (answer[:-3] + bytes((answer[-3] ^ 0x10,)) + answer[-2:],)


def twice(answer: bytes) -> Iterable[bytes]:
    return (answer, answer)


def emptied(answer: bytes) -> Iterable[bytes]:
    return (b"", answer)


def shortened(answer: bytes) -> Iterable[bytes]:
    """A sound frame that holds fewer records than were asked for."""
    frame = OmronFrame.from_bytes(answer) if answer[0] == len(answer) else None
    if frame is None or frame.kind != omron_frame.READ_ANSWER:
        return (answer,)
    return (OmronFrame(frame.kind, frame.address, frame.data[:14]).to_bytes(),)


def in_pieces(answer: bytes) -> Iterable[bytes]:
    return tuple(answer[at : at + 20] for at in range(0, len(answer), 20))


@pytest.mark.parametrize("harm", [lost, cut, damaged, twice, emptied, shortened, in_pieces])
@pytest.mark.parametrize("number", range(13))
def test_an_answer_that_does_not_come_as_it_should_costs_nothing(
    harm: Callable[[bytes], Iterable[bytes]], number: int
) -> None:
    """Ten blocks, a token or none, the beginning and the end."""
    for model in (ONE_USER, WITH_TOKEN):
        played = cuff(model, 5)
        talk = Talk(model, played, lambda at, answer: harm(answer) if at == number else (answer,)).run()
        assert list(dict.fromkeys(talk.told)) == rows(None, range(5))
        assert talk.troubles == []
        played.connected()
        assert played.errors == 0


@pytest.mark.parametrize("number", [0, 1, 4])
def test_a_cuff_that_stops_answering_is_left_alone_with_its_session_ended(number: int) -> None:
    played = cuff(ONE_USER, 7)
    talk = Talk(ONE_USER, played, lambda at, answer: () if at >= number else (answer,)).run()
    assert talk.troubles == ["the device does not go on telling what it keeps"]
    assert talk.commands[-MOST_TRIES:] == [omron_frame.end()] * MOST_TRIES


def test_a_token_that_is_not_taken_gives_no_session() -> None:
    refusing = Talk(WITH_TOKEN, cuff(WITH_TOKEN, 3), lambda _at, answer: (b"\x91\x01" + answer[2:],)).run()
    assert (refusing.told, len(refusing.troubles)) == ([], 1)
    assert all(one[0] == 0x11 for one in refusing.commands)


@pytest.mark.parametrize("model", ["HEM-7155T", "HEM-7320T-Z", "HEM-9999T", "HEM-7146", "X", "", "HEM-7155T-MW9"])
def test_nothing_is_asked_of_a_model_that_is_not_known(model: str) -> None:
    talk = Talk(model, cuff(ONE_USER, 3)).run()
    assert (talk.commands, talk.told) == ([], [])
    assert "is not known" in talk.troubles[0]


def test_every_model_with_a_key_is_given_one_and_read() -> None:
    for model, memory in MEMORIES.items():
        if memory.opening is not Opening.KEY:
            continue
        played = cuff(model, 9, 2)
        position = None
        for told in (
            [],
            rows(1 if len(memory.areas) > 1 else None, range(9)) + rows(2, (100, 101) if len(memory.areas) > 1 else ()),
        ):
            talk = Talk(model, played, position=position).run()
            position = talk.position
            assert (talk.told, talk.troubles) == (told, [])
        played.connected()
        assert (played.key, played.errors) == (NEW_KEY, 0)


def test_the_key_is_known_to_the_hub_before_it_is_the_cuffs() -> None:
    played = cuff(FOUR_CHANNELS, 3)
    lost_link = Talk(FOUR_CHANNELS, played, lambda at, answer: () if at else (answer,)).run()
    assert (lost_link.position, len(lost_link.troubles)) == (f"key:{NEW_KEY.hex()}", 1)
    # The cuff took it, and its answer was lost; it still is in its pairing mode.
    assert Talk(FOUR_CHANNELS, played, position=lost_link.position).run().troubles == []


def test_a_cuff_that_is_not_in_its_pairing_mode_takes_no_key_and_a_person_is_told_what_to_do() -> None:
    played = cuff(FOUR_CHANNELS, 3)
    played.pairing_mode = False
    talk = Talk(FOUR_CHANNELS, played).run()
    assert (talk.told, len(talk.troubles), played.key) == ([], 1, None)
    assert "until P blinks" in talk.troubles[0]


@pytest.mark.parametrize("position", [None, "", "7", "key:", "key:zz", "key:0011"])
def test_what_is_remembered_and_is_no_key_is_none(position: str | None) -> None:
    talk = Talk(FOUR_CHANNELS, cuff(FOUR_CHANNELS, 1), position=position).run()
    assert talk.commands[0] == b"\x02" + bytes(16)


def test_a_key_that_another_hub_has_replaced_is_given_again_in_the_pairing_mode() -> None:
    played = cuff(FOUR_CHANNELS, 3)
    played.key, played.pairing_mode = bytes(16), False
    mine = f"key:{NEW_KEY.hex()}"
    assert "until P blinks" in Talk(FOUR_CHANNELS, played, position=mine).run().troubles[0]
    played.pairing_mode = True
    assert Talk(FOUR_CHANNELS, played, position=mine).run().troubles == []
    assert Talk(FOUR_CHANNELS, played, position=mine).run().told == rows(1, range(3))


@pytest.mark.parametrize("harm", [lost, cut, damaged, twice, emptied])
@pytest.mark.parametrize("number", range(20))
@pytest.mark.parametrize("model", [FOUR_CHANNELS, KEYED_16])
def test_a_piece_of_a_channel_that_does_not_come_as_it_should_costs_nothing(
    harm: Callable[[bytes], Iterable[bytes]], number: int, model: str
) -> None:
    played = cuff(model, 5, 1)
    played.key, played.pairing_mode = NEW_KEY, False
    position = f"key:{NEW_KEY.hex()}"
    talk = Talk(model, played, lambda at, answer: harm(answer) if at == number else (answer,), position=position).run()
    assert list(dict.fromkeys(talk.told)) == rows(1, range(5)) + rows(2, (100,))
    assert talk.troubles == []
    played.connected()
    assert played.errors == 0


def test_a_cuff_that_says_no_model_is_told() -> None:
    steps = OmronConversation(Known()).refused(Read(MODEL_NUMBER), Moment(0.0, None))
    assert [step.reason for step in steps if isinstance(step, Trouble)] == [
        "the cuff does not say its model, and without it its memory cannot be read"
    ]


def test_a_model_is_known_by_its_longest_name() -> None:
    assert memory_of(b"HEM-7155T-MW") is not memory_of(b"HEM-7155T-MW3")
    assert memory_of(b"HEM-7155T-MW3\0\0") is MEMORIES["HEM-7155T-MW3"]
    assert memory_of(b" hem-7380t1-ebk ") is MEMORIES["HEM-7380T1"]
    assert memory_of(b"\xff\xfe") is None


@pytest.mark.parametrize("memory", sorted(set(MEMORIES.values()), key=repr))
def test_every_record_of_every_memory_is_asked_for_once_and_whole(memory: Memory) -> None:
    size = memory.layout.record_bytes
    asked = [at for first, count in memory.blocks() for at in range(first, first + count, size)]
    assert asked == [at for first, count in memory.areas for at in range(first, first + count * size, size)]
    for first, count in memory.blocks():
        assert count <= (0x38 if memory.opening is Opening.KEY else 0x2C)
        assert memory.holds(first, count)
        assert not memory.holds(first + 1, count)
    last, records = memory.areas[-1]
    assert not memory.holds(last + records * size, size)


def test_what_is_no_record_of_the_model_gives_no_value() -> None:
    listener = omron_hem.PROFILES[0].listen()
    listener.feed(MODEL_NUMBER, b"HEM-7142T2-AP")
    data = record(1).to_bytes(big_endian=False)
    for address in (0x2E8 + 14 * 14, 0x2E8 - 14, 0x2E8 + 1):
        frame = OmronFrame(omron_frame.READ_ANSWER, address, data).to_bytes()
        (found,) = listener.feed(ANSWERS[0], frame)
        assert isinstance(found, Decoded)
        assert found.measurements == ()
