"""SQL access of identity. Every function works in the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bedside_cloud.contracts.identity_administration import (
    Access,
    HubAccessEntry,
    Incident,
    IncidentKind,
)
from bedside_cloud.database.pool import Connection, fetch_all
from bedside_cloud.database.queries import Queries
from bedside_cloud.database.times import to_ms
from bedside_cloud.engines.certificates.authority import Certificate, issued_at, key_sha256, serial_hex
from bedside_cloud.engines.certificates.requests import HubRequest
from bedside_cloud.engines.certificates.revocation import Revoked, RevokedFor
from bedside_cloud.identity.snapshot import HubEntry, Snapshot


@dataclass(frozen=True, slots=True)
class ClaimInForce:
    """`hub_serial` is the computer that it is for, where the tech named one."""

    hub_serial: str | None


@dataclass(frozen=True, slots=True)
class HubRecord:
    """What a hub may do, and the serial number of the computer that enrolled as it, where it told one."""

    access: Access
    hub_serial: str | None


SQL = Queries(Path(__file__).parent / "queries.sql")


async def insert_claim(
    connection: Connection, sha256: bytes, hub_id: str, hub_serial: str | None, now: datetime, expires_at: datetime
) -> None:
    """Keep the hash of a new claim."""
    parameters = {
        "claim_sha256": sha256,
        "hub_id": hub_id,
        "hub_serial": hub_serial,
        "now": now,
        "expires_at": expires_at,
    }
    await connection.execute(SQL["insert_claim"], parameters)


async def claim_in_force(
    connection: Connection, sha256: bytes, hub_id: str, hub_serial: str | None, now: datetime
) -> ClaimInForce | None:
    """A claim that may be used, held until the transaction ends; None when it is unknown, used, expired, another hub's,
    another computer's, or was made before the hub was taken out of service."""
    parameters = {"claim_sha256": sha256, "hub_id": hub_id, "hub_serial": hub_serial, "now": now}
    rows = await fetch_all(connection, SQL["claim_in_force"], parameters)
    return ClaimInForce(rows[0][0]) if rows else None


async def use_claim(connection: Connection, sha256: bytes, now: datetime) -> None:
    """Use it up."""
    await connection.execute(SQL["use_claim"], {"claim_sha256": sha256, "now": now})


async def lock_hub(connection: Connection, hub_id: str) -> HubRecord | None:
    """The hub's row, held until the transaction ends; None for one that never enrolled."""
    rows = await fetch_all(connection, SQL["lock_hub"], {"hub_id": hub_id})
    return HubRecord(Access(rows[0][0]), rows[0][1]) if rows else None


async def misuse_of_claim(connection: Connection, sha256: bytes, now: datetime) -> tuple[str, IncidentKind] | None:
    """What it means that this claim was refused, and whose it is; None when it is nobody's, or just too old:
    expired, or of the time before the hub was taken out of service."""
    rows = await fetch_all(connection, SQL["claim"], {"claim_sha256": sha256})
    if not rows:
        return None
    hub_id, is_used, expires_at, is_overtaken = rows[0]
    if is_used:
        return hub_id, IncidentKind.CLAIM_USED_AGAIN
    return (hub_id, IncidentKind.CLAIM_OF_ANOTHER) if expires_at > now and not is_overtaken else None


async def enrol(connection: Connection, hub_id: str, certificate: Certificate, request: HubRequest) -> None:
    """The hub is active from now on with this certificate; those that it had before are refused."""
    parameters = {"hub_id": hub_id, "now": issued_at(certificate), "hub_serial": request.hub_serial}
    await connection.execute(SQL["enrol_hub"], parameters)
    await keep_certificate(connection, hub_id, certificate, request)


async def keep_certificate(connection: Connection, hub_id: str, certificate: Certificate, request: HubRequest) -> None:
    """Write down what was issued to a hub, and for which request."""
    await connection.execute(
        SQL["insert_certificate"],
        {
            "serial": serial_hex(certificate),
            "hub_id": hub_id,
            "issued_at": issued_at(certificate),
            "ends_at": certificate.not_valid_after_utc,
            "key_sha256": key_sha256(request.key),
            "request_sha256": request.sha256,
        },
    )


async def learn_serial(connection: Connection, hub_id: str, hub_serial: str | None) -> None:
    """Write down the computer's serial number of a hub that enrolled before such numbers were kept."""
    if hub_serial is not None:
        await connection.execute(SQL["learn_serial"], {"hub_id": hub_id, "hub_serial": hub_serial})


async def adopt(connection: Connection, hub_id: str, issued: datetime, now: datetime) -> bool:
    """The hub came with a certificate of that moment: older ones are refused. False when that was known."""
    parameters = {"hub_id": hub_id, "issued_at": issued, "now": now}
    return bool(await fetch_all(connection, SQL["adopt"], parameters))


async def revoke_certificates(
    connection: Connection, hub_id: str, issued_before: datetime, reason: RevokedFor, now: datetime
) -> tuple[str, ...]:
    """Serials of the certificates in force that are refused from now on."""
    parameters = {"hub_id": hub_id, "issued_before": issued_before, "reason": reason.value, "now": now}
    return tuple([row[0] for row in await fetch_all(connection, SQL["revoke_certificates"], parameters)])


