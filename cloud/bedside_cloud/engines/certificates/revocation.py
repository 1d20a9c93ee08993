"""Certificate revocation lists (RFC 5280, 5): for whoever lets hubs in without asking identity."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from bedside_cloud.engines.certificates.authority import BACKDATED, Issued

LIST_LIFE = timedelta(days=7)
"""A list is made anew whenever it is asked for; this is for how long a copy of it may be used."""


class RevokedFor(StrEnum):
    """Why a certificate ended before its time."""

    SUPERSEDED = "superseded"
    CEASED = "ceased"
    COMPROMISED = "compromised"


_REASONS = {
    RevokedFor.SUPERSEDED: x509.ReasonFlags.superseded,
    RevokedFor.CEASED: x509.ReasonFlags.cessation_of_operation,
    RevokedFor.COMPROMISED: x509.ReasonFlags.key_compromise,
}


@dataclass(frozen=True, slots=True)
class Revoked:
    """One certificate that is not in force any more, though its dates say so."""

    serial_number: int
    at: datetime
    reason: RevokedFor


def revocation_list(issuing: Issued, revoked: Iterable[Revoked], number: int, now: datetime) -> bytes:
    """The list in DER, signed by the issuing authority. `number` grows from list to list."""
    issuer_key = issuing.certificate.public_key()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuing.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(now + LIST_LIFE)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)  # type: ignore[arg-type]
    )
    for one in revoked:
        entry = (
            x509.RevokedCertificateBuilder()
            .serial_number(one.serial_number)
            .revocation_date(one.at)
            .add_extension(x509.CRLReason(_REASONS[one.reason]), critical=False)
        )
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuing.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
