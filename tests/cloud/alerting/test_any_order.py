"""Whatever is delivered, in whatever order and however often: what holds of alerts at every moment.

The hub is a model: it raises, updates and clears one condition, one occurrence after the other. What it said reaches
the writer late, twice, or overtaken, and so do stored readings, while rules change and people acknowledge.
"""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from tests.support.clock import NOON_MS
from tests.support.database import TestDatabase
from tests.support.readings import HUB, OXIMETER, PATIENT, alarm
from tests.support.readings import rule as threshold_rule
from tests.support.timeline import NURSE, PLAN, STORE

import bedside_cloud.alerting
from bedside_cloud.alerting import store, writer
from bedside_cloud.alerting.cloud_source import held_conditions
from bedside_cloud.alerting.lifecycle import AlertRecord
from bedside_cloud.contracts.alerts import AcknowledgeRequest, AlertSource
from bedside_cloud.contracts.readings import StoredAlarm, StoredReading
from bedside_cloud.contracts.registry import Plan
from bedside_cloud.database.pool import Database
from bedside_profiles.readings import Metric, Modality
from bedside_profiles.rules.priority import ORDER, Priority
from bedside_profiles.wire.alarm import Alarm, AlarmState

T = TypeVar("T")
CONDITION = "spo2_low"
SEVERE = threshold_rule(onset_delay_ms=0)
MILD = threshold_rule(rule_id="spo2-lowish", limit=92, clear_limit=94, priority=Priority.MEDIUM, onset_delay_ms=0)
RULE_SETS = ((SEVERE,), (SEVERE, MILD), (MILD,), ())
VALUES = st.sampled_from([70.0, 87.0, 89.0, 91.0, 93.0, 97.0])