async def revoked(connection: Connection, now: datetime) -> tuple[int, tuple[Revoked, ...]]:
    """The number of the list, and every certificate that is refused although its dates say that it is in force."""
    ((version,),) = await fetch_all(connection, SQL["access_version"], {})
    rows = await fetch_all(connection, SQL["revoked"], {"now": now})
    return version, tuple([Revoked(int(serial, 16), at, RevokedFor(reason)) for serial, at, reason in rows])


async def hub_for_renewal(connection: Connection, hub_id: str) -> tuple[Access, datetime] | None:
    """What the hub may do, and the moment before which its certificates are refused. Others wait meanwhile."""
    rows = await fetch_all(connection, SQL["hub_for_renewal"], {"hub_id": hub_id})
    return (Access(rows[0][0]), rows[0][1]) if rows else None


async def is_revoked_certificate(connection: Connection, certificate: Certificate) -> bool:
    """Whether it was taken back. One that is not known may have been issued since the backup that was restored."""
    return bool(await fetch_all(connection, SQL["is_revoked_certificate"], {"serial": serial_hex(certificate)}))


async def certificates_since(connection: Connection, hub_id: str, since: datetime) -> int:
    """How many the hub has got."""
    rows = await fetch_all(connection, SQL["certificates_since"], {"hub_id": hub_id, "since": since})
    count: int = rows[0][0]
    return count


async def misuse_of_request(connection: Connection, hub_id: str, request: HubRequest) -> IncidentKind | None:
    """Whether the request was seen before, or is for a key that another hub has."""
    if await fetch_all(connection, SQL["is_replay"], {"request_sha256": request.sha256}):
        return IncidentKind.REQUEST_REPLAYED
    parameters = {"key_sha256": key_sha256(request.key), "hub_id": hub_id}
    return IncidentKind.KEY_OF_ANOTHER if await fetch_all(connection, SQL["is_key_of_another"], parameters) else None


async def add_incident(connection: Connection, hub_id: str, kind: IncidentKind, now: datetime) -> int:
    """How often it was seen since it was last cleared up, this time included."""
    rows = await fetch_all(connection, SQL["add_incident"], {"hub_id": hub_id, "kind": kind.value, "now": now})
    times: int = rows[0][0]
    return times


async def incidents(connection: Connection) -> tuple[Incident, ...]:
    """The open ones, the newest first."""
    return tuple(
        [
            Incident(
                incident_id=incident_id,
                hub_id=hub_id,
                kind=kind,
                first_at_ms=to_ms(first_at),
                last_at_ms=to_ms(last_at),
                times=times,
            )
            for incident_id, hub_id, kind, first_at, last_at, times in await fetch_all(connection, SQL["incidents"], {})
        ]
    )


async def settle_incident(connection: Connection, incident_id: int, now: datetime) -> tuple[str, str] | None:
    """Its hub and kind; None when none is open under that number."""
    rows = await fetch_all(connection, SQL["settle_incident"], {"incident_id": incident_id, "now": now})
    return (rows[0][0], rows[0][1]) if rows else None


async def add_deed(connection: Connection, actor: str, deed: str, subject: str, detail: str = "") -> None:
    """Write down what was done, in the transaction that does it."""
    parameters = {"actor": actor, "deed": deed, "subject": subject, "detail": detail}
    await connection.execute(SQL["add_deed"], parameters)


async def set_access(connection: Connection, hub_id: str, access: Access, now: datetime) -> None:
    """The hub is in this state from now on. The step was checked."""
    await connection.execute(SQL["set_access"], {"hub_id": hub_id, "access": access.value, "now": now})


async def next_version(connection: Connection) -> int:
    """Count one change of who is let in."""
    rows = await fetch_all(connection, SQL["next_version"], {})
    version: int = rows[0][0]
    return version


async def hubs(connection: Connection) -> tuple[HubAccessEntry, ...]:
    """Every hub that ever enrolled."""
    rows = await fetch_all(connection, SQL["hubs"], {})
    return tuple(
        HubAccessEntry(
            hub_id=hub_id,
            access=access,
            enrolled_at_ms=to_ms(enrolled_at),
            certificate_ends_ms=to_ms(ends_at),
            oversized=oversized,
            hub_serial=hub_serial,
            since_ms=to_ms(changed_at),
        )
        for hub_id, access, enrolled_at, ends_at, oversized, hub_serial, changed_at in rows
    )


async def count_oversized(connection: Connection, hub_id: str) -> None:
    """The broker cut the hub once more because of a message above its limit."""
    await connection.execute(SQL["count_oversized"], {"hub_id": hub_id})


async def snapshot(connection: Connection) -> Snapshot:
    """Who is let in now."""
    rows = await fetch_all(connection, SQL["snapshot"], {})
    version = rows[0][0] if rows else 0
    hubs = {hub_id: HubEntry(Access(access), before, adopted) for _, hub_id, access, before, adopted in rows}
    return Snapshot(version, hubs)


async def snapshot_of_hub(connection: Connection, hub_id: str) -> tuple[int, HubEntry | None]:
    """The version, and how one hub is let in now; None for one that never enrolled."""
    ((version, access, before, adopted),) = await fetch_all(connection, SQL["snapshot_of_hub"], {"hub_id": hub_id})
    return version, None if access is None else HubEntry(Access(access), before, adopted)
