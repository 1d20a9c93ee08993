"""When a hub opens a network of its own, and what comes of a choice: the pure part."""

from itertools import product

import pytest

from bedside_agent.wifi.choosing import (
    NAME_TOO_LONG,
    NO_NETWORK,
    NO_PASSWORD,
    PASSWORD_TOO_LONG,
    NotChosenError,
    chosen,
)
from bedside_agent.wifi.profiles import Attempt, networks_of
from bedside_agent.wifi.setting_up import (
    AGAIN_MS,
    ANSWER_MS,
    Action,
    Answering,
    Choice,
    Chose,
    CloseHotspot,
    Event,
    Facts,
    Failure,
    LookAgain,
    Looked,
    Network,
    NotOpened,
    Open,
    Opened,
    OpenHotspot,
    Opening,
    Settled,
    State,
    Tried,
    Trouble,
    Try,
    Trying,
    Watching,
    begun,
    step,
)

PATIENCE_MS = 300_000
ALONE = Facts(is_online=False, is_configured=False, has_wifi=True)
ON_AIR = Facts(is_online=False, is_configured=False, has_wifi=True, has_hotspot=True)
HOME = Network("Casa", 70)
CHOICE = Choice("Casa", "sol y sombra")


def walked(*events: tuple[Event, int]) -> tuple[State, list[Action]]:
    state, done = begun(0, PATIENCE_MS), list[Action]()
    for event, at_ms in events:
        state, actions = step(state, event, at_ms)
        done += actions
    return state, done


def test_a_hub_without_a_network_asks_for_one_and_joins_it() -> None:
    state, done = walked(
        (Looked(ALONE), PATIENCE_MS - 1),
        (Looked(ALONE), PATIENCE_MS),
        (Opened((HOME,)), PATIENCE_MS + 1),
        (Looked(ON_AIR), PATIENCE_MS + 2),
        (Chose(CHOICE), PATIENCE_MS + 3),
        (Chose(Choice("Other", "twice is no choice")), PATIENCE_MS + 4),
        (Looked(ON_AIR), PATIENCE_MS + 3 + ANSWER_MS - 1),
        (Looked(ON_AIR), PATIENCE_MS + 3 + ANSWER_MS),
        (Tried(None), PATIENCE_MS + 9000),
    )
    assert state == Settled()
    assert done == [OpenHotspot(), CloseHotspot(), Try(CHOICE)]


def test_it_waits_its_minutes_and_not_one_moment_less() -> None:
    assert walked((Looked(ALONE), PATIENCE_MS - 1)) == (Watching(PATIENCE_MS), [])


@pytest.mark.parametrize("trouble", Trouble)
def test_a_network_that_does_not_work_is_asked_for_again_with_the_reason(trouble: Trouble) -> None:
    state, actions = step(Trying("Casa"), Tried(trouble), 0)
    assert (state, actions) == (Opening(Failure("Casa", trouble)), (OpenHotspot(),))
    state, _ = step(state, Opened((HOME,)), 0)
    assert state == Open((HOME,), Failure("Casa", trouble))
    state, actions = step(state, LookAgain(), 0)
    assert (state, actions) == (Opening(Failure("Casa", trouble)), (CloseHotspot(), OpenHotspot()))


@pytest.mark.parametrize(
    "facts",
    [
        Facts(is_online=True, is_configured=False, has_wifi=True),
        Facts(is_online=False, is_configured=True, has_wifi=True),
    ],
)
def test_a_hub_that_has_a_network_or_was_given_one_never_opens_its_own(facts: Facts) -> None:
    assert walked((Looked(facts), PATIENCE_MS), (Looked(ALONE), 10 * PATIENCE_MS)) == (Settled(), [])
    assert step(Open((HOME,)), Looked(facts), 0) == (Settled(), (CloseHotspot(),)), "a cable comes later"


def test_without_a_card_nothing_is_opened() -> None:
    without = Facts(is_online=False, is_configured=False, has_wifi=False)
    assert walked((Looked(without), 9 * PATIENCE_MS))[1] == []


def test_a_hotspot_that_fails_is_tried_again_and_one_left_behind_is_taken_over_at_once() -> None:
    assert step(Opening(), NotOpened(), 7) == (Watching(7 + AGAIN_MS), (CloseHotspot(),))
    assert step(Open(()), NotOpened(), 7) == (Watching(7 + AGAIN_MS), (CloseHotspot(),))
    assert step(Open((HOME,)), Looked(ALONE), 7) == (Opening(), (CloseHotspot(), OpenHotspot()))
    assert step(begun(0, PATIENCE_MS), Looked(ON_AIR), 1) == (Opening(), (OpenHotspot(),))


