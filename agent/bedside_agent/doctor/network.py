"""The way to the cloud: names, connections, and whether both sides believe each other."""

import contextlib
import socket
import ssl
import time
from urllib.parse import urlsplit

from bedside_agent import trust
from bedside_agent.doctor.findings import Finding, broken, fine, unknown
from bedside_agent.errors import EnrolmentError, IdentityError
from bedside_agent.uplink import est
from bedside_agent.uplink.identity import Identity

SECONDS = 5.0


def names(host: str) -> Finding:
    """Whether the broker's name leads anywhere."""
    began = time.monotonic()
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError as error:
        return broken(
            "dns", f"{host} has no address ({error.strerror or error})", "look at the home's internet connection"
        )
    seconds = time.monotonic() - began
    return fine("dns", f"{host} is {', '.join(sorted(found)[:2])} ({seconds:.1f} s)")


def broker(host: str, port: int, identity: Identity, floor_ms: int | None) -> Finding:
    """A TLS handshake with the hub's certificate. Whether the broker lets the hub in is the running agent's to say."""
    try:
        context = identity.tls_context(floor_ms)
    except IdentityError as error:
        return broken("broker", error.what, error.fix)
    try:
        with (
            socket.create_connection((host, port), timeout=SECONDS) as line,
            context.wrap_socket(line, server_hostname=host) as tls,
        ):
            # TLS 1.3 refuses a client's certificate after the handshake: a refusal comes at once, or not at all.
            tls.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                if not tls.recv(1):
                    return broken("broker", "it ends the connection: it does not know this hub", est.NEW_CLAIM)
            return fine("broker", f"{host}:{port} answers, and proves who it is ({tls.version()})")
    except ssl.SSLCertVerificationError as error:
        return broken(
            "broker",
            f"{host} does not prove who it is: {error.verify_message or error}",
            "the hub's clock, or another installation of the cloud: compare `clock`, then enrol anew",
        )
    except ssl.SSLError as error:
        return broken("broker", f"it refuses the hub's certificate ({error.reason or error})", est.NEW_CLAIM)
    except OSError as error:
        return broken(
            "broker",
            f"{host}:{port} does not answer ({error.strerror or 'no answer in time'})",
            "look at the home's internet connection; a guest network may block this port",
        )


def enrolment(est_url: str, identity: Identity, floor_ms: int | None) -> Finding:
    """Whether the hub can renew its certificate when it must."""
    if not est_url:
        return broken("renewal", "the hub does not know where to renew its certificate", "write est_url into hub.toml")
    host = urlsplit(est_url).hostname
    try:
        root = identity.root_der()
        found = est.authorities(est_url, est.server_context(root, floor_ms))
    except IdentityError as error:
        return broken("renewal", error.what, error.fix)
    except EnrolmentError as error:
        return broken("renewal", f"{host}: {error.what}", "look at the network; until then the certificate stands")
    if root not in found:
        return unknown("renewal", f"{host} answers, and does not name this hub's root {trust.fingerprint(root)[:8]}")
    return fine("renewal", f"{host} answers")
