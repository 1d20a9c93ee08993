"""When the hub opens a network of its own, and what comes of what somebody chose."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

ALONE = Facts(is_online=False, is_configured=False, has_wifi=True)
UP = replace(ALONE, has_hotspot=True)
ONLINE = replace(UP, is_online=True)
HOME = Network("Home", 80)
CHOICE = Choice("Home", "a secret of the home")
WRONG = Failure("Home", Trouble.WRONG_PASSWORD)
PATIENCE_MS = 180_000


@pytest.mark.parametrize(
    ("facts", "now_ms", "expected"),
    [
        (ALONE, PATIENCE_MS - 1, (Watching(PATIENCE_MS), ())),
        (ALONE, PATIENCE_MS, (Opening(), (OpenHotspot(),))),
        (UP, 0, (Opening(), (OpenHotspot(),))),
        (replace(ALONE, has_wifi=False), PATIENCE_MS, (Watching(PATIENCE_MS), ())),
        (replace(ALONE, is_online=True), PATIENCE_MS, (Settled(), ())),
        # The router is away for a while: the hotspot would keep the adapter from the network that comes back.
        (replace(ALONE, is_configured=True), PATIENCE_MS, (Settled(), ())),
    ],
)
def test_it_opens_only_where_nobody_gave_a_network(
    facts: Facts, now_ms: int, expected: tuple[State, tuple[Action, ...]]
) -> None:
    assert step(begun(0, PATIENCE_MS), Looked(facts), now_ms) == expected


def test_a_choice_is_answered_then_tried_and_a_failure_is_told_on_the_page() -> None:
    opened, _ = step(Opening(), Opened((HOME,)), 0)
    assert opened == Open((HOME,))
    answering, actions = step(opened, Chose(CHOICE), 1000)
    assert (answering, actions) == (Answering(CHOICE, 1000 + ANSWER_MS), ())
    assert step(answering, Looked(UP), 999 + ANSWER_MS) == (answering, ())
    trying, actions = step(answering, Looked(UP), 1000 + ANSWER_MS)
    assert (trying, actions) == (Trying("Home"), (CloseHotspot(), Try(CHOICE)))
    again, actions = step(trying, Tried(Trouble.WRONG_PASSWORD), 9000)
    assert (again, actions) == (Opening(WRONG), (OpenHotspot(),))
    assert step(again, Opened((HOME,)), 9500) == (Open((HOME,), WRONG), ())
    assert step(trying, Tried(None), 9000) == (Settled(), ())


def test_a_network_that_comes_by_another_way_closes_it() -> None:
    assert step(Open((HOME,)), Looked(ONLINE), 0) == (Settled(), (CloseHotspot(),))
    assert step(Open((HOME,)), Looked(replace(UP, is_configured=True)), 0) == (Settled(), (CloseHotspot(),))


def test_a_list_can_be_had_anew_and_keeps_what_was_wrong() -> None:
    assert step(Open((HOME,), WRONG), LookAgain(), 0) == (Opening(WRONG), (CloseHotspot(), OpenHotspot()))
    assert step(Open((HOME,), WRONG), Looked(ALONE), 0) == (Opening(WRONG), (CloseHotspot(), OpenHotspot()))


STATES: tuple[State, ...] = (
    Watching(5),
    Opening(WRONG),
    Open((HOME,), WRONG),
    Answering(CHOICE, 5),
    Trying("Home"),
    Settled(),
)
EVENTS: tuple[Event, ...] = (
    Looked(ALONE),
    Looked(UP),
    Looked(ONLINE),
    Opened((HOME,)),
    NotOpened(),
    Chose(CHOICE),
    LookAgain(),
    Tried(None),
    Tried(Trouble.NO_ADDRESS),
)


@pytest.mark.parametrize("state", [Opening(), Open((HOME,)), Answering(CHOICE, 0), Trying("Home")])
def test_one_that_cannot_be_opened_is_closed_and_tried_again_later(state: State) -> None:
    assert step(state, NotOpened(), 7) == (Watching(7 + AGAIN_MS), (CloseHotspot(),))


@given(st.lists(st.sampled_from(EVENTS), max_size=40))
def test_no_history_leaves_it_open_beside_a_network(events: list[Event]) -> None:
    """Whatever comes, in whatever order: only a state with a hotspot has one, and the end has none."""
    state, is_open = begun(0, 0), False
    for number, event in enumerate(events):
        state, actions = step(state, event, number * ANSWER_MS)
        for action in actions:
            is_open = isinstance(action, OpenHotspot)
        if isinstance(state, Settled | Trying | Watching):
            assert not is_open, (state, event)


@pytest.mark.parametrize("event", EVENTS)
def test_the_end_is_the_end(event: Event) -> None:
    assert step(Settled(), event, 1 << 40) == (Settled(), ())


def test_no_log_can_have_the_password() -> None:
    for state in STATES:
        assert CHOICE.password not in repr(state)
    assert CHOICE.password not in repr(Chose(CHOICE)) + repr(Try(CHOICE))