def test_an_event_that_does_not_belong_changes_nothing() -> None:
    late: tuple[Event, ...] = (Chose(CHOICE), LookAgain(), Opened((HOME,)), Tried(None))
    states: tuple[State, ...] = (Settled(), Watching(5))
    for state, event in product(states, late):
        assert step(state, event, 99) == (state, ())
    answering = Answering(CHOICE, 10)
    assert step(answering, LookAgain(), 99) == (answering, ())


def test_no_representation_has_the_password() -> None:
    for one in (CHOICE, Try(CHOICE), Chose(CHOICE), Answering(CHOICE, 0)):
        assert "sombra" not in repr(one)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (b"ssid=Casa&other=&password=sol+y+sombra", CHOICE),
        (b"ssid=Casa&other=Caf%C3%A9&password=12345678", Choice("Café", "12345678", is_hidden=True)),
        (b"ssid=Free&password=", Choice("Free", "")),
        (b"ssid=Free&password=typed-all-the-same", Choice("Free", "")),
        (b"other=Hidden&password=", Choice("Hidden", "", is_hidden=True)),
        (b"ssid=Casa&password=" + b"a1" * 32, Choice("Casa", "a1" * 32)),
    ],
)
def test_what_is_typed_is_taken(form: bytes, expected: Choice) -> None:
    assert chosen(form, (HOME, Network("Free", 30, is_protected=False))) == expected


@pytest.mark.parametrize(
    ("form", "said"),
    [
        (b"", NO_NETWORK),
        (b"other=+&password=12345678", NO_NETWORK),
        (b"\xff", NO_NETWORK),
        (b"ssid=%ff&password=12345678", NO_NETWORK),
        (b"&".join([b"ssid=Casa"] * 9), NO_NETWORK),
        (b"other=" + b"a" * 33, NAME_TOO_LONG),
        (b"ssid=Casa&password=1234567", NO_PASSWORD),
        (b"ssid=Casa", NO_PASSWORD),
        (b"ssid=Casa&password=" + b"z" * 64, PASSWORD_TOO_LONG),
        (b"ssid=Casa&password=contrase%C3%B1a", PASSWORD_TOO_LONG),
    ],
)
def test_what_cannot_be_tried_is_said_at_once(form: bytes, said: str) -> None:
    with pytest.raises(NotChosenError, match=r"^.") as refused:
        chosen(form, (HOME,))
    assert str(refused.value) == said


def heard(*states: tuple[int, int]) -> Attempt:
    attempt = Attempt()
    for new_state, reason in states:
        attempt.hear(new_state, reason)
    return attempt


@pytest.mark.parametrize(
    ("states", "trouble"),
    [
        (((40, 0), (50, 0), (60, 0), (120, 7)), Trouble.WRONG_PASSWORD),
        (((40, 0), (50, 0), (120, 8)), Trouble.WRONG_PASSWORD),
        (((40, 0), (50, 0), (120, 53)), Trouble.OUT_OF_RANGE),
        (((40, 0), (50, 0), (120, 11)), Trouble.OUT_OF_RANGE),
        (((50, 0), (70, 0), (120, 5)), Trouble.NO_ADDRESS),
        (((50, 0), (70, 0), (120, 8)), Trouble.NO_ADDRESS),
        (((40, 0), (120, 1)), Trouble.REFUSED),
        (((50, 0), (70, 0), (100, 0)), None),
    ],
)
def test_why_an_attempt_failed(states: tuple[tuple[int, int], ...], trouble: Trouble | None) -> None:
    attempt = heard(*states)
    assert (attempt.trouble, attempt.is_joined, attempt.is_over) == (trouble, trouble is None, True)


def test_what_is_said_of_an_attempt_that_does_not_end() -> None:
    assert heard((40, 0), (50, 0)).late() is Trouble.OUT_OF_RANGE
    assert heard((40, 0), (50, 0), (70, 0)).late() is Trouble.NO_ADDRESS
    assert not heard((40, 0), (70, 0)).is_over


def point(ssid: bytes, strength: int, **changes: int) -> dict[str, object]:
    plain = {"Ssid": ssid, "Strength": strength, "Mode": 2, "Flags": 1, "WpaFlags": 0, "RsnFlags": 0x188}
    return plain | changes


def test_networks_are_listed_once_strongest_first() -> None:
    listed = networks_of(
        [
            point(b"Casa", 40),
            point(b"Casa", 80),
            point(b"Vecino", 60),
            point(b"Free", 90, Flags=0, RsnFlags=0),
            point(b"", 99),
            point(b"\0\0\0", 99),
            point(b"\xff\xfe", 99),
            point(b"two\nlines", 99),
            point(b"adhoc", 99, Mode=1),
        ]
    )
    assert listed == (Network("Free", 90, is_protected=False), Network("Casa", 80), Network("Vecino", 60))
