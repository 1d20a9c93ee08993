"""Gets a bundle from the cloud, from where the last attempt ended, and believes nothing but its digest."""

import contextlib
import hashlib
import http.client
import os
import ssl
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from bedside_agent.errors import AgentError
from bedside_profiles.release import Release

TIMEOUT_SECONDS = 30.0
BLOCK_BYTES = 64 * 1024
SPARE_BYTES = 64 * 1024 * 1024
"""Left for readings while a bundle is there: the buffer comes first."""


class FetchError(AgentError):
    """`retry` says whether a later attempt can go better."""

    def __init__(self, what: str, *, fix: str, retry: bool) -> None:
        super().__init__(what, fix=fix)
        self.retry = retry


def fetch(url: str, context: ssl.SSLContext, release: Release, to: Path) -> None:
    """Bring the bundle to `to`. FetchError when it is not there whole; what came stays beside it for the next attempt.

    `url` is the enrolment server's; the bundle lies at `/updates/SHA-256` there. Ranges as in RFC 9110, section 14.
    """
    if _is_whole(to, release):
        return
    part = to.with_suffix(".part")
    has = part.stat().st_size if part.exists() else 0
    if has > release.size_bytes:
        part.unlink()
        has = 0
    _check_space(to.parent, release.size_bytes - has)
    if has < release.size_bytes:
        _download(url, context, release, part, has)
    if not _is_whole(part, release):
        part.unlink(missing_ok=True)
        raise FetchError("what came is not the bundle that was signed", fix="give the command again", retry=True)
    part.replace(to)


def _is_whole(path: Path, release: Release) -> bool:
    if not path.exists() or path.stat().st_size != release.size_bytes:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == release.sha256


def _check_space(folder: Path, wanted_bytes: int) -> None:
    disk = os.statvfs(folder)
    if disk.f_bavail * disk.f_frsize < wanted_bytes + SPARE_BYTES:
        raise FetchError("there is no room for the bundle", fix="free some space on the hub's disk", retry=False)


def _download(url: str, context: ssl.SSLContext, release: Release, part: Path, has: int) -> None:
    address = urlsplit(url)
    path = f"{address.path}/updates/{release.sha256}"
    try:
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=TIMEOUT_SECONDS, context=context
        )
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"range": f"bytes={has}-"})
            # An answer that is not read to its end holds the socket open.
            with connection.getresponse() as answer:
                if answer.status == HTTPStatus.NOT_FOUND:
                    raise FetchError("the cloud does not have that bundle", fix="add the version again", retry=False)
                if answer.status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                    raise FetchError(f"the cloud answered {answer.status} for the bundle", fix="wait", retry=True)
                _keep(answer, part, release.size_bytes, goes_on=answer.status == HTTPStatus.PARTIAL_CONTENT)
    except (OSError, http.client.HTTPException) as cause:
        what = f"the bundle cannot be fetched: {str(cause) or type(cause).__name__}"
        raise FetchError(what, fix="check the hub's network", retry=True) from cause


def _keep(answer: http.client.HTTPResponse, part: Path, most_bytes: int, *, goes_on: bool) -> None:
    """A server that knows no ranges begins again at the first byte; so does the file."""
    with part.open("ab" if goes_on else "wb") as file:
        while file.tell() < most_bytes:
            block = answer.read(min(BLOCK_BYTES, most_bytes - file.tell()))
            if not block:
                break
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    if part.stat().st_size < most_bytes:
        raise FetchError("the connection broke off", fix="wait: it goes on where it ended", retry=True)
