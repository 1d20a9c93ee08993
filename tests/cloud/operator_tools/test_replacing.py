"""Hubs go out of service from the terminal: real agents and their stores, real broker, database and services."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from tests.support.agent_process import PROGRAM, agent, until
from tests.support.clock import BOOT
from tests.support.cloud import bedside_cloud
from tests.support.database import TestDatabase
from tests.support.nats import HubCertificate, HubClient, TestBroker
from tests.support.readings import OXIMETER, alarm, reading
from tests.support.services import running_service, settings_of

from bedside_agent.buffer.store import Store
from bedside_agent.clock import Instant, SystemClock
from bedside_agent.uplink.identity import Identity
from bedside_cloud.alerting import run as alerting
from bedside_cloud.contracts.identity_administration import HUB_ACCESS, HUB_ACCESS_SET
from bedside_cloud.contracts.message import Message
from bedside_cloud.contracts.registry import HUBS
from bedside_cloud.contracts.registry_administration import HUB_RETIRE
from bedside_cloud.engines.audit import checked, deeds
from bedside_cloud.errors import OperatorError
from bedside_cloud.gateway import run as gateway
from bedside_cloud.identity import run as identity
from bedside_cloud.ingest import run as ingest
from bedside_cloud.operator_tools import retiring
from bedside_cloud.operator_tools.asking import ask as really_ask
from bedside_cloud.registry import run as registry
from bedside_profiles.readings import ClockQuality

OLD, NEW = "hub-7", "hub-8"
PATIENT = ("patient", "add", "Test Person One", "--birth-date", "1950-12-31", "--mrn", "4711")


@dataclass
class Cloud:
    """With whom a technician talks; `stop` and `start` take identity away and bring it back."""

    broker: TestBroker
    database: TestDatabase
    folder: Path
    stack: AsyncExitStack
    identity: AsyncExitStack

    @property
    def state(self) -> Path:
        return self.broker.state.directory

    async def run(self, *arguments: str, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(bedside_cloud, *arguments, state=self.state, stdin=stdin)

    async def done(self, *arguments: str, stdin: str = "") -> str:
        result = await self.run(*arguments, stdin=stdin)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    async def told(self, *arguments: str) -> Any:
        return json.loads(await self.done(*arguments, "--json"))

    async def refused(self, *arguments: str, stdin: str = "") -> str:
        result = await self.run(*arguments, stdin=stdin)
        assert (result.returncode, "Traceback" in result.stderr) == (1, False), result.stdout + result.stderr
        return result.stderr

    async def row(self, hub_id: str) -> dict[str, Any]:
        rows = (await self.told("fleet", "hub", "list"))["hubs"]
        return next(row for row in rows if row["hub_id"] == hub_id)

    async def start_identity(self) -> None:
        await self.identity.enter_async_context(
            running_service(identity.main, settings_of("identity", self.broker, self.database))
        )

    async def stop_identity(self) -> None:
        await self.identity.aclose()

    async def enrol(self, hub_id: str, *, again: bool = False) -> Path:
        """The hub's state directory, after a real agent has enrolled."""
        state = self.folder / hub_id
        ticket = await self.told("fleet", "claim", "new", "--hub-id", hub_id)
        options = ("--again",) if again else ()
        command = (sys.executable, "-c", PROGRAM, "init", "--claim", ticket["text"], *options, "--state", str(state))
        result = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr
        if not again:
            with (state / "hub.toml").open("a") as settings:
                settings.write('sound_command = "dd of=/dev/null status=none"\nreconnect_spread_seconds = 1\n')
        return state

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database.superuser_dsn) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def deeds(self, subject: str = OLD) -> list[str]:
        found = list(deeds(self.database.superuser_dsn))
        assert checked(found).entry_no == len(found)
        return [one.deed for one in found if one.subject == subject]

    def served_by(self, patient_id: str) -> list[str]:
        query = "SELECT hub_id FROM registry.placements WHERE patient_id = %s::uuid AND until_at IS NULL"
        return [row[0] for row in self.rows(query, patient_id)]


@pytest.fixture
async def cloud(broker: TestBroker, database: TestDatabase, tmp_path: Path) -> AsyncIterator[Cloud]:
    async with AsyncExitStack() as stack:
        around = Cloud(broker, database, tmp_path / "hubs", stack, AsyncExitStack())
        around.folder.mkdir()
        stack.push_async_callback(around.stop_identity)
        await around.start_identity()
        for name, main in (("registry", registry.main), ("gateway", gateway.main)):
            await stack.enter_async_context(running_service(main, settings_of(name, broker, database)))
        yield around


