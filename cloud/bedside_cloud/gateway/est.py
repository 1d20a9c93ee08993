"""Enrolment over Secure Transport (RFC 7030) for hubs: a listener of its own, with TLS.

It decides nothing: the request goes to identity, which knows claims and holds the issuing key. Beside EST it gives out
the list of refused certificates, for brokers that let hubs in by themselves.
"""

import base64
import binascii
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError, UnansweredError
from bedside_cloud.contracts.identity import (
    EST_CA,
    EST_CRL,
    EST_ENROL,
    EST_REENROL,
    CertificatesOnly,
    EnrolRequest,
    ReenrolRequest,
    RevocationList,
    RevocationRequest,
)
from bedside_cloud.contracts.message import Empty
from bedside_cloud.contracts.releases import RELEASE_BYTES, BytesAnswer, BytesRequest
from bedside_cloud.gateway.peer import client_certificate
from bedside_cloud.gateway.throttle import Throttle

MOST_BYTES = 16 * 1024
"""A PKCS#10 request with a P-256 key is below 1 KiB."""

WIDTH = 64

MOST_FAILURES, FAILURES_SECONDS = 10, 300.0
"""How often an address may come with a wrong claim or certificate. Claims cannot be guessed: it keeps identity free."""

# CsrAttrs (RFC 7030, 4.5.2): a key on P-256, ECDSA with SHA-256, and the computer's serial number in the subject.
CSR_ATTRIBUTES = bytes.fromhex("3026301506072a8648ce3d0201310a06082a8648ce3d03010706082a8648ce3d0403020603550405")


def make_est(bus: Bus) -> FastAPI:
    """The application of the enrolment listener."""
    app = FastAPI(title="Bedside enrolment", openapi_url=None, docs_url=None, redoc_url=None)
    throttle = Throttle(MOST_FAILURES, FAILURES_SECONDS)

    async def issued(request: Request, asking: Awaitable[CertificatesOnly]) -> Response:
        try:
            return certificates(await asking)
        except RefusedError as refusal:
            if refusal.code in (401, 403):
                throttle.failed(address_of(request), time.monotonic())
            return refused(refusal)
        except UnansweredError:
            return unavailable()

    def held_off(request: Request) -> Response | None:
        seconds = throttle.wait_seconds(address_of(request), time.monotonic())
        return None if seconds <= 0 else too_many(seconds)

    @app.get("/.well-known/est/cacerts")
    async def cacerts() -> Response:
        """The chain that a hub is to trust (4.1); the hub checks it against the fingerprint on its label."""
        try:
            return certificates(await bus.request(EST_CA, Empty(), CertificatesOnly))
        except UnansweredError:
            return unavailable()

    @app.get("/.well-known/est/csrattrs")
    async def csrattrs() -> Response:
        """What a request should look like (4.5)."""
        return encoded(CSR_ATTRIBUTES, "application/csrattrs")

    @app.get("/crl/{issuer}.crl")
    async def crl(issuer: str) -> Response:
        """The certificates that are refused before they expire (RFC 5280, 5), in DER: `issuing.crl` is the present
        authority's, an earlier one's has its serial number for a name."""
        try:
            question = RevocationRequest(issuer="" if issuer == "issuing" else issuer)
            answer = await bus.request(EST_CRL, question, RevocationList)
        except RefusedError as refusal:
            return refused(refusal)
        except UnansweredError:
            return unavailable()
        return Response(answer.crl_der, media_type="application/pkix-crl")

    @app.post("/.well-known/est/simpleenroll")
    async def simpleenroll(request: Request) -> Response:
        """A certificate for a hub that holds a claim, given as HTTP Basic (4.2, 3.2.3), or a certificate of ours."""
        shown = client_certificate(request.scope)
        if shown is not None and "authorization" not in request.headers:
            return await simplereenroll(request)
        if (wait := held_off(request)) is not None:
            return wait
        credentials = basic(request.headers.get("authorization", ""))
        if credentials is None:
            return unauthorised("Send the hub's id and its claim.")
        csr = await body_of(request)
        if csr is None:
            return no_request()
        hub_id, claim = credentials
        question = EnrolRequest(hub_id=hub_id, claim=claim, csr_der=csr)
        return await issued(request, bus.request(EST_ENROL, question, CertificatesOnly))

    @app.post("/.well-known/est/simplereenroll")
    async def simplereenroll(request: Request) -> Response:
        """The next certificate of a hub that shows its present one in the handshake (4.2.2), also an expired one."""
        if (wait := held_off(request)) is not None:
            return wait
        shown = client_certificate(request.scope)
        if shown is None:
            return unauthorised("Show the hub's certificate, or enrol with a claim.")
        csr = await body_of(request)
        if csr is None:
            return no_request()
        question = ReenrolRequest(certificate_der=shown, csr_der=csr)
        return await issued(request, bus.request(EST_REENROL, question, CertificatesOnly))

    @app.get("/updates/{sha256}")
    async def update(sha256: str, request: Request) -> Response:
        """A bundle of the hub's software, from a byte on (RFC 9110, 14.2: one open range). Nothing in it is secret, and
        the hub believes only what its release key has signed."""
        at = first_byte(request.headers.get("range", ""))
        try:
            first = await bus.request(RELEASE_BYTES, BytesRequest(sha256=sha256, at_byte=at), BytesAnswer)
        except RefusedError as refusal:
            return refused(refusal)
        except UnansweredError:
            return unavailable()
        if at >= first.size_bytes:
            whole = {"Content-Range": f"bytes */{first.size_bytes}"}
            return PlainTextResponse("The bundle ends before that byte.", status_code=416, headers=whole)

        async def content() -> AsyncIterator[bytes]:
            part, done = base64.b64decode(first.content_base64), at
            while part:
                yield part
                done += len(part)
                answer = await bus.request(RELEASE_BYTES, BytesRequest(sha256=sha256, at_byte=done), BytesAnswer)
                part = base64.b64decode(answer.content_base64)

        headers = {"Content-Length": str(first.size_bytes - at), "Accept-Ranges": "bytes"}
        if at:
            headers["Content-Range"] = f"bytes {at}-{first.size_bytes - 1}/{first.size_bytes}"
        return StreamingResponse(
            content(), status_code=206 if at else 200, headers=headers, media_type="application/octet-stream"
        )

    return app


