"""New keys and passwords for every service while the cloud runs, without a message lost.

The broker is started again, once, and takes both keys of each service then (it cannot learn new ones while it runs);
hubs connect anew and send again what has no receipt. The services are started again one after another; what one had in
hand comes to it again, from its stream or its outbox. At the end the broker forgets the earlier keys, and whoever still
uses one is cut off.
"""

import asyncio
from collections.abc import Sequence

from bedside_cloud.contracts.service_map import SERVICES
from bedside_cloud.errors import OperatorError
from bedside_cloud.supervisor.child import Child
from bedside_cloud.supervisor.state import State

UP_SECONDS = 120.0
"""How long a service may take to serve again."""


async def rotate(state: State, broker: Child, services: Sequence[Child]) -> None:
    """Replace them all; OperatorError when a service does not come up again: earlier keys stay good then, and the next
    rotation or start forgets them."""
    state.renew_credentials()
    await _restarted(broker)
    await asyncio.to_thread(state.postgres.provision, SERVICES, state.database_passwords)
    state.hand_out_seeds()
    for service in services:
        await _restarted(service)
    state.end_earlier_seeds()
    await asyncio.to_thread(state.broker.prepare, SERVICES, state.broker_secrets)
    broker.reload()


async def _restarted(child: Child) -> None:
    try:
        async with asyncio.timeout(UP_SECONDS):
            await child.restart()
    except TimeoutError as cause:
        raise OperatorError(
            f"{child.plan.name} does not come up with the new keys.",
            "The earlier keys stay good.",
            "See its log; then run: bedside-cloud credentials rotate",
        ) from cause
