"""The hubs' side of registry: what they say of themselves, and what they are sent until they have answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import BusError
from bedside_cloud.contracts.identity_administration import (
    INCIDENT_REPORT,
    HubEnrolled,
    IncidentKind,
    IncidentReport,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.database.pool import Connection, Database, fetch_all, unavailable
from bedside_cloud.registry import store
from bedside_cloud.registry.commands import Commands
from bedside_cloud.registry.plans import SQL, PlanIssuer
from bedside_cloud.registry.rollouts import Rollouts
from bedside_profiles.errors import WireError
from bedside_profiles.wire.command import Reply
from bedside_profiles.wire.messages import decode
from bedside_profiles.wire.status import HubState, Status
from bedside_profiles.wire.topics import DownLane, parse_topic, subject

LOG = logging.getLogger(__name__)

BOOTS_KEPT = 16
"""How many of a hub's earlier boots are known: two computers that take turns soon come back to one of them."""

RESEND_SECONDS = 5.0
"""How often an unanswered plan or command is sent again to a hub that is online."""


class Lanes:
    """`changed` is as for `Endpoints`."""

    def __init__(
        self,
        database: Database,
        bus: Bus,
        plans: PlanIssuer,
        commands: Commands,
        changed: Callable[[int, tuple[str, ...]], Awaitable[None]],
        rollouts: Rollouts,
    ) -> None:
        self._rollouts = rollouts
        self._database = database
        self._bus = bus
        self._plans = plans
        self._commands = commands
        self._changed = changed

    async def on_status(self, where: str, body: bytes) -> None:
        """The hub is there, or gone; which plan it runs; which devices it knows."""
        hub_id, _ = parse_topic(where)
        await self._guarded("status", hub_id, lambda: self._take_status(hub_id, decode(Status, body)))

    async def on_reply(self, where: str, body: bytes) -> None:
        """The hub's answer to a plan or a command."""
        hub_id, _ = parse_topic(where)
        await self._guarded("reply", hub_id, lambda: self._take_reply(hub_id, decode(Reply, body)))

    async def on_enrolled(self, _subject: str, body: bytes) -> None:
        """Identity has certified a hub with a claim: it is shown although it never connected, and is in service again
        if it was retired."""
        hub_id = HubEnrolled.model_validate_json(body).hub_id

        async def keep() -> None:
            async with self._database.transaction() as connection:
                await store.ensure_hub(connection, hub_id)
                if await store.end_retirement(connection, hub_id):
                    announcement = (await store.next_version(connection), (hub_id,))
                else:
                    return
            await self._changed(*announcement)

        await self._guarded("enrolled", hub_id, keep)

    async def send_plan(self, hub_id: str) -> None:
        """Send the hub's newest plan now, answered or not."""
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["newest_plan_of_hub"], {"hub_id": hub_id})
        if rows:
            await self._bus.publish_bytes(subject(hub_id, DownLane.CAREPLAN), rows[0][3])

    async def resend(self) -> None:
        """Send unanswered plans and commands again, for ever."""
        while True:
            await asyncio.sleep(RESEND_SECONDS)
            try:
                async with self._database.transaction() as connection:
                    rows = await fetch_all(connection, SQL["unanswered_plans"], {})
                await self._rollouts.step()
                commands = await self._commands.unanswered()
            except unavailable as cause:
                LOG.warning("resend_waits cause=%s", type(cause).__name__)
                continue
            for hub_id, document in rows:
                await self._bus.publish_bytes(subject(hub_id, DownLane.CAREPLAN), document)
            for hub_id, document in commands:
                await self._bus.publish_bytes(subject(hub_id, DownLane.COMMANDS), document)

    async def _take_status(self, hub_id: str, status: Status) -> None:
        async with self._database.transaction() as connection:
            await store.ensure_hub(connection, hub_id)
            online = status.state is HubState.ONLINE
            parameters = {
                "hub_id": hub_id,
                "online": online,
                "session": status.session,
                "agent_version": status.agent_version,
                "plan_id": status.plan_id,
                "plan_version": status.plan_version,
                "waiting": status.waiting,
            }
            fresh = await fetch_all(connection, SQL["take_status"], parameters)
            is_twice = online and status.boot_id is not None and await _came_back(connection, hub_id, status.boot_id)
            # What a retired hub still sees is another's now: it would take it away in every list.
            is_retired = await store.open_retirement(connection, hub_id) is not None
            for device in status.devices if online and not is_retired else ():
                await store.put_device(connection, device.device_id, hub_id, device.profile)
        if is_twice:
            await self._report_two(hub_id)
        if fresh and online:
            await self._compare_plan(hub_id, status)

    async def _report_two(self, hub_id: str) -> None:
        LOG.warning("two_at_once hub=%s", hub_id)
        report = IncidentReport(hub_id=hub_id, kind=IncidentKind.TWO_AT_ONCE)
        try:
            await self._bus.request(INCIDENT_REPORT, report, Empty)
        except BusError as cause:
            # They go on taking turns: the next one is told.
            LOG.warning("incident_not_told hub=%s cause=%s", hub_id, type(cause).__name__)

    async def _compare_plan(self, hub_id: str, status: Status) -> None:
        """Send the hub its newest plan if it runs another one."""
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["newest_plan_of_hub"], {"hub_id": hub_id})
        if not rows:
            return
        plan_id, version, patient_id, document, outcome = rows[0]
        refused = outcome == "refused"
        if (status.plan_id, status.plan_version) == (plan_id, version) and not refused:
            return
        if status.plan_version is not None and status.plan_version >= version:
            # The hub runs a plan that we do not know: our database is a restored backup. Ours must be the newer one.
            LOG.warning("plan_overtaken hub=%s", hub_id)
            await self._issue_above(hub_id, patient_id, status.plan_version)
        elif not refused:
            # A plan that the hub has refused is not offered again: it would refuse it again.
            await self._bus.publish_bytes(subject(hub_id, DownLane.CAREPLAN), document)

    async def _issue_above(self, hub_id: str, last_patient_id: str, version: int) -> None:
        async with self._database.transaction() as connection:
            serves = await fetch_all(connection, SQL["placement_of_hub"], {"hub_id": hub_id})
            if serves:
                await store.lock_patient(connection, serves[0][0])
                await self._plans.issue(connection, serves[0][0], above_version=version)
            else:
                await self._plans.withdraw(connection, hub_id, last_patient_id, above_version=version)
            announcement = (await store.next_version(connection), (hub_id,))
        await self._changed(*announcement)

    async def _take_reply(self, hub_id: str, reply: Reply) -> None:
        if reply.version is None:
            await self._commands.take_reply(hub_id, reply)
            return
        parameters = {
            "hub_id": hub_id,
            "plan_id": reply.about,
            "version": reply.version,
            "outcome": reply.outcome.value,
            "reason": reply.reason,
        }
        async with self._database.transaction() as connection:
            fresh = await fetch_all(connection, SQL["answer_plan"], parameters)
        if fresh:
            LOG.info("plan_answered hub=%s version=%s outcome=%s", hub_id, reply.version, reply.outcome.value)

    async def _guarded(self, what: str, hub_id: str, work: Callable[[], Awaitable[None]]) -> None:
        """Neither garbage nor a database that is away may end the subscription: hubs say it again."""
        try:
            await work()
        except WireError as wrong:
            LOG.warning("refused what=%s hub=%s reason=%s", what, hub_id, wrong.reason)
        except unavailable as cause:
            LOG.warning("missed what=%s hub=%s cause=%s", what, hub_id, type(cause).__name__)


async def _came_back(connection: Connection, hub_id: str, boot_id: str) -> bool:
    """Whether a boot speaks that another one had followed: the hub's identity is in two computers."""
    ((last, earlier),) = await fetch_all(connection, SQL["boots"], {"hub_id": hub_id})
    if boot_id == last:
        return False
    kept = [one for one in (last, *earlier) if one not in (None, boot_id)][:BOOTS_KEPT]
    await connection.execute(SQL["set_boots"], {"hub_id": hub_id, "boot_id": boot_id, "earlier_boots": kept})
    return boot_id in earlier
