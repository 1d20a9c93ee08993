"""The client's certificate, which uvicorn keeps to itself, where ASGI's TLS extension has it."""

import asyncio
import ssl
from pathlib import Path
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, for which Python has no name."""


class PeerProtocol(H11Protocol):
    """HTTP/1.1 that tells the application who the client is: `scope["extensions"]["tls"]["client_cert_chain"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is over."""
        super().connection_made(transport)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        shown = None if tls is None else tls.getpeercert(binary_form=True)
        self.app = cast("Any", _telling(cast("ASGIApp", self.app), shown))


def _telling(app: ASGIApp, shown: bytes | None) -> ASGIApp:
    chain = [] if shown is None else [ssl.DER_cert_to_PEM_cert(shown)]

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        extensions = {**scope.get("extensions", {}), "tls": {"client_cert_chain": chain}}
        await app({**scope, "extensions": extensions}, receive, send)

    return told


def client_certificate(scope: Scope) -> bytes | None:
    """What the client showed, DER; its chain and its key were checked in the handshake. None without one."""
    chain = scope.get("extensions", {}).get("tls", {}).get("client_cert_chain", ())
    return ssl.PEM_cert_to_DER_cert(chain[0]) if chain else None


def asking_for_certificates(context: ssl.SSLContext, ca_file: Path) -> ssl.SSLContext:
    """The server's context, asking its clients for a certificate, which they may do without.

    One whose time is over is let through: a hub that was away for too long has nothing else to show, and whoever
    answers it decides. Chain and key are checked all the same.
    """
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(ca_file)
    context.verify_flags |= NO_CHECK_TIME
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
