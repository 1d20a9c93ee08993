"""Steps between the states of a hub: which there are, and what each does to its certificates."""

from datetime import datetime, timedelta

from bedside_cloud.contracts.identity_administration import ENDED, MAY_BECOME, Access
from bedside_cloud.database.pool import Connection
from bedside_cloud.engines.certificates.revocation import RevokedFor
from bedside_cloud.identity import store

ANY_ISSUED = timedelta(days=1)
"""Later than any certificate can have been issued by now."""


def why_not(hub_id: str, present: Access, wanted: Access) -> str | None:
    """Why a tech may not take this step, and what to do; None when it may be taken, or was. Pure."""
    if wanted is present or wanted in MAY_BECOME[present]:
        return None
    match wanted:
        case Access.ACTIVE:
            remedy = "It has to enrol again, with a new claim: bedside-cloud fleet claim new."
        case Access.WIPED:
            remedy = f"Let it deliver what it holds first: bedside-cloud fleet hub retire {hub_id}."
        case Access.SUSPENDED if present is Access.RETIRED:
            remedy = f"To keep it out: bedside-cloud fleet hub revoke {hub_id}."
        case _:
            remedy = "It is out for good already."
    return f"{hub_id} is {present.value} and cannot become {wanted.value}. {remedy}"


async def move(connection: Connection, actor: str, hub_id: str, wanted: Access, why: str, now: datetime) -> None:
    """Take the step, which was checked, with its deeds. The certificates of a hub that is out for good are revoked."""
    await store.set_access(connection, hub_id, wanted, now)
    await store.add_deed(connection, actor, f"hub_{wanted.value}", hub_id, why)
    if wanted in ENDED:
        for serial in await store.revoke_certificates(connection, hub_id, now + ANY_ISSUED, RevokedFor.CEASED, now):
            await store.add_deed(connection, actor, "certificate_revoked", hub_id, serial)