def first_byte(header: str) -> int:
    """Of `bytes=N-`; 0 for any other header, which is then answered whole."""
    found = re.fullmatch(r"bytes=([0-9]{1,10})-", header.strip())
    return int(found[1]) if found else 0


def address_of(request: Request) -> str:
    """Where the request came from."""
    return request.client.host if request.client else ""


def certificates(answer: CertificatesOnly) -> Response:
    """A certs-only answer as RFC 7030 wants it."""
    return encoded(answer.pkcs7_der, "application/pkcs7-mime; smime-type=certs-only")


def encoded(der: bytes, media_type: str) -> Response:
    """Base64 with its transfer encoding named."""
    text = base64.b64encode(der).decode()
    lines = "\r\n".join(text[start : start + WIDTH] for start in range(0, len(text), WIDTH))
    return Response(lines + "\r\n", media_type=media_type, headers={"Content-Transfer-Encoding": "base64"})


def refused(refusal: RefusedError) -> Response:
    """What identity said, with its code."""
    if refusal.code == 401:
        return unauthorised(refusal.reason)
    headers = {"Retry-After": "60"} if refusal.code in (429, 503) else None
    return PlainTextResponse(refusal.reason, status_code=refusal.code, headers=headers)


def unauthorised(reason: str) -> Response:
    """401 with the scheme that a hub is to use."""
    return PlainTextResponse(reason, status_code=401, headers={"WWW-Authenticate": 'Basic realm="est"'})


def no_request() -> Response:
    """400: the body is of another kind."""
    return PlainTextResponse("The body is not a base64 PKCS#10 request.", status_code=400)


def too_many(seconds: float) -> Response:
    """429: this address was wrong too often."""
    reason = "Too many refused attempts from this address. Try again later."
    return PlainTextResponse(reason, status_code=429, headers={"Retry-After": str(math.ceil(seconds))})


def unavailable() -> Response:
    """503: identity does not answer; the hub tries again."""
    return PlainTextResponse("Try again in a moment.", status_code=503, headers={"Retry-After": "5"})


def basic(header: str) -> tuple[str, str] | None:
    """User and password of an HTTP Basic header (RFC 7617), or None."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, separator, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (user, password) if separator else None


async def body_of(request: Request) -> bytes | None:
    """The DER in a base64 body of bounded length, or None."""
    text = b""
    async for chunk in request.stream():
        text += chunk
        if len(text) > MOST_BYTES:
            return None
    try:
        return base64.b64decode(b"".join(text.split()), validate=True) or None
    except binascii.Error:
        return None
