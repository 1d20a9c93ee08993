"""Whose turn it is for a connection: the decision as a table, then the queue around it."""

import asyncio
import random

import pytest

from bedside_agent.radio.central import SlotsExhaustedError
from bedside_agent.radio.slots import Place, Slot, Slots, next_turn, streaming_limit, to_yield

NEVER = 3600.0


def slot(kind: str, since: float = 0, heard_at: float = 0) -> Slot:
    return Slot("hci0", kind == "streams", since, lambda: None, heard_at)


# waiting, held, slots, devices of both kinds → the place of whoever is next, or None
TURNS = [
    ([], [], 5, False, None),
    (["streams"], [], 5, False, 0),
    (["streams", "visits"], [], 5, True, 0),
    (["streams"], ["streams"] * 5, 5, False, None),
    (["streams"], ["streams"] * 4, 5, False, 0),
    (["streams"], ["streams"] * 4, 5, True, None),
    (["streams", "visits"], ["streams"] * 4, 5, True, 1),
    (["visits"], ["visits"] * 5, 5, True, None),
    (["streams"], ["visits"] * 4, 5, True, 0),
    (["streams"], [], 1, True, 0),
    (["visits"], ["streams"], 1, True, None),
]


@pytest.mark.parametrize(("waiting", "held", "count", "mixed", "expected"), TURNS)
def test_who_is_next(waiting: list[str], held: list[str], count: int, mixed: bool, expected: int | None) -> None:
    those = [slot(kind, since) for since, kind in enumerate(waiting)]
    served = next_turn(those[::-1], [slot(kind) for kind in held], count, mixed=mixed)
    assert served is (None if expected is None else those[expected])


# waiting, held with the time at which each was heard last, slots, both kinds → the times of those that are asked
YIELDS = [
    ([], [("visits", 3)], 1, False, []),
    (["visits"], [("visits", 3)], 2, False, []),
    (["visits"], [("visits", 3), ("visits", 1)], 2, False, [1]),
    (["visits", "visits"], [("visits", 3), ("visits", 1)], 2, False, [1, 3]),
    (["visits"], [("streams", 0), ("visits", 2)], 2, True, [2]),
    (["visits"], [("streams", 0), ("streams", 0)], 2, False, []),
    (["streams"], [("streams", 0), ("visits", 2)], 2, True, []),
    (["streams"], [("visits", 1), ("visits", 2)], 2, True, [1]),
    (["streams", "streams"], [("visits", 1), ("visits", 2)], 2, True, [1]),
    (["streams"], [("streams", 0)], 1, True, []),
]


@pytest.mark.parametrize(("waiting", "held", "count", "mixed", "expected"), YIELDS)
def test_who_makes_room(
    waiting: list[str], held: list[tuple[str, float]], count: int, mixed: bool, expected: list[float]
) -> None:
    asked = to_yield([slot(kind) for kind in waiting], [slot(kind, 0, at) for kind, at in held], count, mixed=mixed)
    assert [one.heard_at for one in asked] == expected


def test_a_single_slot_is_kept_for_nobody() -> None:
    assert [streaming_limit(count, mixed=True) for count in (1, 2, 5)] == [1, 1, 4]


async def hold(place: Place, until: asyncio.Event, log: list[str], name: str, on_wanted: asyncio.Event) -> None:
    async with place.slot("hci0", on_wanted.set, NEVER):
        log.append(name)
        await until.wait()


@pytest.mark.looptime
async def test_a_slot_that_nobody_gives_back_is_told_in_time_and_the_place_in_the_queue_is_kept() -> None:
    slots, done, log = Slots(1), asyncio.Event(), list[str]()
    holder = asyncio.create_task(hold(slots.place(streams=True), done, log, "holder", asyncio.Event()))
    await asyncio.sleep(1)
    patient, late = slots.place(streams=True), slots.place(streams=True)
    with pytest.raises(SlotsExhaustedError, match="all 1 connection slots were taken for 60 s"):
        async with patient.slot("hci0", lambda: None, 60):
            pass
    second = asyncio.create_task(hold(late, asyncio.Event(), log, "late", asyncio.Event()))
    await asyncio.sleep(1)
    first = asyncio.create_task(hold(patient, done, log, "patient", asyncio.Event()))
    await asyncio.sleep(1)
    done.set()
    await asyncio.sleep(1)
    assert log == ["holder", "patient", "late"]
    second.cancel()
    await asyncio.wait({holder, first, second})
    assert slots.held("hci0") == 0


@pytest.mark.looptime
async def test_whoever_is_asked_to_yield_is_told_and_told_that_it_is_over() -> None:
    slots, log = Slots(1), list[str]()
    wanted = asyncio.Event()
    async with slots.place(streams=False).slot("hci0", wanted.set, 1) as held:
        asking = asyncio.create_task(hold(slots.place(streams=False), asyncio.Event(), log, "other", asyncio.Event()))
        await wanted.wait()
        told = [held.is_wanted]
        wanted.clear()
        asking.cancel()
        await wanted.wait()
        assert [*told, held.is_wanted] == [True, False]
    assert log == []


async def test_adapters_have_their_own() -> None:
    slots = Slots(1)
    first, second = slots.place(streams=True), slots.place(streams=True)
    async with first.slot("hci0", lambda: None, 1), second.slot("hci1", lambda: None, 1):
        assert (slots.held("hci0"), slots.held("hci1")) == (1, 1)


@pytest.mark.looptime
async def test_no_slot_is_lost_or_given_twice_whatever_is_cancelled() -> None:
    dice, slots, most = random.Random(5), Slots(3), 0

    async def user(place: Place) -> None:
        nonlocal most
        while True:
            try:
                async with place.slot("hci0", lambda: None, dice.uniform(0, 2)):
                    most = max(most, slots.held("hci0"))
                    await asyncio.sleep(dice.choice((0, dice.uniform(0, 1))))
            except SlotsExhaustedError:
                pass
            await asyncio.sleep(dice.choice((0, 0.01)))

    places = [slots.place(streams=bool(number % 2)) for number in range(10)]
    users = {place: asyncio.create_task(user(place)) for place in places}
    for _ in range(2000):
        await asyncio.sleep(dice.choice((0, 0, dice.uniform(0, 0.1))))
        place = dice.choice(places)
        users[place].cancel()
        await asyncio.wait({users[place]})
        users[place] = asyncio.create_task(user(place))
    for task in users.values():
        task.cancel()
    await asyncio.wait(users.values())
    assert most == 3
    assert slots.held("hci0") == 0
    async with slots.place(streams=False).slot("hci0", lambda: None, 0.1):
        pass
