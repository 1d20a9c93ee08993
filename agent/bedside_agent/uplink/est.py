"""EST (RFC 7030) over HTTPS: one question, the certificates of its answer.

The standard library's client: the running hub renews with it, and another would take 8 MB of its memory for that.
"""

import base64
import binascii
import contextlib
import http.client
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urlsplit

from bedside_agent import trust
from bedside_agent.errors import EnrolmentError, UntrustedError
from bedside_agent.uplink.dates import client_context

TIMEOUT_SECONDS = 15.0
MOST_ANSWER_BYTES = 64 * 1024
NEW_CLAIM = "bedside-cloud fleet claim new --hub-id HUB, then bedside-agent init --claim TEXT"


def unproven_context() -> ssl.SSLContext:
    """TLS that proves nothing: only for what is compared with a fingerprint afterwards (RFC 7030, 4.1.1)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def server_context(root: bytes, floor_ms: int | None) -> ssl.SSLContext:
    """TLS to a server that this root vouches for. `floor_ms` as in `dates.client_context`."""
    context = client_context(floor_ms)
    context.load_verify_locations(cadata=root)
    return context


def authorities(est_url: str, context: ssl.SSLContext) -> tuple[bytes, ...]:
    """The certificates of `cacerts`, each DER. EnrolmentError when there is no such answer."""
    return _certificates(_call(est_url, context, "GET", "cacerts"))


def certify(
    est_url: str, context: ssl.SSLContext, operation: str, request: bytes, auth: tuple[str, str] | None = None
) -> tuple[bytes, ...]:
    """What the server makes of a PKCS#10 request (DER): certificates, each DER. EnrolmentError when it is nothing."""
    headers = {"content-type": "application/pkcs10", "content-transfer-encoding": "base64"}
    content = base64.b64encode(request)
    return _certificates(_call(est_url, context, "POST", operation, content=content, headers=headers, auth=auth))


def check_issued(
    hub_id: str, key: bytes, root: bytes, others: tuple[bytes, ...], issued: tuple[bytes, ...]
) -> tuple[bytes, tuple[bytes, ...]]:
    """The hub's own certificate and its issuers below the root. EnrolmentError when they cannot be used."""
    own = next((one for one in issued if trust.belongs_to(key, one)), None)
    try:
        if own is None:
            raise UntrustedError("no certificate for this hub's key came back")
        name, issuers = trust.verify_chain(own, (*issued, *others), root, None)
        if name != hub_id:
            raise UntrustedError("the certificate is for another hub")
    except UntrustedError as cause:
        raise EnrolmentError(
            f"the enrolment server's answer cannot be used: {cause.what}", fix=NEW_CLAIM, retry=False
        ) from cause
    return own, issuers


def _call(
    est_url: str,
    context: ssl.SSLContext,
    method: str,
    operation: str,
    *,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
) -> bytes:
    sent = dict(headers or {})
    if auth is not None:
        sent["authorization"] = "Basic " + base64.b64encode(":".join(auth).encode()).decode()
    address = urlsplit(est_url)
    try:
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=TIMEOUT_SECONDS, context=context
        )
        with contextlib.closing(connection):
            connection.request(method, f"{address.path}/.well-known/est/{operation}", body=content, headers=sent)
            answer = connection.getresponse()
            body = answer.read(MOST_ANSWER_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as cause:
        raise EnrolmentError(
            f"the enrolment server {est_url} cannot be reached: {str(cause) or type(cause).__name__}",
            cause="the network is down, the address is wrong, or its certificate is not for that name",
            fix="check the network and run the same command again: the claim is not used up",
            retry=True,
        ) from cause
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        what = "claim" if auth is not None else "hub's certificate"
        raise EnrolmentError(
            f"the enrolment server refused the {what}",
            cause="it was used already, has expired, or is for another hub"
            if auth is not None
            else f"it said: {body[:200].decode('utf-8', 'replace')}",
            fix=NEW_CLAIM,
            retry=False,
        )
    if answer.status != HTTPStatus.OK:
        raise EnrolmentError(
            f"the enrolment server answered {answer.status} to {operation}",
            cause="it is starting, overloaded, or no enrolment server",
            fix="run the same command again in a minute",
            retry=True,
        )
    return body


def _certificates(body: bytes) -> tuple[bytes, ...]:
    """The certificates of a base64 certs-only PKCS#7."""
    try:
        if len(body) > MOST_ANSWER_BYTES:
            raise UntrustedError("the answer is too long")
        return trust.certificates_in_pkcs7(base64.b64decode(body))
    except (binascii.Error, UntrustedError) as cause:
        raise EnrolmentError(
            "the enrolment server's answer holds no certificates",
            cause="the address is not that of an enrolment server",
            fix="check the address in the claim",
            retry=False,
        ) from cause