async def cared_for(cloud: Cloud) -> str:
    """A patient whom the old hub serves with an oximeter, under limits; the new hub stands by."""
    await cloud.enrol(OLD)
    await cloud.enrol(NEW)
    patient_id: str = (await cloud.told(*PATIENT))["patient_id"]
    await cloud.done("patient", "hub", "4711", OLD)
    await cloud.done("assign", OXIMETER, "4711")
    await cloud.done("plan", "set", "4711", "--template", "adult")
    await cloud.done("patient", "episode", "4711", "active")
    return patient_id


async def test_a_replaced_hub_delivers_its_rest_to_whom_it_was_measured_for_and_is_then_wiped(cloud: Cloud) -> None:
    for name, main in (("ingest", ingest.main), ("alerting", alerting.main)):
        settings = settings_of(name, cloud.broker, cloud.database)
        await cloud.stack.enter_async_context(running_service(main, settings))
    patient_id = await cared_for(cloud)
    state = cloud.folder / OLD
    ((plan_id,),) = cloud.rows("SELECT DISTINCT plan_id::text FROM registry.plans WHERE hub_id = %s", OLD)

    # No network: all of this is on the hub alone when another one takes its place.
    store = await Store.open(state / "buffer.db", SystemClock())
    at = Instant(round(time.time() * 1000), 100_000, BOOT, ClockQuality.SYNCED)
    store.append_readings([reading(90.0 + number / 100, at=at) for number in range(50)])
    store.append_alarm(alarm(at_ms=at.utc_ms, onset_ms=at.utc_ms - 10_000, plan_id=plan_id, plan_version=2))
    answer = await cloud.told("fleet", "hub", "replace", OLD, NEW, "--yes")
    assert (answer["retired"]["changed"], answer["hub"]["access"]) == (True, "retired")
    after = Instant(answer["retired"]["at_ms"], 200_000, BOOT, ClockQuality.SYNCED)
    store.append_readings([reading(70.0, at=after) for _ in range(30)])
    await store.close()
    assert cloud.served_by(patient_id) == [NEW]

    copy = HubCertificate(state.with_name("copy.pem"), state.with_name("copy.key"))
    kept = Identity(state / "identity")
    copy.certificate_file.write_bytes(kept.chain.read_bytes())
    copy.key_file.write_bytes(kept.key.read_bytes())
    assert "was not heard since" in await cloud.done("fleet", "hub", "show", OLD)
    assert "add --lose" in await cloud.refused("fleet", "hub", "wipe", OLD, "--wiped", "--yes")
    async with agent(state) as process:
        report = await until(state, lambda report: sum(report["waiting"].values()) == 0)
        # The one plan that it hears takes its patient away: it raises nothing any more.
        await until(state, lambda report: report["plan"] is not None and not report["plan"]["active"])
        assert report["alarms"] == []
        async with asyncio.timeout(40):
            while not (sheet := await cloud.told("fleet", "hub", "show", OLD))["may_be_wiped"]:
                await asyncio.sleep(0.5)
        process.terminate()
        await process.wait()
    assert (sheet["hub"]["state"], sheet["hub"]["replaced_by"], sheet["hub"]["waiting"]) == ("retired", NEW, 0)

    whose = (
        "SELECT patient_id::text, quarantine_reason, count(*), min(value) FROM ingest.readings GROUP BY 1, 2 ORDER BY 3"
    )
    assert cloud.rows(whose) == [(None, "hub_retired", 30, 70.0), (patient_id, None, 50, 90.0)]
    raised = "SELECT patient_id::text FROM alerting.alerts WHERE condition = 'spo2_low'"
    async with asyncio.timeout(20):
        while not (found := cloud.rows(raised)):
            await asyncio.sleep(0.1)
    assert found == [(patient_id,)]
    # Nobody is shown the others as the patient's, and a person can still say whose they are.
    (aside,) = (await cloud.told("quarantine", "list"))["measurements"]
    assert (aside["hub_id"], aside["reason"], len(aside["metrics"])) == (OLD, "hub_retired", 30)
    assert "its hub was retired by then" in await cloud.done("quarantine", "list")

    wiping = (sys.executable, "-c", PROGRAM, "wipe", "--confirm", OLD, "--state", str(state), "--json")
    wiped = await asyncio.to_thread(subprocess.run, wiping, capture_output=True, text=True, timeout=60)
    assert wiped.returncode == 0, wiped.stderr
    assert json.loads(wiped.stdout)["cloud_told"]
    async with asyncio.timeout(20):
        while (await cloud.row(OLD))["access"] != "wiped":
            await asyncio.sleep(0.1)
    assert "hub-7 is wiped." in await cloud.done("fleet", "hub", "wipe", OLD)
    comes_back = HubClient(cloud.broker.state.place.ports.hubs, cloud.broker.state.certificates.ca_file, OLD, copy)
    assert not await asyncio.to_thread(comes_back.connect)
    comes_back.close()
    assert [one for one in cloud.deeds() if not one.startswith("claim")] == [
        *("hub_enrolled", "hub_replaced", "hub_retired", "hub_wiped", "certificate_revoked"),
    ]