class AnyOrder(RuleBasedStateMachine):
    """One patient, one condition. Everything happens within minutes, so that nobody is stale."""

    runner: asyncio.Runner
    dsn: str

    def __init__(self) -> None:
        super().__init__()
        self.now_ms = NOON_MS
        self.seq = 0
        self.plan: Plan = PLAN.model_copy(update={"rules": RULE_SETS[1]})
        self.rules_fresh = True
        self.episode: str | None = None
        self.said: list[Alarm] = []
        self.delivered: list[Alarm] = []
        self.batches: list[tuple[StoredReading, ...]] = []
        self.versions: dict[str, int] = defaultdict(int)
        self.names: dict[str, str] = {}
        self.urgency: dict[str, int] = defaultdict(int)
        self.connection: AsyncConnection[TupleRow] = self.do(self.connect())

    async def connect(self) -> AsyncConnection[TupleRow]:
        return await AsyncConnection.connect(self.dsn, options="-c search_path=alerting")

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        try:
            self.everything_arrives()
        finally:
            self.do(self.connection.rollback())
            self.do(self.connection.close())

    def passes(self, seconds: int) -> int:
        self.now_ms += seconds * 1000
        return self.now_ms

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def note(self, changed: list[AlertRecord]) -> None:
        for record in changed:
            assert record.version == self.versions[record.alert_id] + 1, "versions grow by one"
            self.versions[record.alert_id] = record.version
            if ORDER.index(record.priority) > self.urgency[record.alert_id]:
                # It waits for a person again.
                self.urgency[record.alert_id] = ORDER.index(record.priority)
                self.names.pop(record.alert_id, None)

    # What happens at home.

    @rule(seconds=st.integers(1, 5), priority=st.sampled_from(list(Priority)))
    @precondition(lambda self: self.episode is None)
    def the_hub_raises(self, seconds: int, priority: Priority) -> None:
        self.episode = str(uuid.uuid4())
        self.says(AlarmState.RAISED, seconds, priority)

    @rule(seconds=st.integers(1, 5), priority=st.sampled_from(list(Priority)))
    @precondition(lambda self: self.episode is not None)
    def the_hub_updates(self, seconds: int, priority: Priority) -> None:
        self.says(AlarmState.UPDATED, seconds, priority)

    @rule(seconds=st.integers(1, 5))
    @precondition(lambda self: self.episode is not None)
    def the_hub_clears(self, seconds: int) -> None:
        self.says(AlarmState.CLEARED, seconds, Priority.HIGH)
        self.episode = None

    def says(self, state: AlarmState, seconds: int, priority: Priority) -> None:
        at_ms = self.passes(seconds)
        assert self.episode is not None
        one = alarm(seq=self.next_seq(), episode=self.episode, state=state, at_ms=at_ms, priority=priority)
        self.said.append(replace(one, onset_ms=at_ms, condition=CONDITION))

    @rule(values=st.lists(VALUES, min_size=1, max_size=4), seconds=st.integers(1, 5))
    def readings_are_stored(self, values: list[float], seconds: int) -> None:
        self.batches.append(
            tuple(
                StoredReading(
                    patient_id=PATIENT,
                    device_id=OXIMETER,
                    metric=Metric.SPO2,
                    value=value,
                    modality=Modality.CONTINUOUS,
                    taken_at_ms=self.passes(seconds),
                    store_id=STORE,
                    seq=self.next_seq(),
                )
                for value in values
            )
        )

    # What reaches alerting.

    @rule(place=st.integers(0, 100))
    @precondition(lambda self: self.said)
    def an_alarm_arrives(self, place: int) -> None:
        self.take(self.said.pop(place % len(self.said)))

    @rule()
    @precondition(lambda self: self.said)
    def the_oldest_alarm_arrives(self) -> None:
        self.take(self.said.pop(0))

    @rule(place=st.integers(0, 100))
    @precondition(lambda self: self.delivered)
    def an_alarm_arrives_again(self, place: int) -> None:
        message = self.message(self.delivered[place % len(self.delivered)])
        assert self.do(writer.take_hub_alarm(self.connection, message, self.plan)) == []

    def message(self, one: Alarm) -> StoredAlarm:
        return StoredAlarm(hub_id=HUB, store_id=STORE, patient_id=PATIENT, heard_at_ms=self.now_ms, alarm=one)

    def take(self, one: Alarm) -> None:
        changed = self.do(writer.take_hub_alarm(self.connection, self.message(one), self.plan))
        self.delivered.append(one)
        self.note(changed)
        if one.state is not AlarmState.CLEARED:
            assert changed, "no raise is ever without an alert"
            assert {record.first.condition for record in changed} == {CONDITION}

    @rule(place=st.integers(0, 100), again=st.booleans())
    @precondition(lambda self: self.batches)
    def readings_arrive(self, place: int, again: bool) -> None:
        place %= len(self.batches)
        batch = self.batches[place] if again else self.batches.pop(place)
        self.evaluate(batch)

    @rule()
    @precondition(lambda self: self.batches)
    def the_oldest_readings_arrive(self) -> None:
        self.evaluate(self.batches.pop(0))

    def evaluate(self, batch: tuple[StoredReading, ...]) -> None:
        self.note(self.do(writer.take_readings(self.connection, self.plan, batch, self.now_ms)))
        self.rules_fresh = True

    @rule()
    def time_is_looked_at(self) -> None:
        self.note(self.do(writer.take_time(self.connection, self.plan, self.now_ms)))
        self.rules_fresh = True

    @rule(rules=st.sampled_from(RULE_SETS), bump=st.booleans())
    def the_limits_change(self, rules: tuple[Any, ...], bump: bool) -> None:
        version = self.plan.version + 1
        changed = tuple(replace(one, version=version) if bump else one for one in rules)
        self.plan = self.plan.model_copy(update={"rules": changed, "version": version})
        self.rules_fresh = False

    @rule(place=st.integers(0, 100), name=st.sampled_from(["nurse", "physician"]))
    @precondition(lambda self: self.versions)
    def somebody_acknowledges(self, place: int, name: str) -> None:
        alert_id = list(self.versions)[place % len(self.versions)]
        request = AcknowledgeRequest(alert_id=alert_id, person_id=NURSE, person_name=name)
        record, changed = self.do(writer.acknowledge(self.connection, request, self.now_ms))
        self.note(changed)
        first = self.names.setdefault(alert_id, name)
        assert record.acknowledged_name == first, "the first name stands"

    # What always holds.

    def records(self) -> list[AlertRecord]:
        return self.do(store.alerts_of(self.connection, [PATIENT], 0))

    @invariant()
    def at_most_one_is_active(self) -> None:
        assert sum(record.active for record in self.records()) <= 1

    @invariant()
    def what_is_stored_is_what_was_told_and_names_stay(self) -> None:
        records = {record.alert_id: record for record in self.records()}
        assert {alert_id: record.version for alert_id, record in records.items()} == dict(self.versions)
        for alert_id, record in records.items():
            assert record.acknowledged_name == self.names.get(alert_id)

    @invariant()
    def an_alert_is_active_exactly_while_somebody_holds_it(self) -> None:
        for record in self.records():
            assert record.active == any(word.present for word in record.sources.values())

    @invariant()
    def the_cloud_holds_what_its_rules_hold(self) -> None:
        kept = self.do(store.rule_states(self.connection, PATIENT))
        held = held_conditions(self.plan, {rule_id: one.state for rule_id, one in kept.items()})
        if CONDITION in held:
            assert self.holds(AlertSource.CLOUD), "a rule is active, and no alert says so"
        elif self.rules_fresh:
            assert not self.holds(AlertSource.CLOUD), "no rule is active, so nothing would ever clear this"

    @invariant()
    def the_hub_holds_its_latest_occurrence(self) -> None:
        ended = {one.episode for one in self.delivered if one.state is AlarmState.CLEARED}
        raised = [one for one in self.delivered if one.state is not AlarmState.CLEARED]
        if raised and max(raised, key=lambda one: one.at_ms).episode not in ended:
            assert self.holds(AlertSource.HUB), "the hub's alarm goes on, and no alert says so"

    def holds(self, source: AlertSource) -> bool:
        words = [record.sources.get(source) for record in self.records() if record.active]
        return any(word is not None and word.present for word in words)

    def everything_arrives(self) -> None:
        """At the end nothing is under way: the alert is active exactly if hub or cloud still holds the condition."""
        while self.said:
            self.take(self.said.pop())
        self.time_is_looked_at()
        assert self.holds(AlertSource.HUB) == (self.episode is not None)
        self.the_cloud_holds_what_its_rules_hold()
        history = self.do(self.history())
        for alert_id, version in self.versions.items():
            assert history[alert_id] == list(range(1, version + 1)), "every change is in the history, once"

    async def history(self) -> dict[str, list[int]]:
        rows = await self.connection.execute("SELECT alert_id::text, version FROM alert_history ORDER BY version")
        found: dict[str, list[int]] = defaultdict(list)
        for alert_id, version in await rows.fetchall():
            found[alert_id].append(version)
        return found


@pytest.fixture
def machine(database: TestDatabase) -> Iterator[type[AnyOrder]]:
    async def migrate() -> None:
        folder = Path(bedside_cloud.alerting.__file__).parent / "schema"
        async with Database.open(database.settings("alerting"), (folder,)):
            pass

    with asyncio.Runner() as runner:
        runner.run(migrate())
        AnyOrder.runner = runner
        AnyOrder.dsn = database.settings("alerting").dsn.reveal()
        yield AnyOrder
    # The fixture closed "the present loop", which pytest-asyncio asks for.
    asyncio.set_event_loop(None)


def test_whatever_arrives_in_whatever_order(machine: type[AnyOrder]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=30, stateful_step_count=25, suppress_health_check=list(HealthCheck)),
    )
