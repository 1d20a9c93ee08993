"""SQL access of identity. Every function works in the caller's transaction."""

from datetime import datetime
from pathlib import Path

from bedside_cloud.contracts.identity import Role
from bedside_cloud.contracts.identity_administration import Access, HubAccessEntry, PersonAnswer
from bedside_cloud.database.pool import Connection, fetch_all
from bedside_cloud.database.queries import Queries
from bedside_cloud.database.times import to_ms
from bedside_cloud.engines.certificates.authority import BACKDATED, Certificate
from bedside_cloud.identity.snapshot import HubEntry, Snapshot

SQL = Queries(Path(__file__).parent / "queries.sql")


async def insert_claim(connection: Connection, sha256: bytes, hub_id: str, now: datetime, expires_at: datetime) -> None:
    """Keep the hash of a new claim."""
    parameters = {"claim_sha256": sha256, "hub_id": hub_id, "now": now, "expires_at": expires_at}
    await connection.execute(SQL["insert_claim"], parameters)


async def use_claim(connection: Connection, sha256: bytes, hub_id: str, now: datetime) -> bool:
    """Use a claim up; False when it is unknown, used, expired, or another hub's."""
    parameters = {"claim_sha256": sha256, "hub_id": hub_id, "now": now}
    return bool(await fetch_all(connection, SQL["use_claim"], parameters))


async def enrol(connection: Connection, hub_id: str, certificate: Certificate) -> None:
    """The hub is active from now on with this certificate; those that it had before are refused."""
    issued_at = certificate.not_valid_before_utc + BACKDATED
    await connection.execute(SQL["enrol_hub"], {"hub_id": hub_id, "now": issued_at})
    await connection.execute(
        SQL["insert_certificate"],
        {
            "serial": f"{certificate.serial_number:x}",
            "hub_id": hub_id,
            "issued_at": issued_at,
            "ends_at": certificate.not_valid_after_utc,
        },
    )


async def set_access(connection: Connection, hub_id: str, access: Access, now: datetime) -> bool:
    """False when the hub is unknown, or revoked and is to become anything else."""
    parameters = {"hub_id": hub_id, "access": access.value, "now": now}
    return bool(await fetch_all(connection, SQL["set_access"], parameters))


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
        )
        for hub_id, access, enrolled_at, ends_at, oversized in rows
    )


async def count_oversized(connection: Connection, hub_id: str) -> None:
    """The broker cut the hub once more because of a message above its limit."""
    await connection.execute(SQL["count_oversized"], {"hub_id": hub_id})


async def snapshot(connection: Connection) -> Snapshot:
    """Who is let in now."""
    rows = await fetch_all(connection, SQL["snapshot"], {})
    version = rows[0][0] if rows else 0
    return Snapshot(version, {hub_id: HubEntry(Access(access), before) for _, hub_id, access, before in rows})


async def put_person(connection: Connection, name: str, role: Role, hashed: str, now: datetime) -> PersonAnswer:
    """Add a person, or give a known one this role and password."""
    parameters = {"name": name, "role": role.value, "password_hash": hashed, "now": now}
    ((person_id, created),) = await fetch_all(connection, SQL["put_person"], parameters)
    await connection.execute(SQL["forget_failed_logins"], {"name": name})
    return PersonAnswer(person_id=person_id, name=name, role=role, created=created)


async def people(connection: Connection) -> tuple[PersonAnswer, ...]:
    """Everybody who can log in."""
    rows = await fetch_all(connection, SQL["people"], {})
    return tuple(PersonAnswer(person_id=person_id, name=name, role=role) for person_id, name, role in rows)


async def person_by_name(connection: Connection, name: str) -> tuple[str, Role, str] | None:
    """Id, role and password hash."""
    rows = await fetch_all(connection, SQL["person_by_name"], {"name": name})
    return (rows[0][0], Role(rows[0][1]), rows[0][2]) if rows else None


async def failed_logins(connection: Connection, name: str) -> tuple[int, datetime] | None:
    """How often in a row, and when last."""
    rows = await fetch_all(connection, SQL["failed_logins"], {"name": name})
    return (rows[0][0], rows[0][1]) if rows else None


async def count_failed_login(connection: Connection, name: str, now: datetime) -> None:
    """One more in a row."""
    await connection.execute(SQL["count_failed_login"], {"name": name, "now": now})


async def forget_failed_logins(connection: Connection, name: str) -> None:
    """The right password came."""
    await connection.execute(SQL["forget_failed_logins"], {"name": name})