STEPS = (HUBS, HUB_ACCESS, HUB_RETIRE, HUB_ACCESS_SET)
"""What a replacement asks for, in this order; the last two change something."""


async def test_a_replacement_that_breaks_off_anywhere_is_healed_by_running_it_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient_id = await cared_for(cloud)

    def replaced(failing: str = "", lost: str = "") -> retiring.TakenOut:
        def ask(state: Path, subject: str, question: Message, answer: Any) -> Any:
            if (subject, lost) == (failing, "question"):
                raise OperatorError("The terminal was closed.", "", "")
            found = really_ask(state, subject, question, answer)
            if (subject, lost) == (failing, "answer"):
                raise OperatorError("The terminal was closed.", "", "")
            return found

        monkeypatch.setattr(retiring, "ask", ask)
        return retiring.take_out(cloud.state, OLD, NEW, None, retiring.check(cloud.state, OLD, NEW))

    served, let_in = [], []
    for failing in STEPS:
        for lost in ("question", "answer"):
            with pytest.raises(OperatorError, match="closed"):
                await asyncio.to_thread(replaced, failing, lost)
            served += cloud.served_by(patient_id)
            let_in.append((await cloud.row(OLD))["access"])
    assert served == [OLD] * 5 + [NEW] * 3, "never nobody, never two"
    assert let_in == ["active"] * 7 + ["retired"]
    done = await asyncio.to_thread(replaced)
    assert (done.retired.changed, done.retired.device_ids, done.hub.access.value) == (False, (OXIMETER,), "retired")
    assert cloud.served_by(patient_id) == [NEW]
    assert [one for one in cloud.deeds() if one != "claim_made"] == ["hub_enrolled", "hub_replaced", "hub_retired"]
    ((ended, begun, retired),) = cloud.rows(
        "SELECT old.until_at, new.from_at, retirements.from_at FROM registry.placements AS old,"
        " registry.placements AS new, registry.retirements WHERE old.hub_id = %s AND new.hub_id = %s",
        *(OLD, NEW),
    )
    assert ended == begun == retired


async def test_a_replacement_without_identity_changes_nothing_or_is_healed(cloud: Cloud) -> None:
    patient_id = await cared_for(cloud)
    before = await asyncio.to_thread(retiring.check, cloud.state, OLD, NEW)
    await cloud.stop_identity()
    assert "The service identity does not answer." in await cloud.refused("fleet", "hub", "replace", OLD, NEW, "--yes")
    assert cloud.served_by(patient_id) == [OLD], "before the first step"
    with pytest.raises(OperatorError, match="does not answer"):
        await asyncio.to_thread(retiring.take_out, cloud.state, OLD, NEW, None, before)
    assert cloud.served_by(patient_id) == [NEW], "between the steps"
    await cloud.start_identity()
    answer = await cloud.told("fleet", "hub", "replace", OLD, NEW, "--yes")
    assert (answer["retired"]["changed"], answer["hub"]["access"]) == (False, "retired")
    said = await cloud.done("fleet", "hub", "replace", OLD, NEW)
    assert "It was so already." in said
    assert f"{NEW} serves patient {patient_id} since then." in said


