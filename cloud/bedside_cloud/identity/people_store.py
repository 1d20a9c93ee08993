"""SQL access to people and their log-ins. Every function works in the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from bedside_cloud.contracts.identity import EndedLogin, EndedLogins, LogoutRequest, PersonSeries, Role
from bedside_cloud.contracts.identity_administration import PersonAnswer
from bedside_cloud.database.pool import Connection, fetch_all
from bedside_cloud.database.queries import Queries
from bedside_cloud.database.times import to_ms, to_time
from bedside_cloud.identity.tokens import LIFE_SECONDS

SQL = Queries(Path(__file__).parent / "people.sql")

LONGEST_GOOD = timedelta(seconds=LIFE_SECONDS) + timedelta(hours=1)
"""Whoever checks a token may have a clock that is late by an hour."""

MOST_ENDED_LOGINS = 200
"""Of one person: beyond that, all of their log-ins end together, so that the list which everybody keeps stays short."""


@dataclass(frozen=True, slots=True)
class Person:
    """What a log-in is checked against."""

    person_id: str
    role: Role
    password_hash: str
    disabled: bool
    series: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A person after a change, and the series of their tokens that are good."""

    person: PersonAnswer
    series: int

    @property
    def ended(self) -> EndedLogins:
        """The log-ins of earlier series."""
        return EndedLogins(series=(PersonSeries(person_id=self.person.person_id, series=self.series),))


async def put_person(connection: Connection, name: str, role: Role, hashed: str, now: datetime) -> Changed:
    """Add a person, or give a known one this role and password, and end their log-ins."""
    parameters = {"name": name, "role": role.value, "password_hash": hashed, "now": now}
    ((*row, created),) = await fetch_all(connection, SQL["put_person"], parameters)
    await forget_failed_logins(connection, name)
    changed = _changed(name, row)
    return Changed(changed.person.model_copy(update={"created": created}), changed.series)


async def end_logins(connection: Connection, name: str, now: datetime) -> Changed | None:
    """End all log-ins of a person; None for a name that nobody has."""
    rows = await fetch_all(connection, SQL["end_logins"], {"name": name, "now": now})
    return _changed(name, rows[0]) if rows else None


async def set_disabled(connection: Connection, name: str, disabled: bool, now: datetime) -> Changed | None:
    """Let a person log in no more, or again; None for a name that nobody has."""
    rows = await fetch_all(connection, SQL["set_disabled"], {"name": name, "disabled": disabled, "now": now})
    return _changed(name, rows[0]) if rows else None


async def end_login(connection: Connection, request: LogoutRequest, now: datetime) -> tuple[str, EndedLogins] | None:
    """End one log-in: whose, and what is not good any more; None when it had ended, or is nobody's."""
    parameters = {
        "login_id": request.login_id,
        "person_id": request.person_id,
        "expires_at": to_time(request.expires_at_ms),
        "now": now,
    }
    await connection.execute(SQL["forget_expired_logins"], parameters)
    rows = await fetch_all(connection, SQL["end_login"], parameters)
    if not rows:
        return None
    name: str = rows[0][0]
    ((count,),) = await fetch_all(connection, SQL["count_ended_logins"], parameters)
    if count <= MOST_ENDED_LOGINS:
        one = EndedLogin(login_id=request.login_id, expires_at_ms=request.expires_at_ms)
        return name, EndedLogins(logins=(one,))
    await connection.execute(SQL["forget_ended_logins_of"], parameters)
    ((series,),) = await fetch_all(connection, SQL["end_logins_of_id"], parameters)
    return name, EndedLogins(series=(PersonSeries(person_id=request.person_id, series=series),))


async def ended_logins(connection: Connection, now: datetime) -> EndedLogins:
    """Every log-in that ended before its time and whose token would still be good."""
    ((since,),) = await fetch_all(connection, SQL["generation_since"], {})
    series = await fetch_all(connection, SQL["ended_series"], {"since": now - LONGEST_GOOD})
    logins = await fetch_all(connection, SQL["ended_logins"], {"now": now - timedelta(hours=1)})
    return EndedLogins(
        refuse_issued_before_ms=to_ms(since),
        series=tuple([PersonSeries(person_id=person_id, series=number) for person_id, number in series]),
        logins=tuple([EndedLogin(login_id=login_id, expires_at_ms=to_ms(at)) for login_id, at in logins]),
    )


async def people(connection: Connection) -> tuple[PersonAnswer, ...]:
    """Everybody who is known."""
    rows = await fetch_all(connection, SQL["people"], {})
    return tuple(
        [
            PersonAnswer(person_id=person_id, name=name, role=role, disabled=disabled)
            for person_id, name, role, disabled in rows
        ]
    )


async def person_by_name(connection: Connection, name: str) -> Person | None:
    """Who logs in by that name."""
    rows = await fetch_all(connection, SQL["person_by_name"], {"name": name})
    if not rows:
        return None
    person_id, role, hashed, disabled, series = rows[0]
    return Person(person_id, Role(role), hashed, disabled, series)


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


def _changed(name: str, row: "tuple[object, ...] | list[object]") -> Changed:
    person_id, role, disabled, series = row
    person = PersonAnswer(person_id=str(person_id), name=name, role=Role(str(role)), disabled=bool(disabled))
    return Changed(person, int(str(series)))
