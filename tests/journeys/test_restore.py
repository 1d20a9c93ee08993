"""The cloud's database is restored from older backups: every hub sends again what is missing, once.

Four hubs and one cloud, all of them real processes. One hub has several stores by then, one of them saved from a
damaged file; one was cut off for long and drains thousands of readings while the database goes back under it; one was
enrolled after the backup and is enrolled again. What a hub has let go meanwhile, because it was stored, cannot come
back: it is counted.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.household import RunningHousehold, running_household
from tests.support.serial_hub import SerialHub, exported, kept_readings, serial_hub
from tests.support.truth import committed, differences, emitted, stored

from bedside_agent.buffer.database import Database
from bedside_agent.buffer.ranges import subtract
from bedside_agent.opening import BUFFER
from bedside_profiles.wire.topics import UpLane
from bedside_sim.household import HUB_ID

pytestmark = pytest.mark.journey

BACKLOG = 8_000
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.3
"""Between two looks: each costs a connection, and the machine has other things to do."""

SECOND_MRN = "SECOND-1"
LANES = ("alarms", "readings", "events", "waveforms")

Identity = tuple[str, int]
"""Store and sequence."""


class Installation:
    """The household's hub with its radio, `many` and `late` with a serial line, and `cut` with a backlog."""

    def __init__(self, household: RunningHousehold, many: SerialHub, cut: SerialHub, late: SerialHub) -> None:
        self.household = household
        self.many = many
        self.cut = cut
        self.late = late
        self.states = {HUB_ID: household.hub_state, **{one.hub_id: one.state for one in (many, cut, late)}}
        self.generations = [self.generation()]

    @property
    def dsn(self) -> str:
        return str(self.household.endpoints["database_dsn"])

    def ask(self, statement: str) -> list[Any]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(statement).fetchall()

    def generation(self) -> str:
        return str(self.ask("SELECT generation FROM platform.generation")[0][0])

    def count(self, hub_id: str, lane: str = "readings") -> int:
        """Rows that the database has of one lane of a hub."""
        return int(self.ask(f"SELECT count(*) FROM ingest.{lane} WHERE hub_id = '{hub_id}'")[0][0])  # noqa: S608

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        async def looked() -> bool:
            await asyncio.sleep(LOOK_SECONDS)
            return holds()

        await self.household.until(looked, what, seconds=PATIENCE_SECONDS)

    async def restore(self, *backups: Path) -> None:
        """One after the other, with no cloud between them; the hubs run on. Then the cloud is started again."""
        cloud = self.household.started("cloud").process
        cloud.terminate()
        await cloud.wait()
        for backup in backups:
            await self.household.tell_cloud("restore", str(backup))
        await self.household.start_cloud()
        self.generations.append(self.generation())

    async def backup(self, name: str) -> Path:
        path = self.household.state / name
        await self.household.tell_cloud("backup", str(path))
        return path

    async def everything_is_stored(self) -> None:
        """All that each hub committed is in the database, once, in order, with its content; and nothing else is."""
        await self.household.control("pause")
        await committed(self.household)
        await self.until(self.many.has_all, "what was said")
        truth = emitted(self.household.journal)
        for hub_id, state in self.states.items():
            await self.until(lambda: self.count(hub_id) == kept_readings(state), f"all of {hub_id}")  # noqa: B023
            await self._same(hub_id, state)
        of_radio = {device: rows for device, rows in stored(self.dsn).items() if device in truth}
        assert differences(truth, of_radio) == []
        for hub in (self.many, self.late):
            spoken = {"spo2": [spo2 for spo2, _ in hub.said], "pulse_rate": [pulse for _, pulse in hub.said]}
            assert self._values(hub.device_id) == spoken
        for table in ("conflicts", "dead_letters"):
            assert self.ask(f"SELECT * FROM ingest.{table}") == [], table  # noqa: S608
        assert "Traceback" not in "".join(self.household.logs().values())

    async def _same(self, hub_id: str, state: Path) -> None:
        """What a hub notes while it is asked (connections come and go) belongs to it as well."""
        differing: dict[str, list[tuple[Identity, object, object]]] = {}
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    kept, held = _by_lane(await exported(state)), self._held(hub_id)
                    if kept == held:
                        return
                    differing = {
                        lane: sorted(
                            (identity, kept[lane].get(identity), held[lane].get(identity))
                            for identity in kept[lane].keys() | held[lane].keys()
                            if kept[lane].get(identity) != held[lane].get(identity)
                        )
                        for lane in LANES
                    }
                    await asyncio.sleep(0.5)
        except TimeoutError:
            of_each = {lane: f"{len(ones)}, first {ones[:3]}" for lane, ones in differing.items() if ones}
            pytest.fail(f"{hub_id} keeps one thing and the database another (kept, held): {of_each}")

    def alerts(self) -> list[tuple[str, str, str]]:
        """Patient, condition and device of each."""
        return sorted(self.ask("SELECT patient_id::text, condition, device_id FROM alerting.alerts"))

    def gaps(self) -> list[tuple[str, str, int, int, int, str]]:
        """Hub, lane, first and last sequence, items, reason."""
        return self.ask("SELECT hub_id, lane, first_seq, last_seq, items, reason FROM ingest.gaps")

    def _values(self, device_id: str) -> dict[str, list[float]]:
        """By metric, in the order of time."""
        found: dict[str, list[float]] = {}
        statement = (
            "SELECT metric, value FROM ingest.readings WHERE device_id = '{}' ORDER BY taken_at, monotonic_ms, seq"
        )
        for metric, value in self.ask(statement.format(device_id)):
            found.setdefault(metric, []).append(value)
        return found

    def _held(self, hub_id: str) -> dict[str, dict[Identity, object]]:
        contents = {
            "alarms": "condition",
            "readings": "ARRAY[device_id, metric, value::text]",
            "events": "kind",
            "waveforms": "ARRAY[device_id, signal, cardinality(samples)::text]",
        }
        return {
            lane: {
                (store_id, seq): _plain(content)
                for store_id, seq, content in self.ask(
                    f"SELECT store_id, seq, {contents[lane]} FROM ingest.{lane} WHERE hub_id = '{hub_id}'"  # noqa: S608
                )
            }
            for lane in LANES
        }


