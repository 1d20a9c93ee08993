"""Enrolment over EST (RFC 7030): a one-time claim in, a certificate out. The only importer of httpx.

The root is fetched over a connection that proves nothing yet and accepted only if its SHA-256 is the one that the claim
names (RFC 7030 §4.1.1); the claim's code is spoken only over a connection that this root vouches for.
"""

import base64
import binascii
import ssl
from collections.abc import Sequence

import httpx

from bedside_agent import trust
from bedside_agent.errors import EnrolmentError, UntrustedError
from bedside_agent.uplink.claim import Claim
from bedside_agent.uplink.dates import client_context
from bedside_agent.uplink.identity import Identity

TIMEOUT_SECONDS = 15.0
MOST_ANSWER_BYTES = 64 * 1024
NEW_CLAIM = "bedside-cloud fleet claim new --hub-id HUB, then bedside-agent init --claim TEXT"


def enrol(claim: Claim, identity: Identity, *, knows_time: bool = True) -> None:
    """Make the hub's key, have it certified, and keep both. EnrolmentError says whether the claim may still work.

    A hub that does not know the time takes it to be no earlier than the day on which the root was made.
    """
    root, others = _fetch_root(claim)
    key = identity.key_pem()
    request = trust.certificate_request(key, claim.hub_id)
    issued = _post_request(claim, root, request, knows_time=knows_time)
    certificate, issuers = _check_issued(claim, key, root, others, issued)
    identity.keep(certificate, issuers, root)


def _fetch_root(claim: Claim) -> tuple[bytes, tuple[bytes, ...]]:
    """The root that the claim names, and whatever else came with it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Bootstrap: nothing secret is sent, and only a root with the claim's fingerprint is accepted.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    body = _call(claim, context, "GET", "cacerts")
    certificates = _certificates(body)
    for certificate in certificates:
        if trust.fingerprint(certificate) == claim.ca_sha256:
            return certificate, tuple([one for one in certificates if one != certificate])
    raise EnrolmentError(
        "the enrolment server does not have the root that the claim names",
        cause="the claim is from another installation, or somebody stands in between",
        fix="compare the fingerprint with the one that bedside-cloud shows",
        retry=False,
    )


def _post_request(claim: Claim, root: bytes, request: bytes, *, knows_time: bool) -> tuple[bytes, ...]:
    floor_ms = None if knows_time else round(trust.valid_from(root).timestamp() * 1000)
    context = client_context(floor_ms)
    context.load_verify_locations(cadata=root)
    body = _call(
        claim,
        context,
        "POST",
        "simpleenroll",
        content=base64.b64encode(request),
        headers={"content-type": "application/pkcs10", "content-transfer-encoding": "base64"},
        auth=(claim.hub_id, claim.code),
    )
    return _certificates(body)


def _check_issued(
    claim: Claim, key: bytes, root: bytes, others: Sequence[bytes], issued: Sequence[bytes]
) -> tuple[bytes, tuple[bytes, ...]]:
    """The hub's own certificate and its issuers below the root."""
    own = next((one for one in issued if trust.belongs_to(key, one)), None)
    try:
        if own is None:
            raise UntrustedError("no certificate for this hub's key came back")
        name, issuers = trust.verify_chain(own, (*issued, *others), root, None)
        if name != claim.hub_id:
            raise UntrustedError("the certificate is for another hub")
    except UntrustedError as cause:
        raise EnrolmentError(
            f"the enrolment server's answer cannot be used: {cause.what}", fix=NEW_CLAIM, retry=False
        ) from cause
    return own, issuers


def _call(
    claim: Claim,
    context: ssl.SSLContext,
    method: str,
    operation: str,
    *,
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
    auth: tuple[str, str] | None = None,
) -> bytes:
    url = f"{claim.est_url}/.well-known/est/{operation}"
    try:
        with httpx.Client(verify=context, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
            answer = client.request(method, url, content=content, headers=headers, auth=auth)
    except (httpx.TransportError, httpx.InvalidURL) as cause:
        raise EnrolmentError(
            f"the enrolment server {claim.est_url} cannot be reached: {cause}",
            cause="the network is down, the address is wrong, or its certificate is not for that name",
            fix="check the network and run the same command again: the claim is not used up",
            retry=True,
        ) from cause
    if answer.status_code in (401, 403):
        raise EnrolmentError(
            "the enrolment server refused the claim",
            cause="it was used already, has expired, or is for another hub",
            fix=NEW_CLAIM,
            retry=False,
        )
    if answer.status_code != httpx.codes.OK:
        raise EnrolmentError(
            f"the enrolment server answered {answer.status_code} to {operation}",
            cause="it is starting, overloaded, or no enrolment server",
            fix="run the same command again in a minute",
            retry=True,
        )
    return answer.content


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
