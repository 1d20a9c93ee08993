"""Signed versions of the hub's software: taken in parts, given out in parts, believed by nobody but the hub's root."""

import base64
import binascii
import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bedside_cloud.bus.actor import present_actor
from bedside_cloud.bus.connection import Endpoint
from bedside_cloud.bus.errors import RefusedError
from bedside_cloud.contracts import releases
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.releases import (
    PART_BYTES,
    BytesAnswer,
    BytesRequest,
    PartRequest,
    Release,
    ReleaseList,
    ReleaseName,
    ReleaseRequest,
)
from bedside_cloud.database.pool import Connection, Database, fetch_all
from bedside_cloud.database.times import to_ms
from bedside_cloud.registry import store
from bedside_cloud.registry.plans import SQL
from bedside_profiles.errors import MalformedError
from bedside_profiles.release import read_release

SIGNATURE_BYTES = 64
"""Ed25519 (RFC 8032, 5.1.6)."""


class Releases:
    """`clock` is the wall clock."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def table(self) -> tuple[Endpoint[Any, Any], ...]:
        """Every endpoint of releases."""
        return (
            Endpoint(releases.RELEASE_ADD, ReleaseRequest, self.add),
            Endpoint(releases.RELEASE_PART, PartRequest, self.part),
            Endpoint(releases.RELEASES, Empty, self.listed),
            Endpoint(releases.RELEASE_REMOVE, ReleaseName, self.remove),
            Endpoint(releases.RELEASE_BYTES, BytesRequest, self.content),
        )

    async def add(self, request: ReleaseRequest) -> Release:
        try:
            named = read_release(request.manifest)
            signature = base64.b64decode(request.signature_base64, validate=True)
        except (MalformedError, binascii.Error) as wrong:
            raise RefusedError(400, "That is no signed version: make one with `fleet version sign`.") from wrong
        if len(signature) != SIGNATURE_BYTES:
            raise RefusedError(400, "The signature is none of Ed25519.")
        parameters = {
            "sha256": named.sha256,
            "version": named.version,
            "manifest": request.manifest,
            "signature": signature,
            "size_bytes": named.size_bytes,
            "now": self._clock(),
        }
        async with self._database.transaction() as connection:
            await connection.execute(SQL["put_release"], parameters)
            await store.add_deed(connection, present_actor(), "release_added", named.sha256, named.version)
            return await _locked(connection, named.sha256)

    async def part(self, request: PartRequest) -> Release:
        try:
            content = base64.b64decode(request.content_base64, validate=True)
        except binascii.Error as wrong:
            raise RefusedError(400, "The part is no base64.") from wrong
        async with self._database.transaction() as connection:
            known = await _locked(connection, request.sha256)
            has = known.has_bytes + len(content)
            if request.at_byte != known.has_bytes or not 1 <= len(content) <= PART_BYTES or has > known.size_bytes:
                raise RefusedError(409, f"The next byte is {known.has_bytes} of {known.size_bytes}.")
            parameters = {"sha256": known.sha256, "at_byte": request.at_byte, "content": content, "has_bytes": has}
            await connection.execute(SQL["insert_release_part"], parameters)
            is_right = has < known.size_bytes or await _digest(connection, known.sha256) == known.sha256
            if not is_right:
                # Not in a refusal's transaction, which would undo it: what came has to go, or nothing could mend it.
                await connection.execute(SQL["forget_release_parts"], parameters)
                parameters["has_bytes"] = 0
            await connection.execute(SQL["count_release_bytes"], parameters)
            answer = await _locked(connection, known.sha256)
        if not is_right:
            raise RefusedError(409, "The bytes that came are not the bundle that was signed. Send it again.")
        return answer

    async def listed(self, _request: Empty) -> ReleaseList:
        async with self._database.transaction() as connection:
            rows = await fetch_all(connection, SQL["releases"], {})
        return ReleaseList(releases=tuple([_release(row) for row in rows]))

    async def remove(self, request: ReleaseName) -> Release:
        async with self._database.transaction() as connection:
            found = await named_release(connection, request.version_or_sha256)
            known = await _locked(connection, found.sha256)
            if await fetch_all(connection, SQL["open_rollout_of_release"], {"sha256": known.sha256}):
                raise RefusedError(409, "Hubs are being brought to it: stop the rollout first.")
            await connection.execute(SQL["delete_release"], {"sha256": known.sha256})
            await store.add_deed(connection, present_actor(), "release_removed", known.sha256, known.version)
        return known

    async def content(self, request: BytesRequest) -> BytesAnswer:
        async with self._database.transaction() as connection:
            rows = await fetch_all(
                connection, SQL["release_bytes"], {"sha256": request.sha256, "at_byte": request.at_byte}
            )
        if not rows:
            raise RefusedError(404, "There is no such bundle.")
        size_bytes, content = rows[0]
        return BytesAnswer(content_base64=base64.b64encode(content).decode(), size_bytes=size_bytes)


async def named_release(connection: Connection, name: str) -> Release:
    """The one release of that version or digest."""
    rows = await fetch_all(connection, SQL["releases_named"], {"name": name})
    if not rows:
        raise RefusedError(404, "There is no such version: bedside-cloud fleet version list shows all.")
    if len(rows) > 1:
        raise RefusedError(409, "Several bundles have that version: give the SHA-256 of the one that is meant.")
    return _release(rows[0])


async def _locked(connection: Connection, sha256: str) -> Release:
    rows = await fetch_all(connection, SQL["lock_release"], {"sha256": sha256})
    if not rows:
        raise RefusedError(404, "There is no such bundle: add its manifest first.")
    return _release(rows[0])


async def _digest(connection: Connection, sha256: str) -> str:
    digest = hashlib.sha256()
    async with connection.cursor() as cursor:
        await cursor.execute(SQL["release_parts"], {"sha256": sha256})
        async for (content,) in cursor:
            digest.update(content)
    return digest.hexdigest()


def _release(row: Any) -> Release:
    sha256, version, manifest, size_bytes, has_bytes, added_at = row
    return Release(
        sha256=sha256,
        version=version,
        size_bytes=size_bytes,
        has_bytes=has_bytes,
        may_be_older=read_release(manifest).may_be_older,
        added_at_ms=to_ms(added_at),
    )
