"""What is in quarantine is nobody's: not when it comes, not when its device is assigned, not when it comes again."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.cloud.ingest.test_storing import ASSIGNED, Ingest, batch
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase, restored
from tests.support.readings import HUB, OXIMETER, PATIENT, reading

import bedside_cloud.ingest
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.readings import (
    ConfirmRequest,
    DismissRequest,
    LatestRequest,
    QuarantineAnswer,
    QuarantinedMeasurement,
    QuarantineReason,
    QuarantineRequest,
    StoredReadings,
    TrendRequest,
)
from bedside_cloud.contracts.registry import Assignment, AssignmentSnapshot, Retirement
from bedside_cloud.database.pool import Database
from bedside_cloud.ingest.assignments import NOBODY, Assignments
from bedside_cloud.ingest.attachment import attach
from bedside_cloud.ingest.endpoints import Endpoints
from bedside_cloud.ingest.quarantine import Quarantine
from bedside_profiles.readings import Attribution, ClockQuality, Metric, Modality, Reading

IN_QUARANTINE = Attribution.QUARANTINED


@asynccontextmanager
async def opened_ingest(database: TestDatabase) -> AsyncIterator[Ingest]:
    folder = Path(bedside_cloud.ingest.__file__).parent / "schema"
    async with Database.open(database.settings("ingest"), (folder,)) as opened:
        yield Ingest(opened, database.superuser_dsn)


@pytest.fixture
async def ingest(database: TestDatabase) -> AsyncIterator[Ingest]:
    async with opened_ingest(database) as opened:
        yield opened


def quarantined(value: float, seq: int) -> Reading:
    return reading(value, seq=seq, attribution=IN_QUARANTINE)


def owners(ingest: Ingest) -> list[str | None]:
    rows = ingest.rows("readings", "store_id, seq")
    return [None if row["patient_id"] is None else str(row["patient_id"]) for row in rows]


async def attached(ingest: Ingest, *assignments: Assignment) -> None:
    async with ingest.database.transaction() as connection:
        await attach(connection, AssignmentSnapshot(version=2, assignments=assignments))


async def test_a_quarantined_reading_is_stored_and_is_nobodys(ingest: Ingest) -> None:
    stored = await ingest.store(batch(quarantined(80.0, 1), reading(97.0, seq=2), quarantined(81.0, 3)))
    assert stored.settled == ((1, 3),), "it is kept like any other"
    assert owners(ingest) == [None, PATIENT, None]
    (outbox,) = ingest.rows("outbox")
    said = StoredReadings.model_validate_json(outbox["body"])
    assert [one.seq for one in said.readings] == [2], "no rule and no screen hears of it"
    endpoints = Endpoints(ingest.database, lambda: NOBODY)
    latest = await endpoints.latest(LatestRequest(patient_ids=(PATIENT,)))
    assert [one.value for one in latest.readings] == [97.0]
    asked = TrendRequest(patient_id=PATIENT, metric=Metric.SPO2, from_ms=0, until_ms=NOON_MS + 1)
    for request in (asked, asked.model_copy(update={"columns": 10})):
        assert {point.value for point in (await endpoints.trend(request)).points} == {97.0}


async def test_a_batch_of_quarantined_readings_alone_is_announced_to_nobody(ingest: Ingest) -> None:
    stored = await ingest.store(batch(quarantined(80.0, 1)))
    assert (stored.settled, stored.announcement, ingest.rows("outbox")) == (((1, 1),), None, [])


async def test_an_assignment_that_comes_later_does_not_take_it_out(ingest: Ingest) -> None:
    await ingest.store(batch(quarantined(80.0, 1), reading(97.0, seq=2)), assignments=Assignments(NOBODY))
    await attached(ingest, Assignment(device_id=OXIMETER, patient_id=PATIENT, from_ms=0))
    assert owners(ingest) == [None, PATIENT]
    assert (await Endpoints(ingest.database, lambda: NOBODY).unassigned(Empty())).devices == (), (
        "nobody waits for an assignment"
    )


async def test_it_stays_in_quarantine_when_its_hub_sends_it_again(ingest: Ingest) -> None:
    for store_id in ("a" * 32, "b" * 32):
        for _ in range(2):
            await ingest.store(batch(quarantined(80.0, 1), store_id=store_id), assignments=ASSIGNED)
    await attached(ingest, Assignment(device_id=OXIMETER, patient_id=PATIENT, from_ms=0))
    assert owners(ingest) == [None, None]


async def test_a_restored_database_gives_it_to_nobody_either(
    ingest: Ingest, database: TestDatabase, tmp_path: Path
) -> None:
    """What the backup holds, what its hub sends again, and what came after the backup and is sent once more."""
    lost = batch(quarantined(82.0, 3), *pressures(4, attribution=IN_QUARANTINE))
    await ingest.store(batch(quarantined(80.0, 1), quarantined(81.0, 2)))
    await Decisions(ingest).dismiss(2)
    copy = restored(database, tmp_path)
    await ingest.store(lost)
    async with opened_ingest(copy) as again:
        for one in (batch(quarantined(80.0, 1), quarantined(81.0, 2)), lost):
            assert (await again.store(one)).conflicts == 0
        await attached(again, assigned())
        assert owners(again) == [None] * 6
        assert again.rows("outbox") == []
        assert {one.first_seq for one in await Decisions(again).listed()} == {1, 3, 4}, "a decision is restored too"


HOUR_MS = 3_600_000
RETIRED_MS = NOON_MS - 2 * HOUR_MS


def out_of_service(*assignments: Assignment, until_ms: int | None = None) -> AssignmentSnapshot:
    """The hub was retired; `until_ms` is when it came back."""
    retirement = Retirement(hub_id=HUB, from_ms=RETIRED_MS, until_ms=until_ms)
    return AssignmentSnapshot(version=4, assignments=assignments, retirements=(retirement,))


def around_it() -> list[Reading]:
    """Just before, at that moment, an hour later."""
    times = (RETIRED_MS - 1, RETIRED_MS, RETIRED_MS + HOUR_MS)
    return [reading(97.0, seq=1 + place, taken_at_ms=at) for place, at in enumerate(times)]


def reasons(ingest: Ingest) -> list[str | None]:
    return [row["quarantine_reason"] for row in ingest.rows("readings", "store_id, seq")]


async def test_what_a_retired_hub_measured_is_the_patients_up_to_that_moment_alone(ingest: Ingest) -> None:
    await ingest.store(batch(*around_it()), assignments=Assignments(out_of_service(assigned())))
    assert owners(ingest) == [PATIENT, None, None]
    assert reasons(ingest) == [None, "hub_retired", "hub_retired"]
    assert [one.first_seq for one in await Decisions(ingest).listed()] == [3, 2]
    await Decisions(ingest).confirm(2)
    assert owners(ingest) == [PATIENT, PATIENT, None], "a person may know whose it is"


async def test_what_another_hub_measured_with_the_same_device_is_the_patients(ingest: Ingest) -> None:
    snapshot = out_of_service(assigned())
    moved = snapshot.model_copy(update={"retirements": (Retirement(hub_id="hub-0002", from_ms=RETIRED_MS),)})
    await ingest.store(batch(*around_it()), assignments=Assignments(moved))
    assert owners(ingest) == [PATIENT] * 3


@pytest.mark.parametrize(
    ("until_ms", "whose"),
    [(None, [PATIENT, None, None]), (RETIRED_MS + HOUR_MS, [PATIENT, None, PATIENT])],
    ids=["still retired", "back in service"],
)
async def test_an_assignment_that_comes_later_gives_a_retired_hubs_readings_to_nobody(
    ingest: Ingest, until_ms: int | None, whose: list[str | None]
) -> None:
    await ingest.store(batch(*around_it()), assignments=Assignments(NOBODY))
    for _ in range(2):
        async with ingest.database.transaction() as connection:
            await attach(connection, out_of_service(assigned(), until_ms=until_ms))
    assert owners(ingest) == whose
    assert reasons(ingest) == [None if one else "hub_retired" for one in whose]


SPOUSE = "77777777-7777-4777-8777-777777777777"
PERSON = str(uuid.uuid4())
STORE = "0123456789abcdef0123456789abcdef"
UNKNOWN, MISSING = QuarantineReason.USER_UNKNOWN, QuarantineReason.USER_MISSING
DAY_MS = 86_400_000


def assigned(patient_id: str = PATIENT, user: int | None = None, from_ms: int = 0) -> Assignment:
    return Assignment(device_id=OXIMETER, patient_id=patient_id, from_ms=from_ms, user=user)


def known(*assignments: Assignment) -> Assignments:
    return Assignments(AssignmentSnapshot(version=3, assignments=assignments))


SHARED = known(assigned(PATIENT, 1), assigned(SPOUSE, 2))


def of_users(*users: int | None) -> list[Reading]:
    return [reading(90.0 + place, seq=1 + place, device_user=user) for place, user in enumerate(users)]


def pressures(first_seq: int, **changes: Any) -> list[Reading]:
    """One measurement of two values and a pulse."""
    metrics = (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE)
    return [
        reading(
            120.0 - 20 * place, seq=first_seq + place, metric=metric, modality=Modality.SPOT, group=first_seq, **changes
        )
        for place, metric in enumerate(metrics)
    ]


class Decisions:
    """The quarantine under test, and what it announced."""

    def __init__(self, ingest: Ingest) -> None:
        self.announced: list[StoredReadings] = []
        self.quarantine = Quarantine(ingest.database, self._announce)

    async def _announce(self, body: bytes) -> None:
        self.announced.append(StoredReadings.model_validate_json(body))

    async def listed(self, **request: object) -> tuple[QuarantinedMeasurement, ...]:
        return (await self.answer(**request)).measurements

    async def answer(self, **request: object) -> QuarantineAnswer:
        return await self.quarantine.listed(QuarantineRequest.model_validate(request))

    async def confirm(self, first_seq: int, patient_id: str = PATIENT, **more: object) -> int:
        request = {"hub_id": HUB, "store_id": STORE, "first_seq": first_seq, "patient_id": patient_id, **more}
        return (await self.quarantine.confirm(ConfirmRequest.model_validate({"person_id": PERSON, **request}))).readings

    async def dismiss(self, first_seq: int, **more: object) -> int:
        request = {"hub_id": HUB, "store_id": STORE, "first_seq": first_seq, "person_id": PERSON, **more}
        return (await self.quarantine.dismiss(DismissRequest.model_validate(request))).readings


async def test_each_slot_of_a_shared_device_goes_to_its_owner(ingest: Ingest) -> None:
    await ingest.store(batch(*of_users(1, 2, 3, None)), assignments=SHARED)
    assert owners(ingest) == [PATIENT, SPOUSE, None, None]
    found = await Decisions(ingest).listed()
    assert {(one.first_seq, one.user, one.reason) for one in found} == {(3, 3, UNKNOWN), (4, None, MISSING)}
    (outbox,) = ingest.rows("outbox")
    said = StoredReadings.model_validate_json(outbox["body"])
    assert [(one.seq, one.patient_id) for one in said.readings] == [(1, PATIENT), (2, SPOUSE)]


async def test_without_a_slot_only_the_lowest_is_the_patients(ingest: Ingest) -> None:
    await ingest.store(batch(*of_users(None, 0, 1, 2)), assignments=known(assigned()))
    assert owners(ingest) == [PATIENT, PATIENT, PATIENT, None]


async def test_what_waited_for_an_assignment_goes_to_the_owner_of_its_slot_or_into_quarantine(ingest: Ingest) -> None:
    await ingest.store(batch(*of_users(1, 2, 3, None)), assignments=Assignments(NOBODY))
    assert await Decisions(ingest).listed() == (), "nobody is measured: nothing is in doubt"
    await attached(ingest, assigned(PATIENT, 1), assigned(SPOUSE, 2))
    assert owners(ingest) == [PATIENT, SPOUSE, None, None]
    found = await Decisions(ingest).listed()
    assert {(one.first_seq, one.reason) for one in found} == {(3, UNKNOWN), (4, MISSING)}
    assert (await Endpoints(ingest.database, lambda: NOBODY).unassigned(Empty())).devices == ()


@pytest.mark.parametrize(
    ("stamped_hours_ago", "quality", "modality", "owner"),
    [
        (72, ClockQuality.UNSYNCED, Modality.SPOT, None),
        (72, ClockQuality.RESOLVED, Modality.SPOT, None),
        # Its clock may be wrong by a day.
        (12, ClockQuality.RESOLVED, Modality.SPOT, PATIENT),
        (72, ClockQuality.SYNCED, Modality.SPOT, PATIENT),
        (72, ClockQuality.RESOLVED, Modality.CONTINUOUS, PATIENT),
    ],
)
async def test_what_a_hub_without_the_time_read_in_a_memory_is_not_the_next_patients(
    ingest: Ingest, stamped_hours_ago: int, quality: ClockQuality, modality: Modality, owner: str | None
) -> None:
    hour_ms = 3_600_000
    stamp = datetime.fromtimestamp(NOON_MS / 1000 - stamped_hours_ago * 3600, UTC).replace(tzinfo=None, microsecond=0)
    kept = reading(80.0, seq=1, clock_quality=quality, modality=modality, device_time=stamp.isoformat())
    given = known(
        Assignment(device_id=OXIMETER, patient_id=SPOUSE, from_ms=0, until_ms=NOON_MS - 2 * hour_ms),
        assigned(PATIENT, from_ms=NOON_MS - hour_ms),
    )
    await ingest.store(batch(kept), assignments=given)
    assert owners(ingest) == [owner]
    listed = await Decisions(ingest).listed()
    assert [one.reason for one in listed] == ([QuarantineReason.UNDATED_OR_TEST] if owner is None else [])


@pytest.mark.parametrize("stamp", ["yesterday", "9999-12-31T23:59:59", "0001-01-01T00:00:00", ""])
async def test_a_stamp_that_is_none_keeps_nothing_from_its_patient_and_stops_nothing(
    ingest: Ingest, stamp: str
) -> None:
    odd = reading(80.0, seq=1, clock_quality=ClockQuality.RESOLVED, modality=Modality.SPOT, device_time=stamp)
    assert (await ingest.store(batch(odd), assignments=known(assigned()))).settled == ((1, 1),)
    assert owners(ingest) == [None if stamp.startswith("0001") else PATIENT]


async def test_a_slot_that_is_assigned_later_leaves_quarantine(ingest: Ingest) -> None:
    await ingest.store(batch(*of_users(1, 2), quarantined(70.0, 3)), assignments=known(assigned(PATIENT, 1)))
    assert owners(ingest) == [PATIENT, None, None]
    await attached(ingest, assigned(PATIENT, 1), assigned(SPOUSE, 2, NOON_MS + 1))
    assert owners(ingest) == [PATIENT, None, None], "it was taken before that"
    await attached(ingest, assigned(PATIENT, 1), assigned(SPOUSE, 2))
    assert owners(ingest) == [PATIENT, SPOUSE, None]
    assert [(one.first_seq, one.reason) for one in await Decisions(ingest).listed()] == [
        (3, QuarantineReason.UNDATED_OR_TEST)
    ]


async def test_a_confirmed_measurement_is_the_patients_as_a_whole_and_late_data(ingest: Ingest) -> None:
    undated = pressures(1, attribution=IN_QUARANTINE, device_time="2026-01-01T00:00:00", taken_at_ms=NOON_MS - DAY_MS)
    await ingest.store(batch(*undated, *pressures(4), *pressures(7, attribution=IN_QUARANTINE)))
    decisions = Decisions(ingest)
    first = (await decisions.listed())[-1]
    assert (first.hub_id, first.store_id, first.first_seq, first.device_id) == (HUB, STORE, 1, OXIMETER)
    assert first.metrics == (Metric.SYSTOLIC_PRESSURE, Metric.DIASTOLIC_PRESSURE, Metric.PULSE_RATE)
    assert (first.taken_at_ms, first.device_time) == (NOON_MS - DAY_MS, "2026-01-01T00:00:00")
    assert "120" not in first.model_dump_json(), "no value is told"
    assert await decisions.confirm(1, SPOUSE) == 3
    assert owners(ingest) == [SPOUSE] * 3 + [PATIENT] * 3 + [None] * 3
    assert {row["attribution"] for row in ingest.rows("readings") if row["seq"] <= 3} == {"confirmed"}
    (said,) = decisions.announced
    assert StoredReadings.model_validate_json(ingest.rows("outbox", "outbox_id")[-1]["body"]) == said
    assert [(one.patient_id, one.seq, one.taken_at_ms) for one in said.readings] == [
        (SPOUSE, seq, NOON_MS - DAY_MS) for seq in (1, 2, 3)
    ]
    (kept,) = ingest.rows("quarantine_decisions")
    assert (kept["decision"], str(kept["patient_id"]), str(kept["person_id"])) == ("confirmed", SPOUSE, PERSON)
    assert kept["decided_at"] is not None
    with pytest.raises(RefusedError) as again:
        await decisions.confirm(1)
    assert again.value.code == 404
    with pytest.raises(RefusedError):
        await decisions.confirm(4, SPOUSE)
    assert owners(ingest)[3:6] == [PATIENT] * 3, "what is not in quarantine is nobody's to decide"


async def test_a_person_may_say_when_it_was_taken(ingest: Ingest) -> None:
    await ingest.store(batch(*pressures(1, attribution=IN_QUARANTINE)))
    decisions = Decisions(ingest)
    with pytest.raises(RefusedError) as refused:
        await decisions.confirm(1, taken_at_ms=NOON_MS + 10**12)
    assert refused.value.code == 400
    assert await decisions.confirm(1, taken_at_ms=NOON_MS - DAY_MS) == 3
    assert {one.taken_at_ms for one in decisions.announced[0].readings} == {NOON_MS - DAY_MS}
    row = ingest.rows("readings", "seq")[0]
    assert (row["stated_at"] - row["taken_at"]).total_seconds() == 86_400, "what the hub said is kept"


async def test_a_dismissed_measurement_is_kept_and_never_anybodys(ingest: Ingest) -> None:
    await ingest.store(
        batch(*pressures(1, attribution=IN_QUARANTINE), reading(seq=4, device_user=2)), assignments=known(assigned())
    )
    decisions = Decisions(ingest)
    assert await decisions.dismiss(1) == 3
    assert await decisions.dismiss(4) == 1
    assert (await decisions.listed(), decisions.announced) == ((), [])
    await attached(ingest, assigned(PATIENT, 1), assigned(SPOUSE, 2))
    await ingest.store(batch(*pressures(1, attribution=IN_QUARANTINE)), assignments=SHARED)
    assert (owners(ingest), ingest.rows("outbox")) == ([None] * 4, [])
    assert {row["attribution"] for row in ingest.rows("readings")} == {"dismissed"}
    for decide in (decisions.dismiss, decisions.confirm):
        with pytest.raises(RefusedError):
            await decide(1)


async def test_a_confirmation_can_be_taken_back(ingest: Ingest) -> None:
    await ingest.store(batch(*pressures(1, attribution=IN_QUARANTINE)))
    decisions = Decisions(ingest)
    await decisions.confirm(1)
    assert await decisions.dismiss(1) == 3
    assert owners(ingest) == [None] * 3
    said = [row["decision"] for row in ingest.rows("quarantine_decisions", "decision_id")]
    assert said == ["confirmed", "dismissed"]


async def test_two_people_who_decide_at_once_are_told_apart(ingest: Ingest) -> None:
    await ingest.store(batch(*pressures(1, attribution=IN_QUARANTINE)))
    decisions = Decisions(ingest)
    answers = await asyncio.gather(
        *(decisions.confirm(1, who) for who in (PATIENT, SPOUSE) * 3), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in answers) == ["RefusedError"] * 5 + ["int"]
    (kept,) = ingest.rows("quarantine_decisions")
    assert owners(ingest) == [str(kept["patient_id"])] * 3


async def test_a_store_is_named_by_its_beginning_while_no_other_begins_so(ingest: Ingest) -> None:
    for store_id in (STORE, STORE[:8] + "f" * 24):
        await ingest.store(batch(*pressures(1, attribution=IN_QUARANTINE), store_id=store_id))
    decisions = Decisions(ingest)
    with pytest.raises(RefusedError) as unclear:
        await decisions.confirm(1, store_id=STORE[:8])
    assert unclear.value.code == 409
    for nobodys in ("ffff", STORE + "0"):
        with pytest.raises(RefusedError) as unknown:
            await decisions.confirm(1, store_id=nobodys)
        assert unknown.value.code == 404
    assert await decisions.confirm(1, store_id=STORE[:10]) == 3
    assert {row["store_id"] for row in ingest.rows("readings") if row["patient_id"] is not None} == {STORE}


async def test_the_list_is_the_newest_first_and_says_when_there_are_more(ingest: Ingest) -> None:
    late = [reading(seq=seq, taken_at_ms=NOON_MS + seq, attribution=IN_QUARANTINE) for seq in range(1, 6)]
    await ingest.store(batch(*late, reading(seq=9, device_id="other", attribution=IN_QUARANTINE)))
    decisions = Decisions(ingest)
    answer = await decisions.answer(most=2)
    assert ([one.first_seq for one in answer.measurements], answer.more) == ([5, 4], True)
    answer = await decisions.answer(device_id="other")
    assert ([one.first_seq for one in answer.measurements], answer.more) == ([9], False)