def _by_lane(records: list[dict[str, Any]]) -> dict[str, dict[Identity, object]]:
    found: dict[str, dict[Identity, object]] = {lane: {} for lane in LANES}
    for one in records:
        content: object = one["what"]
        if one["lane"] in ("readings", "waveforms"):
            content = (one["device_id"], one["what"], one["value"])
        identity = (one["store_id"], one["first_seq"])
        assert identity not in found[one["lane"]]
        found[one["lane"]][identity] = content
    return found


def _plain(content: object) -> object:
    if isinstance(content, list):
        device_id, metric, value = content
        return (device_id, metric, None if value is None else float(value))
    return content


@asynccontextmanager
async def installation(state: Path) -> AsyncIterator[Installation]:
    """The household's hub and `many` are at work; `cut` is enrolled and has its backlog; `late` is not there yet."""
    async with running_household(state, seed=5, start=False) as household:
        with ExitStack() as lines:
            names = ("hub-many", "hub-cut", "hub-late")
            many, cut, late = (lines.enter_context(serial_hub(household, name)) for name in names)
            await household.start_cloud()
            await household.provision()
            await household.start_devices()
            await household.enrol()
            settings = household.hub_state / "hub.toml"
            settings.write_text("reconnect_spread_seconds = 1\n" + settings.read_text(encoding="utf-8"))
            await many.enrol()
            await cut.enrol("most_bytes_per_second = 20000")
            cut.fill(BACKLOG)
            await _second_patient(household, many)
            await household.start_hub()
            await many.start()
            yield Installation(household, many, cut, late)


async def _second_patient(household: RunningHousehold, hub: SerialHub) -> None:
    rules = str(household.state / "rules.json")
    await household.ask_cloud("patient", "add", "Second Patient", "--birth-date", "1950-01-01", "--mrn", SECOND_MRN)
    await household.tell_cloud("plan", "set", SECOND_MRN, "--rules", rules, "--emergency-number", "112")
    await household.tell_cloud("patient", "episode", SECOND_MRN, "planned")
    await household.tell_cloud("patient", "episode", SECOND_MRN, "active")
    await household.tell_cloud("patient", "hub", SECOND_MRN, hub.hub_id)
    await household.tell_cloud("assign", hub.device_id, SECOND_MRN)


