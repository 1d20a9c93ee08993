"""Timers are rows: whoever is due is looked at, also after a restart."""

import asyncio
import logging
from collections.abc import Callable

from bedside_cloud.alerting import store, writer
from bedside_cloud.alerting.announcing import Announcer
from bedside_cloud.alerting.plans import Plans
from bedside_cloud.database.pool import Database, unavailable

LOG = logging.getLogger(__name__)
LOOK_EVERY_SECONDS = 1.0


async def run_timers(database: Database, announcer: Announcer, plans: Plans, now_ms: Callable[[], int]) -> None:
    """Look for due timers for ever; a database that is away only delays them."""
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        try:
            await look(database, announcer, plans, now_ms())
        except unavailable as cause:
            LOG.warning("timers_wait cause=%s", type(cause).__name__)


async def look(database: Database, announcer: Announcer, plans: Plans, now_ms: int) -> None:
    """Evaluate the rules of every patient with a due timer, each in a transaction of its own."""
    async with database.transaction() as connection:
        patients = await store.due_patients(connection, now_ms)
    for patient_id in patients:
        plan = plans.of_patient(patient_id)
        if plan is None or not plan.active:
            continue
        async with database.transaction() as connection:
            changed = await writer.take_time(connection, plan, now_ms)
        await announcer.announce(changed)
