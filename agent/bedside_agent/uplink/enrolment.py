"""Enrolment over EST (RFC 7030): a one-time claim in, a certificate out.

The root is fetched over a connection that proves nothing yet and accepted only if its SHA-256 is the one that the claim
names (RFC 7030 §4.1.1); the claim's code is spoken only over a connection that this root vouches for.
"""

from bedside_agent import trust
from bedside_agent.computer import serial_number
from bedside_agent.errors import EnrolmentError
from bedside_agent.uplink import est
from bedside_agent.uplink.claim import Claim
from bedside_agent.uplink.identity import Identity


def enrol(claim: Claim, identity: Identity, *, knows_time: bool = True) -> None:
    """Make the hub's key, have it certified, and keep both. EnrolmentError says whether the claim may still work.

    A hub that does not know the time takes it to be no earlier than the day on which the root was made.
    """
    root, others = _fetch_root(claim)
    key = identity.key_pem()
    floor_ms = None if knows_time else round(trust.valid_from(root).timestamp() * 1000)
    request = trust.certificate_request(key, claim.hub_id, serial_number())
    context = est.server_context(root, floor_ms)
    issued = est.certify(claim.est_url, context, "simpleenroll", request, (claim.hub_id, claim.code))
    certificate, issuers = est.check_issued(claim.hub_id, key, root, others, issued)
    identity.keep(certificate, issuers, root)


def _fetch_root(claim: Claim) -> tuple[bytes, tuple[bytes, ...]]:
    """The root that the claim names, and whatever else came with it."""
    certificates = est.authorities(claim.est_url, est.unproven_context())
    for certificate in certificates:
        if trust.fingerprint(certificate) == claim.ca_sha256:
            return certificate, tuple([one for one in certificates if one != certificate])
    raise EnrolmentError(
        "the enrolment server does not have the root that the claim names",
        cause="the claim is from another installation, or somebody stands in between",
        fix="compare the fingerprint with the one that bedside-cloud shows",
        retry=False,
    )