async def _later_day(all_of_it: Installation) -> None:
    """Alarms, a restart, a kill, a damaged file: all of it is stored, and the hubs know it."""
    household, many, late = all_of_it.household, all_of_it.many, all_of_it.late
    await household.control("scenario", name="desaturation")
    await many.say(78, 3)
    await late.enrol()
    await late.start()
    await late.say(92, 5)
    await many.stop()
    await many.start()
    await many.say(96, 3)
    await many.kill()
    await many.start()
    await many.say(95, 3)
    await many.kill()
    many.destroy_header()
    await many.start()
    await many.say(94, 3)
    for hub in (many, late):
        await all_of_it.until(lambda: all_of_it.count(hub.hub_id) == 2 * len(hub.said), "the later readings")  # noqa: B023
    # The hub's own alarm: what the cloud alone saw for a moment, it does not see again among newer readings.
    await all_of_it.until(lambda: all_of_it.count(HUB_ID, "alarms") > 0, "the alarm of the hub with the radio")
    await all_of_it.until(lambda: len(all_of_it.alerts()) == 2, "both patients' alerts")
    await household.control("scenario", name="stable")
    stores = all_of_it.ask("SELECT DISTINCT store_id FROM ingest.readings WHERE hub_id = 'hub-many'")
    assert len(stores) == 4
    assert "buffer.store_corrupt" in household.started(many.hub_id).said()


def _let_go(hub: SerialHub) -> int:
    """What a full disk takes first, while the agent does not run: readings that a receipt covers. How many went."""
    database = Database(hub.state / BUFFER, "f" * 32)
    (kept,) = [one for one in database.kept() if one.lane is UpLane.READINGS and one.last == BACKLOG]
    assert subtract(((1, BACKLOG),), kept.settled) == (), "all of it was stored"
    ((first, last),) = database.delete(kept.number, UpLane.READINGS, (1, 1_000), kept.settled)
    database.close()
    assert first == 1
    return last


async def test_restores_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    async with installation(tmp_path) as all_of_it:
        household, many, cut, late = all_of_it.household, all_of_it.many, all_of_it.cut, all_of_it.late
        await many.say(97, 5)
        await all_of_it.until(lambda: all_of_it.count(many.hub_id) == 10, "the first readings")
        await all_of_it.until(lambda: all_of_it.count(HUB_ID) > 10, "the radio's readings")
        first = await all_of_it.backup("first")
        await _later_day(all_of_it)
        alerts = all_of_it.alerts()

        # The third hub drains; the database goes back under it, and again when a part has come a second time.
        await cut.start()
        for _ in range(2):
            await all_of_it.until(lambda: all_of_it.count(cut.hub_id) > BACKLOG // 8, "a part of the backlog")
            assert all_of_it.count(cut.hub_id) < BACKLOG, "in the middle of the drain"
            await all_of_it.restore(first)
        await late.enrol_again()
        await all_of_it.everything_is_stored()
        assert all_of_it.count(cut.hub_id) == BACKLOG
        await all_of_it.until(lambda: all_of_it.alerts() == alerts, "the alerts")

        # A backup of what came back, and more readings; two restores in a row, the newer one last. What a hub has let
        # go, the newer one holds.
        second = await all_of_it.backup("second")
        await cut.stop()
        let_go = _let_go(cut)
        await cut.start()
        await household.control("resume")
        await many.say(93, 5)
        await all_of_it.until(lambda: all_of_it.count(many.hub_id) == 2 * len(many.said), "more readings")
        await all_of_it.restore(first, second)
        await all_of_it.until(lambda: all_of_it.count(many.hub_id) == 2 * len(many.said), "more readings")
        assert all_of_it.count(cut.hub_id) == BACKLOG
        assert all_of_it.gaps() == []

        # The older one holds none of it: it is counted, once, and holds up nothing.
        await all_of_it.restore(first)
        await late.enrol_again()
        await all_of_it.everything_is_stored()
        assert all_of_it.count(cut.hub_id) == BACKLOG - let_go
        assert all_of_it.gaps() == [(cut.hub_id, "readings", 1, let_go, let_go, "let_go")]
        await all_of_it.until(lambda: all_of_it.alerts() == alerts, "the alerts")
        assert len(set(all_of_it.generations)) == len(all_of_it.generations) == 5
        for name in ("hub", many.hub_id, cut.hub_id, late.hub_id):
            assert "cloud.generation_changed" in household.started(name).said()
