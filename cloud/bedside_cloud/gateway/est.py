"""Enrolment over Secure Transport (RFC 7030) for hubs: a listener of its own, with TLS.

It decides nothing: the request goes to identity, which knows claims and holds the issuing key.
"""

import base64
import binascii

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse

from bedside_cloud.bus.connection import Bus
from bedside_cloud.bus.errors import RefusedError, UnansweredError
from bedside_cloud.contracts.identity import EST_CA, EST_ENROL, CertificatesOnly, EnrolRequest
from bedside_cloud.contracts.message import Empty

MOST_BYTES = 16 * 1024
"""A PKCS#10 request with a P-256 key is below 1 KiB."""

WIDTH = 64


def make_est(bus: Bus) -> FastAPI:
    """The application of the enrolment listener."""
    app = FastAPI(title="Bedside enrolment", openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/.well-known/est/cacerts")
    async def cacerts() -> Response:
        """The chain that a hub is to trust (4.1); the hub checks it against the fingerprint on its label."""
        try:
            return certificates(await bus.request(EST_CA, Empty(), CertificatesOnly))
        except UnansweredError:
            return unavailable()

    @app.post("/.well-known/est/simpleenroll")
    async def simpleenroll(request: Request) -> Response:
        """A certificate for a hub that holds a claim, given as HTTP Basic (4.2, 3.2.3)."""
        credentials = basic(request.headers.get("authorization", ""))
        if credentials is None:
            return unauthorised("Send the hub's id and its claim.")
        csr = await body_of(request)
        if csr is None:
            return PlainTextResponse("The body is not a base64 PKCS#10 request.", status_code=400)
        hub_id, claim = credentials
        try:
            question = EnrolRequest(hub_id=hub_id, claim=claim, csr_der=csr)
            return certificates(await bus.request(EST_ENROL, question, CertificatesOnly))
        except RefusedError as refusal:
            if refusal.code == 401:
                return unauthorised(refusal.reason)
            return PlainTextResponse(refusal.reason, status_code=refusal.code)
        except UnansweredError:
            return unavailable()

    return app


def certificates(answer: CertificatesOnly) -> Response:
    """A certs-only answer as RFC 7030 wants it: base64 with its transfer encoding named."""
    text = base64.b64encode(answer.pkcs7_der).decode()
    lines = "\r\n".join(text[start : start + WIDTH] for start in range(0, len(text), WIDTH))
    return Response(
        lines + "\r\n",
        media_type="application/pkcs7-mime; smime-type=certs-only",
        headers={"Content-Transfer-Encoding": "base64"},
    )


def unauthorised(reason: str) -> Response:
    """401 with the scheme that a hub is to use."""
    return PlainTextResponse(reason, status_code=401, headers={"WWW-Authenticate": 'Basic realm="est"'})


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
