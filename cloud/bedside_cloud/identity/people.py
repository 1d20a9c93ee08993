"""What identity answers of people: log-in, keys, who there is, and the end of log-ins before their time."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from bedside_cloud.bus.actor import PERSON, present_actor
from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import identity, identity_administration
from bedside_cloud.contracts.identity import EndedLogins, LoginAnswer, LoginRequest, LogoutRequest, SigningKeys
from bedside_cloud.contracts.identity_administration import NamedPerson, PeopleAnswer, PersonAnswer, PersonRequest
from bedside_cloud.contracts.message import Empty
from bedside_cloud.database.pool import Database
from bedside_cloud.identity import passwords, people_store, store
from bedside_cloud.identity.people_store import Changed
from bedside_cloud.identity.tokens import LIFE_SECONDS, Tokens

LOG = logging.getLogger(__name__)

LONGEST_NAME = 64
NO_SUCH_PERSON = "Nobody has that name. See them: bedside-cloud person list"


class People:
    """`ended` is awaited after the commit and before the answer, and tells whether every gateway decides by it now."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        clock: Callable[[], datetime],
        ended: Callable[[EndedLogins], Awaitable[bool]],
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._clock = clock
        self._ended = ended
        # Two at once fill this machine's cores and 128 MiB; more would let a flood of log-ins starve the callout.
        self._hashing = asyncio.Semaphore(2)

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint."""
        return (
            Endpoint(identity.LOGIN, LoginRequest, self.login),
            Endpoint(identity.LOGOUT, LogoutRequest, self.logout),
            Endpoint(identity.ENDED_LOGINS, Empty, self.ended_logins),
            Endpoint(identity.KEYS, Empty, self.keys),
            Endpoint(identity_administration.PERSON_ADD, PersonRequest, self.add_person),
            Endpoint(identity_administration.PERSON_LOG_OUT, NamedPerson, self.log_out),
            Endpoint(identity_administration.PERSON_DISABLE, NamedPerson, self.disable),
            Endpoint(identity_administration.PERSON_ENABLE, NamedPerson, self.enable),
            Endpoint(identity_administration.PEOPLE, Empty, self.people),
        )

    async def login(self, request: LoginRequest) -> LoginAnswer:
        now = self._clock()
        # PostgreSQL takes no NUL: such a name is nobody's, and not an error of ours.
        name = request.name[:LONGEST_NAME].replace("\0", "\N{REPLACEMENT CHARACTER}")
        async with self._database.transaction() as connection:
            failed = await people_store.failed_logins(connection, name)
            person = await people_store.person_by_name(connection, name)
        if failed and now < failed[1] + timedelta(seconds=passwords.pause_seconds(failed[0])):
            raise RefusedError(429, "Too many wrong passwords. Try again later.")
        hashed = person.password_hash if person else passwords.NOBODYS_HASH
        async with self._hashing:
            right = await asyncio.to_thread(passwords.is_right, hashed, request.password)
        async with self._database.transaction() as connection:
            if person is None or not right:
                await people_store.count_failed_login(connection, name, now)
            elif failed:
                await people_store.forget_failed_logins(connection, name)
        # Who may not log in is told no more than a stranger.
        if person is None or not right or person.disabled:
            raise RefusedError(401, "The name or the password is wrong.")
        token = self._tokens.issue(person.person_id, name, person.role, now, person.series)
        return LoginAnswer(access_token=token, expires_in_seconds=LIFE_SECONDS)

    async def logout(self, request: LogoutRequest) -> Empty:
        try:
            uuid.UUID(request.login_id), uuid.UUID(request.person_id)
        except ValueError as cause:
            raise RefusedError(400, "No log-in has such an id.") from cause
        async with self._database.transaction() as connection:
            ended = await people_store.end_login(connection, request, self._clock())
            if ended is not None:
                name, news = ended
                await store.add_deed(connection, present_actor(), "login_ended", _subject(name), request.login_id)
        if ended is not None:
            await self._ended(news)
        return Empty()

    async def ended_logins(self, _request: Empty) -> EndedLogins:
        async with self._database.transaction() as connection:
            return await people_store.ended_logins(connection, self._clock())

    async def keys(self, _request: Empty) -> SigningKeys:
        return SigningKeys(jwks=self._tokens.key_set())

    async def add_person(self, request: PersonRequest) -> PersonAnswer:
        if not 1 <= len(request.name) <= LONGEST_NAME or request.name != request.name.strip():
            raise RefusedError(400, f"A name has 1 to {LONGEST_NAME} signs and no blank at its ends.")
        if len(request.password) < passwords.SHORTEST:
            raise RefusedError(400, f"A password has at least {passwords.SHORTEST} signs.")
        async with self._hashing:
            hashed = await asyncio.to_thread(passwords.password_hash, request.password)
        async with self._database.transaction() as connection:
            changed = await people_store.put_person(connection, request.name, request.role, hashed, self._clock())
            if not changed.person.created:
                await self._note(connection, "person_changed", changed, request.role.value)
        return changed.person if changed.person.created else await self._told(changed)

    async def log_out(self, request: NamedPerson) -> PersonAnswer:
        async with self._database.transaction() as connection:
            changed = _known(await people_store.end_logins(connection, request.name, self._clock()))
            await self._note(connection, "logins_ended", changed)
        return await self._told(changed)

    async def disable(self, request: NamedPerson) -> PersonAnswer:
        now = self._clock()
        async with self._database.transaction() as connection:
            _known(await people_store.set_disabled(connection, request.name, True, now))
            changed = _known(await people_store.end_logins(connection, request.name, now))
            await self._note(connection, "person_disabled", changed)
        return await self._told(changed)

    async def enable(self, request: NamedPerson) -> PersonAnswer:
        async with self._database.transaction() as connection:
            changed = _known(await people_store.set_disabled(connection, request.name, False, self._clock()))
            await self._note(connection, "person_enabled", changed)
        return changed.person

    async def people(self, _request: Empty) -> PeopleAnswer:
        async with self._database.transaction() as connection:
            return PeopleAnswer(people=await people_store.people(connection))

    async def _told(self, changed: Changed) -> PersonAnswer:
        LOG.info("logins_ended person=%s", changed.person.person_id)
        return changed.person.model_copy(update={"everywhere": await self._ended(changed.ended)})

    async def _note(self, connection: Any, deed: str, changed: Changed, detail: str = "") -> None:
        await store.add_deed(connection, present_actor(), deed, _subject(changed.person.name), detail)


def _known(changed: Changed | None) -> Changed:
    if changed is None:
        raise RefusedError(404, NO_SUCH_PERSON)
    return changed


def _subject(name: str) -> str:
    # The record joins its columns with `|`.
    return PERSON + name.replace("|", "/")