async def test_hubs_are_named_listed_retired_and_come_back_by_a_new_claim_alone(cloud: Cloud) -> None:
    patient_id = await cared_for(cloud)
    old_claim = await cloud.told("fleet", "claim", "new", "--hub-id", OLD)
    assert "is called spare, shelf 3" in await cloud.done("fleet", "hub", "rename", OLD, "spare, shelf 3")
    assert "is called so already" in await cloud.done("fleet", "hub", "rename", OLD, "spare, shelf 3")
    assert "signs that can be printed" in await cloud.refused("fleet", "hub", "rename", OLD, "a\x07b")
    assert "There is no hub hub-99" in await cloud.refused("fleet", "hub", "rename", "hub-99", "x")
    assert (await cloud.row(OLD))["label"] == "spare, shelf 3"
    assert "spare, shelf 3" in await cloud.done("fleet", "hub", "list")

    # Asked first, and nothing is done without a yes.
    await cloud.refused("fleet", "hub", "retire", OLD, stdin="n\n")
    assert (await cloud.row(OLD))["access"] == "active"
    assert "Only a hub that is out of service is wiped." in await cloud.refused("fleet", "hub", "wipe", OLD)
    assert "cannot replace itself" in await cloud.refused("fleet", "hub", "replace", OLD, OLD, "--yes")
    assert "There is no hub hub-99" in await cloud.refused("fleet", "hub", "replace", OLD, "hub-99", "--yes")
    assert "serves nobody" in await cloud.refused("fleet", "hub", "replace", NEW, OLD, "--yes")
    in_future = ("--at", "2100-01-01T00:00:00")
    assert "lies in the future" in await cloud.refused("fleet", "hub", "retire", OLD, "--yes", *in_future)
    too_early = ("--at", "2020-01-01T00:00:00")
    assert "Name no earlier moment" in await cloud.refused("fleet", "hub", "retire", OLD, "--yes", *too_early)

    said = await cloud.done("fleet", "hub", "retire", OLD, stdin="y\n")
    assert f"Patient {patient_id} has no hub now" in said
    row = await cloud.row(OLD)
    assert (row["access"], row["state"], cloud.served_by(patient_id)) == ("retired", "retired", [])
    assert "is retired" in await cloud.refused("patient", "hub", "4711", OLD)
    assert "has to enrol again" in await cloud.refused("fleet", "hub", "resume", OLD)
    assert "revoke" in await cloud.refused("fleet", "hub", "suspend", OLD)
    assert "is retired already" in await cloud.refused("fleet", "hub", "replace", OLD, NEW, "--yes")

    state = cloud.folder / "another"
    options = ("init", "--claim", old_claim["text"], "--state", str(state))
    stale = await asyncio.to_thread(
        subprocess.run, (sys.executable, "-c", PROGRAM, *options), capture_output=True, text=True, timeout=60
    )
    assert stale.returncode != 0, "a label of before does not bring it back"
    assert (await cloud.row(OLD))["access"] == "retired"
    await cloud.enrol(OLD, again=True)
    assert (await cloud.row(OLD))["access"] == "active"
    await cloud.done("patient", "hub", "4711", OLD)
    assert cloud.served_by(patient_id) == [OLD]

    # What a tech says of a hub that cannot say it.
    await cloud.done("fleet", "hub", "retire", OLD, "--yes")
    assert "add --lose" in await cloud.refused("fleet", "hub", "wipe", OLD, "--wiped", "--yes")
    answer = await cloud.told("fleet", "hub", "wipe", OLD, "--wiped", "--lose", "--yes")
    assert (answer["hub"]["access"], answer["everywhere"]) == ("wiped", True)
    assert "out for good already" in await cloud.refused("fleet", "hub", "retire", OLD, "--yes")
    assert "hub_renamed" in cloud.deeds()
    assert cloud.deeds().count("hub_taken_out") == 2


async def test_a_stolen_hub_is_replaced_and_stays_out(cloud: Cloud) -> None:
    patient_id = await cared_for(cloud)
    await cloud.done("fleet", "hub", "revoke", OLD, "--confirm", OLD)
    said = await cloud.done("fleet", "hub", "replace", OLD, NEW, "--yes")
    assert f"{OLD} stays revoked" in said
    assert cloud.served_by(patient_id) == [NEW]
    assert (await cloud.row(OLD))["access"] == "revoked"
    await cloud.done("fleet", "hub", "suspend", NEW)
    assert (await cloud.told("fleet", "hub", "replace", OLD, NEW, "--yes"))["retired"]["changed"] is False
